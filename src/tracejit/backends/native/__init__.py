"""The native backend: jaxprs to machine code through LLVM.

    jaxpr -> passes -> plan (what is stored, what shares a nest) -> kernels -> LLVM -> code

Structure is never copied: reshape, slice, broadcast, permute and pad rewrite the index at which a
kernel reads. Elementwise work is computed where it is read, in registers, on explicit vectors.

Reading order:
- one loop nest: lowering, index, loops, nest, sums, kernel; small (those that are unrolled), halo
- before it is planned: ranges, counting, bounds (integers of which much is known)
- a program: plan, windows (masks that end loops), updates (what is updated in place), regions and
  tiles (nests that share rows), arena (memory), program, parts (long programs)
- threads: effort, parallel, pieces, pool
- families: elementwise and maths, structure, reduction, contraction and products, indexing, linalg
  (these three with blas), sorting, control and carries, random
- the way to machine code: emit, target, shared, library, disk, compile; summary, work, explain
- calls: abi, callable, call_signature, entry; leaving and paths

Importing this package, or the modules for calls but entry, does not load llvmlite: `run` has the
backend.
"""

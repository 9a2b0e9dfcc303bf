"""The native backend: jaxprs to machine code through LLVM.

    jaxpr -> passes -> plan (what is stored, what shares a nest) -> kernels -> LLVM -> code

Structure is never copied: reshape, slice, broadcast, permute and pad rewrite the index at which a
kernel reads. Elementwise work is computed where it is read, in registers, on explicit vectors.

Reading order: lowering, index, loops, nest, kernel, plan, program, parts, then the families
(elementwise, structure, reduction, contraction, indexing, sorting, control, random), then compile.
Calls: abi, callable, entry. Importing this package, or the modules for calls but entry, does not
load llvmlite: `run` has the backend.
"""

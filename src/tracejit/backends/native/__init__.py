"""The native backend: jaxprs to machine code through LLVM.

    jaxpr -> passes -> plan (what is stored, which statements share a nest) -> kernels -> LLVM -> code

Structure is never copied: reshape, slice, broadcast, permute and pad rewrite the index at which a
kernel reads. Elementwise work is computed where it is read, in registers, on explicit vectors.

Reading order: lowering, index, nest, kernel, plan, program, then the families (elementwise,
structure, reduction, contraction, indexing, control), then compile. Calls: abi, callable, entry.
"""

from __future__ import annotations

from tracejit.backends.native.compile import NativeBackend

BACKEND = NativeBackend()

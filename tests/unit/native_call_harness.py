"""Callables that count their misses, and kernels for native entries: LLVM text, or Python
functions behind ctypes.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import llvmlite.binding as llvm
import numpy as np
import pytest

from tracejit.backends.native import abi
from tracejit.backends.native.call_signature import CallSignature, Leaf, Node, describe
from tracejit.backends.native.callable import (
    ALWAYS_OPEN,
    Gate,
    NativeCallable,
    NativeEntry,
    install,
)
from tracejit.backends.native.entry import native_entry

needs_native = pytest.mark.skipif(not abi.SUPPORTED, reason=abi.WHY_NOT)
F8 = np.dtype(np.float64)
VECTOR = Leaf("array", F8, (5,))
SCALAR = Leaf("scalar", F8)

_POINTERS = ctypes.POINTER(ctypes.c_void_p)
_KERNEL = ctypes.CFUNCTYPE(ctypes.c_int64, _POINTERS, _POINTERS)

RETURN = "define i64 @kernel(ptr %in, ptr %out) {\n  ret i64 0\n}\n"
DECLINE = "define i64 @kernel(ptr %in, ptr %out) {\n  ret i64 1\n}\n"


class Counting(NativeCallable):
    """A call that no entry takes comes back as ("miss", args, kwargs)."""

    def __init__(self) -> None:
        self.misses = 0

    def _miss(self, *args: object, **kwargs: object) -> object:
        self.misses += 1
        return "miss", args, kwargs


def copy_kernel(*copies: tuple[int, int, int]) -> str:
    """LLVM that copies, for each (input, output, bytes)."""
    lines = ["declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)"]
    lines += ["define i64 @kernel(ptr %in, ptr %out) {"]
    for k, (source, target, size) in enumerate(copies):
        for name, place in (("in", source), ("out", target)):
            lines += [f"  %{name}.at.{k} = getelementptr ptr, ptr %{name}, i64 {place}"]
            lines += [f"  %{name}.{k} = load ptr, ptr %{name}.at.{k}"]
        operands = f"ptr %out.{k}, ptr %in.{k}, i64 {size}, i1 false"
        lines += [f"  call void @llvm.memcpy.p0.p0.i64({operands})"]
    return "\n".join([*lines, "  ret i64 0", "}", ""])


def compiled(signature: CallSignature, text: str) -> NativeEntry | None:
    """The entry for a kernel in LLVM."""
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_default_triple().create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(text), machine)
    engine.finalize_object()
    owner = np.empty((), object)  # see target.Code
    owner[()] = engine
    return native_entry(signature, engine.get_function_address("kernel"), owner=owner)


def scripted(
    signature: CallSignature,
    function: Callable[[object, object], int | None],
    gate: Gate = ALWAYS_OPEN,
) -> NativeEntry | None:
    """The entry for a kernel in Python, which gets the two rows of pointers and may return a
    status.
    """
    kernel = _KERNEL(lambda inputs, outputs: function(inputs, outputs) or 0)
    address = ctypes.cast(kernel, ctypes.c_void_p).value
    assert address is not None
    return native_entry(signature, address, owner=kernel, gate=gate)


def function_of(entry: NativeEntry | None) -> Counting:
    """A fresh callable with this entry."""
    f = Counting()
    assert entry is not None
    assert install(f, entry)
    return f


def accepts(node: Node) -> Counting:
    """A callable of one argument like the node; it returns None on a hit."""
    return function_of(compiled(CallSignature((node,), (), describe(None)), RETURN))


def echo(value: object) -> Counting:
    """A callable that takes what is like the value, and returns a copy of it with all leaves
    copied.
    """
    node = describe(value)
    assert node is not None
    sizes = [leaf.dtype.itemsize * int(np.prod(leaf.shape)) for leaf in leaves(node)]
    kernel = copy_kernel(*((k, k, size) for k, size in enumerate(sizes)))
    return function_of(compiled(CallSignature((node,), (), node), kernel))


def leaves(node: Node) -> list[Leaf]:
    """The leaves below a node, depth first."""
    if isinstance(node, Leaf):
        return [node]
    return [leaf for child in getattr(node, "children", ()) for leaf in leaves(child)]


def read(pointer: int, kind: str) -> object:
    """The number of this dtype at an address."""
    return np.frombuffer(ctypes.string_at(pointer, np.dtype(kind).itemsize), kind)[0]

"""From a jaxpr to a kernel with the ABI of native calls: i64 kernel(ptr inputs, ptr outputs)."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from tracejit.backends.explanation import Explanation
from tracejit.backends.native import (  # noqa: F401  each fills its rows of the table
    contraction,
    control,
    elementwise,
    indexing,
    random,
    reduction,
    sorting,
    structure,
)
from tracejit.backends.native.arena import ALIGN, Arena
from tracejit.backends.native.call_signature import CallSignature
from tracejit.backends.native.callable import Gate, NativeEntry
from tracejit.backends.native.disk import Kept, find, keep, key_of
from tracejit.backends.native.elementwise import memory_type
from tracejit.backends.native.emit import I64, POINTER, PTR, Function, Module, Value, constant
from tracejit.backends.native.entry import bound_entry, native_entry
from tracejit.backends.native.explain import Recorder
from tracejit.backends.native.nest import Buffer, Nest, Scalar
from tracejit.backends.native.program import Program
from tracejit.backends.native.shared import SHARED, addresses, new_module
from tracejit.backends.native.summary import Summary
from tracejit.backends.native.target import Code, assembly, host, object_code
from tracejit.backends.protocol import Observer
from tracejit.ir.graph import Jaxpr
from tracejit.ir.printing import print_jaxpr
from tracejit.ir.types import ArrayType
from tracejit.passes.standard import SIMPLIFY, VECTORS

_KERNEL = ctypes.PYFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)


class NativeBackend:
    """LLVM on this machine's CPU."""

    name = "native"

    def compile(
        self,
        jaxpr: Jaxpr,
        *,
        name: str = "",
        observer: Observer | None = None,
        constants: Sequence[Any] = (),
    ) -> NativeExecutable:
        """Compile a jaxpr; `constants` are the values of its first inputs, fixed here."""
        jaxpr = VECTORS(SIMPLIFY(jaxpr, observer), observer)
        return NativeExecutable(jaxpr, constants)


class NativeExecutable:
    """Machine code for a jaxpr, with the memory it needs.

    kernel: its address, with the ABI of `entry.py`. It works in one workspace that belongs to it,
    so it runs under the GIL. summary: what was counted while it was made.
    """

    def __init__(self, jaxpr: Jaxpr, constants: Sequence[Any] = ()):
        self.constants = [_dense(x, v.type) for x, v in zip(constants, jaxpr.invars, strict=False)]
        self.in_types = [v.type for v in jaxpr.invars[len(constants) :]]
        self.out_types = jaxpr.out_types
        self.jaxpr = jaxpr
        built = build(jaxpr, len(self.constants))
        self.summary = built.summary
        imports = addresses(built.shared)
        self._code = Code(built.code, ["kernel", *built.cells], imports)
        self.kernel = self._code.address("kernel")
        self._run = _KERNEL(self.kernel)
        room = np.empty(self.summary.workspace_bytes + ALIGN, np.uint8)
        self.use_workspace(room[-room.ctypes.data % ALIGN :])
        for cell in built.cells:
            if cell.startswith(contraction.BLAS):
                address = contraction.blas(cell.removeprefix(contraction.BLAS))
                self._code.set_pointer(cell, address)
        for i, x in enumerate(self.constants):
            self._code.set_pointer(f"constant.{i}", x.ctypes.data)

    def __call__(self, *arrays: Any) -> tuple[np.ndarray, ...]:
        """Run: arrays of the jaxpr's types in, fresh arrays out."""
        inputs = [_dense(x, t) for x, t in zip(arrays, self.in_types, strict=True)]
        outputs = [np.empty(t.shape, t.dtype) for t in self.out_types]
        self.run_into(inputs, outputs)
        return tuple(outputs)

    def run_into(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Run on arrays of the jaxpr's types, contiguous and aligned, that do not overlap."""
        self._run(_pointers(inputs), _pointers(outputs))

    def use_workspace(self, memory: np.ndarray) -> None:
        """Work in this memory, from an address that is a multiple of `ALIGN`."""
        assert memory.nbytes >= self.summary.workspace_bytes and memory.ctypes.data % ALIGN == 0
        self.workspace = memory
        self._code.set_pointer("workspace", memory.ctypes.data)

    def entry(self, signature: CallSignature, gate: Gate) -> NativeEntry | None:
        """What `install` takes, for calls like these; None where they stay in Python."""
        return native_entry(signature, self.kernel, owner=self, gate=gate)

    def bound_entry(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], result: object
    ) -> NativeEntry | None:
        """What `install` takes, for a call without arguments that is `run_into` on these arrays."""
        return bound_entry(self.kernel, inputs, outputs, result, owner=self)

    def explain(self, name: str) -> Explanation:
        """What was decided, and why."""
        recorder = Recorder()
        emit_kernel(self.jaxpr, len(self.constants), recorder)
        return recorder.explanation(name, self.jaxpr, threads=1)

    def texts(self) -> dict[str, str]:
        """The kernels, the LLVM assembly and the machine's."""
        module, summary = emit_kernel(self.jaxpr, len(self.constants))
        text = str(module)
        return {"kernels": "\n".join(summary.lines), "llvm": text, "assembly": assembly(text)}


def _dense(x: Any, type: ArrayType) -> np.ndarray:
    array = np.ascontiguousarray(x, type.dtype).reshape(type.shape)
    return array if array.flags.aligned else array.copy()


def _pointers(arrays: Sequence[np.ndarray]) -> Any:
    return (ctypes.c_void_p * max(1, len(arrays)))(*[x.ctypes.data for x in arrays])


class Built(NamedTuple):
    """Object code of a kernel, the pointer variables that it needs set, the functions that it
    shares with other programs, and what was counted."""

    code: bytes
    cells: list[str]
    shared: list[str]
    summary: Summary


def build(jaxpr: Jaxpr, n_constants: int) -> Built:
    """The object code of a jaxpr's kernel: from the disk, where it was kept, or compiled."""
    key = key_of("kernel", lambda: _identity(jaxpr, n_constants))
    if key is not None and (kept := find(key)) is not None:
        counts = kept.facts["summary"]
        summary = Summary(**(counts | {"statements": Counter(counts["statements"])}))
        return Built(kept.code, kept.facts["cells"], kept.facts["shared"], summary)
    module, summary = emit_kernel(jaxpr, n_constants)
    cells = [name for name, text in module.globals.items() if text == POINTER]
    shared = [name for name in module.declarations if name in SHARED]
    text = str(module)
    built = Built(object_code(text), cells, shared, summary)
    if key is not None and _ADDRESS not in text:
        counts = {field.name: getattr(summary, field.name) for field in fields(summary)}
        keep(key, Kept({"cells": cells, "shared": shared, "summary": counts}, built.code))
    return built


# How an address of this process would look: in code that is kept there must be none.
_ADDRESS = "inttoptr (i64"

_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"')


def _identity(jaxpr: Jaxpr, n_constants: int) -> str | None:
    """A text that is equal for programs of equal code; None where a parameter is no data, which
    is printed as a name in angle brackets.
    """
    text = print_jaxpr(jaxpr)
    if "<" in text and "<" in _TEXTS.sub("", text):
        return None
    return f"{n_constants} constants\n{text}"


def emit_kernel(
    jaxpr: Jaxpr, n_constants: int, summary: Summary | None = None
) -> tuple[Module, Summary]:
    """The LLVM module of a jaxpr's kernel, and what was counted on the way."""
    summary = summary or Summary()
    target = host()
    module = new_module()
    module.globals["workspace"] = POINTER
    for i in range(n_constants):
        module.globals[f"constant.{i}"] = POINTER
    fn = module.function("kernel", I64, [PTR, PTR], attributes=target.attributes)
    inputs, outputs = fn.args
    places = [fn.load(PTR, Value(PTR, f"@constant.{i}")) for i in range(n_constants)]
    places += [
        fn.load(PTR, fn.offset(inputs, i, PTR)) for i in range(len(jaxpr.invars) - n_constants)
    ]
    arena = Arena(fn.load(PTR, Value(PTR, "@workspace")))
    locations = [_input(fn, p, v.type) for p, v in zip(places, jaxpr.invars, strict=True)]
    program = Program(fn, target, arena, jaxpr, locations, summary)
    results = [fn.load(PTR, fn.offset(outputs, i, PTR)) for i in range(len(jaxpr.outvars))]
    targets = [
        Buffer(p, y.shape, y.dtype) if y.ndim else None
        for p, y in zip(results, jaxpr.outvars, strict=True)
    ]
    found = program.emit(targets)
    nest = Nest(program, [])
    for pointer, y, location in zip(results, jaxpr.outvars, found, strict=True):
        if not y.ndim:
            assert isinstance(location, Scalar)
            fn.store(nest.to_memory(location.value, y.dtype), pointer)
    fn.ret(constant(I64, 0))
    summary.workspace_bytes = arena.size
    return module, summary


def _input(fn: Function, pointer: Value, type: ArrayType) -> Buffer | Scalar:
    if type.shape:
        return Buffer(pointer, type.shape, type.dtype)
    memory = memory_type(type.dtype)
    value = fn.load(memory, pointer)
    if type.dtype.kind == "b":
        value = fn.not_equal(value, fn.like(value, 0))
    return Scalar(value)

"""From a jaxpr to a kernel with the ABI of native calls: i64 kernel(ptr inputs, ptr outputs)."""

from __future__ import annotations

import ctypes
import re
import sys
import weakref
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np

from tracejit.backends.explanation import Explanation
from tracejit.backends.native import (  # noqa: F401  each fills its rows of the table
    blas,
    callbacks,
    complex,
    contraction,
    control,
    elementwise,
    fourier,
    indexing,
    linalg,
    orthogonal,
    pool,
    random,
    reduction,
    sorting,
    structure,
)
from tracejit.backends.native.apart import apart
from tracejit.backends.native.arena import ALIGN, Arena
from tracejit.backends.native.bounds import bounded, bounds_of
from tracejit.backends.native.call_signature import CallSignature
from tracejit.backends.native.callable import Gate, NativeEntry
from tracejit.backends.native.counting import count
from tracejit.backends.native.disk import Kept, find, keep, key_of
from tracejit.backends.native.effort import LONG, effort
from tracejit.backends.native.elementwise import memory_type, register_type
from tracejit.backends.native.emit import (
    I64,
    POINTER,
    PTR,
    VOID,
    Function,
    Module,
    Value,
    constant,
)
from tracejit.backends.native.entry import bound_entry, native_entry
from tracejit.backends.native.explain import Recorder
from tracejit.backends.native.finals import Finals, store_number
from tracejit.backends.native.handed import handed_on
from tracejit.backends.native.interchange import interchange
from tracejit.backends.native.leaving import FIRST_GUARD, NO_MEMORY, raise_kept
from tracejit.backends.native.nest import Buffer, Scalar
from tracejit.backends.native.ones import numbers
from tracejit.backends.native.parts import emit_pieces
from tracejit.backends.native.paths import Path
from tracejit.backends.native.program import Program
from tracejit.backends.native.shared import addresses, is_shared, new_module
from tracejit.backends.native.still import stilled
from tracejit.backends.native.summary import Summary
from tracejit.backends.native.target import Code, Features, assembly, host, object_code
from tracejit.backends.protocol import Observer
from tracejit.config import config
from tracejit.control.custom_closure import lift_constants
from tracejit.control.guard import GuardFailed, guards_of
from tracejit.ir.graph import Jaxpr
from tracejit.ir.printing import print_jaxpr
from tracejit.ir.types import ArrayType
from tracejit.passes.cse import cse
from tracejit.passes.dce import dce
from tracejit.passes.fold import fold
from tracejit.passes.pairs.split import has_complex
from tracejit.passes.standard import NO_HALVES, PARTS, SIMPLIFY, VECTORS
from tracejit.passes.widen import bits_of, holds_halves

_POINTERS = (ctypes.c_void_p, ctypes.c_void_p)
_SHORT = ctypes.PYFUNCTYPE(ctypes.c_int64, *_POINTERS)
_LONG = ctypes.CFUNCTYPE(ctypes.c_int64, *_POINTERS, ctypes.c_int64)


class NativeBackend:
    """LLVM on this machine's CPU."""

    name = "native"
    tapes = True

    def compile(
        self,
        jaxpr: Jaxpr,
        *,
        name: str = "",
        observer: Observer | None = None,
        constants: Sequence[Any] = (),
        written: Sequence[int] = (),
    ) -> NativeExecutable:
        """Compile a jaxpr; `constants` are the values of its first inputs, fixed here."""
        types = jaxpr.in_types[len(constants) :], jaxpr.out_types
        jaxpr = SIMPLIFY(jaxpr, observer)
        if holds_halves(jaxpr):
            jaxpr, constants = NO_HALVES(jaxpr, observer), [*map(bits_of, constants)]
        if has_complex(jaxpr):
            jaxpr = PARTS(jaxpr, observer)
        jaxpr, held = lift_constants(VECTORS(jaxpr, observer))
        counting, constants = count(jaxpr, [*held, *constants])
        after = numbers(stilled(bounded(counting)))
        if after is not counting:
            # Equal places look equal now: what is written is read back, and then nobody reads it.
            after = dce(fold(dce(fold(cse(after)))))
        parted = apart(after)
        if parted is not after:
            after = dce(fold(parted))
        after = interchange(after)
        handing = handed_on(after)
        if handing is not after:
            after = dce(fold(handing))
        return NativeExecutable(after, constants, written, types)


class NativeExecutable:
    """Machine code for a jaxpr, with the memory it needs.

    kernel: its address, with the ABI of `entry.py`. A short one works in one workspace that belongs
    to it, so it runs under the GIL. A long one (`effort.LONG`) runs without the GIL: it takes one
    of several workspaces, and may use several threads (`parallel.py`). It writes the last results
    to the inputs `written`; where one of these overlaps with another input, it declines.
    summary: what was counted while it was made. types: of what a call takes and gives, where the
    jaxpr, whose inputs begin with the constants, has others of the same bytes.
    """

    def __init__(
        self, jaxpr: Jaxpr, constants: Sequence[Any] = (), written: Sequence[int] = (),
        types: tuple[Sequence[ArrayType], Sequence[ArrayType]] | None = None,
    ):  # fmt: skip
        self.constants = [_dense(x, v.type) for x, v in zip(constants, jaxpr.invars, strict=False)]
        in_types, out_types = types or (jaxpr.in_types[len(constants) :], jaxpr.out_types)
        self.in_types = [*in_types]
        self.written = tuple(written)
        self.out_types = tuple(out_types[: len(out_types) - len(self.written)])
        self.jaxpr = jaxpr
        built = build(jaxpr, len(self.constants), self.written)
        self.summary = built.summary
        exports = _EXPORTS[self.summary.is_long]
        self._code = Code(built.code, [*exports, *built.cells], addresses(built.shared))
        self.kernel = self._code.address("kernel")
        if self.summary.is_long:
            self._own_threads: int | None = None
            self._run_long = _LONG(self._code.address("run"))
            if self.summary.loops_shared:
                self._code.set_pointer("threads", pool.address("pool.limit"))
            else:
                self.limit_threads(1)
            weakref.finalize(self, _drop_workspaces, self._code).atexit = False
        else:
            self._run_short = _SHORT(self.kernel)
            room = np.empty(self.summary.workspace_bytes + ALIGN, np.uint8)
            self.use_workspace(room[-room.ctypes.data % ALIGN :])
        for cell in built.cells:
            if cell.startswith(blas.BLAS):
                address = blas.blas(cell.removeprefix(blas.BLAS))
                self._code.set_pointer(cell, address)
        self._trampolines = {
            cell: callbacks.trampoline(eqn) for eqn, cell in callbacks.callbacks(jaxpr).items()
        }
        for cell in self._trampolines.keys() & set(built.cells):
            function = ctypes.cast(self._trampolines[cell], ctypes.c_void_p)
            self._code.set_pointer(cell, function.value or 0)
        for i, x in enumerate(self.constants):
            self._code.set_pointer(f"constant.{i}", x.ctypes.data)
        places = [eqn.params["place"] for eqn in guards_of(jaxpr)]
        unlocked = self._code.address("unlocked") if self.summary.is_long else self.kernel
        self._path = Path(self.kernel, unlocked, self.summary.is_long, 1 + max(places, default=-1))
        self._linked: list[NativeExecutable] = []

    def __call__(self, *arrays: Any) -> tuple[np.ndarray, ...]:
        """Run: arrays of the jaxpr's types in, fresh arrays out."""
        inputs = [_dense(x, t) for x, t in zip(arrays, self.in_types, strict=True)]
        for i in self.written:
            inputs[i] = inputs[i].copy()
        outputs = [np.empty(t.shape, t.dtype) for t in self.out_types]
        self.run_into(inputs, outputs)
        return (*outputs, *[inputs[i] for i in self.written])

    def run_into(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray]) -> None:
        """Run on arrays of the jaxpr's types, contiguous and aligned, that do not overlap; there
        are no outputs for what is written to inputs.

        Raises MemoryError where there is none for a workspace, GuardFailed where the arrays take
        another path, and what was raised on the way.
        """
        places = _pointers(inputs), _pointers(outputs)
        if self.summary.is_long:
            code = self._run_long(*places, self._own_threads or config.threads)
        else:
            code = self._run_short(*places)
        if code == NO_MEMORY:
            raise MemoryError(f"no workspace of {self.summary.workspace_bytes} bytes")
        if code < 0:
            raise_kept()
        if code >= FIRST_GUARD:
            raise GuardFailed(code - FIRST_GUARD)

    def limit_threads(self, count: int) -> None:
        """Use so many threads at most, whatever `config.threads` says."""
        if self.summary.is_long:
            self._own_threads = count
            self._own_word = ctypes.c_int64(count)
            self._code.set_pointer("threads", ctypes.addressof(self._own_word))

    @property
    def follows_threads(self) -> bool:
        """Whether a call depends on `config.threads`."""
        return self.summary.loops_shared > 0 and self._own_threads is None

    def use_workspace(self, memory: np.ndarray) -> None:
        """Let a short kernel work in this memory, from an address that is a multiple of `ALIGN`."""
        assert not self.summary.is_long
        assert memory.nbytes >= self.summary.workspace_bytes and memory.ctypes.data % ALIGN == 0
        self.workspace = memory
        self._code.set_pointer("workspace", memory.ctypes.data)

    def entry(self, signature: CallSignature, gate: Gate) -> NativeEntry | None:
        """What `install` takes, for calls like these; None where they stay in Python."""
        signature = replace(signature, release_gil=self.summary.is_long)
        path = self._path.address
        return native_entry(signature, self.kernel, owner=self, gate=gate, path=path)

    def bound_entry(
        self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], result: object
    ) -> NativeEntry | None:
        """What `install` takes, for a call without arguments that is `run_into` on these arrays."""
        kernel, path = self._path.unlocked, self._path.address
        return bound_entry(kernel, inputs, outputs, result, owner=self, path=path)

    def link(self, place: int, other: NativeExecutable) -> None:
        """Let calls that leave at a guard enter another program, of the same inputs and outputs."""
        self._linked.append(other)
        self._path.link(place, other._path)

    def explain(self, name: str) -> Explanation:
        """What was decided, and why."""
        recorder = Recorder()
        emit_kernel(self.jaxpr, len(self.constants), self.written, recorder)
        most = self._own_threads or config.threads if self.summary.loops_shared else 1
        return recorder.explanation(name, self.jaxpr, threads=most)

    def texts(self) -> dict[str, str]:
        """The kernels, the LLVM assembly and the machine's."""
        module, summary = emit_kernel(self.jaxpr, len(self.constants), self.written)
        text = str(module)
        return {"kernels": "\n".join(summary.lines), "llvm": text, "assembly": assembly(text)}


_WORKSPACES = Value(PTR, "@workspaces")

# Without a GIL nothing is short enough.
_HAS_GIL = getattr(sys, "_is_gil_enabled", lambda: True)()

#: The symbols of short kernels, and of long ones.
_EXPORTS = (("kernel",), ("kernel", "run", "unlocked", "workspaces"))


def _drop_workspaces(code: Code) -> None:
    """Free what calls have left in the slots of a long kernel."""
    drop = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(pool.address("workspace.drop"))
    for memory in (ctypes.c_void_p * pool.SLOTS).from_address(code.address("workspaces")):
        drop(memory)


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


def build(jaxpr: Jaxpr, n_constants: int, written: Sequence[int] = ()) -> Built:
    """The object code of a jaxpr's kernel: from the disk, where it was kept, or compiled."""
    key = key_of("kernel", lambda: _identity(jaxpr, n_constants, written))
    if key is not None and (kept := find(key)) is not None:
        counts = kept.facts["summary"]
        summary = Summary(**(counts | {"statements": Counter(counts["statements"])}))
        return Built(kept.code, kept.facts["cells"], kept.facts["shared"], summary)
    module, summary = emit_kernel(jaxpr, n_constants, written)
    cells = [name for name, text in module.globals.items() if text == POINTER]
    shared = [name for name in module.declarations if is_shared(name)]
    text = str(module)
    built = Built(object_code(text), cells, shared, summary)
    if key is not None and _ADDRESS not in text:
        counts = {field.name: getattr(summary, field.name) for field in fields(summary)}
        keep(key, Kept({"cells": cells, "shared": shared, "summary": counts}, built.code))
    return built


# How an address of this process would look: in code that is kept there must be none.
_ADDRESS = "inttoptr (i64"

_TEXTS = re.compile(r'"(?:[^"\\]|\\.)*"')


def _identity(jaxpr: Jaxpr, n_constants: int, written: Sequence[int]) -> str | None:
    """A text that is equal for programs of equal code; None where a parameter is no data, which
    is printed as a name in angle brackets.
    """
    text = print_jaxpr(jaxpr)
    if "<" in text and "<" in _TEXTS.sub("", text):
        return None
    writes = f", writing to {[*written]}" if written else ""
    return f"{n_constants} constants{writes}\n{text}"


def emit_kernel(
    jaxpr: Jaxpr, n_constants: int, written: Sequence[int] = (), summary: Summary | None = None
) -> tuple[Module, Summary]:
    """The LLVM module of a jaxpr's kernel, and what was counted on the way."""
    target, module, summary = host(), new_module(), summary or Summary()
    for i in range(n_constants):
        module.globals[f"constant.{i}"] = POINTER
    summary.is_long = effort(jaxpr) >= LONG or callbacks.runs_python(jaxpr) or not _HAS_GIL
    fn, threads, workspace = (_begin_long if summary.is_long else _begin_short)(module, target)
    inputs, outputs = fn.args[:2]
    places = [fn.fixed(PTR, Value(PTR, f"@constant.{i}")) for i in range(n_constants)]
    places += [
        fn.fixed(PTR, inputs, PTR.bytes * i) for i in range(len(jaxpr.invars) - n_constants)
    ]
    arena = Arena(workspace)
    locations = [_input(fn, p, v.type) for p, v in zip(places, jaxpr.invars, strict=True)]
    program = Program(fn, target, arena, jaxpr, summary).place(locations)
    program.threads, program.callbacks = threads, callbacks.callbacks(jaxpr)
    program.bounds = bounds_of(jaxpr)
    n_results = len(jaxpr.outvars) - len(written)
    results = [fn.fixed(PTR, outputs, PTR.bytes * i) for i in range(n_results)]
    targets: list[Buffer | None] = [
        Buffer(p, y.shape, y.dtype) if y.ndim else None
        for p, y in zip(results, jaxpr.outvars, strict=False)
    ]
    finals = Finals(program, places, n_constants, [n_constants + i for i in written])
    found = program.emit([*targets, *[None] * len(written)])
    numbers = [
        (pointer, location.value, y.dtype)
        for pointer, y, location in zip(results, jaxpr.outvars, found, strict=False)
        if isinstance(location, Scalar)
    ]
    emit_pieces(program, numbers, lambda number: store_number(program, *number))
    finals.write()
    summary.workspace_bytes = arena.size
    if summary.is_long:
        module.globals["workspace.bytes"] = f"internal constant i64 {arena.size}"

    def close() -> None:
        program.tapes.drop()
        if summary.is_long:
            fn.call("workspace.release", VOID, [_WORKSPACES, workspace])

    close()
    fn.ret(constant(I64, 0))
    program.exit.finish(close)
    return module, summary


def _begin_short(module: Module, target: Features) -> tuple[Function, None, Value]:
    """A kernel that runs under the GIL, in its only workspace, on one thread."""
    module.globals["workspace"] = POINTER
    fn = module.function("kernel", I64, [PTR, PTR], attributes=target.attributes)
    return fn, None, fn.load(PTR, Value(PTR, "@workspace"))


def _begin_long(module: Module, target: Features) -> tuple[Function, Value, Value]:
    """A kernel that several threads may run at once, each on several: `run` takes how many.

    It takes a workspace that nobody uses; where there is none to be had, it declines. `unlocked`
    is the kernel for who has the GIL and would keep it.
    """
    module.globals["threads"] = POINTER
    module.globals["workspaces"] = f"global [{pool.SLOTS} x ptr] zeroinitializer, align 64"
    kernel = module.function("kernel", I64, [PTR, PTR], attributes=target.attributes)
    unlocked = module.function("unlocked", I64, [PTR, PTR], attributes=target.attributes)
    fn = module.function("run", I64, [PTR, PTR, I64], attributes=target.attributes)
    threads = kernel.load(I64, kernel.load(PTR, Value(PTR, "@threads")))
    kernel.ret(kernel.call("run", I64, [*kernel.args, threads]))
    state = unlocked.call("PyEval_SaveThread", PTR, [])
    status = unlocked.call("kernel", I64, unlocked.args)
    unlocked.call("PyEval_RestoreThread", VOID, [state])
    unlocked.ret(status)
    nbytes = fn.load(I64, Value(PTR, "@workspace.bytes"))
    workspace = fn.call("workspace.acquire", PTR, [_WORKSPACES, nbytes])
    none, some = fn.block("none"), fn.block("some")
    fn.branch_if(fn.equal(workspace, constant(PTR, 0)), none, some)
    fn.at(none)
    fn.ret(constant(I64, NO_MEMORY))
    fn.at(some)
    return fn, fn.args[2], workspace


def _input(fn: Function, pointer: Value, type: ArrayType) -> Buffer | Scalar:
    if type.shape:
        return Buffer(pointer, type.shape, type.dtype)
    complex_ = type.dtype.kind == "c"
    value = fn.fixed((register_type if complex_ else memory_type)(type.dtype), pointer)
    if type.dtype.kind == "b":
        value = fn.not_equal(value, fn.like(value, 0))
    return Scalar(value)

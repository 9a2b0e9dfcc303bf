"""From a call to a program: the leaves and their types, the traced function, the compiled one."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from tracejit import backends, tree
from tracejit.backends.native.callable import NativeCallable
from tracejit.backends.protocol import Executable
from tracejit.config import config
from tracejit.control.call import call as call_primitive
from tracejit.control.guard import Answer, Guards, guards_first, without_guards
from tracejit.control.slots import without_tapes
from tracejit.control.tape import makes_tapes
from tracejit.errors import MissingRuleError, UnsupportedError
from tracejit.ir.atoms import Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import COMPLEX64, COMPLEX128, FLOAT32, FLOAT64, TAPE, ArrayType
from tracejit.ir.walk import inline
from tracejit.passes.stages import dump
from tracejit.runtime import nans
from tracejit.runtime.arguments import argument, name_of, result
from tracejit.runtime.native_calls import install_flat, result_node
from tracejit.runtime.report import listener
from tracejit.runtime.run import unboxed
from tracejit.runtime.statics import Fixed, put_back
from tracejit.runtime.values import Name, canonical, returned, type_of_value
from tracejit.runtime.write_back import writable, write_back
from tracejit.trace.garbage import seldom_collected
from tracejit.trace.stage import apply, is_weak, recorded, stage
from tracejit.trace.tracer import Tracer, bind, current_trace, is_traced
from tracejit.transforms.memo import loops

CONVERT = Primitive.registry["convert"]  # the runtime knows no operation but this and call


@dataclass(frozen=True, slots=True)
class Call:
    """A call taken apart: the leaves as given and canonical, which are Python numbers, and what is
    static. args and kwargs are without the latter."""

    fun: Callable[..., Any]
    args: Sequence[Any]
    kwargs: Mapping[str, Any]
    given: list[Any]
    leaves: list[Any]
    weak: tuple[bool, ...]
    in_tree: tree.TreeDef
    fixed: Fixed

    def name(self, index: int) -> Name:
        """What messages call a leaf."""
        return partial(argument, self.fun, self.args, self.kwargs, index)

    def types_key(self) -> Hashable:
        """Equal for calls that one traced program serves, static values apart."""
        types = tuple([(x.dtype, x.shape) for x in self.leaves])
        return self.in_tree, types, self.weak, config.tracing, loops.get()

    def run(self) -> Any:
        """Call the function itself."""
        args, kwargs = put_back(self.args, self.kwargs, self.fixed)
        return self.fun(*args, **kwargs)


def take_apart(
    fun: Callable[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    fixed: Fixed = (),
    leaf: Callable[[Any, Name], Any] = canonical,
) -> Call:
    """The call fun(*args, **kwargs); DTypeError, naming the argument, for a leaf that is no array.

    leaf: makes the canonical leaves; `abstract` where only types are asked for.
    """
    given, in_tree = tree.flatten((args, kwargs))
    leaves = [leaf(x, partial(argument, fun, args, kwargs, i)) for i, x in enumerate(given)]
    return Call(fun, args, kwargs, given, leaves, tuple(map(is_weak, given)), in_tree, fixed)


@dataclass(frozen=True, slots=True)
class Traced:
    """A traced function: its jaxpr takes the captured values, then the leaves. weak: the outputs
    that are Python numbers. answers: what Python asked of traced values was answered so: the path
    through the function that was traced, one of several if there are any. assigned, written: the
    leaves, and the tracers from outside, that it assigns to; the jaxpr gives their final values
    behind the leaves of the result. tapes: whether derivatives of loops of unknown length have
    them."""

    name: str
    jaxpr: Jaxpr
    captured: tuple[Any, ...]
    weak: tuple[bool, ...]
    out_tree: tree.TreeDef
    answers: tuple[Answer, ...] = ()
    assigned: tuple[int, ...] = ()
    written: tuple[Tracer, ...] = ()
    tapes: bool = True

    @property
    def out_types(self) -> tuple[ArrayType, ...]:
        """The types of the leaves of the result."""
        return self.jaxpr.out_types[: self.out_tree.num_leaves]

    @property
    def closed(self) -> bool:
        """Whether it stands alone: no value of a trace around it is in it."""
        return not self.written and not is_traced(*self.captured)

    @property
    def serves_all(self) -> bool:
        """Whether it is right for all calls of its kind, wherever they are."""
        return self.closed and not self.answers


class _Flat:
    """A function on the leaves of its arguments; remembers the structure of the result."""

    def __init__(self, call: Call):
        self.fun, self.in_tree, self.fixed = call.fun, call.in_tree, call.fixed

    def __call__(self, *tracers: Tracer) -> list[Any]:
        args, kwargs = self.in_tree.unflatten(tracers)
        args, kwargs = put_back(args, kwargs, self.fixed)
        leaves, self.out_tree = tree.flatten(self.fun(*args, **kwargs))
        here = current_trace()
        return [
            returned(y, here, partial(result, self.fun, self.out_tree, i))
            for i, y in enumerate(leaves)
        ]


def trace(
    call: Call, given: Sequence[Answer] = (), *, finals: bool = False, tapes: bool = True
) -> Traced:
    """Run the function on tracers: on the path that the values of this call take, where there are
    values. given: answers that are known beforehand to the first questions about them. finals: what
    it assigns to arguments is given, too; else these are its own. tapes: whether derivatives of
    loops whose number of rounds is not known keep them, or states in slots."""
    flat, name = _Flat(call), name_of(call.fun)
    types = [type_of_value(x) for x in call.leaves]
    guards = _decider(call, given)
    values = None if guards is None else [recorded(x) for x in call.leaves]
    before = 0 if guards is None else len(guards.answers)
    try:
        with nullcontext() if tapes else without_tapes():
            staged = stage(
                flat, types, values=values, weak=call.weak, name=name, decider=guards, finals=finals
            )
    except MissingRuleError:  # such as that of sums of tapes
        if not tapes or is_traced(*call.leaves):
            raise
        return trace(call, given, finals=finals, tapes=False)
    answers = () if guards is None else tuple(guards.answers[before:])
    jaxpr = guards_first(staged.jaxpr) if answers else staged.jaxpr
    return Traced(
        name, jaxpr, staged.captured, staged.weak, flat.out_tree, answers, staged.assigned,
        staged.written, tapes,
    )  # fmt: skip


def fit(traced: Traced, call: Call, backend: str) -> Traced:
    """The function, traced for a backend: where that has no tapes, derivatives of loops whose
    number of rounds is not known keep the states of some rounds, in slots."""
    if backends.load(backend).tapes or not makes_tapes(traced.jaxpr):
        return traced
    return trace(call, finals=True, tapes=False)


def _decider(call: Call, given: Sequence[Answer]) -> Guards | None:
    """Who decides on the path; that of the trace around if the arguments belong to it."""
    if any(isinstance(x, ArrayType) for x in call.leaves):
        return None
    around = current_trace() if is_traced(*call.leaves) else None
    if around is None:
        return Guards(given)
    if around.decider is None and around.values is not None:  # a tape
        return Guards()
    return around.decider if isinstance(around.decider, Guards) else None


def bind_call(traced: Traced, call: Call) -> Any:
    """The call as one equation of the current trace; a path among several goes in as it is, with
    its guards, which are never inside of what a program holds; a tape needs none."""
    writable(call.given, traced.assigned, call.name, traced=True)
    inputs = [*traced.captured, *call.leaves]
    if not traced.answers:
        outs = bind(call_primitive, *inputs, jaxpr=traced.jaxpr, name=traced.name)
    elif is_traced(*call.leaves):
        around: Any = current_trace()
        outs = apply(traced.jaxpr if around.decider else without_guards(traced.jaxpr), inputs)
    else:
        return call.run()  # arguments with numbers: Python decides
    for y, weak in zip(outs, traced.weak, strict=False):
        y.weak = weak
    n, k = len(traced.weak), len(traced.assigned)
    write_back(call.given, traced.assigned, outs[n : n + k])
    for x, value in zip(traced.written, outs[n + k :], strict=True):
        x.assign(value)
    return traced.out_tree.unflatten(outs[:n])


class Compiled:
    """A program of one backend.

    result: the node of the result for native entries, if there is one. entered: the kinds of calls
    that have had their chance of an entry.
    paths: those that the program is one of, if there are several (see paths.py). others: by the
    place of a guard, the program of the path behind it. head: the one from which the machine comes
    here without Python. assigned: the leaves that a call
    writes to.
    """

    def __init__(self, executable: Executable, traced: Traced, door: Sequence[np.dtype]):
        self.executable = executable
        self.traced = traced
        self.paths: Any = None
        self.others: dict[int, Compiled] = {}
        self.head = self
        self.out_tree = traced.out_tree
        self.assigned = traced.assigned
        self.door = door
        self.result = result_node(traced.out_tree, traced.out_types)
        self.entered: set[tuple[type, ...]] = set()
        self._flat = FlatCall(executable, traced.jaxpr.out_types, bool(traced.assigned))

    def __call__(self, call: Call) -> Any:
        """Run on the leaves of a call, and write back what it assigns to; GuardFailed where they
        take another path."""
        if self.assigned:
            writable(call.given, self.assigned, call.name, traced=False)
        arrays = [_plain(x, dtype) for x, dtype in zip(call.leaves, self.door, strict=True)]
        looks = bool(nans.wanted())
        before = self._inputs(call) if looks else ()
        outs = self._flat(*arrays)
        if looks:
            input_name = partial(self._input_name, call)
            nans.look(self.traced.name, self.traced.jaxpr, before, outs, input_name)
        n = self.out_tree.num_leaves
        write_back(call.given, self.assigned, outs[n:])
        return self.out_tree.unflatten(outs[:n])

    def _inputs(self, call: Call) -> list[Any]:
        """What the jaxpr takes, in arrays of its own: the program may write to the others."""
        given = (*self.traced.captured, *call.leaves)
        types = self.traced.jaxpr.in_types
        return [np.array(x, t.dtype) for x, t in zip(given, types, strict=True)]

    def _input_name(self, call: Call, index: int) -> str:
        """What a report calls an input of the jaxpr."""
        own = index - len(self.traced.captured)
        return call.name(own)() if own >= 0 else f"an array that {self.traced.name} closes over"

    def leads_to(self, other: Compiled) -> bool:
        """Whether a call that begins here may come to another program."""
        return self is other or any(x.leads_to(other) for x in self.others.values())

    def add(self, place: int, other: Compiled, heads: bool) -> None:
        """Let another program take over at a guard, also in machine code if it has such results.
        heads: then it has no other head."""
        link = getattr(self.executable, "link", None)
        alike = (self.out_tree, self.traced.jaxpr.out_types, self.assigned) == (
            other.out_tree, other.traced.jaxpr.out_types, other.assigned
        )  # fmt: skip
        if link is not None and alike:
            link(place, other.executable)
            if heads:
                other.head = self.head
        self.others[place] = other


class FlatCall(NativeCallable, method=False):
    """An executable as a function of contiguous arrays; gives arrays, and scalars for rank 0.

    It serves calls whose trees machine code does not know. Whoever comes twice will come often, and
    enters machine code from then on.
    """

    def __init__(
        self, executable: Executable, out_types: Sequence[ArrayType], writes: bool = False
    ):
        """writes: entries of the executable write to its inputs, so there are to be none."""
        self._executable = executable
        self._writes = writes
        self._out_types = out_types
        self._misses = 0

    def _miss(self, *arrays: Any) -> Sequence[Any]:
        self._misses += 1
        if self._misses == 2 and not self._writes:
            install_flat(self, self._executable, arrays, self._out_types)
        return unboxed(self._executable(*arrays))


def _plain(x: np.ndarray | np.generic, dtype: np.dtype) -> np.ndarray:
    """A leaf as a backend takes it: C-contiguous and aligned."""
    array = np.asarray(x, dtype)
    flags = array.flags
    return array if flags.c_contiguous and flags.aligned else array.copy()


def compile_traced(
    traced: Traced, weak: Sequence[bool], backend: str, threads: int | None = None
) -> Compiled:
    """Compile for a backend; `weak` marks the arguments that are Python numbers. threads: the most
    that a call may use, where the backend can be told; None leaves it to the configuration."""
    jaxpr = _with_door(traced.jaxpr, len(traced.captured), tuple(weak))
    if any(y.dtype == TAPE for y in jaxpr.outvars):
        raise UnsupportedError(
            f"{traced.name} returns what a while_loop has kept for its derivative, whose length is "
            "known at run time alone",
            hint="apply the result of vjp or linearize in the same jit, or call them outside",
        )
    with seldom_collected():
        executable = backends.load(backend).compile(
            jaxpr, name=traced.name, observer=listener(), constants=traced.captured,
            written=traced.assigned,
        )  # fmt: skip
    limit = getattr(executable, "limit_threads", None)
    if threads is not None and limit is not None:
        limit(threads)
    _dump_texts(executable)
    return Compiled(executable, traced, [v.dtype for v in jaxpr.invars[len(traced.captured) :]])


#: What Python has for numbers of these dtypes.
WIDE = {FLOAT32: FLOAT64, COMPLEX64: COMPLEX128}


def _with_door(jaxpr: Jaxpr, captured: int, weak: Sequence[bool]) -> Jaxpr:
    """The same, taking Python's floats and complex numbers as what they are, of 64 and 128 bits,
    where it computes with half of them."""
    narrow = (False,) * captured + tuple(
        w and v.dtype in WIDE for w, v in zip(weak, jaxpr.invars[captured:], strict=True)
    )
    if not any(narrow):
        return jaxpr
    with building() as builder:
        invars = [
            Var(v.type.with_dtype(WIDE[v.dtype]) if n else v.type)
            for v, n in zip(jaxpr.invars, narrow, strict=True)
        ]
        inputs = [
            CONVERT(v, dtype=before.dtype) if n else v
            for v, before, n in zip(invars, jaxpr.invars, narrow, strict=True)
        ]
        return builder.finish(invars, inline(jaxpr, inputs, builder))


def _dump_texts(executable: Executable) -> None:
    """Print the forms between jaxpr and machine that `config.dump` names."""
    if config.dump:
        for name, text in executable.texts().items():
            dump(name, text)

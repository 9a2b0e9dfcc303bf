"""Staging: a Python function on flat arrays becomes a jaxpr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.atoms import Atom
from tracejit.ir.builder import building
from tracejit.ir.current import stack
from tracejit.ir.effects import has_effects
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import INEXACT, ArrayType
from tracejit.ir.walk import evaluate, inline
from tracejit.trace.effects import settle, takes_place_now
from tracejit.trace.garbage import seldom_collected
from tracejit.trace.provenance import user_frame
from tracejit.trace.retrace import LEFT, WRITES, Retrace, Site
from tracejit.trace.tracer import (
    Constant,
    Decider,
    Outer,
    Trace,
    Tracer,
    current_trace,
    is_traced,
    leaked,
    plain,
)
from tracejit.trace.world import world_of


@dataclass(frozen=True, slots=True)
class Staged:
    """A traced function: `jaxpr` takes the captured values first, then the arguments.

    captured: arrays and outer tracers that the function closes over. weak: for each output, whether
    it stands for a Python number. assigned: the places of the arguments that the function assigned
    to, and written: the outer tracers; where that was asked for, behind the results of the function
    the jaxpr gives the final values of the former, then of the latter.
    """

    jaxpr: Jaxpr
    captured: tuple[Any, ...]
    weak: tuple[bool, ...]
    assigned: tuple[int, ...] = ()
    written: tuple[Tracer, ...] = ()


class Finish:
    """The last step of staging: `step(jaxpr, captured)` gives both in another form.

    captured: the values of the first inputs of the jaxpr, by variable. Lent by the runtime, which
    knows the passes.
    """

    step: ClassVar[Callable[[Jaxpr, Any], tuple[Jaxpr, Any]]] = staticmethod(
        lambda jaxpr, captured: (jaxpr, captured)
    )


def stage(
    fun: Callable[..., Sequence[Any]],
    types: Sequence[ArrayType],
    *,
    values: Sequence[Any] | None = None,
    weak: Sequence[bool] | None = None,
    name: str = "",
    finals: bool = False,
    decider: Decider | None = None,
) -> Staged:
    """Run `fun` on one tracer for each type and record it; it returns a flat sequence.

    With `values` (arrays, or None for those of tracers without one) the trace is a tape; with a
    decider, too, they are for this one alone. finals: give the final values of what is assigned to,
    too; else it is an error to assign to an outer tracer, and the arguments are the function's own.
    """
    unrolled: dict[Site | str, str] = {}
    while True:
        trace = Trace(name, values, decider)
        trace.unrolled = unrolled
        try:
            with seldom_collected():
                return _stage(trace, fun, types, values, weak or [False] * len(types), finals)
        except Retrace as request:
            if request.root is not trace:
                raise
            unrolled[request.site] = request.reason


def _stage(
    trace: Trace, fun: Callable[..., Sequence[Any]], types: Sequence[ArrayType],
    values: Sequence[Any] | None, weak: Sequence[bool], finals: bool,
) -> Staged:  # fmt: skip
    """One attempt to stage a function; Retrace asks for another."""
    try:
        with world_of(fun) as trace.named, building(trace), rolling():
            tracers = [
                trace.new_input(t, None if values is None else values[i], weak=weak[i])
                for i, t in enumerate(types)
            ]
            given = [t.atom for t in tracers]
            trace.arguments = tracers if finals else ()
            outs = fun(*tracers)
            atoms = [trace.lift(y) for y in outs]
            assigned = _assigned(tracers, given) if finals else {}
    except ValueError as error:
        # NumPy's word for an element that refuses to be a number; the cause says more.
        if isinstance(error.__cause__, UnsupportedError) and "array element" in str(error):
            raise error.__cause__ from None
        raise
    finally:
        trace.alive = False
        writes = trace.unwind()
    writes = [(x, atom) for x, atom in writes if id(x) not in trace.private]
    if writes and not finals:
        raise _written_from_inside(writes[0][0], trace.name)
    atoms += [*assigned.values(), *[atom for _, atom in writes]]
    captured = {
        var: x.value if isinstance(x, Constant) else x for var, x in trace.captured.values()
    }
    invars = [*captured, *given]
    whole = trace.finish(invars, atoms)  # type: ignore[arg-type]
    trace.equations, trace.makers = [], {}  # which tracers that live on would keep
    jaxpr, captured = Finish.step(whole, captured)
    written = tuple([x for x, _ in writes])
    weak_outs = tuple(is_weak(y) for y in outs)
    return Staged(jaxpr, tuple(captured.values()), weak_outs, tuple(assigned), written)


@contextmanager
def rolling() -> Iterator[None]:
    """Loops that are being rolled when the block ends were left: they are to be unrolled."""
    depth = len(stack.sinks)
    try:
        yield
        error = None
    except Exception as raised:
        if isinstance(raised.__cause__, Retrace):  # NumPy has put its own error around it
            raise raised.__cause__ from None
        error = raised
    left = stack.sinks[depth:]
    del stack.sinks[depth:]
    if left:
        raise left[-1].loop.unrolled(str(error) if error else LEFT) from error
    if error:
        raise error


def own(x: Any) -> Any:
    """An argument that comes from outside of the current trace as one that the function may assign
    to, and nobody sees it; what is no array as it is. Known numbers become traced ones once it is
    known that such arrays are written to."""
    trace = current_trace()
    if isinstance(x, Tracer) and trace is not None and x.owner is not trace:
        x = copy(x)
        trace.private[id(x)] = x
    if type(x) is not np.ndarray:
        return x
    traced = trace is not None and WRITES in trace.root.unrolled and x.dtype in INEXACT
    return Tracer(trace, trace.lift(x)) if traced else x.copy()  # type: ignore[arg-type,union-attr]


def _assigned(tracers: Sequence[Tracer], given: Sequence[Atom]) -> dict[int, Atom]:
    """The final values, in the shapes they came in, of the arguments that were assigned to."""
    return {
        i: Tracer.operators.reshape_to(t, was.type.shape).atom
        for i, (t, was) in enumerate(zip(tracers, given, strict=True))
        if t.atom is not was
    }


def _written_from_inside(x: Tracer, name: str) -> UnsupportedError:
    """The error of a function that assigns to a traced array that was made outside of it."""
    return UnsupportedError(
        f"{name or 'a function'} assigns to a traced {x.aval} that was made outside of it",
        where=user_frame(),
        hint="a loop's body takes it in its carry, a branch among its operands, and returns what "
        "it has become; a function that is differentiated or mapped takes it as an argument",
    )


def is_weak(x: Any) -> bool:
    """Whether a value gives way in promotion: a Python number, or a tracer that stands for one."""
    if isinstance(x, Tracer):
        return x.weak
    return isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic)


def value_of(x: Any) -> Any:
    """The number behind a value: of a tape's tracer, of an array; None if there is none."""
    return x.owner.value_of(x.atom) if isinstance(x, Tracer) else x


def recorded(x: Any) -> Any:
    """The value of an argument for a trace inside of the current one: for one that is traced here,
    wherever its number may be found."""
    return Outer(x) if isinstance(x, Tracer) else x


def apply(jaxpr: Jaxpr, args: Sequence[Any]) -> list[Any]:
    """Run a jaxpr on tracers and arrays: inlined into the current trace, or by NumPy at once."""
    if not is_traced(*args) and (takes_place_now() or not has_effects(jaxpr)):
        outs = evaluate(jaxpr, *[np.asarray(x) for x in args])
        return [plain(y, v.type) for y, v in zip(outs, jaxpr.outvars, strict=True)]
    trace = current_trace()
    if trace is None:
        raise leaked(next(x for x in args if isinstance(x, Tracer)))
    atoms: list[Atom] = [trace.lift(x) for x in args]
    trace.provenance = user_frame()
    first = len(trace.equations)
    results = inline(jaxpr, atoms, trace)
    settle(trace, first)
    return [Tracer(trace, y) for y in results]

"""Staging: a Python function on flat arrays becomes a jaxpr."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.atoms import Atom
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import evaluate, inline
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Constant, Trace, Tracer, current_trace, is_traced, leaked, plain


@dataclass(frozen=True, slots=True)
class Staged:
    """A traced function: `jaxpr` takes the captured values first, then the arguments.

    captured: arrays and outer tracers that the function closes over. weak: for each output, whether
    it stands for a Python number.
    """

    jaxpr: Jaxpr
    captured: tuple[Any, ...]
    weak: tuple[bool, ...]


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
) -> Staged:
    """Run `fun` on one tracer for each type and record it; it returns a flat sequence.

    With `values` (arrays, or None for those of tracers without one) the trace is a tape.
    """
    trace = Trace(name, values)
    weak = weak or [False] * len(types)
    try:
        with building(trace):
            tracers = [
                trace.new_input(t, None if values is None else values[i], weak=weak[i])
                for i, t in enumerate(types)
            ]
            outs = fun(*tracers)
            atoms = [trace.lift(y) for y in outs]
    except ValueError as error:
        # NumPy's word for an element that refuses to be a number; the cause says more.
        if isinstance(error.__cause__, UnsupportedError) and "array element" in str(error):
            raise error.__cause__ from None
        raise
    finally:
        trace.alive = False
    captured = {
        var: x.value if isinstance(x, Constant) else x for var, x in trace.captured.values()
    }
    invars = [*captured] + [t.atom for t in tracers]
    jaxpr, captured = Finish.step(trace.finish(invars, atoms), captured)  # type: ignore[arg-type]
    return Staged(jaxpr, tuple(captured.values()), tuple(is_weak(y) for y in outs))


def is_weak(x: Any) -> bool:
    """Whether a value gives way in promotion: a Python number, or a tracer that stands for one."""
    if isinstance(x, Tracer):
        return x.weak
    return isinstance(x, (bool, int, float)) and not isinstance(x, np.generic)


def value_of(x: Any) -> Any:
    """The number behind a value: of a tape's tracer, of an array; None if there is none."""
    return x.owner.value_of(x.atom) if isinstance(x, Tracer) else x


def apply(jaxpr: Jaxpr, args: Sequence[Any]) -> list[Any]:
    """Run a jaxpr on tracers and arrays: inlined into the current trace, or by NumPy at once."""
    if not is_traced(*args):
        outs = evaluate(jaxpr, *[np.asarray(x) for x in args])
        return [plain(y, v.type) for y, v in zip(outs, jaxpr.outvars, strict=True)]
    trace = current_trace()
    if trace is None:
        raise leaked(next(x for x in args if isinstance(x, Tracer)))
    atoms: list[Atom] = [trace.lift(x) for x in args]
    trace.provenance = user_frame()
    return [Tracer(trace, y) for y in inline(jaxpr, atoms, trace)]

"""Run a jaxpr on values: into the trace that they belong to, or at once, by NumPy.

Results are fresh arrays, rank 0 as NumPy scalars; none shares memory with an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from tracejit.backends.eager.run import BACKEND
from tracejit.ir.effects import has_effects
from tracejit.ir.graph import Jaxpr
from tracejit.runtime import nans
from tracejit.trace.effects import takes_place_now
from tracejit.trace.stage import apply
from tracejit.trace.tracer import is_traced

#: Who runs programs that need not be run by NumPy: gives None for those that it leaves. See
#: `runtime.runner`.
quicker: ContextVar[Callable[[Jaxpr, Sequence[np.ndarray]], list[Any] | None] | None] = ContextVar(
    "quicker", default=None
)


def run(jaxpr: Jaxpr, args: Sequence[Any], name: str = "the program") -> list[Any]:
    """The results for tracers, arrays and NumPy scalars. name: whose results a report names."""
    if is_traced(*args) or (has_effects(jaxpr) and not takes_place_now()):
        return apply(jaxpr, args)
    inputs = [np.asarray(x) for x in args]
    other = quicker.get()
    results = None if other is None else other(jaxpr, inputs)
    if results is None:
        results = unboxed(BACKEND.compile(jaxpr)(*inputs))
    if nans.wanted():
        nans.look(name, jaxpr, inputs, results)
    return results


def unboxed(arrays: Sequence[np.ndarray]) -> list[Any]:
    """Arrays as NumPy functions return them: those of rank 0 as scalars."""
    return [y[()] if y.ndim == 0 else y for y in arrays]

"""Stage a function of arrays and run it: what the tests of the NumPy face have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate
from tracejit.trace.stage import Staged, stage


def trace(function: Callable[..., Any], *arrays: Any) -> Staged:
    """The program of a function of arrays with one result, or a tuple of them."""

    def flat(*tracers: Any) -> list[Any]:
        result = function(*tracers)
        return list(result) if isinstance(result, (tuple, list)) else [result]

    return stage(flat, [type_of(np.asarray(a)) for a in arrays])


def run(function: Callable[..., Any], *arrays: Any) -> Any:
    """The result, or tuple of results, of a function that is staged and then evaluated."""
    program = trace(function, *arrays)
    captured = [np.asarray(x) for x in program.captured]
    outs = evaluate(program.jaxpr, *captured, *map(np.asarray, arrays))
    return outs[0] if len(outs) == 1 else outs


def names(jaxpr: Jaxpr) -> list[str]:
    """The primitives of a program, in order."""
    return [eqn.primitive.name for eqn in jaxpr.equations]


def equations(function: Callable[..., Any], *arrays: Any) -> list[str]:
    """The primitives that a function binds, in order."""
    return names(trace(function, *arrays).jaxpr)

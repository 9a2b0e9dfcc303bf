"""ddx-ad: the scalar graph compiled through LLVM; its allocating call, and its buffer call."""

from __future__ import annotations

from typing import Any

import ddx
import numpy as np

from benchmarks.case import Case, leaves
from benchmarks.systems import NotOffered, Ready

#: Symbols in a graph; LLVM takes minutes over the straight code of more.
MOST = 1000


def _compiled(case: Case, args: tuple[Any, ...]) -> tuple[Any, np.ndarray]:
    """The equation with its kernel, and the point."""
    if case.scalar is None:
        raise NotOffered
    point = np.concatenate([np.ravel(leaf) for leaf in leaves(args[0])])
    if point.size > MOST:
        raise NotOffered(f"a scalar graph of {point.size} symbols")

    def model() -> Any:
        return case.scalar(ddx, [ddx.var(f"x{i}") for i in range(point.size)], *args[1:])

    return ddx.equation(model).compile(cache_dir=""), point


def allocating(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    equation, point = _compiled(case, args)
    return Ready(equation.jacobian, (point,))


def buffer(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    equation, point = _compiled(case, args)
    bound = equation.buffer(point)

    def results() -> tuple[float, np.ndarray]:
        bound()
        return bound.value, bound.jacobian

    return Ready(results, (), bare=bound)

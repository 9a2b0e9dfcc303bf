"""sin(x) x + x^3 of one number: what a call costs, and nothing else."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator) -> tuple[Any, ...]:
    return (1.3,)


def model(xp: Any, x: Any) -> Any:
    return xp.sin(x) * x + x**3


def scalar(m: Any, x: list[Any]) -> Any:
    return m.sin(x[0]) * x[0] + x[0] ** 3


def by_hand(x: float) -> tuple[float, float]:
    return np.sin(x) * x + x**3, np.cos(x) * x + np.sin(x) + 3 * x * x


C = """
static double call(double x, double *restrict g) {
    g[0] = cos(x) * x + sin(x) + 3 * x * x;
    return sin(x) * x + x * x * x;
}
"""

CASE = Case("scalar", "calls", {"1": {}}, inputs, model, scalar=scalar, numba=by_hand, c=C)

"""sum(x^2) of a few elements: a call with an array in and an array out."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    return (rng.normal(size=n),)


def model(xp: Any, x: Any) -> Any:
    return xp.sum(x * x)


def scalar(m: Any, x: list[Any]) -> Any:
    return sum((element * element for element in x[1:]), x[0] * x[0])


def by_hand(x: np.ndarray) -> tuple[float, np.ndarray]:
    total = 0.0
    gradient = np.empty_like(x)
    for i in range(x.size):
        total += x[i] * x[i]
        gradient[i] = 2 * x[i]
    return total, gradient


C = """
static double call(const double *restrict x, double *restrict g) {
    double total = 0;
    for (long i = 0; i < N; i++) { total += x[i] * x[i]; g[i] = 2 * x[i]; }
    return total;
}
"""

SIZES = {"5": {"n": 5}, "100": {"n": 100}}

CASE = Case("squares", "calls", SIZES, inputs, model, scalar=scalar, numba=by_hand, c=C)

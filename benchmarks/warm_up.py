"""A program that is no case: the first of each process, so that none pays for what loads late."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator) -> tuple[Any, ...]:
    return (rng.normal(size=20), rng.normal(size=(30, 20)))


def model(xp: Any, x: Any, y: Any) -> Any:
    return xp.sum(xp.exp(x) * x) + xp.sum((y @ x) ** 2)


def scalar(m: Any, x: list[Any], y: Any) -> Any:
    return sum([m.exp(a) * a for a in x], start=0.0 * x[0])


def by_hand(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    z = np.dot(y, x)
    e = np.exp(x)
    return np.sum(e * x) + np.sum(z * z), e * x + e + 2.0 * np.dot(y.T, z)


C = """
static double call(const double *restrict x, const double *restrict y, double *restrict g) {
    double total = 0;
    for (int i = 0; i < 20; i++) { total += exp(x[i]) * x[i]; g[i] = exp(x[i]) * (x[i] + 1); }
    return total;
}
"""

CASE = Case("warm up", "calls", {"20": {}}, inputs, model, scalar=scalar, numba=by_hand, c=C)

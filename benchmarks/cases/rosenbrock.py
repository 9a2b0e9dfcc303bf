"""The chained Rosenbrock function: sum of 100 (x[i+1] - x[i]^2)^2 + (1 - x[i])^2."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    return (rng.normal(size=n),)


def model(xp: Any, x: Any) -> Any:
    return xp.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


def scalar(m: Any, x: list[Any]) -> Any:
    total = 0.0
    for here, there in zip(x, x[1:], strict=False):
        total = total + 100.0 * (there - here**2) ** 2 + (1.0 - here) ** 2
    return total


def by_hand(x: np.ndarray) -> tuple[float, np.ndarray]:
    total = 0.0
    gradient = np.zeros_like(x)
    for i in range(x.size - 1):
        curve, rest = x[i + 1] - x[i] * x[i], 1.0 - x[i]
        total += 100.0 * curve * curve + rest * rest
        gradient[i] -= 400.0 * curve * x[i] + 2.0 * rest
        gradient[i + 1] += 200.0 * curve
    return total, gradient


C = """
static double call(const double *restrict x, double *restrict g) {
    double total = 0;
    for (long i = 0; i < N - 1; i++) {
        double curve = x[i+1] - x[i] * x[i], rest = 1 - x[i];
        total += 100 * curve * curve + rest * rest;
        g[i] = -400 * curve * x[i] - 2 * rest;
    }
    g[N-1] = 0;
    for (long i = 1; i < N; i++) g[i] += 200 * (x[i] - x[i-1] * x[i-1]);
    return total;
}
"""

SIZES = {"2": {"n": 2}, "100": {"n": 100}, "10000": {"n": 10_000}}

CASE = Case("rosenbrock", "calls", SIZES, inputs, model, scalar=scalar, numba=by_hand, c=C)

"""A lower triangular system solved row by row, an element of the solution written at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    lower = np.tril(rng.normal(size=(n, n)), -1) / n**0.5
    return rng.normal(size=n), lower + np.diag(rng.uniform(1.0, 2.0, size=n))


def model(xp: Any, b: Any, lower: Any) -> Any:
    def row(i: Any, x: Any) -> Any:
        return x.at[i].set((b[i] - lower[i] @ x) / lower[i, i])

    x = xp.lax.fori_loop(0, b.shape[0], row, xp.zeros_like(b))
    return 0.5 * xp.sum(x**2)


def idiomatic(xp: Any, b: Any, lower: Any) -> Any:
    x = xp.scipy.linalg.solve_triangular(lower, b, lower=True)
    return 0.5 * xp.sum(x**2)


def by_hand(b: np.ndarray, lower: np.ndarray) -> tuple[float, np.ndarray]:
    n = b.size
    x, gradient = np.empty(n), np.empty(n)
    total = 0.0
    for i in range(n):
        rest = b[i]
        for j in range(i):
            rest -= lower[i, j] * x[j]
        x[i] = rest / lower[i, i]
        total += 0.5 * x[i] * x[i]
    for i in range(n - 1, -1, -1):
        gradient[i] = x[i] / lower[i, i]
        for j in range(i):
            x[j] -= lower[i, j] * gradient[i]
    return total, gradient


C = """
static double call(const double *restrict b, const double *restrict lower, double *restrict g) {
    double x[N], total = 0;
    for (int i = 0; i < N; i++) {
        double rest = b[i];
        for (int j = 0; j < i; j++) rest -= lower[i*N+j] * x[j];
        x[i] = rest / lower[i*N+i];
        total += 0.5 * x[i] * x[i];
    }
    for (int i = N - 1; i >= 0; i--) {
        double back = x[i] / lower[i*N+i];
        g[i] = back;
        for (int j = 0; j < i; j++) x[j] -= lower[i*N+j] * back;
    }
    return total;
}
"""

SIZES = {"10": {"n": 10}, "200": {"n": 200}}

CASE = Case(
    "triangular", "loops", SIZES, inputs, model,
    {"jax-idiomatic": idiomatic, "torch": None, "autograd": None}, numba=by_hand, c=C,
)  # fmt: skip

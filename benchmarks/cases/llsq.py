"""A polynomial of 128 coefficients fitted to sign(t) by least squares: after llsq of GradBench.

The model takes powers; C, numba and jax-idiomatic multiply instead, which is another algorithm.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

COEFFICIENTS = 128


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    powers = np.arange(COEFFICIENTS, dtype=float)
    return 0.1 * rng.normal(size=COEFFICIENTS), np.linspace(-1.0, 1.0, n), powers


def model(xp: Any, x: Any, t: Any, powers: Any) -> Any:
    return 0.5 * xp.sum((xp.sign(t) - (t[:, None] ** powers) @ x) ** 2)


def by_horner(xp: Any, x: Any, t: Any, powers: Any) -> Any:
    """The same polynomial without powers."""
    values, _ = xp.lax.scan(lambda p, c: (p * t + c, None), xp.zeros_like(t), x[::-1])
    return 0.5 * xp.sum((xp.sign(t) - values) ** 2)


def by_hand(x: np.ndarray, t: np.ndarray, powers: np.ndarray) -> tuple[float, np.ndarray]:
    gradient = np.zeros_like(x)
    total = 0.0
    for i in range(t.size):
        residual, power = np.sign(t[i]), 1.0
        for j in range(x.size):
            residual -= x[j] * power
            power *= t[i]
        total += 0.5 * residual * residual
        power = -residual
        for j in range(x.size):
            gradient[j] += power
            power *= t[i]
    return total, gradient


C = """
#define M 128
#define LANES 16
static double call(const double *restrict x, const double *restrict t,
                   const double *restrict powers, double *restrict g) {
    static double sums[M][LANES];
    double total = 0;
    memset(sums, 0, sizeof sums);
    for (long start = 0; start < N; start += LANES) {
        double p[LANES], at[LANES], power[LANES];
        long n = N - start < LANES ? N - start : LANES;
        for (int l = 0; l < LANES; l++) { at[l] = l < n ? t[start+l] : 0; p[l] = 0; }
        for (int j = M - 1; j >= 0; j--)
            for (int l = 0; l < LANES; l++) p[l] = p[l] * at[l] + x[j];
        for (int l = 0; l < LANES; l++) {
            double residual = ((at[l] > 0) - (at[l] < 0)) - p[l];
            residual = l < n ? residual : 0;
            total += 0.5 * residual * residual;
            power[l] = -residual;
        }
        for (int j = 0; j < M; j++)
            for (int l = 0; l < LANES; l++) { sums[j][l] += power[l]; power[l] *= at[l]; }
    }
    for (int j = 0; j < M; j++) {
        g[j] = 0;
        for (int l = 0; l < LANES; l++) g[j] += sums[j][l];
    }
    return total;
}
"""

SIZES = {"100": {"n": 100}, "1000": {"n": 1000}, "10000": {"n": 10_000}}

CASE = Case(
    "llsq", "mixture", SIZES, inputs, model, {"jax-idiomatic": by_horner}, numba=by_hand, c=C,
    tolerance=1e-8,
)  # fmt: skip

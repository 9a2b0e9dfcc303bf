"""sum(exp(-x^2) sin(x)): a chain of elementwise functions into one sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    return (rng.normal(size=n),)


def model(xp: Any, x: Any) -> Any:
    return xp.sum(xp.exp(-x * x) * xp.sin(x))


def by_hand(x: np.ndarray) -> tuple[float, np.ndarray]:
    total = 0.0
    gradient = np.empty_like(x)
    for i in range(x.size):
        e, s = np.exp(-x[i] * x[i]), np.sin(x[i])
        total += e * s
        gradient[i] = e * (np.cos(x[i]) - 2.0 * x[i] * s)
    return total, gradient


# Sine and cosine in loops of their own: together the compiler makes them one scalar sincos.
C = """
#define BLOCK 512
__attribute__((noinline)) static void sines(const double *x, double *y, long n) {
    for (long i = 0; i < n; i++) y[i] = sin(x[i]);
}
__attribute__((noinline)) static void cosines(const double *x, double *y, long n) {
    for (long i = 0; i < n; i++) y[i] = cos(x[i]);
}
static double call(const double *restrict x, double *restrict g) {
    double total = 0;
    #pragma omp parallel for if (N > 50000) reduction(+:total)
    for (long start = 0; start < N; start += BLOCK) {
        double s[BLOCK], c[BLOCK];
        long n = N - start < BLOCK ? N - start : BLOCK;
        sines(x + start, s, n);
        cosines(x + start, c, n);
        for (long i = 0; i < n; i++) {
            double xi = x[start+i], e = exp(-xi * xi);
            total += e * s[i];
            g[start+i] = e * (c[i] - 2 * xi * s[i]);
        }
    }
    return total;
}
"""

SIZES = {"100": {"n": 100}, "10000": {"n": 10_000}, "1000000": {"n": 1_000_000}}

CASE = Case("chain", "elementwise", SIZES, inputs, model, numba=by_hand, c=C)

"""log(sum(exp(x))), shifted by the largest element."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    return (3.0 * rng.normal(size=n),)


def model(xp: Any, x: Any) -> Any:
    top = xp.max(x)
    return top + xp.log(xp.sum(xp.exp(x - top)))


def idiomatic(xp: Any, x: Any) -> Any:
    return xp.scipy.special.logsumexp(x)


def with_torch(xp: Any, x: Any) -> Any:
    return xp.logsumexp(x, 0)


def by_hand(x: np.ndarray) -> tuple[float, np.ndarray]:
    top = x[0]
    for i in range(x.size):
        top = max(top, x[i])
    total = 0.0
    gradient = np.empty_like(x)
    for i in range(x.size):
        gradient[i] = np.exp(x[i] - top)
        total += gradient[i]
    for i in range(x.size):
        gradient[i] /= total
    return top + np.log(total), gradient


C = """
static double call(const double *restrict x, double *restrict g) {
    double top = -INFINITY, total = 0;
    #pragma omp parallel for simd if (N > 50000) reduction(max:top)
    for (long i = 0; i < N; i++) top = x[i] > top ? x[i] : top;
    #pragma omp parallel for simd if (N > 50000) reduction(+:total)
    for (long i = 0; i < N; i++) { double e = exp(x[i] - top); g[i] = e; total += e; }
    double scale = 1 / total;
    #pragma omp parallel for simd if (N > 50000)
    for (long i = 0; i < N; i++) g[i] *= scale;
    return top + log(total);
}
"""

SIZES = {"100": {"n": 100}, "10000": {"n": 10_000}, "1280000": {"n": 1_280_000}}

CASE = Case(
    "log-sum-exp", "mixture", SIZES, inputs, model,
    {"torch": with_torch, "jax-idiomatic": idiomatic}, numba=by_hand, c=C,
)  # fmt: skip

"""The sum over i of log(1 + sum over j of exp(-(x_i - y_j)^2)): M x N values that nobody keeps."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    return rng.normal(size=n), rng.normal(size=n)


def model(xp: Any, x: Any, y: Any) -> Any:
    return xp.sum(xp.log(1.0 + xp.sum(xp.exp(-((x[:, None] - y[None, :]) ** 2)), axis=1)))


def by_hand(x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    total = 0.0
    gradient = np.empty_like(x)
    for i in range(x.size):
        near, pull = 1.0, 0.0
        for j in range(y.size):
            d = x[i] - y[j]
            e = np.exp(-d * d)
            near += e
            pull -= 2.0 * d * e
        total += np.log(near)
        gradient[i] = pull / near
    return total, gradient


C = """
static double call(const double *restrict x, const double *restrict y, double *restrict g) {
    double total = 0;
    #pragma omp parallel for if (N > 500) reduction(+:total)
    for (long i = 0; i < N; i++) {
        double near = 1, pull = 0;
        for (long j = 0; j < N; j++) {
            double d = x[i] - y[j], e = exp(-d * d);
            near += e; pull -= 2 * d * e;
        }
        total += log(near);
        g[i] = pull / near;
    }
    return total;
}
"""

SIZES = {"50 x 50": {"n": 50}, "500 x 500": {"n": 500}, "4000 x 4000": {"n": 4000}}

CASE = Case("pairwise", "elementwise", SIZES, inputs, model, numba=by_hand, c=C)

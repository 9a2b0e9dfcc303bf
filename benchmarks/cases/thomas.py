"""Many tridiagonal systems at once: a sweep forward and one back over the columns of arrays."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, m: int, n: int) -> tuple[Any, ...]:
    right, lower, upper = rng.normal(size=(3, m, n))
    return right, lower, 4.0 + 0.1 * rng.normal(size=(m, n)), upper


def model(xp: Any, right: Any, lower: Any, diagonal: Any, upper: Any) -> Any:
    n = right.shape[1]

    def forward(k: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        c, d = state
        pivot = diagonal[:, k] - lower[:, k] * c[:, k - 1]
        c = c.at[:, k].set(upper[:, k] / pivot)
        return c, d.at[:, k].set((right[:, k] - lower[:, k] * d[:, k - 1]) / pivot)

    def back(i: Any, x: Any) -> Any:
        k = n - 2 - i
        return x.at[:, k].set(x[:, k] - c[:, k] * x[:, k + 1])

    c = xp.zeros_like(upper).at[:, 0].set(upper[:, 0] / diagonal[:, 0])
    d = xp.zeros_like(right).at[:, 0].set(right[:, 0] / diagonal[:, 0])
    c, d = xp.lax.fori_loop(1, n, forward, (c, d))
    return 0.5 * xp.sum(xp.lax.fori_loop(0, n - 1, back, d) ** 2)


C = """
static double C_[M*N], P[M*N];
static double call(const double *restrict r, const double *restrict l, const double *restrict d,
        const double *restrict u, double *restrict x) {
    double total = 0;
    for (int i = 0; i < M * N; i += N) {
        P[i] = d[i]; C_[i] = u[i] / d[i]; x[i] = r[i] / d[i];
    }
    for (int k = 1; k < N; k++) for (int i = k; i < M * N; i += N) {
        P[i] = d[i] - l[i] * C_[i-1];
        C_[i] = u[i] / P[i];
        x[i] = (r[i] - l[i] * x[i-1]) / P[i];
    }
    for (int k = N - 2; k >= 0; k--) for (int i = k; i < M * N; i += N) x[i] -= C_[i] * x[i+1];
    for (int i = 0; i < M * N; i++) total += 0.5 * x[i] * x[i];
    for (int k = 1; k < N; k++) for (int i = k; i < M * N; i += N) x[i] -= C_[i-1] * x[i-1];
    for (int k = N - 1; k > 0; k--) for (int i = k; i < M * N; i += N) {
        x[i] /= P[i];
        x[i-1] -= l[i] * x[i];
    }
    for (int i = 0; i < M * N; i += N) x[i] /= P[i];
    return total;
}
"""

SIZES = {
    "3 x 5": {"m": 3, "n": 5}, "1 x 5000": {"m": 1, "n": 5000},
    "12544 x 80": {"m": 12544, "n": 80},
}  # fmt: skip

CASE = Case(
    "thomas", "loops", SIZES, inputs, model,
    {"torch": None, "torch-compile": None, "autograd": None}, c=C,
)  # fmt: skip

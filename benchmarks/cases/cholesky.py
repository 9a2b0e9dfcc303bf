"""A Cholesky factor by loops, column by column: masks say which elements a column is made of."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    m = rng.normal(size=(n, n))
    return (m @ m.T + n * np.eye(n),)


def model(xp: Any, a: Any) -> Any:
    at = xp.arange(a.shape[0])

    def column(j: Any, a: Any) -> Any:
        before, below = at < j, at > j
        rest = xp.sum(xp.where(below[:, None] & before, a * a[j], 0.0), axis=1)
        pivot = xp.sqrt(a[j, j] - xp.sum(xp.where(before, a[j] * a[j], 0.0)))
        new = xp.where(below, (a[:, j] - rest) / pivot, a[:, j])
        return a.at[:, j].set(new).at[j, j].set(pivot)

    factor = xp.lax.fori_loop(0, a.shape[0], column, a)
    return xp.sum(xp.tril(factor))


C = """
static double call(const double *restrict x, double *restrict g) {
    static double a[N][N], b[N][N];
    double total = 0;
    memcpy(a, x, sizeof a);
    for (int j = 0; j < N; j++) {
        double s = a[j][j];
        for (int k = 0; k < j; k++) s -= a[j][k] * a[j][k];
        a[j][j] = sqrt(s);
        for (int i = j + 1; i < N; i++) {
            s = a[i][j];
            for (int k = 0; k < j; k++) s -= a[i][k] * a[j][k];
            a[i][j] = s / a[j][j];
        }
    }
    memset(g, 0, sizeof a);
    for (int i = 0; i < N; i++) for (int j = 0; j <= i; j++) { total += a[i][j]; b[i][j] = 1; }
    for (int j = N - 1; j >= 0; j--) {
        for (int i = N - 1; i > j; i--) {
            double back = b[i][j] / a[j][j];
            b[j][j] -= back * a[i][j];
            g[i*N+j] = back;
            for (int k = 0; k < j; k++) { b[i][k] -= back * a[j][k]; b[j][k] -= back * a[i][k]; }
        }
        double back = 0.5 * b[j][j] / a[j][j];
        g[j*N+j] = back;
        for (int k = 0; k < j; k++) b[j][k] -= 2 * back * a[j][k];
    }
    return total;
}
"""

SIZES = {"6": {"n": 6}, "300": {"n": 300}}

CASE = Case(
    "cholesky by loops", "loops", SIZES, inputs, model,
    {"torch": None, "torch-compile": None, "autograd": None}, c=C,
)  # fmt: skip

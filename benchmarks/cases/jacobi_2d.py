"""The five-point mean of the interior of a square, again and again: after jacobi_2d of NPBench.

One array and one update a step, where NPBench goes to a second array and back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int, steps: int) -> tuple[Any, ...]:
    return rng.normal(size=(n, n)), np.zeros(steps)


def mean(a: Any) -> Any:
    return 0.2 * (a[1:-1, 1:-1] + a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:])


def model(xp: Any, a: Any, clock: Any) -> Any:
    def step(i: Any, a: Any) -> Any:
        return a.at[1:-1, 1:-1].set(mean(a))

    final = xp.lax.fori_loop(0, clock.shape[0], step, a)
    return 0.5 * xp.sum(final**2)


def with_torch(xp: Any, a: Any, clock: Any) -> Any:
    for _ in clock:
        before, a = a, a.clone()
        a[1:-1, 1:-1] = mean(before)
    return 0.5 * xp.sum(a**2)


C = """
static double A[2][N][N], Z[N][N];
#define MEAN(a) 0.2 * (a[i][j] + a[i-1][j] + a[i+1][j] + a[i][j-1] + a[i][j+1])
static double call(const double *restrict x, const double *restrict clock, double *restrict g) {
    double (*a)[N] = A[0], (*b)[N] = A[1], (*t)[N], total = 0;
    memcpy(A[0], x, sizeof A[0]);
    memcpy(A[1], x, sizeof A[1]);
    for (int s = 0; s < STEPS; s++) {
        for (int i = 1; i < N - 1; i++)
            #pragma GCC ivdep
            for (int j = 1; j < N - 1; j++) b[i][j] = MEAN(a);
        t = a; a = b; b = t;
    }
    for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) total += 0.5 * a[i][j] * a[i][j];
    memset(Z, 0, sizeof Z);
    /* the adjoint: the mean of the interior, and what the border has lent */
    for (int s = 0; s < STEPS; s++) {
        for (int i = 1; i < N - 1; i++)
            memcpy(&Z[i][1], &a[i][1], sizeof(double) * (N - 2));
        for (int i = 1; i < N - 1; i++)
            #pragma GCC ivdep
            for (int j = 1; j < N - 1; j++) a[i][j] = MEAN(Z);
        for (int k = 1; k < N - 1; k++) {
            a[0][k] += 0.2 * Z[1][k]; a[N-1][k] += 0.2 * Z[N-2][k];
            a[k][0] += 0.2 * Z[k][1]; a[k][N-1] += 0.2 * Z[k][N-2];
        }
    }
    memcpy(g, a, sizeof A[0]);
    return total;
}
"""

SIZES = {"10 x 10, 5": {"n": 10, "steps": 5}, "150 x 150, 100": {"n": 150, "steps": 100}}

CASE = Case(
    "jacobi 2d", "loops", SIZES, inputs, model,
    {"torch": with_torch, "torch-compile": None, "autograd": None}, c=C,
)  # fmt: skip

"""Heat in a cube, explicit steps on its interior: after heat_3d of NPBench.

One array and one update a step, where NPBench goes to a second array and back.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int, steps: int) -> tuple[Any, ...]:
    return rng.normal(size=(n, n, n)), np.zeros(steps)


def stencil(a: Any) -> Any:
    i = a[1:-1, 1:-1, 1:-1]
    return (
        0.125 * (a[2:, 1:-1, 1:-1] - 2.0 * i + a[:-2, 1:-1, 1:-1])
        + 0.125 * (a[1:-1, 2:, 1:-1] - 2.0 * i + a[1:-1, :-2, 1:-1])
        + 0.125 * (a[1:-1, 1:-1, 2:] - 2.0 * i + a[1:-1, 1:-1, :-2])
        + i
    )


def model(xp: Any, a: Any, clock: Any) -> Any:
    def step(i: Any, a: Any) -> Any:
        return a.at[1:-1, 1:-1, 1:-1].set(stencil(a))

    final = xp.lax.fori_loop(0, clock.shape[0], step, a)
    return 0.5 * xp.sum(final**2)


def with_torch(xp: Any, a: Any, clock: Any) -> Any:
    for _ in clock:
        before, a = a, a.clone()
        a[1:-1, 1:-1, 1:-1] = stencil(before)
    return 0.5 * xp.sum(a**2)


C = """
static double A[2][N][N][N], Z[N][N][N];
#define HEAT(a) 0.25 * a[i][j][k] + 0.125 * (a[i-1][j][k] + a[i+1][j][k] + a[i][j-1][k] \\
    + a[i][j+1][k] + a[i][j][k-1] + a[i][j][k+1])
static double call(const double *restrict x, const double *restrict clock, double *restrict g) {
    double (*a)[N][N] = A[0], (*b)[N][N] = A[1], (*t)[N][N], total = 0;
    memcpy(A[0], x, sizeof A[0]);
    memcpy(A[1], x, sizeof A[1]);
    for (int s = 0; s < STEPS; s++) {
        for (int i = 1; i < N - 1; i++) for (int j = 1; j < N - 1; j++)
            #pragma GCC ivdep
            for (int k = 1; k < N - 1; k++) b[i][j][k] = HEAT(a);
        t = a; a = b; b = t;
    }
    for (int i = 0; i < N * N * N; i++) total += 0.5 * a[0][0][i] * a[0][0][i];
    memset(Z, 0, sizeof Z);
    for (int s = 0; s < STEPS; s++) {
        for (int i = 1; i < N - 1; i++) for (int j = 1; j < N - 1; j++)
            memcpy(&Z[i][j][1], &a[i][j][1], sizeof(double) * (N - 2));
        for (int i = 1; i < N - 1; i++) for (int j = 1; j < N - 1; j++)
            #pragma GCC ivdep
            for (int k = 1; k < N - 1; k++) a[i][j][k] = HEAT(Z);
        for (int u = 1; u < N - 1; u++) for (int v = 1; v < N - 1; v++) {
            a[0][u][v] += 0.125 * Z[1][u][v]; a[N-1][u][v] += 0.125 * Z[N-2][u][v];
            a[u][0][v] += 0.125 * Z[u][1][v]; a[u][N-1][v] += 0.125 * Z[u][N-2][v];
            a[u][v][0] += 0.125 * Z[u][v][1]; a[u][v][N-1] += 0.125 * Z[u][v][N-2];
        }
    }
    memcpy(g, a, sizeof A[0]);
    return total;
}
"""

SIZES = {"6^3, 3": {"n": 6, "steps": 3}, "40^3, 50": {"n": 40, "steps": 50}}

CASE = Case(
    "heat 3d", "loops", SIZES, inputs, model,
    {"torch": with_torch, "torch-compile": None, "autograd": None}, c=C,
)  # fmt: skip

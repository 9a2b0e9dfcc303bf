"""The nine-point mean of the interior of a square, point by point, each from new values and old."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int, steps: int) -> tuple[Any, ...]:
    return rng.normal(size=(n, n)), np.zeros(steps)


def model(xp: Any, a: Any, clock: Any) -> Any:
    n = a.shape[0]

    def point(i: Any, j: Any, a: Any) -> Any:
        rows = [a[i + k, j - 1] + a[i + k, j] + a[i + k, j + 1] for k in (-1, 0, 1)]
        return a.at[i, j].set((rows[0] + rows[1] + rows[2]) / 9.0)

    def row(i: Any, a: Any) -> Any:
        return xp.lax.fori_loop(1, n - 1, lambda j, a: point(i, j, a), a)

    def sweep(step: Any, a: Any) -> Any:
        return xp.lax.fori_loop(1, n - 1, row, a)

    return 0.5 * xp.sum(xp.lax.fori_loop(0, clock.shape[0], sweep, a) ** 2)


def by_hand(a: np.ndarray, clock: np.ndarray) -> tuple[float, np.ndarray]:
    n, steps = a.shape[0], clock.size
    a = a.copy()
    for _ in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                total = 0.0
                for k in range(-1, 2):
                    for m in range(-1, 2):
                        total += a[i + k, j + m]
                a[i, j] = total / 9.0
    value = 0.5 * np.sum(a * a)
    for _ in range(steps):
        for i in range(n - 2, 0, -1):
            for j in range(n - 2, 0, -1):
                back = a[i, j] / 9.0
                a[i, j] = 0.0
                for k in range(-1, 2):
                    for m in range(-1, 2):
                        a[i + k, j + m] += back
    return value, a


C = """
static double call(const double *restrict x, const double *restrict clock, double *restrict g) {
    double (*a)[N] = (double (*)[N]) g, total = 0;
    memcpy(a, x, sizeof(double) * N * N);
    for (int s = 0; s < STEPS; s++)
        for (int i = 1; i < N - 1; i++) for (int j = 1; j < N - 1; j++)
            a[i][j] = (a[i-1][j-1] + a[i-1][j] + a[i-1][j+1] + a[i][j-1] + a[i][j] + a[i][j+1]
                + a[i+1][j-1] + a[i+1][j] + a[i+1][j+1]) / 9;
    for (int i = 0; i < N; i++) for (int j = 0; j < N; j++) total += 0.5 * a[i][j] * a[i][j];
    for (int s = 0; s < STEPS; s++)
        for (int i = N - 2; i > 0; i--) for (int j = N - 2; j > 0; j--) {
            double back = a[i][j] / 9;
            a[i][j] = 0;
            for (int k = -1; k < 2; k++) for (int m = -1; m < 2; m++) a[i+k][j+m] += back;
        }
    return total;
}
"""

SIZES = {"6 x 6, 3": {"n": 6, "steps": 3}, "100 x 100, 15": {"n": 100, "steps": 15}}

CASE = Case(
    "gauss seidel", "loops", SIZES, inputs, model,
    {"torch": None, "torch-compile": None, "autograd": None}, numba=by_hand, c=C,
)  # fmt: skip

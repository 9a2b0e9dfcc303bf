"""y_0' = x_0, y_i' = x_i y_(i-1), by 100 steps of Runge and Kutta: after ode of GradBench.

The value is the sum of squares of the last state; GradBench takes its last element.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

STEPS = 100


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    return (rng.uniform(0.5, 1.5, size=n),)


def model(xp: Any, x: Any) -> Any:
    h = 2.0 / STEPS
    one = xp.ones_like(x[:1])

    def rate(y: Any) -> Any:
        return x * xp.concatenate([one, y[:-1]])

    def step(i: Any, y: Any) -> Any:
        k1 = rate(y)
        k2 = rate(y + 0.5 * h * k1)
        k3 = rate(y + 0.5 * h * k2)
        k4 = rate(y + h * k3)
        return y + h / 6.0 * (k1 + 2.0 * k2 + 2.0 * k3 + k4)

    y = xp.lax.fori_loop(0, STEPS, step, xp.zeros_like(x))
    return xp.sum(y * y)


C = """
static double Y[101][N], K1[N], K2[N], K3[N], A2[N], A3[N], A4[N], AY[N], D[N], B[N];
INLINE void rate(const double *restrict x, const double *restrict y, double *restrict k) {
    k[0] = x[0];
    for (long i = 1; i < N; i++) k[i] = x[i] * y[i-1];
}
/* the adjoint of rate at y: g += and b = */
INLINE void back(const double *restrict x, const double *restrict y, const double *restrict d,
                 double *restrict g, double *restrict b) {
    g[0] += d[0];
    for (long i = 1; i < N; i++) { g[i] += d[i] * y[i-1]; b[i-1] = d[i] * x[i]; }
    b[N-1] = 0;
}
static double call(const double *restrict x, double *restrict g) {
    const double h = 0.02;
    double total = 0;
    memset(g, 0, sizeof(double) * N);
    memset(Y[0], 0, sizeof Y[0]);
    for (int s = 0; s < 100; s++) {
        double *y = Y[s], *next = Y[s+1];
        rate(x, y, K1);
        for (long i = 0; i < N; i++) A2[i] = y[i] + 0.5 * h * K1[i];
        rate(x, A2, K2);
        for (long i = 0; i < N; i++) A3[i] = y[i] + 0.5 * h * K2[i];
        rate(x, A3, K3);
        for (long i = 0; i < N; i++) {
            A4[i] = y[i] + h * K3[i];
            next[i] = y[i] + h / 6 * (K1[i] + 2 * K2[i] + 2 * K3[i]);
        }
        next[0] += h / 6 * x[0];
        for (long i = 1; i < N; i++) next[i] += h / 6 * x[i] * A4[i-1];
    }
    for (long i = 0; i < N; i++) { total += Y[100][i] * Y[100][i]; AY[i] = 2 * Y[100][i]; }
    for (int s = 99; s >= 0; s--) {
        double *y = Y[s];
        rate(x, y, K1);
        for (long i = 0; i < N; i++) A2[i] = y[i] + 0.5 * h * K1[i];
        rate(x, A2, K2);
        for (long i = 0; i < N; i++) A3[i] = y[i] + 0.5 * h * K2[i];
        rate(x, A3, K3);
        for (long i = 0; i < N; i++) { A4[i] = y[i] + h * K3[i]; D[i] = h / 6 * AY[i]; }
        back(x, A4, D, g, B);
        for (long i = 0; i < N; i++) { D[i] = h / 3 * AY[i] + h * B[i]; K1[i] = B[i]; }
        back(x, A3, D, g, B);
        for (long i = 0; i < N; i++) { D[i] = h / 3 * AY[i] + 0.5 * h * B[i]; K1[i] += B[i]; }
        back(x, A2, D, g, B);
        for (long i = 0; i < N; i++) { D[i] = h / 6 * AY[i] + 0.5 * h * B[i]; K1[i] += B[i]; }
        back(x, y, D, g, B);
        for (long i = 0; i < N; i++) AY[i] += K1[i] + B[i];
    }
    return total;
}
"""

SIZES = {"10": {"n": 10}, "1000": {"n": 1000}, "10000": {"n": 10_000}}

CASE = Case("ode", "mixture", SIZES, inputs, model, {"torch-compile": None}, c=C)

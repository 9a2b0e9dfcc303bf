"""The likelihood of a Kalman filter with a state of 3 numbers, in the two noise levels."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

TRANSITION = np.array([[1.0, 0.1, 0.005], [0.0, 1.0, 0.1], [0.0, 0.0, 0.95]])
LOOK = np.array([1.0, 0.2, 0.0])


def inputs(rng: np.random.Generator, steps: int) -> tuple[Any, ...]:
    return np.array([-1.0, 0.3]), np.cumsum(rng.normal(size=steps)), TRANSITION, LOOK, np.eye(3)


def model(xp: Any, theta: Any, ys: Any, f: Any, h: Any, eye: Any) -> Any:
    q, r = xp.exp(theta[0]), xp.exp(theta[1])

    def step(carry: Any, y: Any) -> Any:
        m, p, total = carry
        m, p = f @ m, f @ p @ f.T + q * eye
        ph = p @ h
        s, v = h @ ph + r, y - h @ m
        gain = ph / s
        total = total - 0.5 * (xp.log(s) + v * v / s)
        return (m + gain * v, p - gain[:, None] * ph[None, :], total), None

    (_, _, total), _ = xp.lax.scan(step, (0.0 * h, 1.0 * eye, 0.0), ys)
    return total


# Forward sensitivities: two parameters are fewer than a reverse pass is worth.
C = """
typedef double mat[3][3];
INLINE void sandwich(const double *f, mat p) {
    mat t;
    for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++)
        t[i][j] = f[3*i] * p[0][j] + f[3*i+1] * p[1][j] + f[3*i+2] * p[2][j];
    for (int i = 0; i < 3; i++) for (int j = 0; j < 3; j++)
        p[i][j] = t[i][0] * f[3*j] + t[i][1] * f[3*j+1] + t[i][2] * f[3*j+2];
}
INLINE void times(const double *a, const double *x, double *y) {
    for (int i = 0; i < 3; i++) y[i] = a[3*i] * x[0] + a[3*i+1] * x[1] + a[3*i+2] * x[2];
}
#define DOT(a, b) (a[0] * b[0] + a[1] * b[1] + a[2] * b[2])
static double call(const double *restrict theta, const double *restrict ys,
                   const double *restrict f, const double *restrict h,
                   const double *restrict eye, double *restrict g) {
    double q[2] = {exp(theta[0]), 0}, r[2] = {0, exp(theta[1])};
    double m[3] = {0}, dm[2][3] = {0}, total = 0, dtotal[2] = {0};
    mat p = {{1,0,0},{0,1,0},{0,0,1}}, dp[2] = {0};
    for (long t = 0; t < STEPS; t++) {
        double next[3], ph[3];
        times(f, m, next);
        sandwich(f, p);
        for (int i = 0; i < 3; i++) { p[i][i] += q[0]; m[i] = next[i]; }
        times(&p[0][0], h, ph);
        double s = DOT(h, ph) + r[1], v = ys[t] - DOT(h, m), over = 1 / s;
        for (int k = 0; k < 2; k++) {
            double dph[3], dnext[3];
            times(f, dm[k], dnext);
            sandwich(f, dp[k]);
            for (int i = 0; i < 3; i++) dp[k][i][i] += q[k];
            times(&dp[k][0][0], h, dph);
            double ds = DOT(h, dph) + r[k], dv = -DOT(h, dnext);
            dtotal[k] -= 0.5 * (ds * over + 2 * v * dv * over - v * v * ds * over * over);
            for (int i = 0; i < 3; i++) {
                double dgain = (dph[i] - ph[i] * ds * over) * over;
                dm[k][i] = dnext[i] + dgain * v + ph[i] * over * dv;
                for (int j = 0; j < 3; j++)
                    dp[k][i][j] -= dgain * ph[j] + ph[i] * over * dph[j];
            }
        }
        total -= 0.5 * (log(s) + v * v * over);
        for (int i = 0; i < 3; i++) {
            m[i] += ph[i] * over * v;
            for (int j = 0; j < 3; j++) p[i][j] -= ph[i] * ph[j] * over;
        }
    }
    g[0] = dtotal[0]; g[1] = dtotal[1];
    return total;
}
"""

SIZES = {"20": {"steps": 20}, "2000": {"steps": 2000}}

CASE = Case("kalman", "loops", SIZES, inputs, model, {"torch-compile": None}, c=C)

"""Poisson regression with an intercept for each of 400 groups: gather forward, scatter backward."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

GROUPS = 400
SLOPES = 4


def inputs(rng: np.random.Generator, n: int) -> tuple[Any, ...]:
    z = 0.1 * rng.normal(size=GROUPS + SLOPES)
    group = rng.integers(GROUPS, size=n)
    return z, rng.normal(size=(n, SLOPES)), group, rng.poisson(1.5, size=n).astype(float)


def model(xp: Any, z: Any, x: Any, group: Any, counts: Any) -> Any:
    intercepts, slopes = z[:GROUPS], z[GROUPS:]
    rate = intercepts[group] + x @ slopes
    return xp.sum(xp.exp(rate) - counts * rate) + 0.5 * xp.sum(intercepts**2)


def by_hand(
    z: np.ndarray, x: np.ndarray, group: np.ndarray, counts: np.ndarray
) -> tuple[float, np.ndarray]:
    gradient = np.zeros_like(z)
    total = 0.0
    for g in range(400):
        total += 0.5 * z[g] * z[g]
        gradient[g] = z[g]
    for i in range(counts.size):
        rate = z[group[i]]
        for j in range(4):
            rate += x[i, j] * z[400 + j]
        e = np.exp(rate)
        total += e - counts[i] * rate
        gradient[group[i]] += e - counts[i]
        for j in range(4):
            gradient[400 + j] += (e - counts[i]) * x[i, j]
    return total, gradient


C = """
#define ROWS 256
static double call(const double *restrict z, const double *restrict x, const long *restrict group,
                   const double *restrict counts, double *restrict g) {
    double total = 0, slope[4] = {0};
    for (int i = 0; i < 400; i++) { total += 0.5 * z[i] * z[i]; g[i] = z[i]; }
    for (long start = 0; start < N; start += ROWS) {
        double pull[ROWS];
        long rows = N - start < ROWS ? N - start : ROWS;
        for (long i = 0; i < rows; i++) {
            const double *row = x + 4 * (start + i);
            double rate = z[group[start+i]];
            for (int j = 0; j < 4; j++) rate += row[j] * z[400+j];
            double e = exp(rate);
            total += e - counts[start+i] * rate;
            pull[i] = e - counts[start+i];
        }
        for (long i = 0; i < rows; i++) g[group[start+i]] += pull[i];
        for (long i = 0; i < rows; i++)
            for (int j = 0; j < 4; j++) slope[j] += pull[i] * x[4 * (start + i) + j];
    }
    for (int j = 0; j < 4; j++) g[400+j] = slope[j];
    return total;
}
"""

SIZES = {"1000": {"n": 1000}, "20000": {"n": 20_000}, "400000": {"n": 400_000}}

CASE = Case("poisson groups", "regressions", SIZES, inputs, model, numba=by_hand, c=C)

"""Logistic regression: mean of log(1 + exp(-y X w)), labels +1 and -1."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int, k: int) -> tuple[Any, ...]:
    return rng.normal(size=k), rng.normal(size=(n, k)), np.sign(rng.normal(size=n))


def model(xp: Any, w: Any, x: Any, y: Any) -> Any:
    return xp.mean(xp.logaddexp(0.0, -y * (x @ w)))


def with_torch(xp: Any, w: Any, x: Any, y: Any) -> Any:
    return xp.mean(xp.nn.functional.softplus(-y * (x @ w)))


def by_hand(w: np.ndarray, x: np.ndarray, y: np.ndarray) -> tuple[float, np.ndarray]:
    n, k = x.shape
    total = 0.0
    gradient = np.zeros(k)
    for i in range(n):
        score = 0.0
        for j in range(k):
            score += x[i, j] * w[j]
        score *= -y[i]
        e = np.exp(-abs(score))
        total += max(score, 0.0) + np.log1p(e)
        pull = -y[i] / n * (1.0 if score >= 0.0 else e) / (1.0 + e)
        for j in range(k):
            gradient[j] += pull * x[i, j]
    return total / n, gradient


C = """
#define ROWS 64
static double call(const double *restrict w, const double *restrict x, const double *restrict y,
                   double *restrict g) {
    double total = 0;
    memset(g, 0, sizeof(double) * K);
    #pragma omp parallel for if (N > 20000) reduction(+:total) reduction(+:g[:K])
    for (long start = 0; start < N; start += ROWS) {
        double score[ROWS];
        long rows = N - start < ROWS ? N - start : ROWS;
        for (long i = 0; i < rows; i++) {
            double dot = 0;
            for (long j = 0; j < K; j++) dot += x[(start+i)*K+j] * w[j];
            score[i] = -y[start+i] * dot;
        }
        for (long i = 0; i < rows; i++) {
            double s = score[i], e = exp(-fabs(s));
            total += (s > 0 ? s : 0) + log(1 + e);
            score[i] = -y[start+i] * ((s >= 0 ? 1 : e) / (1 + e)) / N;
        }
        for (long i = 0; i < rows; i++)
            for (long j = 0; j < K; j++) g[j] += score[i] * x[(start+i)*K+j];
    }
    return total / N;
}
"""

SIZES = {
    "100 x 5": {"n": 100, "k": 5},
    "1000 x 20": {"n": 1000, "k": 20},
    "100000 x 20": {"n": 100_000, "k": 20},
}

CASE = Case(
    "logistic", "regressions", SIZES, inputs, model, {"torch": with_torch}, numba=by_hand, c=C
)

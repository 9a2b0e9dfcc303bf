"""Softmax regression: the mean cross entropy of c classes."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case


def inputs(rng: np.random.Generator, n: int, k: int, c: int) -> tuple[Any, ...]:
    labels = np.eye(c)[rng.integers(c, size=n)]
    return 0.3 * rng.normal(size=(k, c)), rng.normal(size=(n, k)), labels


def model(xp: Any, w: Any, x: Any, labels: Any) -> Any:
    scores = x @ w
    top = xp.max(scores, axis=1, keepdims=True)
    norm = top[:, 0] + xp.log(xp.sum(xp.exp(scores - top), axis=1))
    return xp.mean(norm - xp.sum(labels * scores, axis=1))


def with_torch(xp: Any, w: Any, x: Any, labels: Any) -> Any:
    return xp.nn.functional.cross_entropy(x @ w, labels)


def by_hand(w: np.ndarray, x: np.ndarray, labels: np.ndarray) -> tuple[float, np.ndarray]:
    n, k = x.shape
    c = w.shape[1]
    total = 0.0
    gradient = np.zeros((k, c))
    scores, weights = np.empty(c), np.empty(c)
    for i in range(n):
        scores[:] = 0.0
        for j in range(k):
            for m in range(c):
                scores[m] += x[i, j] * w[j, m]
        top, norm = np.max(scores), 0.0
        for m in range(c):
            weights[m] = np.exp(scores[m] - top)
            norm += weights[m]
        total += top + np.log(norm)
        for m in range(c):
            total -= labels[i, m] * scores[m]
            weights[m] = (weights[m] / norm - labels[i, m]) / n
        for j in range(k):
            for m in range(c):
                gradient[j, m] += x[i, j] * weights[m]
    return total / n, gradient


C = """
static double call(const double *restrict w, const double *restrict x,
                   const double *restrict labels, double *restrict g) {
    double total = 0;
    memset(g, 0, sizeof(double) * K * C);
    #pragma omp parallel for if (N > 20000) reduction(+:total) reduction(+:g[:K*C])
    for (long i = 0; i < N; i++) {
        double s[C], e[C], norm = 0, top = -INFINITY, picked = 0;
        for (int m = 0; m < C; m++) s[m] = 0;
        for (int j = 0; j < K; j++) for (int m = 0; m < C; m++) s[m] += x[i*K+j] * w[j*C+m];
        for (int m = 0; m < C; m++) top = s[m] > top ? s[m] : top;
        for (int m = 0; m < C; m++) { e[m] = exp(s[m] - top); norm += e[m]; }
        for (int m = 0; m < C; m++) picked += labels[i*C+m] * s[m];
        total += top + log(norm) - picked;
        for (int m = 0; m < C; m++) e[m] = (e[m] / norm - labels[i*C+m]) / N;
        for (int j = 0; j < K; j++) for (int m = 0; m < C; m++) g[j*C+m] += x[i*K+j] * e[m];
    }
    return total / N;
}
"""

SIZES = {
    "100 x 5 x 3": {"n": 100, "k": 5, "c": 3},
    "1000 x 20 x 10": {"n": 1000, "k": 20, "c": 10},
    "100000 x 20 x 10": {"n": 100_000, "k": 20, "c": 10},
}

CASE = Case(
    "softmax", "regressions", SIZES, inputs, model, {"torch": with_torch}, numba=by_hand, c=C
)

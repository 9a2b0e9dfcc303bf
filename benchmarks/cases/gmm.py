"""Gaussian mixture with full covariances, after ADBench and GradBench, with a plainer prior.

icf holds the logarithms of the diagonal and, row by row, the entries below it, of a factor of each
inverse covariance. 1000 points; k components in d dimensions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

POINTS = 1000


def inputs(rng: np.random.Generator, d: int, k: int) -> tuple[Any, ...]:
    below = d * (d - 1) // 2
    parameters = {
        "alphas": rng.normal(size=k),
        "icf": 0.3 * rng.normal(size=(k, d + below)) / d**0.5,
        "means": rng.normal(size=(k, d)),
    }
    place = np.full((d, d), below)  # where an entry of the factor stands; `below` holds a zero
    place[np.tril_indices(d, -1)] = np.arange(below)
    return parameters, rng.normal(size=(POINTS, d)), place


def log_sum_exp(xp: Any, x: Any) -> Any:
    top = xp.max(x, axis=-1, keepdims=True)
    return top[..., 0] + xp.log(xp.sum(xp.exp(x - top), axis=-1))


def model(xp: Any, parameters: dict[str, Any], x: Any, place: Any) -> Any:
    alphas, icf, means = parameters["alphas"], parameters["icf"], parameters["means"]
    n, d = x.shape
    logs = icf[:, :d]
    entries = xp.concatenate([icf[:, d:], 0.0 * icf[:, :1]], axis=1)
    diagonal, factor = xp.exp(logs), entries[:, place]
    centred = x[:, None, :] - means[None, :, :]
    q = diagonal * centred + xp.einsum("kij,nkj->nki", factor, centred)
    inner = alphas + xp.sum(logs, axis=1) - 0.5 * xp.sum(q * q, axis=-1)
    fit = xp.sum(log_sum_exp(xp, inner)) - n * log_sum_exp(xp, alphas)
    prior = 0.5 * (xp.sum(diagonal**2) + xp.sum(icf[:, d:] ** 2)) - xp.sum(logs)
    return fit + prior


C = """
#define E (D * (D - 1) / 2)
#define W (D + E)
static double call(const double *restrict alphas, const double *restrict icf,
                   const double *restrict means, const double *restrict x,
                   const long *restrict place, double *restrict g) {
    static double diagonal[K][D], total[K], over_factor[K][E+1], over_diagonal[K][D];
    static double centred[K][D], q[K][D];
    double *g_alphas = g, *g_icf = g + K, *g_means = g + K + K * W;
    double value = 0, norm = 0, top = -INFINITY;
    memset(g, 0, sizeof(double) * (K + K * W + K * D));
    memset(over_factor, 0, sizeof over_factor);
    memset(over_diagonal, 0, sizeof over_diagonal);
    for (int k = 0; k < K; k++) {
        total[k] = alphas[k];
        for (int j = 0; j < D; j++) {
            diagonal[k][j] = exp(icf[k*W+j]);
            total[k] += icf[k*W+j];
        }
    }
    for (int n = 0; n < 1000; n++) {
        double inner[K], high = -INFINITY, sum = 0;
        for (int k = 0; k < K; k++) {
            const double *factor = icf + k * W + D;
            double square = 0;
            for (int j = 0; j < D; j++) centred[k][j] = x[n*D+j] - means[k*D+j];
            for (int i = 0; i < D; i++) {
                double v = diagonal[k][i] * centred[k][i];
                for (int j = 0; j < i; j++) v += factor[i*(i-1)/2+j] * centred[k][j];
                q[k][i] = v;
                square += v * v;
            }
            inner[k] = total[k] - 0.5 * square;
            high = inner[k] > high ? inner[k] : high;
        }
        for (int k = 0; k < K; k++) { inner[k] = exp(inner[k] - high); sum += inner[k]; }
        value += high + log(sum);
        for (int k = 0; k < K; k++) {
            const double *factor = icf + k * W + D;
            double weight = inner[k] / sum, pull[D];
            g_alphas[k] += weight;
            for (int j = 0; j < D; j++) {
                pull[j] = -weight * q[k][j];
                over_diagonal[k][j] += pull[j] * centred[k][j];
            }
            double back[D];
            for (int j = 0; j < D; j++) back[j] = pull[j] * diagonal[k][j];
            for (int i = 0; i < D; i++)
                for (int j = 0; j < i; j++) {
                    over_factor[k][i*(i-1)/2+j] += pull[i] * centred[k][j];
                    back[j] += pull[i] * factor[i*(i-1)/2+j];
                }
            for (int j = 0; j < D; j++) g_means[k*D+j] -= back[j];
        }
    }
    for (int k = 0; k < K; k++) top = alphas[k] > top ? alphas[k] : top;
    for (int k = 0; k < K; k++) norm += exp(alphas[k] - top);
    value -= 1000 * (top + log(norm));
    for (int k = 0; k < K; k++) {
        for (int j = 0; j < D; j++) {
            double e = diagonal[k][j];
            value += 0.5 * e * e - icf[k*W+j];
            g_icf[k*W+j] = g_alphas[k] + over_diagonal[k][j] * e + e * e - 1;
        }
        for (int j = 0; j < E; j++) {
            double f = icf[k*W+D+j];
            value += 0.5 * f * f;
            g_icf[k*W+D+j] = over_factor[k][j] + f;
        }
        g_alphas[k] -= 1000 * exp(alphas[k] - top) / norm;
    }
    return value;
}
"""

SIZES = {"2 x 5": {"d": 2, "k": 5}, "10 x 25": {"d": 10, "k": 25}, "64 x 100": {"d": 64, "k": 100}}


def products(d: int, k: int) -> list[tuple[int, int, int]]:
    """For each component: factor times points, and the gradients of both."""
    return k * [(POINTS, d, d), (d, d, POINTS), (POINTS, d, d)]


CASE = Case("gmm", "mixture", SIZES, inputs, model, c=C, products=products)

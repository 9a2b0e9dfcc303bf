"""Eight schools, non-centred: mu, log tau and eight effects; the log posterior of the classic data.

Gelman et al., Bayesian Data Analysis, section 5.5; half-Cauchy(5) for tau, normal(0, 5) for mu.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

Y = np.array([28.0, 8.0, -3.0, 7.0, -1.0, 1.0, 18.0, 12.0])
SIGMA = np.array([15.0, 10.0, 16.0, 11.0, 9.0, 11.0, 10.0, 18.0])


def inputs(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.normal(size=10), Y, SIGMA


def model(xp: Any, z: Any, y: Any, sigma: Any) -> Any:
    mu, tau, effects = z[0], xp.exp(z[1]), z[2:]
    residual = (y - mu - tau * effects) / sigma
    prior = -0.5 * (mu / 5.0) ** 2 - xp.log1p((tau / 5.0) ** 2) + z[1]
    return prior - 0.5 * xp.sum(effects**2) - 0.5 * xp.sum(residual**2)


def scalar(m: Any, z: list[Any], y: np.ndarray, sigma: np.ndarray) -> Any:
    mu, tau, effects = z[0], m.exp(z[1]), z[2:]
    total = -0.5 * (mu / 5.0) ** 2 - m.log(1.0 + (tau / 5.0) ** 2) + z[1]
    for effect, yi, si in zip(effects, y, sigma, strict=True):
        residual = (float(yi) - mu - tau * effect) / float(si)
        total = total - 0.5 * effect**2 - 0.5 * residual**2
    return total


def by_hand(z: np.ndarray, y: np.ndarray, sigma: np.ndarray) -> tuple[float, np.ndarray]:
    mu, tau = z[0], np.exp(z[1])
    total = -0.02 * mu * mu - np.log1p(0.04 * tau * tau) + z[1]
    gradient = np.empty_like(z)
    over_mu, over_tau = -0.04 * mu, 0.0
    for i in range(y.size):
        effect = z[2 + i]
        residual = (y[i] - mu - tau * effect) / sigma[i]
        pull = residual / sigma[i]
        total -= 0.5 * (effect * effect + residual * residual)
        over_mu += pull
        over_tau += pull * effect
        gradient[2 + i] = pull * tau - effect
    gradient[0] = over_mu
    gradient[1] = tau * over_tau + 1.0 - 0.08 * tau * tau / (1.0 + 0.04 * tau * tau)
    return total, gradient


C = """
static double call(const double *restrict z, const double *restrict y,
                   const double *restrict sigma, double *restrict g) {
    double mu = z[0], tau = exp(z[1]);
    double total = -0.02 * mu * mu - log1p(0.04 * tau * tau) + z[1];
    double over_mu = -0.04 * mu, over_tau = 0;
    for (int i = 0; i < 8; i++) {
        double effect = z[2+i], residual = (y[i] - mu - tau * effect) / sigma[i];
        double pull = residual / sigma[i];
        total -= 0.5 * (effect * effect + residual * residual);
        over_mu += pull; over_tau += pull * effect;
        g[2+i] = pull * tau - effect;
    }
    g[0] = over_mu;
    g[1] = tau * over_tau + 1 - 0.08 * tau * tau / (1 + 0.04 * tau * tau);
    return total;
}
"""

SIZES: dict[str, dict[str, int]] = {"10": {}}

CASE = Case("eight schools", "calls", SIZES, inputs, model, scalar=scalar, numba=by_hand, c=C)

"""Whole programs as users write them: `MODELS[name]` makes a loss and its arguments.

Each loss takes `(params, *data)` and returns a number; `params` may be a tree.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit import lax, nn

Made = tuple[Callable[..., Any], tuple[Any, ...]]
MODELS: dict[str, Callable[[np.random.Generator], Made]] = {}


def model(make: Callable[[np.random.Generator], Made]) -> Callable[[np.random.Generator], Made]:
    MODELS[make.__name__] = make
    return make


@model
def eight_schools(rng):
    """Rubin 1981: the effects of coaching in eight schools, not centred."""
    y = np.array([28.0, 8, -3, 7, -1, 1, 18, 12])
    sigma = np.array([15.0, 10, 16, 11, 9, 11, 10, 18])

    def loss(params, y, sigma):
        mu, log_tau, z = params["mu"], params["log_tau"], params["z"]
        theta = mu + np.exp(log_tau) * z
        fit = np.sum(((y - theta) / sigma) ** 2 + 2 * np.log(sigma))
        return 0.5 * (fit + np.sum(z * z) + (mu / 5) ** 2 + np.exp(2 * log_tau) / 25) - log_tau

    return loss, ({"mu": 3.0, "log_tau": 0.5, "z": rng.normal(size=8)}, y, sigma)


@model
def logistic_regression(rng):
    def loss(w, X, y):
        z = X @ w
        return np.mean(np.logaddexp(0.0, z) - y * z) + 0.01 * w @ w

    return loss, (rng.normal(size=7), rng.normal(size=(101, 7)), rng.integers(0, 2, 101) * 1.0)


@model
def softmax_regression(rng):
    def loss(params, X, labels):
        W, b = params
        scores = nn.log_softmax(X @ W + b)
        return -np.mean(scores[np.arange(len(labels)), labels])

    params = (rng.normal(size=(6, 5)), rng.normal(size=5))
    return loss, (params, rng.normal(size=(53, 6)), rng.integers(0, 5, 53))


@model
def poisson_groups(rng):
    def loss(params, x, group, counts):
        base, effects = params
        rate = base[0] + base[1] * x + effects[group]
        return np.sum(np.exp(rate) - counts * rate) + 0.5 * np.sum(effects**2)

    params = (np.array([0.3, -0.2]), rng.normal(size=6) * 0.1)
    data = (rng.normal(size=77), rng.integers(0, 6, 77), rng.poisson(2.0, 77) * 1.0)
    return loss, (params, *data)


@model
def gaussian_mixture(rng):
    def loss(params, x):
        logits, means, log_scales = params
        z = (x[:, None] - means) * np.exp(-log_scales)
        scores = nn.log_softmax(logits) - 0.5 * z * z - log_scales
        return -np.sum(nn.logsumexp(scores, axis=1))

    params = (rng.normal(size=4), rng.normal(size=4), 0.1 * rng.normal(size=4))
    return loss, (params, rng.normal(size=61))


@model
def mlp(rng):
    def loss(layers, X, y):
        for W, b in layers[:-1]:
            X = np.tanh(X @ W + b)
        W, b = layers[-1]
        return np.mean((X @ W + b - y) ** 2)

    sizes = [5, 16, 16, 2]
    layers = [
        (rng.normal(size=(m, n)) / np.sqrt(m), np.zeros(n))
        for m, n in zip(sizes, sizes[1:], strict=False)
    ]
    return loss, (layers, rng.normal(size=(40, 5)), rng.normal(size=(40, 2)))


@model
def gaussian_process_kernel(rng):
    """The kernel matrix of a Gaussian process against a fixed matrix."""

    def loss(params, x, M):
        scale, length = np.exp(params)
        gap = (x[:, None] - x[None, :]) / length
        return np.sum(M * (scale * np.exp(-0.5 * gap * gap)))

    return loss, (np.array([0.1, -0.3]), rng.normal(size=31), rng.normal(size=(31, 31)))


@model
def jacobi_pad(rng):
    """Five sweeps of a five-point stencil, through pads."""

    def loss(u, f):
        for _ in range(5):
            p = np.pad(u, 1)
            u = 0.25 * (p[:-2, 1:-1] + p[2:, 1:-1] + p[1:-1, :-2] + p[1:-1, 2:] + f)
        return np.sum(u * u)

    return loss, (rng.normal(size=(13, 11)), rng.normal(size=(13, 11)))


@model
def diffusion_update(rng):
    """A stencil that writes into the middle of an array."""

    def loss(u):
        for _ in range(4):
            middle = u[1:-1] + 0.1 * (u[2:] - 2 * u[1:-1] + u[:-2])
            u = lax.dynamic_update_slice(u, middle, (1,))
        return np.sum(np.sin(u))

    return loss, (rng.normal(size=37),)


@model
def rosenbrock(rng):
    def loss(x):
        return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)

    return loss, (rng.normal(size=50),)


@model
def runge_kutta(rng):
    """Lotka-Volterra by RK4, fitted to observations."""

    def loss(theta, start, seen):
        a, b, c, d = theta[0], theta[1], theta[2], theta[3]

        def slope(y):
            return np.stack([a * y[0] - b * y[0] * y[1], c * y[0] * y[1] - d * y[1]])

        def step(y, target):
            h = 0.05
            k1 = slope(y)
            k2 = slope(y + 0.5 * h * k1)
            k3 = slope(y + 0.5 * h * k2)
            k4 = slope(y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            return y, np.sum((y - target) ** 2)

        return np.sum(lax.scan(step, start, seen)[1])

    theta = np.array([1.1, 0.4, 0.1, 0.4])
    return loss, (theta, np.array([5.0, 3.0]), rng.uniform(1, 6, (40, 2)))


@model
def recurrent_network(rng):
    def loss(params, xs, y):
        W, U, b = params

        def step(h, x):
            h = np.tanh(W @ h + U @ x + b)
            return h, None

        h, _ = lax.scan(step, np.zeros(6), xs)
        return np.sum((h - y) ** 2)

    params = (rng.normal(size=(6, 6)) * 0.3, rng.normal(size=(6, 3)), rng.normal(size=6))
    return loss, (params, rng.normal(size=(15, 3)), rng.normal(size=6))


@model
def kalman_filter(rng):
    """Three states, observed one number at a time, so that nothing is inverted."""

    def loss(params, y):
        A, log_q, log_r = params
        Q, r = np.exp(log_q) * np.eye(3), np.exp(log_r)
        h = np.array([1.0, 0.0, 0.5])

        def step(carry, y):
            m, P = carry
            m, P = A @ m, A @ P @ A.T + Q
            gap, S = y - h @ m, h @ P @ h + r
            K = P @ h / S
            return (m + K * gap, P - K[:, None] * (h @ P)), 0.5 * (gap * gap / S + np.log(S))

        return np.sum(lax.scan(step, (np.zeros(3), np.eye(3)), y)[1])

    A = 0.8 * np.eye(3) + 0.05 * rng.normal(size=(3, 3))
    return loss, ((A, -1.0, 0.2), rng.normal(size=25))


@model
def hidden_markov_model(rng):
    def loss(params, seen):
        start, moves, emissions = params
        moves = nn.log_softmax(moves, axis=1)
        emissions = nn.log_softmax(emissions, axis=1)

        def step(alpha, symbol):
            alpha = nn.logsumexp(alpha[:, None] + moves, axis=0) + emissions[:, symbol]
            return alpha, None

        first = nn.log_softmax(start) + emissions[:, seen[0]]
        alpha, _ = lax.scan(step, first, seen[1:])
        return -nn.logsumexp(alpha)

    params = (rng.normal(size=4), rng.normal(size=(4, 4)), rng.normal(size=(4, 5)))
    return loss, (params, rng.integers(0, 5, 30))


@model
def branch_in_loop(rng):
    def loss(w, xs, kinds):
        def step(c, row):
            x, kind = row
            c = lax.cond(kind > 0, lambda c: np.sin(c) * w + x, lambda c: c * c[::-1] - x, c)
            return c, np.sum(c)

        c, ys = lax.scan(step, w, (xs, kinds))
        return np.sum(c) + np.sum(ys)

    return loss, (0.5 * rng.normal(size=3), rng.normal(size=(9, 3)), rng.integers(-1, 2, 9))


@model
def nested_loops(rng):
    def loss(w, X):
        def outer(c, row):
            def inner(d, x):
                d = np.tanh(d * x + w)
                return d, np.sum(d)

            d, sums = lax.scan(inner, c, row)
            return d + c, np.max(sums)

        c, ys = lax.scan(outer, w * 0.5, X)
        return np.sum(c * c) + np.sum(ys)

    return loss, (rng.normal(size=4), rng.normal(size=(5, 6)))


@model
def polynomial_in_fori_loop(rng):
    def loss(c, x):
        total = lax.fori_loop(0, 6, lambda i, t: t * x + c[i], np.zeros_like(x))
        return np.sum(total**2)

    return loss, (rng.normal(size=6), rng.uniform(-1, 1, 33))

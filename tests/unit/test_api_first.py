"""jit, grad, value_and_grad and vmap, in their simplest use."""

from __future__ import annotations

import numpy as np

import tracejit as tj


def loss(w, X, y):
    return np.mean((X @ w - y) ** 2)


def test_value_and_gradient_of_a_regression(rng: np.random.Generator) -> None:
    X, y, w = rng.normal(size=(7, 3)), rng.normal(size=7), rng.normal(size=3)
    expected = 2 * X.T @ (X @ w - y) / 7
    for fun in (tj.value_and_grad(loss), tj.jit(tj.value_and_grad(loss), backend="eager")):
        value, gradient = fun(w, X, y)
        np.testing.assert_allclose(value, loss(w, X, y), rtol=1e-14)
        np.testing.assert_allclose(gradient, expected, rtol=1e-13)


def test_vmap_of_grad() -> None:
    x = np.linspace(0, 1, 5)
    np.testing.assert_allclose(tj.vmap(tj.grad(np.sin))(x), np.cos(x), rtol=1e-14)

"""Whole programs: values and gradients on every backend, against NumPy and differences."""

from __future__ import annotations

import numpy as np
import pytest
from models import MODELS

import tracejit as tj
from tracejit import lax, tree
from tracejit.testing.compare import assert_close

RTOL = 1e-10


@pytest.fixture(params=MODELS)
def made(request, rng):
    return MODELS[request.param](rng)


def leaves(x) -> list[np.ndarray]:
    return [np.asarray(y) for y in tree.leaves(x)]


def along(params, direction, h):
    """params + h * direction, leaf by leaf."""
    return tree.map(lambda p, d: p + h * d, params, direction)


def test_value_and_gradient(made, backend, rng) -> None:
    loss, (params, *data) = made
    run = tj.jit(tj.value_and_grad(loss), backend=backend)
    value, gradient = run(params, *data)
    reference = tj.jit(loss, backend="eager")
    assert_close("value", loss, [value], [reference(params, *data)], rtol=RTOL)
    direction = tree.map(lambda p: rng.normal(size=np.shape(p)), params)
    slope = sum(np.sum(g * d) for g, d in zip(leaves(gradient), leaves(direction), strict=True))
    h = 2e-4
    two, one = (
        sum(s * reference(along(params, direction, s * k), *data) for s in (1, -1)) / (2 * k)
        for k in (2 * h, h)
    )
    assert np.isclose(slope, (4 * one - two) / 3, rtol=1e-5, atol=1e-6)
    run(params, *data)
    assert run.cache_size == 1


def test_gradients_agree(made) -> None:
    """To rounding, on all backends."""
    loss, args = made
    expected = tj.jit(tj.grad(loss), backend="eager")(*args)
    native = tj.jit(tj.grad(loss), backend="native")(*args)
    assert_close("gradient", loss, leaves(native), leaves(expected), rtol=RTOL)


def test_batches_of_gradients(made) -> None:
    """vmap of a gradient over the parameters is each gradient."""
    loss, (params, *data) = made
    each = [params, along(params, params, 0.1), along(params, params, -0.2)]
    stacked = tree.map(lambda *xs: np.stack(xs), *each)
    gradient = tj.grad(loss)
    many = tj.jit(tj.vmap(gradient, (0, *(None for _ in data))), backend="native")(stacked, *data)
    eager = [tj.jit(gradient, backend="eager")(p, *data) for p in each]
    expected = tree.map(lambda *xs: np.stack(xs), *eager)
    assert_close("batch", loss, leaves(many), leaves(expected), rtol=RTOL)


def test_hessian_products(made, rng) -> None:
    """Forward over reverse: symmetric, and the differences of gradients."""
    loss, (params, *data) = made

    def product(p, v):
        return tj.jvp(lambda q: tj.grad(loss)(q, *data), (p,), (v,))[1]

    def vector():
        return tree.map(lambda p: rng.normal(size=np.shape(p)), params)

    v, w = vector(), vector()
    run = tj.jit(product, backend="native")
    hv, hw = run(params, v), run(params, w)
    expected = tj.jit(product, backend="eager")(params, v)
    assert_close("hvp", loss, leaves(hv), leaves(expected), rtol=1e-8)
    left, right = (
        sum(np.sum(a * b) for a, b in zip(leaves(x), leaves(y), strict=True))
        for x, y in ((hv, w), (hw, v))
    )
    assert np.isclose(left, right, rtol=1e-6, atol=1e-8 * max(1.0, abs(left)))


@pytest.mark.parametrize("name", ["rosenbrock", "logistic_regression", "runge_kutta"])
def test_jacobians(name, rng) -> None:
    """Of the gradient, forward and reverse."""
    loss, (x, *data) = MODELS[name](rng)
    gradient = tj.grad(loss)
    one, other = (
        tj.jit(jacobian(gradient), backend="native")(x, *data)
        for jacobian in (tj.jacfwd, tj.jacrev)
    )
    expected = tj.jit(tj.hessian(loss), backend="eager")(x, *data)
    assert_close("jacfwd", name, [one], [expected], rtol=1e-8)
    assert_close("jacrev", name, [other], [expected], rtol=1e-8)


def test_newton_in_a_while_loop(backend) -> None:
    """Forward derivatives go through loops that end by themselves."""

    def root(a):
        def step(state):
            x, n = state
            return 0.5 * (x + a / x), n + 1

        x, n = lax.while_loop(lambda s: np.abs(s[0] * s[0] - a) > 1e-12, step, (a + 1.0, 0))
        return x, n

    x, n = tj.jit(root, backend=backend)(2.0)
    assert np.isclose(x, np.sqrt(2.0), rtol=1e-14) and 3 < n < 10
    slope = tj.jit(lambda a: tj.jvp(root, (a,), (1.0,))[1][0], backend=backend)(2.0)
    assert np.isclose(slope, 0.5 / np.sqrt(2.0), rtol=1e-12)

"""Loops and branches written once, `model(lax, np, *arrays)`: here and under JAX they agree.

Values, gradients, Hessians, derivatives in forward mode, batches, and batches of gradients.
"""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

import tracejit as tj
from tracejit import lax as our_lax


def recurrent_network(lax, xp, W, h, xs):
    def step(h, x):
        h = xp.tanh(W @ h + x)
        return h, xp.sum(h * h)

    h, norms = lax.scan(step, h, xs)
    return xp.sum(norms) + h[0]


def filtering(lax, xp, q, r, ys):
    """A Kalman filter in one dimension: the log-likelihood of observations."""

    def step(carry, y):
        mean, variance, total = carry
        variance = variance + xp.exp(q)
        scale = variance + xp.exp(r)
        gain = variance / scale
        off = y - mean
        total = total - 0.5 * (xp.log(scale) + off * off / scale)
        return (mean + gain * off, (1 - gain) * variance, total), gain

    (_, _, total), gains = lax.scan(step, (0.0, 1.0, 0.0), ys, reverse=True)
    return total + gains[0]


def simulated(lax, xp, x, rate):
    """Runge-Kutta for a pendulum, in fori_loop."""

    def slope(s):
        return xp.stack([s[1], -xp.sin(s[0]) - rate * s[1]])

    def step(i, s):
        k1 = slope(s)
        k2 = slope(s + 0.05 * k1)
        return s + 0.1 * k2 + 1e-3 * i

    return xp.sum(lax.fori_loop(0, 20, step, x) ** 2)


def hidden_markov(lax, xp, logits, log_emissions):
    """The forward algorithm, in logarithms."""
    log_transition = logits - xp.log(xp.sum(xp.exp(logits), axis=1, keepdims=True))

    def step(alpha, emission):
        joint = alpha[:, None] + log_transition
        top = lax.stop_gradient(xp.max(joint, axis=0))
        return xp.log(xp.sum(xp.exp(joint - top), axis=0)) + top + emission, None

    alpha, _ = lax.scan(step, log_emissions[0], log_emissions[1:])
    return xp.sum(xp.exp(alpha))


def nested(lax, xp, x, ys):
    def outer(c, y):
        def inner(c, z):
            return xp.sin(c * z), c

        c, trail = lax.scan(inner, c + y, xp.stack([y, x, c]))
        c = lax.cond(c > 0, lambda c: c * x, lambda c: c - y, c)
        return c, xp.sum(trail)

    c, sums = lax.scan(outer, x, ys)
    return c * xp.sum(sums)


def chosen(lax, xp, x, y):
    total = x + y
    first = lax.cond(total > 0.5, lambda x: x * xp.exp(y), lambda x: xp.sin(x) / 2, x)
    kind = xp.where(total > 0.3, 2, 0) - xp.where(total > 0.8, 1, 0)
    second = lax.switch(
        kind, [lambda a, b: a * b, lambda a, b: xp.cos(a), lambda a, b: a / (2 + b)], x, y
    )
    return first * second + first


def newton(lax, xp, x, y):
    """A square root by Newton's method: forward mode alone."""

    def more(s):
        return xp.abs(s[1] * s[1] - (x + 2.0)) > 1e-10

    def step(s):
        return s[0] + 1, 0.5 * (s[1] + (x + 2.0) / s[1])

    n, root = lax.while_loop(more, step, (0, 1.0 + y))
    return root * y


def mapped(lax, xp, w, xs):
    return xp.sum(lax.map(lambda x: xp.sin(w * x) * x, xs) ** 2)


def prefixes(lax, xp, a, b):
    """A linear recurrence, solved by an associative operation."""

    def combine(left, right):
        return left[0] * right[0], left[1] * right[0] + right[1]

    return xp.sum(lax.associative_scan(combine, (a, b))[1] ** 2)


SHAPES = {
    recurrent_network: [(3, 3), (3,), (4, 3)],
    filtering: [(), (), (6,)],
    simulated: [(2,), ()],
    hidden_markov: [(3, 3), (5, 3)],
    nested: [(), (4,)],
    chosen: [(), ()],
    mapped: [(), (5,)],
    prefixes: [(7,), (7,)],
}
FORWARD = {newton: [(), ()]}
MODELS = {**SHAPES, **FORWARD}

both = pytest.mark.parametrize("model", SHAPES, ids=lambda m: m.__name__)
all_models = pytest.mark.parametrize("model", MODELS, ids=lambda m: m.__name__)


@pytest.fixture(autouse=True)
def on_the_reference_backend():
    with jax.enable_x64(True), tj.config(backend="eager"):
        yield


def ours(model):
    return lambda *xs: model(our_lax, np, *xs)


def theirs(model):
    return lambda *xs: model(jax.lax, jnp, *xs)


def draw(model, rng, *batch):
    return [rng.uniform(0.1, 0.9, (*batch, *shape)) for shape in MODELS[model]]


def assert_same(results, expected, rtol=1e-10):
    results, expected = tj.tree.leaves(results), jax.tree.leaves(expected)
    for y, z in zip(results, expected, strict=True):
        assert np.shape(y) == np.shape(z)
        np.testing.assert_allclose(y, z, rtol=rtol, atol=rtol)


@all_models
def test_values(model, rng) -> None:
    xs = draw(model, rng)
    expected = jax.jit(theirs(model))(*xs)
    assert_same(ours(model)(*xs), expected)
    assert_same(tj.jit(ours(model))(*xs), expected)


@both
def test_gradients(model, rng) -> None:
    xs = draw(model, rng)
    wrt = tuple(range(len(xs)))
    expected = jax.jit(jax.grad(theirs(model), wrt))(*xs)
    assert_same(tj.grad(ours(model), wrt)(*xs), expected)
    assert_same(tj.jit(tj.grad(ours(model), wrt))(*xs), expected)


@both
def test_hessians(model, rng) -> None:
    xs = draw(model, rng)
    wrt = tuple(range(len(xs)))
    assert_same(
        tj.hessian(ours(model), wrt)(*xs), jax.jit(jax.hessian(theirs(model), wrt))(*xs), rtol=1e-8
    )


@all_models
def test_forward_mode(model, rng) -> None:
    xs, ts = draw(model, rng), draw(model, rng)
    assert_same(
        tj.jvp(ours(model), tuple(xs), tuple(ts)), jax.jvp(theirs(model), tuple(xs), tuple(ts))
    )


@all_models
def test_batches(model, rng) -> None:
    xs = draw(model, rng, 6)
    assert_same(tj.vmap(ours(model))(*xs), jax.jit(jax.vmap(theirs(model)))(*xs))
    one = [xs[0], *[x[0] for x in xs[1:]]]
    axes = (0, *[None] * (len(xs) - 1))
    assert_same(tj.vmap(ours(model), axes)(*one), jax.jit(jax.vmap(theirs(model), axes))(*one))


@both
def test_batches_of_gradients(model, rng) -> None:
    xs = draw(model, rng, 6)
    assert_same(
        tj.vmap(tj.grad(ours(model)))(*xs), jax.jit(jax.vmap(jax.grad(theirs(model))))(*xs)
    )

"""Losses written once, `model(xp, *arrays)`: value and gradient here and under JAX agree.

Here `xp` is NumPy, whose functions the tracers answer; there it is jax.numpy.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.numpy as jnp

import tracejit.numpy  # noqa: F401  (teaches tracers NumPy's functions)
from tracejit import backends
from tracejit.ir.types import type_of
from tracejit.trace.stage import stage
from tracejit.transforms.gradient import value_and_gradient

XP = ModuleType | Any


def logistic_regression(xp: XP, w, X, y):
    return xp.sum(xp.logaddexp(0.0, -y * (X @ w))) + 0.5 * xp.sum(w * w)


def mixture(xp: XP, means, log_scales, x):
    """Gaussians of equal weight, in one dimension."""
    z = (x[:, None] - means) / xp.exp(log_scales)
    terms = -0.5 * z * z - log_scales
    top = xp.max(terms, axis=1, keepdims=True)
    return -xp.mean(xp.log(xp.sum(xp.exp(terms - top), axis=1)) + top[:, 0])


def network(xp: XP, W1, b1, W2, X, labels):
    """One hidden layer, softmax cross-entropy with labels one-hot."""
    scores = xp.tanh(X @ W1 + b1) @ W2
    scores = scores - xp.max(scores, axis=1, keepdims=True)
    return -xp.mean(xp.sum(labels * scores, axis=1) - xp.log(xp.sum(xp.exp(scores), axis=1)))


def eight_schools(xp: XP, mu, log_tau, effects, y, sigma):
    tau = xp.exp(log_tau)
    prior = -0.5 * xp.sum(effects**2) - 0.02 * mu**2 - xp.log1p((tau / 5) ** 2) + log_tau
    return prior - 0.5 * xp.sum(((y - mu - tau * effects) / sigma) ** 2)


def smooth_path(xp: XP, x, y):
    """Differences, a running sum, and a robust loss by where."""
    rough = xp.sum((x[1:] - x[:-1]) ** 2)
    off = xp.abs(xp.cumsum(x) - y)
    return rough + xp.sum(xp.where(off < 1.0, 0.5 * off**2, off - 0.5))


def embedding(xp: XP, table, words, weights):
    rows = table[words]
    return xp.sum(xp.sin(rows) * weights[:, None]) + xp.prod(table[0])


def distances(xp: XP, points, lengths):
    """A kernel matrix, its trace of powers, sorted distances."""
    scaled = points / lengths
    square = xp.sum((scaled[:, None, :] - scaled[None, :, :]) ** 2, axis=2)
    kernel = xp.exp(-0.5 * square)
    nearest = xp.sort(xp.reshape(square, (-1,)))[::3]
    return xp.sum(kernel @ kernel) + xp.sum(xp.sqrt(nearest + 1.0))


def shapes(xp: XP, x, y):
    both = xp.concatenate([x, xp.transpose(y)], axis=0)
    every_other = xp.flip(both, axis=1)[1:, ::2]
    return xp.sum(xp.stack([both[:-1, :2], every_other]) ** 3) + xp.max(x) * xp.min(y)


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(11)
    return [np.asarray(rng.normal(size=s)) for s in shapes]


#: The model, its arguments, and how many of them, from the first, it is differentiated by.
MODELS = [
    (logistic_regression, [*draw((4,), (30, 4)), np.where(np.arange(30) % 3, 1.0, -1.0)], 1),
    (mixture, draw((3,), (3,), (50,)), 3),
    (network, [*draw((5, 7), (7,), (7, 3), (20, 5)), np.eye(3)[np.arange(20) % 3]], 4),
    (eight_schools, [*draw((), (), (8,), (8,)), np.arange(9.0, 17.0)], 3),
    (smooth_path, draw((40,), (40,)), 2),
    (embedding, [*draw((6, 4)), np.array([0, 5, 5, 2, 0, 3]), np.arange(6.0)], 1),
    (distances, [draw((9, 3))[0], np.array([0.5, 1.0, 2.0])], 2),
    (shapes, draw((3, 4), (4, 2)), 2),
]  # fmt: skip


@pytest.mark.parametrize("name", ["eager", "xla"])
@pytest.mark.parametrize(("model", "arrays", "count"), MODELS, ids=[m.__name__ for m, *_ in MODELS])
def test_value_and_gradient(model, arrays, count, name):
    wrt = tuple(i < count for i in range(len(arrays)))
    staged = stage(lambda *xs: (model(np, *xs),), [type_of(x) for x in arrays])
    assert not staged.captured
    run = backends.load(name).compile(value_and_gradient(staged.jaxpr, wrt))
    with jax.enable_x64(True):
        reference = jax.jit(jax.value_and_grad(lambda *xs: model(jnp, *xs), tuple(range(count))))
        value, gradients = reference(*arrays)
    for y, z in zip(run(*arrays), (value, *gradients), strict=True):
        assert (y.dtype, y.shape) == (z.dtype, z.shape)
        np.testing.assert_allclose(y, np.asarray(z), rtol=1e-11, atol=1e-12)

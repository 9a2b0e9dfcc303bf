"""Models written once, `model(xp, *arrays)`: NumPy, JAX, tracejit.numpy and the protocols agree."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit.numpy as tnp
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate
from tracejit.trace.stage import stage

XP = Any


def attention(xp: XP, x, W, mask):
    q, k, v = xp.split(x @ W, 3, axis=-1)
    scores = xp.einsum("bid,bjd->bij", q, k) / xp.sqrt(q.shape[-1])
    scores = xp.where(mask, scores, -1e30)
    scores = xp.exp(scores - xp.max(scores, axis=-1, keepdims=True))
    weights = scores / xp.sum(scores, axis=-1, keepdims=True)
    return xp.matmul(weights, v).reshape(x.shape[0], -1)


def hidden_markov(xp: XP, log_start, log_move, log_emit):
    """The forward recursion in logs, in a Python loop."""
    alpha = log_start + log_emit[0]
    for row in log_emit[1:]:
        paths = alpha[:, None] + log_move
        top = xp.max(paths, axis=0)
        alpha = top + xp.log(xp.sum(xp.exp(paths - top), axis=0)) + row
    return xp.logaddexp(alpha[0], xp.logaddexp(alpha[1], alpha[2]))


def k_means(xp: XP, points, centres):
    """One step: assign to the nearest, and move each centre to the mean of its points."""
    square = xp.sum((points[:, None, :] - centres[None]) ** 2, axis=-1)
    nearest = xp.argmin(square, axis=1)
    member = (nearest[:, None] == xp.arange(centres.shape[0])).astype(points.dtype)
    count = xp.clip(xp.sum(member, axis=0), 1, None)
    return xp.tensordot(member, points, ((0,), (0,))) / count[:, None], xp.min(square, axis=1)


def robust(xp: XP, x, y):
    """Medians, quantiles, ranks and a winsorised correlation."""
    low, high = xp.quantile(x, 0.1), xp.percentile(x, 90)
    clipped = xp.clip(x, low, high)
    spread = 1.4826 * xp.median(xp.abs(x - xp.median(x)))
    ranks = xp.argsort(xp.argsort(y))
    area = xp.trapezoid(xp.sort(y), xp.linspace(0, 1, 40))
    return xp.corrcoef(clipped, ranks)[0, 1], spread, area


def image(xp: XP, picture):
    """Finite differences, pooling by reshape, rolling and padding."""
    padded = xp.pad(picture, ((1, 1), (1, 1)), mode="edge")
    around = padded[2:, 1:-1] + padded[:-2, 1:-1] + padded[1:-1, 2:] + padded[1:-1, :-2]
    laplace = around - 4 * picture
    pooled = laplace.reshape(4, 2, 5, 2).max(axis=(1, 3))
    moved = xp.roll(pooled, (1, -2), (0, 1)) * xp.tril(xp.ones((4, 5)))
    return moved, xp.diff(picture, n=2, axis=1)


def table(xp: XP, codes, values):
    """Looking up, masking, cumulative statistics, integers."""
    looked_up = xp.take(values, codes, axis=0)
    running = xp.cumsum(looked_up, axis=0) / (1 + xp.arange(codes.shape[0]))[:, None]
    odd = xp.where(codes % 2 == 1, codes // 2, -codes)
    return running, odd, xp.sum(codes, where=codes > 1), xp.bitwise_and(codes, 6) << 1


def draw(*shapes: tuple[int, ...]) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [np.asarray(rng.normal(size=s)) for s in shapes]


MODELS = [
    (attention, [*draw((2, 4, 6), (6, 9)), np.tril(np.ones((4, 4), bool))]),
    (hidden_markov, draw((3,), (3, 3), (7, 3))),
    (k_means, draw((30, 2), (4, 2))),
    (robust, draw((40,), (40,))),
    (image, draw((8, 10))),
    (table, [np.array([3, 0, 4, 4, 1, 2]), *draw((5, 3))]),
]


def staged(model: Any, xp: XP, arrays: list[np.ndarray]) -> list[Any]:
    """The model, traced and then evaluated."""
    program = stage(lambda *xs: flat(model(xp, *xs)), [type_of(a) for a in arrays])
    return list(evaluate(program.jaxpr, *map(np.asarray, program.captured), *arrays))


def flat(result: Any) -> list[Any]:
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize(("model", "arrays"), MODELS, ids=[m.__name__ for m, _ in MODELS])
def test_the_same_everywhere(model, arrays) -> None:
    expected = flat(model(np, *arrays))
    jax = pytest.importorskip("jax")
    with jax.enable_x64(True):
        theirs = flat(model(jax.numpy, *[jax.numpy.asarray(a) for a in arrays]))
    others = {
        "jax": theirs,
        "eager": flat(model(tnp, *arrays)),
        "staged": staged(model, tnp, arrays),
        "protocol": staged(model, np, arrays),
    }
    for name, results in others.items():
        for x, y in zip(results, expected, strict=True):
            x = np.asarray(x)
            assert (x.shape, x.dtype) == (np.shape(y), y.dtype), name
            np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-12, err_msg=name)

"""A network 784-256-128-10 of tanh layers in float32, cross entropy of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.case import Case

WIDTHS = (784, 256, 128, 10)


def inputs(rng: np.random.Generator, batch: int) -> tuple[Any, ...]:
    layers: list[np.ndarray] = []
    for before, after in zip(WIDTHS, WIDTHS[1:], strict=False):
        layers += [rng.normal(size=(before, after)) / before**0.5, 0.1 * rng.normal(size=after)]
    labels = np.eye(WIDTHS[-1])[rng.integers(WIDTHS[-1], size=batch)]
    x = rng.normal(size=(batch, WIDTHS[0]))
    as_float32 = tuple(layer.astype(np.float32) for layer in layers)
    return as_float32, x.astype(np.float32), labels.astype(np.float32)


def model(xp: Any, layers: Any, x: Any, labels: Any) -> Any:
    w1, b1, w2, b2, w3, b3 = layers
    scores = xp.tanh(xp.tanh(x @ w1 + b1) @ w2 + b2) @ w3 + b3
    top = xp.max(scores, axis=1, keepdims=True)
    norm = top[:, 0] + xp.log(xp.sum(xp.exp(scores - top), axis=1))
    return xp.mean(norm - xp.sum(labels * scores, axis=1))


def by_hand(layers: Any, x: np.ndarray, labels: np.ndarray) -> Any:
    w1, b1, w2, b2, w3, b3 = layers
    n, c = labels.shape
    h1 = np.tanh(np.dot(x, w1) + b1)
    h2 = np.tanh(np.dot(h1, w2) + b2)
    scores = np.dot(h2, w3) + b3
    total = np.float32(0.0)
    for i in range(n):
        top = np.max(scores[i])
        norm = np.float32(0.0)
        for j in range(c):
            norm += np.exp(scores[i, j] - top)
        total += top + np.log(norm)
        for j in range(c):
            total -= labels[i, j] * scores[i, j]
            scores[i, j] = (np.exp(scores[i, j] - top) / norm - labels[i, j]) / np.float32(n)
    d2 = np.dot(scores, w3.T) * (np.float32(1.0) - h2 * h2)
    d1 = np.dot(d2, w2.T) * (np.float32(1.0) - h1 * h1)
    gradients = (
        np.dot(x.T, d1), d1.sum(axis=0), np.dot(h1.T, d2), d2.sum(axis=0),
        np.dot(h2.T, scores), scores.sum(axis=0),
    )  # fmt: skip
    return total / np.float32(n), gradients


SIZES = {"1": {"batch": 1}, "32": {"batch": 32}, "128": {"batch": 128}}


def products(batch: int) -> list[tuple[int, int, int]]:
    """Of each layer: its scores, the gradient of its weights, and that of its input."""
    pairs = list(zip(WIDTHS, WIDTHS[1:], strict=False))
    forward = [(batch, after, before) for before, after in pairs]
    weights = [(before, after, batch) for before, after in pairs]
    return forward + weights + [(batch, before, after) for before, after in pairs[1:]]


CASE = Case(
    "mlp", "networks", SIZES, inputs, model, numba=by_hand, products=products, tolerance=1e-4
)

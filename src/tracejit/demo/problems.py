"""Two losses on real data, written once, for NumPy or for jax.numpy.

The data sets are those that scikit-learn ships; without it, numbers of the same shape are drawn.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import random


@dataclass(frozen=True)
class Problem:
    """A model to fit: `loss(xp)` is the function (parameters, X, Y) -> number."""

    name: str
    source: str
    loss: Callable[[Any], Callable[..., Any]]
    start: np.ndarray
    X: np.ndarray
    Y: np.ndarray
    accuracy: Callable[[np.ndarray], float]


def logistic_regression(xp: Any) -> Callable[..., Any]:
    """Labels are -1 and 1; the last feature is 1."""

    def loss(w: Any, X: Any, Y: Any) -> Any:
        margin = Y * (X @ w)
        return xp.mean(xp.logaddexp(0.0, -margin)) + 1e-3 * xp.sum(w * w)

    return loss


HIDDEN, CLASSES = 32, 10


def layers(p: Any) -> tuple[Any, Any, Any, Any]:
    """The weights and biases of the perceptron, out of one vector."""
    pixels = (p.size - CLASSES * (HIDDEN + 1) - HIDDEN) // HIDDEN
    ends = np.cumsum([pixels * HIDDEN, HIDDEN, HIDDEN * CLASSES])
    W, b, V, c = (p[i:j] for i, j in zip((0, *ends), (*ends, p.size), strict=True))
    return W.reshape(pixels, HIDDEN), b, V.reshape(HIDDEN, CLASSES), c


def perceptron(xp: Any) -> Callable[..., Any]:
    """One hidden layer of tanh, a softmax; Y holds a row of 0 and 1 for each label."""

    def loss(p: Any, X: Any, Y: Any) -> Any:
        W, b, V, c = layers(p)
        logits = xp.tanh(X @ W + b) @ V + c
        top = xp.max(logits, axis=1, keepdims=True)
        norm = top[:, 0] + xp.log(xp.sum(xp.exp(logits - top), axis=1))
        return xp.mean(norm - xp.sum(Y * logits, axis=1)) + 1e-4 * xp.sum(p * p)

    return loss


def load() -> list[Problem]:
    """Both problems, with their data."""
    X, labels, source = _data("load_breast_cancer", (569, 30), 2)
    X = np.column_stack([(X - X.mean(0)) / X.std(0), np.ones(len(X))])
    signs = np.where(labels > 0, 1.0, -1.0)
    first = Problem(
        "logistic regression", f"{source}, {X.shape[0]} x {X.shape[1]}", logistic_regression,
        np.zeros(X.shape[1]), X, signs,
        accuracy=lambda w: float(np.mean(np.sign(X @ w) == signs)),
    )  # fmt: skip
    pixels, digits, source = _data("load_digits", (1797, 64), CLASSES)
    return [first, _digits(pixels / 16.0, digits, source)]


def _digits(X: np.ndarray, digits: np.ndarray, source: str) -> Problem:
    sizes = X.shape[1] * HIDDEN, HIDDEN, HIDDEN * CLASSES, CLASSES
    start = 0.1 * np.asarray(random.normal(random.key(0), (sum(sizes),), "float64"))

    def accuracy(p: np.ndarray) -> float:
        W, b, V, c = layers(p)
        return float(np.mean(np.argmax(np.tanh(X @ W + b) @ V + c, 1) == digits))

    return Problem(
        "perceptron", f"{source}, {X.shape[0]} x {X.shape[1]}, {start.size} parameters",
        perceptron, start, X, np.eye(CLASSES)[digits], accuracy,
    )  # fmt: skip


def _data(loader: str, shape: tuple[int, int], classes: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Features, labels, and where they are from."""
    if importlib.util.find_spec("sklearn"):
        found = getattr(importlib.import_module("sklearn.datasets"), loader)()
        return found.data, found.target, loader.removeprefix("load_").replace("_", " ")
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=shape[0])
    centres = rng.normal(size=(classes, shape[1]))
    return centres[labels] + rng.normal(size=shape), labels, "drawn (scikit-learn is missing)"

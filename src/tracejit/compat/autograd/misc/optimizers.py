"""sgd, rmsprop and adam as autograd has them: loops around a gradient, over any containers.

Each takes `grad(x, i)`, the gradient in round i, and returns the x of the last round. `callback(x,
i, g)` sees each round. The formulas and defaults are autograd's, to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.compat.autograd.misc.flatten import flatten

__all__ = ["adam", "rmsprop", "sgd"]

Step = Callable[[int, Any, Any, Any], tuple[Any, Any]]
Callback = Callable[[Any, int, Any], Any] | None


def _loop(step: Step, state: Any, grad: Any, x0: Any, callback: Callback, num_iters: int) -> Any:
    """The last x: `step(i, x, gradient, state)` gives the next x and state, all vectors."""
    x, unflatten = flatten(x0)
    state = tuple([make(len(x)) for make in state])
    for i in range(num_iters):
        g = flatten(grad(unflatten(x), i))[0]
        if callback:
            callback(unflatten(x), i, unflatten(g))
        x, state = step(i, x, g, state)
    return unflatten(x)


def sgd(
    grad: Callable[[Any, int], Any], x: Any, callback: Callback = None, num_iters: int = 200,
    step_size: float = 0.1, mass: float = 0.9,
) -> Any:  # fmt: skip
    """Gradient descent with momentum `mass`: a mean of past gradients that forgets."""

    def step(i: int, x: Any, g: Any, state: Any) -> Any:
        (velocity,) = state
        velocity = mass * velocity - (1.0 - mass) * g
        return x + step_size * velocity, (velocity,)

    return _loop(step, (np.zeros,), grad, x, callback, num_iters)


def rmsprop(
    grad: Callable[[Any, int], Any], x: Any, callback: Callback = None, num_iters: int = 100,
    step_size: float = 0.1, gamma: float = 0.9, eps: float = 1e-8,
) -> Any:  # fmt: skip
    """Steps divided by the root of a mean of squared gradients (Tieleman and Hinton 2012)."""

    def step(i: int, x: Any, g: Any, state: Any) -> Any:
        (squares,) = state
        squares = squares * gamma + g**2 * (1 - gamma)
        return x - step_size * g / (np.sqrt(squares) + eps), (squares,)

    return _loop(step, (np.ones,), grad, x, callback, num_iters)


def adam(
    grad: Callable[[Any, int], Any], x: Any, callback: Callback = None, num_iters: int = 100,
    step_size: float = 0.001, b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8,
) -> Any:  # fmt: skip
    """Adam (Kingma and Ba 2015, algorithm 1)."""

    def step(i: int, x: Any, g: Any, state: Any) -> Any:
        m, v = state
        m = (1 - b1) * g + b1 * m
        v = (1 - b2) * (g**2) + b2 * v
        first = m / (1 - b1 ** (i + 1))
        second = v / (1 - b2 ** (i + 1))
        return x - step_size * first / (np.sqrt(second) + eps), (m, v)

    return _loop(step, (np.zeros, np.zeros), grad, x, callback, num_iters)

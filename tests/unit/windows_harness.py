"""Loops that run by NumPy and by us: what the tests of windows have in common."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import numpy as np

import tracejit as tj
from tracejit import lax
from tracejit.trace.tracer import is_traced

BACKENDS = ["eager", "native"] + (["xla"] if find_spec("jax") else [])


def loop(first: int, last: int, body: Callable[..., Any], *state: np.ndarray) -> Any:
    """Run body(i, *state), which writes to the arrays of the state; gives the state."""
    if not is_traced(*state):
        for i in range(first, last):
            body(i, *state)
        return state

    def step(i: Any, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        body(i, *arrays)
        return arrays

    return lax.fori_loop(first, last, step, tuple(state))


def for_each(function: Callable[..., Any], n: int, *arrays: Any) -> np.ndarray:
    """function(i, *arrays) for all i below n by NumPy, stacked; each on arrays of its own."""
    with np.errstate(all="ignore"):
        return np.stack([function(i, *[a.copy() for a in arrays]) for i in range(n)])


def mapped(function: Callable[..., Any], n: int, *arrays: Any, backend: str = "eager") -> Any:
    """The same with a traced i."""

    def program(*xs: Any) -> Any:
        def step(i: Any, out: Any) -> Any:
            return out.at[i].set(function(i, *[x + 0 for x in xs]))

        like = function(0, *[a.copy() for a in arrays])
        return lax.fori_loop(0, n, step, np.zeros((n, *np.shape(like)), np.asarray(like).dtype))

    return tj.jit(program, backend=backend)(*arrays)


def gradient_by_differences(function: Callable[..., float], x: np.ndarray, h: float = 1e-6) -> Any:
    """The gradient of a function of an array, by central differences."""
    grad = np.zeros_like(x)
    for at in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[at] += h
        down[at] -= h
        grad[at] = (function(up) - function(down)) / (2 * h)
    return grad

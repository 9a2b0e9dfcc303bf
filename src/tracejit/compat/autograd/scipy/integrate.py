"""odeint: SciPy's solver, whose derivative is the adjoint equation, solved by the same solver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api import linear_maps
from tracejit.api.custom import custom_vjp
from tracejit.compat.autograd.misc.flatten import flatten
from tracejit.control.effects import pure_callback
from tracejit.runtime.arguments import check_callable
from tracejit.runtime.runner import compiling_repeats
from tracejit.trace.tracer import is_traced

__all__ = ["odeint"]

Flow = Callable[..., Any]


def odeint(func: Flow, y0: Any, t: Any, args: Sequence[Any] = (), **kwargs: Any) -> Any:
    """The solution of y' = func(y, t, *args) from y0 at t[0], at the times t: an array of shape
    (len(t), len(y0)). Derivatives with respect to y0, t and the floats in args.

    func: a function of arrays, which is traced where derivatives are asked for.
    kwargs: SciPy's `odeint` has them.
    """
    check_callable(func, "odeint")
    if not is_traced(y0, t, *tree.leaves(args)):
        return _solver()(func, y0, t, tuple(args), **kwargs)
    vector, unflatten = flatten(tuple(args))

    def flow(y: Any, s: Any, vector: Any) -> Any:
        return func(y, s, *unflatten(vector))

    return _solve(flow, y0, t, vector, kwargs)


def _solver() -> Callable[..., Any]:
    return import_module("scipy.integrate").odeint  # type: ignore[no-any-return]


def _solve(flow: Flow, y0: Any, t: Any, vector: Any, options: dict[str, Any]) -> Any:
    """The solution as a function of y0, t and a vector of parameters: a callback with a rule."""

    def by_scipy(y0: Any, t: Any, vector: Any) -> Any:
        return _solver()(flow, y0, t, (vector,), **options)

    @custom_vjp
    def solution(y0: Any, t: Any, vector: Any) -> Any:
        if not is_traced(y0, t, vector):
            return by_scipy(y0, t, vector)
        example = np.zeros((np.shape(t)[0], np.shape(y0)[0]))
        return pure_callback(by_scipy, example, y0, t, vector, vmap_method="sequential")

    def forward(y0: Any, t: Any, vector: Any) -> tuple[Any, Any]:
        ys = solution(y0, t, vector)
        return ys, (ys, t, vector)

    def backward(kept: Any, g: Any) -> tuple[Any, Any, Any]:
        ys, t, vector = kept
        return _adjoint(flow, ys, t, vector, g, options)

    solution.defvjp(forward, backward)
    return solution(y0, t, vector)


def _adjoint(
    flow: Flow, ys: Any, t: Any, vector: Any, g: Any, options: dict[str, Any]
) -> tuple[Any, Any, Any]:
    """The cotangents of y0, t and the vector, for those of the solution.

    Where a is the cotangent of y(s), a' = -a df/dy: solved backwards from each time to the one
    before, at which its own cotangent is added; the integrals of -a df/dv and of -a df/ds go along
    (Pontryagin; Froehlich, Loos and Hasenauer 2017 for observations at several times).
    """
    n, times = np.shape(ys)[1], np.shape(ys)[0]

    def augmented(state: Any, s: Any, vector: Any) -> Any:
        y, a = state[:n], state[n : 2 * n]
        with compiling_repeats():
            dy, pull = linear_maps.vjp(flow, y, s, vector)
            by_y, by_s, by_vector = pull(-a)
        return np.concatenate([dy, by_y, np.reshape(by_s, (1,)), by_vector])

    a, by_vector, by_start = g[times - 1], np.zeros(np.shape(vector)), 0.0
    by_time: list[Any] = []
    for i in range(times - 1, 0, -1):
        by_now = np.dot(flow(ys[i], t[i], vector), g[i])
        by_time.insert(0, by_now)
        by_start = by_start - by_now
        start = np.concatenate([ys[i], a, np.reshape(by_start, (1,)), by_vector])
        span = np.stack([t[i], t[i - 1]])
        end = _solve(augmented, start, span, vector, options)[1]
        a, by_start, by_vector = end[n : 2 * n] + g[i - 1], end[2 * n], end[2 * n + 1 :]
    return a, np.stack([by_start, *by_time]), by_vector

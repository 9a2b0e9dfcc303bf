"""L-BFGS as a transformation, and the line search that says how far it goes.

    updates, state = lbfgs().update(gradient, state, params, value=value, value_fn=loss)

The direction is minus the gradient times an approximation of the inverse Hessian, from the last few
differences of parameters (s) and of gradients (y); see Nocedal, Wright, Numerical Optimization
(2006), algorithm 7.4. Its length is found by trying shorter ones, algorithm 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from tracejit import lax, tree
from tracejit.errors import ArgumentError
from tracejit.optim.base import (
    GradientTransformation,
    GradientTransformationExtraArgs,
    ScalarOrSchedule,
    apply_updates,
    chain,
    like,
    needs_params,
    no_steps,
    one_more,
    start,
)
from tracejit.optim.transforms import scale, scale_by_learning_rate
from tracejit.trace.provenance import user_frame


class ScaleByLBFGSState(NamedTuple):
    """The number of steps, the last parameters and gradients; of the last `memory_size` steps the
    differences of both, s and y, and 1 / <s, y>, step t in row t mod memory_size."""

    count: Any
    params: Any
    updates: Any
    diff_params_memory: Any
    diff_updates_memory: Any
    weights_memory: Any


class ScaleByBacktrackingLinesearchState(NamedTuple):
    """The last length of a step, and the value there."""

    learning_rate: Any
    value: Any


def lbfgs(
    learning_rate: ScalarOrSchedule | None = None, memory_size: int = 10,
    scale_init_precond: bool = True, linesearch: GradientTransformation | None = ...,  # type: ignore[assignment]
) -> GradientTransformation:  # fmt: skip
    """The limited-memory BFGS method.

    learning_rate: a factor of the direction, besides the line search.
    linesearch:    how far to go; None goes all the way. Without it lengths are halved from 1 on
                   (optax's default is another one, which looks at slopes, too). It needs `value`
                   and `value_fn` in `update`.
    """
    if linesearch is ...:
        linesearch = scale_by_backtracking_linesearch(
            30, decrease_factor=0.5, increase_factor=float("inf")
        )
    size = scale(-1.0) if learning_rate is None else scale_by_learning_rate(learning_rate)
    parts = [scale_by_lbfgs(memory_size, scale_init_precond), size]
    return chain(*parts, *([] if linesearch is None else [linesearch]))


def scale_by_lbfgs(
    memory_size: int = 10, scale_init_precond: bool = True
) -> GradientTransformation:
    """The gradient times the inverse Hessian, approximated.

    scale_init_precond: the approximation begins with <s, y> / <y, y> of the last step, and in the
    first step with 1 / |g|, at most 1; else with 1.
    Steps with <s, y> <= 0, which tell of no convexity, are left out.
    """
    if memory_size < 1:
        raise ArgumentError(f"memory_size must be 1 or more, not {memory_size}", where=user_frame())

    def init(params: Any) -> ScaleByLBFGSState:
        zeros = start(params)
        rows = tree.map(lambda p: np.zeros((memory_size, *np.shape(p)), p.dtype), zeros)
        return ScaleByLBFGSState(
            no_steps(), zeros, start(params), rows, tree.map(np.zeros_like, rows),
            np.zeros(memory_size),
        )  # fmt: skip

    def update(
        updates: Any, state: ScaleByLBFGSState, params: Any = None
    ) -> tuple[Any, ScaleByLBFGSState]:
        needs_params(params, "L-BFGS")
        s = tree.map(lambda p, q: p - q, params, state.params)
        y = tree.map(lambda g, h: g - h, updates, state.updates)
        product = _dot(s, y)
        good = (state.count > 0) & (product > 0)
        weight = np.where(good, 1.0 / np.where(good, product, 1.0), 0.0)
        row = (state.count + memory_size - 1) % memory_size
        memories = (
            tree.map(lambda m, x: _put(m, row, like(x, m)), state.diff_params_memory, s),
            tree.map(lambda m, x: _put(m, row, like(x, m)), state.diff_updates_memory, y),
            _put(state.weights_memory, row, weight),
        )
        first: Any = 1.0
        if scale_init_precond:
            square = _dot(y, y)
            begin = np.minimum(1.0, 1.0 / np.maximum(np.sqrt(_dot(updates, updates)), 1e-300))
            usual = np.where(good & (square > 0), product / np.where(square > 0, square, 1.0), 1.0)
            first = np.where(state.count == 0, begin, usual)
        direction = _times_inverse(updates, memories, row, memory_size, first)
        kept = tree.map(like, params, state.params), tree.map(like, updates, state.updates)
        return direction, ScaleByLBFGSState(one_more(state.count), *kept, *memories)

    return GradientTransformation(init, update)


def _times_inverse(vector: Any, memories: Any, row: Any, size: int, first: Any) -> Any:
    """The two loops of the method: backwards and forwards through the steps, `row` the last one."""
    order = (row + 1 + np.arange(size)) % size
    rows = tree.map(lambda m: m[order], memories)

    def back(v: Any, given: Any) -> Any:
        s, y, weight = given
        alpha = weight * _dot(s, v)
        return tree.map(lambda x, z: x - like(alpha, x) * z, v, y), alpha

    def forth(v: Any, given: Any) -> Any:
        (s, y, weight), alpha = given
        step = alpha - weight * _dot(y, v)
        return tree.map(lambda x, z: x + like(step, x) * z, v, s), None

    vector, alphas = lax.scan(back, vector, rows, reverse=True)
    vector = tree.map(lambda x: x * like(first, x), vector)
    return lax.scan(forth, vector, (rows, alphas))[0]


def _put(memory: Any, row: Any, x: Any) -> Any:
    """The memory with another row."""
    here = np.arange(memory.shape[0]).reshape(-1, *[1] * (memory.ndim - 1)) == row
    return np.where(here, x, memory)


def _dot(x: Any, y: Any) -> Any:
    """The inner product of two trees, in float64."""
    pairs = zip(tree.leaves(x), tree.leaves(y), strict=True)
    terms = [np.sum(_wide(a) * b) for a, b in pairs]
    return sum(terms[1:], terms[0]) if terms else 0.0


def _wide(x: Any) -> Any:
    """x in float64."""
    return like(x, np.float64(0.0))


def scale_by_backtracking_linesearch(
    max_backtracking_steps: int, slope_rtol: float = 1e-4, decrease_factor: float = 0.8,
    increase_factor: float = 1.5, max_learning_rate: float = 1.0, atol: float = 0.0,
    rtol: float = 0.0,
) -> GradientTransformation:  # fmt: skip
    """The updates times the first of some lengths where the value falls enough:

        f(p + r u) <= (1 + rtol) f(p) + slope_rtol r <u, g> + atol

    It begins with the last length times increase_factor, at most max_learning_rate, and goes on
    with decrease_factor. Where none of max_backtracking_steps lengths is good, nor finite, the
    parameters stay as they are. The arguments are optax's.

    `update(updates, state, params, value=f(p), grad=g, value_fn=f)`; other keywords go to value_fn.
    `grad` may be left out in a chain whose first part saw it: then the slope does not count.
    """

    def init(params: Any) -> ScaleByBacktrackingLinesearchState:
        return ScaleByBacktrackingLinesearchState(np.array(1.0), np.array(np.inf))

    def update(
        updates: Any, state: ScaleByBacktrackingLinesearchState, params: Any = None, *,
        value: Any = None, grad: Any = None, value_fn: Callable[..., Any] | None = None,
        **extra: Any,
    ) -> tuple[Any, ScaleByBacktrackingLinesearchState]:  # fmt: skip
        needs_params(params, "a line search")
        if value is None or value_fn is None:
            raise ArgumentError(
                "a line search needs the value and the function", where=user_frame(),
                hint="update(gradient, state, params, value=value, grad=gradient, value_fn=loss)",
            )  # fmt: skip
        slope = 0.0 if grad is None else _dot(updates, grad)
        limit = (1 + rtol) * _wide(value) + atol

        def at(rate: Any) -> Any:
            moved = apply_updates(params, tree.map(lambda u: like(rate, u) * u, updates))
            return _wide(value_fn(moved, **extra))

        def is_bad(carry: Any) -> Any:
            rate, found, tries = carry
            good = found <= limit + slope_rtol * rate * slope
            return ~good & (tries < max_backtracking_steps)

        def shorter(carry: Any) -> Any:
            rate, _, tries = carry
            rate = rate * decrease_factor
            return rate, at(rate), tries + 1

        rate = np.minimum(max_learning_rate, state.learning_rate * increase_factor)
        rate, found, _ = lax.while_loop(is_bad, shorter, (rate, at(rate), np.int64(0)))
        fits = np.isfinite(found) & (found <= limit)
        scaled = tree.map(lambda u: np.where(fits, like(rate, u), like(0.0, u)) * u, updates)
        return scaled, ScaleByBacktrackingLinesearchState(rate, np.where(fits, found, value))

    return GradientTransformationExtraArgs(init, update)

"""What optimisers are made of: each scales, averages or decays updates by one rule.

g are the updates that come in, m and v running means of g and g^2, t the number of steps so far.
Divisions by what is one number for all elements are products with its reciprocal.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tracejit import tree
from tracejit.errors import ArgumentError
from tracejit.optim.base import (
    GradientTransformation,
    Mask,
    ScalarOrSchedule,
    like,
    masked,
    needs_params,
    no_steps,
    one_more,
    start,
    stateless,
)
from tracejit.trace.provenance import user_frame


class TraceState(NamedTuple):
    """The running sum of updates."""

    trace: Any


class ScaleByScheduleState(NamedTuple):
    """The number of steps."""

    count: Any


class ScaleByAdamState(NamedTuple):
    """The number of steps, the running means of g and of g^2."""

    count: Any
    mu: Any
    nu: Any


class ScaleByLionState(NamedTuple):
    """The number of steps, the running mean of g."""

    count: Any
    mu: Any


class ScaleByRmsState(NamedTuple):
    """The running mean of g^2."""

    nu: Any


class ScaleByRmsWithCountState(NamedTuple):
    """The number of steps, the running mean of g^2."""

    count: Any
    nu: Any


class ScaleByRStdDevState(NamedTuple):
    """The running means of g and of g^2."""

    mu: Any
    nu: Any


class ScaleByRStdDevWithCountState(NamedTuple):
    """The number of steps, the running means of g and of g^2."""

    count: Any
    mu: Any
    nu: Any


class ScaleByRssState(NamedTuple):
    """The sum of g^2 so far."""

    sum_of_squares: Any


# ---- by numbers


def scale(step_size: Any) -> GradientTransformation:
    """step_size g."""
    return stateless(lambda updates, params: tree.map(lambda g: like(step_size, g) * g, updates))


def scale_by_schedule(step_size_fn: Any) -> GradientTransformation:
    """step_size_fn(t) g, with t = 0 in the first step."""

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, ScaleByScheduleState]:
        size = step_size_fn(state.count)
        scaled = tree.map(lambda g: like(size, g) * g, updates)
        return scaled, ScaleByScheduleState(one_more(state.count))

    return GradientTransformation(lambda params: ScaleByScheduleState(no_steps()), update)


def scale_by_learning_rate(
    learning_rate: ScalarOrSchedule, *, flip_sign: bool = True
) -> GradientTransformation:
    """Minus the learning rate, a number or a schedule, times g: updates that go down.

    Raises ArgumentError for a learning rate that is neither.
    """
    if learning_rate is None or isinstance(learning_rate, str):
        raise ArgumentError(
            f"learning_rate must be a number or a schedule, not {learning_rate!r}",
            where=user_frame(),
        )
    sign = -1 if flip_sign else 1
    if callable(learning_rate):
        return scale_by_schedule(lambda count: sign * learning_rate(count))
    return scale(sign * learning_rate)


def add_decayed_weights(
    weight_decay: ScalarOrSchedule = 0.0, mask: Mask | None = None
) -> GradientTransformation:
    """g + weight_decay p, for the parameters p where the mask is true (everywhere without one)."""
    if mask is not None:
        return masked(add_decayed_weights(weight_decay), mask)

    def added(decay: Any, updates: Any, params: Any) -> Any:
        needs_params(params, "weight decay")
        return tree.map(lambda g, p: g + like(decay, g) * p, updates, params)

    if not callable(weight_decay):
        return stateless(lambda updates, params: added(weight_decay, updates, params))

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, ScaleByScheduleState]:
        decayed = added(weight_decay(state.count), updates, params)
        return decayed, ScaleByScheduleState(one_more(state.count))

    return GradientTransformation(lambda params: ScaleByScheduleState(no_steps()), update)


# ---- by running means


def trace(
    decay: Any, nesterov: bool = False, accumulator_dtype: Any = None
) -> GradientTransformation:
    """Momentum: s = g + decay s, the update; Nesterov's is g + decay s with this s.

    Sutskever et al., On the importance of initialization and momentum in deep learning, 2013.
    """

    def update(updates: Any, state: TraceState, params: Any = None) -> tuple[Any, TraceState]:
        sums = tree.map(lambda g, s: g + decay * s, updates, state.trace)
        moved = tree.map(lambda g, s: g + decay * s, updates, sums) if nesterov else sums
        return moved, TraceState(_same_dtypes(sums, state.trace))

    return GradientTransformation(lambda p: TraceState(start(p, dtype=accumulator_dtype)), update)


def scale_by_rss(
    initial_accumulator_value: float = 0.1, eps: float = 1e-7
) -> GradientTransformation:
    """g / sqrt(s + eps) with s the sum of g^2 so far; 0 where s is 0.

    Duchi, Hazan, Singer, Adaptive Subgradient Methods, 2011.
    """

    def update(updates: Any, state: ScaleByRssState, params: Any = None) -> tuple[Any, Any]:
        sums = tree.map(lambda g, s: g * g + s, updates, state.sum_of_squares)
        scaled = tree.map(
            lambda g, s: g * np.where(s > 0, 1 / np.sqrt(s + eps), like(0.0, g)), updates, sums
        )
        return scaled, ScaleByRssState(_same_dtypes(sums, state.sum_of_squares))

    return GradientTransformation(
        lambda params: ScaleByRssState(start(params, initial_accumulator_value)), update
    )


def scale_by_rms(
    decay: float = 0.9, eps: float = 1e-8, initial_scale: float = 0.0, eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:  # fmt: skip
    """g / sqrt(v + eps), or g / (sqrt(v) + eps) with eps_in_sqrt false.

    Hinton, Neural Networks for Machine Learning, lecture 6, 2012.
    """

    def init(params: Any) -> Any:
        nu = start(params, initial_scale)
        return ScaleByRmsWithCountState(no_steps(), nu) if bias_correction else ScaleByRmsState(nu)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        nu = _mean_of_squares(updates, state.nu, decay)
        if not bias_correction:
            return _over_root(updates, nu, eps, eps_in_sqrt), ScaleByRmsState(nu)
        count = one_more(state.count)
        scaled = _over_root(updates, _unbiased(nu, decay, count), eps, eps_in_sqrt)
        return scaled, ScaleByRmsWithCountState(count, nu)

    return GradientTransformation(init, update)


def scale_by_stddev(
    decay: float = 0.9, eps: float = 1e-8, initial_scale: float = 0.0, eps_in_sqrt: bool = True,
    bias_correction: bool = False,
) -> GradientTransformation:  # fmt: skip
    """As `scale_by_rms`, with the variance v - m^2 in place of v: centred RMSProp. A variance that
    rounding makes negative is 0.

    Graves, Generating Sequences With Recurrent Neural Networks, 2013.
    """

    def init(params: Any) -> Any:
        mu, nu = start(params), start(params, initial_scale)
        if bias_correction:
            return ScaleByRStdDevWithCountState(no_steps(), mu, nu)
        return ScaleByRStdDevState(mu, nu)

    def update(updates: Any, state: Any, params: Any = None) -> tuple[Any, Any]:
        mu, nu = _mean(updates, state.mu, decay), _mean_of_squares(updates, state.nu, decay)
        means, squares = mu, nu
        if bias_correction:
            count = one_more(state.count)
            means, squares = _unbiased(mu, decay, count), _unbiased(nu, decay, count)
        variances = tree.map(lambda m, v: np.maximum(v - m * m, 0), means, squares)
        scaled = _over_root(updates, variances, eps, eps_in_sqrt)
        if bias_correction:
            return scaled, ScaleByRStdDevWithCountState(count, mu, nu)
        return scaled, ScaleByRStdDevState(mu, nu)

    return GradientTransformation(init, update)


def scale_by_adam(
    b1: float = 0.9, b2: float = 0.999, eps: float = 1e-8, eps_root: float = 0.0,
    mu_dtype: Any = None, *, nesterov: bool = False,
) -> GradientTransformation:  # fmt: skip
    """M / (sqrt(V + eps_root) + eps) with M = m / (1 - b1^t), V = v / (1 - b2^t).

    Kingma, Ba, Adam, 2014. With `nesterov`, M = b1 m / (1 - b1^(t + 1)) + (1 - b1) g / (1 - b1^t):
    Dozat, Incorporating Nesterov Momentum into Adam, 2016, without its factor b2 of V.
    """

    def update(updates: Any, state: ScaleByAdamState, params: Any = None) -> tuple[Any, Any]:
        mu, nu = _mean(updates, state.mu, b1), _mean_of_squares(updates, state.nu, b2)
        count = one_more(state.count)
        if nesterov:
            ahead, now = _unbiased(mu, b1, one_more(count)), _unbiased(updates, b1, count)
            means = tree.map(lambda m, g: b1 * m + (1 - b1) * g, ahead, now)
        else:
            means = _unbiased(mu, b1, count)
        scaled = tree.map(
            lambda m, v: m / (np.sqrt(v + eps_root) + eps), means, _unbiased(nu, b2, count)
        )
        news = ScaleByAdamState(count, _same_dtypes(mu, state.mu), _same_dtypes(nu, state.nu))
        return scaled, news

    def init(params: Any) -> ScaleByAdamState:
        return ScaleByAdamState(no_steps(), start(params, dtype=mu_dtype), start(params))

    return GradientTransformation(init, update)


def scale_by_lion(
    b1: float = 0.9, b2: float = 0.99, mu_dtype: Any = None
) -> GradientTransformation:
    """The sign of (1 - b1) g + b1 m; then m goes on with b2.

    Chen et al., Symbolic Discovery of Optimization Algorithms, 2023.
    """

    def update(updates: Any, state: ScaleByLionState, params: Any = None) -> tuple[Any, Any]:
        signs = tree.map(lambda g, m: np.sign((1 - b1) * g + b1 * m), updates, state.mu)
        mu = _same_dtypes(_mean(updates, state.mu, b2), state.mu)
        return signs, ScaleByLionState(one_more(state.count), mu)

    return GradientTransformation(
        lambda params: ScaleByLionState(no_steps(), start(params, dtype=mu_dtype)), update
    )


# ---- the means


def _mean(updates: Any, means: Any, decay: float) -> Any:
    return tree.map(lambda g, m: (1 - decay) * g + decay * m, updates, means)


def _mean_of_squares(updates: Any, means: Any, decay: float) -> Any:
    return tree.map(lambda g, v: (1 - decay) * (g * g) + decay * v, updates, means)


def _unbiased(means: Any, decay: float, count: Any) -> Any:
    """The means of `count` terms that began with 0, over the sum of their weights."""
    factor = 1 / (1 - like(decay, np.float64(0)) ** count)
    return tree.map(lambda m: m * like(factor, m), means)


def _over_root(updates: Any, squares: Any, eps: float, eps_in_sqrt: bool) -> Any:
    if eps_in_sqrt:
        return tree.map(lambda g, v: g / np.sqrt(v + eps), updates, squares)
    return tree.map(lambda g, v: g / (np.sqrt(v) + eps), updates, squares)


def _same_dtypes(news: Any, olds: Any) -> Any:
    return tree.map(like, news, olds)

"""Schedules: functions from the number of steps done to a number.

The number of steps may be a Python int, an array or traced. Where optax's schedules stay at their
first value for a length that is not positive, so do these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError
from tracejit.trace.provenance import user_frame

Schedule = Callable[[Any], Any]


def constant_schedule(value: float) -> Schedule:
    """The same at each step."""
    return lambda count: value


def polynomial_schedule(
    init_value: float, end_value: float, power: float, transition_steps: int,
    transition_begin: int = 0,
) -> Schedule:  # fmt: skip
    """(init - end) (1 - s)^power + end, with s from 0 to 1 in `transition_steps` steps."""
    if transition_steps <= 0:
        return constant_schedule(init_value)
    begin = max(transition_begin, 0)

    def schedule(count: Any) -> Any:
        done = np.clip(count - begin, 0, transition_steps) / transition_steps
        return (init_value - end_value) * (1 - done) ** power + end_value

    return schedule


def linear_schedule(
    init_value: float, end_value: float, transition_steps: int, transition_begin: int = 0
) -> Schedule:
    """From one value to the other in `transition_steps` steps."""
    return polynomial_schedule(init_value, end_value, 1, transition_steps, transition_begin)


def exponential_decay(
    init_value: float, transition_steps: int, decay_rate: float, transition_begin: int = 0,
    staircase: bool = False, end_value: float | None = None,
) -> Schedule:  # fmt: skip
    """init decay_rate^(steps / transition_steps), in whole powers with `staircase`.

    end_value: where it stops, a lower bound for a rate below 1 and an upper one above.
    """
    if transition_steps <= 0 or decay_rate == 0:
        return constant_schedule(init_value)
    begin = max(transition_begin, 0)

    def schedule(count: Any) -> Any:
        power = np.maximum(count - begin, 0) / transition_steps
        value = init_value * np.float64(decay_rate) ** (np.floor(power) if staircase else power)
        if end_value is None:
            return value
        return (np.maximum if decay_rate < 1 else np.minimum)(value, end_value)

    return schedule


def cosine_decay_schedule(
    init_value: float, decay_steps: int, alpha: float = 0.0, exponent: float = 1.0
) -> Schedule:
    """From init to alpha init along half a cosine, raised to `exponent`.

    Loshchilov, Hutter, SGDR, 2017. Raises ArgumentError unless decay_steps is positive.
    """
    _positive(decay_steps, "decay_steps")

    def schedule(count: Any) -> Any:
        wave = 0.5 * (1 + np.cos(math.pi * np.minimum(count, decay_steps) / decay_steps))
        return init_value * ((1 - alpha) * wave**exponent + alpha)

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """The first schedule up to the first boundary, and so on; each counts from its boundary.

    Raises ArgumentError unless there is one boundary less than schedules.
    """
    if len(boundaries) != len(schedules) - 1:
        raise ArgumentError(
            f"{len(schedules)} schedules have {len(boundaries)} boundaries",
            where=user_frame(), hint="give one boundary less than schedules",
        )  # fmt: skip

    def schedule(step: Any) -> Any:
        value = schedules[0](step)
        for boundary, later in zip(boundaries, schedules[1:], strict=True):
            value = np.where(step < boundary, value, later(step - boundary))
        return value

    return schedule


def warmup_constant_schedule(init_value: float, peak_value: float, warmup_steps: int) -> Schedule:
    """Linear to the peak, and there it stays."""
    return linear_schedule(init_value, peak_value, warmup_steps)


def warmup_cosine_decay_schedule(
    init_value: float, peak_value: float, warmup_steps: int, decay_steps: int,
    end_value: float = 0.0, exponent: float = 1.0,
) -> Schedule:  # fmt: skip
    """Linear to the peak, then a cosine down to the end at `decay_steps`, the warm-up included."""
    alpha = 0.0 if peak_value == 0.0 else end_value / peak_value
    down = cosine_decay_schedule(peak_value, decay_steps - warmup_steps, alpha, exponent)
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), down],
                          [warmup_steps])  # fmt: skip


def warmup_exponential_decay_schedule(
    init_value: float, peak_value: float, warmup_steps: int, transition_steps: int,
    decay_rate: float, transition_begin: int = 0, staircase: bool = False,
    end_value: float | None = None,
) -> Schedule:  # fmt: skip
    """Linear to the peak, then `exponential_decay`."""
    down = exponential_decay(
        peak_value, transition_steps, decay_rate, transition_begin, staircase, end_value
    )
    return join_schedules([linear_schedule(init_value, peak_value, warmup_steps), down],
                          [warmup_steps])  # fmt: skip


def piecewise_constant_schedule(
    init_value: float, boundaries_and_scales: dict[int, float] | None = None
) -> Schedule:
    """init, times the scale of each boundary that has been reached."""
    steps = _sorted_scales(boundaries_and_scales)

    def schedule(count: Any) -> Any:
        value: Any = init_value
        for boundary, scale in steps:
            value = value * np.where(count < boundary, 1.0, scale)
        return value

    return schedule


def piecewise_interpolate_schedule(
    interpolate_type: str, init_value: float,
    boundaries_and_scales: dict[int, float] | None = None,
) -> Schedule:  # fmt: skip
    """Between init and the products of the scales, each reached at its boundary.

    interpolate_type: "linear" or "cosine".
    """
    if interpolate_type not in ("linear", "cosine"):
        raise ArgumentError(
            f"interpolate_type must be 'linear' or 'cosine', not {interpolate_type!r}",
            where=user_frame(),
        )
    steps = _sorted_scales(boundaries_and_scales)
    cosine = interpolate_type == "cosine"

    def schedule(count: Any) -> Any:
        value: Any = init_value
        low, begin = init_value, 0
        for boundary, scale in steps:
            share = np.clip((count - begin) / max(boundary - begin, 1), 0, 1)
            if cosine:
                share = 0.5 * (1 - np.cos(math.pi * share))
            value = np.where(count < begin, value, low + (low * scale - low) * share)
            low, begin = low * scale, boundary
        return np.where(count < begin, value, low) if steps else value

    return schedule


def cosine_onecycle_schedule(
    transition_steps: int, peak_value: float, pct_start: float = 0.3, div_factor: float = 25.0,
    final_div_factor: float = 1e4,
) -> Schedule:  # fmt: skip
    """From peak / div_factor up to the peak, and down to the first value / final_div_factor.

    Smith, Topin, Super-Convergence, 2017.
    """
    _positive(transition_steps, "transition_steps")
    scales = {
        int(pct_start * transition_steps): div_factor,
        int(transition_steps): 1 / (div_factor * final_div_factor),
    }
    return piecewise_interpolate_schedule("cosine", peak_value / div_factor, scales)


def _sorted_scales(scales: dict[int, float] | None) -> list[tuple[int, float]]:
    found = sorted((scales or {}).items())
    if any(scale < 0 for _, scale in found):
        raise ArgumentError("the scales of a schedule must not be negative", where=user_frame())
    return found


def _positive(steps: int, name: str) -> None:
    if not steps > 0:
        raise ArgumentError(f"{name} must be positive, not {steps}", where=user_frame())

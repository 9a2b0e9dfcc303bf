"""Rates that change: functions of the number of steps that were taken."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.compat.tensorflow.tensor import Tensor, call, convert
from tracejit.errors import ArgumentError
from tracejit.trace.provenance import user_frame

__all__ = [
    "CosineDecay", "CosineDecayRestarts", "ExponentialDecay", "InverseTimeDecay",
    "PiecewiseConstantDecay", "PolynomialDecay",
]  # fmt: skip


class ExponentialDecay:
    """initial_learning_rate * decay_rate ^ (steps / decay_steps); staircase: by whole numbers."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float,
        staircase: bool = False,
    ):  # fmt: skip
        self._settings = initial_learning_rate, decay_steps, decay_rate, staircase

    def __call__(self, step: Any) -> Tensor:
        return call(self._rate, convert(step))  # type: ignore[no-any-return]

    def _rate(self, step: Any) -> Any:
        initial, steps, rate, staircase = self._settings
        progress = step.astype(np.float32) / steps
        return initial * rate ** (np.floor(progress) if staircase else progress)


class CosineDecay:
    """Half a cosine from initial_learning_rate to alpha times it, in decay_steps steps."""

    def __init__(self, initial_learning_rate: float, decay_steps: float, alpha: float = 0.0):
        self._settings = initial_learning_rate, decay_steps, alpha

    def __call__(self, step: Any) -> Tensor:
        return call(self._rate, convert(step))  # type: ignore[no-any-return]

    def _rate(self, step: Any) -> Any:
        initial, steps, alpha = self._settings
        progress = np.minimum(step.astype(np.float32), steps) / steps
        height = 0.5 * (1 + np.cos(math.pi * progress))
        return initial * ((1 - alpha) * height + alpha)


class CosineDecayRestarts:
    """The same again and again (Loshchilov and Hutter 2017): periods t_mul times as long, from
    rates m_mul times as high."""

    def __init__(
        self, initial_learning_rate: float, first_decay_steps: float, t_mul: float = 2.0,
        m_mul: float = 1.0, alpha: float = 0.0,
    ):  # fmt: skip
        self._settings = initial_learning_rate, first_decay_steps, t_mul, m_mul, alpha

    def __call__(self, step: Any) -> Tensor:
        return call(self._rate, convert(step))  # type: ignore[no-any-return]

    def _rate(self, step: Any) -> Any:
        initial, first, t_mul, m_mul, alpha = self._settings
        done = step.astype(np.float32) / first
        if t_mul == 1.0:
            period = np.floor(done)
            part = done - period
        else:
            period = np.floor(np.log1p(done * (t_mul - 1.0)) / math.log(t_mul))
            begun = (1.0 - t_mul**period) / (1.0 - t_mul)
            part = (done - begun) / t_mul**period
        height = 0.5 * m_mul**period * (1 + np.cos(math.pi * part))
        return initial * ((1 - alpha) * height + alpha)


class InverseTimeDecay:
    """initial_learning_rate / (1 + decay_rate * steps / decay_steps)."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, decay_rate: float,
        staircase: bool = False,
    ):  # fmt: skip
        self._settings = initial_learning_rate, decay_steps, decay_rate, staircase

    def __call__(self, step: Any) -> Tensor:
        return call(self._rate, convert(step))  # type: ignore[no-any-return]

    def _rate(self, step: Any) -> Any:
        initial, steps, rate, staircase = self._settings
        progress = step.astype(np.float32) / steps
        return initial / (1 + rate * (np.floor(progress) if staircase else progress))


class PolynomialDecay:
    """From initial_learning_rate to end_learning_rate in decay_steps steps, by a power; cycle: in
    as many times that many steps as it takes."""

    def __init__(
        self, initial_learning_rate: float, decay_steps: float, end_learning_rate: float = 1e-4,
        power: float = 1.0, cycle: bool = False,
    ):  # fmt: skip
        self._settings = initial_learning_rate, decay_steps, end_learning_rate, power, cycle

    def __call__(self, step: Any) -> Tensor:
        return call(self._rate, convert(step))  # type: ignore[no-any-return]

    def _rate(self, step: Any) -> Any:
        initial, steps, end, power, cycle = self._settings
        done = step.astype(np.float32)
        whole = steps * np.maximum(np.ceil(done / steps), 1) if cycle else steps
        left = 1 - np.minimum(done, whole) / whole
        return (initial - end) * left**power + end


class PiecewiseConstantDecay:
    """values[i] up to the step boundaries[i], and the last one then."""

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]):
        if len(values) != len(boundaries) + 1:
            raise ArgumentError(
                "The length of boundaries should be 1 less than the length of values",
                where=user_frame(),
            )
        self._settings = list(boundaries), list(values)

    def __call__(self, step: Any) -> Tensor:
        return call(self._rate, convert(step))  # type: ignore[no-any-return]

    def _rate(self, step: Any) -> Any:
        boundaries, values = self._settings
        rate = np.full((), values[-1], np.float32)
        for boundary, value in zip(boundaries[::-1], values[-2::-1], strict=True):
            rate = np.where(step <= boundary, np.float32(value), rate)
        return rate

"""Optimizers: what they keep of the past are variables, and a step is one compiled program.

The formulas and the defaults are those of Keras.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tracejit.compat.tensorflow.arrays import clip_by_global_norm
from tracejit.compat.tensorflow.function import Function
from tracejit.compat.tensorflow.module import Module
from tracejit.compat.tensorflow.tape import GradientTape
from tracejit.compat.tensorflow.tensor import Tensor, call, convert
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ArgumentError
from tracejit.trace.provenance import user_frame

__all__ = [
    "SGD", "Adagrad", "Adam", "AdamW", "CosineDecay", "ExponentialDecay", "Optimizer", "RMSprop",
    "schedules",
]  # fmt: skip

Rate = float | Callable[[Any], Any]


class Optimizer(Module):
    """What optimizers have in common. A subclass says what it keeps for each variable (`slots`,
    with the numbers that they begin with) and what a step does (`step`).

    learning_rate: a number, or a function of the number of steps that were taken. clipnorm,
    clipvalue, global_clipnorm: bounds for each gradient, each element, all gradients together.
    """

    slots: tuple[tuple[str, float], ...] = ()

    def __init__(
        self, learning_rate: Rate, name: str | None = None, *, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None,
    ):  # fmt: skip
        super().__init__(name)
        self.iterations = Variable(np.int64(0), trainable=False, name="iterations")
        self._schedule = learning_rate if callable(learning_rate) else None
        self._rate = Variable(0.0 if self._schedule else learning_rate, trainable=False)
        self._clip = clipnorm, clipvalue, global_clipnorm
        self._kept: dict[Any, list[Variable]] = {}
        self._update = Function(self._apply)

    @property
    def learning_rate(self) -> Any:
        """The rate of the next step; it can be given another value."""
        return self._rate if self._schedule is None else self._schedule(self.iterations)

    @learning_rate.setter
    def learning_rate(self, rate: Any) -> None:
        self._schedule = None
        self._rate.assign(rate)

    lr = learning_rate

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Any, Variable]]) -> Variable:
        """A step for pairs of a gradient and its variable; those whose gradient is None stay.

        Returns the number of steps. Raises ArgumentError where every gradient is None.
        """
        pairs = [(g, v) for g, v in grads_and_vars]
        kept = [(g, v) for g, v in pairs if g is not None]
        if not kept:
            names = ", ".join(v.name for _, v in pairs)
            raise ArgumentError(
                f"No gradients provided for any variable: ({names})", where=user_frame(),
                hint="compute the loss from the variables inside of the tape's block",
            )  # fmt: skip
        for _, v in kept:
            if v.ref() not in self._kept:
                self._kept[v.ref()] = [
                    Variable(np.full(v.shape, first, v.dtype.as_numpy_dtype), trainable=False,
                             name=name)
                    for name, first in self.slots
                ]  # fmt: skip
        self._update([convert(g) for g, _ in kept], [v for _, v in kept])
        return self.iterations

    def minimize(
        self, loss: Any, var_list: Sequence[Variable] | Callable[[], Sequence[Variable]],
        tape: GradientTape | None = None,
    ) -> Variable:  # fmt: skip
        """A step down a loss: a function without arguments, or a tensor that `tape` recorded."""
        if tape is None:
            with GradientTape() as tape:
                loss = loss()
        variables = var_list() if callable(var_list) else var_list
        return self.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    @property
    def variables(self) -> tuple[Variable, ...]:
        """The number of steps, the rate, and what is kept for each variable."""
        return (self.iterations, self._rate, *[v for kept in self._kept.values() for v in kept])

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """(new v, *new kept) for arrays; count is 1 in the first step."""
        raise NotImplementedError

    def _apply(self, gradients: list[Any], variables: list[Variable]) -> None:
        rate = convert(self.learning_rate)
        count = self.iterations.assign_add(1)
        for g, v in zip(self._clipped(gradients), variables, strict=True):
            kept = self._kept[v.ref()]
            for variable, value in zip(
                [v, *kept], call(self.step, rate, count, g, v, *kept), strict=True
            ):
                variable.assign(value)

    def _clipped(self, gradients: list[Any]) -> list[Any]:
        norm, value, together = self._clip
        if value is not None:
            gradients = [call(np.clip, g, -value, value) for g in gradients]
        if norm is not None:
            gradients = [clip_by_global_norm([g], norm)[0][0] for g in gradients]
        return gradients if together is None else clip_by_global_norm(gradients, together)[0]


class SGD(Optimizer):
    """v - rate g; with momentum along a sum of past steps, which forgets."""

    def __init__(
        self, learning_rate: Rate = 0.01, momentum: float = 0.0, nesterov: bool = False,
        name: str | None = None, **clipping: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **clipping)
        self.momentum, self.nesterov = momentum, nesterov
        self.slots = (("momentum", 0.0),) if momentum else ()

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """m = momentum m - rate g; v + m, or v + momentum m - rate g (Nesterov)."""
        rate = rate.astype(v.dtype)
        if not kept:
            return (v - rate * g,)
        m = self.momentum * kept[0] - rate * g
        return v + (self.momentum * m - rate * g if self.nesterov else m), m


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015), in the form ahead of its section 2.1: epsilon is outside."""

    slots = (("momentum", 0.0), ("velocity", 0.0))

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, amsgrad: bool = False, name: str | None = None, **clipping: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **clipping)
        if amsgrad:
            raise ArgumentError("Adam: amsgrad is not there", where=user_frame(), hint="leave it")
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """v - alpha m / (sqrt(s) + epsilon), alpha = rate sqrt(1 - beta_2^t) / (1 - beta_1^t)."""
        m, s = kept
        t, rate = count.astype(v.dtype), rate.astype(v.dtype)
        alpha = rate * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        m = m + (g - m) * (1 - self.beta_1)
        s = s + (np.square(g) - s) * (1 - self.beta_2)
        return v - m * alpha / (np.sqrt(s) + self.epsilon), m, s


class AdamW(Adam):
    """Adam, with variables that decay by rate * weight_decay in each step."""

    def __init__(self, learning_rate: Rate = 0.001, weight_decay: float = 0.004, **options: Any):
        super().__init__(learning_rate, **options)
        self.weight_decay = weight_decay

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """The decay, then Adam's step."""
        smaller = v - v * self.weight_decay * rate.astype(v.dtype)
        return super().step(rate, count, g, smaller, *kept)


class RMSprop(Optimizer):
    """Steps over the root of a mean of squared gradients (Tieleman and Hinton 2012)."""

    def __init__(
        self, learning_rate: Rate = 0.001, rho: float = 0.9, momentum: float = 0.0,
        epsilon: float = 1e-7, centered: bool = False, name: str | None = None, **clipping: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **clipping)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered
        self.slots = (("velocity", 0.0), ("momentum", 0.0), ("average_gradient", 0.0))

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """v - m, m = momentum m + rate g / sqrt(s + epsilon); centered: s less the mean squared."""
        s, m, mean = kept
        s = self.rho * s + (1 - self.rho) * np.square(g)
        mean = self.rho * mean + (1 - self.rho) * g if self.centered else mean
        spread = s - np.square(mean) if self.centered else s
        push = rate.astype(v.dtype) * g / np.sqrt(spread + self.epsilon)
        m = self.momentum * m + push if self.momentum else m
        return v - (m if self.momentum else push), s, m, mean


class Adagrad(Optimizer):
    """Steps over the root of the sum of squared gradients (Duchi, Hazan and Singer 2011)."""

    def __init__(
        self, learning_rate: Rate = 0.001, initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7, name: str | None = None, **clipping: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **clipping)
        self.epsilon = epsilon
        self.slots = (("accumulator", initial_accumulator_value),)

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """v - rate g / sqrt(sum g^2 + epsilon)."""
        total = kept[0] + np.square(g)
        return v - rate.astype(v.dtype) * g / np.sqrt(total + self.epsilon), total


# Rates that change


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


class schedules:
    """tf.keras.optimizers.schedules."""

    CosineDecay = CosineDecay
    ExponentialDecay = ExponentialDecay

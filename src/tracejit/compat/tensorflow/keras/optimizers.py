"""Optimizers: what they keep of the past are variables, and a step is one compiled program.

The formulas and the defaults are those of Keras.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from tracejit.compat.tensorflow.arrays import clip_by_global_norm
from tracejit.compat.tensorflow.function import Function
from tracejit.compat.tensorflow.keras import schedules
from tracejit.compat.tensorflow.module import Module
from tracejit.compat.tensorflow.tape import GradientTape
from tracejit.compat.tensorflow.tensor import call, convert
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ArgumentError
from tracejit.trace.provenance import user_frame

__all__ = [
    "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Nadam", "Optimizer",
    "RMSprop", "legacy", "schedules",
]  # fmt: skip

Rate = float | Callable[[Any], Any]


class Optimizer(Module):
    """What optimizers have in common. A subclass says what it keeps for each variable (`slots`,
    with the numbers that they begin with) and what a step does (`step`).

    learning_rate: a number, or a function of the number of steps that were taken. clipnorm,
    clipvalue, global_clipnorm: bounds for each gradient, each element, all gradients together.
    weight_decay: by how much variables decay in each step, times the rate.
    """

    slots: tuple[tuple[str, float], ...] = ()
    #: What is kept as one number for each variable.
    numbers: tuple[tuple[str, float], ...] = ()

    def __init__(
        self, learning_rate: Rate, name: str | None = None, *, clipnorm: float | None = None,
        clipvalue: float | None = None, global_clipnorm: float | None = None,
        weight_decay: float | None = None, **options: Any,
    ):  # fmt: skip
        super().__init__(name)
        self.iterations = Variable(np.int64(0), trainable=False, name="iterations")
        self._schedule = learning_rate if callable(learning_rate) else None
        self._rate = Variable(0.0 if self._schedule else learning_rate, trainable=False)
        self._clip = clipnorm, clipvalue, global_clipnorm
        self.weight_decay = weight_decay
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
                kinds = [(v.shape, self.slots), ((), self.numbers)]
                self._kept[v.ref()] = [
                    Variable(np.full(shape, first, v.dtype.as_numpy_dtype), trainable=False,
                             name=name)
                    for shape, slots in kinds for name, first in slots
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
            given = v
            if self.weight_decay is not None:
                given = call(_decayed, v, rate, self.weight_decay)
            new = call(self.step, rate, count, g, given, *kept)
            for variable, value in zip([v, *kept], new, strict=True):
                variable.assign(value)

    def _clipped(self, gradients: list[Any]) -> list[Any]:
        norm, value, together = self._clip
        if value is not None:
            gradients = [call(np.clip, g, -value, value) for g in gradients]
        if norm is not None:
            gradients = [clip_by_global_norm([g], norm)[0][0] for g in gradients]
        return gradients if together is None else clip_by_global_norm(gradients, together)[0]


def _decayed(v: Any, rate: Any, decay: float) -> Any:
    return v - v * decay * rate.astype(v.dtype)


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

    slots: tuple[tuple[str, float], ...] = (("momentum", 0.0), ("velocity", 0.0))

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, amsgrad: bool = False, name: str | None = None, **clipping: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **clipping)
        if amsgrad:
            self.slots = (*self.slots, ("velocity_hat", 0.0))
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """v - alpha m / (sqrt(s) + epsilon), alpha = rate sqrt(1 - beta_2^t) / (1 - beta_1^t);
        with amsgrad (Reddi et al. 2018) over the greatest s so far."""
        m, s, *greatest = kept
        t, rate = count.astype(v.dtype), rate.astype(v.dtype)
        alpha = rate * np.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        m = m + (g - m) * (1 - self.beta_1)
        s = s + (np.square(g) - s) * (1 - self.beta_2)
        greatest = [np.maximum(most, s) for most in greatest]
        under = greatest[0] if greatest else s
        return v - m * alpha / (np.sqrt(under) + self.epsilon), m, s, *greatest


class AdamW(Adam):
    """Adam, with variables that decay by rate * weight_decay in each step."""

    def __init__(self, learning_rate: Rate = 0.001, weight_decay: float = 0.004, **options: Any):
        super().__init__(learning_rate, weight_decay=weight_decay, **options)


class Adamax(Optimizer):
    """Adam with the greatest gradient in place of a mean of squares (Kingma and Ba 2015, 7.1)."""

    slots = (("momentum", 0.0), ("norm", 0.0))

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, name: str | None = None, **options: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """v - rate m / ((1 - beta_1^t) (u + epsilon)), u = max(beta_2 u, |g|)."""
        m, u = kept
        t, rate = count.astype(v.dtype), rate.astype(v.dtype)
        m = m + (g - m) * (1 - self.beta_1)
        u = np.maximum(self.beta_2 * u, np.absolute(g))
        return v - rate * m / ((1 - self.beta_1**t) * (u + self.epsilon)), m, u


class Nadam(Optimizer):
    """Adam with Nesterov's momentum (Dozat 2015)."""

    slots = (("momentum", 0.0), ("velocity", 0.0))
    numbers = (("product", 1.0),)

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.999,
        epsilon: float = 1e-7, name: str | None = None, **options: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **options)
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """u_t = beta_1 (1 - 0.96^t / 2) is the momentum of step t; those so far are multiplied."""
        m, s, product = kept
        t, rate = count.astype(v.dtype), rate.astype(v.dtype)
        now, ahead = (self.beta_1 * (1 - 0.5 * 0.96**k) for k in (t, t + 1))
        product = product * now
        m = m + (g - m) * (1 - self.beta_1)
        s = s + (np.square(g) - s) * (1 - self.beta_2)
        first = ahead * m / (1 - product * ahead) + (1 - now) * g / (1 - product)
        second = s / (1 - self.beta_2**t)
        return v - rate * first / (np.sqrt(second) + self.epsilon), m, s, product


class Adadelta(Optimizer):
    """Steps of the size of past steps (Zeiler 2012)."""

    slots = (("accumulated_gradient", 0.0), ("accumulated_delta", 0.0))

    def __init__(
        self, learning_rate: Rate = 0.001, rho: float = 0.95, epsilon: float = 1e-7,
        name: str | None = None, **options: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **options)
        self.rho, self.epsilon = rho, epsilon

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """v - rate d, d = g sqrt(mean d^2 + epsilon) / sqrt(mean g^2 + epsilon)."""
        squares, steps = kept
        squares = self.rho * squares + (1 - self.rho) * np.square(g)
        d = g * np.sqrt(steps + self.epsilon) / np.sqrt(squares + self.epsilon)
        steps = self.rho * steps + (1 - self.rho) * np.square(d)
        return v - rate.astype(v.dtype) * d, squares, steps


class Lion(Optimizer):
    """Steps of one size, by the sign of a mean of gradients (Chen et al. 2023)."""

    slots = (("momentum", 0.0),)

    def __init__(
        self, learning_rate: Rate = 0.001, beta_1: float = 0.9, beta_2: float = 0.99,
        name: str | None = None, **options: Any,
    ):  # fmt: skip
        super().__init__(learning_rate, name, **options)
        self.beta_1, self.beta_2 = beta_1, beta_2

    def step(self, rate: Any, count: Any, g: Any, v: Any, *kept: Any) -> Sequence[Any]:
        """v - rate sign(beta_1 m + (1 - beta_1) g), m = beta_2 m + (1 - beta_2) g."""
        (m,) = kept
        move = np.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        return v - rate.astype(v.dtype) * move, self.beta_2 * m + (1 - self.beta_2) * g


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


class legacy:
    """tf.keras.optimizers.legacy: the same."""

    SGD, Adam, RMSprop, Adagrad = SGD, Adam, RMSprop, Adagrad
    Adadelta, Adamax, Nadam = Adadelta, Adamax, Nadam

"""Metrics: running means in variables, which a `function` may update; asked by `result()`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.compat.tensorflow import compositions
from tracejit.compat.tensorflow.module import Module
from tracejit.compat.tensorflow.tensor import Tensor, call, convert
from tracejit.compat.tensorflow.variable import Variable

__all__ = [
    "Accuracy", "BinaryAccuracy", "CategoricalAccuracy", "Mean", "MeanAbsoluteError",
    "MeanSquaredError", "RootMeanSquaredError", "SparseCategoricalAccuracy", "Sum",
]  # fmt: skip


class Sum(Module):
    """The sum of all values that it was given since it was reset."""

    def __init__(self, name: str | None = None, **options: Any):
        super().__init__(name)
        self._total = Variable(0.0, trainable=False, name="total")
        self._count = Variable(0.0, trainable=False, name="count")

    def _values(self, *given: Any) -> Tensor:
        """What is summed, as floats."""
        (values,) = given
        return call(compositions.cast, convert(values), np.dtype("float32"))  # type: ignore

    def update_state(self, *args: Any) -> None:
        """Count values in."""
        values = self._values(*args)
        self._total.assign_add(call(np.sum, values))
        self._count.assign_add(float(values.shape.num_elements()))

    def result(self) -> Tensor:
        """The sum so far."""
        return self._total.value()

    def reset_state(self) -> None:
        """Forget all values."""
        self._total.assign(0.0)
        self._count.assign(0.0)

    reset_states = reset_state

    def __call__(self, *args: Any) -> Tensor:
        self.update_state(*args)
        return self.result()


class Mean(Sum):
    """The mean of all values that it was given since it was reset; 0 of none."""

    def result(self) -> Tensor:
        return call(compositions.divide_no_nan, self._total, self._count)  # type: ignore


class _Comparison(Mean):
    """The mean of a function of the truth and what was predicted."""

    compare: Callable[..., Any]

    def _values(self, *given: Any) -> Tensor:
        y_true, y_pred = given
        return call(type(self).compare, convert(y_true), convert(y_pred))  # type: ignore


def _comparison(name: str, fun: Callable[..., Any], base: type = _Comparison) -> Any:
    return type(name, (base,), {"compare": staticmethod(fun), "__doc__": fun.__doc__})


def _equal(y_true: Any, y_pred: Any) -> Any:
    """How many predictions are equal to the truth, as a part of 1."""
    return np.equal(y_true, y_pred).astype(np.float32)


def _class(y_true: Any, y_pred: Any) -> Any:
    """How many rows of probabilities, or logits, are greatest at the true class."""
    guessed = np.argmax(y_pred, axis=-1)
    return np.equal(np.reshape(y_true, guessed.shape), guessed).astype(np.float32)


def _hot(y_true: Any, y_pred: Any) -> Any:
    """How many rows are greatest where the true row is."""
    return np.equal(np.argmax(y_true, axis=-1), np.argmax(y_pred, axis=-1)).astype(np.float32)


def _binary(y_true: Any, y_pred: Any) -> Any:
    """How many probabilities are above 1/2 where the truth is 1, and not above it where it is 0."""
    return np.equal(np.reshape(y_true, y_pred.shape) > 0.5, y_pred > 0.5).astype(np.float32)


def _square(y_true: Any, y_pred: Any) -> Any:
    """The mean of (y_pred - y_true)^2."""
    return np.square(y_pred - y_true.astype(y_pred.dtype)).astype(np.float32)


def _distance(y_true: Any, y_pred: Any) -> Any:
    """The mean of |y_pred - y_true|."""
    return np.absolute(y_pred - y_true.astype(y_pred.dtype)).astype(np.float32)


Accuracy = _comparison("Accuracy", _equal)
BinaryAccuracy = _comparison("BinaryAccuracy", _binary)
CategoricalAccuracy = _comparison("CategoricalAccuracy", _hot)
SparseCategoricalAccuracy = _comparison("SparseCategoricalAccuracy", _class)
MeanSquaredError = _comparison("MeanSquaredError", _square)
MeanAbsoluteError = _comparison("MeanAbsoluteError", _distance)


class RootMeanSquaredError(_Comparison):
    """The root of the mean of (y_pred - y_true)^2."""

    compare = staticmethod(_square)

    def result(self) -> Tensor:
        return call(np.sqrt, super().result())  # type: ignore[no-any-return]

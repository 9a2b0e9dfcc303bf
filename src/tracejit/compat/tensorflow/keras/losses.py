"""Losses: functions of (y_true, y_pred) with one number a row, and objects that take the mean."""

from __future__ import annotations

from typing import Any

from tracejit import nn
from tracejit import numpy as np
from tracejit.compat.tensorflow import compositions
from tracejit.compat.tensorflow.tensor import call, convert

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "Huber", "Loss", "MeanAbsoluteError",
    "MeanSquaredError", "SparseCategoricalCrossentropy", "binary_crossentropy",
    "categorical_crossentropy", "huber", "mae", "mean_absolute_error", "mean_squared_error", "mse",
    "sparse_categorical_crossentropy",
]  # fmt: skip

#: Probabilities keep this distance from 0 and 1, as in Keras.
_EPSILON = 1e-7


def _of_arrays(fun: Any) -> Any:
    """A loss on tensors: y_true takes the dtype of y_pred, unless it is one of classes."""

    def loss(y_true: Any, y_pred: Any, **options: Any) -> Any:
        predicted = convert(y_pred)
        return call(fun, convert(y_true), predicted, **options)

    loss.__name__ = loss.__qualname__ = fun.__name__
    loss.__doc__ = fun.__doc__
    return loss


@_of_arrays
def mean_squared_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of (y_pred - y_true)^2 over the last axis."""
    return np.mean(np.square(y_pred - y_true.astype(y_pred.dtype)), axis=-1)


@_of_arrays
def mean_absolute_error(y_true: Any, y_pred: Any) -> Any:
    """The mean of |y_pred - y_true| over the last axis."""
    return np.mean(np.absolute(y_pred - y_true.astype(y_pred.dtype)), axis=-1)


@_of_arrays
def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Any:
    """Half the square up to `delta`, and linear beyond; its mean over the last axis."""
    off = np.absolute(y_pred - y_true.astype(y_pred.dtype))
    return np.mean(np.where(off <= delta, off * off / 2, delta * (off - delta / 2)), axis=-1)


@_of_arrays
def binary_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """The cross entropy of probabilities, or of their logits; its mean over the last axis."""
    labels = y_true.astype(y_pred.dtype)
    if from_logits:
        return np.mean(compositions.sigmoid_cross_entropy(labels, y_pred), axis=-1)
    p = np.clip(y_pred, _EPSILON, 1 - _EPSILON)
    return np.mean(-labels * np.log(p) - (1 - labels) * np.log(1 - p), axis=-1)


@_of_arrays
def categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """The cross entropy of rows of probabilities, or of their logits."""
    return -np.sum(y_true.astype(y_pred.dtype) * _log(y_pred, from_logits), axis=-1)


@_of_arrays
def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False) -> Any:
    """The same for labels that are numbers of classes."""
    labels = np.expand_dims(y_true.astype("int64"), -1)
    return -np.take_along_axis(_log(y_pred, from_logits), labels, axis=-1)[..., 0]


def _log(y_pred: Any, from_logits: bool) -> Any:
    """The logarithms of probabilities."""
    if from_logits:
        return nn.log_softmax(y_pred)
    total = np.sum(y_pred, axis=-1, keepdims=True)
    return np.log(np.clip(y_pred / total, _EPSILON, 1 - _EPSILON))


mse, mae = mean_squared_error, mean_absolute_error


def _mean(x: Any) -> Any:
    return np.mean(x)


class Loss:
    """A loss as an object: loss(y_true, y_pred) is its mean over all rows."""

    fun: Any = None

    def __init__(self, name: str | None = None, **options: Any):
        self.name, self._options = name, options

    def __call__(self, y_true: Any, y_pred: Any) -> Any:
        return call(_mean, type(self).fun(y_true, y_pred, **self._options))


def _class(name: str, fun: Any) -> type[Loss]:
    return type(name, (Loss,), {"fun": staticmethod(fun), "__doc__": fun.__doc__})


MeanSquaredError = _class("MeanSquaredError", mean_squared_error)
MeanAbsoluteError = _class("MeanAbsoluteError", mean_absolute_error)
Huber = _class("Huber", huber)
BinaryCrossentropy = _class("BinaryCrossentropy", binary_crossentropy)
CategoricalCrossentropy = _class("CategoricalCrossentropy", categorical_crossentropy)
SparseCategoricalCrossentropy = _class(
    "SparseCategoricalCrossentropy", sparse_categorical_crossentropy
)

"""Losses: functions of (y_true, y_pred) with one number a row, and objects that take the mean."""

from __future__ import annotations

from typing import Any

from tracejit import nn
from tracejit import numpy as np
from tracejit.compat.tensorflow import compositions
from tracejit.compat.tensorflow.tensor import call, convert
from tracejit.errors import ArgumentError
from tracejit.trace.provenance import user_frame

__all__ = [
    "BinaryCrossentropy", "CategoricalCrossentropy", "CosineSimilarity", "Hinge", "Huber",
    "KLDivergence", "LogCosh", "Loss", "MeanAbsoluteError", "MeanSquaredError",
    "SparseCategoricalCrossentropy", "binary_crossentropy", "categorical_crossentropy",
    "cosine_similarity", "hinge", "huber", "kl_divergence", "log_cosh", "mae",
    "mean_absolute_error", "mean_squared_error", "mse", "sparse_categorical_crossentropy",
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
def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0
) -> Any:
    """The cross entropy of rows of probabilities, or of their logits. label_smoothing: how much of
    the truth is spread over all classes."""
    labels = y_true.astype(y_pred.dtype)
    if label_smoothing:
        labels = labels * (1 - label_smoothing) + label_smoothing / y_pred.shape[-1]
    return -np.sum(labels * _log(y_pred, from_logits), axis=-1)


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


@_of_arrays
def kl_divergence(y_true: Any, y_pred: Any) -> Any:
    """sum y_true log(y_true / y_pred) over the last axis."""
    p, q = (np.clip(y, _EPSILON, 1) for y in (y_true.astype(y_pred.dtype), y_pred))
    return np.sum(p * np.log(p / q), axis=-1)


@_of_arrays
def hinge(y_true: Any, y_pred: Any) -> Any:
    """max(1 - y_true y_pred, 0) for truths -1 and 1 (or 0 and 1); its mean over the last axis."""
    y = y_true.astype(y_pred.dtype)
    signs = np.where(np.all((y == 0) | (y == 1)), 2 * y - 1, y)
    return np.mean(np.maximum(1 - signs * y_pred, 0), axis=-1)


@_of_arrays
def log_cosh(y_true: Any, y_pred: Any) -> Any:
    """log cosh(y_pred - y_true), its mean over the last axis."""
    off = y_pred - y_true.astype(y_pred.dtype)
    return np.mean(off + nn.softplus(-2 * off) - np.log(2.0).astype(off.dtype), axis=-1)


@_of_arrays
def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Any:
    """The negative cosine of the angle between rows."""
    unit = [compositions.l2_normalize(y, axis) for y in (y_true.astype(y_pred.dtype), y_pred)]
    return -np.sum(unit[0] * unit[1], axis=axis)


mse, mae = mean_squared_error, mean_absolute_error


def _sum(x: Any) -> Any:
    return np.sum(x)


def _weighted(rows: Any, weights: Any) -> Any:
    return rows * np.reshape(weights, (-1,) + (1,) * (rows.ndim - 1)).astype(rows.dtype)


def _mean(x: Any) -> Any:
    return np.mean(x)


class Loss:
    """A loss as an object: loss(y_true, y_pred) is its mean over all rows, their "sum", or with
    reduction="none" the rows. sample_weight: a factor for each row."""

    fun: Any = None
    positional: tuple[str, ...] = ()

    def __init__(
        self, *args: Any, reduction: str = "sum_over_batch_size", name: str | None = None,
        **options: Any,
    ):  # fmt: skip
        self.name, self._options = name, options
        self._options.update(zip(self.positional, args, strict=False))
        reduction = reduction.lower()
        if reduction not in ("auto", "none", "sum", "sum_over_batch_size"):
            raise ArgumentError(
                f"reduction {reduction!r}: 'sum_over_batch_size', 'sum' or 'none'",
                where=user_frame(),
            )
        self._reduction = reduction

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Any:
        rows = type(self).fun(y_true, y_pred, **self._options)
        if sample_weight is not None:
            rows = call(_weighted, rows, convert(sample_weight))
        if self._reduction == "none":
            return rows
        return call(_sum if self._reduction == "sum" else _mean, rows)


def _class(name: str, fun: Any, *positional: str) -> type[Loss]:
    members = {"fun": staticmethod(fun), "__doc__": fun.__doc__, "positional": positional}
    return type(name, (Loss,), members)


MeanSquaredError = _class("MeanSquaredError", mean_squared_error)
MeanAbsoluteError = _class("MeanAbsoluteError", mean_absolute_error)
Huber = _class("Huber", huber, "delta")
BinaryCrossentropy = _class("BinaryCrossentropy", binary_crossentropy, "from_logits")
CategoricalCrossentropy = _class(
    "CategoricalCrossentropy", categorical_crossentropy, "from_logits", "label_smoothing"
)
SparseCategoricalCrossentropy = _class(
    "SparseCategoricalCrossentropy", sparse_categorical_crossentropy, "from_logits"
)
KLDivergence = _class("KLDivergence", kl_divergence)
Hinge = _class("Hinge", hinge)
LogCosh = _class("LogCosh", log_cosh)
CosineSimilarity = _class("CosineSimilarity", cosine_similarity, "axis")

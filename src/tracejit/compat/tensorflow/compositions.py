"""What TensorFlow has and NumPy has not, in NumPy's functions: on arrays and traced values."""

from __future__ import annotations

from typing import Any

from tracejit import nn
from tracejit import numpy as np
from tracejit.numpy.arrays import Array, ArrayLike

Axes = int | tuple[int, ...] | None


def divide(x: ArrayLike, y: ArrayLike) -> Array:
    """x / y, float64 of integers."""
    if all(np.asarray(z).dtype.kind in "iu" for z in (x, y)):
        x = np.astype(np.asarray(x), "float64")
    return np.divide(x, y)


def divide_no_nan(x: ArrayLike, y: ArrayLike) -> Array:
    """x / y, and 0 where y is 0."""
    zero = np.equal(y, 0)
    return np.where(zero, 0, np.divide(x, np.where(zero, 1, y)))


def multiply_no_nan(x: ArrayLike, y: ArrayLike) -> Array:
    """x y, and 0 where y is 0, whatever x is."""
    zero = np.equal(y, 0)
    return np.where(zero, 0, np.multiply(np.where(zero, 0, x), y))


def xdivy(x: ArrayLike, y: ArrayLike) -> Array:
    """x / y, and 0 where x is 0, whatever y is."""
    zero = np.equal(x, 0)
    return np.where(zero, 0, np.divide(x, np.where(zero, 1, y)))


def reciprocal_no_nan(x: ArrayLike) -> Array:
    """1 / x, and 0 where x is 0."""
    return divide_no_nan(np.ones_like(x), x)


def rsqrt(x: ArrayLike) -> Array:
    """1 / sqrt(x)."""
    return np.divide(1, np.sqrt(x))


def squared_difference(x: ArrayLike, y: ArrayLike) -> Array:
    """(x - y)^2."""
    return np.square(np.subtract(x, y))


def euclidean_norm(x: ArrayLike, axis: Axes = None, keepdims: bool = False) -> Array:
    """The root of the sum of squares."""
    return np.sqrt(np.sum(np.square(x), axis=axis, keepdims=keepdims))


def zero_fraction(x: ArrayLike) -> Array:
    """How many of the elements are 0, as a part of 1."""
    return np.mean(np.equal(x, 0).astype(np.asarray(x).dtype))


def top_k(x: Array, k: int = 1) -> tuple[Array, Array]:
    """The k largest of each row, the largest first, and their places."""
    places = np.argsort(np.negative(x), axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, places, axis=-1), places


def sort(x: Array, axis: int = -1, direction: str = "ASCENDING") -> Array:
    """Sorted along an axis."""
    ordered = np.sort(x, axis=axis)
    return ordered if direction == "ASCENDING" else np.flip(ordered, axis)


def argsort(x: Array, axis: int = -1, direction: str = "ASCENDING") -> Array:
    """The places of the sorted elements; equal ones keep their order."""
    return np.argsort(x if direction == "ASCENDING" else np.negative(x), axis=axis, kind="stable")


def clip_by_norm(t: Array, clip_norm: float, axes: Axes = None) -> Array:
    """t, made shorter where its Euclidean norm is above `clip_norm`."""
    length = np.sqrt(np.sum(np.square(t), axis=axes, keepdims=True))
    return np.where(length > clip_norm, t * clip_norm / np.maximum(length, clip_norm), t)


def gather(params: Array, indices: ArrayLike, axis: int = 0) -> Array:
    """The slices of `params` along an axis."""
    return np.take(params, indices, axis=axis)


def pad(x: Array, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Array:
    """Elements more at the ends of each axis."""
    if mode.upper() == "CONSTANT":
        return np.pad(x, paddings, constant_values=constant_values)
    return np.pad(x, paddings, mode.lower())


# Linear algebra


def matvec(a: Array, b: ArrayLike) -> Array:
    """Matrices times vectors."""
    return np.matmul(a, np.expand_dims(b, -1))[..., 0]


def diag_part(x: Array) -> Array:
    """The diagonals of matrices."""
    return np.diagonal(x, axis1=-2, axis2=-1)


def trace(x: Array) -> Array:
    """The sums of the diagonals of matrices."""
    return np.sum(diag_part(x), axis=-1)


# Neural networks


def l2_loss(t: Array) -> Array:
    """Half the sum of squares."""
    return np.divide(np.sum(np.square(t)), 2)


def l2_normalize(x: Array, axis: Axes = None, epsilon: float = 1e-12) -> Array:
    """x over its Euclidean norm, whose square is `epsilon` at least."""
    return x * rsqrt(np.maximum(np.sum(np.square(x), axis=axis, keepdims=True), epsilon))


def moments(x: Array, axes: Axes = None, keepdims: bool = False) -> tuple[Array, Array]:
    """Mean and variance."""
    return np.mean(x, axis=axes, keepdims=keepdims), np.var(x, axis=axes, keepdims=keepdims)


def softmax_cross_entropy(labels: Array, logits: Array, axis: int = -1) -> Array:
    """-sum labels log softmax(logits)."""
    return np.negative(np.sum(labels * nn.log_softmax(logits, axis), axis=axis))


def sparse_softmax_cross_entropy(labels: Array, logits: Array) -> Array:
    """-log softmax(logits) at the label of each row."""
    chosen = np.expand_dims(labels, -1)
    return np.negative(np.take_along_axis(nn.log_softmax(logits), chosen, axis=-1)[..., 0])


def sigmoid_cross_entropy(labels: Array, logits: Array) -> Array:
    """-labels log s - (1 - labels) log(1 - s), where s = sigmoid(logits)."""
    return nn.softplus(logits) - labels * logits


def cast(x: Array, dtype: Any) -> Array:
    """x in another dtype."""
    return x.astype(dtype)

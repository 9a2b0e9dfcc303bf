"""What TensorFlow has and NumPy has not, in NumPy's functions: on arrays and traced values."""

from __future__ import annotations

from typing import Any

from tracejit import lax, nn
from tracejit import numpy as np
from tracejit.compat.tensorflow import indexing
from tracejit.errors import ShapeError
from tracejit.numpy.arrays import Array, ArrayLike
from tracejit.scipy import linalg, special
from tracejit.trace.provenance import user_frame

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


def pad(x: Array, paddings: Any, mode: str = "CONSTANT", constant_values: float = 0) -> Array:
    """Elements more at the ends of each axis."""
    if mode.upper() == "CONSTANT":
        return np.pad(x, paddings, constant_values=constant_values)
    return np.pad(x, paddings, mode.lower())


def part(x: Array, begin: Any, size: Any) -> Array:
    """The elements from `begin` on, `size` of them along each axis; -1 stands for the rest."""
    ends = [None if n == -1 else a + n for a, n in zip(begin, size, strict=True)]
    return x[tuple(map(slice, begin, ends))]


def ensure_shape(x: Array, shape: Any) -> Array:
    """x; ShapeError where its shape is another. None stands for any size."""
    fits = len(shape) == x.ndim and all(m in (None, n) for m, n in zip(shape, x.shape, strict=True))
    if not fits:
        raise ShapeError(f"ensure_shape: {tuple(shape)} for a tensor of shape {x.shape}",
                         where=user_frame())  # fmt: skip
    return x


def cumulative_logsumexp(x: Array, axis: int = 0) -> Array:
    """The logarithms of the cumulative sums of exponentials."""
    return lax.cumlogsumexp(x, axis % x.ndim)


def lbeta(x: Array) -> Array:
    """sum log Gamma(x) - log Gamma(sum x), over the last axis."""
    return np.sum(special.gammaln(x), axis=-1) - special.gammaln(np.sum(x, axis=-1))


def polyval(coeffs: Any, x: ArrayLike) -> Array:
    """The polynomial whose leading coefficient is the first one."""
    total = np.zeros_like(x)
    for c in coeffs:
        total = total * x + c
    return total


def segment_sum(data: Array, segment_ids: Any) -> Array:
    """The sums of the slices of each number; the numbers are known."""
    return indexing.segment_sum(data, segment_ids, int(np.max(segment_ids)) + 1)


def segment_mean(data: Array, segment_ids: Any) -> Array:
    """Their means."""
    return indexing.segment_mean(data, segment_ids, int(np.max(segment_ids)) + 1)


# Linear algebra


def diag(diagonal: ArrayLike) -> Array:
    """Square matrices with these diagonals, which are the last axis."""
    x = np.asarray(diagonal)
    return np.expand_dims(x, -1) * np.eye(x.shape[-1], dtype=x.dtype)


def set_diag(x: Array, diagonal: ArrayLike) -> Array:
    """Matrices with other diagonals."""
    on = np.eye(x.shape[-2], x.shape[-1], dtype=bool)
    rows = np.expand_dims(diagonal, -1 if x.shape[-2] <= x.shape[-1] else -2)
    return np.where(on, rows, x)


def band_part(x: Array, num_lower: int, num_upper: int) -> Array:
    """Matrices with so many diagonals below and above the main one; -1 keeps all."""
    row, column = np.arange(x.shape[-2])[:, None], np.arange(x.shape[-1])
    low = (row - column <= num_lower) | (num_lower < 0)
    return np.where(low & ((column - row <= num_upper) | (num_upper < 0)), x, 0)


def svd(x: Array, full_matrices: bool = False, compute_uv: bool = True) -> Any:
    """(s, u, v): TensorFlow gives the values first, and v itself."""
    if not compute_uv:
        return np.linalg.svdvals(x)
    u, s, vh = np.linalg.svd(x, full_matrices=full_matrices)
    return s, u, np.matrix_transpose(vh)


def logdet(x: Array) -> Array:
    """The logarithms of the determinants of positive definite matrices."""
    return 2 * np.sum(np.log(diag_part(np.linalg.cholesky(x))), axis=-1)


def triangular_solve(
    matrix: Array, rhs: ArrayLike, lower: bool = True, adjoint: bool = False
) -> Array:
    """The x with matrix x = rhs, or matrix' x = rhs, for a triangle."""
    return linalg.solve_triangular(matrix, rhs, trans=1 if adjoint else 0, lower=lower)


def cholesky_solve(chol: Array, rhs: ArrayLike) -> Array:
    """The x with L L' x = rhs."""
    return triangular_solve(chol, triangular_solve(chol, rhs), adjoint=True)


def lstsq(matrix: Array, rhs: ArrayLike, l2_regularizer: float = 0.0) -> Array:
    """The x that minimises |matrix x - rhs|^2 + l2_regularizer |x|^2, by the normal equations."""
    transposed = np.matrix_transpose(matrix)
    ridge = l2_regularizer * np.eye(matrix.shape[-1], dtype=matrix.dtype)
    return np.linalg.solve(transposed @ matrix + ridge, transposed @ rhs)


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


def weighted_cross_entropy(labels: Array, logits: Array, pos_weight: ArrayLike) -> Array:
    """The same, with the terms of positive labels times `pos_weight`."""
    factor = 1 + (pos_weight - 1) * labels
    return (1 - labels) * logits + factor * nn.softplus(np.negative(logits))


def batch_normalization(
    x: Array, mean: ArrayLike, variance: ArrayLike, offset: Any, scale: Any,
    variance_epsilon: float,
) -> Array:  # fmt: skip
    """(x - mean) / sqrt(variance + epsilon), times scale, plus offset where there are any."""
    y = (x - mean) * rsqrt(np.add(variance, variance_epsilon))
    y = y if scale is None else y * scale
    return y if offset is None else y + offset


def crelu(x: Array) -> Array:
    """relu(x), and relu(-x) behind it."""
    return np.concatenate([nn.relu(x), nn.relu(np.negative(x))], axis=-1)


def in_top_k(targets: Array, predictions: ArrayLike, k: int) -> Array:
    """Whether the target of each row is among its k greatest predictions."""
    scores = np.asarray(predictions)
    mine = np.take_along_axis(scores, targets[:, None], axis=-1)
    return np.sum(scores > mine, axis=-1) < k


def bias_add(value: Array, bias: ArrayLike) -> Array:
    """value + bias, along the last axis."""
    return np.add(value, bias)


def scalar_mul(scalar: Array, x: ArrayLike) -> Array:
    """scalar times x."""
    return np.multiply(scalar, x)

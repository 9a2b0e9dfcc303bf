"""numpy.linalg as far as products and sums go: norms and products of matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, UnsupportedError
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    Axis,
    DTypeLike,
    fault,
    nearest,
    some_axes,
    value,
)
from tracejit.numpy.contraction import (
    cross,
    matmul,
    outer,
    tensordot,
    vecdot,
)
from tracejit.numpy.contraction import diagonal as diagonal_of_axes
from tracejit.numpy.contraction import trace as trace_of_axes
from tracejit.numpy.einstein import einsum
from tracejit.numpy.promotion import quotient_dtype
from tracejit.numpy.reductions import max as max_over
from tracejit.numpy.reductions import min as min_over
from tracejit.numpy.reductions import root
from tracejit.numpy.reductions import sum as sum_over
from tracejit.numpy.shaping import broadcast_to, matrix_transpose, ravel, squeeze

__all__ = [
    "cross", "diagonal", "matmul", "matrix_norm", "matrix_power", "matrix_transpose",
    "multi_dot", "norm", "outer", "tensordot", "trace", "vecdot", "vector_norm",
]  # fmt: skip


def norm(
    x: ArrayLike, ord: Any = None, axis: Axis = None, keepdims: bool = False
) -> Array:
    """The norm of a vector or of a matrix; of all elements, unless said. Derivative 0 at 0."""
    x = _floats(x)
    if axis is None and ord is None:
        y = root(sum_over(ufuncs.square(ravel(x)), keepdims=False))
        return y.reshape((1,) * x.ndim) if keepdims else y
    axes = some_axes(axis, x.ndim) if axis is None or isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        return vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2:
        raise fault(ArgumentError, f"norm is over one axis or two, not {len(axes)}")
    return _matrix_norm(x, "fro" if ord is None else ord, axes, keepdims)


def _floats(x: ArrayLike) -> Array:
    """x in floats; integers of any size in the default ones."""
    x = value(x)
    return value(x, quotient_dtype(x))


def _extreme(sizes: Array, ord: Any, axis: Axis, keepdims: bool) -> Array:
    """The largest for a positive order, 0 of none; the smallest for a negative one."""
    if ord < 0:
        return min_over(sizes, axis, keepdims=keepdims)
    return max_over(sizes, axis, keepdims=keepdims, initial=None if sizes.size else 0)


def vector_norm(
    x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2
) -> Array:
    """The norm of all elements along axes, taken as one vector."""
    x = _floats(x)
    if ord == 2:
        return root(sum_over(ufuncs.square(x), axis, keepdims=keepdims))
    if ord == 0:
        return sum_over(value(ufuncs.not_equal(x, 0), x.dtype), axis, keepdims=keepdims)
    size = ufuncs.absolute(x)
    if ord in (float("inf"), float("-inf")):
        return _extreme(size, ord, axis, keepdims)
    if isinstance(ord, str):
        raise fault(ArgumentError, f"a vector has no norm of order {ord!r}")
    total = sum_over(ufuncs.power(size, ord), axis, keepdims=keepdims)
    return total if ord == 1 else ufuncs.power(total, 1 / ord)


def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """The norm of matrices in the last two axes: Frobenius, or of order 1, -1, inf, -inf."""
    x = _floats(x)
    return _matrix_norm(x, ord, (x.ndim - 2, x.ndim - 1), keepdims)


def _matrix_norm(x: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Array:
    rows, columns = (a % x.ndim for a in axes)
    if ord == "fro":
        return root(sum_over(ufuncs.square(x), (rows, columns), keepdims=keepdims))
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise fault(
            UnsupportedError, f"the matrix norm of order {ord!r} needs singular values",
            "orders 'fro', 1, -1, inf and -inf are there",
        )  # fmt: skip
    summed, rest = (rows, columns) if ord in (1, -1) else (columns, rows)
    totals = sum_over(ufuncs.absolute(x), summed, keepdims=True)
    y = _extreme(totals, ord, rest, True)
    return y if keepdims else squeeze(y, (rows, columns))


def trace(x: ArrayLike, /, *, offset: int = 0, dtype: DTypeLike = None) -> Array:
    """The sums of the diagonals of matrices in the last two axes."""
    return trace_of_axes(x, offset, -2, -1, dtype)


def diagonal(x: ArrayLike, /, *, offset: int = 0) -> Array:
    """The diagonals of matrices in the last two axes."""
    return diagonal_of_axes(x, offset, -2, -1)


def matrix_power(a: ArrayLike, n: int) -> Array:
    """The product of n times the same matrix, n >= 0."""
    x = value(a)
    if n < 0:
        raise fault(UnsupportedError, "matrix_power: a negative power needs an inverse")
    if n == 0:
        return broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
    result = None
    while n:
        result = x if (n % 2 and result is None) else matmul(result, x) if n % 2 else result
        n //= 2
        x = matmul(x, x) if n else x
    return result


def multi_dot(arrays: Sequence[ArrayLike]) -> Array:
    """The product of matrices (the first and last may be vectors), in the cheapest order."""
    xs = [value(a) for a in arrays]
    letters = "abcdefghijklmnopqrstuvwxyz"[: len(xs) + 1]
    labels = [letters[i : i + 2] for i in range(len(xs))]
    result = letters[0] + letters[-1]
    if xs[0].ndim == 1:
        labels[0], result = labels[0][1:], result[1:]
    if xs[-1].ndim == 1:
        labels[-1], result = labels[-1][:1], result[:-1]
    return einsum(f"{','.join(labels)}->{result}", *xs)


def __getattr__(name: str) -> Any:
    known = f"np.linalg.{name} works on known arrays"
    hint = known if hasattr(np.linalg, name) else nearest(name, __all__)
    raise AttributeError(f"tracejit.numpy.linalg has no {name!r}; {hint}")

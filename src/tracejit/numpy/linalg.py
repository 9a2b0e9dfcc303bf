"""numpy.linalg: norms and products of matrices, systems of equations, determinants, factors.

Eigenvalues, singular values, QR and least squares are in `numpy/orthogonal.py`.

NumPy raises LinAlgError for a singular matrix, or one that is not positive definite. What is traced
cannot raise for numbers, so here, whoever computes it, there is inf or NaN in the result.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tracejit.errors import ArgumentError, ShapeError
from tracejit.ir.primitive import Primitive
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    Axis,
    DTypeLike,
    fault,
    fit,
    nearest,
    operand,
    some_axes,
    value,
)
from tracejit.numpy.choosing import where
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
from tracejit.numpy.orthogonal import (
    adjoint,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    floats,
    hermitian,
    lstsq,
    matrix_rank,
    pinv,
    qr,
    square,
    squared_size,
    svd,
    svdvals,
)
from tracejit.numpy.promotion import quotient_dtype
from tracejit.numpy.reductions import max as max_over
from tracejit.numpy.reductions import min as min_over
from tracejit.numpy.reductions import prod, root
from tracejit.numpy.reductions import sum as sum_over
from tracejit.numpy.shaping import (
    broadcast_to,
    expand_dims,
    matrix_transpose,
    moveaxis,
    ravel,
    squeeze,
)
from tracejit.ops import linalg as ops
from tracejit.trace.tracer import bind, is_traced

__all__ = [
    "cholesky", "cond", "cross", "det", "diagonal", "eig", "eigh", "eigvals", "eigvalsh", "inv",
    "lstsq", "matmul",
    "matrix_norm", "matrix_power", "matrix_rank", "matrix_transpose", "multi_dot", "norm", "outer",
    "pinv", "qr", "slogdet", "solve", "svd", "svdvals", "tensordot", "trace", "vecdot",
    "vector_norm",
]  # fmt: skip


def norm(
    x: ArrayLike, ord: Any = None, axis: Axis = None, keepdims: bool = False
) -> Array:
    """The norm of a vector or of a matrix; of all elements, unless said. Derivative 0 at 0."""
    x = floats(x)
    if axis is None and ord is None:
        y = root(sum_over(squared_size(ravel(x)), keepdims=False))
        return y.reshape((1,) * x.ndim) if keepdims else y
    axes = some_axes(axis, x.ndim) if axis is None or isinstance(axis, int) else tuple(axis)
    if len(axes) == 1:
        return vector_norm(x, axis=axes, keepdims=keepdims, ord=2 if ord is None else ord)
    if len(axes) != 2:
        raise fault(ArgumentError, f"norm is over one axis or two, not {len(axes)}")
    return _matrix_norm(x, "fro" if ord is None else ord, axes, keepdims)


def _extreme(sizes: Array, ord: Any, axis: Axis, keepdims: bool) -> Array:
    """The largest for a positive order, 0 of none; the smallest for a negative one."""
    if ord < 0:
        return min_over(sizes, axis, keepdims=keepdims)
    return max_over(sizes, axis, keepdims=keepdims, initial=None if sizes.size else 0)


def vector_norm(
    x: ArrayLike, /, *, axis: Axis = None, keepdims: bool = False, ord: Any = 2
) -> Array:
    """The norm of all elements along axes, taken as one vector."""
    x = floats(x)
    if ord == 2:
        return root(sum_over(squared_size(x), axis, keepdims=keepdims))
    if ord == 0:
        return sum_over(value(ufuncs.not_equal(x, 0), x.real.dtype), axis, keepdims=keepdims)
    size = ufuncs.absolute(x)
    if ord in (float("inf"), float("-inf")):
        return _extreme(size, ord, axis, keepdims)
    if isinstance(ord, str):
        raise fault(ArgumentError, f"a vector has no norm of order {ord!r}")
    total = sum_over(ufuncs.power(size, ord), axis, keepdims=keepdims)
    if ord == 1:
        return total
    if isinstance(ord, int | float) and ord > 0:  # derivative 0 at 0, as of every norm
        there = ufuncs.greater(total, 0)
        return where(there, ufuncs.power(where(there, total, 1), 1 / ord), 0)
    return ufuncs.power(total, 1 / ord)


def matrix_norm(x: ArrayLike, /, *, keepdims: bool = False, ord: Any = "fro") -> Array:
    """The norm of matrices in the last two axes: "fro" of the elements, "nuc", 2, -2 of singular
    values, or of order 1, -1, inf, -inf of rows and columns."""
    x = floats(x)
    return _matrix_norm(x, ord, (x.ndim - 2, x.ndim - 1), keepdims)


def _matrix_norm(x: Array, ord: Any, axes: tuple[int, ...], keepdims: bool) -> Array:
    rows, columns = (a % x.ndim for a in axes)
    if ord == "fro":
        return root(sum_over(squared_size(x), (rows, columns), keepdims=keepdims))
    if ord in ("nuc", 2, -2):
        sizes = svdvals(moveaxis(x, (rows, columns), (-2, -1)))
        y = sum_over(sizes, -1) if ord == "nuc" else _extreme(sizes, ord, -1, False)
        return expand_dims(y, (rows, columns)) if keepdims else y
    if ord not in (1, -1, float("inf"), float("-inf")):
        raise fault(
            ArgumentError, f"a matrix has no norm of order {ord!r}",
            "orders are 'fro', 'nuc', 1, -1, 2, -2, inf and -inf",
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
    """The product of n times the same matrix, or of its inverse where n < 0."""
    x = value(a)
    if n < 0:
        x, n = inv(x), -n
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


# Systems and factorisations


def system(primitive: Primitive, a: ArrayLike, b: ArrayLike, name: str, **params: Any) -> Array:
    """Bind `solve` or `triangular_solve`; b is a vector, or matrices, as many as a or one for all.

    One matrix a for a stack of b is one system with many columns.
    """
    dtype = quotient_dtype(operand(a), operand(b))
    a, b = square(value(a, dtype), name), value(b, dtype)
    x = b.reshape((*b.shape, 1)) if b.ndim == 1 else b
    if not b.ndim or x.shape[-2] != a.shape[-1]:
        raise fault(ShapeError, f"{name}: shapes {a.shape} and {b.shape} do not fit")
    n, columns, stack = a.shape[-1], x.shape[-1], x.shape[:-2]
    if a.ndim == 2 and stack:
        flat = moveaxis(x, -2, 0).reshape((n, math.prod(stack) * columns))
        flat = bind(primitive, *_both(a, flat), **params)
        return moveaxis(flat.reshape((n, *stack, columns)), 0, -2)
    try:
        stack = np.broadcast_shapes(a.shape[:-2], stack)
    except ValueError:
        raise fault(ShapeError, f"{name}: stacks {a.shape} and {b.shape} do not fit") from None
    a, x = broadcast_to(a, (*stack, n, n)), broadcast_to(x, (*stack, n, columns))
    x = bind(primitive, *_both(a, x), **params)
    return x.reshape(x.shape[:-1]) if b.ndim == 1 else x


def _both(a: Array, b: Array) -> tuple[Any, Any]:
    traced = is_traced(a, b)
    return fit(a, a.dtype, a.shape, traced=traced), fit(b, b.dtype, b.shape, traced=traced)


def solve(a: ArrayLike, b: ArrayLike) -> Array:
    """The x with a x = b, for a vector b or matrices; inf or NaN where a is singular."""
    return system(ops.solve, a, b, "solve", transposed=False)


def inv(a: ArrayLike) -> Array:
    """The inverses of matrices; inf or NaN where there is none."""
    x = square(a, "inv")
    return system(ops.solve, x, np.eye(x.shape[-1], dtype=x.dtype), "inv", transposed=False)


def factors(a: ArrayLike, name: str) -> tuple[Array, Array, Array]:
    """lu: the factors in one matrix, the exchanges of rows and the order that they lead to."""
    return bind(ops.lu, square(a, name))


def _parity(pivots: Array, dtype: np.dtype) -> Array:
    """1 for an even number of exchanges, else -1."""
    count = sum_over(ufuncs.not_equal(pivots, np.arange(pivots.shape[-1])), -1)
    return value(ufuncs.subtract(1, ufuncs.multiply(2, ufuncs.remainder(count, 2))), dtype)


def det(a: ArrayLike) -> Array:
    """The determinants of matrices. Up to 3 x 3 the sum over permutations, whose derivative is
    right for singular matrices, too; from there on the product of the pivots.
    """
    x = square(a, "det")
    n = x.shape[-1]
    if n <= 3:
        return _small_det(x, n)
    low_up, pivots, _ = factors(x, "det")
    product = prod(diagonal(low_up), -1)
    return ufuncs.multiply(product, _parity(pivots, x.dtype))


def _small_det(x: Array, n: int) -> Array:
    if n == 0:
        return broadcast_to(x.dtype.type(1), x.shape[:-2])
    first = [x[..., 0, i] for i in range(n)]
    if n == 1:
        return first[0]
    if n == 2:
        return first[0] * x[..., 1, 1] - first[1] * x[..., 1, 0]
    across = cross(x[..., 1, :], x[..., 2, :])
    return first[0] * across[..., 0] + first[1] * across[..., 1] + first[2] * across[..., 2]


def cond(x: ArrayLike, p: Any = None) -> Array:
    """The condition number of matrices: of singular values (p None, 2, -2), else the norm of order
    p times that of the inverse.
    """
    a = square(x, "cond") if p not in (None, 2, -2) else floats(x)
    if a.ndim < 2 or 0 in a.shape[-2:]:
        raise fault(ArgumentError, f"cond takes matrices with elements, got shape {a.shape}")
    if p in (None, 2, -2):
        s = svdvals(a)
        return s[..., -1] / s[..., 0] if p == -2 else s[..., 0] / s[..., -1]
    return ufuncs.multiply(matrix_norm(a, ord=p), matrix_norm(inv(a), ord=p))


class SlogdetResult(NamedTuple):
    """The sign of a determinant and the logarithm of its size."""

    sign: Array
    logabsdet: Array


def slogdet(a: ArrayLike) -> SlogdetResult:
    """Sign and logarithm of the size of determinants; 0 and -inf for singular matrices."""
    x = square(a, "slogdet")
    low_up, pivots, _ = factors(x, "slogdet")
    sign = prod(ufuncs.sign(diagonal(low_up)), -1)
    return SlogdetResult(
        ufuncs.multiply(sign, _parity(pivots, x.dtype)), bind(ops.log_abs_det, x)
    )


def cholesky(a: ArrayLike, /, *, upper: bool = False) -> Array:
    """The lower l with l l* = a (or its adjoint) of the Hermitian part of a: what is above the
    diagonal counts as much as what is below, in the derivative too. NaN where a is not positive
    definite.
    """
    low = bind(ops.cholesky, hermitian(square(a, "cholesky")))
    return adjoint(low) if upper else low


def __getattr__(name: str) -> Any:
    known = f"np.linalg.{name} works on known arrays"
    hint = known if hasattr(np.linalg, name) else nearest(name, __all__)
    raise AttributeError(f"tracejit.numpy.linalg has no {name!r}; {hint}")

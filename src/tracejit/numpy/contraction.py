"""Products of matrices and their relatives: all are `dot` over some axes, lined up."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError
from tracejit.ir.types import BOOL, INT32
from tracejit.numpy import ufuncs, views
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    convert,
    fault,
    fit,
    one_axis,
    operand,
    reshape_to,
    shape_of,
    splat,
    stretch,
    takes_out,
    value,
)
from tracejit.numpy.choosing import where
from tracejit.numpy.kinds import truth
from tracejit.numpy.promotion import result_dtype
from tracejit.numpy.reductions import sum as sum_over
from tracejit.numpy.shaping import moveaxis, ravel, stack
from tracejit.ops import contraction, structure
from tracejit.trace.tracer import bind, is_traced

__all__ = [
    "cross", "diag", "diagflat", "diagonal", "dot", "inner", "kron", "matmul", "matvec",
    "outer", "tensordot", "trace", "tril", "triu", "vdot", "vecdot", "vecmat",
]  # fmt: skip

Axes = tuple[int, ...]


def contract(
    x: Any, y: Any, over: tuple[Sequence[int], Sequence[int]],
    batch: tuple[Sequence[int], Sequence[int]] = ((), ()), name: str = "dot",
) -> Array:  # fmt: skip
    """Bind `dot` in the common dtype: batch axes first, then the free axes of x, then of y."""
    dtype = result_dtype(x, y)
    traced = is_traced(x, y)
    working = INT32 if dtype == BOOL else dtype
    sizes = [[z.shape[a] for a in axes] for z, axes in ((x, over[0]), (y, over[1]))]
    if sizes[0] != sizes[1]:
        raise fault(
            ShapeError, f"{name}: shapes {x.shape} and {y.shape} do not fit: the axes that are "
            f"summed over have sizes {tuple(sizes[0])} and {tuple(sizes[1])}",
        )  # fmt: skip
    x, y = (fit(z, working, shape_of(z), traced=traced) for z in (x, y))
    result = bind(
        contraction.dot, x, y,
        contract=(tuple(over[0]), tuple(over[1])), batch=(tuple(batch[0]), tuple(batch[1])),
    )  # fmt: skip
    return truth(result) if dtype == BOOL else convert(result, dtype)


@takes_out
def dot(a: ArrayLike, b: ArrayLike, out: Array = None) -> Array:
    """The last axis of a by the second to last of b (its only one); numbers multiply."""
    x, y = operand(a), operand(b)
    if not shape_of(x) or not shape_of(y):
        return ufuncs.multiply(x, y)
    return contract(x, y, ((x.ndim - 1,), (max(y.ndim - 2, 0),)))


def _matmul(x: Any, y: Any) -> Array:
    """Matrices in the last two axes, stacks of them broadcast in the others."""
    if not shape_of(x) or not shape_of(y):
        raise fault(ShapeError, "matmul: numbers have no rows; multiply them with *")
    if x.ndim == 1 or y.ndim <= 2:
        inner = max(y.ndim - 2, 0)
        return contract(x, y, ((x.ndim - 1,), (inner,)), name="matmul")
    if y.ndim > 2 and x.ndim == 2:
        y_first = contract(x, y, ((1,), (y.ndim - 2,)), name="matmul")
        return moveaxis(y_first, 0, -2)
    stacks = _stacks(x.shape[:-2], y.shape[:-2], "matmul")
    x = stretch(value(x), (*stacks, *x.shape[-2:]))
    y = stretch(value(y), (*stacks, *y.shape[-2:]))
    n = len(stacks)
    every = tuple(range(n))
    return contract(x, y, ((n + 1,), (n,)), (every, every), "matmul")


def _stacks(x: tuple[int, ...], y: tuple[int, ...], name: str) -> tuple[int, ...]:
    try:
        return np.broadcast_shapes(x, y)
    except ValueError:
        raise fault(ShapeError, f"{name}: stacks of shapes {x} and {y} do not broadcast") from None


matmul = ufuncs.Ufunc("matmul", _matmul, 2, "The product of matrices, or of stacks of them.")


def _last_axes(x: Any, y: Any, name: str) -> Array:
    if not shape_of(x) or not shape_of(y):
        raise fault(ShapeError, f"{name}: numbers have no axis to sum over")
    stacks = _stacks(x.shape[:-1], y.shape[:-1], name)
    n = len(stacks)
    x, y = (stretch(value(z), (*stacks, z.shape[-1])) for z in (x, y))
    return contract(x, y, ((n,), (n,)), (tuple(range(n)), tuple(range(n))), name)


def _vecdot(x: Any, y: Any) -> Array:
    return _last_axes(ufuncs.conjugate.body(x), y, "vecdot")


def _matvec(x: Any, y: Any) -> Array:
    if len(shape_of(y)) == 1:
        return _matmul(x, y)
    return reshape_to(z := _matmul(x, reshape_to(value(y), (*y.shape, 1))), z.shape[:-1])


def _vecmat(x: Any, y: Any) -> Array:
    x = ufuncs.conjugate.body(x)
    if len(shape_of(x)) == 1:
        return _matmul(x, y)
    z = _matmul(reshape_to(value(x), (*x.shape[:-1], 1, x.shape[-1])), y)
    return reshape_to(z, (*z.shape[:-2], z.shape[-1]))


matvec = ufuncs.Ufunc("matvec", _matvec, 2, "Matrices by vectors, in the last axes.")
vecmat = ufuncs.Ufunc("vecmat", _vecmat, 2, "Vectors, conjugated, by matrices, in the last axes.")
_vecdot_ufunc = ufuncs.Ufunc(
    "vecdot", _vecdot, 2, "Sums of products along the last axis, the first factor conjugated."
)


def vecdot(x1: ArrayLike, x2: ArrayLike, /, *, axis: int = -1) -> Array:
    """Sums of products along an axis, the first factor conjugated; the rest broadcast."""
    if axis == -1:
        return _vecdot_ufunc(x1, x2)
    return _vecdot_ufunc(moveaxis(x1, axis, -1), moveaxis(x2, axis, -1))


def vdot(a: ArrayLike, b: ArrayLike) -> Array:
    """The sum of the products of all elements, those of a conjugated."""
    return contract(ravel(ufuncs.conjugate(a)), ravel(b), ((0,), (0,)), name="vdot")


def inner(a: ArrayLike, b: ArrayLike) -> Array:
    """The last axis of a by the last of b; numbers multiply."""
    x, y = operand(a), operand(b)
    if not shape_of(x) or not shape_of(y):
        return ufuncs.multiply(x, y)
    return contract(x, y, ((x.ndim - 1,), (y.ndim - 1,)), name="inner")


@takes_out
def outer(a: ArrayLike, b: ArrayLike, out: Array = None) -> Array:
    """a[i] b[j] for all elements of both."""
    return ufuncs.multiply(reshape_to(x := ravel(a), (x.shape[0], 1)), ravel(b))


def tensordot(a: ArrayLike, b: ArrayLike, axes: Any = 2) -> Array:
    """Sums of products over the last axes of a and the first of b, or over axes named for both."""
    x, y = value(a), value(b)
    if isinstance(axes, (int, np.integer)):
        first = tuple(range(x.ndim - axes, x.ndim))
        second = tuple(range(axes))
        if axes > min(x.ndim, y.ndim):
            raise fault(ShapeError, f"tensordot: {axes} axes of shapes {x.shape} and {y.shape}")
    else:
        first, second = (tuple(i) if isinstance(i, (tuple, list)) else (i,) for i in axes)
        first = tuple(one_axis(i, x.ndim) for i in first)
        second = tuple(one_axis(i, y.ndim) for i in second)
    if len(first) != len(second):
        raise fault(ArgumentError, f"tensordot: axes {axes} differ in number")
    return contract(x, y, (first, second), name="tensordot")


def kron(a: ArrayLike, b: ArrayLike) -> Array:
    """The array of blocks a[i] b."""
    x, y = value(a), value(b)
    rank = max(x.ndim, y.ndim)
    left, right = ((*(1,) * (rank - z.ndim), *z.shape) for z in (x, y))
    x = reshape_to(x, tuple(m for n in left for m in (n, 1)))
    y = reshape_to(y, tuple(m for n in right for m in (1, n)))
    product = ufuncs.multiply(x, y)
    return reshape_to(product, tuple(m * n for m, n in zip(left, right, strict=True)))


def cross(
    a: ArrayLike, b: ArrayLike, axisa: int = -1, axisb: int = -1, axisc: int = -1,
    axis: int | None = None,
) -> Array:  # fmt: skip
    """The vector product of vectors of three along an axis."""
    if axis is not None:
        axisa = axisb = axisc = axis
    x, y = moveaxis(a, axisa, 0), moveaxis(b, axisb, 0)
    if x.shape[0] != 3 or y.shape[0] != 3:
        raise fault(ShapeError, f"cross takes vectors of 3, not shapes {x.shape}, {y.shape}")
    parts = [
        ufuncs.subtract(ufuncs.multiply(x[i], y[j]), ufuncs.multiply(x[j], y[i]))
        for i, j in ((1, 2), (2, 0), (0, 1))
    ]
    return moveaxis(stack(parts), 0, axisc)


# Diagonals


def diagonal(a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Array:
    """The elements a[..., i, i + offset, ...], along a new last axis; not to be written to."""
    x = value(a)
    if x.ndim < 2:
        raise fault(ShapeError, f"diagonal takes two axes at least, got shape {x.shape}")
    return views.of(x, views.ReadOnly(lambda base: _diagonal(base, offset, axis1, axis2)))


def _diagonal(x: Array, offset: int, axis1: int, axis2: int) -> Array:
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    *lead, n, m = x.shape
    count = max(0, min(n, m - offset) if offset >= 0 else min(n + offset, m))
    flat = reshape_to(x, (*lead, n * m))
    start = (offset if offset >= 0 else -offset * m) if count else 0
    stop = start + (count - 1) * (m + 1) + 1 if count else 0
    return flat[..., start : stop : m + 1]


@takes_out
def trace(
    a: ArrayLike, offset: int = 0, axis1: int = 0, axis2: int = 1, dtype: Any = None,
    out: Array = None,
) -> Array:  # fmt: skip
    """The sum of a diagonal."""
    return sum_over(diagonal(a, offset, axis1, axis2), -1, dtype)


def diag(v: ArrayLike, k: int = 0) -> Array:
    """The k-th diagonal of a matrix, or the matrix with v on its k-th diagonal."""
    x = value(v)
    if x.ndim == 2:
        return diagonal(x, k)
    if x.ndim != 1:
        raise fault(ShapeError, f"diag takes one or two axes, got shape {x.shape}")
    length, n = x.shape[0], x.shape[0] + abs(k)
    if not length:
        return np.zeros((n, n), x.dtype)
    low = k if k >= 0 else -k * n
    high = n * n - low - (length + (length - 1) * n)
    flat = bind(structure.pad, x, splat(0, x.dtype, ()), low=(low,), high=(high,), interior=(n,))
    return reshape_to(flat, (n, n))


def diagflat(v: ArrayLike, k: int = 0) -> Array:
    """The matrix with all elements of v on its k-th diagonal."""
    return diag(ravel(v), k)


def _triangle(m: ArrayLike, k: int, lower: bool) -> Array:
    x = value(m)
    if not x.ndim:
        raise fault(ShapeError, "a triangle is of a matrix or a vector, not of a scalar")
    rows, columns = x.shape[-2:] if x.ndim > 1 else 2 * x.shape
    mask = np.tri(rows, columns, k if lower else k - 1, dtype=bool)
    nothing = value(0, x.dtype)
    return where(mask, x, nothing) if lower else where(mask, nothing, x)


def tril(m: ArrayLike, k: int = 0) -> Array:
    """The elements on and below the k-th diagonal, zeros above."""
    return _triangle(m, k, True)


def triu(m: ArrayLike, k: int = 0) -> Array:
    """The elements on and above the k-th diagonal, zeros below."""
    return _triangle(m, k, False)

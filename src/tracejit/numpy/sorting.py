"""Sorting and searching. Sorts are stable, with NaN last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError
from tracejit.ir.types import FLOATS
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    common_shape,
    fault,
    one_axis,
    operand,
    reshape_to,
    shape_of,
    stretch,
    value,
)
from tracejit.numpy.choosing import where
from tracejit.numpy.indexing import take
from tracejit.numpy.promotion import result_dtype
from tracejit.numpy.reductions import sum as sum_over
from tracejit.numpy.shaping import flip, ravel
from tracejit.ops import reduction
from tracejit.trace.tracer import bind, is_traced

__all__ = [
    "argpartition", "argsort", "digitize", "isin", "lexsort", "partition", "searchsorted",
    "sort",
]  # fmt: skip


def _line(a: ArrayLike, axis: int | None) -> tuple[Array, int]:
    x, axis = (ravel(a), 0) if axis is None else (value(a), axis)
    return x, one_axis(axis, x.ndim)


def sort(
    a: ArrayLike, axis: int | None = -1, kind: str | None = None, order: None = None, *,
    stable: bool | None = None, descending: bool = False,
) -> Array:  # fmt: skip
    """The elements in ascending order along an axis (None: all, flattened)."""
    x, at = _line(a, axis)
    (y,) = bind(reduction.sort, x, axis=at, keys=1)
    return flip(y, at) if descending else y


def argsort(
    a: ArrayLike, axis: int | None = -1, kind: str | None = None, order: None = None, *,
    stable: bool | None = None, descending: bool = False,
) -> Array:  # fmt: skip
    """The indices that sort along an axis; of equal elements, the first one first."""
    x, at = _line(a, axis)
    places = _places(x.shape, at)
    if descending:  # of the array turned round, so that equal elements keep their order
        _, i = bind(reduction.sort, flip(x, at), flip(places, at), axis=at, keys=1)
        return flip(i, at)
    _, i = bind(reduction.sort, x, places, axis=at, keys=1)
    return i


def _places(shape: tuple[int, ...], axis: int) -> Any:
    """0, 1, 2, ... along an axis."""
    return np.broadcast_to(
        np.arange(shape[axis]).reshape([-1 if i == axis else 1 for i in range(len(shape))]), shape
    )


def lexsort(keys: Sequence[ArrayLike], axis: int = -1) -> Array:
    """The indices that sort by several keys; the last key counts first."""
    xs = [value(k) for k in keys]
    if not xs:
        raise fault(ArgumentError, "lexsort takes a key at least")
    shape = common_shape(xs)
    at = one_axis(axis, len(shape))
    operands = [stretch(x, shape) for x in reversed(xs)]
    return bind(reduction.sort, *operands, _places(shape, at), axis=at, keys=len(operands))[-1]


def partition(a: ArrayLike, kth: Any, axis: int | None = -1) -> Array:
    """An order in which the k-th element is where a sort would put it: the sorted order."""
    return sort(a, axis)


def argpartition(a: ArrayLike, kth: Any, axis: int | None = -1) -> Array:
    """The indices of `partition`: those that sort."""
    return argsort(a, axis)


#: Up to so many sorted elements, comparing with all of them beats halving the interval.
_COMPARE_ALL = 32


def searchsorted(
    a: ArrayLike, v: ArrayLike, side: str = "left", sorter: ArrayLike | None = None
) -> Array:
    """Where each v would go in the sorted a: before (left) or behind (right) equal elements."""
    if side not in ("left", "right"):
        raise fault(ArgumentError, f"side must be 'left' or 'right', not {side!r}")
    x, given = operand(a), operand(v)
    if len(shape_of(x)) != 1:
        raise fault(ShapeError, f"searchsorted takes one sorted axis, got shape {shape_of(x)}")
    dtype = result_dtype(x, given)
    x, given = value(x, dtype), value(given, dtype)
    if sorter is not None:
        x = take(x, sorter)
    if x.shape[0] <= _COMPARE_ALL:
        before = _sorts_before(x, reshape_to(given, (*given.shape, 1)), side)
        return sum_over(before, -1)
    return _halving(x, given, side)


def _sorts_before(x: Array, v: Array, side: str) -> Array:
    """Whether elements of the sorted array come before v; NaN comes last."""
    before = (ufuncs.less if side == "left" else ufuncs.less_equal)(x, v)
    if x.dtype not in FLOATS:
        return before
    last = ufuncs.isnan(v)
    if side == "left":
        last = ufuncs.logical_and(last, ufuncs.logical_not(ufuncs.isnan(x)))
    return ufuncs.logical_or(before, last)


def _halving(x: Array, v: Array, side: str) -> Array:
    """The interval that holds the place, halved until nothing is left of it."""
    low: Array = np.zeros(v.shape, np.int64)
    width = x.shape[0]
    while width > 0:
        half = (width + 1) // 2
        middle = ufuncs.add(low, half)
        element = take(x, ufuncs.subtract(middle, 1))
        low = where(_sorts_before(element, v, side), middle, low)
        width -= half
    return low


def digitize(x: ArrayLike, bins: ArrayLike, right: bool = False) -> Array:
    """The number of the bin of each x; bins ascend or, where they are known, descend."""
    edges = operand(bins)
    if not is_traced(edges) and shape_of(edges)[0] > 1 and edges[0] > edges[-1]:
        found = searchsorted(edges[::-1], x, "right" if right else "left")
        return ufuncs.subtract(shape_of(edges)[0], found)
    return searchsorted(edges, x, "left" if right else "right")


def isin(
    element: ArrayLike, test_elements: ArrayLike, assume_unique: bool = False,
    invert: bool = False, *, kind: str | None = None,
) -> Array:  # fmt: skip
    """Whether each element is among the test elements."""
    x, tests = value(element), ravel(test_elements)
    same = ufuncs.equal(reshape_to(x, (*x.shape, 1)), tests)
    found = bind(reduction.reduce_or, same, axes=(x.ndim,))
    return ufuncs.logical_not(found) if invert else found

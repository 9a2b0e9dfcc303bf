"""Index vectors: what gather and the scatters make of them, by shape, by NumPy and by equations.

A place is given by an index vector of K integers, one for each of the `axes` of x that are indexed.
The first `batch` axes of x and of the indices are shared; the axes of x that are neither indexed
nor batch are `rest`.

    x        (*B, ...)           axes: ascending, each >= batch
    indices  (*B, *I, K)
    gather's result and a scatter's updates: (*B, *I, *rest)
"""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import AxisError, DTypeError, ShapeError
from tracejit.ir.atoms import Atom, Literal, zero
from tracejit.ir.types import INT64, INTEGERS, ArrayType, Shape, array_type
from tracejit.ops.elementwise import and_, convert, ge, le, max, min
from tracejit.ops.structure import Axes, broadcast, check_axes, concatenate, reshape, slice

# Shapes.


def places_shape(indices: ArrayType) -> Shape:
    """(*B, *I): one index vector for each."""
    return indices.shape[:-1]


def rest_axes(ndim: int, axes: Axes, batch: int) -> Axes:
    """The axes of x that are neither batch nor indexed."""
    return tuple(a for a in range(batch, ndim) if a not in axes)


def gathered_shape(
    name: str, x: ArrayType, indices: ArrayType, axes: Axes, batch: int
) -> Shape:
    """(*B, *I, *rest), after all checks."""
    check_axes(name, axes, x.ndim)
    if tuple(sorted(axes)) != axes or not 0 <= batch <= x.ndim or any(a < batch for a in axes):
        raise AxisError(
            f"{name}: axes {axes} of {x} must ascend, and come behind the {batch} batch axes"
        )
    if indices.dtype not in INTEGERS:
        raise DTypeError(f"{name}: indices are integers, got {indices}")
    if indices.ndim <= batch or indices.shape[-1] != len(axes):
        raise ShapeError(f"{name}: {indices} does not hold index vectors for axes {axes} of {x}")
    if indices.shape[:batch] != x.shape[:batch]:
        raise ShapeError(f"{name}: {x} and {indices} differ in their {batch} batch axes")
    rest = rest_axes(x.ndim, axes, batch)
    return (*places_shape(indices), *(x.shape[a] for a in rest))


# Values.


def _limited(limits: Any, dtype: np.dtype) -> np.ndarray:
    """The limits in an integer dtype; one beyond its range excludes nothing."""
    largest = builtins.min(np.iinfo(dtype).max, np.iinfo(np.int64).max)
    return np.minimum(np.asarray(limits, np.int64), largest).astype(dtype)


def _index_arrays(indices: Any, shape: Shape, batch: int) -> tuple[Any, ...]:
    """NumPy's index arrays for (1, *B, *indexed): a zero, the batch numbers, the index vectors.

    The zero is for K = 0 without batch: then no other index array has the shape of the places.
    """
    places = indices.shape[:-1]
    numbers = np.indices(places)[:batch] if batch else ()
    vectors = np.moveaxis(indices, -1, 0).astype(np.intp)
    return (np.zeros(places, np.intp), *numbers, *vectors)


def _indexed_first(x: Any, axes: Axes, batch: int) -> tuple[Any, Axes]:
    """x as (1, *B, *indexed, *rest), and the order of axes that makes it so."""
    order = (*range(batch), *axes, *rest_axes(np.ndim(x), axes, batch))
    return np.transpose(x, order)[np.newaxis], order


def gather_value(x: Any, indices: Any, *, axes: Axes, batch: int) -> Any:
    """The value of gather."""
    limits = _limited([np.shape(x)[a] - 1 for a in axes], indices.dtype)
    nearest = np.maximum(np.minimum(indices, limits), np.zeros((), indices.dtype))
    moved, _ = _indexed_first(x, axes, batch)
    return moved[_index_arrays(nearest, np.shape(x), batch)]


def scatter_value(write: Callable[..., None]) -> Callable[..., Any]:
    """The value of a scatter: `write(target, index, values)` changes the target in place."""

    def evaluate(x: Any, indices: Any, updates: Any, *, axes: Axes, batch: int) -> Any:
        limits = _limited([np.shape(x)[a] - 1 for a in axes], indices.dtype)
        valid = np.all((indices >= 0) & (indices <= limits), axis=-1)
        valid &= all(np.shape(x)[a] for a in axes)
        moved, order = _indexed_first(x, axes, batch)
        target = np.array(moved)
        index = tuple(i[valid] for i in _index_arrays(indices, np.shape(x), batch))
        write(target, index, np.asarray(updates)[valid])
        return np.transpose(target[0], np.argsort(order))

    return evaluate


# Places: clamped, in range, counted.


def _upper(type: ArrayType, limits: Shape) -> Atom:
    """The limits in the dtype of the indices, along their last axis; 0 for an empty axis."""
    values = [int(n) for n in _limited(np.maximum(limits, 0), type.dtype)]
    if len(set(values)) <= 1:
        return Literal(values[0] if values else 0, type)
    row = concatenate(*[Literal(n, array_type(type.dtype, (1,))) for n in values], axis=0)
    return broadcast(row, shape=type.shape, dims=(type.ndim - 1,))


def clamped(indices: Atom, limits: Shape) -> Atom:
    """Each index vector moved into 0 .. limit."""
    if not limits:
        return indices
    return min(max(indices, zero(indices.type)), _upper(indices.type, limits))


def in_range(indices: Atom, limits: Shape) -> Atom:
    """Whether each index vector lies within 0 .. limit: bool (*B, *I)."""
    places = places_shape(indices.type)
    inside = and_(ge(indices, zero(indices.type)), le(indices, _upper(indices.type, limits)))
    result: Atom = Literal(all(n >= 0 for n in limits), inside.type.with_shape(places))
    for k, n in enumerate(limits):
        if n >= 0:
            result = and_(result, _column(inside, k)) if k else _column(inside, k)
    return result


def _column(vectors: Atom, k: int) -> Atom:
    """Component k of each vector."""
    places = vectors.shape[:-1]
    part = slice(
        vectors, start=(*[0] * len(places), k), limit=(*places, k + 1),
        stride=(1,) * vectors.ndim,
    )  # fmt: skip
    return reshape(part, shape=places)


def limits_of(x: ArrayType, axes: Axes) -> Shape:
    """The largest index along each indexed axis: -1 for an empty one."""
    return tuple(x.shape[a] - 1 for a in axes)


def over_rest(x: Atom, shape: Shape) -> Atom:
    """(*B, *I) repeated to (*B, *I, *rest)."""
    return broadcast(x, shape=shape, dims=tuple(range(x.ndim)))



def clamped_start(start: Atom, limit: int) -> Atom:
    """A start (or a batch of them) moved into 0 .. limit, as int64."""
    nearest = Literal(int(_limited(limit, start.dtype)), start.type)
    return convert(min(max(start, zero(start.type)), nearest), dtype=INT64)

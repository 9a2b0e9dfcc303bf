"""Parts of arrays, at known places and at computed ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.errors import ShapeError
from tracejit.ir.types import INT64
from tracejit.lax.shapes import known_ints
from tracejit.numpy import indexing, shaping
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    fault,
    one_axis,
    operand,
    shape_argument,
    splat,
    value,
)
from tracejit.ops import indexing as places
from tracejit.ops import structure
from tracejit.trace.tracer import Tracer, bind

__all__ = [
    "dynamic_index_in_dim", "dynamic_slice", "dynamic_slice_in_dim",
    "dynamic_update_index_in_dim", "dynamic_update_slice", "dynamic_update_slice_in_dim",
    "index_in_dim", "index_take", "slice", "slice_in_dim",
]  # fmt: skip

slice_object = slice  # the name `slice` is JAX's function here


def slice(
    operand: ArrayLike, start_indices: Sequence[int], limit_indices: Sequence[int],
    strides: Sequence[int] | None = None,
) -> Array:  # fmt: skip
    """operand[start:limit:stride] along each axis."""
    x = value(operand)
    steps = (1,) * x.ndim if strides is None else strides
    start, limit, stride = (tuple(known_ints(v)) for v in (start_indices, limit_indices, steps))
    return bind(structure.slice, x, start=start, limit=limit, stride=stride)


def slice_in_dim(
    operand: ArrayLike, start_index: int | None, limit_index: int | None, stride: int = 1,
    axis: int = 0,
) -> Array:  # fmt: skip
    """operand[start:limit:stride] along one axis."""
    x = value(operand)
    axis = one_axis(axis, x.ndim)
    part = slice_object(start_index, limit_index, stride)
    return indexing.getitem(x, (slice_object(None),) * axis + (part,))


def index_in_dim(
    operand: ArrayLike, index: int, axis: int = 0, keepdims: bool = True
) -> Array:
    """operand[index] along an axis, which stays unless said."""
    x = value(operand)
    axis = one_axis(axis, x.ndim)
    y = indexing.getitem(x, (slice_object(None),) * axis + (int(index),))
    return shaping.expand_dims(y, axis) if keepdims else y


def _starts(x: Array, starts: Any) -> list[Any]:
    """Starts as the primitives take them: negative ones count from the end."""
    given = [starts[i] for i in range(len(starts))]
    if len(given) != x.ndim:
        raise fault(ShapeError, f"{len(given)} starts for an array of rank {x.ndim}")
    results: list[Any] = []
    for start, n in zip(given, x.shape, strict=True):
        start = operand(start)
        if isinstance(start, Tracer):
            results.append(indexing.wrapped(start, n))
        else:
            at = int(start)
            results.append(splat(at + n if at < 0 else at, INT64, ()))
    return results


def dynamic_slice(operand: ArrayLike, start_indices: Any, slice_sizes: Sequence[int]) -> Array:
    """A window of known sizes at computed starts, moved so that it fits."""
    x = value(operand)
    sizes = shape_argument(slice_sizes)
    return bind(places.dynamic_slice, x, *_starts(x, start_indices), sizes=sizes)


def dynamic_update_slice(operand: ArrayLike, update: ArrayLike, start_indices: Any) -> Array:
    """The operand with a window at computed starts overwritten."""
    x = value(operand)
    new = value(update, x.dtype)
    return bind(places.dynamic_update_slice, x, new, *_starts(x, start_indices))


def _one_start(x: Array, start: Any, axis: int) -> list[Any]:
    starts: list[Any] = [0] * x.ndim
    starts[axis] = start
    return starts


def dynamic_slice_in_dim(
    operand: ArrayLike, start_index: ArrayLike, slice_size: int, axis: int = 0
) -> Array:
    """A window of known size at a computed start along one axis."""
    x = value(operand)
    axis = one_axis(axis, x.ndim)
    sizes = [*x.shape]
    sizes[axis] = slice_size
    return dynamic_slice(x, _one_start(x, start_index, axis), sizes)


def dynamic_index_in_dim(
    operand: ArrayLike, index: ArrayLike, axis: int = 0, keepdims: bool = True
) -> Array:
    """operand[index] along an axis, which stays unless said; the index is computed."""
    x = value(operand)
    y = dynamic_slice_in_dim(x, index, 1, axis)
    return y if keepdims else shaping.squeeze(y, one_axis(axis, x.ndim))


def dynamic_update_slice_in_dim(
    operand: ArrayLike, update: ArrayLike, start_index: ArrayLike, axis: int
) -> Array:
    """The operand with a window at a computed start along one axis overwritten."""
    x = value(operand)
    return dynamic_update_slice(x, update, _one_start(x, start_index, one_axis(axis, x.ndim)))


def dynamic_update_index_in_dim(
    operand: ArrayLike, update: ArrayLike, index: ArrayLike, axis: int
) -> Array:
    """The operand with what is at a computed index of an axis overwritten."""
    x, new = value(operand), value(update)
    axis = one_axis(axis, x.ndim)
    if new.ndim != x.ndim:
        new = shaping.expand_dims(new, axis)
    return dynamic_update_slice_in_dim(x, new, index, axis)


def index_take(src: ArrayLike, idxs: Sequence[ArrayLike], axes: Sequence[int]) -> Array:
    """The elements at indices along several axes at once."""
    x = value(src)
    index: list[Any] = [slice_object(None)] * x.ndim
    for i, axis in zip(idxs, axes, strict=True):
        index[one_axis(axis, x.ndim)] = i
    return indexing.getitem(x, tuple(index))

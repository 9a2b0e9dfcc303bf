"""Arrays from nothing, and functions that change shapes."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError
from tracejit.numpy import creation, indexing, shaping
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    DTypeLike,
    fault,
    reshape_to,
    shape_argument,
    spread,
    value,
)
from tracejit.numpy.promotion import as_dtype
from tracejit.numpy.shaping import concatenate as concatenate_arrays
from tracejit.ops import structure
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer, bind, current_trace

__all__ = [
    "broadcast", "broadcast_in_dim", "broadcasted_iota", "collapse", "concatenate",
    "expand_dims", "full", "full_like", "iota", "pad", "reshape", "rev", "split", "squeeze",
    "transpose",
]  # fmt: skip

def full(shape: Any, fill_value: ArrayLike, dtype: DTypeLike = None) -> Array:
    """One number in a shape."""
    return creation.full(shape, fill_value, dtype)


def full_like(
    x: ArrayLike, fill_value: ArrayLike, dtype: DTypeLike = None, shape: Any = None
) -> Array:
    """One number in the shape and dtype of x."""
    return creation.full_like(x, fill_value, dtype, shape=shape)


def broadcasted_iota(dtype: DTypeLike, shape: Any, dimension: int) -> Array:
    """0, 1, 2, ... along one axis of a shape. While tracing it is computed, not stored."""
    params: dict[str, Any] = {
        "dtype": as_dtype(dtype), "shape": shape_argument(shape), "axis": int(dimension)
    }  # fmt: skip
    trace = current_trace()
    if trace is None:
        return bind(structure.iota, **params)
    trace.provenance = user_frame()
    (out,) = trace.emit(structure.iota, (), params)
    return Tracer(trace, out)


def iota(dtype: DTypeLike, size: int) -> Array:
    """0, 1, 2, ..., size - 1."""
    return broadcasted_iota(dtype, (size,), 0)


# Shapes


def broadcast(operand: ArrayLike, sizes: Sequence[int]) -> Array:
    """The operand repeated along new leading axes."""
    x = value(operand)
    return shaping.broadcast_to(x, (*sizes, *x.shape))


def broadcast_in_dim(
    operand: ArrayLike, shape: Any, broadcast_dimensions: Sequence[int]
) -> Array:
    """Axis i of the operand as axis broadcast_dimensions[i] of a shape; length 1 is repeated."""
    x, target = value(operand), shape_argument(shape)
    dims = tuple(known_ints(broadcast_dimensions))
    fits = len(dims) == x.ndim and all(
        n in (1, target[d]) for n, d in zip(x.shape, dims, strict=True)
    )
    if not fits:
        raise fault(ShapeError, f"broadcast_in_dim: {x.shape} at {dims} does not fit {target}")
    kept = [i for i, d in enumerate(dims) if x.shape[i] == target[d]]
    x = reshape_to(x, tuple(x.shape[i] for i in kept))
    return spread(x, target, tuple(dims[i] for i in kept))


def known_ints(xs: Sequence[Any]) -> list[int]:
    """Known whole numbers as ints."""
    return [operator.index(x) for x in xs]


def reshape(
    operand: ArrayLike, new_sizes: Any, dimensions: Sequence[int] | None = None
) -> Array:
    """The same elements in another shape; `dimensions` permutes the axes first."""
    x = operand if dimensions is None else shaping.transpose(operand, dimensions)
    return shaping.reshape(x, new_sizes)


def transpose(operand: ArrayLike, permutation: Sequence[int]) -> Array:
    """Axis i of the result is axis permutation[i] of the operand."""
    return shaping.transpose(operand, known_ints(permutation))


def expand_dims(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """With new axes of length 1 at these places of the result."""
    return shaping.expand_dims(array, tuple(dimensions))


def squeeze(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Without these axes of length 1."""
    return shaping.squeeze(array, tuple(dimensions))


def collapse(operand: ArrayLike, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """Several axes as one."""
    x = value(operand)
    stop = x.ndim if stop_dimension is None else stop_dimension
    middle = math.prod(x.shape[start_dimension:stop])
    return reshape_to(x, (*x.shape[:start_dimension], middle, *x.shape[stop:]))


def concatenate(operands: Sequence[ArrayLike], dimension: int) -> Array:
    """Arrays one behind the other along an axis."""
    return concatenate_arrays(operands, dimension)


def split(operand: ArrayLike, sizes: Sequence[int], axis: int = 0) -> list[Array]:
    """Parts of these sizes along an axis."""
    return shaping.array_split(operand, [int(n) for n in np.cumsum(sizes)[:-1]], axis)


def rev(operand: ArrayLike, dimensions: Sequence[int]) -> Array:
    """The order of elements turned round along axes."""
    return shaping.flip(operand, tuple(dimensions))


def pad(
    operand: ArrayLike, padding_value: ArrayLike, padding_config: Sequence[tuple[int, int, int]]
) -> Array:
    """(low, high, interior) for each axis: fills around and between; negative ones cut away."""
    x = value(operand)
    fill = value(padding_value, x.dtype)
    low, high, interior = (tuple(known_ints(p)) for p in zip(*padding_config, strict=True))
    if min(interior, default=0) < 0 or len(low) != x.ndim:
        raise fault(ArgumentError, f"pad: {padding_config} does not fit shape {x.shape}")
    around: list[Any] = [tuple(max(n, 0) for n in side) for side in (low, high)]
    if any(n > 0 for n in (*low, *high, *interior)):
        x = bind(structure.pad, x, fill, low=around[0], high=around[1], interior=interior)
    cuts = [
        slice(-min(a, 0), n + min(b, 0))
        for a, b, n in zip(low, high, x.shape, strict=True)
    ]
    return indexing.getitem(x, tuple(cuts))

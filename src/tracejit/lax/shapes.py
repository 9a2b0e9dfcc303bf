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
    "expand_dims", "full", "full_like", "iota", "pad", "padtype_to_pads", "reshape", "rev", "split",
    "squeeze", "tile", "transpose",
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
    config = [known_ints(numbers) for numbers in padding_config]
    low, high, interior = (tuple(n[i] for n in config) for i in range(3))
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


def dilated(n: int, dilation: int) -> int:
    """The length that n elements cover which are `dilation` apart."""
    return (n - 1) * dilation + 1 if n else 0


def padtype_to_pads(
    in_shape: Sequence[int], window_shape: Sequence[int], window_strides: Sequence[int],
    padding: str,
) -> list[tuple[int, int]]:  # fmt: skip
    """(low, high) along each axis: none for 'VALID'; so that there are ceil(n / stride) windows for
    'SAME', the odd one behind, and for 'SAME_LOWER', the odd one in front."""
    kind = padding.upper() if isinstance(padding, str) else padding
    if kind not in ("VALID", "SAME", "SAME_LOWER"):
        raise fault(
            ArgumentError, f"padding {padding!r}: it is 'VALID', 'SAME', 'SAME_LOWER', or pairs"
        )
    pairs = []
    for n, window, stride in zip(in_shape, window_shape, window_strides, strict=True):
        missing = max((-(-n // stride) - 1) * stride + window - n, 0)
        low = 0 if kind == "VALID" else missing // 2 if kind == "SAME" else missing - missing // 2
        pairs.append((low, 0 if kind == "VALID" else missing - low))
    return pairs


def padding_of(
    padding: str | Sequence[tuple[int, int]], lengths: Sequence[int], windows: Sequence[int],
    strides: Sequence[int],
) -> list[tuple[int, int]]:  # fmt: skip
    """(low, high) along each axis, given as such or by name."""
    if isinstance(padding, str):
        return padtype_to_pads(lengths, windows, strides, padding)
    pairs = [(operator.index(a), operator.index(b)) for a, b in padding]
    if len(pairs) != len(lengths):
        raise fault(ShapeError, f"{len(pairs)} pairs of padding for {len(lengths)} axes")
    return pairs


def tile(operand: ArrayLike, reps: Sequence[int]) -> Array:
    """The operand repeated along each of its axes."""
    x, counts = value(operand), known_ints(reps)
    if len(counts) != x.ndim:
        raise fault(ShapeError, f"tile: {len(counts)} counts for an array of rank {x.ndim}")
    return shaping.tile(x, tuple(counts))

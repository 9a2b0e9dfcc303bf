"""Operations that move elements and compute nothing, and reduce_sum, the adjoint of broadcast.

Adjoint pairs: broadcast and reduce_sum, slice and pad; reshape, permute and reverse each with
itself. On the native backend these are index arithmetic inside a kernel, never copies.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, AxisError, DTypeError, ShapeError
from tracejit.ir.atoms import Atom, Literal, zero
from tracejit.ir.primitive import ZERO, Primitive, Unknown, linear, not_accepted
from tracejit.ir.types import ALL, BOOL, NUMBERS, ArrayType, Dtypes, Shape, array_type, without_axes
from tracejit.ops.elementwise import select

Axes = tuple[int, ...]
slice_object = builtins.slice  # the name `slice` is the primitive's
Cotangents = tuple[Atom | None, ...]


def check_axes(name: str, axes: Axes, ndim: int) -> None:
    """Raise unless the axes are in range and different."""
    if len(set(axes)) != len(axes) or not all(0 <= a < ndim for a in axes):
        raise AxisError(f"{name}: axes {axes} do not fit an array of rank {ndim}")


def shifted(axes: Sequence[int]) -> Axes:
    """The same axes, behind a new first one."""
    return tuple(a + 1 for a in axes)


# broadcast and reduce_sum


def _broadcast_typing(x: ArrayType, *, shape: Shape, dims: Axes) -> tuple[ArrayType, ...]:
    increasing = all(a < b for a, b in zip(dims, dims[1:], strict=False))
    in_range = all(0 <= d < len(shape) for d in dims)
    if len(dims) != x.ndim or not increasing or not in_range:
        raise AxisError(f"broadcast: dims {dims} do not place {x} in shape {shape}")
    if any(x.shape[i] != shape[d] for i, d in enumerate(dims)):
        raise ShapeError(f"broadcast: {x} does not fit shape {shape} at dims {dims}")
    return (x.with_shape(shape),)


def _broadcast_value(x: Any, *, shape: Shape, dims: Axes) -> Any:
    spread = [1] * len(shape)
    for d in dims:
        spread[d] = shape[d]
    return np.broadcast_to(np.reshape(x, spread), shape)


def _broadcast_batch(size: int, inputs: Any, batched: Any, *, shape: Shape, dims: Axes) -> Any:
    return broadcast.bind(inputs[0], shape=(size, *shape), dims=(0, *shifted(dims)))


broadcast = linear(
    "broadcast", typing=_broadcast_typing, evaluate=_broadcast_value,
    transpose=lambda cts, inputs, *, shape, dims: (
        reduce_sum(cts[0], axes=tuple(a for a in range(len(shape)) if a not in dims)),
    ),
    batch=_broadcast_batch,
    doc="Axis i of x becomes axis dims[i] of the result, which repeats x along the others.",
)  # fmt: skip


def reduce_typing(name: str, accepts: Dtypes) -> Any:
    """The type rule of reductions over `axes`, which go away."""

    def typing(x: ArrayType, *, axes: Axes, **params: Any) -> tuple[ArrayType, ...]:
        check_axes(name, axes, x.ndim)
        if x.dtype not in accepts:
            raise not_accepted(name, x, accepts)
        return (x.with_shape(without_axes(x.shape, axes)),)

    return typing


def _reduce_sum_transpose(cts: Any, inputs: Any, *, axes: Axes) -> Cotangents:
    shape = inputs[0].type.shape
    return (expand(cts[0], shape, axes),)


def expand(x: Atom, shape: Shape, axes: Axes) -> Atom:
    """Put back axes that a reduction took out, repeating x along them."""
    return broadcast(x, shape=shape, dims=tuple(a for a in range(len(shape)) if a not in axes))


reduce_sum: Primitive = linear(
    "reduce_sum", typing=reduce_typing("reduce_sum", NUMBERS),
    evaluate=lambda x, *, axes: np.sum(x, axis=axes, dtype=x.dtype),
    transpose=_reduce_sum_transpose,
    batch=lambda size, inputs, batched, *, axes: reduce_sum.bind(inputs[0], axes=shifted(axes)),
    doc="Sum over axes, in the dtype of x.",
)  # fmt: skip


def replicate(x: Atom, size: int) -> Atom:
    """x repeated along a new first axis."""
    if isinstance(x, Literal):
        return Literal(x.value, x.type.with_shape((size, *x.shape)))
    return broadcast(x, shape=(size, *x.shape), dims=shifted(range(x.ndim)))


def batch_all(size: int, inputs: Sequence[Atom], batched: Sequence[bool]) -> list[Atom]:
    """The inputs, with those that have no batch axis repeated along one."""
    return [x if b else replicate(x, size) for x, b in zip(inputs, batched, strict=True)]


# reshape, permute, reverse


def _reshape_typing(x: ArrayType, *, shape: Shape) -> tuple[ArrayType, ...]:
    if math.prod(shape) != x.size or any(n < 0 for n in shape):
        raise ShapeError(f"reshape: {x} has {x.size} elements, shape {shape} {math.prod(shape)}")
    return (x.with_shape(shape),)


reshape: Primitive = linear(
    "reshape", typing=_reshape_typing,
    evaluate=lambda x, *, shape: np.reshape(x, shape),
    transpose=lambda cts, inputs, *, shape: (reshape(cts[0], shape=inputs[0].type.shape),),
    batch=lambda size, inputs, batched, *, shape: reshape.bind(inputs[0], shape=(size, *shape)),
    doc="The same elements in row-major order, in another shape.",
)  # fmt: skip


def _permute_typing(x: ArrayType, *, order: Axes) -> tuple[ArrayType, ...]:
    if sorted(order) != list(range(x.ndim)):
        raise AxisError(f"permute: {order} is no permutation of the axes of {x}")
    return (x.with_shape(tuple(x.shape[a] for a in order)),)


def inverse_order(order: Axes) -> Axes:
    """The permutation that undoes `order`."""
    return tuple(sorted(range(len(order)), key=order.__getitem__))


permute: Primitive = linear(
    "permute", typing=_permute_typing,
    evaluate=lambda x, *, order: np.transpose(x, order),
    transpose=lambda cts, inputs, *, order: (permute(cts[0], order=inverse_order(order)),),
    batch=lambda size, inputs, batched, *, order: permute.bind(
        inputs[0], order=(0, *shifted(order))
    ),
    doc="Axis i of the result is axis order[i] of x.",
)  # fmt: skip


def move_axis(x: Atom, source: int, target: int) -> Atom:
    """x with one axis moved to another place."""
    if source == target:
        return x
    order = [a for a in range(x.ndim) if a != source]
    order.insert(target, source)
    return permute(x, order=tuple(order))


def _reverse_typing(x: ArrayType, *, axes: Axes) -> tuple[ArrayType, ...]:
    check_axes("reverse", axes, x.ndim)
    return (x,)


reverse: Primitive = linear(
    "reverse", typing=_reverse_typing,
    evaluate=lambda x, *, axes: np.flip(x, axes),
    transpose=lambda cts, inputs, *, axes: (reverse(cts[0], axes=axes),),
    batch=lambda size, inputs, batched, *, axes: reverse.bind(inputs[0], axes=shifted(axes)),
    doc="The order of elements turned round along axes.",
)  # fmt: skip

# slice and pad


def _slice_typing(
    x: ArrayType, *, start: Shape, limit: Shape, stride: Shape
) -> tuple[ArrayType, ...]:
    if not len(start) == len(limit) == len(stride) == x.ndim:
        raise ShapeError(f"slice: start {start}, limit {limit}, stride {stride} do not fit {x}")
    for n, a, b, s in zip(x.shape, start, limit, stride, strict=True):
        if not 0 <= a <= b <= n or s < 1:
            raise ShapeError(f"slice: {a}:{b}:{s} is out of range for an axis of {n} in {x}")
    lengths = (-(-(b - a) // s) for a, b, s in zip(start, limit, stride, strict=True))
    return (x.with_shape(tuple(lengths)),)


def _slice_value(x: Any, *, start: Shape, limit: Shape, stride: Shape) -> Any:
    return x[tuple(map(slice_object, start, limit, stride))]


def _slice_transpose(
    cts: Any, inputs: Any, *, start: Shape, limit: Shape, stride: Shape
) -> Cotangents:
    """Back into its place, zeros around and, for strides, between."""
    (ct,) = cts
    covered = (
        a + (n - 1) * s + 1 if n else a for a, n, s in zip(start, ct.shape, stride, strict=True)
    )
    high = tuple(n - c for n, c in zip(inputs[0].type.shape, covered, strict=True))
    nothing = zero(array_type(ct.dtype))
    return (pad(ct, nothing, low=start, high=high, interior=tuple(s - 1 for s in stride)),)


slice: Primitive = linear(
    "slice", typing=_slice_typing, evaluate=_slice_value, transpose=_slice_transpose,
    batch=lambda size, inputs, batched, *, start, limit, stride: slice.bind(
        inputs[0], start=(0, *start), limit=(size, *limit), stride=(1, *stride)
    ),
    doc="x[start:limit:stride] along each axis; strides are positive.",
)  # fmt: skip


def _pad_typing(
    x: ArrayType, fill: ArrayType, *, low: Shape, high: Shape, interior: Shape
) -> tuple[ArrayType, ...]:
    if fill != array_type(x.dtype):
        raise ShapeError(f"pad: the fill must be a {array_type(x.dtype)}, got {fill}")
    if not len(low) == len(high) == len(interior) == x.ndim or min((*low, *high, *interior, 0)) < 0:
        raise ShapeError(f"pad: low {low}, high {high}, interior {interior} do not fit {x}")
    shape = padded_shape(x.shape, low, high, interior)
    return (x.with_shape(shape),)


def padded_shape(shape: Shape, low: Shape, high: Shape, interior: Shape) -> Shape:
    """The shape of pad's result."""
    return tuple(
        a + n + (n - 1 if n else 0) * i + b
        for n, a, b, i in zip(shape, low, high, interior, strict=True)
    )


def inner_slices(shape: Shape, low: Shape, interior: Shape) -> tuple[Any, ...]:
    """Where pad puts the elements of x."""
    return tuple(
        slice_object(a, a + (n - 1) * (i + 1) + 1 if n else a, i + 1)
        for n, a, i in zip(shape, low, interior, strict=True)
    )


def _pad_value(x: Any, fill: Any, *, low: Shape, high: Shape, interior: Shape) -> Any:
    result = np.full(padded_shape(x.shape, low, high, interior), fill, x.dtype)
    result[inner_slices(x.shape, low, interior)] = x
    return result


def _pad_transpose(
    cts: Any, inputs: Any, *, low: Shape, high: Shape, interior: Shape
) -> Cotangents:
    (ct,), (x, fill) = cts, inputs
    shape = x.type.shape if isinstance(x, Unknown) else x.shape
    inner = inner_slices(shape, low, interior)
    back = slice(
        ct, start=tuple(s.start for s in inner), limit=tuple(s.stop for s in inner),
        stride=tuple(s.step for s in inner),
    )  # fmt: skip
    around = None
    if isinstance(fill, Unknown):
        covered = _covered(shape, low=low, high=high, interior=interior)
        filled = select(covered, zero(ct.type), ct)
        around = reduce_sum(filled, axes=tuple(range(ct.ndim)))
    return (back if isinstance(x, Unknown) else None, around)


def _pad_batch(
    size: int, inputs: Any, batched: Any, *, low: Shape, high: Shape, interior: Shape
) -> Any:
    x, fill = batch_all(size, inputs, batched) if batched[1] else inputs
    params = {"low": (0, *low), "high": (0, *high), "interior": (0, *interior)}
    if not batched[1]:
        return pad.bind(x, fill, **params)
    # Each member has a fill of its own: pad with zero, and choose the fill where x is not.
    inside = pad(x, zero(array_type(x.dtype)), **params)
    fills = broadcast(fill, shape=inside.shape, dims=(0,))
    return (select(_covered(x.shape, **params), inside, fills),)


def _covered(shape: Shape, **params: Any) -> Atom:
    """Where pad's result holds an element of x: bool, of the result's shape."""
    return pad(Literal(True, array_type(BOOL, shape)), zero(array_type(BOOL)), **params)


pad = linear(
    "pad", typing=_pad_typing, evaluate=_pad_value, transpose=_pad_transpose, batch=_pad_batch,
    doc="x with `low` and `high` fills around it and `interior` fills between its elements.",
)  # fmt: skip

# concatenate


def _concatenate_typing(*types: ArrayType, axis: int) -> tuple[ArrayType, ...]:
    if not types:
        raise ArgumentError("concatenate: there is nothing to concatenate")
    first = types[0]
    check_axes("concatenate", (axis,), first.ndim)
    for other in types[1:]:
        if other.dtype != first.dtype:
            raise DTypeError(f"concatenate: operands differ in dtype, {first} and {other}")
        if without_axes(other.shape, (axis,)) != without_axes(first.shape, (axis,)):
            raise ShapeError(f"concatenate: {first} and {other} differ off axis {axis}")
    shape = list(first.shape)
    shape[axis] = sum(t.shape[axis] for t in types)
    return (first.with_shape(tuple(shape)),)


def _concatenate_transpose(cts: Any, inputs: Any, *, axis: int) -> Cotangents:
    (ct,), results, at = cts, [], 0
    for x in inputs:
        shape = x.type.shape
        start, limit = [0] * ct.ndim, list(ct.shape)
        start[axis], limit[axis] = at, at + shape[axis]
        at += shape[axis]
        results.append(
            slice(ct, start=tuple(start), limit=tuple(limit), stride=(1,) * ct.ndim)
            if isinstance(x, Unknown)
            else None
        )
    return tuple(results)


concatenate: Primitive = linear(
    "concatenate", typing=_concatenate_typing,
    evaluate=lambda *xs, axis: np.concatenate(xs, axis=axis),
    transpose=_concatenate_transpose,
    batch=lambda size, inputs, batched, *, axis: concatenate.bind(
        *batch_all(size, inputs, batched), axis=axis + 1
    ),
    doc="Operands one behind the other along an axis.",
)  # fmt: skip

# iota


def _iota_typing(*, dtype: np.dtype, shape: Shape, axis: int) -> tuple[ArrayType, ...]:
    check_axes("iota", (axis,), len(shape))
    if dtype not in ALL or any(n < 0 for n in shape):
        raise DTypeError(f"iota: no array of dtype {dtype} and shape {shape}")
    return (array_type(dtype, shape),)


def _iota_value(*, dtype: np.dtype, shape: Shape, axis: int) -> Any:
    spread = [1] * len(shape)
    spread[axis] = shape[axis]
    return np.broadcast_to(np.arange(shape[axis]).astype(dtype).reshape(spread), shape)


iota: Primitive = Primitive(
    "iota", typing=_iota_typing, evaluate=_iota_value, jvp=ZERO,
    batch=lambda size, inputs, batched, *, dtype, shape, axis: iota.bind(
        dtype=dtype, shape=(size, *shape), axis=axis + 1
    ),
    doc="0, 1, 2, ... along one axis.",
)  # fmt: skip

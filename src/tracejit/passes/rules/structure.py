"""Rewrites of operations that move elements, and of sums over what was repeated.

Chains of one kind become one operation, operations that move nothing disappear, and a splat moved
is a splat. The native backend has these for nothing either way; what counts is that equal views
become equal equations, that fewer of them stand between producer and consumer, and compile time.
"""

from __future__ import annotations

import itertools
import math

import numpy as np

from tracejit.ir.atoms import Atom, Literal, is_zero, zero
from tracejit.ir.graph import Equation
from tracejit.ir.types import Shape, array_type, without_axes
from tracejit.ops.elementwise import mul
from tracejit.ops.structure import (
    broadcast,
    concatenate,
    iota,
    pad,
    permute,
    reduce_sum,
    reshape,
    reverse,
    slice,
)
from tracejit.passes.rules.table import always, is_shared, literal, over

Axes = tuple[int, ...]


def splat(c: Literal, shape: Shape) -> Literal:
    """The same number in another shape."""
    return Literal(c.value, c.type.with_shape(shape))


# Splats: moved, they stay what they are.

for primitive in (broadcast, reshape):
    literal(primitive)(lambda c, *, shape, dims=(): splat(c, shape))
literal(permute)(lambda c, *, order: splat(c, tuple(c.shape[a] for a in order)))
literal(reverse)(lambda c, *, axes: c)


@literal(slice)
def _slice_of_splat(c: Literal, *, start: Shape, limit: Shape, stride: Shape) -> Atom:
    lengths = (-(-(b - a) // s) for a, b, s in zip(start, limit, stride, strict=True))
    return splat(c, tuple(lengths))


@literal(reduce_sum)
def _sum_of_splat(c: Literal, *, axes: Axes) -> Atom | None:
    """n times the number; for none of them 0, also where inf * 0 is NaN."""
    type = c.type.with_shape(without_axes(c.shape, axes))
    count = math.prod(c.shape[a] for a in axes)
    if count == 0 or c.value == 0:
        return zero(type)
    total = c.value * count
    return Literal(total, type) if c.type.is_inexact or is_within(total, c.dtype) else None


def is_within(number: float, dtype: np.dtype) -> bool:
    """Whether a dtype of integers has this number."""
    info = np.iinfo(dtype)
    return int(info.min) <= number <= int(info.max)


# broadcast

always(broadcast)(lambda x, *, shape, dims: x if shape == x.shape else None)


@over(broadcast, broadcast)
def _repeat_twice(inner: Equation, x: Atom, *, shape: Shape, dims: Axes) -> Atom:
    through = tuple(dims[d] for d in inner.params["dims"])
    return broadcast(inner.inputs[0], shape=shape, dims=through)


def drop_repeats(source: Atom, shape: Shape, dims: Axes, axes: Axes) -> Atom:
    """What broadcast(source, shape, dims) is without `axes`, none of them in dims."""
    kept = [a for a in range(len(shape)) if a not in axes]
    return broadcast(
        source, shape=without_axes(shape, axes), dims=tuple(kept.index(d) for d in dims)
    )


# reshape

always(reshape)(lambda x, *, shape: x if shape == x.shape else None)
over(reshape, reshape)(lambda inner, x, *, shape: reshape(inner.inputs[0], shape=shape))


@over(reshape, broadcast)
def _reshape_of_repeated_number(inner: Equation, x: Atom, *, shape: Shape) -> Atom | None:
    (source,) = inner.inputs
    return broadcast(source, shape=shape, dims=()) if source.ndim == 0 else None


# permute


@always(permute)
def _permute_nothing(x: Atom, *, order: Axes) -> Atom | None:
    return x if order == tuple(range(x.ndim)) else None


@over(permute, permute)
def _permute_twice(inner: Equation, x: Atom, *, order: Axes) -> Atom:
    before = inner.params["order"]
    return permute(inner.inputs[0], order=tuple(before[a] for a in order))


@over(permute, broadcast)
def _permute_of_repeated(inner: Equation, x: Atom, *, order: Axes) -> Atom | None:
    """A repeated vector or number, turned: the same one repeated along other axes."""
    (source,) = inner.inputs
    if source.ndim > 1:
        return None
    shape = tuple(x.shape[a] for a in order)
    return broadcast(source, shape=shape, dims=tuple(order.index(d) for d in inner.params["dims"]))


# reverse


@always(reverse)
def _reverse_of_one(x: Atom, *, axes: Axes) -> Atom | None:
    """Axes with one element, or none, read the same both ways."""
    longer = tuple(a for a in axes if x.shape[a] > 1)
    if longer == axes:
        return None if axes else x
    return reverse(x, axes=longer)


@over(reverse, reverse)
def _reverse_twice(inner: Equation, x: Atom, *, axes: Axes) -> Atom:
    once = set(axes) ^ set(inner.params["axes"])
    return reverse(inner.inputs[0], axes=tuple(sorted(once)))


# slice and pad


@always(slice)
def _slice_of_all(x: Atom, *, start: Shape, limit: Shape, stride: Shape) -> Atom | None:
    everything = limit == x.shape and not any(start) and all(s == 1 for s in stride)
    return x if everything else None


@over(slice, slice)
def _slice_twice(
    inner: Equation, x: Atom, *, start: Shape, limit: Shape, stride: Shape
) -> Atom | None:
    """Element i is element a + s (b + t i) of the source. The limit is one behind the last."""
    starts, limits, strides = [], [], []
    outer = zip(start, limit, stride, strict=True)
    before = zip(inner.params["start"], inner.params["stride"], strict=True)
    for (a, s), (b, end, t) in zip(before, outer, strict=True):
        length = -(-(end - b) // t)
        starts.append(a + s * b if length else 0)
        limits.append(a + s * (b + t * (length - 1)) + 1 if length else 0)
        strides.append(s * t)
    return slice(
        inner.inputs[0], start=tuple(starts), limit=tuple(limits), stride=tuple(strides)
    )  # fmt: skip


@over(slice, broadcast)
def _slice_of_repeated_number(
    inner: Equation, x: Atom, *, start: Shape, limit: Shape, stride: Shape
) -> Atom | None:
    (source,) = inner.inputs
    if source.ndim > 0:
        return None
    lengths = (-(-(b - a) // s) for a, b, s in zip(start, limit, stride, strict=True))
    return broadcast(source, shape=tuple(lengths), dims=())


@over(slice, concatenate)
def _slice_of_one_part(
    inner: Equation, x: Atom, *, start: Shape, limit: Shape, stride: Shape
) -> Atom | None:
    """A slice that one operand of the concatenation holds is a slice of that operand."""
    axis = inner.params["axis"]
    first, last = start[axis], limit[axis]
    ends = list(itertools.accumulate(y.shape[axis] for y in inner.inputs))
    for y, end in zip(inner.inputs, ends, strict=True):
        begin = end - y.shape[axis]
        if begin <= first < last <= end:
            start = (*start[:axis], first - begin, *start[axis + 1 :])
            limit = (*limit[:axis], last - begin, *limit[axis + 1 :])
            return slice(y, start=start, limit=limit, stride=stride)
    return None


def _multiple_around(inner: Equation, x: Atom, fill: Atom, **params: Shape) -> Atom | None:
    """pad(c a, 0) -> c pad(a, 0): multiples of one array are padded as that array."""
    a, c = inner.inputs
    if not isinstance(c, Literal) or not is_zero(fill) or is_shared(x):
        return None
    if x.dtype.kind == "f" and not math.isfinite(c.value):
        return None
    padded = pad(a, fill, **params)
    return mul(padded, splat(c, padded.type.shape))


over(pad, mul)(_multiple_around)


@always(pad)
def _pad_nothing(x: Atom, fill: Atom, *, low: Shape, high: Shape, interior: Shape) -> Atom | None:
    """No fill anywhere, or a splat filled with its own number."""
    between = any(i and n > 1 for i, n in zip(interior, x.shape, strict=True))
    if not (any(low) or any(high) or between):
        return x
    if isinstance(x, Literal) and isinstance(fill, Literal) and splat(fill, x.shape) == x:
        gaps = (max(n - 1, 0) * i for n, i in zip(x.shape, interior, strict=True))
        shape = tuple(map(sum, zip(x.shape, low, high, gaps, strict=True)))
        return splat(fill, shape)
    return None


# concatenate


@always(concatenate)
def _concatenate_less(*xs: Atom, axis: int) -> Atom | None:
    """Of one operand, of operands some of which are empty, or of equal splats."""
    filled = [x for x in xs if x.shape[axis]] or [xs[0]]
    if len(filled) == 1:
        return filled[0]
    if len(filled) < len(xs):
        return concatenate(*filled, axis=axis)
    first, length = xs[0], sum(x.shape[axis] for x in xs)
    if not all(isinstance(x, Literal) for x in xs):
        return None
    if any(splat(x, first.shape) != first for x in xs):  # type: ignore[arg-type]
        return None
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    return splat(first, shape)  # type: ignore[arg-type]


# reduce_sum


@over(reduce_sum, broadcast)
def _sum_of_repeated(inner: Equation, x: Atom, *, axes: Axes) -> Atom | None:
    """The sum of n equal numbers is n times the number (better than adding them up)."""
    dims, (source,) = inner.params["dims"], inner.inputs
    count = math.prod(x.shape[a] for a in axes)
    if count == 0 or not set(axes).isdisjoint(dims):
        return None
    if not source.type.is_inexact and not is_within(count, source.dtype):
        return None
    return drop_repeats(mul(source, Literal(count, source.type)), x.shape, dims, axes)


# iota


@always(iota)
def _iota_of_one(*, dtype: np.dtype, shape: Shape, axis: int) -> Atom | None:
    """Along an axis of one element (or none) all are 0."""
    return zero(array_type(dtype, shape)) if shape[axis] <= 1 else None

"""Shapes: reshape, transpose, join, split, repeat. Values move, nothing is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, AxisError, ShapeError, UnsupportedError
from tracejit.ir.types import Shape
from tracejit.numpy import views
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    Axis,
    DTypeLike,
    common_shape,
    copied,
    fault,
    fit,
    lifted,
    one_axis,
    operand,
    reshape_to,
    shape_argument,
    shape_of,
    size_argument,
    some_axes,
    stretch,
    takes_out,
    value,
)
from tracejit.numpy.promotion import as_dtype, result_dtype
from tracejit.ops import structure
from tracejit.trace.tracer import Tracer, bind, current_trace, is_traced
from tracejit.trace.view import View

__all__ = [
    "append", "array_split", "atleast_1d", "atleast_2d", "atleast_3d", "block",
    "broadcast_arrays", "broadcast_to", "column_stack", "concat", "concatenate", "dsplit",
    "dstack", "expand_dims", "flip", "fliplr", "flipud", "hsplit", "hstack", "matrix_transpose",
    "meshgrid", "moveaxis", "ndim", "permute_dims", "ravel", "repeat", "reshape", "roll",
    "rollaxis", "rot90", "shape", "size", "split", "squeeze", "stack", "swapaxes", "tile",
    "transpose", "unstack", "vsplit", "vstack",
]  # fmt: skip

# The shape itself


def shape(a: ArrayLike) -> Shape:
    """The sizes of the axes."""
    return shape_of(operand(a))


def ndim(a: ArrayLike) -> int:
    """The number of axes."""
    return len(shape(a))


def size(a: ArrayLike, axis: Axis = None) -> int:
    """The number of elements, or of those along axes."""
    lengths = shape(a)
    return math.prod(lengths[i] for i in some_axes(axis, len(lengths)))


def _completed(shape: Shape, count: int) -> Shape:
    """The shape with its -1, if there is one, worked out."""
    if shape.count(-1) > 1:
        raise fault(ShapeError, f"shape {shape} has more than one -1")
    rest = math.prod(n for n in shape if n != -1)
    if -1 in shape and (rest == 0 or count % rest):
        raise fault(ShapeError, f"{count} elements cannot be put into shape {shape}")
    return tuple(count // rest if n == -1 else n for n in shape)


def reshape(
    a: ArrayLike, shape: Any, order: str = "C", *, copy: bool | None = None
) -> Array:
    """The same elements in another shape, of which one size may be -1; order C or F."""
    x = value(a)
    target = _completed(shape_argument(shape), math.prod(x.shape))
    if math.prod(target) != math.prod(x.shape) or min(target, default=0) < 0:
        raise fault(ShapeError, f"an array of shape {x.shape} cannot be reshaped to {target}")
    if order == "F":
        return transpose(reshape_to(transpose(x), target[::-1]))
    if order not in ("C", "A", "K"):
        raise fault(ArgumentError, f"order must be 'C' or 'F', not {order!r}")
    if copy or not views.may_reshape(x, target):
        if copy is False:
            what = f"an array of shape {x.shape} that is a view cannot become {target} in place"
            raise fault(ArgumentError, what)
        return copied(reshape_to(x, target))
    return _reshaped(x, target)


def _reshaped(x: Array, shape: Shape) -> Array:
    """x in another shape, in which it lies in memory as it is."""
    return views.of(x, views.Reshaped(shape))


def ravel(a: ArrayLike, order: str = "C") -> Array:
    """All elements along one axis: those of `a` where they lie in memory so, else a copy."""
    x = value(a)
    return reshape(x, (x.size,), order, copy=None if views.is_plain(x) else True)


def flat(x: Tracer) -> Array:
    """All elements along one axis, to be read and written."""
    return _reshaped(x, (x.size,))


def set_shape(x: Tracer, shape: Any) -> None:
    """x.shape = shape: x itself in another shape; its views stay what they are."""
    target = _completed(shape_argument(shape), x.size)
    if math.prod(target) != x.size or x.owner is not current_trace():
        what = f"a traced array of shape {x.shape} cannot be given shape {target} in place"
        raise fault(ShapeError, what, "y = x.reshape(shape) is a view, or an error that says why")
    x.atom = reshape_to(x, target).atom


def squeeze(a: ArrayLike, axis: Axis = None) -> Array:
    """Without axes of length 1: all, or those named."""
    x = value(a)
    if axis is None:
        axes = tuple(i for i, n in enumerate(x.shape) if n == 1)
    else:
        axes = some_axes(axis, x.ndim)
        if any(x.shape[i] != 1 for i in axes):
            raise fault(ShapeError, f"squeeze: axes {axes} of shape {x.shape} are not of length 1")
    return _reshaped(x, tuple(n for i, n in enumerate(x.shape) if i not in axes))


def expand_dims(a: ArrayLike, axis: int | tuple[int, ...]) -> Array:
    """With new axes of length 1 at these places of the result."""
    x = value(a)
    count = len(axis) if isinstance(axis, (tuple, list)) else 1
    axes = some_axes(axis, x.ndim + count)
    rest = iter(x.shape)
    return _reshaped(x, tuple(1 if i in axes else next(rest) for i in range(x.ndim + count)))


def _at_least(count: int, a: ArrayLike) -> Array:
    x = value(a)
    if x.ndim >= count:
        return x
    if count == 3 and x.ndim:
        return _reshaped(x, (1, *x.shape, 1) if x.ndim == 1 else (*x.shape, 1))
    return _reshaped(x, (*(1,) * (count - x.ndim), *x.shape))


def _each(count: int, arrays: Sequence[ArrayLike]) -> Any:
    results = tuple([_at_least(count, a) for a in arrays])
    return results[0] if len(results) == 1 else results


def atleast_1d(*arrays: ArrayLike) -> Any:
    """Each array with one axis at least."""
    return _each(1, arrays)


def atleast_2d(*arrays: ArrayLike) -> Any:
    """Each array with two axes at least, new ones in front."""
    return _each(2, arrays)


def atleast_3d(*arrays: ArrayLike) -> Any:
    """Each array with three axes at least."""
    return _each(3, arrays)


# The order of axes


def transpose(a: ArrayLike, axes: Sequence[int] | None = None) -> Array:
    """Axis i of the result is axes[i] of a; all turned round, unless said."""
    x = value(a)
    order = tuple(range(x.ndim))[::-1] if axes is None else _order(tuple(axes), x.ndim)
    return x if order == tuple(range(x.ndim)) else views.of(x, views.Permuted(order))


def _order(axes: tuple[Any, ...], ndim: int) -> tuple[int, ...]:
    order = tuple([one_axis(a, ndim) for a in axes])
    if sorted(order) != list(range(ndim)):
        raise fault(AxisError, f"axes {axes} are no permutation of the axes of rank {ndim}")
    return order


permute_dims = transpose


def matrix_transpose(x: ArrayLike) -> Array:
    """The last two axes swapped."""
    return swapaxes(x, -1, -2)


def swapaxes(a: ArrayLike, axis1: int, axis2: int) -> Array:
    """Two axes swapped."""
    x = value(a)
    i, j = one_axis(axis1, x.ndim), one_axis(axis2, x.ndim)
    order = list(range(x.ndim))
    order[i], order[j] = j, i
    return transpose(x, order)


def moveaxis(a: ArrayLike, source: Any, destination: Any) -> Array:
    """Axes moved from places to others; the rest keep their order."""
    x = value(a)
    sources = [one_axis(i, x.ndim) for i in _several(source)]
    targets = [one_axis(i, x.ndim) for i in _several(destination)]
    if len(sources) != len(targets):
        raise fault(ArgumentError, f"moveaxis: {source} and {destination} differ in number")
    order = [i for i in range(x.ndim) if i not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return transpose(x, order)


def _several(axes: Any) -> tuple[Any, ...]:
    return tuple(axes) if isinstance(axes, (tuple, list)) else (axes,)


def rollaxis(a: ArrayLike, axis: int, start: int = 0) -> Array:
    """An axis moved back until it stands before `start`."""
    x = value(a)
    axis = one_axis(axis, x.ndim)
    start = start + x.ndim if start < 0 else start
    return moveaxis(x, axis, start - 1 if start > axis else start)


# Broadcasting


def broadcast_to(array: ArrayLike, shape: Any, subok: bool = False) -> Array:
    """The array repeated along new leading axes and axes of length 1."""
    x, target = value(array), shape_argument(shape)
    try:
        fits = np.broadcast_shapes(x.shape, target) == target
    except ValueError:
        fits = False
    if not fits:
        raise fault(ShapeError, f"shape {x.shape} does not broadcast to {target}")
    if not isinstance(x, Tracer):
        return stretch(np.asarray(x), target)
    return View(x, views.ReadOnly(lambda base: stretch(base, target)), stretch(x, target))


def broadcast_arrays(*args: ArrayLike, subok: bool = False) -> tuple[Array, ...]:
    """The arrays repeated to their common shape."""
    xs = [value(a) for a in args]
    target = common_shape(xs)
    return tuple([broadcast_to(x, target) for x in xs])


def meshgrid(
    *xi: ArrayLike, copy: bool = True, sparse: bool = False, indexing: str = "xy"
) -> tuple[Array, ...]:
    """Grids of the coordinates along each axis; indexing xy swaps the first two axes."""
    if indexing not in ("xy", "ij"):
        raise fault(ArgumentError, f"indexing must be 'xy' or 'ij', not {indexing!r}")
    lines = [ravel(x) for x in xi]
    places = list(range(len(lines)))
    if indexing == "xy" and len(lines) > 1:
        places[:2] = [1, 0]
    grids = [
        reshape_to(x, tuple(x.shape[0] if i == place else 1 for i in range(len(lines))))
        for x, place in zip(lines, places, strict=True)
    ]
    if sparse:
        return tuple(grids)
    target = common_shape(grids)
    return tuple([stretch(g, target) for g in grids])


# Joining and splitting


def _together(arrays: Any, dtype: DTypeLike = None) -> list[Any]:
    """Arrays in one dtype, each in its own shape."""
    xs = [operand(a) for a in arrays]
    if not xs:
        raise fault(ArgumentError, "there is nothing to join")
    common = result_dtype(*xs) if dtype is None else as_dtype(dtype)
    traced = is_traced(*xs)
    if not traced:
        return [value(x, common) for x in xs]
    return [lifted(fit(x, common, shape_of(x), traced=True)) for x in xs]


@takes_out
def concatenate(
    arrays: Sequence[ArrayLike], axis: int | None = 0, out: Array = None, *,
    dtype: DTypeLike = None, casting: str = "same_kind",
) -> Array:  # fmt: skip
    """Arrays one behind the other along an axis (None: all flattened)."""
    xs = _together(arrays, dtype)
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    ranks = {x.ndim for x in xs}
    if len(ranks) > 1 or 0 in ranks:
        raise fault(
            ShapeError, f"concatenate: arrays of shapes {', '.join(str(x.shape) for x in xs)}",
            "all need the same number of axes, at least one; np.stack makes a new one",
        )  # fmt: skip
    at = one_axis(axis, xs[0].ndim)
    return copied(xs[0]) if len(xs) == 1 else bind(structure.concatenate, *xs, axis=at)


concat = concatenate


@takes_out
def stack(
    arrays: Sequence[ArrayLike], axis: int = 0, out: Array = None, *, dtype: DTypeLike = None,
    casting: str = "same_kind",
) -> Array:  # fmt: skip
    """Arrays of one shape along a new axis."""
    xs = _together(arrays, dtype)
    if len({x.shape for x in xs}) > 1:
        raise fault(ShapeError, f"stack: shapes differ, {', '.join(str(x.shape) for x in xs)}")
    at = one_axis(axis, xs[0].ndim + 1)
    target = (*xs[0].shape[:at], 1, *xs[0].shape[at:])
    return concatenate([reshape_to(x, target) for x in xs], at)


def vstack(tup: Sequence[ArrayLike], *, dtype: DTypeLike = None) -> Array:
    """Arrays above each other: joined along the first of at least two axes."""
    return concatenate([_at_least(2, x) for x in _together(tup, dtype)], 0)


def hstack(tup: Sequence[ArrayLike], *, dtype: DTypeLike = None) -> Array:
    """Arrays side by side: along axis 1, or 0 where there is one axis."""
    xs = [_at_least(1, x) for x in _together(tup, dtype)]
    return concatenate(xs, 0 if xs[0].ndim == 1 else 1)


def dstack(tup: Sequence[ArrayLike]) -> Array:
    """Arrays behind each other: along the third axis."""
    return concatenate([_at_least(3, x) for x in _together(tup)], 2)


def column_stack(tup: Sequence[ArrayLike]) -> Array:
    """Arrays of one axis as columns, beside those of two."""
    xs = [_at_least(1, x) for x in _together(tup)]
    return concatenate([reshape(x, (-1, 1)) if x.ndim == 1 else x for x in xs], 1)


def append(arr: ArrayLike, values: ArrayLike, axis: int | None = None) -> Array:
    """Values behind an array; both flattened, unless an axis is named."""
    return concatenate((arr, value(values)), axis)


def block(arrays: Any) -> Array:
    """An array put together from nested lists of blocks."""
    depth, inner = 0, arrays
    while isinstance(inner, list):
        depth, inner = depth + 1, inner[0]
    rank = max(depth, max(ndim(x) for x in _leaves(arrays)))
    return _block(arrays, depth, rank)


def _leaves(arrays: Any) -> list[Any]:
    return [x for a in arrays for x in _leaves(a)] if isinstance(arrays, list) else [arrays]


def _block(arrays: Any, depth: int, rank: int) -> Array:
    if not isinstance(arrays, list):
        x = value(arrays)
        return reshape_to(x, (*(1,) * (rank - x.ndim), *x.shape))
    return concatenate([_block(a, depth - 1, rank) for a in arrays], -depth)


def part(x: Array, axis: int, start: int, limit: int) -> Array:
    """x[start:limit] along one axis."""
    return views.of(x, views.Sliced(axis, start, limit))


def array_split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """Parts along an axis: so many of about one size, or cut at the indices."""
    x = value(ary)
    axis = one_axis(axis, x.ndim)
    length = x.shape[axis]
    if isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        cuts = [size_argument(i, "an index") for i in indices_or_sections]
        cuts = [min(max(i + length if i < 0 else i, 0), length) for i in cuts]
    else:
        count = size_argument(indices_or_sections, "the number of parts")
        if count < 1:
            raise fault(ArgumentError, f"the number of parts must be positive, not {count}")
        each, more = divmod(length, count)
        cuts = [i * each + min(i, more) for i in range(1, count)]
    bounds = zip([0, *cuts], [*cuts, length], strict=True)
    return [part(x, axis, a, max(a, b)) for a, b in bounds]


def split(ary: ArrayLike, indices_or_sections: Any, axis: int = 0) -> list[Array]:
    """As array_split, but a number of parts has to divide the length."""
    x = value(ary)
    length = x.shape[one_axis(axis, x.ndim)]
    if not isinstance(indices_or_sections, (list, tuple, np.ndarray)):
        count = size_argument(indices_or_sections, "the number of parts")
        if count < 1 or length % count:
            raise fault(
                ShapeError, f"an axis of {length} cannot be split into {count} equal parts",
                "np.array_split makes parts of about one size",
            )  # fmt: skip
    return array_split(x, indices_or_sections, axis)


def hsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along axis 1, or 0 where there is one axis."""
    return split(ary, indices_or_sections, 0 if ndim(ary) == 1 else 1)


def vsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along axis 0."""
    return split(ary, indices_or_sections, 0)


def dsplit(ary: ArrayLike, indices_or_sections: Any) -> list[Array]:
    """Parts along axis 2."""
    return split(ary, indices_or_sections, 2)


def unstack(x: ArrayLike, /, *, axis: int = 0) -> tuple[Array, ...]:
    """The arrays along an axis, which goes away."""
    x = value(x)
    axis = one_axis(axis, x.ndim)
    rest = (*x.shape[:axis], *x.shape[axis + 1 :])
    return tuple([_reshaped(part(x, axis, i, i + 1), rest) for i in range(x.shape[axis])])


# Repeating and turning


def tile(A: ArrayLike, reps: Any) -> Array:
    """The array repeated so often along each axis."""
    x, counts = value(A), shape_argument(reps)
    rank = max(x.ndim, len(counts))
    lengths = (*(1,) * (rank - x.ndim), *x.shape)
    counts = (*(1,) * (rank - len(counts)), *counts)
    x = reshape_to(x, tuple(m for n in lengths for m in (1, n)))
    x = stretch(x, tuple(m for n, c in zip(lengths, counts, strict=True) for m in (c, n)))
    return copied(reshape_to(x, tuple(n * c for n, c in zip(lengths, counts, strict=True))))


def repeat(
    a: ArrayLike, repeats: Any, axis: int | None = None, *, total_repeat_length: int | None = None
) -> Array:
    """Each element so often, one behind the other; the counts have to be known."""
    x = ravel(a) if axis is None else value(a)
    axis = one_axis(0 if axis is None else axis, x.ndim)
    if is_traced(repeats):
        raise fault(
            UnsupportedError, "repeat: traced counts would make the shape depend on numbers",
            "make the counts static, or use x[np.searchsorted(ends, np.arange(n), 'right')]",
        )  # fmt: skip
    counts = np.atleast_1d(np.asarray(repeats))
    if counts.size == 1:
        n, before, after = int(counts[0]), x.shape[:axis], x.shape[axis + 1 :]
        x = reshape_to(x, (*x.shape[: axis + 1], 1, *after))
        x = stretch(x, (*before, x.shape[axis], n, *after))
        return copied(reshape_to(x, (*before, x.shape[axis] * n, *after)))
    if counts.shape != (x.shape[axis],):
        raise fault(ShapeError, f"repeat: {counts.size} counts for an axis of {x.shape[axis]}")
    parts = [
        stretch(part(x, axis, i, i + 1), (*x.shape[:axis], int(n), *x.shape[axis + 1 :]))
        for i, n in enumerate(counts)
        if n
    ]
    return concatenate(parts, axis) if parts else part(x, axis, 0, 0)


def flip(m: ArrayLike, axis: Axis = None) -> Array:
    """The order of elements turned round along axes (all of them, unless said)."""
    x = value(m)
    axes = tuple(i for i in some_axes(axis, x.ndim) if x.shape[i] > 1)
    return views.of(x, views.Turned(axes)) if axes else x


def flipud(m: ArrayLike) -> Array:
    """Turned round along axis 0."""
    return flip(m, 0)


def fliplr(m: ArrayLike) -> Array:
    """Turned round along axis 1."""
    return flip(m, 1)


def rot90(m: ArrayLike, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Array:
    """Turned by k right angles, from the first axis named to the second."""
    x = value(m)
    i, j = (one_axis(a, x.ndim) for a in axes)
    if k % 4 == 0:
        return x
    if k % 4 == 2:
        return flip(x, (i, j))
    return swapaxes(flip(x, j), i, j) if k % 4 == 1 else flip(swapaxes(x, i, j), j)


def roll(a: ArrayLike, shift: Any, axis: Axis = None) -> Array:
    """Elements moved on by `shift` places; those that fall off come in at the other end."""
    if axis is None:
        return reshape(roll(ravel(a), shift, 0), shape(a))
    x = copied(value(a))
    shifts, axes = _several(shift), _several(axis)
    count = max(len(shifts), len(axes))
    shifts, axes = (v * count if len(v) == 1 else v for v in (shifts, axes))
    for n, i in zip(shifts, axes, strict=True):
        i = one_axis(i, x.ndim)
        length = x.shape[i]
        cut = (-size_argument(n, "a shift")) % length if length else 0
        if cut:
            x = concatenate((part(x, i, cut, length), part(x, i, 0, cut)), i)
    return x

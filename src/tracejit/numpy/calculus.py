"""Differences, integrals, interpolation, polynomials, convolutions, and arrays that grow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError, UnsupportedError
from tracejit.ir.types import BOOL
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    fault,
    one_axis,
    operand,
    reshape_to,
    shape_of,
    value,
)
from tracejit.numpy.choosing import clip, where
from tracejit.numpy.contraction import dot
from tracejit.numpy.indexing import take
from tracejit.numpy.kinds import refuse_complex, to_float
from tracejit.numpy.promotion import is_weak, quotient_dtype, result_dtype, result_float
from tracejit.numpy.reductions import cumsum
from tracejit.numpy.reductions import sum as sum_over
from tracejit.numpy.shaping import (
    broadcast_to,
    concatenate,
    flip,
    moveaxis,
    part,
    ravel,
    reshape,
    stack,
)
from tracejit.numpy.sorting import searchsorted
from tracejit.ops import structure
from tracejit.trace.tracer import bind, is_traced

__all__ = [
    "apply_along_axis", "convolve", "correlate", "delete", "diff", "ediff1d", "gradient",
    "insert", "interp", "pad", "polyadd", "polyder", "polyint", "polymul", "polysub", "polyval",
    "resize", "trapezoid", "unwrap",
]  # fmt: skip

# Differences and integrals


def diff(
    a: ArrayLike, n: int = 1, axis: int = -1, prepend: ArrayLike | None = None,
    append: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """The differences of neighbours along an axis, taken n times."""
    x = value(a)
    at = one_axis(axis, x.ndim)
    ends = [prepend, append]
    if prepend is not None or append is not None:
        edge = (*x.shape[:at], 1, *x.shape[at + 1 :])
        first, last = (
            [] if e is None else [value(e) if shape_of(operand(e)) else broadcast_to(e, edge)]
            for e in ends
        )
        x = concatenate((*first, x, *last), at)
    for _ in range(n):
        minus = ufuncs.not_equal if x.dtype == BOOL else ufuncs.subtract
        length = x.shape[at]
        x = minus(part(x, at, min(1, length), length), part(x, at, 0, max(length - 1, 0)))
    return x


def ediff1d(
    ary: ArrayLike, to_end: ArrayLike | None = None, to_begin: ArrayLike | None = None
) -> Array:
    """The differences of neighbours among all elements, between given ends."""
    x = diff(ravel(ary))
    ends = [[] if e is None else [value(ravel(e), x.dtype)] for e in (to_begin, to_end)]
    return concatenate((*ends[0], x, *ends[1]))


def trapezoid(
    y: ArrayLike, x: ArrayLike | None = None, dx: ArrayLike = 1.0, axis: int = -1
) -> Array:
    """The integral along an axis, y being linear between points at x, or dx apart."""
    y = value(y)
    at = one_axis(axis, y.ndim)
    width: Any = dx
    if x is not None:
        x = value(x)
        width = diff(x, axis=0 if x.ndim == 1 else at)
        if x.ndim == 1:
            width = reshape(width, [-1 if i == at else 1 for i in range(y.ndim)])
    last = max(y.shape[at], 1)
    pairs = ufuncs.add(part(y, at, min(1, y.shape[at]), y.shape[at]), part(y, at, 0, last - 1))
    return sum_over(ufuncs.divide(ufuncs.multiply(width, pairs), 2.0), at)


def gradient(
    f: ArrayLike, *varargs: ArrayLike, axis: Any = None, edge_order: int = 1
) -> Any:
    """Central differences along axes, one-sided at the ends; spacing by number or coordinates."""
    y = to_float(value(f))
    axes = range(y.ndim) if axis is None else axis if isinstance(axis, (tuple, list)) else (axis,)
    axes = [one_axis(i, y.ndim) for i in axes]
    steps = list(varargs) or [1.0]
    steps = steps * len(axes) if len(steps) == 1 else steps
    if len(steps) != len(axes):
        raise fault(ArgumentError, f"gradient: {len(steps)} spacings for {len(axes)} axes")
    if edge_order not in (1, 2):
        raise fault(ArgumentError, f"gradient: edge_order is 1 or 2, not {edge_order}")
    results = [_slope(y, h, i, edge_order) for h, i in zip(steps, axes, strict=True)]
    return results[0] if len(results) == 1 else tuple(results)


def _slope(y: Array, spacing: ArrayLike, axis: int, edge_order: int) -> Array:
    """The slope along an axis: in the middle of each three points that of their parabola."""
    y = moveaxis(y, axis, 0)
    if y.shape[0] < edge_order + 1:
        raise fault(ShapeError, f"gradient: {y.shape[0]} points for edge order {edge_order}")
    h = value(spacing, y.dtype) if is_weak(spacing) else value(spacing)
    if h.ndim:
        h = reshape(diff(h), (-1, *(1,) * (y.ndim - 1)))
    else:
        h = broadcast_to(h, (y.shape[0] - 1, *(1,) * (y.ndim - 1)))
    rise = ufuncs.divide(diff(y, axis=0), h)  # between neighbours
    left, right = h[:-1], h[1:]
    weighted = ufuncs.add(ufuncs.multiply(rise[:-1], right), ufuncs.multiply(rise[1:], left))
    middle = ufuncs.divide(weighted, ufuncs.add(left, right))
    first, last = rise[:1], rise[-1:]
    if edge_order == 2:
        first = _extrapolated(rise[:2], h[:2])
        last = flip(_extrapolated(flip(rise[-2:], 0), flip(h[-2:], 0)), 0)
    return moveaxis(concatenate((first, middle, last)), 0, axis)


def _extrapolated(rise: Array, h: Array) -> Array:
    """The slope at the end of three points of their parabola, from the two slopes between them."""
    bend = ufuncs.divide(ufuncs.subtract(rise[1:], rise[:1]), ufuncs.add(h[:1], h[1:]))
    return ufuncs.subtract(rise[:1], ufuncs.multiply(bend, h[:1]))


def unwrap(
    p: ArrayLike, discont: ArrayLike | None = None, axis: int = -1, *, period: float = 2 * math.pi
) -> Array:
    """Phases without jumps: each step is brought to within half a period."""
    x = value(p, quotient_dtype(operand(p)))
    at = one_axis(axis, x.ndim)
    if not x.shape[at]:
        return x
    step = diff(x, axis=at)
    half = period / 2
    wrapped = ufuncs.subtract(ufuncs.remainder(ufuncs.add(step, half), period), half)
    upward = ufuncs.logical_and(ufuncs.equal(wrapped, -half), ufuncs.greater(step, 0))
    change = ufuncs.subtract(where(upward, half, wrapped), step)
    limit = half if discont is None else ufuncs.maximum(discont, half)
    change = where(ufuncs.less(ufuncs.absolute(step), limit), 0, change)
    first, rest = part(x, at, 0, 1), part(x, at, 1, x.shape[at])
    return concatenate((first, ufuncs.add(rest, cumsum(change, at))), at)


def interp(
    x: ArrayLike, xp: ArrayLike, fp: ArrayLike, left: ArrayLike | None = None,
    right: ArrayLike | None = None, period: None = None,
) -> Array:  # fmt: skip
    """At x, what is linear between the points (xp, fp), xp ascending; left and right of them.

    x and xp are real, fp may be complex.
    """
    if period is not None:
        raise fault(UnsupportedError, "interp: period= is not supported", "use x % period")
    points, values = value(xp), value(fp)
    if points.ndim != 1 or points.shape != values.shape or not points.shape[0]:
        raise fault(ShapeError, f"interp: points {points.shape} and values {values.shape}")
    refuse_complex("interp between points", operand(x), points)
    dtype = result_float(operand(x), points)
    x, points = value(x, dtype), value(points, dtype)
    values = value(values, result_float(x, values))
    last = points.shape[0] - 1
    if last == 0:
        inside: Array = ufuncs.add(ufuncs.multiply(x, 0), values[0])
    else:
        upper = clip(searchsorted(points, x, "right"), 1, last)
        lower = ufuncs.subtract(upper, 1)
        x0, y0 = take(points, lower), take(values, lower)
        slope = ufuncs.divide(
            ufuncs.subtract(take(values, upper), y0), ufuncs.subtract(take(points, upper), x0)
        )
        inside = ufuncs.add(ufuncs.multiply(slope, ufuncs.subtract(x, x0)), y0)
    inside = where(ufuncs.greater_equal(x, points[-1]), values[-1], inside)
    inside = where(ufuncs.less(x, points[0]), values[0] if left is None else left, inside)
    return inside if right is None else where(ufuncs.greater(x, points[-1]), right, inside)


# Polynomials, the highest power first


def polyval(p: ArrayLike, x: ArrayLike) -> Array:
    """The polynomial's value at x, by Horner's rule."""
    p, x = value(p), value(x)
    dtype = result_dtype(p, x)
    x = value(x, dtype)
    result: Any = broadcast_to(value(p[0], dtype) if p.shape[0] else dtype.type(0), x.shape)
    for i in range(1, p.shape[0]):
        result = ufuncs.add(ufuncs.multiply(result, x), value(p[i], dtype))
    return result


def _same_length(a1: ArrayLike, a2: ArrayLike) -> list[Array]:
    xs = [value(a) for a in (a1, a2)]
    n = max(x.shape[0] for x in xs)
    return [concatenate((np.zeros(n - x.shape[0], x.dtype), x)) for x in xs]


def polyadd(a1: ArrayLike, a2: ArrayLike) -> Array:
    """The sum of polynomials."""
    return ufuncs.add(*_same_length(a1, a2))


def polysub(a1: ArrayLike, a2: ArrayLike) -> Array:
    """The difference of polynomials."""
    return ufuncs.subtract(*_same_length(a1, a2))


def polymul(a1: ArrayLike, a2: ArrayLike) -> Array:
    """The product of polynomials."""
    return convolve(a1, a2)


def polyder(p: ArrayLike, m: int = 1) -> Array:
    """The m-th derivative of a polynomial."""
    p = value(p)
    for _ in range(m):
        powers = np.arange(p.shape[0] - 1, 0, -1)
        p = ufuncs.multiply(part(p, 0, 0, max(p.shape[0] - 1, 0)), powers)
    return p


def polyint(p: ArrayLike, m: int = 1, k: ArrayLike | None = None) -> Array:
    """The m-th antiderivative of a polynomial, with the constants k (0, unless said)."""
    p = to_float(value(p))
    constants = np.zeros(m) if k is None else broadcast_to(ravel(value(k)), (m,))
    for i in range(m):
        powers = np.arange(p.shape[0], 0, -1)
        p = concatenate((ufuncs.divide(p, powers), reshape_to(constants[i], (1,))))
    return p


# Convolution of lines


def convolve(a: ArrayLike, v: ArrayLike, mode: str = "full") -> Array:
    """Sums of products of a and the reversed v, at each offset; mode full, same or valid."""
    x, y = value(a), value(v)
    full = _convolution(x, y)
    return _centred(full, x, y, mode, (min(x.size, y.size) - 1) // 2)


def correlate(a: ArrayLike, v: ArrayLike, mode: str = "valid") -> Array:
    """Sums of products of a and v, conjugated, at each offset; mode valid, same or full."""
    x, y = value(a), ufuncs.conjugate(value(v))
    shift = (y.size - 1) // 2 if y.size <= x.size else x.size // 2
    return _centred(_convolution(x, flip(y)), x, y, mode, shift)


def _convolution(x: Array, y: Array) -> Array:
    """The full convolution: one dot of the shorter line with rows of the longer one, each shifted.

    The rows: line[0:n], line[0:n], ... read on as one, cut into rows that are longer by one, start
    one place later each.
    """
    if x.ndim != 1 or y.ndim != 1 or not x.size or not y.size:
        raise fault(ShapeError, f"convolution is of lines, not of shapes {x.shape} and {y.shape}")
    line, kernel = (x, y) if x.size >= y.size else (y, x)
    m = kernel.shape[0]
    line = pad(line, m - 1)
    n = line.shape[0]
    copies = pad(ravel(broadcast_to(line, (m, n))), (0, m))
    rows = part(reshape(copies, (m, n + 1)), 1, 0, n - m + 1)
    return dot(flip(kernel), rows)


def _centred(full: Array, x: Array, y: Array, mode: str, shift: int) -> Array:
    longer, shorter = max(x.size, y.size), min(x.size, y.size)
    if mode == "full":
        return full
    if mode == "same":
        return part(full, 0, shift, shift + longer)
    if mode == "valid":
        return part(full, 0, shorter - 1, longer)
    raise fault(ArgumentError, f"mode must be full, same or valid, not {mode!r}")


# Arrays that grow and shrink

#: Modes of pad that repeat elements of the array: NumPy says which, of 0, 1, 2, ...
_REPEATING = ("edge", "reflect", "symmetric", "wrap")


def pad(
    array: ArrayLike, pad_width: Any, mode: str = "constant", *, constant_values: ArrayLike = 0,
    reflect_type: str = "even",
) -> Array:  # fmt: skip
    """The array with borders: of numbers, or by mode edge, reflect, symmetric, wrap of its own."""
    x = value(array)
    widths = np.broadcast_to(_widths(pad_width, x.ndim), (x.ndim, 2)).tolist()
    if min((n for pair in widths for n in pair), default=0) < 0:
        raise fault(ArgumentError, f"pad: widths must not be negative, got {pad_width}")
    if mode in ("constant", "empty"):
        return _with_constants(x, widths, constant_values if mode == "constant" else 0)
    if mode not in _REPEATING or reflect_type != "even":
        raise fault(
            UnsupportedError, f"pad: mode {mode!r} is not supported",
            f"there are constant, {', '.join(_REPEATING)} and empty",
        )  # fmt: skip
    for axis, (low, high) in enumerate(widths):
        if low or high:
            places = np.pad(np.arange(x.shape[axis]), (low, high), mode)  # type: ignore[call-overload]
            x = take(x, places, axis)
    return x


def _widths(pad_width: Any, ndim: int) -> np.ndarray:
    """(before, after) for each axis, from what NumPy allows: a number, a pair, pairs, a dict."""
    if isinstance(pad_width, dict):
        rows = [(0, 0)] * ndim
        for axis, pair in pad_width.items():
            rows[one_axis(axis, ndim)] = tuple(pair) if isinstance(pair, tuple) else (pair, pair)
        return np.asarray(rows)
    if is_traced(pad_width):
        raise fault(UnsupportedError, "pad: the widths must be known", "make them static arguments")
    return np.asarray(pad_width, np.int64).reshape(-1, 2 if np.size(pad_width) > 1 else 1)


def _with_constants(x: Array, widths: list[list[int]], constants: ArrayLike) -> Array:
    """Borders of one number, or of a number for each side of each axis."""
    fills = operand(constants)
    if not shape_of(fills):
        low, high = (tuple(pair[side] for pair in widths) for side in (0, 1))
        if not any(low) and not any(high):
            return x
        fill = value(fills, x.dtype)
        return bind(structure.pad, x, fill, low=low, high=high, interior=(0,) * x.ndim)
    each = broadcast_to(value(fills, x.dtype), (x.ndim, 2))
    for axis, pair in enumerate(widths):
        shapes = [(*x.shape[:axis], n, *x.shape[axis + 1 :]) for n in pair]
        ends = [broadcast_to(each[axis, i], shape) for i, shape in enumerate(shapes)]
        x = concatenate((ends[0], x, ends[1]), axis)
    return x


def delete(arr: ArrayLike, obj: Any, axis: int | None = None) -> Array:
    """Without the parts at known indices along an axis (None: flattened)."""
    x, at = (ravel(arr), 0) if axis is None else (value(arr), axis)
    at = one_axis(at, x.ndim)
    return take(x, np.delete(np.arange(x.shape[at]), obj), at)


def insert(arr: ArrayLike, obj: Any, values: ArrayLike, axis: int | None = None) -> Array:
    """With values put in before known indices along an axis (None: flattened)."""
    x, at = (ravel(arr), 0) if axis is None else (value(arr), axis)
    at = one_axis(at, x.ndim)
    new, n = value(values, x.dtype), x.shape[at]
    if new.ndim == x.ndim:
        count = new.shape[at]
    elif new.ndim == 1 and x.ndim == 1:
        count = new.shape[0]
    else:
        count = 1 if np.isscalar(obj) else len(np.atleast_1d(np.arange(n + 1)[obj]))
        new = moveaxis(broadcast_to(new, (count, *x.shape[:at], *x.shape[at + 1 :])), 0, at)
    new = broadcast_to(new, (*x.shape[:at], count, *x.shape[at + 1 :]))
    order = np.insert(np.arange(n), obj, n + np.arange(count))
    return take(concatenate((x, new), at), order, at)


def resize(a: ArrayLike, new_shape: Any) -> Array:
    """The elements, again and again, in another shape."""
    x = ravel(a)
    shape = tuple(new_shape) if isinstance(new_shape, (tuple, list)) else (int(new_shape),)
    return reshape(take(x, np.arange(math.prod(shape)) % max(x.shape[0], 1)), shape)


def apply_along_axis(
    func1d: Callable[..., Any], axis: int, arr: ArrayLike, *args: Any, **kwargs: Any
) -> Array:
    """func1d of each line along an axis; its results are put where the axis was."""
    x = moveaxis(arr, axis, -1)
    at, lead = one_axis(axis, x.ndim), x.shape[:-1]
    lines = reshape(x, (math.prod(lead), x.shape[-1]))
    rows = stack([operand(func1d(lines[i], *args, **kwargs)) for i in range(lines.shape[0])])
    result = reshape(rows, (*lead, *rows.shape[1:]))
    extra = rows.ndim - 1
    source = tuple(range(len(lead), len(lead) + extra))
    return moveaxis(result, source, tuple(range(at, at + extra)))

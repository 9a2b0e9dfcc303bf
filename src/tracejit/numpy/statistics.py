"""Statistics: medians and quantiles, covariances, histograms, and the reductions that skip NaN."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError, UnsupportedError
from tracejit.ir.types import COMPLEX, FLOATS, INEXACT, INT64, PART_OF
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    Axis,
    DTypeLike,
    convert,
    fault,
    full_of,
    operand,
    reshape_to,
    shape_of,
    size_argument,
    some_axes,
    takes_out,
    value,
)
from tracejit.numpy.choosing import clip, imag, real, where
from tracejit.numpy.contraction import diagonal, matmul
from tracejit.numpy.creation import linspace
from tracejit.numpy.indexing import take, take_along_axis
from tracejit.numpy.kinds import refuse_complex, to_real
from tracejit.numpy.promotion import default_float, promote_dtypes, quotient_dtype
from tracejit.numpy.reductions import (
    any as any_over,
)
from tracejit.numpy.reductions import (
    argmax,
    argmin,
    cumprod,
    cumsum,
    kept_shape,
    mean,
    prod,
    root,
    var,
)
from tracejit.numpy.reductions import (
    max as max_over,
)
from tracejit.numpy.reductions import (
    min as min_over,
)
from tracejit.numpy.reductions import (
    sum as sum_over,
)
from tracejit.numpy.shaping import (
    atleast_2d,
    broadcast_to,
    concatenate,
    moveaxis,
    part,
    ravel,
    reshape,
    squeeze,
    transpose,
)
from tracejit.numpy.sorting import searchsorted, sort
from tracejit.numpy.updates import At
from tracejit.ops.complex import complex as complex_of
from tracejit.trace.tracer import Tracer, bind, is_traced

__all__ = [
    "average", "bincount", "corrcoef", "cov", "histogram", "histogram_bin_edges", "median",
    "nanargmax", "nanargmin", "nancumprod", "nancumsum", "nanmax", "nanmean", "nanmedian",
    "nanmin", "nanpercentile", "nanprod", "nanquantile", "nanstd", "nansum", "nanvar",
    "percentile", "quantile",
]  # fmt: skip

# Means and covariances


def average(
    a: ArrayLike, axis: Axis = None, weights: ArrayLike | None = None, returned: bool = False, *,
    keepdims: bool = False,
) -> Any:  # fmt: skip
    """The mean, with weights: of the shape of a, or along the one axis."""
    x = value(a)
    if weights is None:
        result = mean(x, axis, keepdims=keepdims)
        count = x.size // max(math.prod(shape_of(result)), 1)
        return (result, full_of(count, result.dtype, result.shape)) if returned else result
    w = value(weights)
    if w.shape != x.shape:
        if axis is None or w.ndim != 1 or not isinstance(axis, int):
            raise fault(ShapeError, f"average: weights {w.shape} do not fit {x.shape}, axis {axis}")
        w = reshape(w, [-1 if i == axis % x.ndim else 1 for i in range(x.ndim)])
    dtype = quotient_dtype(x, w)
    x, w = value(x, dtype), broadcast_to(value(w, dtype), x.shape)
    total = sum_over(w, axis, keepdims=keepdims)
    result = ufuncs.divide(sum_over(ufuncs.multiply(x, w), axis, keepdims=keepdims), total)
    return (result, total) if returned else result


def cov(
    m: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True, bias: bool = False,
    ddof: int | None = None, fweights: ArrayLike | None = None, aweights: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """The covariances of variables, one in each row (or column, if not rowvar): means of products,
    the second factor conjugated."""
    x = _variables(m, rowvar)
    if y is not None:
        x = concatenate((x, _variables(y, rowvar)), 0)
    x = value(x, promote_dtypes(quotient_dtype(x), default_float()))  # float64, as NumPy
    real_dtype = PART_OF.get(x.dtype, x.dtype)
    ddof = (0 if bias else 1) if ddof is None else ddof
    weights = fweights
    refuse_complex("a weight", *[operand(w) for w in (fweights, aweights) if w is not None])
    if aweights is not None:
        weights = aweights if weights is None else ufuncs.multiply(weights, aweights)
    count: Any = x.shape[1]
    if weights is None:
        centred = scaled = ufuncs.subtract(x, mean(x, 1, keepdims=True))
        free = count - ddof
    else:
        w = value(weights, real_dtype)
        count = sum_over(w)
        centre = ufuncs.divide(sum_over(ufuncs.multiply(x, w), 1, keepdims=True), count)
        centred = ufuncs.subtract(x, centre)
        scaled = ufuncs.multiply(centred, w)
        taken = ddof
        if aweights is not None and ddof:
            squares = sum_over(ufuncs.multiply(w, aweights))
            taken = ufuncs.divide(ufuncs.multiply(squares, ddof), count)
        free = ufuncs.subtract(count, taken)
    products = matmul(scaled, transpose(ufuncs.conjugate(centred)))
    return squeeze(ufuncs.divide(products, value(ufuncs.maximum(free, 0), real_dtype)))


def _variables(m: ArrayLike, rowvar: bool) -> Array:
    x = value(m)
    if x.ndim > 2:
        raise fault(ShapeError, f"variables are in one axis or two, not in shape {x.shape}")
    matrix = atleast_2d(x)
    return matrix if rowvar or x.ndim < 2 or x.shape[0] == 1 else transpose(matrix)


def corrcoef(x: ArrayLike, y: ArrayLike | None = None, rowvar: bool = True) -> Array:
    """The correlations of variables: their covariances over their standard deviations."""
    c = cov(x, y, rowvar)
    if not c.ndim:
        return ufuncs.divide(c, c)
    deviation = ufuncs.sqrt(real(diagonal(c)))
    c = ufuncs.divide(c, reshape_to(deviation, (c.shape[0], 1)))
    c = ufuncs.divide(c, deviation)
    if c.dtype not in COMPLEX:
        return clip(c, -1, 1)
    return bind(complex_of, clip(real(c), -1, 1), clip(imag(c), -1, 1))


# Quantiles


@takes_out
def quantile(
    a: ArrayLike, q: ArrayLike, axis: Axis = None, out: Array = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False,
) -> Array:  # fmt: skip
    """The q-quantiles over axes, of real numbers; those of several q come along a new first axis.

    method: linear, lower, higher, midpoint, nearest. NaN where there is one.
    """
    x = value(a)
    x = value(x, quotient_dtype(x))
    lines, axes = _lines(x, axis)
    ordered = sort(lines, -1)
    count = lines.shape[-1]
    if count == 0:
        raise fault(ShapeError, f"quantile of no elements, in shape {x.shape}")
    points = value(q, x.dtype) if is_traced(q) else np.asarray(q, np.float64)
    place = ravel(ufuncs.multiply(points, count - 1))
    result = _at_place(lambda i: take(ordered, i, -1), place, method, count - 1, x.dtype)
    missing = ufuncs.isnan(part(ordered, ordered.ndim - 1, count - 1, count))
    result = where(missing, math.nan, result)
    return _first_axis(result, shape_of(points), kept_shape(x.shape, axes) if keepdims else None)


def _lines(x: Array, axis: Axis) -> tuple[Array, tuple[int, ...]]:
    """x with the axes to reduce as one, the last; and these axes."""
    axes = some_axes(axis, x.ndim)
    rest = tuple(i for i in range(x.ndim) if i not in axes)
    flat = transpose(x, (*rest, *axes))
    return reshape_to(flat, (*flat.shape[: len(rest)], math.prod(x.shape[i] for i in axes))), axes


def _at_place(
    pick: Callable[[Any], Array], place: Any, method: str, last: Any, dtype: np.dtype
) -> Array:
    """What is at places between the elements of ordered lines; `pick` reads elements."""
    below = ufuncs.floor(place)
    low = ufuncs.minimum(ufuncs.maximum(convert(below, INT64), 0), last)
    if method == "nearest":
        return pick(convert(ufuncs.rint(place), INT64))
    if method == "lower":
        return pick(low)
    if method == "higher":
        return pick(convert(ufuncs.ceil(place), INT64))
    weight = value(ufuncs.subtract(place, below), dtype)
    if method == "midpoint":
        weight = where(ufuncs.greater(weight, 0), value(0.5, dtype), weight)
    elif method != "linear":
        raise fault(
            UnsupportedError, f"quantile: no method {method!r}",
            "there are linear, lower, higher, midpoint and nearest",
        )  # fmt: skip
    return _between(pick(low), pick(ufuncs.minimum(ufuncs.add(low, 1), last)), weight)


def _between(a: Array, b: Array, t: Array) -> Array:
    """a + t (b - a), from the nearer end, so that it is exact at both; also between infinities."""
    gap = ufuncs.subtract(b, a)
    near_a = ufuncs.add(a, ufuncs.multiply(gap, t))
    near_b = ufuncs.subtract(b, ufuncs.multiply(gap, ufuncs.subtract(1, t)))
    mixed = where(ufuncs.greater_equal(t, 0.5), near_b, near_a)
    return where(ufuncs.logical_and(ufuncs.equal(a, b), ufuncs.isinf(a)), a, mixed)


def _first_axis(result: Array, points: tuple[int, ...], kept: tuple[int, ...] | None) -> Array:
    """Quantiles with the axes of q first, as NumPy has them, and reduced axes kept if asked."""
    result = moveaxis(result, -1, 0)
    rest = result.shape[1:] if kept is None else kept
    return reshape_to(result, (*points, *rest))


def percentile(
    a: ArrayLike, q: ArrayLike, axis: Axis = None, out: Array = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False,
) -> Array:  # fmt: skip
    """As quantile, with q in percent."""
    share = ufuncs.divide(q, 100)
    return quantile(a, share, axis, out, overwrite_input, method, keepdims)


@takes_out
def median(
    a: ArrayLike, axis: Axis = None, out: Array = None, overwrite_input: bool = False,
    keepdims: bool = False,
) -> Array:  # fmt: skip
    """The middle element over axes, or the mean of the middle two; NaN where there is one."""
    x = value(a)
    x = value(x, quotient_dtype(x))
    lines, axes = _lines(x, axis)
    count = lines.shape[-1]
    if count == 0:
        return _no_median(x, axes, keepdims)
    ordered, at = sort(lines, -1), lines.ndim - 1
    middle = mean(part(ordered, at, (count - 1) // 2, count // 2 + 1), -1)
    missing = ufuncs.isnan(squeeze(part(ordered, at, count - 1, count), -1))
    result = where(missing, math.nan, middle)
    return reshape_to(result, kept_shape(x.shape, axes)) if keepdims else result


def _no_median(x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """The median over axes of no elements: NaN."""
    rest = tuple(n for i, n in enumerate(x.shape) if i not in axes)
    return full_of(math.nan, x.dtype, kept_shape(x.shape, axes) if keepdims else rest)


# Skipping NaN


def _without_nan(a: ArrayLike, number: Any) -> Array:
    x = value(a)
    return where(ufuncs.isnan(x), value(number, x.dtype), x) if x.dtype in INEXACT else x


def _present(a: ArrayLike) -> Array:
    return ufuncs.logical_not(ufuncs.isnan(operand(a)))


def nansum(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None,
    keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The sum of what is not NaN."""
    return sum_over(_without_nan(a, 0), axis, dtype, out, keepdims, initial, where)


def nanprod(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None,
    keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The product of what is not NaN."""
    return prod(_without_nan(a, 1), axis, dtype, out, keepdims, initial, where)


def nancumsum(
    a: ArrayLike, axis: int | None = None, dtype: DTypeLike = None, out: Array = None
) -> Array:
    """Running sums, NaN counting 0."""
    return cumsum(_without_nan(a, 0), axis, dtype, out)


def nancumprod(
    a: ArrayLike, axis: int | None = None, dtype: DTypeLike = None, out: Array = None
) -> Array:
    """Running products, NaN counting 1."""
    return cumprod(_without_nan(a, 1), axis, dtype, out)


def nanmax(
    a: ArrayLike, axis: Axis = None, out: Array = None, keepdims: bool = False,
    initial: ArrayLike | None = None, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The largest of what is not NaN; NaN where nothing is."""
    return _nan_extreme(a, -math.inf, max_over, axis, keepdims, initial, where)


def nanmin(
    a: ArrayLike, axis: Axis = None, out: Array = None, keepdims: bool = False,
    initial: ArrayLike | None = None, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The smallest of what is not NaN; NaN where nothing is."""
    return _nan_extreme(a, math.inf, min_over, axis, keepdims, initial, where)


def _nan_extreme(
    a: ArrayLike, identity: float, reduce: Any, axis: Axis, keepdims: bool, initial: Any, mask: Any
) -> Array:
    x = value(a)
    if x.dtype not in FLOATS:
        return reduce(x, axis, keepdims=keepdims, initial=initial, where=mask)
    found = reduce(_without_nan(x, identity), axis, keepdims=keepdims, initial=initial, where=mask)
    return where(any_over(_present(x), axis, keepdims=keepdims), found, math.nan)


def nanmean(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None,
    keepdims: bool = False, *, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The mean of what is not NaN."""
    taken = ufuncs.logical_and(_present(a), where)
    return mean(_without_nan(a, 0), axis, dtype, out, keepdims, where=taken)


def nanvar(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None, ddof: float = 0,
    keepdims: bool = False, *, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The variance of what is not NaN."""
    taken = ufuncs.logical_and(_present(a), where)
    return var(_without_nan(a, 0), axis, dtype, out, ddof, keepdims, where=taken)


def nanstd(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None, ddof: float = 0,
    keepdims: bool = False, *, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The standard deviation of what is not NaN."""
    return root(nanvar(a, axis, dtype, out, ddof, keepdims, where=where))


def nanargmax(
    a: ArrayLike, axis: int | None = None, out: Array = None, *, keepdims: bool = False
) -> Array:
    """The index of the largest of what is not NaN."""
    return argmax(_without_nan(a, -math.inf), axis, out, keepdims=keepdims)


def nanargmin(
    a: ArrayLike, axis: int | None = None, out: Array = None, *, keepdims: bool = False
) -> Array:
    """The index of the smallest of what is not NaN."""
    return argmin(_without_nan(a, math.inf), axis, out, keepdims=keepdims)


@takes_out
def nanquantile(
    a: ArrayLike, q: ArrayLike, axis: Axis = None, out: Array = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False,
) -> Array:  # fmt: skip
    """The q-quantiles (one q, or several) of what is not NaN; NaN where nothing is."""
    x = value(a)
    x = value(x, quotient_dtype(x))
    lines, axes = _lines(x, axis)
    ordered = sort(lines, -1)
    last = ufuncs.subtract(sum_over(_present(lines), -1, keepdims=True), 1)
    last = ufuncs.maximum(last, 0)
    place = ufuncs.multiply(ravel(value(q, x.dtype)), last)
    result = _at_place(
        lambda i: take_along_axis(ordered, i, -1), place, method, last, x.dtype
    )
    kept = kept_shape(x.shape, axes) if keepdims else None
    return _first_axis(result, shape_of(operand(q)), kept)


def nanpercentile(
    a: ArrayLike, q: ArrayLike, axis: Axis = None, out: Array = None, overwrite_input: bool = False,
    method: str = "linear", keepdims: bool = False,
) -> Array:  # fmt: skip
    """As nanquantile, with q in percent."""
    share = ufuncs.divide(q, 100)
    return nanquantile(a, share, axis, out, overwrite_input, method, keepdims)


def nanmedian(
    a: ArrayLike, axis: Axis = None, out: Array = None, overwrite_input: bool = False,
    keepdims: bool = False,
) -> Array:  # fmt: skip
    """The median of what is not NaN."""
    x = value(a)
    axes = some_axes(axis, x.ndim)
    if not math.prod(x.shape[i] for i in axes):
        return _no_median(value(x, quotient_dtype(x)), axes, keepdims)
    return nanquantile(a, 0.5, axis, out, overwrite_input, keepdims=keepdims)


# Counting


def bincount(
    x: ArrayLike, weights: ArrayLike | None = None, minlength: int = 0, *,
    length: int | None = None,
) -> Array:  # fmt: skip
    """How often 0, 1, 2, ... occur, or the sums of their weights.

    Traced x needs `length`, the number of bins; what lies outside is dropped.
    """
    x = value(x)
    if length is None:
        if isinstance(x, Tracer):
            raise fault(
                ArgumentError, "bincount of traced numbers: the result's length is not known",
                "tracejit.numpy.bincount(x, length=n) counts 0 to n - 1",
            )  # fmt: skip
        length = max(size_argument(minlength, "minlength"), int(x.max()) + 1 if x.size else 0)
    elif isinstance(x, Tracer):
        x = where(ufuncs.less(x, 0), length, x)
    counted = (
        full_of(1, INT64, x.shape) if weights is None else to_real(value(weights), "bincount")
    )
    empty = full_of(0, counted.dtype, (length,))
    return At(empty)[x].add(counted)


def histogram_bin_edges(
    a: ArrayLike, bins: Any = 10, range: Any = None, weights: ArrayLike | None = None
) -> Array:
    """The edges of so many bins of one width over a range (of the data, unless said)."""
    if isinstance(bins, str):
        raise fault(UnsupportedError, f"histogram: bins={bins!r} would need the numbers")
    if shape_of(operand(bins)):
        return value(bins)
    x = ravel(a)
    low, high = (min_over(x), max_over(x)) if range is None else range
    if range is None:
        flat = ufuncs.equal(low, high)
        low = where(flat, ufuncs.subtract(low, 0.5), low)
        high = where(flat, ufuncs.add(high, 0.5), high)
    return linspace(low, high, size_argument(bins, "bins") + 1)


def histogram(
    a: ArrayLike, bins: Any = 10, range: Any = None, density: bool = False,
    weights: ArrayLike | None = None,
) -> tuple[Array, Array]:  # fmt: skip
    """How many elements are in each bin, or the sums of their weights; and the edges."""
    x = ravel(a)
    edges = histogram_bin_edges(x, bins, range)
    count = edges.shape[0] - 1
    place = ufuncs.subtract(searchsorted(edges, x, "right"), 1)
    place = where(ufuncs.equal(x, edges[-1]), count - 1, place)
    inside = ufuncs.logical_and(ufuncs.greater_equal(place, 0), ufuncs.less(place, count))
    parts = full_of(1, INT64, x.shape) if weights is None else ravel(weights)
    parts = where(inside, parts, value(0, parts.dtype))
    counts = At(full_of(0, parts.dtype, (count,)))[clip(place, 0, count - 1)].add(parts)
    if density:
        counts = ufuncs.divide(ufuncs.divide(counts, edges[1:] - edges[:-1]), sum_over(counts))
    return counts, edges

"""Reductions over axes, and running ones along an axis: sums, products, extrema, logic."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import BOOL, COMPLEX, FLOAT32, HALVES, INT64, Shape, without_axes
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    Axis,
    DTypeLike,
    convert,
    fault,
    one_axis,
    reshape_to,
    some_axes,
    takes_out,
    value,
)
from tracejit.numpy.choosing import imag, isclose, real
from tracejit.numpy.choosing import where as choose_where
from tracejit.numpy.kinds import to_float, truth
from tracejit.numpy.promotion import as_dtype, quotient_dtype, sum_dtype
from tracejit.numpy.shaping import broadcast_arrays, broadcast_to, concatenate, ravel
from tracejit.ops import elementwise, reduction, structure
from tracejit.trace.tracer import bind

__all__ = [
    "all", "allclose", "amax", "amin", "any", "argmax", "argmin", "array_equal", "array_equiv",
    "count_nonzero", "cumprod", "cumsum", "cumulative_prod", "cumulative_sum", "max", "mean",
    "min", "prod", "ptp", "std", "sum", "var",
]  # fmt: skip


def reduce_with(primitive: Primitive, x: Array, axes: tuple[int, ...], keepdims: bool) -> Array:
    """Bind a reduction over axes, unless there are none."""
    y = bind(primitive, x, axes=axes) if axes else x
    return reshape_to(y, kept_shape(x.shape, axes)) if keepdims else y


def kept_shape(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """The shape with length 1 for the reduced axes."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def _masked(x: Array, where: ArrayLike, identity: Any) -> Array:
    return x if where is True else choose_where(where, x, value(identity, x.dtype))


def _with_initial(combine: ufuncs.Ufunc, y: Array, initial: Any) -> Array:
    return y if initial is None else combine(y, value(initial, y.dtype))


def _accumulated(
    primitive: Primitive, combine: ufuncs.Ufunc, identity: int, a: ArrayLike, axis: Axis,
    dtype: DTypeLike, keepdims: bool, initial: Any, where: ArrayLike,
) -> Array:  # fmt: skip
    x = value(a)
    x = convert(x, sum_dtype(x.dtype) if dtype is None else as_dtype(dtype))
    x = _masked(x, where, identity)
    y = reduce_with(primitive, x, some_axes(axis, x.ndim), keepdims)
    return _with_initial(combine, y, initial)


@takes_out
def sum(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None,
    keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The sum over axes; bools and small integers are summed in 64 bits."""
    return _accumulated(
        structure.reduce_sum, ufuncs.add, 0, a, axis, dtype, keepdims, initial, where
    )


@takes_out
def prod(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None,
    keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The product over axes; bools and small integers are multiplied in 64 bits."""
    return _accumulated(
        reduction.reduce_prod, ufuncs.multiply, 1, a, axis, dtype, keepdims, initial, where
    )


# Extrema


def _extreme(
    name: str, a: ArrayLike, axis: Axis, keepdims: bool, initial: Any, where: ArrayLike
) -> Array:
    largest = name == "max"
    primitive = reduction.reduce_max if largest else reduction.reduce_min
    x = value(a)
    if x.dtype == BOOL:
        primitive = reduction.reduce_or if largest else reduction.reduce_and
    axes = some_axes(axis, x.ndim)
    if where is not True:
        if initial is None:
            raise fault(ArgumentError, f"{name}: where= needs initial=, the result of no elements")
        x = choose_where(where, x, value(initial, x.dtype))
    if initial is None and math.prod(x.shape[i] for i in axes) == 0:
        raise fault(
            ShapeError, f"{name} of no elements, in shape {x.shape} over axes {axes}",
            "give initial=, the result of no elements",
        )  # fmt: skip
    y = reduce_with(primitive, x, axes, keepdims)
    return _with_initial(ufuncs.maximum if largest else ufuncs.minimum, y, initial)


@takes_out
def max(
    a: ArrayLike, axis: Axis = None, out: Array = None, keepdims: bool = False,
    initial: ArrayLike | None = None, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The largest element over axes; NaN if there is one. Ties share the derivative."""
    return _extreme("max", a, axis, keepdims, initial, where)


@takes_out
def min(
    a: ArrayLike, axis: Axis = None, out: Array = None, keepdims: bool = False,
    initial: ArrayLike | None = None, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The smallest element over axes; NaN if there is one. Ties share the derivative."""
    return _extreme("min", a, axis, keepdims, initial, where)


amax, amin = max, min


@takes_out
def ptp(a: ArrayLike, axis: Axis = None, out: Array = None, keepdims: bool = False) -> Array:
    """The largest less the smallest element."""
    return ufuncs.subtract(max(a, axis, keepdims=keepdims), min(a, axis, keepdims=keepdims))


def _place(primitive: Primitive, name: str, a: ArrayLike, axis: Any, keepdims: bool) -> Array:
    x = value(a)
    rank = x.ndim
    if axis is None:
        x = ravel(x)
    at = one_axis(0 if axis is None else axis, x.ndim)
    if x.shape[at] == 0:
        raise fault(ShapeError, f"{name} of no elements, in shape {x.shape} over axis {at}")
    y = bind(primitive, x, axis=at, dtype=INT64)
    if not keepdims:
        return y
    return reshape_to(y, (1,) * rank if axis is None else kept_shape(x.shape, (at,)))


@takes_out
def argmax(
    a: ArrayLike, axis: int | None = None, out: Array = None, *, keepdims: bool = False
) -> Array:
    """The index of the first largest element along an axis (None: of all, flattened)."""
    return _place(reduction.argmax, "argmax", a, axis, keepdims)


@takes_out
def argmin(
    a: ArrayLike, axis: int | None = None, out: Array = None, *, keepdims: bool = False
) -> Array:
    """The index of the first smallest element along an axis (None: of all, flattened)."""
    return _place(reduction.argmin, "argmin", a, axis, keepdims)


# Logic


@takes_out
def all(
    a: ArrayLike, axis: Axis = None, out: Array = None, keepdims: bool = False, *,
    where: ArrayLike = True,
) -> Array:  # fmt: skip
    """Whether all elements are not 0."""
    x = _masked(truth(a), where, True)
    return reduce_with(reduction.reduce_and, x, some_axes(axis, x.ndim), keepdims)


@takes_out
def any(
    a: ArrayLike, axis: Axis = None, out: Array = None, keepdims: bool = False, *,
    where: ArrayLike = True,
) -> Array:  # fmt: skip
    """Whether any element is not 0."""
    x = _masked(truth(a), where, False)
    return reduce_with(reduction.reduce_or, x, some_axes(axis, x.ndim), keepdims)


def count_nonzero(a: ArrayLike, axis: Axis = None, *, keepdims: bool = False) -> Array:
    """The number of elements that are not 0."""
    return sum(truth(a), axis, keepdims=keepdims)


def allclose(
    a: ArrayLike, b: ArrayLike, rtol: ArrayLike = 1e-5, atol: ArrayLike = 1e-8,
    equal_nan: bool = False,
) -> Array:  # fmt: skip
    """Whether all elements are close, see isclose."""
    return all(isclose(a, b, rtol, atol, equal_nan))


def array_equal(a1: ArrayLike, a2: ArrayLike, equal_nan: bool = False) -> Array:
    """Whether shapes and all elements are equal."""
    x, y = value(a1), value(a2)
    if x.shape != y.shape:
        return False
    same = ufuncs.equal(x, y)
    if equal_nan:
        both = ufuncs.logical_and(ufuncs.isnan(x), ufuncs.isnan(y))
        same = ufuncs.logical_or(same, both)
    return all(same)


def array_equiv(a1: ArrayLike, a2: ArrayLike) -> Array:
    """Whether all elements are equal, after broadcasting."""
    x, y = value(a1), value(a2)
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return all(ufuncs.equal(x, y))


# Means


def _count(x: Array, axes: tuple[int, ...], where: ArrayLike, keepdims: bool) -> Any:
    """The number of elements that a reduction takes: an int, or an array for a mask."""
    if where is True:
        return math.prod(x.shape[i] for i in axes)
    mask = broadcast_to(truth(value(where)), x.shape)
    return reduce_with(structure.reduce_sum, convert(mask, INT64), axes, keepdims)


def _mean(x: Array, axes: tuple[int, ...], where: ArrayLike, keepdims: bool) -> Array:
    total = reduce_with(structure.reduce_sum, _masked(x, where, 0), axes, keepdims)
    return ufuncs.divide(total, value(_count(x, axes, where, keepdims), x.dtype))


@takes_out
def mean(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None,
    keepdims: bool = False, *, where: ArrayLike = True,
) -> Array:  # fmt: skip
    """The mean over axes; of integers in floats, of halves in float32, rounded in the end. NaN
    where there are no elements."""
    x, wanted = _for_means(a, dtype)
    return narrowed(_mean(x, some_axes(axis, x.ndim), where, keepdims), wanted)


def _for_means(a: ArrayLike, dtype: DTypeLike) -> tuple[Array, np.dtype]:
    """a in the dtype in which means are computed, and that of the result, if it is real."""
    x = value(a)
    wanted = quotient_dtype(x) if dtype is None else as_dtype(dtype)
    return convert(x, FLOAT32 if wanted in HALVES else wanted), wanted


def narrowed(x: Array, dtype: np.dtype) -> Array:
    """x rounded to halves, if the dtype is one of theirs."""
    return convert(x, dtype) if dtype in HALVES else x


@takes_out
def var(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None, ddof: float = 0,
    keepdims: bool = False, *, where: ArrayLike = True, correction: float | None = None,
) -> Array:  # fmt: skip
    """The mean square distance from the mean, which is real of complex numbers, too; the sum is
    divided by the count less ddof."""
    x, wanted = _for_means(a, dtype)
    free = ddof if correction is None else correction
    return narrowed(_var(x, axis, free, keepdims, where), wanted)


def _var(x: Array, axis: Axis, ddof: float, keepdims: bool, where: ArrayLike) -> Array:
    axes = some_axes(axis, x.ndim)
    off = size_squared(ufuncs.subtract(x, _mean(x, axes, where, True)))
    total = reduce_with(structure.reduce_sum, _masked(off, where, 0), axes, keepdims)
    count = _count(x, axes, where, keepdims)
    free = ufuncs.maximum(ufuncs.subtract(count, ddof), 0)
    return ufuncs.divide(total, value(free, off.dtype))


def size_squared(x: Array) -> Array:
    """x x, of complex numbers x conj(x): a float."""
    if x.dtype not in COMPLEX:
        return ufuncs.square(x)
    return ufuncs.add(ufuncs.square(real(x)), ufuncs.square(imag(x)))


def root(x: Array) -> Array:
    """The square root of something that is never negative, with derivative 0 where it is 0."""
    at_zero = ufuncs.equal(x, 0)
    return choose_where(at_zero, 0, ufuncs.sqrt(choose_where(at_zero, 1, x)))


@takes_out
def std(
    a: ArrayLike, axis: Axis = None, dtype: DTypeLike = None, out: Array = None, ddof: float = 0,
    keepdims: bool = False, *, where: ArrayLike = True, correction: float | None = None,
) -> Array:  # fmt: skip
    """The root of the variance; its derivative is 0 where the variance is."""
    x, wanted = _for_means(a, dtype)
    free = ddof if correction is None else correction
    return narrowed(root(_var(x, axis, free, keepdims, where)), wanted)


# Running


def running(
    primitive: Primitive, a: ArrayLike, axis: Any, dtype: DTypeLike = None, widen: bool = True
) -> Array:
    """Bind a running reduction along an axis (None: of all elements, flattened)."""
    x = ravel(a) if axis is None else value(a)
    natural = sum_dtype(x.dtype) if widen else x.dtype
    x = convert(x, natural if dtype is None else as_dtype(dtype))
    at = one_axis(0 if axis is None else axis, x.ndim)
    return bind(primitive, x, axis=at, reverse=False)


@takes_out
def cumsum(
    a: ArrayLike, axis: int | None = None, dtype: DTypeLike = None, out: Array = None
) -> Array:
    """The sums of more and more elements along an axis."""
    return running(reduction.cumsum, a, axis, dtype)


@takes_out
def cumprod(
    a: ArrayLike, axis: int | None = None, dtype: DTypeLike = None, out: Array = None
) -> Array:
    """The products of more and more elements along an axis."""
    return running(reduction.cumprod, a, axis, dtype)


def _array_api_axis(x: Array, axis: int | None, name: str) -> int:
    if axis is None and x.ndim != 1:
        raise fault(ArgumentError, f"{name}: name the axis of an array of shape {x.shape}")
    return one_axis(0 if axis is None else axis, x.ndim)


def cumulative_sum(
    x: ArrayLike, /, *, axis: int | None = None, dtype: DTypeLike = None,
    include_initial: bool = False,
) -> Array:  # fmt: skip
    """cumsum as the Array API has it: may start with a 0."""
    x = value(x)
    at = _array_api_axis(x, axis, "cumulative_sum")
    return _initially(cumsum(x, at, dtype), at, 0) if include_initial else cumsum(x, at, dtype)


def cumulative_prod(
    x: ArrayLike, /, *, axis: int | None = None, dtype: DTypeLike = None,
    include_initial: bool = False,
) -> Array:  # fmt: skip
    """cumprod as the Array API has it: may start with a 1."""
    x = value(x)
    at = _array_api_axis(x, axis, "cumulative_prod")
    return _initially(cumprod(x, at, dtype), at, 1) if include_initial else cumprod(x, at, dtype)


def _initially(x: Array, axis: int, number: int) -> Array:
    first = np.full(kept_shape(x.shape, (axis,)), number, x.dtype)
    return concatenate((first, x), axis)


# reduce and accumulate of the functions element by element


def _of_bits(primitive: Primitive) -> Any:
    def reducer(a: ArrayLike, axis: Axis = None, keepdims: bool = False) -> Array:
        x = value(a)
        return reduce_with(primitive, x, some_axes(axis, x.ndim), keepdims)

    return reducer


def logsumexp(
    a: ArrayLike, axis: Axis = None, b: ArrayLike | None = None, keepdims: bool = False,
    return_sign: bool = False, where: ArrayLike | None = None,
) -> Any:  # fmt: skip
    """log of the sum of b exp(a) over axes, shifted by the largest a so that nothing overflows.

    With `return_sign`, the log of its size, and its sign. Where the sum is 0 the derivative is 0.
    """
    x = to_float(value(a))
    if b is not None:
        x, weights = broadcast_arrays(x, to_float(value(b)))
        x = choose_where(ufuncs.equal(weights, 0), -math.inf, x)
    if where is not None:
        x = choose_where(where, x, -math.inf)
    axes = some_axes(axis, x.ndim)
    shift = finite_shift(x, axes)
    terms = ufuncs.exp(ufuncs.subtract(x, shift))
    terms = terms if b is None else ufuncs.multiply(terms, weights)
    total = reduce_with(structure.reduce_sum, terms, axes, True)
    size, sign = (ufuncs.absolute(total), ufuncs.sign(total)) if return_sign else (total, None)
    nothing = ufuncs.equal(size, 0)
    logs = ufuncs.add(ufuncs.log(choose_where(nothing, 1, size)), shift)
    y = choose_where(nothing, -math.inf, logs)
    if not keepdims:
        y = reshape_to(y, without_axes(x.shape, axes))
    if not return_sign:
        return y
    return y, sign if keepdims else reshape_to(sign, without_axes(x.shape, axes))


def finite_shift(x: Array, axes: tuple[int, ...]) -> Array:
    """The largest (real part of an) element over axes, kept, as a constant: 0 where it is infinite.
    """
    largest = reduce_with(reduction.reduce_max, real(x), axes, True)
    largest = bind(elementwise.stop_gradient, largest)
    return choose_where(ufuncs.isfinite(largest), largest, 0)


for _ufunc, _reducer in {
    ufuncs.add: sum, ufuncs.multiply: prod, ufuncs.maximum: max, ufuncs.minimum: min,
    ufuncs.logical_and: all, ufuncs.logical_or: any, ufuncs.logaddexp: logsumexp,
    ufuncs.bitwise_and: _of_bits(reduction.reduce_and),
    ufuncs.bitwise_or: _of_bits(reduction.reduce_or),
    ufuncs.bitwise_xor: _of_bits(reduction.reduce_xor),
}.items():  # fmt: skip
    _ufunc.reducer = _reducer

for _ufunc, _primitive, _widen in (
    (ufuncs.add, reduction.cumsum, True), (ufuncs.multiply, reduction.cumprod, True),
    (ufuncs.maximum, reduction.cummax, False), (ufuncs.minimum, reduction.cummin, False),
    (ufuncs.logaddexp, reduction.cumlogsumexp, False),
):  # fmt: skip
    _ufunc.accumulator = partial(running, _primitive, widen=_widen)

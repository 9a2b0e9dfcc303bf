"""Reductions of windows: what lies outside is replaced by what changes nothing.

    sum      reduce_sum(select(mask, x, 0))          max    reduce_max(select(mask, x, -inf))

Means divide by the number of elements in the window. Over no elements a sum is 0, a mean NaN, as in
NumPy; the largest of no elements is -inf (the least integer), where NumPy raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.types import BOOL, INEXACT
from tracejit.numpy import choosing, reductions, ufuncs
from tracejit.numpy.arrays import one_axis, some_axes, value
from tracejit.numpy.promotion import as_dtype, quotient_dtype
from tracejit.numpy.windows.elementwise import converted, of_arrays, ufunc_of
from tracejit.numpy.windows.spans import Chosen
from tracejit.numpy.windows.windowed import (
    Windowed,
    as_integer,
    filled,
    number_of,
    windowed,
)


def least(dtype: np.dtype) -> Any:
    """The number below all others."""
    return False if dtype == BOOL else -np.inf if dtype in INEXACT else np.iinfo(dtype).min


def greatest(dtype: np.dtype) -> Any:
    """The number above all others."""
    return True if dtype == BOOL else np.inf if dtype in INEXACT else np.iinfo(dtype).max


def _constant(number: Any) -> Callable[[np.dtype], Any]:
    return lambda dtype: number


def reducer(
    function: Callable[..., Any], neutral: Callable[[np.dtype], Any]
) -> Callable[..., Any]:
    """A reduction over axes, of windows; neutral gives the number that changes nothing."""

    def reduce(
        x: Windowed, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = False,
        *, where: Any = True, **options: Any,
    ) -> Any:  # fmt: skip
        keepdims = bool(keepdims) if isinstance(keepdims, bool) else False
        if where is not True:
            x = _restricted(x, where, neutral)
        axes = some_axes(axis, x.ndim)
        if dtype is not None:
            options["dtype"] = dtype
        y = function(filled(x, neutral(x.dtype), axes), axis=axes, keepdims=keepdims, **options)
        return windowed(y, _remaining(x, axes, keepdims))

    return reduce


def _restricted(x: Windowed, where: Any, neutral: Callable[[np.dtype], Any]) -> Any:
    return of_arrays(choosing.where)(where, x, value(neutral(x.dtype), x.dtype))


def _remaining(x: Windowed, axes: tuple[int, ...], keepdims: bool) -> list[Any]:
    kept = [None if a in axes else e for a, e in enumerate(x.extents)]
    return kept if keepdims else [e for a, e in enumerate(kept) if a not in axes]


def _extreme(function: Callable[..., Any], neutral: Callable[[np.dtype], Any]) -> Any:
    reduce = reducer(function, neutral)

    def extreme(x: Windowed, axis: Any = None, out: None = None, keepdims: Any = False,
                initial: Any = None, where: Any = True) -> Any:  # fmt: skip
        options = {} if initial is None or initial is np._NoValue else {"initial": initial}
        return reduce(x, axis, keepdims=keepdims, where=where, **options)

    return extreme


sum, prod = (
    reducer(reductions.sum, _constant(0)), reducer(reductions.prod, _constant(1)),
)  # fmt: skip
max, min = _extreme(reductions.max, least), _extreme(reductions.min, greatest)


def _logic(function: Callable[..., Any], neutral: bool) -> Callable[..., Any]:
    reduce = reducer(function, _constant(neutral))

    def logic(x: Windowed, axis: Any = None, out: None = None, keepdims: Any = False,
              *, where: Any = True) -> Any:  # fmt: skip
        return reduce(ufunc_of(ufuncs.not_equal)(x, 0) if x.dtype != BOOL else x,
                      axis, keepdims=keepdims, where=where)  # fmt: skip

    return logic


all, any = _logic(reductions.all, True), _logic(reductions.any, False)


def count_nonzero(x: Windowed, axis: Any = None, *, keepdims: bool = False) -> Any:
    """The number of elements that are not 0."""
    return sum(ufunc_of(ufuncs.not_equal)(x, 0), axis, keepdims=keepdims)


def ptp(x: Windowed, axis: Any = None, out: None = None, keepdims: Any = False) -> Any:
    """The largest less the smallest element."""
    return of_arrays(ufuncs.subtract)(*(f(x, axis, keepdims=keepdims) for f in (max, min)))


# Means


def _divided(total: Any, count: Any, dtype: np.dtype) -> Any:
    return of_arrays(ufuncs.divide)(total, value(count, dtype))


def mean(
    x: Windowed, axis: Any = None, dtype: Any = None, out: None = None, keepdims: Any = False,
    *, where: Any = True,
) -> Any:  # fmt: skip
    """The mean over axes."""
    if where is not True:
        raise x.refusal("mean with where=")
    x = converted(x, quotient_dtype(x.full) if dtype is None else as_dtype(dtype))
    total = sum(x, axis, keepdims=keepdims)
    return _divided(total, number_of(x, some_axes(axis, x.ndim)), x.dtype)


def var(
    x: Windowed, axis: Any = None, dtype: Any = None, out: None = None, ddof: float = 0,
    keepdims: Any = False, *, where: Any = True, mean: Any = None, correction: Any = None,
) -> Any:  # fmt: skip
    """The mean square distance from the mean; the sum is divided by the count less ddof."""
    if where is not True:
        raise x.refusal("var with where=")
    x = converted(x, quotient_dtype(x.full) if dtype is None else as_dtype(dtype))
    axes = some_axes(axis, x.ndim)
    middle = _divided(sum(x, axes, keepdims=True), number_of(x, axes), x.dtype)
    off = ufunc_of(ufuncs.square)(ufunc_of(ufuncs.subtract)(x, middle))
    free = ufuncs.maximum(
        number_of(x, axes) - (ddof if not isinstance(correction, (int, float)) else correction), 0
    )
    return _divided(sum(off, axes, keepdims=keepdims), free, x.dtype)


def std(x: Windowed, *args: Any, **options: Any) -> Any:
    """The root of the variance; its derivative is 0 where the variance is."""
    return of_arrays(reductions.root)(var(x, *args, **options))


# Places and running reductions


def _place(function: Callable[..., Any], neutral: Callable[[np.dtype], Any]) -> Any:
    def place(x: Windowed, axis: Any = None, out: None = None, *, keepdims: Any = False) -> Any:
        if axis is None and x.ndim > 1:
            raise x.refusal("argmax and argmin of all axes")
        at = one_axis(0 if axis is None else axis, x.ndim)
        extent = x.extents[at]
        if isinstance(extent, Chosen):
            raise x.refusal("the index of an element")
        y = function(filled(x, neutral(x.dtype), (at,)), axis=at)
        y = windowed(y, _remaining(x, (at,), False))
        if extent is None:
            return y
        inside = of_arrays(ufuncs.subtract)(y, as_integer(extent.lo))
        return of_arrays(ufuncs.maximum)(inside, 0)  # of no elements, too

    return place


def _running(function: Callable[..., Any], neutral: int) -> Callable[..., Any]:
    def run(x: Windowed, axis: Any = None, dtype: Any = None, out: None = None) -> Any:
        if axis is None and x.ndim > 1:
            raise x.refusal("a running reduction of all axes")
        at = one_axis(0 if axis is None else axis, x.ndim)
        y = function(filled(x, neutral, (at,)), axis=at, dtype=dtype)
        return windowed(y, x.extents)

    return run


cumsum, cumprod = _running(reductions.cumsum, 0), _running(reductions.cumprod, 1)
argmax, argmin = _place(reductions.argmax, least), _place(reductions.argmin, greatest)

"""Choosing element by element: where, clip and their relatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, UnsupportedError
from tracejit.ir.types import BOOL, COMPLEX, FLOATS, INEXACT, finfo
from tracejit.numpy import ufuncs, views
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    common_shape,
    copied,
    fault,
    fit,
    full_of,
    operand,
    shape_of,
    takes_out,
    value,
)
from tracejit.numpy.kinds import refuse_complex, to_float, truth
from tracejit.numpy.promotion import dtype_of, quotient_dtype, result_dtype
from tracejit.ops import complex as parts
from tracejit.ops import elementwise as ops
from tracejit.trace.tracer import bind, is_traced

__all__ = [
    "angle", "argwhere", "around", "choose", "clip", "fix", "flatnonzero", "imag", "isclose",
    "iscomplex", "isneginf", "isposinf", "isreal", "nan_to_num", "nonzero", "piecewise", "real",
    "real_if_close", "round", "select", "sinc", "where",
]  # fmt: skip


def where(condition: ArrayLike, x: ArrayLike | None = None, y: ArrayLike | None = None) -> Any:
    """x where the condition holds, else y; NaN of the side not taken never reaches a gradient.

    With the condition alone: the indices where a known condition holds, a tuple of arrays.
    """
    if x is None and y is None:
        return nonzero(condition)
    if x is None or y is None:
        raise fault(ArgumentError, "where takes a condition alone, or a condition, x and y")
    condition, x, y = truth(operand(condition)), operand(x), operand(y)
    dtype, shape = result_dtype(x, y), common_shape((condition, x, y))
    traced = is_traced(condition, x, y)
    return bind(
        ops.select,
        fit(condition, BOOL, shape, traced=traced),
        fit(x, dtype, shape, traced=traced),
        fit(y, dtype, shape, traced=traced),
    )


def nonzero(x: ArrayLike) -> tuple[np.ndarray, ...]:
    """The indices of the elements of a known array that are not 0, one array for each axis."""
    return np.nonzero(known(x, "nonzero"))


def known(x: ArrayLike, name: str) -> Any:
    """An array that is not traced, for results whose shape depends on the numbers."""
    x = operand(x)
    if is_traced(x):
        raise fault(
            UnsupportedError,
            f"{name} of a traced array: the shape of its result depends on the numbers",
            "choose element by element, np.where(condition, x, 0), and reduce with where=",
        )
    return np.asarray(x)


def argwhere(x: ArrayLike) -> np.ndarray:
    """The indices of the elements of a known array that are not 0, a row for each."""
    return np.argwhere(known(x, "argwhere"))


def flatnonzero(x: ArrayLike) -> np.ndarray:
    """The indices into the flattened known array where it is not 0."""
    return np.flatnonzero(known(x, "flatnonzero"))


def select(
    condlist: Sequence[ArrayLike], choicelist: Sequence[ArrayLike], default: ArrayLike = 0
) -> Array:
    """The choice of the first condition that holds, else the default."""
    if len(condlist) != len(choicelist) or not condlist:
        raise fault(
            ArgumentError,
            f"select: {len(condlist)} conditions for {len(choicelist)} choices",
        )
    dtype = result_dtype(*[operand(x) for x in choicelist], operand(default))
    result: Any = value(default, dtype)
    for condition, choice in zip(reversed(condlist), reversed(choicelist), strict=True):
        result = where(condition, value(choice, dtype), result)
    return result


def piecewise(
    x: ArrayLike, condlist: Sequence[ArrayLike], funclist: Sequence[Any], *args: Any, **kw: Any
) -> Array:
    """funclist[i](x) where condition i holds; one function more is for the rest, else 0 there."""
    x = value(x)
    conditions = list(condlist) if isinstance(condlist, (list, tuple)) else [condlist]
    if len(funclist) not in (len(conditions), len(conditions) + 1):
        raise fault(
            ArgumentError,
            f"piecewise: {len(conditions)} conditions for {len(funclist)} functions",
        )
    pieces = [f(x, *args, **kw) if callable(f) else f for f in funclist]
    rest = pieces.pop() if len(pieces) > len(conditions) else 0
    return select(conditions, [value(p, dtype_of(x)) for p in pieces], value(rest, dtype_of(x)))


@takes_out
def choose(
    a: ArrayLike, choices: Sequence[ArrayLike], out: Array = None, mode: str = "clip"
) -> Array:
    """choices[a], element by element; an index out of range takes the nearest choice."""
    a, parts = operand(a), [operand(c) for c in choices]
    result: Any = parts[-1]
    for index in reversed(range(len(parts) - 1)):
        result = where(ufuncs.less_equal(a, index), parts[index], result)
    return result


@takes_out
def clip(
    a: ArrayLike, a_min: ArrayLike | None = None, a_max: ArrayLike | None = None,
    out: Array = None, *, min: ArrayLike | None = None, max: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """a, but no less than a_min and no more than a_max (None: no limit)."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    result = copied(value(a)) if low is None and high is None else operand(a)
    low, high = (_reachable(limit, dtype_of(result)) for limit in (low, high))
    if low is not None:
        result = ufuncs.maximum(result, low)
    return result if high is None else ufuncs.minimum(result, high)


def _reachable(limit: Any, dtype: np.dtype) -> Any:
    """A limit that is a Python int, brought into the range of integers of a dtype."""
    if dtype.kind not in "iu" or not isinstance(limit, int) or isinstance(limit, np.generic):
        return limit
    numbers = np.iinfo(dtype)
    return sorted((int(numbers.min), limit, int(numbers.max)))[1]


def nan_to_num(
    x: ArrayLike, copy: bool = True, nan: ArrayLike = 0.0, posinf: ArrayLike | None = None,
    neginf: ArrayLike | None = None,
) -> Array:  # fmt: skip
    """x with NaN and infinities replaced: the infinities by the largest and lowest numbers.

    Of complex numbers it is done to both parts.
    """
    x = value(x)
    if x.dtype in COMPLEX:
        both = [nan_to_num(bind(p, x), copy, nan, posinf, neginf) for p in (parts.real, parts.imag)]
        return bind(parts.complex, *both)
    if x.dtype not in FLOATS:
        return copied(x)
    limits = finfo(x.dtype)
    high = limits.max if posinf is None else posinf
    low = limits.min if neginf is None else neginf
    is_high, is_low = ufuncs.equal(x, np.inf), ufuncs.equal(x, -np.inf)
    replaced = where(ufuncs.isnan(x), value(nan, x.dtype), x)
    replaced = where(is_high, value(high, x.dtype), replaced)
    return where(is_low, value(low, x.dtype), replaced)


def sinc(x: ArrayLike) -> Array:
    """sin(pi x) / (pi x), 1 at 0. There it is 1 - (pi x)^2 / 6, for the sake of derivatives."""
    x = operand(x)
    x = ufuncs.multiply(value(x, quotient_dtype(x)), np.pi)
    at_zero = ufuncs.equal(x, 0)
    safe = where(at_zero, 1, x)
    near = ufuncs.subtract(1, ufuncs.divide(ufuncs.square(x), 6))
    return where(at_zero, near, ufuncs.divide(ufuncs.sin(safe), safe))


def isclose(
    a: ArrayLike, b: ArrayLike, rtol: ArrayLike = 1e-5, atol: ArrayLike = 1e-8,
    equal_nan: bool = False,
) -> Array:  # fmt: skip
    """Whether |a - b| <= atol + rtol |b|; infinities are close to themselves alone."""
    a, b = operand(a), operand(b)
    if result_dtype(a, b) not in INEXACT:
        a, b = to_float(a), to_float(b)
    bound = ufuncs.add(atol, ufuncs.multiply(rtol, ufuncs.absolute(b)))
    near = ufuncs.less_equal(ufuncs.absolute(ufuncs.subtract(a, b)), bound)
    near = ufuncs.logical_and(near, ufuncs.isfinite(b))
    result = ufuncs.logical_or(near, ufuncs.equal(a, b))
    if not equal_nan:
        return result
    return ufuncs.logical_or(result, ufuncs.logical_and(ufuncs.isnan(a), ufuncs.isnan(b)))


def angle(z: ArrayLike, deg: bool = False) -> Array:
    """The angle of a number in the complex plane; of a negative real number it is pi."""
    result = ufuncs.arctan2(imag(z), real(z))
    return ufuncs.degrees(result) if deg else result


@takes_out
def isposinf(x: ArrayLike, out: Array = None) -> Array:
    """Whether x is inf."""
    refuse_complex("isposinf", operand(x))
    return ufuncs.equal(x, np.inf)


@takes_out
def isneginf(x: ArrayLike, out: Array = None) -> Array:
    """Whether x is -inf."""
    refuse_complex("isneginf", operand(x))
    return ufuncs.equal(x, -np.inf)


def isreal(x: ArrayLike) -> Array:
    """Where the imaginary part is 0."""
    return ufuncs.equal(imag(x), 0)


def iscomplex(x: ArrayLike) -> Array:
    """Where the imaginary part is not 0."""
    return ufuncs.not_equal(imag(x), 0)


def real(x: ArrayLike) -> Array:
    """The real part, a view of x; x itself if it is real."""
    x = value(x)
    return views.of(x, views.RealPart()) if x.dtype in COMPLEX else x


def imag(x: ArrayLike) -> Array:
    """The imaginary part, a view of x; zeros, not to be written to, if x is real."""
    x = value(x)
    if x.dtype in COMPLEX:
        return views.of(x, views.ImaginaryPart())
    return views.of(x, views.ReadOnly(lambda base: full_of(0, base.dtype, shape_of(base))))


def real_if_close(a: ArrayLike, tol: float = 100) -> Array:
    """The real part of a known complex array whose imaginary parts are about 0, else the array."""
    x = operand(a)
    if dtype_of(x) not in COMPLEX:
        return value(x)
    if is_traced(x):
        raise fault(
            UnsupportedError,
            "real_if_close of a traced array: the dtype of its result depends on the numbers",
            "x.real is the real part, whatever the imaginary one is",
        )  # fmt: skip
    return np.real_if_close(np.asarray(x), tol)


@takes_out
def round(a: ArrayLike, decimals: int = 0, out: Array = None) -> Array:
    """a to so many decimals, ties to even."""
    x = value(a)
    if x.dtype == BOOL:
        x = value(x, np.dtype(np.int8))
    if decimals == 0 or (x.dtype not in INEXACT and decimals > 0):
        return ufuncs.rint(x) if x.dtype in INEXACT else copied(x)
    scale = 10.0 ** abs(decimals)
    up, down = ufuncs.multiply, ufuncs.divide
    if decimals < 0:
        up, down = down, up
    return value(down(ufuncs.rint(up(x, scale)), scale), x.dtype)


@takes_out
def fix(x: ArrayLike, out: Array = None) -> Array:
    """x rounded toward 0."""
    return ufuncs.trunc(x)


around = round

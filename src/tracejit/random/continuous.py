"""Draws of real numbers: uniform bits sent through the inverse of a distribution function.

Floats are of any dtype, 16 bits too; None means `config.default_float`. Parameters may be traced,
and the draws have derivatives in them: the bits depend on the key alone, the rest is arithmetic.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, DTypeError
from tracejit.ir.types import COMPLEX, FLOATS, PART_OF, REALS, UINT8, Shape, finfo
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    DTypeLike,
    convert,
    fault,
    known_number,
    operand,
    value,
)
from tracejit.numpy.choosing import clip, where
from tracejit.numpy.linalg import vector_norm
from tracejit.numpy.promotion import as_dtype, default_float, dtype_of
from tracejit.ops import elementwise, special
from tracejit.ops.complex import complex as complex_of
from tracejit.random.keys import bits_of, checked_shape, split, words_of
from tracejit.trace.tracer import bind

__all__ = [
    "cauchy", "exponential", "gumbel", "laplace", "logistic", "lognormal", "maxwell", "normal",
    "pareto", "rayleigh", "triangular", "truncated_normal", "uniform", "weibull_min",
]  # fmt: skip


def float_dtype(name: str, dtype: DTypeLike) -> np.dtype:
    """The dtype of a draw: the default float, unless said."""
    found = default_float() if dtype is None else as_dtype(dtype)
    if found not in FLOATS:
        raise fault(DTypeError, f"random.{name} draws floats, not {found}")
    return found


def _with_parameters(name: str, shape: Any, dtype: DTypeLike, *parameters: ArrayLike) -> Any:
    """The shape and the dtype of a draw, and its parameters in that dtype."""
    found = float_dtype(name, dtype)
    given = [operand(p) for p in parameters]
    return checked_shape(name, shape, *given), found, *[value(p, found) for p in given]


def uniform(
    key: ArrayLike, shape: Any = (), dtype: DTypeLike = None,
    minval: ArrayLike = 0.0, maxval: ArrayLike = 1.0,
) -> Array:  # fmt: skip
    """Numbers from minval to before maxval, all as likely."""
    low, high = operand(minval), operand(maxval)
    for bound in (low, high):
        if dtype_of(bound) not in REALS:
            raise fault(DTypeError, f"random.uniform: a bound is a number, not {dtype_of(bound)}")
    shape = checked_shape("uniform", shape) if shape is not None else None
    shape, dtype, low, high = _with_parameters("uniform", shape, dtype, low, high)
    unit = _unit(words_of("uniform", key), shape, dtype)
    if known_number(low) == 0 and known_number(high) == 1:
        return unit
    return ufuncs.maximum(low, unit * (high - low) + low)


def _unit(words: tuple[Array, Array], shape: Shape, dtype: np.dtype) -> Array:
    """Multiples of epsilon in [0, 1).

    The highest bits become the mantissa of a float in [1, 2), whose sign and exponent are those of
    the number 1; then 1 is subtracted, which is exact.
    """
    unsigned, mantissa = np.dtype(f"u{dtype.itemsize}"), finfo(dtype).nmant
    drawn = UINT8 if mantissa < 8 else unsigned  # a byte is enough for bfloat16
    exponent = np.ones((), dtype).view(unsigned)[()]
    bits = convert(bits_of(words, shape, drawn), unsigned)
    bits = bits >> unsigned.type(drawn.itemsize * 8 - mantissa)
    return bind(elementwise.bitcast, bits | exponent, dtype=dtype) - dtype.type(1)


def normal(key: ArrayLike, shape: Any = (), dtype: DTypeLike = None) -> Array:
    """The standard normal: sqrt(2) erfinv(u) for u in (-1, 1).

    Of a complex dtype, both parts are normal, and the variance of the number is 1.
    """
    if dtype is not None and (whole := as_dtype(dtype)) in COMPLEX:
        each = [normal(k, shape, PART_OF[whole]) for k in split(key)]
        return bind(complex_of, *[x / PART_OF[whole].type(math.sqrt(2)) for x in each])
    dtype = float_dtype("normal", dtype)
    above = np.nextafter(dtype.type(-1), dtype.type(0))
    u = uniform(key, checked_shape("normal", shape), dtype, above, 1.0)
    return bind(special.erfinv, u) * dtype.type(math.sqrt(2))


def truncated_normal(
    key: ArrayLike, lower: ArrayLike, upper: ArrayLike, shape: Any = None, dtype: DTypeLike = None
) -> Array:
    """The standard normal between two bounds: erfinv of a uniform between their erf."""
    shape, dtype, lower, upper = _with_parameters("truncated_normal", shape, dtype, lower, upper)
    root = dtype.type(math.sqrt(2))
    ends = [bind(special.erf, x / root) for x in (lower, upper)]
    y = bind(special.erfinv, uniform(key, shape, dtype, *ends)) * root
    inner = [
        ufuncs.nextafter(bind(elementwise.stop_gradient, x), dtype.type(toward))
        for x, toward in ((lower, np.inf), (upper, -np.inf))
    ]
    return clip(y, *inner)


def exponential(key: ArrayLike, shape: Any = (), dtype: DTypeLike = None) -> Array:
    """The exponential distribution of rate 1: -log(1 - u)."""
    u = uniform(key, checked_shape("exponential", shape), float_dtype("exponential", dtype))
    return -ufuncs.log1p(-u)


def gumbel(
    key: ArrayLike, shape: Any = (), dtype: DTypeLike = None, mode: str | None = None
) -> Array:
    """The standard Gumbel distribution: -log(-log(u)).

    mode "low", the default, takes one word of bits for each number; "high" takes two, so that the
    upper tail has more than epsilon's resolution.
    """
    dtype, shape = float_dtype("gumbel", dtype), checked_shape("gumbel", shape)
    info = finfo(dtype)
    if mode in (None, "low"):
        u = uniform(key, shape, dtype, info.tiny, 1.0)
        return -ufuncs.log(-ufuncs.log(u))
    if mode != "high":
        raise fault(ArgumentError, f"random.gumbel: mode is 'low' or 'high', not {mode!r}")
    coarse, fine = uniform(key, (2, *shape), dtype)
    # Small u are known to more places, and log1p(-u) keeps them.
    u = where(coarse >= 0.5, coarse, coarse + 2.0**-info.nmant * fine + info.tiny)
    return -ufuncs.log(-ufuncs.log1p(-u))


def laplace(key: ArrayLike, shape: Any = (), dtype: DTypeLike = None) -> Array:
    """The standard Laplace distribution: sign(u) log(1 - |u|) for u in (-1, 1)."""
    dtype = float_dtype("laplace", dtype)
    above = dtype.type(finfo(dtype).epsneg - 1)
    u = uniform(key, checked_shape("laplace", shape), dtype, above, 1.0)
    return ufuncs.sign(u) * ufuncs.log1p(-abs(u))


def cauchy(key: ArrayLike, shape: Any = (), dtype: DTypeLike = None) -> Array:
    """The standard Cauchy distribution: tan(pi (u - 1/2))."""
    dtype = float_dtype("cauchy", dtype)
    u = uniform(key, checked_shape("cauchy", shape), dtype, finfo(dtype).eps, 1.0)
    return ufuncs.tan((u - dtype.type(0.5)) * dtype.type(math.pi))


def logistic(key: ArrayLike, shape: Any = (), dtype: DTypeLike = None) -> Array:
    """The standard logistic distribution: log(u) - log(1 - u)."""
    dtype = float_dtype("logistic", dtype)
    u = uniform(key, checked_shape("logistic", shape), dtype, finfo(dtype).tiny, 1.0)
    return ufuncs.log(u) - ufuncs.log1p(-u)


def lognormal(
    key: ArrayLike, sigma: ArrayLike = 1.0, shape: Any = None, dtype: DTypeLike = None
) -> Array:
    """exp(sigma z) for a standard normal z."""
    shape, dtype, sigma = _with_parameters("lognormal", shape, dtype, sigma)
    return ufuncs.exp(normal(key, shape, dtype) * sigma)


def maxwell(key: ArrayLike, shape: Any = (), dtype: DTypeLike = None) -> Array:
    """The length of a vector of three standard normals."""
    z = normal(key, (*checked_shape("maxwell", shape), 3), float_dtype("maxwell", dtype))
    return vector_norm(z, axis=-1)


def pareto(key: ArrayLike, b: ArrayLike, shape: Any = None, dtype: DTypeLike = None) -> Array:
    """The Pareto distribution of shape b, from 1 up: exp(e / b) for an exponential e."""
    shape, dtype, b = _with_parameters("pareto", shape, dtype, b)
    return ufuncs.exp(exponential(key, shape, dtype) / b)


def rayleigh(
    key: ArrayLike, scale: ArrayLike, shape: Any = None, dtype: DTypeLike = None
) -> Array:
    """The Rayleigh distribution: scale sqrt(-2 log(u))."""
    shape, dtype, scale = _with_parameters("rayleigh", shape, dtype, scale)
    return scale * ufuncs.sqrt(-2.0 * ufuncs.log(uniform(key, shape, dtype)))


def weibull_min(
    key: ArrayLike, scale: ArrayLike, concentration: ArrayLike, shape: Any = None,
    dtype: DTypeLike = None,
) -> Array:  # fmt: skip
    """The Weibull distribution: scale e^(1 / concentration) for an exponential e."""
    shape, dtype, scale, concentration = _with_parameters(
        "weibull_min", shape, dtype, scale, concentration
    )
    e = exponential(key, shape, dtype)
    return ufuncs.power(e, 1.0 / concentration) * scale


def triangular(
    key: ArrayLike, left: ArrayLike, mode: ArrayLike, right: ArrayLike, shape: Any = None,
    dtype: DTypeLike = None,
) -> Array:  # fmt: skip
    """The density that rises from left to mode and falls to right, both in a straight line."""
    shape, dtype, left, mode, right = _with_parameters(
        "triangular", shape, dtype, left, mode, right
    )
    u = uniform(key, shape, dtype)
    width, rise, fall = right - left, mode - left, right - mode
    up, down = left + ufuncs.sqrt(u * width * rise), right - ufuncs.sqrt((1.0 - u) * width * fall)
    return where(u < rise / width, up, down)

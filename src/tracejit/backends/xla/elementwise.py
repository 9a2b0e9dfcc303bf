"""Elementwise rows. Where lax differs from the meaning of a primitive, a function says how."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from tracejit.backends.xla.table import LOWERINGS, full_like
from tracejit.ir.types import COMPLEX, FLOATS, INEXACT, UNSIGNED, finfo
from tracejit.ops import complex as parts
from tracejit.ops import elementwise as ops

State = tuple[jax.Array, jax.Array, jax.Array]
Rule = Callable[..., jax.Array]


def complex_by(own: Rule) -> Callable[[Rule], Rule]:
    """Of a rule for real numbers one for all: complex ones go to a function of XLA's own."""

    def decorate(rule: Rule) -> Rule:
        @functools.wraps(rule)
        def either(x: jax.Array, *rest: jax.Array, **params: int) -> jax.Array:
            return (own if x.dtype in COMPLEX else rule)(x, *rest, **params)

        return either

    return decorate


def round_even(x: jax.Array) -> jax.Array:
    """To the nearest integer, halves to the even one."""
    return lax.round(x, lax.RoundingMethod.TO_NEAREST_EVEN)


LOWERINGS.rows(__name__, {
    ops.add: lax.add, ops.sub: lax.sub, ops.mul: lax.mul, ops.div: lax.div, ops.rem: lax.rem,
    ops.neg: lax.neg, ops.sign: lax.sign, ops.floor: lax.floor, ops.ceil: lax.ceil,
    ops.round_even: round_even, ops.square: lax.square, ops.max: lax.max, ops.min: lax.min,
    ops.sqrt: lax.sqrt, ops.rsqrt: lax.rsqrt, ops.cbrt: lax.cbrt,
    ops.exp: lax.exp, ops.expm1: lax.expm1, ops.log: lax.log,
    ops.logistic: lax.logistic,
    ops.sin: lax.sin, ops.cos: lax.cos, ops.tan: lax.tan,
    ops.asin: lax.asin, ops.acos: lax.acos, ops.atan: lax.atan, ops.atan2: lax.atan2,
    ops.tanh: lax.tanh, ops.asinh: lax.asinh, ops.acosh: lax.acosh,
    ops.eq: lax.eq, ops.ne: lax.ne, ops.lt: lax.lt, ops.le: lax.le, ops.gt: lax.gt, ops.ge: lax.ge,
    ops.and_: lax.bitwise_and, ops.or_: lax.bitwise_or, ops.xor: lax.bitwise_xor,
    ops.not_: lax.bitwise_not,
    ops.shift_left: lax.shift_left, ops.shift_right_logical: lax.shift_right_logical,
    ops.population_count: lax.population_count, ops.clz: lax.clz, ops.nextafter: lax.nextafter,
    ops.select: lax.select, ops.stop_gradient: lambda x: x,
    ops.log2: lambda x: lax.log(x) * full_like(x, 1 / math.log(2.0)),
    ops.log10: lambda x: lax.log(x) * full_like(x, 1 / math.log(10.0)),
    ops.abs: lambda x: x if x.dtype in UNSIGNED else lax.abs(x),
    ops.bitcast: lambda x, *, dtype: lax.bitcast_convert_type(x, dtype),
    ops.convert: lambda x, *, dtype: lax.convert_element_type(
        lax.real(x) if x.dtype in COMPLEX and dtype not in COMPLEX else x, dtype
    ),
    parts.real: lax.real, parts.imag: lax.imag, parts.conj: lax.conj, parts.complex: lax.complex,
})  # fmt: skip


@LOWERINGS.rule(ops.is_finite)
def is_finite(x: jax.Array) -> jax.Array:
    """Of complex numbers, whether both parts are."""
    if x.dtype not in COMPLEX:
        return lax.is_finite(x)
    return lax.bitwise_and(lax.is_finite(lax.real(x)), lax.is_finite(lax.imag(x)))


@LOWERINGS.rule(ops.keep_zeros)
def keep_zeros(product: jax.Array, *guards: jax.Array) -> jax.Array:
    """0 where the product is NaN and all guards are 0."""
    spoilt = lax.ne(product, product)
    for guard in guards:
        spoilt = lax.bitwise_and(spoilt, lax.eq(guard, full_like(guard, 0)))
    return lax.select(spoilt, full_like(product, 0), product)


@LOWERINGS.rule(ops.trunc)
def trunc(x: jax.Array) -> jax.Array:
    """Toward zero: the ceiling of negative numbers, the floor of the others."""
    return lax.select(lax.lt(x, full_like(x, 0)), lax.ceil(x), lax.floor(x))


# On CPUs, XLA's own functions of float64 lose up to 100 ulps (log1p of negative numbers, and atanh)
# or 500 (sinh, cosh and exp2 of large ones).


@LOWERINGS.rule(ops.log1p)
@complex_by(lax.log1p)
def log1p(x: jax.Array) -> jax.Array:
    """In -1 .. 0, -log1p(-x / (1 + x)), which is good since its argument is positive."""
    negative = lax.bitwise_and(lax.lt(x, full_like(x, 0)), lax.gt(x, full_like(x, -1)))
    y = lax.log1p(lax.select(negative, -x / (full_like(x, 1) + x), x))
    return lax.select(negative, -y, y)


@LOWERINGS.rule(ops.softplus)
def softplus(x: jax.Array) -> jax.Array:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), which cannot overflow."""
    return lax.max(x, full_like(x, 0)) + lax.log1p(lax.exp(-lax.abs(x)))


@LOWERINGS.rule(ops.atanh)
@complex_by(lax.atanh)
def atanh(x: jax.Array) -> jax.Array:
    """log((1 + x) / (1 - x)) / 2, odd."""
    size = lax.abs(x)
    half = full_like(x, 0.5) * lax.log1p(full_like(x, 2) * size / (full_like(x, 1) - size))
    return with_sign(half, x)


@LOWERINGS.rule(ops.exp2)
@complex_by(lax.exp2)
def exp2(x: jax.Array) -> jax.Array:
    """2^n exp((x - n) log 2) with n = round(x): exact for integers.

    2^n is made in two halves, either of them a normal number also where the product is not.
    """
    info = finfo(x.dtype)
    limit = full_like(x, 2 * info.maxexp - 4)
    n = round_even(lax.clamp(-limit, x, limit))
    exponent = lax.convert_element_type(n, np.dtype(f"i{x.dtype.itemsize}"))
    first = lax.shift_right_arithmetic(exponent, full_like(exponent, 1))

    def power(k: jax.Array) -> jax.Array:
        biased = k + full_like(k, info.maxexp - 1)
        return lax.bitcast_convert_type(lax.shift_left(biased, full_like(k, info.nmant)), x.dtype)

    fraction = lax.exp((x - n) * full_like(x, math.log(2.0)))
    return fraction * power(first) * power(exponent - first)


def half_exp(x: jax.Array) -> jax.Array:
    """exp(|x|) / 2, which overflows only where cosh does."""
    return lax.exp(lax.abs(x) - full_like(x, 1)) * full_like(x, math.e / 2)


@LOWERINGS.rule(ops.cosh)
@complex_by(lax.cosh)
def cosh(x: jax.Array) -> jax.Array:
    """h + 1 / 4h, with h = exp(|x|) / 2."""
    half = half_exp(x)
    return half + full_like(x, 0.25) / half


@LOWERINGS.rule(ops.sinh)
@complex_by(lax.sinh)
def sinh(x: jax.Array) -> jax.Array:
    """h - 1 / 4h, odd; where that cancels, XLA's own is good."""
    half = half_exp(x)
    large = with_sign(half - full_like(x, 0.25) / half, x)
    return lax.select(lax.lt(lax.abs(x), full_like(x, 1)), lax.sinh(x), large)


def with_sign(size: jax.Array, x: jax.Array) -> jax.Array:
    """A positive size with the sign of x."""
    return lax.select(sign_bit(x), -size, size)


@LOWERINGS.rule(ops.sign_bit)
def sign_bit(x: jax.Array) -> jax.Array:
    """Of -0.0 and NaN too: the integer with the bits of x is negative."""
    bits = lax.bitcast_convert_type(x, np.dtype(f"i{x.dtype.itemsize}"))
    return lax.lt(bits, full_like(bits, 0))


@LOWERINGS.rule(ops.shift_right_arithmetic)
def shift_right_arithmetic(x: jax.Array, n: jax.Array) -> jax.Array:
    """lax takes the first bit of an unsigned number for a sign too."""
    return (lax.shift_right_logical if x.dtype in UNSIGNED else lax.shift_right_arithmetic)(x, n)


@LOWERINGS.rule(ops.integer_pow)
def integer_pow(x: jax.Array, *, n: int) -> jax.Array:
    """lax takes no negative n for integers: the quotient, truncated."""
    if n < 0 and x.dtype not in INEXACT:
        return lax.div(full_like(x, 1), lax.integer_pow(x, -n))
    return lax.integer_pow(x, n)


@LOWERINGS.rule(ops.pow)
@complex_by(lax.pow)
def pow(x: jax.Array, y: jax.Array) -> jax.Array:
    """lax has only the power of floats; that of integers is squared and multiplied.

    For y < 0, where NumPy raises, the quotient 1 / x^-y truncated: 0 unless x is 1 or -1. For
    these the loop is right, since y and y as an unsigned number are alike odd or even.
    """
    if x.dtype in FLOATS:
        return lax.pow(x, y)
    zero, one = full_like(x, 0), full_like(x, 1)

    def step(state: State) -> State:
        result, square, exponent = state
        odd = lax.ne(lax.bitwise_and(exponent, one), zero)
        result = lax.select(odd, result * square, result)
        return result, square * square, lax.shift_right_logical(exponent, one)

    result, _, _ = lax.while_loop(lambda state: jnp.any(state[2] != zero), step, (one, x, y))
    unit = lax.eq(x, one) | lax.eq(x, -one)
    return lax.select(lax.lt(y, zero) & ~unit, zero, result)

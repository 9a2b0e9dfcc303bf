"""Floats of 16 bits: from their bits to float32, and back, rounded to nearest, ties to even.

In registers and in memory a half is an i16 (see `elementwise.register_type`); programs have them
between a bitcast and a conversion only (`passes/widen.py`). Where the machine converts float16, it
does; LLVM would call a library for the rest, so that is done here with integers:

    float16 to float32    the fraction and the exponent in place are x 2^-112: a product with 2^112,
                          exact also of subnormals; infinities and NaN apart
    float32 to float16    normal: rebiased, half a unit added, less one bit for even, shifted; below
                          2^-14 the adder rounds, at a number whose last bit is 2^-24
    float64 to float16    to float32 with the last bit set where something was lost ("to odd"), so
                          that it is rounded once (Boldo, Melquiond: When double rounding is odd)
    bfloat16              the upper half of a float32
"""

from __future__ import annotations

import numpy as np

from tracejit.backends.native.emit import Function, Value, vector_type
from tracejit.ir.types import FLOAT16

_INFINITY = 0x7F800000  # of float32
_FLOAT16_FROM = 113 << 23  # 2^-14, its least normal number
_FLOAT16_TO = 143 << 23  # 2^16, above all of it
_SUBNORMAL = 126 << 23  # 0.5, whose last bit is 2^-24


def to_float(b: Function, dtype: np.dtype, x: Value) -> Value:
    """The float32 of halves of the dtype."""
    word, single = vector_type("i32", x.type.lanes), vector_type("float", x.type.lanes)
    if dtype != FLOAT16:
        wide = b.zext(x, word)
        return b.bitcast(b.shl(wide, b.like(wide, 16)), single)
    if b.module.has_half_conversions:
        return b.fpext(b.bitcast(x, vector_type("half", x.type.lanes)), single)
    wide = b.zext(x, word)
    size = b.and_(wide, b.like(wide, 0x7FFF))
    shifted = b.shl(size, b.like(wide, 13))
    scaled = b.mul(b.bitcast(shifted, single), b.like(b.bitcast(shifted, single), 2.0**112))
    special = b.greater(size, b.like(wide, 0x7BFF))
    found = b.select(special, b.or_(shifted, b.like(wide, _INFINITY)), b.bits_of(scaled))
    sign = b.shl(b.lshr(wide, b.like(wide, 15)), b.like(wide, 31))
    return b.bitcast(b.or_(found, sign), single)


def from_float(b: Function, dtype: np.dtype, x: Value) -> Value:
    """The halves of the dtype next to float32 numbers; of float64, for float16."""
    short = vector_type("i16", x.type.lanes)
    if x.type.bits == 64:
        x = _to_odd(b, x)
    if dtype != FLOAT16:
        return b.truncate(_bfloat16(b, x), short)
    if b.module.has_half_conversions:
        return b.bitcast(b.fptrunc(x, vector_type("half", x.type.lanes)), short)
    return b.truncate(_float16(b, x), short)


def _bfloat16(b: Function, x: Value) -> Value:
    bits = b.bits_of(x)
    upper = b.lshr(bits, b.like(bits, 16))
    even = b.add(b.and_(upper, b.like(bits, 1)), b.like(bits, 0x7FFF))
    near = b.lshr(b.add(bits, even), b.like(bits, 16))
    return b.select(b.is_nan(x), b.or_(upper, b.like(bits, 0x40)), near)


def _float16(b: Function, x: Value) -> Value:
    bits = b.bits_of(x)
    size = b.bits_of(b.abs(x))
    sign = b.shl(b.lshr(bits, b.like(bits, 31)), b.like(bits, 15))
    even = b.and_(b.lshr(size, b.like(bits, 13)), b.like(bits, 1))
    rebiased = b.add(size, b.like(bits, 0xFFF - (112 << 23)))
    normal = b.lshr(b.add(rebiased, even), b.like(bits, 13))
    half = b.bitcast(b.like(bits, _SUBNORMAL), x.type)
    tiny = b.sub(b.bits_of(b.add(b.abs(x), half)), b.like(bits, _SUBNORMAL))
    found = b.select(b.less(size, b.like(bits, _FLOAT16_FROM)), tiny, normal)
    beyond = b.select(b.is_nan(x), b.like(bits, 0x7E00), b.like(bits, 0x7C00))
    found = b.select(b.less(size, b.like(bits, _FLOAT16_TO)), found, beyond)
    return b.or_(found, sign)


def _to_odd(b: Function, x: Value) -> Value:
    """float32 toward zero, the last bit set where that is not x."""
    near = b.fptrunc(x, vector_type("float", x.type.lanes))
    back = b.fpext(near, x.type)
    bits = b.bits_of(near)
    larger = b.greater(b.abs(back), b.abs(x))
    below = b.select(larger, b.sub(bits, b.like(bits, 1)), bits)
    lost = b.not_equal(back, x)
    return b.bitcast(b.select(lost, b.or_(below, b.like(bits, 1)), bits), near.type)

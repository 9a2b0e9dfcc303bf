"""Reduction of huge angles by pi/2, exactly: the slow path of the trigonometric functions.

Payne and Hanek: x = M 2^E with a 53-bit integer M, and of the binary digits of 2/pi only a window
of 192 matters, because those before it contribute multiples of 4 and those behind it less than
2^-137. The product modulo 4 is a fixed-point number: two bits of quadrant and a fraction, of which
126 bits are kept; the worst double comes within 2^-62 of a multiple of pi/2, so 64 are good.
"""

from __future__ import annotations

import math
from functools import lru_cache

from tracejit.backends.native.emit import (
    F64,
    I64,
    PTR,
    VOID,
    Function,
    Module,
    Value,
    constant,
    vector_type,
)
from tracejit.backends.native.maths.core import fma, two_product

I128 = vector_type("i128", 1)
NAME = "maths.reduce_huge_angles"
# Zero bits put before the digits, so that windows may begin before the binary point.
LEADING = 64
WORDS = 21


def integer_pi(bits: int) -> int:
    """floor(pi * 2^bits) up to a few units, by Machin's 16 atan(1/5) - 4 atan(1/239)."""

    def arctangent(n: int) -> int:
        power = total = (1 << bits) // n
        for k in range(3, 2 * bits, 2):
            power //= -n * n
            if power in (0, -1):
                break
            total += power // k
        return total

    return 16 * arctangent(5) - 4 * arctangent(239)


@lru_cache(maxsize=1)
def digits_of_two_over_pi() -> tuple[int, ...]:
    """The binary digits of 2/pi behind LEADING zeros, as words of 64 bits."""
    total = 64 * WORDS - LEADING
    guard = 64
    quotient = (1 << (2 * (total + guard) + 1)) // integer_pi(total + guard)
    number = quotient >> guard
    return tuple(number >> (64 * (WORDS - 1 - i)) & (2**64 - 1) for i in range(WORDS))


def window(b: Function, start: Value) -> list[Value]:
    """192 digits from the position on: three words, the most significant first."""
    table = b.module.table(I64, list(digits_of_two_over_pi()))
    word, shift = b.lshr(start, constant(I64, 6)), b.and_(start, constant(I64, 63))
    at = b.offset(table, word, I64)
    words = [b.load(I64, b.offset(at, i, I64)) for i in range(4)]
    return [b.intrinsic("fshl", words[i], words[i + 1], shift) for i in range(3)]


def fixed_point_product(b: Function, mantissa: Value, digits: list[Value]) -> Value:
    """The upper 128 of the lowest 192 bits of mantissa * digits: the product modulo 4."""
    m, sixty_four = b.zext(mantissa, I128), constant(I128, 64)
    low = b.mul(m, b.zext(digits[2], I128))
    middle = b.add(b.mul(m, b.zext(digits[1], I128)), b.lshr(low, sixty_four))
    top = b.shl(b.zext(b.mul(mantissa, digits[0]), I128), sixty_four)
    return b.add(top, middle)


def to_pair(b: Function, fraction: Value) -> tuple[Value, Value]:
    """A signed 128-bit fixed-point number with 126 bits of fraction, times pi/2, as a pair."""
    negative = b.less(fraction, constant(I128, 0))
    magnitude = b.select(negative, b.neg(fraction), fraction)
    zeros = b.call("llvm.ctlz.i128", I128, [magnitude, constant(vector_type("i1", 1), False)])
    normal = b.shl(magnitude, zeros)
    scale_bits = b.sub(constant(I64, 1023), b.truncate(zeros, I64))
    scale = b.bitcast(b.shl(scale_bits, constant(I64, 52)), F64)
    mask = constant(I64, 2**53 - 1)

    def piece(shift: int) -> Value:
        bits = b.and_(b.truncate(b.lshr(normal, constant(I128, shift)), I64), mask)
        return b.mul(b.mul(b.sitofp(bits, F64), constant(F64, 2.0 ** (shift - 126))), scale)

    high, low = piece(75), piece(22)
    half_pi = constant(F64, math.pi / 2)
    product, rest = two_product(b, high, half_pi)
    rest = fma(b, high, constant(F64, 6.123233995736766e-17), fma(b, low, half_pi, rest))
    return b.select(negative, b.neg(product), product), b.select(negative, b.neg(rest), rest)


def reduce_one(b: Function, x: Value) -> tuple[Value, Value, Value]:
    """Quadrant, and x - quadrant * pi/2 as a pair, of one huge double."""
    bits = b.bits_of(x)
    field = b.and_(b.lshr(bits, constant(I64, 52)), constant(I64, 2047))
    mantissa = b.or_(b.and_(bits, constant(I64, 2**52 - 1)), constant(I64, 2**52))
    # E - 1 is where the window starts among the digits of weight 2^-1, 2^-2, ...: digit i times
    # 2^E has weight 2^1 there. Small numbers (their result is not used) start at the beginning.
    start = b.sub(field, constant(I64, 1075 + 1 - LEADING + 1))
    start = b.call("llvm.smax.i64", I64, [start, constant(I64, 0)])
    product = fixed_point_product(b, mantissa, window(b, start))
    rounded = b.add(product, constant(I128, 1 << 125))
    quadrant = b.lshr(rounded, constant(I128, 126))
    high, low = to_pair(b, b.sub(product, b.shl(quadrant, constant(I128, 126))))
    quadrant = b.truncate(quadrant, I64)
    negative = b.less(bits, constant(I64, 0))
    high = b.select(b.equal(field, constant(I64, 2047)), constant(F64, math.nan), high)
    return (
        b.select(negative, b.neg(quadrant), quadrant),
        b.select(negative, b.neg(high), high),
        b.select(negative, b.neg(low), low),
    )


def define(module: Module) -> None:
    """Add `void maths.reduce_huge_angles(double* x, i64 lanes)`, once a module.

    The buffer holds four rows of `lanes` elements: x, and what is written: quadrants as i64, the
    high parts and the low parts. Cold, so that the branch to it is laid out of the way.
    """
    if module.has(NAME):
        return
    b = module.function(
        NAME, VOID, [PTR, I64], attributes="cold noinline nounwind"
    )
    buffer, lanes = b.args
    entry, loop, done = b.here, b.block("lane"), b.block("done")
    b.branch(loop)
    b.at(loop)
    lane = b.phi(I64)
    lane.add(constant(I64, 0), entry)
    at = b.offset(buffer, lane.value, F64)
    results = reduce_one(b, b.load(F64, at))
    for result in results:
        at = b.offset(at, lanes, F64)
        b.store(result, at)
    following = b.add(lane.value, constant(I64, 1))
    lane.add(following, b.here)
    b.branch_if(b.less(following, lanes), loop, done)
    b.at(done)
    b.ret()

"""exp, exp2, expm1, logistic.

All of them write x = n ln 2 + r with |r| <= ln 2 / 2 and use a polynomial in r. The integer n is
never converted: adding 1.5 * 2^52 (2^23 for float) to x / ln 2 rounds it and leaves it in the low
bits of the sum, and a bias added along makes it an exponent field after one shift.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.maths.core import (
    at_least,
    at_most,
    avx512,
    divide_pairs,
    exact_fma,
    fast_two_sum,
    fma,
    format_of,
    integer,
    is_register,
    like,
    polynomial,
    square,
    unchanged_near_zero,
)

LOG2_E = 1.4426950408889634
# ln 2 = hi + lo. n * hi is subtracted by fma without error, since x - n hi is a multiple of
# ulp(hi) / 2 below 1/2.
LN2 = {
    "double": (0.6931471805599453, 2.3190468138462996e-17),
    "float": (0.6931471824645996, -1.9046542121259336e-09),
}
# e^r = 1 + r + r^2 q(r). Minimax for q on |r| <= ln 2 / 2; error relative to e^r 2^-56 and 2^-27.
EXP = {
    "double": (
        1.0, 1.0, 0.5, 0.16666666666666674, 0.04166666666662822, 0.008333333333321966,
        0.0013888888917264015, 0.0001984126988802827, 2.480152029595883e-05,
        2.7557240486660073e-06, 2.762071058450168e-07, 2.511076099822246e-08,
    ),
    "float": (
        1.0, 1.0, 0.5, 0.16666556894779205, 0.041666410863399506, 0.008365300484001637,
        0.0013939966447651386,
    ),
}
# 2^r = 1 + r p(r) on |r| <= 1/2, relative error 2^-57 and 2^-28.
EXP2 = {
    "double": (
        1.0, 0.6931471805599453, 0.24022650695910117, 0.055504108664823124, 0.009618129107599589,
        0.0013333558146142522, 0.00015403530451250038, 1.5252734047418353e-05,
        1.3215437725011413e-06, 1.0177981838267355e-07, 7.073433257944915e-09,
        4.466310801264637e-10,
    ),
    "float": (
        1.0, 0.6931471824645996, 0.24022650718688965, 0.05550355091691017, 0.00961809791624546,
        0.0013393217232078314, 0.0001545170380268246,
    ),
}
# (e^r - 1 - r) / r^2 with one term more, for the functions that are relative to e^x - 1;
# error relative to r 2^-59 and 2^-30.
EXPM1 = {
    "double": (
        0.5, 0.16666666666666674, 0.04166666666666669, 0.008333333333323933,
        0.0013888888888865466, 0.00019841269881008925, 2.4801587369764008e-05,
        2.755724882424909e-06, 2.7557230564219123e-07, 2.510757709247557e-08,
        2.092933533995231e-09,
    ),
    "float": (
        0.5, 0.1666666716337204, 0.041666485369205475, 0.008333276025950909,
        0.001393307582475245, 0.00019914961012545973,
    ),
}
# Beyond these arguments exp is inf or 0, whatever the rounding.
EXP_RANGE = {"double": (-746.0, 710.0), "float": (-105.0, 89.0)}
EXP2_RANGE = {"double": (-1077.0, 1024.0), "float": (-152.0, 128.0)}
# Below the first expm1 is -1; at the second it is inf.
EXPM1_RANGE = {"double": (-40.0, 710.0), "float": (-20.0, 89.0)}


def clamp(b: Function, x: Value, limits: dict[str, tuple[float, float]]) -> Value:
    """x within the limits of its type, NaN where x is NaN."""
    low, high = limits[x.type.lane]
    return at_least(b, at_most(b, x, high), low)


def round_biased(b: Function, x: Value, factor: float, bias: int) -> tuple[Value, Value]:
    """n = rint(x * factor) as a float, and bits whose low end holds n + bias."""
    shifter = like(x, format_of(x).shifter + bias)
    if factor == 1.0:
        shifted = b.add(x, shifter)
    else:
        shifted = fma(b, x, like(x, factor), shifter)
    return b.sub(shifted, shifter), b.bits_of(shifted)


def reduce_by_ln2(b: Function, x: Value, n: Value) -> Value:
    """r = x - n ln 2."""
    hi, lo = LN2[x.type.lane]
    return fma(b, n, like(x, -lo), exact_fma(b, n, like(x, -hi), x))


def power_of_two(b: Function, x: Value, bits: Value) -> Value:
    """2^n from bits whose low end holds n + bias, the result being normal."""
    return b.bitcast(b.shl(bits, integer(x, format_of(x).fraction)), x.type)


def scale_widely(b: Function, x: Value, n: Value, bits: Value) -> Value:
    """x * 2^n for any n of an exponent difference, from n and bits that hold n + 2 bias.

    Two steps, the powers of n >> 1 and of the rest: so the only rounding is the last one, also when
    the result is subnormal, and 2^1024 needs no representation. AVX-512 has that as an instruction.
    """
    if is_register(b, x):
        return avx512(b, "scalef", x, n)
    f = format_of(x)
    both = b.shl(bits, integer(x, f.fraction))
    half = b.and_(b.shl(bits, integer(x, f.fraction - 1)), integer(x, ~f.fraction_mask))
    rest = b.sub(both, half)
    return b.mul(b.mul(x, b.bitcast(half, x.type)), b.bitcast(rest, x.type))


def series(b: Function, r: Value, coefficients: Sequence[float]) -> Value:
    """A polynomial whose first two terms are rounded last, in order."""
    first, second, *rest = coefficients
    return fma(b, fma(b, polynomial(b, r, rest), r, like(r, second)), r, like(r, first))


def exp(b: Function, x: Value) -> Value:
    """e^x."""
    x = clamp(b, x, EXP_RANGE)
    n, bits = round_biased(b, x, LOG2_E, 2 * format_of(x).bias)
    r = reduce_by_ln2(b, x, n)
    return scale_widely(b, series(b, r, EXP[x.type.lane]), n, bits)


def exp2(b: Function, x: Value) -> Value:
    """2^x; exact where x is an integer."""
    x = clamp(b, x, EXP2_RANGE)
    n, bits = round_biased(b, x, 1.0, 2 * format_of(x).bias)
    return scale_widely(b, series(b, b.sub(x, n), EXP2[x.type.lane]), n, bits)


def half_expm1(b: Function, x: Value, *, negative: bool) -> tuple[Value, Value]:
    """(e^x - 1) / 2 as a pair whose low part is not small; x must be within EXPM1_RANGE.

    The pair is precise for negative x if `negative` is said, else for positive x.

    With s = 2^n / 2: s e^r - 1/2 = (s - 1/2) + s r + s (e^r - 1 - r). The first sum is kept
    exactly. Half, so that n = 1024 has a finite s.
    """
    lane = x.type.lane
    n, bits = round_biased(b, x, LOG2_E, format_of(x).bias - 1)
    hi, lo = LN2[lane]
    first = exact_fma(b, n, like(x, -hi), x)
    r = fma(b, n, like(x, -lo), first)
    r_low = fma(b, n, like(x, -lo), b.sub(first, r))
    cubic = b.mul(r, polynomial(b, r, EXPM1[lane][1:]))
    s = power_of_two(b, x, bits)
    terms = (like(x, -0.5), s) if negative else (s, like(x, -0.5))
    base, base_low = fast_two_sum(b, *terms)
    scaled = b.mul(s, r)  # exactly, and so is half of r: their product is rounded only in the sum
    high = b.add(base, scaled)
    low = b.add(b.add(b.sub(base, high), scaled), base_low)
    low = fma(b, b.mul(scaled, r), cubic, fma(b, s, r_low, low))
    return high, fma(b, scaled, b.mul(r, like(x, EXPM1[lane][0])), low)


def expm1(b: Function, x: Value) -> Value:
    """e^x - 1, without loss near 0."""
    high, low = half_expm1(b, clamp(b, x, EXPM1_RANGE), negative=False)
    half = b.add(high, low)
    return unchanged_near_zero(b, x, b.add(half, half))


def tanh(b: Function, x: Value) -> Value:
    """tanh |x| = -t / (1 + t) with t = (e^(-2|x|) - 1) / 2 in (-1/2, 0], and the sign of x."""
    low_end = EXPM1_RANGE[x.type.lane][0]
    doubled = at_least(b, b.mul(b.abs(x), like(x, -2.0)), low_end)
    t, t_low = fast_two_sum(b, *half_expm1(b, doubled, negative=True))
    d, d_low = fast_two_sum(b, like(x, 1.0), t)
    quotient = divide_pairs(b, (t, t_low), (d, b.add(d_low, t_low)))
    return b.copysign(quotient, x)


def split_negative(b: Function, x: Value) -> tuple[Value, Value, Value, float]:
    """x, cut where e^x is 0 anyway, n = rint(x / ln 2), s and a constant c with 2^n = s c.

    For x <= 0 (not checked). Multiplying by c last rounds once, into the subnormals too.
    """
    f = format_of(x)
    x = at_least(b, x, EXP_RANGE[x.type.lane][0])
    extra = f.fraction + 2
    n, bits = round_biased(b, x, LOG2_E, f.bias + extra)
    return x, n, power_of_two(b, x, bits), 2.0**-extra


def exp_of_negative(b: Function, x: Value) -> Value:
    """e^x for x <= 0 (not checked): cheaper than `exp`."""
    x, n, s, c = split_negative(b, x)
    p = series(b, reduce_by_ln2(b, x, n), EXP[x.type.lane])
    return b.mul(b.mul(p, s), like(x, c))


def pair_for_negative(
    b: Function, x: Value, low: Value
) -> tuple[tuple[Value, Value], Value, float]:
    """p as a pair, s and a constant c with e^(x + low) = p s c, for x <= 0 (not checked)."""
    x, n, s, c = split_negative(b, x)
    hi, lo = LN2[x.type.lane]
    first = exact_fma(b, n, like(x, -hi), x)
    r = fma(b, n, like(x, -lo), first)
    low = b.add(fma(b, n, like(x, -lo), b.sub(first, r)), low)
    r, r_low = fast_two_sum(b, r, low)
    one, _, *rest = EXP[x.type.lane]
    p, p_low = fast_two_sum(b, like(x, one), r)
    p_low = fma(b, r_low, p, p_low)
    return (p, fma(b, square(b, r), polynomial(b, r, rest), p_low)), s, c


def logistic(b: Function, x: Value) -> Value:
    """1 / (1 + e^-x) as 1 / (1 + e) for x >= 0 and e / (1 + e) below, e = e^-|x|."""
    one = like(x, 1.0)
    e = exp_of_negative(b, b.neg(b.abs(x)))
    top = b.select(b.less(x, like(x, 0.0)), e, one)
    d, d_low = fast_two_sum(b, one, e)
    reciprocal = b.div(one, d)
    quotient = b.mul(top, reciprocal)
    negative = b.neg(quotient)
    residual = fma(b, negative, d_low, exact_fma(b, negative, d, top))
    return fma(b, residual, reciprocal, quotient)

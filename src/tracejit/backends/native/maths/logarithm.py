"""log, log2, log10, log1p.

x = 2^k m with m in [3/4, 3/2), f = m - 1, and with s = f / (2 + f)

    log m = 2 atanh s = f - (f^2/2 - s (f^2/2 + s^2 P(s^2)))

where the leading f is exact, so that little is rounded before the last two additions.
"""

from __future__ import annotations

from tracejit.backends.native.emit import I32, Function, Value, constant
from tracejit.backends.native.maths.core import (
    INF,
    NAN,
    at_least,
    at_most,
    avx512,
    fast_two_sum,
    fma,
    format_of,
    integer,
    is_register,
    like,
    polynomial,
    square,
    two_product,
    unchanged_near_zero,
)

# (2 atanh s - 2 s) / s^3 as a polynomial in s^2, |s| <= 1/5; error 2^-61 and 2^-33 of s.
ATANH = {
    "double": (
        0.6666666666666666, 0.400000000000078, 0.2857142856733919, 0.22222223037807243,
        0.18181738454723026, 0.15388834677801916, 0.1321036048513262, 0.13604015707124079,
    ),
    "float": (0.6666666865348816, 0.4000031054019928, 0.2853274345397949, 0.23747344315052032),
}
# The bits of 3/4, where the significand is cut: as AVX-512 can.
CUT = {"double": 0x3FE8000000000000, "float": 0x3F400000}
# For the instruction: from 3/4 to 3/2, without sign, NaN for negative numbers.
SIGNIFICAND = 0b1111
# Constants as hi + lo, hi with zeros at its end so that k * hi is exact for every exponent k.
LN2 = {
    "double": (0.6931471805598903, 5.497923018708371e-14),
    "float": (0.693145751953125, 1.428606765330187e-06),
}
LOG10_2 = {
    "double": (0.30102999566395283, 2.8363394551044964e-14),
    "float": (0.301025390625, 4.605039066518657e-06),
}
# 1 / ln 2 and 1 / ln 10, rounded and the rest.
LOG2_E = {
    "double": (1.4426950408889634, 2.0355273740931033e-17),
    "float": (1.4426950216293335, 1.925963033500011e-08),
}
LOG10_E = {
    "double": (0.4342944819032518, 1.098319650216765e-17),
    "float": (0.4342944920063019, -1.0103049952192578e-08),
}


def cut(b: Function, x: Value) -> tuple[Value, Value, Value]:
    """Of a positive normal x = 2^k m: the bits (k + bias) << fraction, those of k + bias, and m."""
    f = format_of(x)
    lowest = CUT[x.type.lane]
    moved = b.add(b.bits_of(x), integer(x, f.one - lowest))
    m = b.add(b.and_(moved, integer(x, f.fraction_mask)), integer(x, lowest))
    return moved, b.lshr(moved, integer(x, f.fraction)), b.bitcast(m, x.type)


def to_float(b: Function, x: Value, biased: Value, minus: Value) -> Value:
    """2^fraction + a small integer - minus: the integer is put in the fraction, not converted."""
    f = format_of(x)
    base = (f.bias + f.fraction) << f.fraction
    return b.sub(b.bitcast(b.or_(biased, integer(x, base)), x.type), minus)


def decompose(b: Function, x: Value) -> tuple[Value, Value]:
    """k as a float and m - 1 for positive finite x, subnormal too.

    The instructions give k = -inf for 0 and inf for inf, m = NaN for negative x, and NaN for NaN.
    """
    if is_register(b, x):
        m = avx512(b, "getmant", x, constant(I32, SIGNIFICAND))
        k = b.sub(avx512(b, "getexp", x), avx512(b, "getexp", m))
        return k, b.sub(m, like(x, 1.0))
    f = format_of(x)
    subnormal = b.less(x, like(x, f.smallest_normal))
    shift = f.fraction + 2
    base = 2.0**f.fraction + f.bias
    x = b.select(subnormal, b.mul(x, like(x, 2.0**shift)), x)
    minus = b.select(subnormal, like(x, base + shift), like(x, base))
    _, biased, m = cut(b, x)
    return to_float(b, x, biased, minus), b.sub(m, like(x, 1.0))


def log_excess(b: Function, f: Value, low: Value | None = None) -> Value:
    """f - log(1 + f) - low for 1 + f in [3/4, 3/2]."""
    s = b.div(f, b.add(f, like(f, 2.0)))
    z = square(b, s)
    half = b.mul(b.mul(f, like(f, 0.5)), f)
    inner = fma(b, z, polynomial(b, z, ATANH[f.type.lane]), half)
    inner = b.mul(s, inner) if low is None else fma(b, s, inner, low)
    return b.sub(half, inner)


def combine(b: Function, k: Value, f: Value, f_low: Value | None = None) -> Value:
    """k ln 2 + log(1 + f + f_low)."""
    hi, lo = LN2[k.type.lane]
    if f_low is None:
        low = b.mul(k, like(k, lo))
    else:
        # f_low / (1 + f), to first order in f: f_low is below the last place of f.
        low = fma(b, k, like(k, lo), fma(b, b.neg(f), f_low, f_low))
    excess = log_excess(b, f, low)
    return fma(b, k, like(k, hi), b.sub(f, excess))


def at_the_ends(b: Function, x: Value, y: Value, pole: float = 0.0) -> Value:
    """y where pole < x < inf; -inf at the pole, NaN below it, and x at inf and NaN."""
    y = b.select(b.less(x, like(x, INF)), y, x)
    edge = b.select(b.equal(x, like(x, pole)), like(x, -INF), like(x, NAN))
    return b.select(b.less_equal(x, like(x, pole)), edge, y)


def log(b: Function, x: Value) -> Value:
    """The natural logarithm."""
    y = combine(b, *decompose(b, x))
    return y if is_register(b, x) else at_the_ends(b, x, y)


def log1p(b: Function, x: Value, low: Value | None = None) -> Value:
    """log(1 + x + low), without loss near 0; low is below the last place of x.

    1 + x = u + d exactly; d is scaled like u and joins f, which is x itself when k = 0.
    """
    f = format_of(x)
    large, small = at_least(b, x, 1.0), at_most(b, x, 1.0)
    u, d = fast_two_sum(b, large, small)
    d = d if low is None else b.add(d, low)
    moved, biased, m = cut(b, u)
    k = to_float(b, x, biased, like(x, 2.0**f.fraction + f.bias))
    # 2^(1 - k), which is 0 for the largest k, where d no longer matters.
    field = b.and_(moved, integer(x, ~f.fraction_mask))
    scale = b.bitcast(b.sub(integer(x, (2 * f.bias + 1) << f.fraction), field), x.type)
    scaled = b.mul(b.mul(d, like(x, 0.5)), scale)
    excess = fast_two_sum(b, b.sub(m, like(x, 1.0)), scaled)
    y = at_the_ends(b, x, combine(b, k, *excess), pole=-1.0)
    return unchanged_near_zero(b, x, y)


def log_in_base(
    b: Function, x: Value, inverse: tuple[float, float], of_two: tuple[float, float],
) -> Value:
    """k * of_two + log(m) * inverse, the large parts exact, so that powers of the base are."""
    k, f = decompose(b, x)
    hi, lo = inverse
    rest = b.neg(log_excess(b, f))
    p, p_low = two_product(b, f, like(x, hi))
    p_low = fma(b, f, like(x, lo), fma(b, rest, like(x, hi), p_low))
    whole = b.mul(k, like(x, of_two[0])) if of_two[0] != 1.0 else k
    if of_two[1]:
        p_low = fma(b, k, like(x, of_two[1]), p_low)
    high, low = fast_two_sum(b, whole, p)
    y = b.add(high, b.add(low, p_low))
    if is_register(b, x):
        return b.select(b.less(b.abs(k), like(x, INF)), y, k)
    return at_the_ends(b, x, y)


def log2(b: Function, x: Value) -> Value:
    """The logarithm to base 2; exact at powers of two."""
    return log_in_base(b, x, LOG2_E[x.type.lane], (1.0, 0.0))


def log10(b: Function, x: Value) -> Value:
    """The logarithm to base 10; exact at powers of ten."""
    return log_in_base(b, x, LOG10_E[x.type.lane], LOG10_2[x.type.lane])

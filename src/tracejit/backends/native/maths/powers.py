"""sqrt, rsqrt, cbrt, pow, integer_power."""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.backends.native.emit import Function, Value, vector_type
from tracejit.backends.native.maths.core import (
    INF,
    NAN,
    at_least,
    at_most,
    exact_fma,
    fast_two_sum,
    flip_sign,
    fma,
    format_of,
    horner,
    integer,
    is_single,
    like,
    polynomial,
    sign_bits,
    square,
    two_product,
    where,
)
from tracejit.backends.native.maths.exponential import (
    EXP2,
    power_of_two,
    round_biased,
    scale_widely,
    series,
)
from tracejit.backends.native.maths.logarithm import cut, decompose, to_float

# log2((1 + s) / (1 - s)) = s (A + z (B + z P(z))) with z = s^2: A = 2 / ln 2 and B = 2 / (3 ln 2)
# as pairs, and P for |s| <= 1/5 with an error of 2^-65 of the sum.
POW_A = (2.8853900817779268, 4.0710547481862066e-17)
POW_B = (0.9617966939259756, 5.0577616648125907e-17)
POW_P = (
    0.5770780163555853, 0.41219858311123436, 0.3205988979218757, 0.26230819991222154,
    0.22195204122560774, 0.1924144787419741, 0.16812195013134884, 0.17589068648178666,
)
# For float, in double: log2((1 + s) / (1 - s)) / s in s^2 to 2^-35; 2^r for |r| <= 1/2 to 2^-29.
POW_LOG2 = (
    2.88539008183509, 0.9617966225204624, 0.5770922466072469, 0.41121029218967053,
    0.3483427456720679,
)
POW_EXP2 = (
    1.000000000558681, 0.6931472058858609, 0.2402264686698903, 0.055503284522051985,
    0.009618490484061302, 0.0013400062950167505, 0.0001534567426004234,
)
# m^(-1/3), 1 <= m < 2, to 2^-14.
CBRT = (
    1.6700078215576695, -1.1728832213372464, 0.6954856906380734, -0.22123919948938195,
    0.02859124226726873,
)
# Exponents beyond which the result is 0 or inf.
POW_RANGE = (-1080.0, 1025.0)
SINGLE_POW_RANGE = (-200.0, 200.0)

Exponent = tuple[Value, Value]


def sqrt(b: Function, x: Value) -> Value:
    """The square root, correctly rounded."""
    return b.sqrt(x)


def rsqrt(b: Function, x: Value) -> Value:
    """1 / sqrt(x)."""
    return b.div(like(x, 1.0), b.sqrt(x))


def cbrt(b: Function, x: Value) -> Value:
    """The cube root.

    With |x| = 2^(3 q) v, v in [1, 8): y = v^(-1/3) from a polynomial and one step of third order
    (good to 2^-40), then c = v y^2 and Newton's correction c + (v - c^3) y^2 / 3.
    """
    f = format_of(x)
    a, one = b.abs(x), like(x, 1.0)
    shift = f.fraction // 3 + 1
    subnormal = b.less(a, like(x, f.smallest_normal))
    bits = b.bits_of(b.select(subnormal, b.mul(a, like(x, 8.0**shift)), a))
    # The biased exponent e plus pad, where bias + pad is a multiple of 3, divided by 3 downwards,
    # as the nearest integer to (e + pad - 1) / 3.
    pad = -f.bias % 3
    field = b.lshr(bits, integer(x, f.fraction))
    before = to_float(b, x, field, like(x, 2.0**f.fraction + 1 - pad))
    third, root_bits = round_biased(b, before, 1 / 3, f.bias - (f.bias + pad) // 3)
    left = fma(b, third, like(x, -3.0), before)
    first, last = b.less(left, like(x, 0.0)), b.greater(left, like(x, 0.0))

    def by_remainder(factor: float) -> Value:
        rest = b.select(last, like(x, factor**2), like(x, factor))
        return b.select(first, one, rest)

    m = b.or_(b.and_(bits, integer(x, f.fraction_mask)), integer(x, f.one))
    m = b.bitcast(m, x.type)
    v = b.mul(m, by_remainder(2.0))
    y = b.mul(horner(b, m, CBRT), by_remainder(2.0 ** (-1 / 3)))
    h = fma(b, b.neg(square(b, y)), b.mul(v, y), one)
    y = fma(b, b.mul(y, h), fma(b, h, like(x, 2 / 9), like(x, 1 / 3)), y)
    z = square(b, y)
    c = b.mul(v, z)
    c2, c2_low = two_product(b, c, c)
    error = fma(b, b.neg(c2_low), c, exact_fma(b, b.neg(c2), c, v))
    c = fma(b, b.mul(error, z), like(x, 1 / 3), c)
    root = b.mul(c, power_of_two(b, x, root_bits))
    root = b.select(subnormal, b.mul(root, like(x, 2.0**-shift)), root)
    ordinary = b.and_(b.greater(a, like(x, 0.0)), b.less(a, like(x, INF)))
    return b.select(ordinary, b.copysign(root, x), x)


def integer_power(b: Function, x: Value, n: int) -> Value:
    """x^n by repeated squaring; the reciprocal of x^-n for negative n."""
    if n < 0:
        return b.div(like(x, 1.0), integer_power(b, x, -n))
    result, factor = None, x
    while n:
        if n & 1:
            result = factor if result is None else b.mul(result, factor)
        n >>= 1
        if n:
            factor = square(b, factor)
    return like(x, 1.0) if result is None else result


def log2_pair(b: Function, x: Value) -> tuple[Value, Value]:
    """log2 of a positive finite double as a pair, good to 2^-65 of itself."""
    k, f = decompose(b, x)
    d, d_low = fast_two_sum(b, like(x, 2.0), f)
    reciprocal = b.div(like(x, 1.0), d)
    s = b.mul(f, reciprocal)
    minus_s = b.neg(s)
    s_low = b.mul(fma(b, minus_s, d_low, exact_fma(b, minus_s, d, f)), reciprocal)
    z, z_low = two_product(b, s, s)
    z_low = fma(b, b.add(s, s), s_low, z_low)
    u, u_low = fast_two_sum(b, like(x, POW_B[0]), b.mul(z, horner(b, z, POW_P)))
    v, v_low = two_product(b, z, u)
    v_low = b.add(v_low, fma(b, z, b.add(u_low, like(x, POW_B[1])), b.mul(z_low, u)))
    w, w_low = fast_two_sum(b, like(x, POW_A[0]), v)
    w_low = b.add(w_low, b.add(v_low, like(x, POW_A[1])))
    high, low = two_product(b, s, w)
    low = b.add(low, fma(b, s, w_low, b.mul(s_low, w)))
    total, rest = fast_two_sum(b, k, high)
    return total, b.add(rest, low)


def log2_of_magnitude(b: Function, a: Value) -> list[Value]:
    """log2 of a >= 0 in double, as a pair; inf for inf."""
    high, low = log2_pair(b, a)
    high = b.select(b.less(a, like(a, INF)), high, a)
    return [b.select(b.equal(a, like(a, 0.0)), like(a, -INF), high), low]


def single_log2_of_magnitude(b: Function, a: Value) -> list[Value]:
    """log2 of a float, in double, with polynomials for its precision."""
    x = b.fpext(a, vector_type("double", a.type.lanes))
    _, biased, m = cut(b, x)
    k = to_float(b, x, biased, like(x, 2.0**52 + 1023))
    f = b.sub(m, like(x, 1.0))
    s = b.div(f, b.add(f, like(x, 2.0)))
    logarithm = fma(b, s, horner(b, square(b, s), POW_LOG2), k)
    logarithm = b.select(b.less(x, like(x, INF)), logarithm, x)
    return [b.select(b.equal(x, like(x, 0.0)), like(x, -INF), logarithm)]


def exponent_of(b: Function, y: Value, high: Value, low: Value | None = None) -> Exponent:
    """y (high + low) in double, rounded, and what that lost."""
    if low is None:
        exponent = b.mul(b.fpext(y, high.type), high)
        return exponent, like(exponent, 0.0)
    exponent, rest = two_product(b, y, high)
    return exponent, fma(b, y, low, rest)


def ordinary_power(b: Function, single: bool, exponent: Value, rest: Value) -> Value:
    """2^(exponent + rest), for a normal result."""
    n, bits = round_biased(b, exponent, 1.0, 1023)
    r = b.sub(exponent, n)
    p = polynomial(b, r, POW_EXP2) if single else series(b, b.add(r, rest), EXP2["double"])
    return b.mul(p, power_of_two(b, exponent, bits))


def any_power(b: Function, a: Value, y: Value, exponent: Value, rest: Value) -> Value:
    """The same for every exponent, of a = |x| and y; 1^y = a^0 = 1, even for NaN."""
    limits = SINGLE_POW_RANGE if is_single(a) else POW_RANGE
    moderate = b.less(b.abs(exponent), like(exponent, 1100.0))
    rest = b.select(moderate, rest, like(exponent, 0.0))
    exponent = at_least(b, at_most(b, exponent, limits[1]), limits[0])
    if is_single(a):
        power = b.fptrunc(ordinary_power(b, True, exponent, rest), a.type)
    else:
        n, bits = round_biased(b, exponent, 1.0, 2 * 1023)
        p = series(b, b.add(b.sub(exponent, n), rest), EXP2["double"])
        power = scale_widely(b, p, n, bits)
    one = like(a, 1.0)
    return b.select(b.or_(b.equal(a, one), b.equal(y, like(y, 0.0))), one, power)


def signed_power(b: Function, x: Value, y: Value, power: Value) -> Value:
    """|x|^y with the sign of x^y; NaN for a finite x < 0 and a y that is not whole."""
    half = b.mul(y, like(y, 0.5))
    whole = b.equal(b.round_even(y), y)
    odd = b.and_(whole, b.not_equal(b.round_even(half), half))
    signs = b.select(odd, sign_bits(b, x), integer(x, 0))
    negative = b.and_(b.less(x, like(x, 0.0)), b.greater(x, like(x, -INF)))
    undefined = b.and_(negative, b.not_(whole))
    return b.select(undefined, like(x, NAN), flip_sign(b, power, signs))


def pow_begin(b: Function, x: Value) -> list[Value]:
    """What x^y needs of x: x itself, and its logarithm.

    That is more than half of the work, and can be done once for many y.
    """
    a = b.abs(x)
    return [x, *(single_log2_of_magnitude if is_single(x) else log2_of_magnitude)(b, a)]


def pow_end(b: Function, begun: Sequence[Value], y: Value) -> Value:
    """x^y, from what `pow_begin` made of x.

    Results that are no normal numbers, and negative x, have blocks of their own.
    """
    x, *logarithm = begun
    exponent, rest = exponent_of(b, y, *logarithm)
    power = ordinary_power(b, is_single(x), exponent, rest)
    power = power if power.type == x.type else b.fptrunc(power, x.type)
    limit = like(exponent, float(format_of(x).bias - 2))
    extreme = b.not_(b.less(b.abs(exponent), limit))
    power = where(b, extreme, power, lambda: any_power(b, b.abs(x), y, exponent, rest))
    negative = b.less(b.bits_of(x), integer(x, 0))
    return where(b, negative, power, lambda: signed_power(b, x, y, power))


def pow(b: Function, x: Value, y: Value) -> Value:
    """x^y with the special cases of C99 and NumPy: 1^y = x^0 = 1, even for NaN."""
    return pow_end(b, pow_begin(b, x), y)

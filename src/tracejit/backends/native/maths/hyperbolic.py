"""sinh, cosh, asinh, acosh, atanh, softplus (tanh and logistic are with the exponentials)."""

from __future__ import annotations

import math

from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.maths.core import (
    NAN,
    at_least,
    at_most,
    exact_fma,
    fast_two_sum,
    fma,
    format_of,
    horner,
    like,
    square,
    unchanged_near_zero,
)
from tracejit.backends.native.maths.exponential import (
    LOG2_E,
    exp_of_negative,
    power_of_two,
    reduce_by_ln2,
    round_biased,
)
from tracejit.backends.native.maths.logarithm import log1p

# (sinh r - r) / r^3 and (cosh r - 1) / r^2 in r^2, |r| <= ln 2 / 2; errors 2^-61 and 2^-56 for
# double, 2^-26 and 2^-33 for float.
SINH = {
    "double": (
        0.16666666666666677, 0.00833333333332124, 0.0001984126988745471,
        2.7557242557942286e-06, 2.5109716580287257e-08,
    ),
    "float": (0.1666654348373413, 0.008366525173187256),
}
COSH = {
    "double": (
        0.5, 0.04166666666660829, 0.00138888889269343, 2.480150698040257e-05,
        2.7626284292573316e-07,
    ),
    "float": (0.5, 0.041666459292173386, 0.0013935306342318654),
}
# Beyond it both are inf.
SINH_LIMIT = {"double": 710.6, "float": 89.5}


def combine_quarters(b: Function, x: Value, *, odd: bool) -> Value:
    """sinh x or cosh x for x >= 0, from x = n ln 2 + r.

    With D = (2^n - 2^-n) / 4 and T = (2^n + 2^-n) / 4:

        sinh x / 2 = D cosh r + T sinh r        cosh x / 2 = T cosh r + D sinh r

    Quarters, so that 2^n has a float where sinh is just below overflow. The sum of the largest
    terms, D + T r or T + D r, is kept exactly.
    """
    lane, f = x.type.lane, format_of(x)
    x = at_most(b, x, SINH_LIMIT[lane])
    n, bits = round_biased(b, x, LOG2_E, f.bias - 2)
    r = reduce_by_ln2(b, x, n)
    # 2^-n, or something as negligible for the largest n, for which it is not normal.
    least = at_most(b, n, float(f.bias - 3))
    inverse_bits = b.bits_of(b.sub(like(x, f.shifter + f.bias - 2), least))
    up, down = power_of_two(b, x, bits), power_of_two(b, x, inverse_bits)
    even, uneven = b.sub(up, down), b.add(up, down)
    if not odd:
        even, uneven = uneven, even
    z = square(b, r)
    high = exact_fma(b, uneven, r, even)
    low = exact_fma(b, uneven, r, b.sub(even, high))
    low = fma(b, even, b.mul(z, horner(b, z, COSH[lane])), low)
    low = fma(b, uneven, b.mul(b.mul(r, z), horner(b, z, SINH[lane])), low)
    half = b.add(high, low)
    return b.add(half, half)


def sinh(b: Function, x: Value) -> Value:
    """The hyperbolic sine."""
    y = combine_quarters(b, b.abs(x), odd=True)
    return unchanged_near_zero(b, x, b.copysign(y, x))


def cosh(b: Function, x: Value) -> Value:
    """The hyperbolic cosine."""
    return combine_quarters(b, b.abs(x), odd=False)


def log1p_or_log_of_double(b: Function, a: Value, t: Value, low: Value) -> Value:
    """log(1 + t + low), or log(2 a) where a is so large that t may have overflowed."""
    large = b.greater(a, like(a, 2.0 ** (format_of(a).fraction + 3)))
    y = log1p(b, b.select(large, a, t), b.select(large, like(a, 0.0), low))
    return b.add(y, b.select(large, like(a, math.log(2.0)), like(a, 0.0)))


def asinh(b: Function, x: Value) -> Value:
    """log(x + sqrt(x^2 + 1)), as log1p(a + a^2 / (1 + sqrt(1 + a^2))) with a = |x|."""
    a, one = b.abs(x), like(x, 1.0)
    z = square(b, a)
    root = b.sqrt(b.add(z, one))
    t, low = fast_two_sum(b, a, b.div(z, b.add(root, one)))
    return b.copysign(log1p_or_log_of_double(b, a, t, low), x)


def acosh(b: Function, x: Value) -> Value:
    """log(x + sqrt(x^2 - 1)) for x >= 1, as log1p(t + sqrt(2 t + t^2)) with t = x - 1."""
    one = like(x, 1.0)
    t = b.sub(x, one)
    root = b.sqrt(fma(b, t, t, b.add(t, t)))
    y = log1p_or_log_of_double(b, x, *fast_two_sum(b, root, t))
    return b.select(b.less(x, one), like(x, NAN), y)


def atanh(b: Function, x: Value) -> Value:
    """log((1 + x) / (1 - x)) / 2, as log1p(2 a / (1 - a)) / 2 with a = |x|."""
    a = b.abs(x)
    doubled = b.add(a, a)
    d, d_low = fast_two_sum(b, like(x, 1.0), b.neg(a))
    t = b.div(doubled, d)
    # What t d lacks of 2 a, over d: t and a tell d without another division. At 1 t is infinite.
    missing = fma(b, b.neg(t), d_low, exact_fma(b, b.neg(t), d, doubled))
    low = b.mul(missing, fma(b, t, like(x, 0.5), like(x, 0.5)))
    low = b.select(b.less(a, like(x, 1.0)), low, like(x, 0.0))
    return b.copysign(b.mul(log1p(b, t, low), like(x, 0.5)), x)


def softplus(b: Function, x: Value) -> Value:
    """log(1 + e^x) = max(x, 0) + log1p(e^-|x|)."""
    tail = log1p(b, exp_of_negative(b, b.neg(b.abs(x))))
    return b.add(at_least(b, x, 0.0), tail)

"""lgamma and digamma.

Positive arguments below 8 are brought to an interval of length 1 by the recurrence, larger ones
have Stirling's series. Negative ones are reflected in a block that is entered only when a lane
needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.maths.core import (
    INF, NAN, any_lane, fma, horner, in_double, like, polynomial, square,
)
from tracejit.backends.native.maths.logarithm import log
from tracejit.backends.native.maths.trigonometric import half_turns

# lgamma(2 + y) / y, |y| <= 1/2; error 2^-55.
LGAMMA = (
    0.42278433509846713, 0.3224670334241133, -0.06735230105319576, 0.02058080842776597,
    -0.007385551028925812, 0.0028905103318411095, -0.0011927539013104939, 0.0005096694951331531,
    -0.0002231549725553729, 9.94579438193701e-05, -4.4923769407311656e-05, 2.050354747737801e-05,
    -9.456091022014335e-06, 4.393502555669794e-06, -1.974795832107892e-06, 8.999508111103876e-07,
    -5.806437770460582e-07, 2.9765296064409435e-07,
)
# x (lgamma(x) - (x - 1/2) log x + x - log(2 pi) / 2) in 1/x^2, x >= 7.5; error 2^-57.
STIRLING = (
    0.08333333333333333, -0.0027777777777701273, 0.000793650786664783, -0.0005952356958037623,
    0.0008413558660373944, -0.0018836808780149396, 0.004919536502951398,
)
# x^2 (log x - 1/(2 x) - digamma(x)) in 1/x^2, x >= 8; error 2^-58.
DIGAMMA = (
    0.08333333333332647, -0.008333333324368825, 0.003968250127740505, -0.004165912143410002,
    0.007500305204859786, -0.017286607605548183,
)
# Where Stirling's series begins.
LARGE = 8.0
HALF_LOG_TWO_PI = 0.9189385332046728


def where_negative(
    b: Function, x: Value, result: Value, reflect: Callable[[], Value],
) -> Value:
    """result, or reflect() in the lanes where x < 0; computed only if there is one."""
    negative = b.less(x, like(x, 0.0))
    before, cold, after = b.here, b.block("reflect"), b.block("gamma")
    b.branch_if(any_lane(b, negative), cold, after)
    b.at(cold)
    chosen = b.select(negative, reflect(), result)
    leaving = b.here
    b.branch(after)
    b.at(after)
    phi = b.phi(x.type)
    phi.add(result, before)
    phi.add(chosen, leaving)
    return phi.value


def lgamma_of_positive(b: Function, a: Value) -> Value:
    """lgamma for a >= 0.

    With n = rint(a) and y = a - n: lgamma(a) = lgamma(2 + y) + log((a-1)(a-2)...(2+y)) for n > 2,
    and less log a or log a(a+1) for n = 1 or 0. Both vanish at 1 and 2 like a - 1 and a - 2, which
    are exact, so lgamma is precise next to its zeros.
    """
    one = like(a, 1.0)
    n = b.round_even(a)
    y = b.sub(a, n)
    product = one
    for j in range(1, 7):
        factor = b.select(b.less(like(a, j + 1.5), n), b.sub(a, like(a, float(j))), one)
        product = factor if product is one else b.mul(product, factor)
    low = b.select(b.less(n, like(a, 0.5)), fma(b, a, a, a), a)
    below = b.less(n, like(a, 1.5))
    large = b.greater_equal(a, like(a, LARGE))
    logarithm = log(b, b.select(large, a, b.select(below, low, product)))
    signed = b.select(below, b.neg(logarithm), logarithm)
    small_result = fma(b, y, polynomial(b, y, LGAMMA), signed)
    r = b.div(one, a)
    series = fma(b, r, horner(b, square(b, r), STIRLING), like(a, HALF_LOG_TWO_PI - 0.5))
    large_result = fma(b, b.sub(a, like(a, 0.5)), b.sub(logarithm, one), series)
    return b.select(large, large_result, small_result)


@in_double
def lgamma(b: Function, x: Value) -> Value:
    """log |Gamma(x)|; inf at the poles 0, -1, -2, ..."""
    a = b.abs(x)
    positive = lgamma_of_positive(b, a)

    def reflected() -> Value:
        # log |Gamma(-a)| = log(pi / (a |sin pi a|)) - lgamma(a).
        sine, cosine = half_turns(b, b.sub(a, b.round_even(a)))
        product = b.mul(b.abs(b.mul(b.add(sine, sine), cosine)), a)
        value = b.sub(b.sub(like(x, math.log(math.pi)), log(b, product)), positive)
        # At the poles, all large numbers and infinity among them, the product is 0 or NaN. Where
        # it would underflow, Gamma(-a) is -1/a.
        value = b.select(b.greater(product, like(x, 0.0)), value, like(x, INF))
        return b.select(b.less(a, like(x, 2.0**-60)), positive, value)

    return where_negative(b, x, positive, reflected)


def inverse_sum(b: Function, x: Value) -> Value:
    """1/x + 1/(x+1) + ... + 1/(x+7), as q'/q with q = x (x+1) ... (x+7).

    Of the pairs x (x+7), (x+1)(x+6), ... all are w + constant with w = x (x+7).
    """
    w = b.mul(x, b.add(x, like(x, 7.0)))
    first = b.mul(w, b.add(w, like(x, 6.0)))
    second = b.mul(b.add(w, like(x, 10.0)), b.add(w, like(x, 12.0)))
    first_slope = fma(b, w, like(x, 2.0), like(x, 6.0))
    second_slope = fma(b, w, like(x, 2.0), like(x, 22.0))
    slope = fma(b, first, second_slope, b.mul(first_slope, second))
    slope = b.mul(slope, fma(b, x, like(x, 2.0), like(x, 7.0)))
    return b.div(slope, b.mul(first, second))


def cotangent_of_turns(b: Function, x: Value) -> Value:
    """cot(pi x)."""
    sine, cosine = half_turns(b, b.sub(x, b.round_even(x)))
    double_sine = b.mul(b.add(sine, sine), cosine)
    return b.div(b.mul(b.sub(cosine, sine), b.add(cosine, sine)), double_sine)


@in_double
def digamma(b: Function, x: Value) -> Value:
    """The derivative of lgamma; -inf at 0, inf at -0, NaN at the other poles."""
    zero, one = like(x, 0.0), like(x, 1.0)
    a = b.select(b.less(x, zero), b.sub(one, x), x)
    small = b.less(a, like(x, LARGE))
    y = b.select(small, b.add(a, like(x, 8.0)), a)
    r = b.div(one, y)
    z = square(b, r)
    correction = fma(b, z, horner(b, z, DIGAMMA), b.mul(r, like(x, 0.5)))
    before = b.select(small, inverse_sum(b, a), zero)
    positive = b.sub(b.sub(log(b, y), correction), before)

    def reflected() -> Value:
        value = fma(b, cotangent_of_turns(b, x), like(x, -math.pi), positive)
        return b.select(b.equal(b.round_even(x), x), like(x, NAN), value)

    return where_negative(b, x, positive, reflected)

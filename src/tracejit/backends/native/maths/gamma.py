"""lgamma and digamma.

With n = rint(x) and y = x - n: for n <= 4 the recurrence leads to polynomials in y for arguments
2 + y, larger numbers have Stirling's series. Negative ones are reflected in a block that is entered
only when a lane needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.maths.core import (
    INF,
    NAN,
    fma,
    horner,
    in_double,
    like,
    polynomial,
    square,
    where,
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
# digamma(2 + y), |y| <= 1/2; error 2^-54.
PSI = (
    0.42278433509846713, 0.6449340668482267, -0.2020569031595996, 0.08232323371105744,
    -0.036927755142780475, 0.01734306199019021, -0.008349277407380349, 0.004077356013140786,
    -0.0020083922684597712, 0.0009945783371747056, -0.0004941955897137093, 0.0002460539698259099,
    -0.0001226605044373019, 6.144670680950202e-05, -3.083220198409438e-05, 1.4571868167696563e-05,
    -6.973222341344526e-06, 5.16686814141482e-06, -2.8575381635666157e-06,
)
# x (lgamma(x) - (x - 1/2) log x + x - log(2 pi) / 2) in 1/x^2, x >= 4.5; error 2^-57.
STIRLING = (
    0.08333333333333333, -0.0027777777777665625, 0.000793650787364365, -0.0005952367317485771,
    0.0008416012200950783, -0.0019081349156030414, 0.00605183876835127, -0.020988906979262603,
    0.048633504519702525,
)
# x^2 (log x - 1/(2 x) - digamma(x)) in 1/x^2, x >= 4.5; error 2^-60.
DIGAMMA = (
    0.08333333333333182, -0.00833333333202774, 0.0039682535833912074, -0.004166610913825783,
    0.007571142065196483, -0.020857153928589094, 0.07561294198885285, -0.277242431867791,
    0.6368328487901965,
)
HALF_LOG_TWO_PI = 0.9189385332046728


def where_negative(
    b: Function, x: Value, result: Value, reflect: Callable[[], Value],
) -> Value:
    """result, or reflect() in the lanes where x < 0; computed only if there is one."""
    return where(b, b.less(x, like(x, 0.0)), result, reflect)


@dataclass(frozen=True)
class Ladder:
    """How x comes to 2 + y with n = rint(x) <= 4 and y = x - n.

    Gamma(x) is Gamma(2 + y) times `product`, or divided by it where `below`; the logarithmic
    derivative of the product is slope / product. For n > 4, where `large`, product and slope are
    nothing.
    """

    y: Value
    below: Value
    large: Value
    product: Value
    slope: Value


def ladder(b: Function, x: Value) -> Ladder:
    """The product is x (x+1) for n = 0, x for 1, 1 for 2, x-1 for 3, (x-1)(x-2) for 4."""
    zero, one = like(x, 0.0), like(x, 1.0)
    n = b.round_even(x)
    below, large = b.less(n, like(x, 1.5)), b.greater(n, like(x, 4.5))
    none = b.equal(n, like(x, 2.0))
    two = b.or_(b.less(n, like(x, 0.5)), b.greater(n, like(x, 3.5)))
    up, down = b.add(x, one), b.sub(x, one)
    p = b.select(below, x, down)
    q = b.select(below, up, b.sub(x, like(x, 2.0)))
    product = b.select(none, one, b.select(two, b.mul(p, q), p))
    slope = b.select(none, zero, b.select(two, b.add(p, q), one))
    return Ladder(b.sub(x, n), below, large, product, slope)


def lgamma_of_positive(b: Function, a: Value) -> Value:
    """lgamma for a >= 0.

    lgamma(2 + y) and the logarithm vanish at 1 and 2 like a - 1 and a - 2, which are exact, so
    lgamma is precise next to its zeros.
    """
    one, step = like(a, 1.0), ladder(b, a)
    logarithm = log(b, b.select(step.large, a, step.product))
    signed = b.select(step.below, b.neg(logarithm), logarithm)
    small_result = fma(b, step.y, polynomial(b, step.y, LGAMMA), signed)
    r = b.div(one, a)
    series = fma(b, r, horner(b, square(b, r), STIRLING), like(a, HALF_LOG_TWO_PI - 0.5))
    large_result = fma(b, b.sub(a, like(a, 0.5)), b.sub(logarithm, one), series)
    return b.select(step.large, large_result, small_result)


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


def cotangent_of_turns(b: Function, x: Value) -> Value:
    """cot(pi x)."""
    sine, cosine = half_turns(b, b.sub(x, b.round_even(x)))
    double_sine = b.mul(b.add(sine, sine), cosine)
    return b.div(b.mul(b.sub(cosine, sine), b.add(cosine, sine)), double_sine)


def digamma_of_positive(b: Function, a: Value) -> Value:
    """digamma for a >= 0; -0 counts as coming from below."""
    one, step = like(a, 1.0), ladder(b, a)
    top = b.select(step.large, one, step.slope)
    quotient = b.div(top, b.select(step.large, a, step.product))
    signed = b.select(step.below, b.neg(quotient), quotient)
    small_result = b.add(polynomial(b, step.y, PSI), signed)
    z = square(b, quotient)
    correction = fma(b, z, horner(b, z, DIGAMMA), b.mul(quotient, like(a, 0.5)))
    return b.select(step.large, b.sub(log(b, a), correction), small_result)


@in_double
def digamma(b: Function, x: Value) -> Value:
    """The derivative of lgamma; -inf at 0, inf at -0, NaN at the other poles."""
    reflected_x = b.sub(like(x, 1.0), x)
    positive = digamma_of_positive(b, b.select(b.less(x, like(x, 0.0)), reflected_x, x))

    def reflected() -> Value:
        # digamma(x) = digamma(1 - x) - pi cot(pi x).
        value = fma(b, cotangent_of_turns(b, x), like(x, -math.pi), positive)
        return b.select(b.equal(b.round_even(x), x), like(x, NAN), value)

    return where_negative(b, x, positive, reflected)

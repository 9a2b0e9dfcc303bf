"""polygamma and the Hurwitz zeta function, by Euler and Maclaurin's summation.

    zeta(s, x) = sum_(k < N) (x + k)^-s
               + y^-s (y / (s - 1) + 1/2 + sum_j B_2j / (2j)! s (s+1) ... (s+2j-2) y^(1-2j))

with y = x + N and the Bernoulli numbers B_2j. All terms of the first sum are positive.
"""

from __future__ import annotations

import math

from tracejit.backends.native.emit import I64, Function, Value, constant
from tracejit.backends.native.maths.core import (
    INF,
    NAN,
    at_least,
    fma,
    horner,
    in_double,
    like,
    square,
)
from tracejit.backends.native.maths.gamma import cotangent_of_turns, where_negative
from tracejit.backends.native.maths.powers import integer_power, pow

# B_2j / (2j)! for j = 1, 2, ..., as whole numbers: a quotient of these is rounded once.
SERIES = tuple(
    (numerator, denominator * math.factorial(2 * j))
    for j, (numerator, denominator) in enumerate(
        [(1, 6), (-1, 30), (1, 42), (-1, 30), (5, 66), (-691, 2730), (7, 6), (-3617, 510),
         (43867, 798), (-174611, 330), (854513, 138), (-236364091, 2730)],
        start=1,
    )
)
LARGEST_ORDER = 100


def polygamma_of_positive(b: Function, n: int, x: Value) -> Value:
    """n! zeta(n + 1, x), the magnitude of the n-th derivative of digamma, for x > 0."""
    s, one, terms = n + 1, like(x, 1.0), 9 + n
    total = b.div(one, integer_power(b, x, s))
    for k in range(1, terms):
        total = b.add(total, b.div(one, integer_power(b, b.add(x, like(x, float(k))), s)))
    y = b.add(x, like(x, float(terms)))
    r = b.div(one, y)
    coefficients, rising = [1 / n], s
    for j, (numerator, denominator) in enumerate(SERIES[:9], start=1):
        coefficients.append(numerator * rising / denominator)
        rising *= (s + 2 * j - 1) * (s + 2 * j)
    series = horner(b, square(b, r), coefficients)
    tail = b.mul(integer_power(b, r, n), fma(b, r, like(x, 0.5), series))
    return b.mul(b.add(total, tail), like(x, float(math.factorial(n))))


def cotangent_derivative(n: int) -> list[int]:
    """p with d^n/dx^n cot x = p(cot x), lowest power first: p' becomes -(1 + c^2) p'."""
    p = [0, 1]
    for _ in range(n):
        slope = [k * c for k, c in enumerate(p)][1:]
        p = [-u - v for u, v in zip(slope + [0, 0], [0, 0] + slope, strict=True)]
    return p


def polygamma(b: Function, n: int, x: Value) -> Value:
    """The n-th derivative of digamma, n >= 1 known when compiling."""
    assert 1 <= n <= LARGEST_ORDER, n
    return in_double(_polygamma)(b, x, n=n)


def _polygamma(b: Function, x: Value, *, n: int) -> Value:
    """psi_n(x) = (-1)^n psi_n(1 - x) - pi d^n/dx^n cot(pi x) for x < 0."""
    zero = like(x, 0.0)
    a = b.select(b.less(x, zero), b.sub(like(x, 1.0), x), x)
    magnitude = polygamma_of_positive(b, n, a)
    positive = magnitude if n % 2 else b.neg(magnitude)

    def reflected() -> Value:
        slopes = [float(c) for c in cotangent_derivative(n)]
        turned = b.mul(
            horner(b, cotangent_of_turns(b, x), slopes), like(x, -(math.pi ** (n + 1)))
        )
        value = b.sub(turned, magnitude)
        return b.select(b.equal(b.round_even(x), x), like(x, INF if n % 2 else NAN), value)

    return where_negative(b, x, positive, reflected)


@in_double
def zeta(b: Function, s: Value, x: Value) -> Value:
    """The Hurwitz zeta function sum_k (x + k)^-s for s >= 1 and x >= 0, NaN elsewhere.

    A loop at run time, with one power in it.
    """
    terms, one, minus_s = 10, like(x, 1.0), b.neg(s)
    before, loop, after = b.here, b.block("zeta"), b.block("series")
    b.branch(loop)
    b.at(loop)
    index, total, shifted = b.phi(I64), b.phi(x.type), b.phi(x.type)
    for phi, start in ((index, constant(I64, 0)), (total, like(x, 0.0)), (shifted, x)):
        phi.add(start, before)
    following = b.add(index.value, constant(I64, 1))
    power = pow(b, shifted.value, minus_s)
    y = b.add(shifted.value, one)
    for phi, value in ((index, following), (total, b.add(total.value, power)), (shifted, y)):
        phi.add(value, b.here)
    more = b.less(following, constant(I64, terms + 1))
    b.branch_if(more, loop, after)
    b.at(after)
    # One power more than terms was computed: the last is y^-s, which counts one half.
    y, last = shifted.value, power
    r = b.div(one, y)
    z = square(b, r)
    term, series = b.mul(s, r), like(x, -0.5)
    for j, (numerator, denominator) in enumerate(SERIES, start=1):
        series = fma(b, term, like(x, numerator / denominator), series)
        if j < len(SERIES):
            factor = b.mul(b.add(s, like(x, 2.0 * j - 1)), b.add(s, like(x, 2.0 * j)))
            term = b.mul(term, b.mul(factor, z))
    series = b.add(series, b.div(y, b.sub(s, one)))
    result = fma(b, last, series, b.add(total.value, power))
    endless = b.equal(at_least(b, s, x), like(x, INF))
    result = b.select(endless, b.add(total.value, power), result)
    pole = b.or_(b.equal(s, one), b.equal(x, like(x, 0.0)))
    result = b.select(pole, like(x, INF), result)
    defined = b.and_(b.greater_equal(s, one), b.greater_equal(x, like(x, 0.0)))
    return b.select(defined, result, like(x, NAN))

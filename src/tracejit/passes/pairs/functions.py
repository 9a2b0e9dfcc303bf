"""Rules of exponentials, logarithms, and functions made of them.

log |z| near 1 is half of log1p(x x + y y - 1), the sum taken with twice the digits (products split
after Dekker, 1971): else all of them cancel. tanh after Kahan (1987).
"""

from __future__ import annotations

import math

from tracejit.ir.atoms import Atom, ones, zero
from tracejit.ops import elementwise as ops
from tracejit.passes.pairs.arithmetic import divide, has_infinity, scale_of, scales
from tracejit.passes.pairs.table import Pair, is_nought, limits, number, rule


def copysign(x: Atom, sign: Atom) -> Atom:
    """|x| with the sign of another number."""
    x = ops.abs(x)
    return ops.select(ops.sign_bit(sign), -x, x)


def by_null(product: Atom, factor: Atom) -> Atom:
    """A product of which a factor that is 0 makes a 0, whatever the other one is."""
    spoilt = ops.and_(ops.eq(factor, zero(factor.type)), ops.ne(product, product))
    return ops.select(spoilt, factor, product)


def angle(z: Pair) -> Atom:
    """The argument of z, from -pi to pi."""
    return ops.atan2(z.im, z.re)


# Exponentials


@rule(ops.exp)
def exp(z: Pair) -> Pair:
    """e^x (cos y + i sin y); e^x in two factors, of which the product may be finite where e^x is
    not."""
    x, y = z
    if is_nought(y):
        return Pair(ops.exp(x), y)
    if is_nought(x):
        return Pair(ops.cos(y), ops.sin(y))
    top = math.floor(math.log(float(limits(z).max)))
    large = ops.gt(x, number(top, z))
    first = ops.exp(ops.select(large, x - float(top), x))
    second = number(math.exp(top), z)
    nothing, inf = zero(z.type), number(math.inf, z)

    def part(of_angle: Atom, factor: Atom) -> Atom:
        value = first * factor
        value = ops.select(large, value * second, value)
        endless = ops.eq(ops.abs(x), inf)
        open_angle = ops.and_(endless, ops.not_(ops.is_finite(y)))
        limit = ops.select(ops.lt(x, nothing), nothing, of_angle)
        return ops.select(open_angle, limit, value)

    nan = number(math.nan, z)
    re, im = part(inf, ops.cos(y)), part(nan, ops.sin(y))
    return Pair(re, ops.select(ops.eq(y, nothing), y, im))


@rule(ops.exp2)
def _exp2(z: Pair) -> Pair:
    return exp(Pair(z.re * ops.LN2, z.im * ops.LN2))


@rule(ops.expm1)
def _expm1(z: Pair) -> Pair:
    """expm1(x) cos y - 2 sin(y / 2)^2 + i e^x sin y."""
    x, y = z
    half = ops.sin(y * 0.5)
    re = ops.expm1(x) * ops.cos(y) - 2.0 * (half * half)
    im = ops.exp(x) * ops.sin(y)
    real = ops.eq(y, zero(y.type))
    return Pair(ops.select(real, ops.expm1(x), re), ops.select(real, y, im))


@rule(ops.logistic)
def _logistic(z: Pair) -> Pair:
    """1 / (1 + e^-z), by e^z where Re z < 0."""
    x, y = z
    left = ops.lt(x, zero(x.type))
    re, im = exp(Pair(-ops.abs(x), ops.select(left, y, -y)))
    above = Pair(ops.select(left, re, ones(x.type)), ops.select(left, im, zero(x.type)))
    return divide(above, Pair(1.0 + re, im))


# Logarithms


def _exact_square(x: Atom) -> tuple[Atom, Atom]:
    """x x as a sum of two floats."""
    split = 2.0 ** ((limits(x).nmant + 2) // 2) + 1.0
    scaled = split * x
    high = scaled - (scaled - x)
    low = x - high
    square = x * x
    return square, ((high * high - square) + 2.0 * (high * low)) + low * low


def log_of_size(z: Pair, rest: Atom | None = None) -> Atom:
    """log |z|, to the last digits also where |z| is near 1; of x + rest + iy, if there is a rest,
    which is less than an ulp of x."""
    scale, large, small = scale_of(z)
    low, high = scales(z)
    u, v = z.re * scale, z.im * scale
    shift = ops.select(
        large, number(math.log(low), z), ops.select(small, number(math.log(high), z), zero(z.type))
    )
    far = 0.5 * ops.log(u * u + v * v) - shift
    x, y = ops.abs(z.re), ops.abs(z.im)
    most, least = ops.max(x, y), ops.min(x, y)
    near = ops.and_(ops.lt(most, number(1.5, z)), ops.gt(most, number(0.5, z)))
    most = ops.select(near, most, ones(z.type))
    least = ops.select(near, least, zero(z.type))
    (high_most, low_most), (high_least, low_least) = map(_exact_square, (most, least))
    less = high_most - 1.0
    tail = (low_most + low_least) + (high_most - (less + 1.0))  # what `less` has rounded off
    if rest is not None:
        tail = tail + 2.0 * (z.re * rest)
    close = 0.5 * ops.log1p((less + high_least) + tail)
    return ops.select(has_infinity(z), number(math.inf, z), ops.select(near, close, far))


@rule(ops.log)
def log(z: Pair) -> Pair:
    """log |z| + i arg z."""
    return Pair(log_of_size(z), angle(z))


@rule(ops.log2)
def _log2(z: Pair) -> Pair:
    return Pair(log_of_size(z) * (1 / ops.LN2), angle(z) * (1 / ops.LN2))


@rule(ops.log10)
def _log10(z: Pair) -> Pair:
    return Pair(log_of_size(z) * (1 / math.log(10.0)), angle(z) * (1 / math.log(10.0)))


@rule(ops.log1p)
def _log1p(z: Pair) -> Pair:
    """log(1 + z), what 1 + x rounds off not being lost."""
    x, y = z
    one = 1.0 + x
    rest = ops.select(ops.lt(ops.abs(x), ones(x.type)), x - (one - 1.0), zero(x.type))
    return Pair(log_of_size(Pair(one, y), rest), ops.atan2(y, one))


# Trigonometry


@rule(ops.sin)
def _sin(z: Pair) -> Pair:
    x, y = z
    return Pair(by_null(ops.sin(x) * ops.cosh(y), x), by_null(ops.cos(x) * ops.sinh(y), y))


@rule(ops.cos)
def _cos(z: Pair) -> Pair:
    x, y = z
    return Pair(ops.cos(x) * ops.cosh(y), -_signed(ops.sin(x) * ops.sinh(y), x, y))


def _signed(product: Atom, x: Atom, y: Atom) -> Atom:
    """A product of odd functions of x and y, 0 with the sign of xy where one of them is 0."""
    nothing = zero(x.type)
    null = ops.or_(ops.eq(x, nothing), ops.eq(y, nothing))
    spoilt = ops.and_(null, ops.ne(product, product))
    return ops.select(spoilt, copysign(nothing, x) * copysign(ones(y.type), y), product)


@rule(ops.sinh)
def _sinh(z: Pair) -> Pair:
    x, y = z
    return Pair(by_null(ops.sinh(x) * ops.cos(y), x), by_null(ops.cosh(x) * ops.sin(y), y))


@rule(ops.cosh)
def _cosh(z: Pair) -> Pair:
    x, y = z
    return Pair(ops.cosh(x) * ops.cos(y), _signed(ops.sinh(x) * ops.sin(y), x, y))


@rule(ops.tanh)
def tanh(z: Pair) -> Pair:
    """(sinh x cosh x + i sin y cos y) / (sinh^2 x + cos^2 y); +-1 far out."""
    x, y = z
    far = ops.gt(ops.abs(x), number(math.log(float(limits(z).max)) / 4, z))
    near_x = ops.select(far, zero(x.type), x)
    sine, cosine, sinh = ops.sin(y), ops.cos(y), ops.sinh(near_x)
    below = sinh * sinh + cosine * cosine
    re, im = sinh * ops.cosh(near_x) / below, sine * cosine / below
    decay = 4.0 * (sine * cosine) * ops.exp(-2.0 * ops.abs(x))
    finite = ops.is_finite(y)
    decay = ops.select(ops.or_(finite, ops.is_finite(x)), decay, zero(y.type))
    lost = ops.and_(ops.is_finite(x), ops.not_(finite))
    one = ops.select(lost, number(math.nan, z), copysign(ones(x.type), x))
    re = ops.select(ops.eq(x, zero(x.type)), x, ops.select(far, one, re))
    im = ops.select(ops.eq(y, zero(y.type)), y, ops.select(far, decay, im))
    return Pair(re, im)


@rule(ops.tan)
def _tan(z: Pair) -> Pair:
    """-i tanh(iz)."""
    re, im = tanh(Pair(-z.im, z.re))
    return Pair(im, -re)



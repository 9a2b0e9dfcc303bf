"""Rules of inverse functions, after Kahan, Branch cuts for complex elementary functions (1987).

The sign of a zero says on which side of a cut z lies, as in C: 1 - z is taken part by part, with
-y for the imaginary one.
"""

from __future__ import annotations

import math

from tracejit.ir.atoms import Atom, ones, zero
from tracejit.ops import elementwise as ops
from tracejit.passes.pairs.arithmetic import conj, directions, has_infinity, multiply
from tracejit.passes.pairs.functions import copysign
from tracejit.passes.pairs.powers import sqrt
from tracejit.passes.pairs.table import Pair, limits, number, rule


def _roots(z: Pair) -> tuple[Pair, Pair]:
    """sqrt(1 - z) and sqrt(1 + z)."""
    return sqrt(Pair(1.0 - z.re, -z.im)), sqrt(Pair(1.0 + z.re, z.im))


@rule(ops.asin)
def asin(z: Pair) -> Pair:
    """atan(x / Re(ab)) + i asinh(Im(a* b)), a and b being sqrt(1 - z) and sqrt(1 + z)."""
    a, b = _roots(z)
    re = ops.atan2(z.re, ops.abs(multiply(a, b).re))
    far = directions(z)
    im = copysign(ops.asinh(multiply(conj(a), b).im), z.im)
    return _or_far(z, Pair(re, im), ops.atan2(far.re, ops.abs(far.im)), z.im)


def _or_far(z: Pair, near: Pair, angle: Atom, sign: Atom) -> Pair:
    """The value near the origin; where a part of z is infinite an angle, and i times infinity."""
    endless = has_infinity(z)
    im = copysign(number(math.inf, z), sign)
    return Pair(ops.select(endless, angle, near.re), ops.select(endless, im, near.im))


@rule(ops.acos)
def acos(z: Pair) -> Pair:
    """2 atan(Re a / Re b) + i asinh(Im(b* a))."""
    a, b = _roots(z)
    im = copysign(ops.asinh(multiply(conj(b), a).im), -z.im)
    far = directions(z)
    near = Pair(2.0 * ops.atan2(a.re, b.re), im)
    return _or_far(z, near, ops.atan2(ops.abs(far.im), far.re), -z.im)


@rule(ops.acosh)
def _acosh(z: Pair) -> Pair:
    """asinh(Re(a* b)) + 2i atan(Im a / Re b), a and b being sqrt(z - 1) and sqrt(z + 1)."""
    a, b = sqrt(Pair(z.re - 1.0, z.im)), sqrt(Pair(z.re + 1.0, z.im))
    re = ops.abs(ops.asinh(multiply(conj(a), b).re))
    endless, far = has_infinity(z), directions(z)
    return Pair(
        ops.select(endless, number(math.inf, z), re),
        ops.select(endless, ops.atan2(far.im, far.re), 2.0 * ops.atan2(a.im, b.re)),
    )


@rule(ops.asinh)
def _asinh(z: Pair) -> Pair:
    """i asin(-iz)."""
    re, im = asin(Pair(z.im, -z.re))
    return Pair(-im, re)


@rule(ops.atanh)
def atanh(z: Pair) -> Pair:
    """log1p(4x / ((1 - x)^2 + y^2)) / 4 + i atan2(2y, (1 - x)(1 + x) - y^2) / 2, odd in x; far out
    x / |z|^2 and half a turn."""
    x, y = ops.abs(z.re), z.im
    top = number(math.sqrt(float(limits(z).max)) / 4, z)
    far = ops.or_(ops.gt(x, top), ops.gt(ops.abs(y), top))
    near = Pair(ops.select(far, zero(x.type), x), ops.select(far, zero(y.type), y))
    u, v = near
    less = 1.0 - u
    re = 0.25 * ops.log1p(4.0 * u / (less * less + v * v))
    pole = ops.and_(ops.eq(less, zero(u.type)), ops.lt(ops.abs(v), number(1e-10, z)))
    re = ops.select(pole, 0.5 * ops.log(2.0 / ops.select(pole, ops.abs(v), ones(v.type))), re)
    im = 0.5 * ops.atan2(2.0 * v, less * (1.0 + u) - v * v)
    re = ops.select(far, _over_square(x, y), re)
    half = ops.select(ops.ne(y, y), y, number(math.pi / 2, z))
    im = ops.select(far, half, ops.abs(im))
    return Pair(copysign(re, z.re), copysign(im, y))


def _over_square(x: Atom, y: Atom) -> Atom:
    """x / (x^2 + y^2), for large numbers; 0 for infinite ones."""
    y = ops.abs(y)
    wide = ops.gt(x, y)
    large, small = ops.select(wide, x, y), ops.select(wide, y, x)
    ratio = small / large
    value = ops.select(wide, ones(x.type), ratio) / (large * (1.0 + ratio * ratio))
    endless = ops.eq(large, number(math.inf, x))
    return ops.select(endless, zero(x.type), value)


@rule(ops.atan)
def _atan(z: Pair) -> Pair:
    """-i atanh(iz)."""
    re, im = atanh(Pair(-z.im, z.re))
    return Pair(im, -re)

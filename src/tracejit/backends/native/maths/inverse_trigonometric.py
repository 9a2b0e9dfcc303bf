"""asin, acos, atan, atan2."""

from __future__ import annotations

import math

from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.maths.core import (
    at_least,
    fast_two_sum,
    flip_sign,
    fma,
    integer,
    like,
    polynomial,
    sign_bits,
    square,
)

# pi as hi + lo in either type; halves and quarters of it are exact multiples.
PI = {
    "double": (3.141592653589793, 1.2246467991473532e-16),
    "float": (3.1415927410125732, -8.742277657347586e-08),
}
# (asin s - s) / s^3 in s^2, |s| <= 1/2; error 2^-55 and 2^-27 of s.
ASIN = {
    "double": (
        0.16666666666665653, 0.07500000000309176, 0.044642856837638065, 0.03038195909826195,
        0.022371753557598215, 0.01735982900851973, 0.013883603999164069, 0.012181932069760476,
        0.006466113333486442, 0.01971289331640543, -0.016534328330991836, 0.03213695874706387,
    ),
    "float": (
        0.16666750609874725, 0.07495399564504623, 0.0454552099108696, 0.024257827550172806,
        0.042037997394800186,
    ),
}
# (atan t - t) / t^3 in t^2, |t| <= tan(pi / 8); error 2^-58 and 2^-30 of t.
ATAN = {
    "double": (
        -0.3333333333333323, 0.19999999999959941, -0.1428571428063554, 0.11111110798892648,
        -0.09090898068024299, 0.07692063916988369, -0.06663129427522728, 0.058479715970923524,
        -0.05039275280168722, 0.038054799236319936, -0.01788763229982613,
    ),
    "float": (
        -0.33333316445350647, 0.19998544454574585, -0.14244802296161652, 0.10601972788572311,
        -0.060954343527555466,
    ),
}
TAN_PI_8 = math.sqrt(2.0) - 1.0
# atan2: magnitudes beyond these exponents, and the exponents of the factors that bring them back.
EXTREMES = {"double": ((1000, -200), (-900, 200)), "float": ((120, -30), (-100, 40))}


def arc(b: Function, x: Value) -> tuple[Value, Value, Value]:
    """Is |x| > 1/2, and asin |x| where it is not, else asin sqrt((1 - |x|) / 2), as a pair."""
    a = b.abs(x)
    half = like(x, 0.5)
    big = b.greater(a, half)
    z = b.select(big, fma(b, a, like(x, -0.5), half), square(b, a))
    s = b.select(big, b.sqrt(z), a)
    return big, s, b.mul(b.mul(s, z), polynomial(b, z, ASIN[x.type.lane]))


def asin(b: Function, x: Value) -> Value:
    """asin |x| = pi/2 - 2 asin sqrt((1 - |x|) / 2) above 1/2."""
    hi, lo = PI[x.type.lane]
    big, angle, rest = arc(b, x)
    doubled, two = b.add(angle, angle), like(x, 2.0)
    far, far_low = fast_two_sum(b, like(x, hi / 2), b.neg(doubled))
    far = b.add(far, b.sub(b.add(far_low, like(x, lo / 2)), b.mul(rest, two)))
    return b.copysign(b.select(big, far, b.add(angle, rest)), x)


def acos(b: Function, x: Value) -> Value:
    """pi/2 - asin x, or 2 asin sqrt((1 - x) / 2) near 1, or pi less that near -1."""
    hi, lo = PI[x.type.lane]
    zero, signs = like(x, 0.0), sign_bits(b, x)
    big, *parts = arc(b, x)
    angle = b.add(*parts)
    angle = b.select(big, b.add(angle, angle), angle)
    # Added to the base: angle where |x| is near 1 and x > 0, or is not and x < 0; else -angle.
    small_flip = b.xor(signs, sign_bits(b, like(x, -0.0)))
    angle = flip_sign(b, angle, b.select(big, signs, small_flip))
    negative = b.less(x, zero)

    def base(part: float) -> Value:
        far = b.select(negative, like(x, part), zero)
        return b.select(big, far, like(x, part / 2))

    return b.add(base(hi), b.add(angle, base(lo)))


def arc_tangent(b: Function, t: Value, base: Value, base_low: Value) -> Value:
    """base + atan t for |t| <= tan(pi/8)."""
    z = square(b, t)
    rest = fma(b, b.mul(t, z), polynomial(b, z, ATAN[t.type.lane]), base_low)
    return b.add(base, b.add(t, rest))


def angle_of(b: Function, y: Value, x: Value, low: Value, high: Value, lane: str) -> Value:
    """atan(y / x) for x, y >= 0, with one division.

    low where y / x < tan(pi/8): as it is; high where it is above tan(3 pi/8): pi/2 + atan(-x / y);
    else pi/4 + atan((y - x) / (y + x)).
    """
    hi, lo = PI[lane]
    top = b.select(low, y, b.select(high, b.neg(x), b.sub(y, x)))
    bottom = b.select(low, x, b.select(high, y, b.add(y, x)))
    t = b.select(b.equal(x, y), like(x, 0.0), b.div(top, bottom))

    def base(part: float) -> Value:
        upper = b.select(high, like(x, part / 2), like(x, part / 4))
        return b.select(low, like(x, 0.0), upper)

    return arc_tangent(b, t, base(hi), base(lo))


def atan(b: Function, x: Value) -> Value:
    """The arc tangent."""
    a, one = b.abs(x), like(x, 1.0)
    low, high = b.less(a, like(x, TAN_PI_8)), b.greater(a, like(x, 1 / TAN_PI_8))
    return b.copysign(angle_of(b, a, one, low, high, x.type.lane), x)


def atan2(b: Function, y: Value, x: Value) -> Value:
    """The angle of the point (x, y), in [-pi, pi], with C99's meaning of zeros and infinities."""
    across, up = b.abs(x), b.abs(y)
    size = at_least(b, across, up)
    factor = like(x, 1.0)
    for (limit, power), beyond in zip(EXTREMES[x.type.lane], (b.greater, b.less), strict=True):
        extreme = beyond(size, like(x, 2.0**limit))
        factor = b.select(extreme, like(x, 2.0**power), factor)
    across, up = b.mul(across, factor), b.mul(up, factor)
    low = b.or_(b.less(up, b.mul(across, like(x, TAN_PI_8))), b.equal(up, like(x, 0.0)))
    high = b.greater(up, b.mul(across, like(x, 1 / TAN_PI_8)))
    angle = angle_of(b, up, across, low, high, x.type.lane)
    hi, lo = PI[x.type.lane]
    reflected = b.sub(like(x, hi), b.sub(angle, like(x, lo)))
    left = b.less(b.bits_of(x), integer(x, 0))
    return b.copysign(b.select(left, reflected, angle), y)

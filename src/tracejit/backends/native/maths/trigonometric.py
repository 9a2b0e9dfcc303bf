"""sin, cos, sincos, tan.

x = n pi/2 + r with |r| <= pi/4, r as a pair so that it is good next to multiples of pi/2 too; then
polynomials for sin r and cos r, and the quadrant n mod 4 chooses and signs. Where any lane is too
large for that, a cold block reduces by `huge_angles` instead.
"""

from __future__ import annotations

from tracejit.backends.native.emit import I64, VOID, Function, Value, constant, vector_type
from tracejit.backends.native.maths import huge_angles
from tracejit.backends.native.maths.core import (
    any_lane,
    divide_pairs,
    exact_fma,
    fast_two_sum,
    flip_sign,
    fma,
    horner,
    integer,
    is_single,
    like,
    square,
    two_product,
)
from tracejit.backends.native.maths.exponential import round_biased

TWO_OVER_PI = 0.6366197723675814
# pi/2 in parts. n times the first is subtracted without error (see LN2 in exponential); the middle
# ones are so short that n times them is exact for the n allowed, and that what is left of x after
# them is either exact or large enough for its rounding error to be found.
HALF_PI = {
    "double": (1.5707963267948966, 6.12323399538461e-17, 3.5215598651832e-27),
    "float": (
        1.570796251296997, 7.543712854385376e-08, 6.070877134334296e-11, 6.223371969669989e-14,
    ),
}
# Up to here r is good to 2^-55 (2^-26) of itself for every number of the type.
LARGEST = {"double": 2.0**20, "float": 2.0**15}
# (sin r - r) / r^3 and (cos r - 1 + r^2/2) / r^4 in r^2, |r| <= pi/4; errors 2^-58 and 2^-63 of the
# value for double, 2^-28 and 2^-33 for float.
SIN = {
    "double": (
        -0.16666666666666632, 0.00833333333332246, -0.00019841269829816855,
        2.755731368806489e-06, -2.5050756662081727e-08, 1.589667143963351e-10,
    ),
    "float": (-0.16666655242443085, 0.008332190103828907, -0.00019518446060828865),
}
COS = {
    "double": (
        0.041666666666666616, -0.0013888888888876473, 2.4801587290745527e-05,
        -2.7557314673786067e-07, 2.0875762397639145e-09, -1.1361484179877052e-11,
    ),
    "float": (0.04166664555668831, -0.0013887298991903663, 2.4430135454167612e-05),
}

Pair = tuple[Value, Value]
Reduced = tuple[Value, Value, Value]


def reduce(b: Function, x: Value) -> Reduced:
    """Bits that end in the quadrant, and r as a pair."""
    common = reduce_common(b, x)
    huge = b.greater(b.abs(x), like(x, LARGEST[x.type.lane]))
    before, cold, after = b.here, b.block("huge"), b.block("angles")
    b.branch_if(any_lane(b, huge), cold, after)
    b.at(cold)
    exact = reduce_huge(b, x)
    chosen = [b.select(huge, e, c) for e, c in zip(exact, common, strict=True)]
    leaving = b.here
    b.branch(after)
    b.at(after)
    merged = []
    for fast, slow in zip(common, chosen, strict=True):
        phi = b.phi(fast.type)
        phi.add(fast, before)
        phi.add(slow, leaving)
        merged.append(phi.value)
    quadrant, r, r_low = merged
    return quadrant, r, r_low


def reduce_common(b: Function, x: Value) -> Reduced:
    """The same for |x| up to LARGEST, without a branch."""
    first, second, *others = (like(x, -part) for part in HALF_PI[x.type.lane])
    n, bits = round_biased(b, x, TWO_OVER_PI, 0)
    rough = exact_fma(b, n, first, x)
    r = exact_fma(b, n, second, rough)
    r_low = exact_fma(b, n, second, b.sub(rough, r))
    for part in others[:-1]:
        before, r = r, exact_fma(b, n, part, r)
        r_low = b.add(r_low, exact_fma(b, n, part, b.sub(before, r)))
    return bits, r, fma(b, n, others[-1], r_low)


def reduce_huge(b: Function, x: Value) -> Reduced:
    """The same for any finite x, lane by lane through memory."""
    huge_angles.define(b.module)
    lanes = x.type.lanes
    doubles = vector_type("double", lanes)
    buffer = b.alloca(doubles, 4)
    b.store(b.fpext(x, doubles), buffer)
    b.call(huge_angles.NAME, VOID, [buffer, constant(I64, lanes)])
    rows = [b.offset(buffer, row * lanes, doubles) for row in (1, 2, 3)]
    quadrant = b.load(doubles.integer, rows[0])
    high, low = fast_two_sum(b, b.load(doubles, rows[1]), b.load(doubles, rows[2]))
    if is_single(x):
        r = b.fptrunc(high, x.type)
        low = b.fptrunc(b.sub(high, b.fpext(r, doubles)), x.type)
        return b.truncate(quadrant, x.type.integer), r, low
    return quadrant, high, low


def sin_near_zero(b: Function, r: Value, r_low: Value, z: Value) -> Pair:
    """sin(r + r_low) as r and a rest; z = r^2."""
    return r, fma(b, b.mul(r, z), horner(b, z, SIN[r.type.lane]), r_low)


def cos_near_zero(b: Function, r: Value, r_low: Value, z: Value) -> Pair:
    """cos(r + r_low) as h = 1 - z/2, rounded, and (1 - h - z/2) + z^2 C(z) - r r_low."""
    one, minus_half = like(r, 1.0), like(r, -0.5)
    high = fma(b, z, minus_half, one)
    low = fma(b, z, minus_half, b.sub(one, high))
    low = fma(b, b.neg(r), r_low, low)
    return high, fma(b, square(b, z), horner(b, z, COS[r.type.lane]), low)


def quarter(b: Function, x: Value) -> tuple[Value, Value, Pair, Pair]:
    """Quadrant bits, r, and sin r and cos r as pairs."""
    quadrant, r, r_low = reduce(b, x)
    z = square(b, r)
    return quadrant, r, sin_near_zero(b, r, r_low, z), cos_near_zero(b, r, r_low, z)


def rounded_quarter(b: Function, x: Value) -> tuple[Value, Value, Value]:
    """Quadrant bits, sin r (with the sign of r, also that of zero) and cos r."""
    quadrant, r, s, c = quarter(b, x)
    return quadrant, b.copysign(b.add(*s), r), b.add(*c)


def half_turns(b: Function, f: Value) -> tuple[Value, Value]:
    """sin and cos of pi f / 2 for |f| <= 1/2, for the reflection formulas."""
    high, low, *_ = HALF_PI[f.type.lane]
    r, r_low = two_product(b, f, like(f, high))
    r_low = fma(b, f, like(f, low), r_low)
    z = square(b, r)
    return b.add(*sin_near_zero(b, r, r_low, z)), b.add(*cos_near_zero(b, r, r_low, z))


def is_odd(b: Function, quadrant: Value) -> Value:
    """Does the quadrant swap sine and cosine?"""
    one = constant(quadrant.type, 1)
    return b.equal(b.and_(quadrant, one), one)


def sign_of(b: Function, x: Value, quadrant: Value, bit: int) -> Value:
    """Bit number `bit` of the quadrant moved to the sign."""
    top = x.type.bits - 1
    moved = b.shl(quadrant, integer(x, top - bit))
    return b.and_(moved, integer(x, 1 << top)) if bit else moved


def sincos(b: Function, x: Value) -> tuple[Value, Value]:
    """sin x and cos x, sharing the reduction."""
    quadrant, s, c = rounded_quarter(b, x)
    odd = is_odd(b, quadrant)
    following = b.add(quadrant, constant(quadrant.type, 1))
    sine = flip_sign(b, b.select(odd, c, s), sign_of(b, x, quadrant, 1))
    return sine, flip_sign(b, b.select(odd, s, c), sign_of(b, x, following, 1))


def sin(b: Function, x: Value) -> Value:
    """The sine, of any finite argument."""
    quadrant, s, c = rounded_quarter(b, x)
    chosen = b.select(is_odd(b, quadrant), c, s)
    return flip_sign(b, chosen, sign_of(b, x, quadrant, 1))


def cos(b: Function, x: Value) -> Value:
    """The cosine, of any finite argument."""
    quadrant, s, c = rounded_quarter(b, x)
    chosen = b.select(is_odd(b, quadrant), s, c)
    following = b.add(quadrant, constant(quadrant.type, 1))
    return flip_sign(b, chosen, sign_of(b, x, following, 1))


def tan(b: Function, x: Value) -> Value:
    """sin r / cos r, or -cos r / sin r in the odd quadrants."""
    quadrant, r, s, c = quarter(b, x)
    odd = is_odd(b, quadrant)
    s, c = fast_two_sum(b, *s), fast_two_sum(b, *c)
    top = [b.select(odd, y, x) for x, y in zip(s, c, strict=True)]
    bottom = [b.select(odd, x, y) for x, y in zip(s, c, strict=True)]
    quotient = b.copysign(divide_pairs(b, top, bottom), r)
    return flip_sign(b, quotient, sign_of(b, x, quadrant, 0))

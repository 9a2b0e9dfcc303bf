"""Rules of roots and powers."""

from __future__ import annotations

from tracejit.ir.atoms import ones, zero
from tracejit.ops import elementwise as ops
from tracejit.passes.pairs.arithmetic import chosen, divide, multiply, scale_of, scales, size
from tracejit.passes.pairs.functions import angle, copysign, log_of_size
from tracejit.passes.pairs.table import Pair, is_nought, number, of_real, rule


@rule(ops.sqrt)
def sqrt(z: Pair) -> Pair:
    """The root with Re >= 0, continuous from above along the negative axis where y is +0."""
    x, y = z
    scale, large, small = scale_of(z)
    low, high = scales(z)
    u, v = x * scale, y * scale
    half = ops.sqrt((ops.abs(u) + ops.sqrt(u * u + v * v)) * 0.5)
    t = half * chosen(large, small, low**-0.5, high**-0.5, z)
    null = ops.eq(t, zero(t.type))
    other = ops.abs(y) / ops.select(null, ones(t.type), t + t)
    right = ops.sign_bit(x)
    re, im = ops.select(right, other, t), ops.select(right, t, other)
    inf = number(float("inf"), z)
    tall = ops.eq(ops.abs(y), inf)
    flat = ops.and_(ops.not_(tall), ops.eq(ops.abs(x), inf))
    # y / inf is 0 (NaN for a y that is NaN)
    quotient = ops.abs(y) / inf
    re = ops.select(tall, inf, ops.select(flat, ops.select(right, quotient, inf), re))
    im = ops.select(tall, inf, ops.select(flat, ops.select(right, inf, quotient), im))
    return Pair(re, copysign(im, y))


@rule(ops.rsqrt)
def _rsqrt(z: Pair) -> Pair:
    return divide(of_real(ones(z.type)), sqrt(z))


@rule(ops.integer_pow)
def _integer_pow(z: Pair, *, n: int) -> Pair:
    """By repeated squaring."""
    result, rest, power = of_real(ones(z.type)), abs(n), z
    first = True
    while rest:
        if rest & 1:
            result, first = power if first else multiply(result, power), False
        rest >>= 1
        power = multiply(power, power) if rest else power
    return result if n >= 0 else divide(of_real(ones(z.type)), result)


@rule(ops.pow)
def _pow(z: Pair, w: Pair) -> Pair:
    """|z|^u e^(-v arg z) at the angle v log |z| + u arg z, for w = u + iv; 1 where w is 0, and 0 to
    the power of what has u > 0 is 0."""
    u, v = w
    turn, length = angle(z), size(z)
    factor, phase = ops.pow(length, u), u * turn
    if not is_nought(v):
        factor = factor * ops.exp(-(v * turn))
        phase = v * log_of_size(z) + phase
    re, im = factor * ops.cos(phase), factor * ops.sin(phase)
    nothing, one, nan = zero(z.type), ones(z.type), number(float("nan"), z)
    null = ops.eq(length, nothing)
    at_null = ops.select(ops.gt(u, nothing), nothing, nan)
    trivial = ops.and_(ops.eq(u, nothing), ops.eq(v, nothing))
    return Pair(
        ops.select(trivial, one, ops.select(null, at_null, re)),
        ops.select(trivial, nothing, ops.select(null, at_null, im)),
    )



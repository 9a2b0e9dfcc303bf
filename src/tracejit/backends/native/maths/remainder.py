"""fmod: x - trunc(x / y) y exactly, with the sign of x."""

from __future__ import annotations

from tracejit.backends.native.emit import (
    F64,
    I64,
    PTR,
    VOID,
    Function,
    Module,
    Value,
    constant,
    vector_type,
)
from tracejit.backends.native.maths.core import (
    INF,
    any_lane,
    exact_fma,
    in_double,
    like,
)

NAME = "maths.remainders"
# Bits of quotient found by one step of the long division: a remainder below 2^53 shifted by 11 is
# an unsigned 64-bit number.
STEP = 11


@in_double
def fmod(b: Function, x: Value, y: Value) -> Value:
    """The remainder of the truncated division, as C's fmod and NumPy's.

    With a quotient below 2^52 the truncated one is at most one too large, and x - q y is a number
    of the type: one fma is exact (without the instruction, for quotients below 2^26). Larger
    quotients are divided out bit by bit in a cold function.
    """
    a, d = b.abs(x), b.abs(y)
    quotient = b.trunc_to_integer(b.div(a, d))
    rest = exact_fma(b, b.neg(quotient), d, a)
    rest = b.select(b.less(rest, like(x, 0.0)), b.add(rest, d), rest)
    rest = b.select(b.less(a, d), a, rest)
    finite = b.and_(b.less(a, like(x, INF)), b.greater(d, like(x, 0.0)))
    limit = like(x, 2.0**52 if b.module.has_fma else 2.0**26)
    long = b.and_(finite, b.greater_equal(quotient, limit))
    before, cold, after = b.here, b.block("divide"), b.block("remainder")
    b.branch_if(any_lane(b, long), cold, after)
    b.at(cold)
    one = like(x, 1.0)  # in the lanes that need no division: their divisor may be 0
    exact = long_division(b, b.select(long, a, one), b.select(long, d, one))
    exact = b.select(long, exact, rest)
    leaving = b.here
    b.branch(after)
    b.at(after)
    phi = b.phi(x.type)
    phi.add(rest, before)
    phi.add(exact, leaving)
    return b.copysign(phi.value, x)


def long_division(b: Function, a: Value, d: Value) -> Value:
    """The remainders lane by lane, through memory."""
    define(b.module)
    lanes = a.type.lanes
    doubles = vector_type("double", lanes)
    buffer = b.alloca(doubles, 2)
    b.store(a, buffer)
    b.store(d, b.offset(buffer, lanes, doubles))
    b.call(NAME, VOID, [buffer, constant(I64, lanes)])
    return b.load(doubles, buffer)


def define(module: Module) -> None:
    """Add `void maths.remainders(double* x, i64 lanes)`, once a module.

    The buffer holds positive finite dividends, which become remainders, and behind them divisors.
    """
    if module.has(NAME):
        return
    b = module.function(
        NAME, VOID, [PTR, I64], attributes="cold noinline nounwind"
    )
    buffer, lanes = b.args
    entry, loop, done = b.here, b.block("lane"), b.block("done")
    b.branch(loop)
    b.at(loop)
    lane = b.phi(I64)
    lane.add(constant(I64, 0), entry)
    at = b.offset(buffer, lane.value, F64)
    b.store(remainder_of_one(b, b.load(F64, at), b.load(F64, b.offset(at, lanes, F64))), at)
    following = b.add(lane.value, constant(I64, 1))
    lane.add(following, b.here)
    b.branch_if(b.less(following, lanes), loop, done)
    b.at(done)
    b.ret()


def significand(b: Function, x: Value) -> tuple[Value, Value]:
    """Integers m and e with x = m 2^(e - 1075), e >= 1, of a positive double."""
    bits = b.bits_of(x)
    field = b.lshr(bits, constant(I64, 52))
    normal = b.greater(field, constant(I64, 0))
    fraction = b.and_(bits, constant(I64, 2**52 - 1))
    m = b.select(normal, b.or_(fraction, constant(I64, 2**52)), fraction)
    return m, b.select(normal, field, constant(I64, 1))


def remainder_of_one(b: Function, x: Value, y: Value) -> Value:
    """The remainder of positive finite doubles by long division of the significands."""
    m, exponent = significand(b, x)
    divisor, scale = significand(b, y)
    before, loop, done = b.here, b.block("digits"), b.block("found")
    start = b.urem(m, divisor)
    difference = b.sub(exponent, scale)
    zero, step = constant(I64, 0), constant(I64, STEP)
    b.branch_if(b.greater(difference, zero), loop, done)
    b.at(loop)
    rest, left = b.phi(I64), b.phi(I64)
    rest.add(start, before)
    left.add(difference, before)
    count = b.select(b.less(left.value, step), left.value, step)
    following = b.urem(b.shl(rest.value, count), divisor)
    remaining = b.sub(left.value, count)
    rest.add(following, loop)
    left.add(remaining, loop)
    b.branch_if(b.greater(remaining, zero), loop, done)
    b.at(done)
    final = b.phi(I64)
    final.add(start, before)
    final.add(following, loop)
    # m 2^-52 is normal, and so is 2^(e - 1023): the product is exact, subnormal or not.
    fraction = b.mul(b.sitofp(final.value, F64), constant(F64, 2.0**-52))
    return b.mul(fraction, b.bitcast(b.shl(scale, constant(I64, 52)), F64))

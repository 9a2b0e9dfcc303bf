"""What every function here is made of: formats, polynomials, exact sums and products.

A `Format` holds the numbers of an IEEE type that the algorithms need, so that one text serves
float and double, scalar and vector. Pairs (hi, lo) of values stand for their unevaluated sum.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import wraps

from tracejit.backends.native.emit import I32, Function, Value, constant, vector_type

INF, NAN = math.inf, math.nan


@dataclass(frozen=True)
class Format:
    """An IEEE binary format: fraction bits, exponent bias, and limits derived from them."""

    fraction: int
    bias: int

    @property
    def shifter(self) -> float:
        """1.5 * 2^fraction: adding it leaves the nearest integer in the low bits."""
        return 1.5 * 2.0**self.fraction

    @property
    def smallest_normal(self) -> float:
        return 2.0 ** (1 - self.bias)

    @property
    def one(self) -> int:
        """The bits of 1.0."""
        return self.bias << self.fraction

    @property
    def fraction_mask(self) -> int:
        return (1 << self.fraction) - 1


FORMATS = {"double": Format(52, 1023), "float": Format(23, 127)}


def format_of(x: Value) -> Format:
    """The format of the lanes of x."""
    return FORMATS[x.type.lane]


def is_single(x: Value) -> bool:
    """Is x float rather than double?"""
    return x.type.lane == "float"


def like(x: Value, number: float | int | bool) -> Value:
    """The constant in every lane of the type of x."""
    return constant(x.type, number)


def fma(b: Function, x: Value, y: Value, z: Value) -> Value:
    """x * y + z, rounded once where the target can, else twice."""
    return b.fma(x, y, z) if b.module.has_fma else b.add(b.mul(x, y), z)


def exact_fma(b: Function, x: Value, y: Value, z: Value) -> Value:
    """x * y + z for the places that need the low half of the product, on every target.

    Without the instruction: in double for float; for double by Dekker's product of 26-bit halves
    and an exact sum, which is NaN for infinite x and y.
    """
    if b.module.has_fma:
        return b.fma(x, y, z)
    if is_single(x):
        doubles = vector_type("double", x.type.lanes)
        x_wide, y_wide, z_wide = (b.fpext(v, doubles) for v in (x, y, z))
        return b.fptrunc(b.add(b.mul(x_wide, y_wide), z_wide), x.type)
    product, low = split_product(b, x, y)
    total, rest = two_sum(b, product, z)
    return b.add(total, b.add(rest, low))


def split_product(b: Function, x: Value, y: Value) -> tuple[Value, Value]:
    """x * y of doubles as a pair, without fma."""

    def halves(v: Value) -> tuple[Value, Value]:
        high = b.bitcast(b.and_(b.bits_of(v), integer(v, -(1 << 27))), v.type)
        return high, b.sub(v, high)

    (x_high, x_low), (y_high, y_low) = halves(x), halves(y)
    product = b.mul(x, y)
    error = b.sub(b.mul(x_high, y_high), product)
    error = b.add(error, b.mul(x_high, y_low))
    error = b.add(error, b.mul(x_low, y_high))
    return product, b.add(error, b.mul(x_low, y_low))


def square(b: Function, x: Value) -> Value:
    """x * x."""
    return b.mul(x, x)


def horner(b: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """c[0] + c[1] x + ... with one fma a term."""
    total = like(x, coefficients[-1])
    for coefficient in reversed(coefficients[:-1]):
        total = fma(b, total, x, like(x, coefficient))
    return total


def polynomial(b: Function, x: Value, coefficients: Sequence[float]) -> Value:
    """The same sum by Estrin's scheme: pairs, pairs of pairs, with the powers x, x^2, x^4, ...

    A few instructions more than `horner`, and a logarithm of its latency, which is what counts:
    the machine looks ahead for no more than a few calls.
    """
    terms: list[Value | float] = list(coefficients)
    while len(terms) > 1:
        paired: list[Value | float] = []
        for low, high in zip(terms[::2], terms[1::2], strict=False):
            paired.append(fma(b, _value(x, high), x, _value(x, low)))
        if len(terms) % 2:
            paired.append(terms[-1])
        terms = paired
        if len(terms) > 1:
            x = square(b, x)
    return _value(x, terms[0])


def _value(x: Value, term: Value | float) -> Value:
    return term if isinstance(term, Value) else like(x, term)


def at_most(b: Function, x: Value, limit: Value | float) -> Value:
    """min(x, limit), NaN where x is NaN: one instruction on x86."""
    limit = limit if isinstance(limit, Value) else like(x, limit)
    return b.select(b.less(limit, x), limit, x)


def at_least(b: Function, x: Value, limit: Value | float) -> Value:
    """max(x, limit), NaN where x is NaN."""
    limit = limit if isinstance(limit, Value) else like(x, limit)
    return b.select(b.greater(limit, x), limit, x)


def fast_two_sum(b: Function, x: Value, y: Value) -> tuple[Value, Value]:
    """x + y exactly as a pair, for |x| >= |y| or x = 0."""
    total = b.add(x, y)
    return total, b.sub(y, b.sub(total, x))


def two_sum(b: Function, x: Value, y: Value) -> tuple[Value, Value]:
    """x + y exactly as a pair, in any order (Knuth)."""
    total = b.add(x, y)
    back = b.sub(total, x)
    return total, b.add(b.sub(x, b.sub(total, back)), b.sub(y, back))


def two_product(b: Function, x: Value, y: Value) -> tuple[Value, Value]:
    """x * y exactly as a pair."""
    product = b.mul(x, y)
    return product, exact_fma(b, x, y, b.neg(product))


def divide_pairs(b: Function, x: Sequence[Value], y: Sequence[Value]) -> Value:
    """x / y of pairs, rounded: one division, and one step of correction with its reciprocal."""
    reciprocal = b.div(like(y[0], 1.0), y[0])
    quotient = b.mul(x[0], reciprocal)
    negative = b.neg(quotient)
    residual = b.add(exact_fma(b, negative, y[0], x[0]), x[1])
    residual = fma(b, negative, y[1], residual)
    return fma(b, residual, reciprocal, quotient)


def sign_bits(b: Function, x: Value) -> Value:
    """The sign bit alone, as bits."""
    return b.and_(b.bits_of(x), constant(x.type.integer, 1 << (x.type.bits - 1)))


def flip_sign(b: Function, x: Value, signs: Value) -> Value:
    """x with its sign bit xored with `signs` (bits of the width of x)."""
    return b.bitcast(b.xor(b.bits_of(x), signs), x.type)


def unchanged_near_zero(b: Function, x: Value, y: Value) -> Value:
    """y, or x where it is so small that y = x: keeps signed zeros and subnormals."""
    tiny = b.less(b.abs(x), like(x, 2.0 ** (-format_of(x).fraction - 2)))
    return b.select(tiny, x, y)


def in_double(function: Callable[..., Value]) -> Callable[..., Value]:
    """The function for double made good for float: computed in double and rounded."""

    @wraps(function)
    def either(b: Function, *xs: Value, **options: int) -> Value:
        if not is_single(xs[0]):
            return function(b, *xs, **options)
        doubles = vector_type("double", xs[0].type.lanes)
        return b.fptrunc(function(b, *(b.fpext(x, doubles) for x in xs), **options), xs[0].type)

    return either


def any_lane(b: Function, mask: Value) -> Value:
    """One i1: is any lane of the mask set?"""
    return b.reduce("or", mask)


def where(b: Function, mask: Value, result: Value, other: Callable[[], Value]) -> Value:
    """result, or other() in the lanes of the mask; computed in a block that is entered only if a
    lane needs it.
    """
    before, cold, after = b.here, b.block("rare"), b.block("most")
    b.branch_if(any_lane(b, mask), cold, after)
    b.at(cold)
    chosen = b.select(mask, other(), result)
    leaving = b.here
    b.branch(after)
    b.at(after)
    phi = b.phi(result.type)
    phi.add(result, before)
    phi.add(chosen, leaving)
    return phi.value


def is_register(b: Function, x: Value) -> bool:
    """Whether x fills a register of AVX-512, so that `avx512` may be used."""
    return b.module.has_avx512 and x.type.lanes * x.type.bits == 512


def avx512(b: Function, name: str, x: Value, *others: Value) -> Value:
    """An instruction of AVX-512 on whole registers, in all lanes, with the usual rounding."""
    lanes = x.type.lanes
    everywhere, rounding = constant(vector_type(f"i{lanes}", 1), -1), constant(I32, 4)
    name = f"llvm.x86.avx512.mask.{name}.{'ps' if is_single(x) else 'pd'}.512"
    return b.call(name, x.type, [x, *others, like(x, 0.0), everywhere, rounding])


def integer(x: Value, number: int) -> Value:
    """A constant in the integer type as wide as x."""
    return constant(x.type.integer, number)


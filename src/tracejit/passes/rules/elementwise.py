"""Rewrites of elementwise operations: identities, signs, powers, choices, conversions."""

from __future__ import annotations

import cmath
import math
from functools import partial
from typing import Any

import numpy as np

from tracejit.ir.atoms import Atom, Literal, is_literal, is_zero, ones, zero
from tracejit.ir.graph import Equation
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import BOOL, FLOATS, INEXACT, INTEGERS, finfo
from tracejit.ops.elementwise import (
    abs,
    add,
    and_,
    bitcast,
    convert,
    cos,
    cosh,
    div,
    eq,
    exp2,
    ge,
    gt,
    integer_pow,
    keep_zeros,
    le,
    lt,
    max,
    min,
    mul,
    ne,
    neg,
    not_,
    or_,
    pow,
    rsqrt,
    select,
    shift_left,
    shift_right_arithmetic,
    shift_right_logical,
    sqrt,
    square,
    stop_gradient,
    sub,
    xor,
)
from tracejit.passes.rules.table import always, identities, literal, origin, over

#: Larger exponents stay with `pow`: each multiplication of a chain may cost half an ulp.
LARGEST_POWER = 8


def same(x: Atom) -> Atom:
    """x itself."""
    return x


# Literals to the right, which cse relies on. c + x -> x + c, c < x -> x > c

for primitive in (add, mul, max, min, eq, ne, and_, or_, xor):
    literal(primitive)(lambda c, x, swap=primitive: swap(x, c))
for primitive, mirror in ((lt, gt), (gt, lt), (le, ge), (ge, le)):
    literal(primitive)(lambda c, x, swap=mirror: swap(x, c))

# Neutral elements. x * 0 stays, as it is NaN for inf and NaN; unless x is an integer.

identities(add, {0: same})
identities(sub, {0: same})
identities(mul, {1: same, -1: neg})
identities(div, {1: same, -1: neg})
identities(max, {-math.inf: same})
identities(min, {math.inf: same})
for primitive in (shift_left, shift_right_arithmetic, shift_right_logical):
    identities(primitive, {0: same})

literal(sub)(lambda c, x: neg(x) if c.value == 0 else None)
literal(mul, 1)(lambda x, c: c if c.value == 0 and c.dtype in INTEGERS else None)


@literal(div, 1)
def _divide_by_power_of_two(x: Atom, c: Literal) -> Atom | None:
    """x / 2^k -> x * 2^-k, which is exact unless 2^-k is not a normal number."""
    if c.dtype not in FLOATS or c.value == 0 or not math.isfinite(c.value):
        return None
    exact = (
        _is_power_of_two(c) and _is_normal(c.value, c.dtype) and _is_normal(1 / c.value, c.dtype)
    )
    return mul(x, Literal(1 / c.value, c.type)) if exact else None


def _is_power_of_two(c: Atom) -> bool:
    return isinstance(c, Literal) and math.frexp(c.value)[0] in (0.5, -0.5)


@over(mul, mul)
def _two_factors(inner: Equation, x: Atom, c: Atom) -> Atom | None:
    """(a * c) * d -> a * (c d), one of them a power of two.

    Exact, but where a * c overflows or is not normal: there the result is the better one.
    """
    a, d = inner.inputs
    if not (isinstance(c, Literal) and isinstance(d, Literal) and c.dtype in FLOATS):
        return None
    product = c.value * d.value
    if not (_is_power_of_two(c) or _is_power_of_two(d)) or not _is_normal(product, c.dtype):
        return None
    return mul(a, Literal(product, c.type))


def _is_normal(number: float, dtype: np.dtype) -> bool:
    """Whether a float is finite and has all the bits of its dtype."""
    info = finfo(dtype)
    return float(info.tiny) <= math.fabs(number) <= float(info.max)


# Signs.

over(neg, neg)(lambda inner, x: inner.inputs[0])
over(add, neg, 1)(lambda inner, x, y: sub(x, inner.inputs[0]))
over(add, neg, 0)(lambda inner, x, y: sub(y, inner.inputs[0]))
over(sub, neg, 1)(lambda inner, x, y: add(x, inner.inputs[0]))
for primitive in (abs, square, cos, cosh):
    over(primitive, neg)(lambda inner, x, even=primitive: even(inner.inputs[0]))
over(square, abs)(
    lambda inner, x: None if inner.inputs[0].type.is_complex else square(inner.inputs[0])
)
over(abs, abs)(lambda inner, x: x)
over(abs, square)(lambda inner, x: x if x.dtype in FLOATS else None)


def _negated(c: Literal) -> Literal:
    return Literal(-c.value, c.type)


def _may_negate(c: Atom) -> bool:
    """Whether c is a literal whose negative has the same dtype (unsigned numbers wrap)."""
    return isinstance(c, Literal) and c.dtype in FLOATS


for primitive in (mul, div):

    @over(primitive, neg)
    def _move_sign_to_literal(
        inner: Equation, x: Atom, y: Atom, *, op: Primitive = primitive
    ) -> Atom | None:
        """-a * c -> a * -c"""
        return op(inner.inputs[0], _negated(y)) if _may_negate(y) else None  # type: ignore

    @over(neg, primitive)
    def _take_sign_into_literal(
        inner: Equation, x: Atom, *, op: Primitive = primitive
    ) -> Atom | None:
        """-(a * c) -> a * -c"""
        a, c = inner.inputs
        return op(a, _negated(c)) if _may_negate(c) else None  # type: ignore


# Powers. 0.5 and -0.5 as NumPy has them: through sqrt. The others within the ulps of `pow`.


@literal(pow, 1)
def _known_exponent(x: Atom, c: Literal) -> Atom | None:
    """x ** c with c = 0.5, -0.5 or a small integer."""
    if c.type.is_complex:
        return None
    if c.dtype in FLOATS and c.value in (0.5, -0.5):
        return sqrt(x) if c.value > 0 else rsqrt(x)
    least = -LARGEST_POWER if c.dtype in FLOATS else 0
    if not (least <= c.value <= LARGEST_POWER and c.value == int(c.value)):
        return None
    return integer_pow(x, n=int(c.value))


@literal(pow)
def _known_base(c: Literal, y: Atom) -> Atom | None:
    """1 ** y -> 1, 2 ** y -> exp2(y)"""
    if c.value == 1:
        return c
    return exp2(y) if c.value == 2 and c.dtype in FLOATS else None


@always(integer_pow)
def _small_power(x: Atom, *, n: int) -> Atom | None:
    """x ** n with n in 0, 1, 2, -1"""
    if n == 0:
        return ones(x.type)
    if n in (1, 2):
        return x if n == 1 else square(x)
    return div(ones(x.type), x) if n == -1 and x.type.is_inexact else None


# Operands that are the same.

for primitive in (max, min, and_, or_):
    always(primitive)(lambda x, y: x if x is y else None)
always(mul)(lambda x, y: square(x) if x is y else None)


@always(sub, xor)
def _nothing_left(x: Atom, y: Atom) -> Atom | None:
    """x - x -> 0 for integers; inf - inf is NaN."""
    return zero(x.type) if x is y and x.dtype not in INEXACT else None


# Logic. A literal is true where every bit is set.


def _all_set(c: Literal) -> bool:
    info = None if c.dtype == BOOL else np.iinfo(c.dtype)
    return c.value == (1 if info is None else info.max if info.min == 0 else -1)


@literal(and_, 1)
def _and_literal(x: Atom, c: Literal) -> Atom | None:
    return c if c.value == 0 else x if _all_set(c) else None


@literal(or_, 1)
def _or_literal(x: Atom, c: Literal) -> Atom | None:
    return x if c.value == 0 else c if _all_set(c) else None


@literal(xor, 1)
def _xor_literal(x: Atom, c: Literal) -> Atom | None:
    return x if c.value == 0 else not_(x) if _all_set(c) else None


over(not_, not_)(lambda inner, x: inner.inputs[0])
over(not_, eq)(lambda inner, x: ne(*inner.inputs))
over(not_, ne)(lambda inner, x: eq(*inner.inputs))


@literal(eq, 1)
def _equals_truth(x: Atom, c: Literal) -> Atom | None:
    """x == true -> x"""
    return (x if c.value else not_(x)) if c.dtype == BOOL else None


@literal(ne, 1)
def _differs_from_truth(x: Atom, c: Literal) -> Atom | None:
    """x != false -> x"""
    return (not_(x) if c.value else x) if c.dtype == BOOL else None


# Choice.


@always(select)
def _same_choices(condition: Atom, x: Atom, y: Atom) -> Atom | None:
    """Both sides alike, or the condition itself."""
    if x is y or (isinstance(x, Literal) and x == y):
        return x
    if x.dtype == BOOL and isinstance(x, Literal) and isinstance(y, Literal):
        return condition if x.value else not_(condition)
    return None


@literal(select)
def _known_choice(condition: Literal, x: Atom, y: Atom) -> Atom:
    return x if condition.value else y


over(select, not_)(lambda inner, condition, x, y: select(inner.inputs[0], y, x))


def _same_condition(side: int, inner: Equation, condition: Atom, x: Atom, y: Atom) -> Atom | None:
    """A choice within the taken side of a choice by the same condition is made."""
    if inner.inputs[0] is not condition:
        return None
    chosen = inner.inputs[side]
    return select(condition, chosen, y) if side == 1 else select(condition, x, chosen)


for position in (1, 2):
    over(select, select, position)(partial(_same_condition, position))


@always(keep_zeros)
def _guarded_for_nothing(product: Atom, *guards: Atom) -> Atom | None:
    """Guards that are never 0, or products that are NaN only where the guard is."""
    if any(isinstance(g, Literal) and g.value != 0 for g in guards):
        return product
    if isinstance(product, Literal) and not cmath.isnan(product.value):
        return product
    x = _multiple_of(product)
    return product if x is not product and any(x is _multiple_of(g) for g in guards) else None


def _multiple_of(x: Atom) -> Atom:
    """What x is a multiple of: behind finite factors, none of them 0, and signs."""
    while (maker := origin(x)) is not None:
        if maker.primitive is mul:
            c = maker.inputs[1]
            if not (isinstance(c, Literal) and c.value and cmath.isfinite(c.value)):
                break
        elif maker.primitive is not neg:
            break
        x = maker.inputs[0]
    return x


@always(keep_zeros)
def _guarded_product(product: Atom, *guards: Atom) -> Atom | None:
    """keep_zeros(c a, c), c = select(condition, 1, 0) -> select(condition, a, 0): behind a sum."""
    maker = origin(product)
    if maker is None or maker.primitive is not mul or len(guards) != 1:
        return None
    (guard,) = guards
    for ct, factor in (maker.inputs, maker.inputs[::-1]):
        chooser = origin(ct)
        if ct is not guard or chooser is None or chooser.primitive is not select:
            continue
        condition, a, b = chooser.inputs
        if is_zero(b) and isinstance(a, Literal):
            return select(condition, mul(factor, a), b)
        if is_zero(a) and isinstance(b, Literal):
            return select(condition, a, mul(factor, b))
    return None


def _choose_result(op: Primitive, inner: Equation, x: Atom, c: Atom | None = None) -> Atom | None:
    """op(select(condition, 1, 0), 0) -> select(condition, op(1, 0), op(0, 0)), all literals."""
    condition, a, b = inner.inputs
    rest = () if c is None else (c,)
    if not all(isinstance(z, Literal) for z in (a, b, *rest)):
        return None
    return select(condition, op(a, *rest), op(b, *rest))


for primitive in (eq, ne, lt, le, gt, ge, add, sub, mul, neg):
    over(primitive, select)(partial(_choose_result, primitive))



def _both_sides(inner: Equation, x: Atom, y: Atom) -> Atom | None:
    """select(c, 0, a) + select(c, b, 0) -> select(c, b, a): what was parted comes together."""
    other = origin(x if inner.outvars[0] is y else y)
    if other is None or other.primitive is not select or other.inputs[0] is not inner.inputs[0]:
        return None
    (_, a, b), (condition, c, d) = other.inputs, inner.inputs
    if is_zero(a) and is_zero(d):
        return select(condition, c, b)
    return select(condition, a, d) if is_zero(b) and is_zero(c) else None


for position in (0, 1):
    over(add, select, position)(_both_sides)

# Conversion.

always(stop_gradient)(lambda x: x)


@always(convert)
def _to_itself(x: Atom, *, dtype: np.dtype) -> Atom | None:
    return x if x.dtype == dtype else None


def _is_lossless(source: np.dtype, target: np.dtype) -> bool:
    """Whether each value of the source dtype is one of the target dtype."""
    if target in FLOATS and source in INTEGERS:
        return np.iinfo(source).bits <= finfo(target).nmant + 1
    return bool(np.can_cast(source, target, "safe"))


@over(convert, convert)
def _through_wider(inner: Equation, x: Atom, *, dtype: np.dtype) -> Atom | None:
    """f32 -> f64 -> f32 is nothing, i8 -> i64 -> f64 is i8 -> f64."""
    (source,) = inner.inputs
    if not _is_lossless(source.dtype, x.dtype):
        return None
    saturates = x.dtype in FLOATS and dtype in INTEGERS and source.dtype in INTEGERS
    if saturates and not _is_lossless(source.dtype, dtype):
        return None  # from integer to integer it would wrap
    return convert(source, dtype=dtype)


always(bitcast)(lambda x, *, dtype: x if x.dtype == dtype else None)
over(bitcast, bitcast)(lambda inner, x, *, dtype: bitcast(inner.inputs[0], dtype=dtype))

for primitive in (ne, eq):

    @over(primitive, convert)
    def _converted_truth(
        inner: Equation, x: Atom, y: Atom, *, op: Primitive = primitive
    ) -> Atom | None:
        """convert(b) != 0 -> b, for a bool b"""
        (source,) = inner.inputs
        if source.dtype != BOOL or not is_literal(y, 0):
            return None
        return source if op is ne else not_(source)


def is_foldable_conversion(c: Literal, params: dict[str, Any]) -> bool:
    """Whether NumPy and machines agree on the conversion: a number in the range of an integer."""
    dtype = params["dtype"]
    if c.dtype not in FLOATS or dtype not in INTEGERS:
        return True
    return math.isfinite(c.value) and np.iinfo(dtype).min <= c.value <= np.iinfo(dtype).max

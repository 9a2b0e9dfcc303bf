"""Rows of `ops/elementwise.py`: a table of domains, and the same shapes for all."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tracejit.ir.primitive import Primitive
from tracejit.ir.types import DTYPES
from tracejit.ops import elementwise as ops
from tracejit.testing.domains import (
    Domain,
    away_from,
    bits,
    booleans,
    combinations,
    distinct,
    exactly,
    half_types,
    integers,
    positive,
    reals,
    special_values,
    splat,
    subnormal_values,
)
from tracejit.testing.samples import Sample

#: Of floats: scalar, vector, empty, float32 with an axis of 1, and halves.
SHAPES = ("f64[]", "f64[7]", "f64[0]", "f32[2,1,3]", *half_types("[5]"))
NARROW = ("i32[7]", "u8[5]")
BIT_TYPES = ("i8[7]", "u16[5]", "i32[9]", "u64[7]")

#: Functions of one float: the domain, and the units in the last place between libraries.
UNARY: dict[Primitive, tuple[Domain, int]] = {
    ops.neg: (reals(-2, 2), 0),
    ops.abs: (away_from(0.0), 0),
    ops.sign: (away_from(0.0), 0),
    ops.floor: (away_from(-1.0, 0.0, 1.0), 0),
    ops.ceil: (away_from(-1.0, 0.0, 1.0), 0),
    ops.trunc: (away_from(-1.0, 0.0, 1.0), 0),
    ops.round_even: (away_from(-1.5, -0.5, 0.5, 1.5), 0),
    ops.square: (reals(-2, 2), 0),
    ops.sqrt: (positive(), 1),
    ops.rsqrt: (positive(), 2),
    ops.cbrt: (away_from(0.0), 2),
    ops.exp: (reals(-2, 2), 2),
    ops.exp2: (reals(-2, 2), 2),
    ops.expm1: (reals(-2, 2), 2),
    ops.log: (positive(), 2),
    ops.log2: (positive(), 2),
    ops.log10: (positive(), 4),
    ops.log1p: (reals(-0.7, 2), 2),
    ops.logistic: (reals(-4, 4), 3),
    ops.softplus: (reals(-4, 4), 3),
    ops.sin: (reals(-4, 4), 2),
    ops.cos: (reals(-4, 4), 2),
    ops.tan: (reals(-1.2, 1.2), 4),
    ops.asin: (reals(-0.8, 0.8), 4),
    ops.acos: (reals(-0.8, 0.8), 4),
    ops.atan: (reals(-3, 3), 4),
    ops.sinh: (reals(-2, 2), 4),
    ops.cosh: (reals(-2, 2), 4),
    ops.tanh: (reals(-2, 2), 4),
    ops.asinh: (reals(-2, 2), 4),
    ops.acosh: (reals(1.3, 4), 4),
    ops.atanh: (reals(-0.8, 0.8), 4),
    ops.stop_gradient: (reals(-2, 2), 0),
}

#: Functions of two floats: their domains.
BINARY: dict[Primitive, tuple[Domain, Domain, int]] = {
    ops.add: (reals(-2, 2), reals(-2, 2), 0),
    ops.sub: (reals(-2, 2), reals(-2, 2), 0),
    ops.mul: (reals(-2, 2), reals(-2, 2), 0),
    ops.div: (reals(-2, 2), away_from(0.0, gap=0.3), 1),
    ops.rem: (reals(2.3, 2.6), reals(0.93, 1.03), 0),
    ops.max: (reals(-1, 1), away_from(low=1.2, high=2), 0),
    ops.min: (reals(-1, 1), away_from(low=1.2, high=2), 0),
    ops.pow: (positive(), reals(-2, 2), 2),
    ops.atan2: (away_from(0.0), away_from(0.0), 4),
    ops.nextafter: (reals(-2, 2), reals(-2, 2), 0),
}

#: Those of the above that take integers too. Divisors avoid no value: 0 has a meaning.
INTEGER = (
    ops.neg, ops.abs, ops.sign, ops.square, ops.add, ops.sub, ops.mul, ops.div, ops.rem, ops.max,
    ops.min,
)  # fmt: skip
COMPARISONS = (ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge)


def unary_rows(primitive: Primitive, domain: Domain, ulps: int, **params: Any) -> Iterator[Sample]:
    """A function of floats in all shapes, and on special values."""
    smooth = primitive not in (ops.stop_gradient,)
    for type in SHAPES:
        yield Sample(primitive, (domain(type),), params, ulps=ulps, smooth=smooth)
    yield from extreme_rows(primitive, 1, ulps, **params)


def extreme_rows(primitive: Primitive, arity: int, ulps: int, **params: Any) -> Iterator[Sample]:
    """Infinities, NaN, zeros and subnormal numbers; a value, but no derivative."""
    for dtype in ("f64", "f32"):
        args = combinations(special_values(dtype), arity)
        yield Sample(primitive, args, params, ulps=ulps, smooth=False, note="specials")
        args = combinations(subnormal_values(dtype), arity)
        yield Sample(
            primitive, args, params, ulps=ulps, smooth=False,
            needs=frozenset({"subnormals"}), note="subnormals",
        )  # fmt: skip


def _binary_rows(primitive: Primitive, x: Domain, y: Domain, ulps: int) -> Iterator[Sample]:
    smooth = primitive is not ops.nextafter
    for type in SHAPES:
        yield Sample(primitive, (x(type), y(type)), ulps=ulps, smooth=smooth)
    yield from extreme_rows(primitive, 2, ulps)
    number = 1.5 if primitive is not ops.rem else 0.95
    yield Sample(primitive, (x("f64[4]"), splat(number, "f64[4]")), ulps=ulps, smooth=smooth)


def _integer_rows(primitive: Primitive) -> Iterator[Sample]:
    arity = 1 if primitive in UNARY else 2
    for type in NARROW:
        yield Sample(primitive, (integers(0, 3)(type),) * arity, ulps=0)
    for type in BIT_TYPES:
        yield Sample(primitive, (bits()(type),) * arity, ulps=0, note="any bits")


def _bit_rows() -> Iterator[Sample]:
    for primitive, arity in ((ops.and_, 2), (ops.or_, 2), (ops.xor, 2), (ops.not_, 1)):
        yield Sample(primitive, (booleans()("bool[2,3]"),) * arity, ulps=0)
        for type in (*BIT_TYPES, "i64[0]", "i64[]"):
            yield Sample(primitive, (bits()(type),) * arity, ulps=0)
    for primitive in (ops.shift_left, ops.shift_right_logical, ops.shift_right_arithmetic):
        for type in BIT_TYPES:
            width = 8 * DTYPES[type.split("[")[0]].itemsize
            for low, high in ((0, width - 1), (width - 1, width + 2)):
                count = integers(low, high)(type)
                yield Sample(primitive, (bits()(type), count), ulps=0, note=f"by {low}..{high}")
        negative = integers(-9, -1)("i32[5]")
        yield Sample(primitive, (bits()("i32[5]"), negative), ulps=0, note="by negative counts")
    for primitive in (ops.population_count, ops.clz):
        for type in BIT_TYPES:
            yield Sample(primitive, (bits()(type),), ulps=0)
            yield Sample(primitive, (integers(0, 2)(type),), ulps=0, note="small")


def _comparison_rows() -> Iterator[Sample]:
    for primitive in COMPARISONS:
        for type in ("f64[2,3]", "f32[4]", "i64[7]", "u64[3]", "bool[5]", "f64[]", "f64[0]"):
            domain = booleans() if type.startswith("bool") else integers(0, 2)
            yield Sample(primitive, (domain(type), domain(type)), ulps=0)
        yield from extreme_rows(primitive, 2, 0)
    for primitive in (ops.is_finite, ops.sign_bit):
        for type in ("f64[2,3]", "f32[4]", "f64[]"):
            yield Sample(primitive, (reals(-1, 1)(type),), ulps=0)
        yield from extreme_rows(primitive, 1, 0)


def _power_rows() -> Iterator[Sample]:
    for n in (-2, -1, 0, 1, 2, 3, 7):
        yield from unary_rows(ops.integer_pow, away_from(0.0, gap=0.4), 4, n=n)
    for n in (0, 1, 2, 5):
        for type in ("i32[7]", "u8[5]"):
            yield Sample(ops.integer_pow, (integers(0, 9)(type),), {"n": n}, ulps=0)
    for type in NARROW:
        yield Sample(ops.pow, (integers(0, 5)(type), integers(0, 3)(type)), ulps=0)
    zeros, exponents = exactly([0.0, 0.0, 2.0], "f64"), exactly([2.0, 3.0, 0.0], "f64")
    yield Sample(ops.pow, (zeros, exponents), smooth=False, note="of zero")
    yield Sample(ops.pow, (away_from(0.0)("f64[5]"), splat(2.0, "f64[5]")))


def _select_rows() -> Iterator[Sample]:
    for type in ("f64[2,3]", "f32[5]", "f64[]", "f64[0]", "i64[4]", "bool[3]", "u8[5]"):
        domain = booleans() if type.startswith("bool") else integers(0, 9)
        domain = reals(-2, 2) if type.startswith("f") else domain
        condition = booleans()("bool" + type[type.index("[") :])
        yield Sample(ops.select, (condition, domain(type), domain(type)), ulps=0)
    x = reals(-2, 2)("f64[4]")
    yield Sample(ops.select, (booleans()("bool[4]"), x, splat(0.0, "f64[4]")), ulps=0)
    yield Sample(ops.select, (splat(True, "bool[4]"), x, x), ulps=0)


def _guard_rows() -> Iterator[Sample]:
    """A NaN that zero made goes, one that nothing made and other zeros stay."""
    x = reals(-2, 2)
    yield Sample(ops.keep_zeros, (x("f64[5]"), x("f64[5]")), ulps=0)
    yield Sample(ops.keep_zeros, (x("f32[2,3]"), x("f32[2,3]"), x("f32[2,3]")), ulps=0)
    spoilt = exactly([np.nan, np.nan, 1.0, np.inf], "f64")
    guard = exactly([0.0, 2.0, 0.0, 0.0], "f64")
    yield Sample(ops.keep_zeros, (spoilt, guard), ulps=0, smooth=False, note="spoilt")


def _conversion_rows() -> Iterator[Sample]:
    """From every dtype to every other, with values that both hold."""
    for source in DTYPES:
        for target, dtype in DTYPES.items():
            domain = booleans() if source == "bool" else integers(0, 100)
            if source in ("f32", "f64") and dtype.kind != "b":
                domain = reals(-0.9, 100.0) if dtype.kind != "i" else reals(-100.0, 100.0)
            yield Sample(
                ops.convert, (domain(f"{source}[5]"),), {"dtype": dtype}, ulps=0,
                smooth=target == source,
            )  # fmt: skip
    negative = integers(-100, 100)("i64[5]")
    for name in ("i8", "f32", "f64", "bool", "u16"):
        yield Sample(ops.convert, (negative,), {"dtype": DTYPES[name]}, ulps=0, note="negative")
    for source, target in (("f64", "f32"), ("f32", "f64"), ("f64", "bool")):
        values = (exactly(special_values(source), source),)
        yield Sample(
            ops.convert, values, {"dtype": DTYPES[target]}, ulps=0, smooth=False, note="specials"
        )
    for source, target in (("f64", "f32"), ("f32", "f64")):
        x = (reals(-2, 2)(f"{source}[2,3]"),)
        yield Sample(ops.convert, x, {"dtype": DTYPES[target]}, ulps=0, note="between floats")
    for source, target in (("f64", "i64"), ("u64", "f64"), ("f32", "u32"), ("i32", "f32")):
        domain = reals(-2, 2) if source[0] == "f" else integers(0, 2**20)
        yield Sample(ops.bitcast, (domain(f"{source}[2,3]"),), {"dtype": DTYPES[target]}, ulps=0)
    yield Sample(ops.bitcast, (bits()("i8[7]"),), {"dtype": np.dtype("uint8")}, ulps=0)


def _tie_rows() -> Iterator[Sample]:
    """Kinks: no derivative there, but a value."""
    for primitive in (ops.max, ops.min):
        same = exactly([1.0, 2.0, -0.5], "f64")
        yield Sample(primitive, (same, same), ulps=0, smooth=False, note="ties")
        yield Sample(primitive, (booleans()("bool[5]"), booleans()("bool[5]")), ulps=0)
        yield Sample(primitive, (distinct()("f64[2,3]"), distinct(0.125)("f64[2,3]")), ulps=0)


ROWS: tuple[Sample, ...] = (
    *(s for p, (domain, ulps) in UNARY.items() for s in unary_rows(p, domain, ulps)),
    *(s for p, (x, y, ulps) in BINARY.items() for s in _binary_rows(p, x, y, ulps)),
    *(s for p in INTEGER for s in _integer_rows(p)),
    *_bit_rows(),
    *_comparison_rows(),
    *_power_rows(),
    *_select_rows(),
    *_guard_rows(),
    *_conversion_rows(),
    *_tie_rows(),
)

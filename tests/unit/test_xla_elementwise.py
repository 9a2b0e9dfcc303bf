"""The elementwise and special rows of the xla backend against the NumPy values."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

from xla_harness import agree, case, run

from tracejit.ir.types import (
    ALL,
    BITS,
    BOOL,
    FLOATS,
    INTEGERS,
    SIGNED,
)
from tracejit.ops import elementwise as ops
from tracejit.ops import special

SPECIAL = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5, 2.5, -3.5, 1e30, -1e30]
SPECIAL += [np.inf, -np.inf, np.nan]


def by_name(dtypes):
    return sorted(dtypes, key=str)


def floats(dtype, *ranges, n=400):
    """The special values, and numbers drawn from the ranges."""
    draw = np.random.default_rng(7)
    parts = [draw.uniform(lo, hi, n) for lo, hi in ranges]
    return np.concatenate([SPECIAL, *parts]).astype(dtype)


def pairs(values):
    """All pairs, as two arrays."""
    x, y = np.meshgrid(values, values)
    return x.ravel().copy(), y.ravel().copy()


def integers(dtype):
    """The ends of the range, small numbers, and some between."""
    if dtype == BOOL:
        return np.array([False, True])
    info = np.iinfo(dtype)
    ends = [info.min, info.min + 1, info.max - 1, info.max]
    draw = np.random.default_rng(3).integers(info.min, info.max, 8, dtype, endpoint=True)
    small = np.arange(9) if info.min == 0 else np.arange(-8, 9)
    return np.concatenate([np.array(ends, dtype), small.astype(dtype), draw])


#: Both ends of the widths: each dtype costs seconds of compiling.
SOME = [np.dtype(name) for name in ("int8", "int64", "uint8", "uint64")]

WIDE, UNIT = (-20.0, 20.0), (-1.0, 1.0)
TINY = (-1e-8, 1e-8)

# How far XLA on a CPU is from NumPy, in ulps of the result, for float64 and float32.
UNARY = {
    ops.neg: (0, WIDE), ops.abs: (0, WIDE), ops.sign: (0, WIDE), ops.floor: (0, WIDE),
    ops.ceil: (0, WIDE), ops.trunc: (0, WIDE), ops.round_even: (0, WIDE), ops.square: (0, WIDE),
    ops.sqrt: (1, WIDE, (0, 1e9)), ops.rsqrt: (3, WIDE, (0, 1e9)), ops.cbrt: (4, WIDE, TINY),
    ops.exp: (3, WIDE, UNIT, TINY), ops.exp2: (3, WIDE, (-100, 100)),
    ops.expm1: (6, WIDE, UNIT, TINY),
    ops.log: (2, (0, 2), (0, 1e9)), ops.log2: (3, (0, 2), (0, 1e9)),
    ops.log10: (4, (0, 2), (0, 1e9)), ops.log1p: (4, UNIT, (-0.5, -0.2), TINY, WIDE),
    ops.logistic: (4, WIDE, UNIT), ops.softplus: (4, WIDE, UNIT),
    ops.sin: (3, WIDE), ops.cos: (3, WIDE), ops.tan: (4, WIDE), ops.asin: (3, UNIT),
    ops.acos: (3, UNIT), ops.atan: (3, WIDE), ops.sinh: (8, WIDE, UNIT, TINY),
    ops.cosh: (4, WIDE, UNIT), ops.tanh: (8, WIDE, UNIT, TINY), ops.asinh: (4, WIDE, UNIT, TINY),
    ops.acosh: (4, (1, 2), (1, 1e5)), ops.atanh: (4, UNIT, TINY),
    ops.is_finite: (0, WIDE), ops.sign_bit: (0, WIDE), ops.stop_gradient: (0, WIDE),
    special.erf: (4, WIDE, UNIT), special.erfc: (50, (-8, 8), UNIT), special.erfinv: (30, UNIT),
    special.i0e: (8, WIDE, UNIT), special.i1e: (8, WIDE, UNIT),
}  # fmt: skip


@pytest.mark.parametrize("dtype", by_name(FLOATS), ids=str)
def test_unary_functions(dtype):
    agree(*[case(p, floats(dtype, *rs), ulps=ulps) for p, (ulps, *rs) in UNARY.items()])


@pytest.mark.parametrize("dtype", by_name(FLOATS), ids=str)
def test_gamma_functions(dtype):
    """Away from their zeros, where NumPy and XLA round differently."""
    x = np.concatenate([[np.inf], np.linspace(2.5, 60, 200)]).astype(dtype)
    poles = np.array([0.0, -1.0, -2.0, np.nan], dtype)
    agree(
        case(special.lgamma, x, ulps=40), case(special.lgamma, poles),
        case(special.digamma, x, ulps=8), case(special.digamma, poles),
        case(special.digamma, np.array([-0.0], dtype)),
        *[case(special.polygamma, x[1:], n=n, ulps=40) for n in (1, 2, 3)],
    )  # fmt: skip


@pytest.mark.parametrize("dtype", by_name(FLOATS), ids=str)
def test_binary_functions(dtype):
    x, y = pairs(floats(dtype, WIDE, n=8))
    agree(
        *[case(p, x, y) for p in (ops.add, ops.sub, ops.mul, ops.div, ops.max, ops.min)],
        *[case(p, x, y) for p in (ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge, ops.rem)],
        case(ops.nextafter, x[x != 0], y[x != 0]),  # beside 0 are numbers that CPUs flush to 0
        case(ops.atan2, x, y, ulps=3), case(ops.pow, x, y, ulps=3),
        case(ops.select, x < y, x, y),
        *[case(ops.integer_pow, x, n=n, ulps=6) for n in (-3, -1, 0, 1, 2, 5)],
    )  # fmt: skip


def test_exp2_of_integers_is_exact():
    agree(case(ops.exp2, np.arange(-1022.0, 1025.0)),
          case(ops.exp2, np.array([-2000, 1e300, -1e300, 2044, 5000.0])))  # fmt: skip


@pytest.mark.parametrize("dtype", SOME, ids=str)
def test_integer_arithmetic(dtype):
    x, y = pairs(integers(dtype))
    small = (y >= 0) & (y < 8)
    agree(
        *[case(p, x, y) for p in (ops.add, ops.sub, ops.mul, ops.div, ops.rem, ops.max, ops.min)],
        *[case(p, x, y) for p in (ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge)],
        *[case(p, x) for p in (ops.neg, ops.abs, ops.sign, ops.square, ops.stop_gradient)],
        case(ops.pow, x[small], y[small]), case(ops.select, x < y, x, y),
        *[case(ops.integer_pow, x, n=n) for n in (0, 1, 2, 7)],
    )  # fmt: skip


def test_integer_powers_with_negative_exponents_truncate():
    x = np.array([2, 1, -1, -1, -3, 1])
    (got,) = run(case(ops.pow, x, np.array([-1, -5, -3, -2, -2, -1])))
    np.testing.assert_array_equal(got, [0, 1, -1, 1, 0, 1])


@pytest.mark.parametrize("dtype", [BOOL, *SOME], ids=str)
def test_bits(dtype):
    x, y = pairs(integers(dtype))
    cases = [case(p, x, y) for p in (ops.and_, ops.or_, ops.xor, ops.eq, ops.lt, ops.max, ops.min)]
    cases.append(case(ops.not_, x))
    if dtype in INTEGERS:
        width = 8 * dtype.itemsize
        count = np.array([0, 1, width - 1, width, width + 1, 127]).astype(dtype)
        a, n = (v.ravel().copy() for v in np.meshgrid(integers(dtype), count))
        shifts = (ops.shift_left, ops.shift_right_logical, ops.shift_right_arithmetic)
        cases += [case(p, a, n) for p in shifts]
        cases += [case(p, x) for p in (ops.population_count, ops.clz)]
    if dtype in SIGNED:
        cases += [case(p, x, y) for p in shifts]
    agree(*cases)


@pytest.mark.parametrize("target", by_name(ALL), ids=str)
def test_conversions(target):
    exact = np.array([0.0, 1.0, 2.7, 100.0, -0.0])
    cases = [case(ops.convert, integers(d), dtype=target) for d in by_name(BITS)]
    cases += [case(ops.convert, exact.astype(d), dtype=target) for d in by_name(FLOATS)]
    agree(*cases)


@pytest.mark.parametrize("target", by_name(INTEGERS), ids=str)
def test_floats_out_of_range_saturate(target):
    info = np.iinfo(target)
    x = np.array([1e300, -1e300, np.inf, -np.inf, np.nan])
    (got,) = run(case(ops.convert, x, dtype=target))
    np.testing.assert_array_equal(got, [info.max, info.min, info.max, info.min, 0])


def test_bitcasts():
    x = np.array([1.5, -0.0, np.nan, np.inf])
    widths = [(np.float64, "iu"), (np.float32, "iu")]
    cases = [
        case(ops.bitcast, x.astype(f), dtype=np.dtype(f"{kind}{np.dtype(f).itemsize}"))
        for f, kinds in widths
        for kind in kinds
    ]
    cases.append(case(ops.bitcast, np.array([0x7FF0000000000000], np.int64), dtype=np.dtype("f8")))
    agree(*cases)


def test_scalars_and_empty_arrays():
    for shape in ((), (0,), (2, 0, 3), (1, 1)):
        x = np.full(shape, 0.5)
        agree(case(ops.sin, x, ulps=2), case(ops.add, x, x), case(ops.lt, x, x),
              case(ops.pow, x.astype(int), x.astype(int)))  # fmt: skip

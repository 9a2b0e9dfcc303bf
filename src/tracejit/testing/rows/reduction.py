"""Rows of `ops/reduction.py`."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tracejit.ir.primitive import Primitive
from tracejit.ir.types import DTYPES
from tracejit.ops import reduction as ops
from tracejit.testing.domains import (
    Domain,
    away_from,
    bits,
    booleans,
    distinct,
    exactly,
    half_types,
    integers,
    reals,
)
from tracejit.testing.rows.structure import operand
from tracejit.testing.samples import Sample

#: (type, axes) for every reduction.
REDUCED = (
    ("f64[7]", (0,)), ("f64[]", ()), ("f64[2,3]", ()), ("f64[2,3]", (0,)), ("f64[2,3]", (1,)),
    ("f64[2,3]", (1, 0)), ("f32[2,3,4]", (0, 2)), ("f64[2,3,4]", (1,)), ("f64[0,3]", (1,)),
    ("f64[0,3]", (0,)), ("f64[1]", (0,)), ("i32[5]", (0,)), ("f64[40]", (0,)), ("f32[3,37]", (1,)),
    *((type, (1,)) for type in half_types("[3,9]")), ("f16[2,3]", (0, 1)),
)  # fmt: skip
#: (type, axis) for every running reduction.
RUNNING = (
    ("f64[7]", 0), ("f64[2,3]", 0), ("f64[2,3]", 1), ("f32[2,5,2]", 1), ("f64[0]", 0),
    ("f64[3,0]", 0), ("f64[1]", 0), ("f64[19]", 0),
    *((type, 1) for type in half_types("[2,7]")),
)  # fmt: skip

NAN, INF = math.nan, math.inf
WITH_NAN = ([1.0, NAN, 3.0, -INF], [NAN, NAN, 0.0, -0.0], [INF, 2.0, 2.0, 1.0])


def _reductions() -> Iterator[Sample]:
    tables: tuple[tuple[Primitive, Domain, int], ...] = (
        (ops.reduce_prod, away_from(0.0), 32),
        (ops.reduce_max, distinct(), 0),
        (ops.reduce_min, distinct(), 0),
    )
    for primitive, domain, ulps in tables:
        for type, axes in REDUCED:
            x = domain(type) if type.startswith("f") else integers(0, 9)(type)
            smooth = type != "f64[0,3]"  # over nothing the value is infinite
            yield Sample(primitive, (x,), {"axes": axes}, ulps=ulps, smooth=smooth)
        yield Sample(primitive, (exactly(WITH_NAN, "f64"),), {"axes": (1,)}, ulps=ulps,
                     smooth=False, note="specials")  # fmt: skip
        yield Sample(primitive, (bits()("u8[9]"),), {"axes": (0,)}, ulps=0)
    zeros = exactly([[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0]], "f64")
    yield Sample(ops.reduce_prod, (zeros,), {"axes": (1,)}, note="zeros")
    for primitive in (ops.reduce_max, ops.reduce_min):
        yield Sample(primitive, (booleans()("bool[2,3]"),), {"axes": (0,)}, ulps=0)
        yield Sample(primitive, (operand("i8[0,2]"),), {"axes": (0,)}, ulps=0)
    for primitive in (ops.reduce_and, ops.reduce_or, ops.reduce_xor):
        for type, axes in (("bool[2,3]", (1,)), ("bool[0]", (0,)), ("bool[40]", (0,))):
            yield Sample(primitive, (booleans()(type),), {"axes": axes}, ulps=0)
        for type, axes in (("u8[2,3]", (0,)), ("i64[5]", (0,)), ("i32[0,2]", (0,))):
            yield Sample(primitive, (bits()(type),), {"axes": axes}, ulps=0)


def _places() -> Iterator[Sample]:
    for primitive in (ops.argmax, ops.argmin):
        for type, axis in (("f64[7]", 0), ("f64[3,4]", 0), ("f32[3,4]", 1), ("f64[2,1]", 1)):
            params = {"axis": axis, "dtype": DTYPES["i64"]}
            yield Sample(primitive, (distinct()(type),), params, ulps=0)
        for dtype in ("i32", "u8"):
            params = {"axis": 0, "dtype": DTYPES[dtype]}
            yield Sample(primitive, (integers(0, 2)("i64[9]"),), params, ulps=0, note="ties")
            yield Sample(primitive, (booleans()("bool[5,2]"),), params, ulps=0)
        params = {"axis": 1, "dtype": DTYPES["i64"]}
        yield Sample(primitive, (exactly(WITH_NAN, "f64"),), params, ulps=0, note="specials")


def _running() -> Iterator[Sample]:
    tables: tuple[tuple[Primitive, Domain, dict[str, Any]], ...] = (
        (ops.cumsum, reals(-2, 2), {"ulps": 16, "scale": 4.0}),
        (ops.cumprod, away_from(0.0), {"ulps": 32}),
        (ops.cummax, distinct(), {"ulps": 0}),
        (ops.cummin, distinct(), {"ulps": 0}),
        (ops.cumlogsumexp, reals(-2, 2), {"ulps": 32, "scale": 1.0}),
    )
    for primitive, domain, bound in tables:
        for reverse in (False, True):
            for type, axis in RUNNING:
                params = {"axis": axis, "reverse": reverse}
                yield Sample(primitive, (domain(type),), params, **bound)
            if primitive is not ops.cumlogsumexp:
                x = integers(0, 3)("i32[5]")
                yield Sample(primitive, (x,), {"axis": 0, "reverse": reverse}, ulps=0)
        specials = exactly(WITH_NAN, "f64")
        yield Sample(primitive, (specials,), {"axis": 1, "reverse": False}, smooth=False,
                     note="specials", **bound)  # fmt: skip
    zeros = exactly([2.0, 0.0, 3.0, 0.0, 0.5], "f64")
    yield Sample(ops.cumprod, (zeros,), {"axis": 0, "reverse": False}, note="zeros")
    far = exactly([-800.0, 2.0, 900.0, -INF, 899.0], "f64")
    none = exactly([-INF, -INF, 1.0], "f64")
    for x in (far, none):
        params = {"axis": 0, "reverse": False}
        yield Sample(ops.cumlogsumexp, (x,), params, smooth=False, note="far apart")


def _sorts() -> Iterator[Sample]:
    for type, axis in (*RUNNING, ("f64[3,4,2]", 1)):
        yield Sample(ops.sort, (distinct()(type),), {"axis": axis, "keys": 1}, ulps=0)
    for type in ("i32[9]", "u8[3,3]", "bool[7]"):
        yield Sample(ops.sort, (operand(type),), {"axis": 0, "keys": 1}, ulps=0)
    few, values = integers(0, 2), reals(-2, 2)
    pair = (few("i64[9]"), values("f64[9]"))
    yield Sample(ops.sort, pair, {"axis": 0, "keys": 1}, ulps=0, note="stable")
    yield Sample(ops.sort, pair, {"axis": 0, "keys": 2}, ulps=0, note="two keys")
    three = (few("f64[2,9]"), few("i64[2,9]"), values("f64[2,9]"))
    yield Sample(ops.sort, three, {"axis": 1, "keys": 2}, ulps=0, smooth=False, note="three")
    specials = (exactly([3.0, NAN, -0.0, 0.0, INF, NAN, -INF], "f64"), operand("i64[7]"))
    yield Sample(ops.sort, specials, {"axis": 0, "keys": 1}, ulps=0, smooth=False, note="specials")


ROWS: tuple[Sample, ...] = (*_reductions(), *_places(), *_running(), *_sorts())

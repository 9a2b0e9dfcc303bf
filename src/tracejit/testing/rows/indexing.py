"""Rows of `ops/indexing.py`: places in range and out of it, once and several times."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from tracejit.ir.primitive import Primitive
from tracejit.ops import indexing as ops
from tracejit.testing.domains import (
    Arg,
    Domain,
    away_from,
    distinct,
    exactly,
    integers,
    reals,
    splat,
)
from tracejit.testing.rows.structure import operand
from tracejit.testing.samples import Sample

#: (x, indices, updates, axes, batch, note). Indices are drawn in 0 .. 2, sizes are 3 and more.
PLACES: tuple[tuple[str, str, str, tuple[int, ...], int, str], ...] = (
    ("f64[5]", "i64[1]", "f64[]", (0,), 0, "one"),
    ("f64[5]", "i64[4,1]", "f64[4]", (0,), 0, ""),
    ("f64[5]", "i32[2,3,1]", "f64[2,3]", (0,), 0, ""),
    ("f64[5,3]", "i64[4,1]", "f64[4,3]", (0,), 0, "rows"),
    ("f64[5,3]", "u8[4,1]", "f64[4,5]", (1,), 0, "columns"),
    ("f64[5,3]", "i64[4,2]", "f64[4]", (0, 1), 0, "elements"),
    ("f32[3,2,4]", "i64[2,2]", "f32[2,2]", (0, 2), 0, "rest between"),
    ("f64[2,5]", "i64[2,3,1]", "f64[2,3]", (1,), 1, "batch"),
    ("f64[2,3,4]", "i64[2,2,1]", "f64[2,2,3]", (2,), 1, "batch and rest"),
    ("f64[2,3,4]", "i8[2,3,2,1]", "f64[2,3,2]", (2,), 2, "two batches"),
    ("f64[3]", "i64[2,0]", "f64[2,3]", (), 0, "no axes"),
    ("f64[2,3]", "i64[2,2,0]", "f64[2,2,3]", (), 1, "batch, no axes"),
    ("f64[5]", "i64[0,1]", "f64[0]", (0,), 0, "nowhere"),
    ("f64[0,3]", "i64[2,1]", "f64[2,0]", (1,), 0, "empty"),
    ("i32[5]", "i64[4,1]", "i32[4]", (0,), 0, ""),
    ("f16[5]", "i64[4,1]", "f16[4]", (0,), 0, ""),
)
INSIDE, ACROSS = integers(0, 2), integers(-2, 7)


def _indices(type: str, domain: Domain) -> Arg:
    return integers(0, 9)(type) if type[0] == "u" and domain is ACROSS else domain(type)


def _gathers() -> Iterator[Sample]:
    for x, indices, _, axes, batch, note in PLACES:
        params = {"axes": axes, "batch": batch}
        yield Sample(ops.gather, (operand(x), INSIDE(indices)), params, ulps=0, note=note)
        across = _indices(indices, ACROSS)
        yield Sample(ops.gather, (operand(x), across), params, ulps=0, note=note + ", clamped")
    params = {"axes": (0,), "batch": 0}
    known = splat(1, "i64[4,1]")
    yield Sample(ops.gather, (operand("f64[5]"), known), params, ulps=0)
    yield Sample(ops.gather, (operand("bool[5]"), INSIDE("i64[4,1]")), params, ulps=0)


def _scatters() -> Iterator[Sample]:
    """Drawn from distinct numbers, none of the updates 0, so that extrema do not tie."""
    tables: tuple[tuple[Primitive, int], ...] = (
        (ops.scatter_add, 8), (ops.scatter, 0), (ops.scatter_mul, 8), (ops.scatter_min, 0),
        (ops.scatter_max, 0),
    )  # fmt: skip
    for primitive, ulps in tables:
        for x, indices, updates, axes, batch, note in PLACES:
            params = {"axes": axes, "batch": batch}
            target = distinct()(x) if x[0] == "f" else operand(x)
            values = distinct(0.125)(updates) if x[0] == "f" else operand(updates)
            row = Sample(primitive, (target, INSIDE(indices), values), params, ulps=ulps, note=note)
            row = replace(row, scale=2.0 if ulps else 0.0)
            yield row
            across = (target, _indices(indices, ACROSS), values)
            yield replace(row, args=across, note=note + ", dropped")
    one_axis = {"axes": (0,), "batch": 0}
    zero = splat(0.0, "f64[5]")
    args = (zero, INSIDE("i64[4,1]"), operand("f64[4]"))
    yield Sample(ops.scatter_add, args, one_axis, ulps=8, scale=2.0)
    args = (operand("f64[5]"), INSIDE("i64[4,1]"), splat(0.0, "f64[4]"))
    yield Sample(ops.scatter, args, one_axis, ulps=0)
    args = (operand("bool[5]"), INSIDE("i64[4,1]"), operand("bool[4]"))
    yield Sample(ops.scatter, args, one_axis, ulps=0)
    places = exactly([[0], [0], [0], [1], [1], [2], [2], [3]], "i64")
    factors = exactly([0.0, 2.0, 3.0, 0.0, 0.0, 0.0, 1.5, 2.0], "f64")
    args = (away_from(0.0)("f64[5]"), places, factors)
    yield Sample(ops.scatter_mul, args, one_axis, note="zeros")


def _windows() -> Iterator[Sample]:
    rows: tuple[tuple[str, tuple[int, ...], str], ...] = (
        ("f64[7]", (3,), "i64[]"), ("f64[7]", (7,), "i64[]"), ("f64[7]", (0,), "i64[]"),
        ("f64[4,5]", (2, 5), "i32[]"), ("f64[4,5]", (2, 2), "i64[]"),
        ("f32[3,4,5]", (1, 4, 2), "i64[]"), ("i32[6]", (2,), "u8[]"), ("f64[4]", (1,), "i8[]"),
        ("f64[0,3]", (0, 2), "i64[]"), ("f64[]", (), "i64[]"),
    )  # fmt: skip
    for x, sizes, start in rows:
        for domain, note in ((INSIDE, ""), (integers(0, 9), "far"), (integers(-9, -1), "before")):
            if start[0] == "u" and note == "before":
                continue
            starts = (domain(start),) * len(sizes)
            params: dict[str, Any] = {"sizes": sizes}
            yield Sample(ops.dynamic_slice, (operand(x), *starts), params, ulps=0, note=note)
            update = operand(f"{x[: x.index('[')]}[{','.join(map(str, sizes))}]")
            args = (operand(x), update, *starts)
            yield Sample(ops.dynamic_update_slice, args, ulps=0, note=note)
    known = (operand("f64[4,5]"), splat(1, "i64[]"), INSIDE("i64[]"))
    yield Sample(ops.dynamic_slice, known, {"sizes": (2, 2)}, ulps=0)
    blank = (splat(0.0, "f64[5]"), reals(-1, 1)("f64[2]"), INSIDE("i64[]"))
    yield Sample(ops.dynamic_update_slice, blank, ulps=0)


ROWS: tuple[Sample, ...] = (*_gathers(), *_scatters(), *_windows())

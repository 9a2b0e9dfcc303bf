"""Rows of `ops/contraction.py`. Terms cancel, so the unit is that of a sum of a few numbers."""

from __future__ import annotations

from typing import Any

from tracejit.ops import contraction as ops
from tracejit.testing.domains import half_types, integers, reals, splat
from tracejit.testing.samples import Sample


def _dot(x: str, y: str, contract: Any, batch: Any = ((), ()), note: str = "") -> Sample:
    domain = reals(-2, 2) if x.startswith("f") else integers(0, 5)
    params = {"contract": contract, "batch": batch}
    return Sample(ops.dot, (domain(x), domain(y)), params, ulps=16, scale=4.0, note=note)


ROWS: tuple[Sample, ...] = (
    _dot("f64[3]", "f64[3]", ((0,), (0,)), note="inner"),
    _dot("f64[3]", "f64[2]", ((), ()), note="outer"),
    _dot("f64[]", "f64[]", ((), ()), note="scalars"),
    _dot("f64[]", "f64[3]", ((), ()), note="scaling"),
    _dot("f64[3,4]", "f64[4]", ((1,), (0,)), note="matrix vector"),
    _dot("f64[4]", "f64[4,3]", ((0,), (0,)), note="vector matrix"),
    _dot("f64[3,4]", "f64[4,2]", ((1,), (0,)), note="matrix matrix"),
    _dot("f64[4,3]", "f64[4,2]", ((0,), (0,)), note="first transposed"),
    _dot("f64[3,4]", "f64[2,4]", ((1,), (1,)), note="second transposed"),
    _dot("f32[5,4]", "f32[4,5]", ((1,), (0,))),
    _dot("f64[2,3,4]", "f64[2,4,5]", ((2,), (1,)), ((0,), (0,)), note="batched"),
    _dot("f64[3,2,4]", "f64[5,4,2]", ((2,), (1,)), ((1,), (2,)), note="batch inside"),
    _dot("f64[2,3]", "f64[3,2]", ((), ()), ((0, 1), (1, 0)), note="products"),
    _dot("f64[2,3,4]", "f64[4,3,5]", ((2, 1), (0, 1)), note="two axes"),
    _dot("f64[2,3,4]", "f64[3,5,4]", ((1, 2), (0, 2)), note="two axes, one free between"),
    _dot("f64[2,3,4]", "f64[4,2,3]", ((0, 1, 2), (1, 2, 0)), note="all axes"),
    _dot("f64[3,0]", "f64[0,2]", ((1,), (0,)), note="nothing to sum"),
    _dot("f64[0,3]", "f64[3,2]", ((1,), (0,)), note="empty"),
    _dot("f64[1,1]", "f64[1,4]", ((1,), (0,))),
    *(
        _dot(x, y, ((1,), (0,)))
        for x, y in zip(half_types("[3,40]"), half_types("[40,2]"), strict=True)
    ),
    _dot("f16[5]", "f16[5]", ((0,), (0,))),
    _dot("i32[3,4]", "i32[4,2]", ((1,), (0,))),
    _dot("u8[3,4]", "u8[4,2]", ((1,), (0,))),
    _dot("f64[17,33]", "f64[33,19]", ((1,), (0,)), note="odd sizes"),
    _dot("f32[33,40]", "f32[40]", ((1,), (0,)), note="odd sizes"),
    Sample(
        ops.dot, (reals(-2, 2)("f64[3,4]"), splat(1.0, "f64[4]")),
        {"contract": ((1,), (0,)), "batch": ((), ())}, ulps=16, scale=4.0,
    ),
)  # fmt: skip

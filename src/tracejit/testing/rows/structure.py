"""Rows of `ops/structure.py`: no bit may change, but for sums."""

from __future__ import annotations

from typing import Any

from tracejit.ir.primitive import Primitive
from tracejit.ir.types import DTYPES
from tracejit.ops import structure as ops
from tracejit.testing.domains import (
    Arg,
    bits,
    booleans,
    exactly,
    half_types,
    integers,
    reals,
    splat,
)
from tracejit.testing.samples import Sample


def operand(type: str) -> Arg:
    """Any value of the type's kind."""
    if type.startswith("bool"):
        return booleans()(type)
    return reals(-2, 2)(type) if type.startswith("f") else integers(0, 9)(type)


def _row(primitive: Primitive, *types: str, **params: Any) -> Sample:
    return Sample(primitive, tuple(map(operand, types)), params, ulps=0)


def _sum(type: str, *axes: int) -> Sample:
    return Sample(ops.reduce_sum, (operand(type),), {"axes": axes}, ulps=16, scale=4.0)


def _pad(type: str, low: Any, high: Any, interior: Any) -> Sample:
    fill = type[: type.index("[")] + "[]"
    return _row(ops.pad, type, fill, low=low, high=high, interior=interior)


def _iota(dtype: str, shape: Any, axis: int) -> Sample:
    return _row(ops.iota, dtype=DTYPES[dtype], shape=shape, axis=axis)


_BROADCAST = (
    _row(ops.broadcast, "f64[]", shape=(3,), dims=()),
    _row(ops.broadcast, "f64[]", shape=(), dims=()),
    _row(ops.broadcast, "f64[3]", shape=(2, 3), dims=(1,)),
    _row(ops.broadcast, "f64[3]", shape=(3, 2), dims=(0,)),
    _row(ops.broadcast, "f32[2,3]", shape=(2, 4, 3), dims=(0, 2)),
    _row(ops.broadcast, "f64[3]", shape=(0, 3), dims=(1,)),
    _row(ops.broadcast, "bool[2]", shape=(2, 3), dims=(0,)),
    _row(ops.broadcast, "u8[1]", shape=(1, 4), dims=(0,)),
    _row(ops.broadcast, "f16[3]", shape=(2, 3), dims=(1,)),
    Sample(ops.broadcast, (splat(2.5, "f64[3]"),), {"shape": (2, 3), "dims": (1,)}, ulps=0),
)
_SUM = (
    *(_sum(type, 1) for type in half_types("[3,40]")),
    _sum("f64[7]", 0),
    _sum("f64[]"),
    _sum("f64[2,3]"),
    _sum("f64[2,3]", 0),
    _sum("f64[2,3]", 1),
    _sum("f64[2,3]", 1, 0),
    _sum("f32[2,3,4]", 0, 2),
    _sum("f64[2,3,4]", 1),
    _sum("f64[0,3]", 0),
    _sum("f64[0,3]", 1),
    _sum("f64[1]", 0),
    _sum("i32[5]", 0),
    _sum("f64[67]", 0),
    _sum("f32[5,37]", 1),
    _sum("f32[37,5]", 0),
    Sample(ops.reduce_sum, (bits()("u8[40]"),), {"axes": (0,)}, ulps=0, note="wraps around"),
)
_MOVES = (
    _row(ops.reshape, "f64[6]", shape=(2, 3)),
    _row(ops.reshape, "f64[2,3]", shape=(3, 2)),
    _row(ops.reshape, "f64[1]", shape=()),
    _row(ops.reshape, "f32[2,3,4]", shape=(4, 6)),
    _row(ops.reshape, "f64[0,3]", shape=(3, 0, 2)),
    _row(ops.reshape, "i64[4]", shape=(2, 1, 2)),
    _row(ops.permute, "f64[2,3]", order=(1, 0)),
    _row(ops.permute, "f64[2,3,4]", order=(2, 0, 1)),
    _row(ops.permute, "f32[2,3,4]", order=(0, 2, 1)),
    _row(ops.permute, "f64[]", order=()),
    _row(ops.permute, "bool[3,0]", order=(1, 0)),
    _row(ops.reverse, "f64[5]", axes=(0,)),
    _row(ops.reverse, "f64[2,3]", axes=(1,)),
    _row(ops.reverse, "f32[2,3]", axes=(0, 1)),
    _row(ops.reverse, "f64[2]", axes=()),
    _row(ops.reverse, "i32[0]", axes=(0,)),
)
_SLICES = (
    _row(ops.slice, "f64[7]", start=(1,), limit=(6,), stride=(2,)),
    _row(ops.slice, "f64[7]", start=(0,), limit=(7,), stride=(3,)),
    _row(ops.slice, "f64[7]", start=(2,), limit=(2,), stride=(1,)),
    _row(ops.slice, "f64[4,5]", start=(1, 0), limit=(3, 5), stride=(1, 4)),
    _row(ops.slice, "f32[3]", start=(2,), limit=(3,), stride=(5,)),
    _row(ops.slice, "i64[0]", start=(0,), limit=(0,), stride=(1,)),
    _row(ops.slice, "bool[3,2]", start=(0, 1), limit=(3, 2), stride=(2, 1)),
    _row(ops.slice, "f64[]", start=(), limit=(), stride=()),
    _pad("f64[3]", (2,), (1,), (0,)),
    _pad("f64[3]", (0,), (0,), (2,)),
    _pad("f64[0]", (1,), (2,), (3,)),
    _pad("f32[2,3]", (0, 1), (2, 0), (1, 0)),
    _pad("f64[2,0]", (1, 0), (0, 2), (1, 1)),
    _pad("i32[3]", (1,), (0,), (1,)),
    _pad("bool[2]", (1,), (1,), (0,)),
    _pad("f64[]", (), (), ()),
    _pad("f16[3]", (1,), (2,), (1,)),
    Sample(
        ops.pad, (operand("f64[3]"), splat(0.0, "f64[]")),
        {"low": (1,), "high": (1,), "interior": (1,)}, ulps=0,
    ),
    Sample(
        ops.pad, (exactly([1.0, float("nan"), float("inf")], "f64"), exactly(5.0, "f64")),
        {"low": (1,), "high": (1,), "interior": (1,)}, ulps=0, smooth=False, note="specials",
    ),
)  # fmt: skip
_CONCATENATIONS = (
    _row(ops.concatenate, "f64[2]", "f64[3]", axis=0),
    _row(ops.concatenate, "f64[2,3]", "f64[2,1]", "f64[2,0]", axis=1),
    _row(ops.concatenate, "f32[1,2,3]", "f32[2,2,3]", axis=0),
    _row(ops.concatenate, "f64[3]", axis=0),
    _row(ops.concatenate, "i32[2]", "i32[2]", axis=0),
    _row(ops.concatenate, "f64[0]", "f64[0]", axis=0),
    Sample(ops.concatenate, (operand("f64[2]"), splat(0.0, "f64[1]")), {"axis": 0}, ulps=0),
)
_IOTAS = (
    _iota("f64", (4,), 0),
    _iota("i64", (2, 3), 1),
    _iota("u8", (2, 3, 2), 0),
    _iota("f32", (0, 3), 1),
    _iota("i32", (1,), 0),
    _iota("f16", (5,), 0),
)

ROWS: tuple[Sample, ...] = _BROADCAST + _SUM + _MOVES + _SLICES + _CONCATENATIONS + _IOTAS

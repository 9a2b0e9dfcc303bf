"""Wrong operands of primitives: which error, and what it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tracejit.errors import ArgumentError, AxisError, DTypeError, IndexingError, ShapeError
from tracejit.ir.atoms import Var
from tracejit.ir.builder import building
from tracejit.ops import contraction, elementwise, indexing, random, reduction, special, structure
from tracejit.testing import read_type

INT64 = np.dtype("int64")
WRONG: list[tuple[Callable[..., Any], str, dict[str, Any], type[Exception], str]] = [
    (elementwise.add, "f64[3] f64[2]", {}, ShapeError, r"add: operands differ in shape, f64\[3\]"),
    (elementwise.add, "f64[3] f32[3]", {}, DTypeError, r"differ in dtype.*\n.*astype"),
    (elementwise.add, "bool[3] bool[3]", {}, DTypeError, r"add does not accept bool\[3\]"),
    (elementwise.add, "f64[3]", {}, TypeError, "add takes 2 operands, got 1"),
    (elementwise.sin, "i64[3]", {}, DTypeError, "sin does not accept i64"),
    (elementwise.and_, "f64[] f64[]", {}, DTypeError, "and does not accept f64"),
    (elementwise.integer_pow, "i64[3]", {"n": -1}, DTypeError, "no integer value\n.*float"),
    (elementwise.select, "f64[3] f64[3] f64[3]", {}, DTypeError, "condition must be bool"),
    (elementwise.select, "bool[] f64[3] f64[3]", {}, ShapeError, "differ in shape"),
    (elementwise.bitcast, "f64[3]", {"dtype": np.dtype("i4")}, DTypeError, "differ in width"),
    (elementwise.bitcast, "f64[3]", {"dtype": np.dtype("c8")}, DTypeError, "no bits of f64"),
    (elementwise.convert, "f64[3]", {"dtype": np.dtype("O")}, DTypeError, "no conversion"),
    (special.erf, "i32[]", {}, DTypeError, "erf does not accept i32"),
    (special.polygamma, "f64[]", {"n": 0}, ArgumentError, "at least 1, got 0\n.*digamma"),
    (structure.broadcast, "f64[3]", {"shape": (2, 3), "dims": (0,)}, ShapeError, "does not fit"),
    (structure.broadcast, "f64[3]", {"shape": (3,), "dims": (1,)}, AxisError, "do not place"),
    (structure.broadcast, "f64[2,3]", {"shape": (3, 2), "dims": (1, 0)}, AxisError, "do not place"),
    (structure.reduce_sum, "f64[3]", {"axes": (1,)}, AxisError, r"axes \(1,\).*rank 1"),
    (structure.reduce_sum, "f64[3]", {"axes": (0, 0)}, AxisError, "reduce_sum: axes"),
    (structure.reduce_sum, "bool[3]", {"axes": (0,)}, DTypeError, "does not accept bool"),
    (structure.reshape, "f64[6]", {"shape": (4, 2)}, ShapeError, "6 elements"),
    (structure.permute, "f64[2,3]", {"order": (0, 0)}, AxisError, "no permutation"),
    (structure.reverse, "f64[2]", {"axes": (1,)}, AxisError, "reverse: axes"),
    (structure.slice, "i8[3]", {"start": (0,), "limit": (4,), "stride": (1,)}, ShapeError, "0:4:1"),
    (structure.slice, "f64[3]", {"start": (), "limit": (), "stride": ()}, ShapeError, "do not fit"),
    (
        structure.pad, "f64[3] f32[]", {"low": (0,), "high": (0,), "interior": (0,)},
        ShapeError, r"fill must be a f64\[\], got f32",
    ),
    (
        structure.pad, "f64[3] f64[]", {"low": (-1,), "high": (0,), "interior": (0,)},
        ShapeError, "do not fit",
    ),
    (structure.concatenate, "", {"axis": 0}, ArgumentError, "nothing to concatenate"),
    (structure.concatenate, "f64[2] f32[2]", {"axis": 0}, DTypeError, "differ in dtype"),
    (structure.concatenate, "f64[2,1] f64[2,2]", {"axis": 0}, ShapeError, "differ off axis 0"),
    (structure.iota, "", {"dtype": INT64, "shape": (2,), "axis": 1}, AxisError, "iota: axes"),
    (structure.iota, "", {"dtype": INT64, "shape": (-2,), "axis": 0}, DTypeError, "iota: no array"),
    (reduction.reduce_and, "f64[2]", {"axes": (0,)}, DTypeError, "does not accept f64"),
    (reduction.argmax, "f64[0]", {"axis": 0, "dtype": INT64}, ShapeError, "is empty"),
    (reduction.argmax, "f64[2]", {"axis": 0, "dtype": np.dtype("f8")}, DTypeError, "no index"),
    (reduction.cumsum, "f64[2]", {"axis": 2, "reverse": False}, AxisError, "cumsum: axes"),
    (reduction.cumlogsumexp, "i64[2]", {"axis": 0, "reverse": False}, DTypeError, "not accept i64"),
    (reduction.sort, "f64[2]", {"axis": 0, "keys": 2}, ArgumentError, "2 keys out of 1"),
    (reduction.sort, "f64[2] i64[3]", {"axis": 0, "keys": 1}, ShapeError, "differ in shape"),
    (reduction.sort, "f64[]", {"axis": 0, "keys": 1}, AxisError, "sort: axes"),
    (
        contraction.dot, "f64[2,3] f64[2,3]", {"contract": ((1,), (0,)), "batch": ((), ())},
        ShapeError, r"contract axes \(1,\) of f64\[2,3\] and \(0,\)",
    ),
    (
        contraction.dot, "f64[2,3] f64[3,2]", {"contract": ((1,), (0,)), "batch": ((1,), (0,))},
        AxisError, "dot: axes",
    ),
    (
        contraction.dot, "f64[3] f32[3]", {"contract": ((0,), (0,)), "batch": ((), ())},
        DTypeError, "dot: operands differ in dtype",
    ),
    (indexing.gather, "f64[3] f64[2,1]", {"axes": (0,), "batch": 0}, DTypeError, "are integers"),
    (indexing.gather, "f64[3] i64[2]", {"axes": (0,), "batch": 0}, ShapeError, "index vectors"),
    (indexing.gather, "f64[0] i64[2,1]", {"axes": (0,), "batch": 0}, IndexingError, "is empty"),
    (indexing.gather, "f64[3,4] i64[2,2]", {"axes": (1, 0), "batch": 0}, AxisError, "must ascend"),
    (indexing.gather, "f64[3,4] i64[2,1]", {"axes": (1,), "batch": 1}, ShapeError, "batch axes"),
    (
        indexing.scatter_add, "f64[3] i64[2,1] f64[3]", {"axes": (0,), "batch": 0},
        ShapeError, r"updates must be f64\[2\], got f64\[3\]",
    ),
    (
        indexing.scatter_mul, "bool[3] i64[2,1] bool[2]", {"axes": (0,), "batch": 0},
        DTypeError, "scatter_mul does not accept bool",
    ),
    (indexing.dynamic_slice, "f64[3] i64[]", {"sizes": (4,)}, ShapeError, "does not fit"),
    (indexing.dynamic_slice, "f64[3] f64[]", {"sizes": (2,)}, DTypeError, "starts are integers"),
    (indexing.dynamic_slice, "f64[3]", {"sizes": (2,)}, ShapeError, "needs 1 starts"),
    (indexing.dynamic_update_slice, "f64[3] f32[2] i64[]", {}, DTypeError, "differ in dtype"),
    (indexing.dynamic_update_slice, "f64[3] f64[1,1] i64[]", {}, ShapeError, "window of rank 1"),
    (random.threefry2x32, "u32[] u32[] u32[]", {}, TypeError, "takes 4 operands, got 3"),
    (random.threefry2x32, "i32[] i32[] i32[] i32[]", {}, DTypeError, "does not accept i32"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("primitive", "types", "params", "error", "message"),
    [pytest.param(*case, id=f"{case[0].name}-{case[4][:20]}") for case in WRONG],
)
def test_wrong_operands(
    primitive: Any, types: str, params: dict[str, Any], error: type[Exception], message: str
) -> None:
    operands = [Var(read_type(text)) for text in types.split()]
    with building() as builder, pytest.raises(error, match=message):
        primitive(*operands, **params)
    assert builder.equations == []

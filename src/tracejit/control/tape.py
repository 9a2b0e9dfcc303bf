"""Tapes: rows of a loop whose number of rounds is known at run time alone.

A tape is written by one loop, row after row, and read by others, in either order. In a program it
is a value without a shape, of the dtype `tape`; what its rows are, the bodies say that write and
read them. Tapes of nested loops are elements of arrays of tapes. The zero of the type is a tape of
zeros, however long.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import TAPE, ArrayType, array_type, with_axis
from tracejit.ir.walk import held_jaxprs


class Tape:
    """What the eager backend has for a tape: a list of rows."""

    __slots__ = ("rows",)
    dtype, shape, ndim = TAPE, (), 0

    def __init__(self, rows: Sequence[Any]):
        self.rows = list(rows)


def stacked(row: ArrayType, length: int | None) -> ArrayType:
    """The type of `length` rows; of a tape of them, where that is not known."""
    if length is None:
        return array_type(TAPE)
    return row.with_shape(with_axis(row.shape, 0, length))


def read_row(x: Any, i: int, row: ArrayType) -> Any:
    """Row number i of an array, or of a tape."""
    if x.dtype != TAPE or x.ndim:
        return x[i]
    tape = x.item() if isinstance(x, np.ndarray) else x
    return tape.rows[i] if isinstance(tape, Tape) else np.zeros(row.shape, row.dtype)


def room(row: ArrayType, length: int, on_tape: bool) -> Any:
    """Where `length` rows go, as `write_row` does it."""
    return Tape([None] * length) if on_tape else np.empty((length, *row.shape), row.dtype)


def write_row(y: Any, i: int, value: Any) -> None:
    """Put row number i."""
    if isinstance(y, Tape):
        y.rows[i] = value
    else:
        y[i] = value


def makes_tapes(jaxpr: Jaxpr) -> bool:
    """Whether a loop of a jaxpr, or within one, writes tapes."""
    return any(
        any(v.dtype == TAPE for v in eqn.outvars)
        or any(makes_tapes(body) for _, body in held_jaxprs(eqn))
        for eqn in jaxpr.equations
    )

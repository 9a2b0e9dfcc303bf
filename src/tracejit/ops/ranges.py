"""Arithmetic of ranges: between which numbers a result lies if its operands lie between some."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

#: The least and the greatest number, both included.
Range = tuple[int, int]
#: The same, where an end may be infinite.
OpenRange = tuple[float, float]
N = TypeVar("N", int, float)


def limits_of(dtype: Any) -> Range:
    """The least and the greatest integer of a dtype."""
    bits = 8 * dtype.itemsize
    return (0, (1 << bits) - 1) if dtype.kind == "u" else (-(1 << bits - 1), (1 << bits - 1) - 1)


def decided(name: str, a: OpenRange, b: OpenRange) -> bool | None:
    """Whether x < y, or its like, for all x of one range and y of another; None if it depends."""
    if name in ("eq", "ne"):
        if a[1] < b[0] or b[1] < a[0]:
            return name == "ne"
        return name == "eq" if a == b and a[0] == a[1] else None
    if name in ("gt", "ge"):
        a, b = b, a
    if name in ("lt", "gt"):
        return True if a[1] < b[0] else False if a[0] >= b[1] else None
    return True if a[1] <= b[0] else False if a[0] > b[1] else None


def ends_of(name: str, ranges: Sequence[tuple[N, N]]) -> tuple[N, N]:
    """The range of add, sub, mul, max or min of two numbers."""
    ends = ENDS[name](*ranges)
    return min(ends), max(ends)


#: From the ranges of two numbers, numbers whose least and greatest are the ends.
ENDS: dict[str, Any] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "mul": lambda a, b: [i * j for i in a for j in b],
    "max": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
    "min": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
}

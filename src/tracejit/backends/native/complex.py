"""Complex numbers at the borders of a program: in memory and in registers.

    z: c128[n] in memory      x0 y0 x1 y1 x2 y2 x3 y3          one vector for 4 elements
    real(z), imag(z)          x0 x1 x2 x3   y0 y1 y2 y3        shuffles of it
    complex(x, y)             x0 y0 x1 y1 ...                  a shuffle, stored as it lies

An element is two lanes, so that L of them side by side are loaded and stored as 2 L numbers. That
is all there is to do with complex values: a pass has made pairs of them (`passes/pairs`).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.backends.native.emit import Function, Type, Value, lanes_constant
from tracejit.backends.native.lowering import LOWERINGS, Pointwise
from tracejit.ops import complex as ops


def _part(first: int) -> Any:
    def row(b: Function, dtype: np.dtype, z: Value) -> Value:
        lanes = list(range(first, z.type.lanes, 2))
        return b.extract(z, first) if len(lanes) == 1 else b.shuffle(z, None, lanes)

    return row


def _together(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    n = x.type.lanes
    if n == 1:
        return b.insert(b.insert(b.constant(x.type.vector(2), 0), x, 0), y, 1)
    return b.shuffle(x, y, [k for i in range(n) for k in (i, n + i)])


def twice(fn: Function, x: Value) -> Value:
    """Each lane two times."""
    lanes = [i for i in range(x.type.lanes) for _ in range(2)]
    return fn.splat(x, 2) if x.type.lanes == 1 else fn.shuffle(x, None, lanes)


def load_pairs(
    nest: Any, pointer: Value, type: Type, at: Value, stride: int, mask: Value | None
) -> Value:
    """Elements in registers of the type, from element `at` of an array on, and so far apart."""
    fn: Function = nest.fn
    mask = None if mask is None else twice(fn, mask)
    if type.lanes == 2 or (at.type.lanes == 1 and stride == 1):
        address = fn.offset(pointer, fn.add(at, at), type)
        return fn.load(type, address) if mask is None else fn.masked_load(type, address, mask)
    return fn.gather(type, pointer, _places(nest, at, stride), mask)


def store_pairs(
    nest: Any, pointer: Value, value: Value, at: Value, stride: int, mask: Value | None, lanes: int
) -> None:
    """Store elements, or one number for each lane of `lanes`."""
    fn: Function = nest.fn
    if value.type.lanes != 2 * lanes:
        value = fn.shuffle(value, None, [0, 1] * lanes)
    mask = None if mask is None else twice(fn, mask)
    if lanes > 1 and (stride != 1 or at.type.lanes > 1):
        fn.scatter(value, pointer, _places(nest, at, stride), mask)
        return
    address = fn.offset(pointer, fn.add(at, at), value.type)
    if mask is None:
        fn.store(value, address)
    else:
        fn.masked_store(value, address, mask)


def _places(nest: Any, at: Value, stride: int) -> Value:
    """Where the parts of elements lie, counted in parts."""
    fn: Function = nest.fn
    if stride:
        at = fn.add(fn.splat(at, nest.lanes), nest.lane_steps(stride))
    places = twice(fn, fn.add(at, at))
    halves: list[float | int | bool] = [i % 2 for i in range(places.type.lanes)]
    return fn.add(places, lanes_constant(places.type, halves))


LOWERINGS.rows(
    __name__,
    {
        ops.real: Pointwise(_part(0)),
        ops.imag: Pointwise(_part(1)),
        ops.complex: Pointwise(_together),
    },
)

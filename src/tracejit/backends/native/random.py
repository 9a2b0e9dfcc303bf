"""Lowering of threefry2x32: twenty rounds on pairs of 32-bit words, in registers."""

from __future__ import annotations

from typing import Any

from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.lowering import LOWERINGS, Pointwise
from tracejit.ops import random as ops

# Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3", table 2 and section 3.3.
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
PARITY = 0x1BD11BDA


def _threefry(
    b: Function, dtype: Any, k0: Value, k1: Value, x0: Value, x1: Value
) -> tuple[Value, Value]:
    keys = (k0, k1, b.xor(b.xor(k0, k1), b.like(k0, PARITY)))
    x0, x1 = b.add(x0, keys[0]), b.add(x1, keys[1])
    for group in range(5):
        for turn in ROTATIONS[group % 2]:
            x0 = b.add(x0, x1)
            x1 = b.or_(b.shl(x1, b.like(x1, turn)), b.lshr(x1, b.like(x1, 32 - turn)))
            x1 = b.xor(x1, x0)
        x0 = b.add(x0, keys[(group + 1) % 3])
        x1 = b.add(b.add(x1, keys[(group + 2) % 3]), b.like(x1, group + 1))
    return x0, x1


LOWERINGS.rows(__name__, {ops.threefry2x32: Pointwise(_threefry, cost=100)})

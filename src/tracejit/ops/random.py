"""Random bits: the Threefry-2x32 block cipher, counters to bits under a key.

Salmon, Moraes, Dror, Shaw: Parallel random numbers, as easy as 1, 2, 3 (SC 2011), with 20 rounds.
Everything else about random numbers is made of this and of arithmetic, in `tracejit.random`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import POINTWISE, ZERO, Primitive, accept
from tracejit.ir.types import UINT32, ArrayType

#: By how many bits the second word is rotated: one row for the even groups of four rounds, one for
#: the odd.
ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
#: The third word of the key schedule is this, xor the two words of the key.
PARITY = 0x1BD11BDA


def _threefry_typing(*types: ArrayType) -> tuple[ArrayType, ...]:
    if len(types) != 4:
        raise TypeError(f"threefry2x32 takes 4 operands, got {len(types)}")
    accept("threefry2x32", types, frozenset({UINT32}))
    return types[:2]


def _threefry_value(k0: Any, k1: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(PARITY))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(5):
        for bits in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = ((x1 << np.uint32(bits)) | (x1 >> np.uint32(32 - bits))) ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + np.uint32(group + 1)
    return x0, x1


threefry2x32 = Primitive(
    "threefry2x32", typing=_threefry_typing, evaluate=_threefry_value,
    jvp=ZERO, batch=POINTWISE, single=False,
    doc="Two words of counter (x0, x1) to two words of random bits, under the key (k0, k1).",
)  # fmt: skip

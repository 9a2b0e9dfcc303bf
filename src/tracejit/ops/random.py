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
#: Elements that NumPy encrypts together: four arrays of them fit in a cache of 128 KiB.
BLOCK = 8192


def _threefry_typing(*types: ArrayType) -> tuple[ArrayType, ...]:
    if len(types) != 4:
        raise TypeError(f"threefry2x32 takes 4 operands, got {len(types)}")
    accept("threefry2x32", types, frozenset({UINT32}))
    return types[:2]


def _threefry_value(k0: Any, k1: Any, x0: Any, x1: Any) -> tuple[Any, Any]:
    """A block of elements at a time, in place: what is read next is still in the cache."""
    flat = [np.reshape(word, -1) for word in (k0, k1, x0, x1)]
    outs = np.empty((2, flat[0].size), np.uint32)
    for start in range(0, flat[0].size, BLOCK):
        block = slice(start, start + BLOCK)
        _encrypt_block(*[word[block] for word in flat], *outs[:, block])
    return outs[0].reshape(np.shape(k0)), outs[1].reshape(np.shape(k0))


def _encrypt_block(k0: Any, k1: Any, x0: Any, x1: Any, y0: Any, y1: Any) -> None:
    """The twenty rounds, from x to y."""
    keys = (k0, k1, k0 ^ k1 ^ np.uint32(PARITY))
    np.add(x0, k0, out=y0)
    np.add(x1, k1, out=y1)
    left = np.empty_like(y1)
    for group in range(5):
        for bits in ROTATIONS[group % 2]:
            y0 += y1
            np.left_shift(y1, np.uint32(bits), out=left)
            y1 >>= np.uint32(32 - bits)
            y1 |= left
            y1 ^= y0
        y0 += keys[(group + 1) % 3]
        y1 += keys[(group + 2) % 3] + np.uint32(group + 1)


threefry2x32 = Primitive(
    "threefry2x32", typing=_threefry_typing, evaluate=_threefry_value,
    jvp=ZERO, batch=POINTWISE, single=False,
    doc="Two words of counter (x0, x1) to two words of random bits, under the key (k0, k1).",
)  # fmt: skip

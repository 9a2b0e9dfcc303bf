"""The row of the block cipher."""

from __future__ import annotations

import jax
from jax import lax

from tracejit.backends.xla.table import LOWERINGS, full_like
from tracejit.ops import random as ops
from tracejit.ops.random import PARITY, ROTATIONS


@LOWERINGS.rule(ops.threefry2x32)
def threefry2x32(
    k0: jax.Array, k1: jax.Array, x0: jax.Array, x1: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """20 rounds, unrolled: one fused loop over the elements."""
    keys = (k0, k1, k0 ^ k1 ^ full_like(k0, PARITY))
    x0, x1 = x0 + keys[0], x1 + keys[1]
    for group in range(5):
        for bits in ROTATIONS[group % 2]:
            x0 = x0 + x1
            x1 = _rotated(x1, bits) ^ x0
        x0 = x0 + keys[(group + 1) % 3]
        x1 = x1 + keys[(group + 2) % 3] + full_like(x1, group + 1)
    return x0, x1


def _rotated(x: jax.Array, bits: int) -> jax.Array:
    """The word turned left by this many bits."""
    left = lax.shift_left(x, full_like(x, bits))
    return left | lax.shift_right_logical(x, full_like(x, 32 - bits))

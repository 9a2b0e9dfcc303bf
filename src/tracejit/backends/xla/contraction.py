"""The row of dot."""

from __future__ import annotations

import jax
from jax import lax

from tracejit.backends.xla.table import LOWERINGS
from tracejit.ops import contraction as ops
from tracejit.ops.contraction import AxisPair


@LOWERINGS.rule(ops.dot)
def dot(x: jax.Array, y: jax.Array, *, contract: AxisPair, batch: AxisPair) -> jax.Array:
    """In full precision also where the machine has a shorter one for float32 (GPU, TPU)."""
    return lax.dot_general(
        x, y, (contract, batch), precision=lax.Precision.HIGHEST, preferred_element_type=x.dtype
    )

"""The table of lowerings to jax.lax, and what its rows share.

A row is a function (*arrays, **params) -> array (a tuple where the primitive is not `single`),
called while jax traces, with 64 bits enabled. Arrays have the dtypes of the IR, never weak ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax import lax

from tracejit.backends.table import LoweringTable
from tracejit.ir.types import Shape

Lowering = Callable[..., Any]
LOWERINGS: LoweringTable[Lowering] = LoweringTable("xla")


def full(value: float, dtype: np.dtype, shape: Shape = ()) -> jax.Array:
    """One number in every place."""
    return lax.full(shape, value, dtype)


def full_like(x: jax.Array, value: float) -> jax.Array:
    """One number in every place, of the type of x."""
    return lax.full(x.shape, value, x.dtype)

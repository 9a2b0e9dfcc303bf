"""Structure rows: lax has them all, under names and conventions of its own."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import lax

from tracejit.backends.xla.table import LOWERINGS, full
from tracejit.ir.types import BOOL, INT32, Shape
from tracejit.ops import structure as ops

LOWERINGS.rows(__name__, {
    ops.broadcast: lambda x, *, shape, dims: lax.broadcast_in_dim(x, shape, dims),
    ops.reshape: lambda x, *, shape: lax.reshape(x, shape),
    ops.permute: lambda x, *, order: lax.transpose(x, order),
    ops.reverse: lambda x, *, axes: lax.rev(x, axes),
    ops.slice: lambda x, *, start, limit, stride: lax.slice(x, start, limit, stride),
    ops.concatenate: lambda *xs, axis: lax.concatenate(xs, axis),
    ops.reduce_sum: lambda x, *, axes: lax.reduce(x, full(0, x.dtype), lax.add, axes),
})  # fmt: skip


@LOWERINGS.rule(ops.pad)
def pad(x: jax.Array, fill: Any, *, low: Shape, high: Shape, interior: Shape) -> jax.Array:
    """lax wants a triple for each axis."""
    return lax.pad(x, fill, tuple(zip(low, high, interior, strict=True)))


@LOWERINGS.rule(ops.iota)
def iota(*, dtype: np.dtype, shape: Shape, axis: int) -> jax.Array:
    """lax counts in any dtype but bool."""
    counts = lax.broadcasted_iota(INT32 if dtype == BOOL else dtype, shape, axis)
    return lax.convert_element_type(counts, dtype)

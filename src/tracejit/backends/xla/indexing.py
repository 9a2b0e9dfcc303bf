"""Rows of gather, the scatters, and windows at dynamic starts.

Index vectors become int32 or int64, whichever holds the dtype of the indices. lax takes no index
vectors without components (K = 0): x gets an axis of size 1 then, and the vectors one zero.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import lax

from tracejit.backends.xla.table import LOWERINGS, Lowering, full
from tracejit.ir.types import INT32, INT64, Shape, without_axes
from tracejit.ops import indexing as ops
from tracejit.ops.structure import Axes


def as_index(i: jax.Array) -> jax.Array:
    """In a signed dtype; what is too large for it stays out of range."""
    if i.dtype == np.uint64:
        i = lax.min(i, full(np.iinfo(np.int64).max, i.dtype, i.shape))
    narrow = i.dtype == INT32 or i.dtype.itemsize < 4
    return lax.convert_element_type(i, INT32 if narrow else INT64)


def with_component(
    x: jax.Array, indices: jax.Array, axes: Axes, batch: int
) -> tuple[jax.Array, jax.Array, Axes]:
    """Operands that say the same with K > 0."""
    if axes:
        return x, as_index(indices), axes
    nothing = full(0, INT32, (*indices.shape[:-1], 1))
    return lax.expand_dims(x, (batch,)), nothing, (batch,)


@LOWERINGS.rule(ops.gather)
def gather(x: jax.Array, indices: jax.Array, *, axes: Axes, batch: int) -> jax.Array:
    """The batch axes are lax's batching dims, the indexed ones its collapsed dims."""
    places = indices.shape[:-1]
    shape = (*places, *without_axes(x.shape, (*range(batch), *axes)))
    if 0 in shape:  # lax reads no window from an empty axis, not even none
        return full(0, x.dtype, shape)
    x, indices, axes = with_component(x, indices, axes, batch)
    shared = tuple(range(batch))
    numbers = lax.GatherDimensionNumbers(
        offset_dims=tuple(range(len(places), len(shape))),
        collapsed_slice_dims=axes,
        start_index_map=axes,
        operand_batching_dims=shared,
        start_indices_batching_dims=shared,
    )
    sizes = [1 if a in axes or a < batch else n for a, n in enumerate(x.shape)]
    return lax.gather(x, indices, numbers, tuple(sizes), mode=lax.GatherScatterMode.CLIP)


def scatterer(scatter: Any) -> Lowering:
    """The row of a scatter."""

    def row(
        x: jax.Array, indices: jax.Array, updates: jax.Array, *, axes: Axes, batch: int
    ) -> jax.Array:
        if 0 in x.shape or 0 in updates.shape:
            return x
        target, indices, axes = with_component(x, indices, axes, batch)
        shared = tuple(range(batch))
        numbers = lax.ScatterDimensionNumbers(
            update_window_dims=tuple(range(indices.ndim - 1, updates.ndim)),
            inserted_window_dims=axes,
            scatter_dims_to_operand_dims=axes,
            operand_batching_dims=shared,
            scatter_indices_batching_dims=shared,
        )
        mode = lax.GatherScatterMode.FILL_OR_DROP
        return lax.reshape(scatter(target, indices, updates, numbers, mode=mode), x.shape)

    return row


scatter_in_order = scatterer(lax.scatter)
scatter_max = scatterer(lax.scatter_max)

LOWERINGS.rows(__name__, {
    ops.scatter_add: scatterer(lax.scatter_add), ops.scatter_mul: scatterer(lax.scatter_mul),
    ops.scatter_min: scatterer(lax.scatter_min), ops.scatter_max: scatter_max,
})  # fmt: skip


@LOWERINGS.rule(ops.scatter)
def scatter(
    x: jax.Array, indices: jax.Array, updates: jax.Array, *, axes: Axes, batch: int
) -> jax.Array:
    """XLA leaves open which of several updates of one place wins. On CPUs it writes in order."""

    def in_order(*operands: jax.Array) -> jax.Array:
        return scatter_in_order(*operands, axes=axes, batch=batch)

    def only_last(*operands: jax.Array) -> jax.Array:
        return scatter_last(*operands, axes=axes, batch=batch)

    return lax.platform_dependent(x, indices, updates, cpu=in_order, default=only_last)


def scatter_last(
    x: jax.Array, indices: jax.Array, updates: jax.Array, *, axes: Axes, batch: int
) -> jax.Array:
    """Scatter with the updates sent out of range that a later one overwrites.

    They are numbered; the highest number of each place is found by a scatter of the numbers.
    """
    if 0 in x.shape or 0 in updates.shape:
        return x
    target, indices, axes = with_component(x, indices, axes, batch)
    places = indices.shape[:-1]
    count = int(np.prod(places))
    numbers = lax.reshape(lax.iota(INT64, count), places)
    where = {"axes": tuple(range(batch, batch + len(axes))), "batch": batch}
    table = full(-1, INT64, (*x.shape[:batch], *(target.shape[a] for a in axes)))
    last = lax.eq(gather(scatter_max(table, indices, numbers, **where), indices, **where), numbers)
    kept = lax.broadcast_in_dim(last, indices.shape, tuple(range(last.ndim)))
    indices = lax.select(kept, indices, full(-1, indices.dtype, indices.shape))
    result = scatter_in_order(target, indices, updates, axes=axes, batch=batch)
    return lax.reshape(result, x.shape)


@LOWERINGS.rule(ops.dynamic_slice)
def dynamic_slice(x: jax.Array, *starts: jax.Array, sizes: Shape) -> jax.Array:
    """A negative start is one before the array, not one from its end."""
    return lax.dynamic_slice(x, _starts(starts), sizes, allow_negative_indices=False)


@LOWERINGS.rule(ops.dynamic_update_slice)
def dynamic_update_slice(x: jax.Array, update: jax.Array, *starts: jax.Array) -> jax.Array:
    """See dynamic_slice."""
    return lax.dynamic_update_slice(x, update, _starts(starts), allow_negative_indices=False)


def _starts(starts: Any) -> list[jax.Array]:
    """All of one dtype, which lax wants."""
    return [lax.convert_element_type(as_index(start), INT64) for start in starts]

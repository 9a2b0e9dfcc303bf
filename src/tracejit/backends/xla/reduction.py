"""Rows of reductions, running reductions and sorting."""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import lax

from tracejit.backends.xla.table import LOWERINGS, Lowering, full
from tracejit.ops import reduction as ops
from tracejit.ops.reduction import greatest, least
from tracejit.ops.structure import Axes


def reducer(combine: Lowering, identity: Any) -> Lowering:
    """The row of a reduction; `identity` is a function of the dtype."""

    def reduce(x: jax.Array, *, axes: Axes) -> jax.Array:
        return lax.reduce(x, full(identity(x.dtype), x.dtype), combine, axes)

    return reduce


def all_ones(dtype: np.dtype) -> int | bool:
    """The identity of `and`."""
    return True if dtype.kind == "b" else -1 if dtype.kind == "i" else int(np.iinfo(dtype).max)


LOWERINGS.rows(__name__, {
    ops.reduce_prod: reducer(lax.mul, lambda dtype: 1),
    ops.reduce_max: reducer(lax.max, least),
    ops.reduce_min: reducer(lax.min, greatest),
    ops.reduce_and: reducer(lax.bitwise_and, all_ones),
    ops.reduce_or: reducer(lax.bitwise_or, lambda dtype: 0),
    ops.reduce_xor: reducer(lax.bitwise_xor, lambda dtype: 0),
    ops.cumsum: lambda x, *, axis, reverse: lax.cumsum(x, axis, reverse),
    ops.cumprod: lambda x, *, axis, reverse: lax.cumprod(x, axis, reverse),
    ops.cummax: lambda x, *, axis, reverse: lax.cummax(x, axis, reverse),
    ops.cummin: lambda x, *, axis, reverse: lax.cummin(x, axis, reverse),
    ops.cumlogsumexp: lambda x, *, axis, reverse: lax.cumlogsumexp(x, axis, reverse),
    # NaN last is what lax.sort does too.
    ops.sort: lambda *xs, axis, keys: lax.sort(xs, axis, is_stable=True, num_keys=keys),
})  # fmt: skip


def index_finder(better: Lowering, worst: Any) -> Lowering:
    """The row of argmax or argmin. lax's own may give the last of several NaNs, NumPy the first."""

    def find(x: jax.Array, *, axis: int, dtype: np.dtype) -> jax.Array:
        def pick(mine: Any, other: Any) -> Any:
            (x, i), (y, j) = mine, other
            x_nan, y_nan = lax.ne(x, x), lax.ne(y, y)
            tie = lax.eq(x, y) | (x_nan & y_nan)
            keep = (~y_nan & (x_nan | better(x, y))) | (tie & lax.lt(i, j))
            return lax.select(keep, x, y), lax.select(keep, i, j)

        places = lax.broadcasted_iota(np.int64, x.shape, axis)
        start = full(worst(x.dtype), x.dtype), full(np.iinfo(np.int64).max, places.dtype)
        _, index = lax.reduce((x, places), start, pick, (axis,))
        return lax.convert_element_type(index, dtype)

    return find


LOWERINGS.rows(__name__, {
    ops.argmax: index_finder(lax.gt, least),
    ops.argmin: index_finder(lax.lt, greatest),
})  # fmt: skip

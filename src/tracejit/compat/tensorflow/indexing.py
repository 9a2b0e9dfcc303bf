"""TensorFlow's functions that read and write at indices: on arrays and traced values."""

from __future__ import annotations

from typing import Any

from tracejit import nn
from tracejit import numpy as np
from tracejit.numpy.arrays import Array, ArrayLike


def gather(params: Array, indices: ArrayLike, axis: int | None = None, batch_dims: int = 0
           ) -> Array:  # fmt: skip
    """The slices of `params` along an axis (that behind the batches, unless said), for each row
    of the first `batch_dims` axes, which both have, by itself."""
    axis = batch_dims if axis is None else axis
    if not batch_dims:
        return np.take(params, indices, axis=axis)
    places = np.asarray(indices)
    rest = places.ndim - batch_dims
    moved = np.moveaxis(params, axis, batch_dims)
    rows = [np.arange(n).reshape(-1, *(1,) * (places.ndim - i - 1))
            for i, n in enumerate(places.shape[:batch_dims])]  # fmt: skip
    taken = moved[(*rows, places)]
    sources = range(batch_dims, batch_dims + rest)
    first = axis % params.ndim
    return np.moveaxis(taken, [*sources], [*range(first, first + rest)])


def _at(indices: ArrayLike) -> tuple[Any, ...]:
    """Rows of indices as an index."""
    places = np.asarray(indices)
    return tuple([places[..., i] for i in range(places.shape[-1])])


def gather_nd(params: Array, indices: ArrayLike) -> Array:
    """The slices at rows of indices."""
    return params[_at(indices)]


def scatter_nd(indices: ArrayLike, updates: ArrayLike, shape: Any) -> Array:
    """Zeros, with updates added at rows of indices."""
    values = np.asarray(updates)
    return _added(np.zeros(tuple(shape), values.dtype), indices, values)


def _added(x: Array, indices: ArrayLike, updates: ArrayLike) -> Array:
    result = np.array(x)
    np.add.at(result, _at(indices), updates)
    return result


def scatter_add(tensor: Array, indices: ArrayLike, updates: ArrayLike) -> Array:
    """The tensor with updates added at rows of indices."""
    return _added(tensor, indices, updates)


def scatter_sub(tensor: Array, indices: ArrayLike, updates: ArrayLike) -> Array:
    """The tensor with updates subtracted at rows of indices."""
    return _added(tensor, indices, np.negative(updates))


def scatter_update(tensor: Array, indices: ArrayLike, updates: ArrayLike) -> Array:
    """The tensor with updates in place of what it has at rows of indices."""
    result = np.array(tensor)
    result[_at(indices)] = updates
    return result


def segment_sum(data: Array, segment_ids: ArrayLike, num_segments: int) -> Array:
    """The sums of the slices of each number."""
    whole = np.zeros((num_segments, *np.shape(data)[1:]), np.asarray(data).dtype)
    np.add.at(whole, segment_ids, data)
    return whole


def segment_mean(data: Array, segment_ids: ArrayLike, num_segments: int) -> Array:
    """Their means; 0 of none."""
    count = segment_sum(np.ones_like(data), segment_ids, num_segments)
    return np.divide(segment_sum(data, segment_ids, num_segments), np.maximum(count, 1))


def one_hot(
    indices: ArrayLike, depth: int, on_value: Any = 1.0, off_value: Any = 0.0, axis: int = -1,
    dtype: Any = "float32",
) -> Array:  # fmt: skip
    """`on_value` at the index of each element along a new axis of `depth`, else `off_value`."""
    hot = nn.one_hot(indices, depth, dtype="float64", axis=axis)
    return np.where(np.equal(hot, 1), on_value, off_value).astype(dtype)

"""Indices of tensors: parts that are read and parts that are written."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.api.custom import custom_jvp
from tracejit.compat.graph import Handle
from tracejit.errors import IndexingError
from tracejit.numpy import creation, shaping, ufuncs
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer


def plain(index: Any, shape: tuple[int, ...]) -> Any:
    """An index of numbers, slices and arrays of integers; masks become the places where they hold,
    which are known. IndexingError for places that are not in a tensor of this shape."""
    parts = list(index) if isinstance(index, tuple) else [index]
    taken = sum(_axes(i) for i in parts)
    axis = 0
    found: list[Any] = []
    for i in parts:
        if i is Ellipsis:
            axis += len(shape) - taken
        made = _part(i, shape, axis)
        found += made if isinstance(made, tuple) else [made]
        axis += _axes(i)
    return tuple(found) if isinstance(index, tuple) or len(found) != 1 else found[0]


def _values(i: Any) -> Any:
    """What an index by arrays holds; other indices as they are."""
    if isinstance(i, Handle):
        return i.cell.value
    if isinstance(i, list):
        return np.array([_values(x) for x in i], None if i else np.int64)
    return i


def _axes(i: Any) -> int:
    """How many axes a part of an index is for."""
    if i is None or i is Ellipsis:
        return 0
    if isinstance(i, Handle):
        return len(i.cell.type.shape) if i.cell.type.dtype == np.bool_ else 1
    return i.ndim if isinstance(i, np.ndarray) and i.dtype == np.bool_ else 1


def _part(i: Any, shape: tuple[int, ...], axis: int) -> Any:
    if isinstance(i, slice):
        ends = [int(_values(x)) if isinstance(x, Handle) else x for x in (i.start, i.stop, i.step)]
        if ends[2] is not None and ends[2] <= 0:
            raise ValueError("step must be greater than zero")
        return slice(*ends)
    array = _values(i)
    if not isinstance(array, np.ndarray):
        return array
    if array.dtype == np.bool_ and array.ndim:
        for k, (n, m) in enumerate(zip(array.shape, shape[axis:], strict=False)):
            if n != m:
                raise IndexingError(
                    f"The shape of the mask {list(array.shape)} at index {k} does not match the "
                    f"shape of the indexed tensor {list(shape)} at index {axis + k}",
                    where=user_frame(),
                )  # fmt: skip
        return np.nonzero(array)
    if array.dtype.kind == "f":
        raise IndexingError(
            "tensors used as indices must be long, int, byte or bool tensors", where=user_frame(),
            hint="index.long()",
        )  # fmt: skip
    if array.size and axis < len(shape):
        n = shape[axis]
        for bad in (int(array.min()), int(array.max())):
            if not -n <= bad < n:
                raise IndexingError(
                    f"index {bad} is out of bounds for dimension {axis} with size {n}",
                    where=user_frame(),
                )  # fmt: skip
    return array


def item(x: Any, index: Any) -> Any:
    """x[index]."""
    return x[index]


def set_item(x: Any, index: Any, values: Any) -> Any:
    """x with values at an index."""
    values = ufuncs.positive(values) if isinstance(values, Tracer) else values
    values = creation.astype(creation.asarray(values), x.dtype)
    while values.ndim and values.ndim > x[index].ndim and values.shape[0] == 1:
        values = shaping.squeeze(values, 0)
    return x.at[index].set(values)


def put(x: Any, places: Any, values: Any) -> Any:
    """x with values at places of its flat memory."""
    flat = shaping.ravel(x).at[shaping.ravel(places)].set(shaping.ravel(values))
    return shaping.reshape(flat, x.shape)


@custom_jvp
def over(old: Any, new: Any) -> Any:
    """What was written over something without derivatives: the new value, the old derivative."""
    return new


@over.defjvp
def _over_jvp(primals: Any, tangents: Any) -> Any:
    return primals[1], tangents[0]

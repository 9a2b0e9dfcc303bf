"""Functions and methods that write to an array: copyto, put, place, fill_diagonal, x.fill, x.sort.

Each is NumPy's, by an assignment to elements. Arrays that are not traced are left to NumPy.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, NoReturn, TypeVar

import numpy as np

from tracejit.errors import ArgumentError, ShapeError, UnsupportedError
from tracejit.numpy import sorting, ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    fault,
    not_traced,
    one_axis,
    shape_of,
    value,
    write,
)
from tracejit.numpy.indexing import take
from tracejit.numpy.kinds import truth
from tracejit.numpy.reductions import cumsum
from tracejit.numpy.shaping import flat, ravel
from tracejit.numpy.subscripts import setitem
from tracejit.numpy.updates import Update
from tracejit.trace.tracer import Tracer, is_traced

__all__ = ["copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"]

F = TypeVar("F", bound=Callable[..., Any])


def _writes(function: F) -> F:
    """A function that writes to its first argument: by NumPy where no argument is traced."""

    @wraps(function)
    def call(a: Any, *args: Any, **options: Any) -> Any:
        if isinstance(a, Tracer):
            return function(a, *args, **options)
        if is_traced(*args, *options.values()):
            raise not_traced(a, function.__name__)
        return getattr(np, function.__name__)(a, *args, **options)

    return call  # type: ignore[return-value]


@_writes
def copyto(
    dst: Array, src: ArrayLike, casting: str = "same_kind", where: ArrayLike = True
) -> None:
    """dst[...] = src, where a mask holds."""
    write(dst, src, "copyto", casting, where)


@_writes
def put(a: Array, ind: ArrayLike, v: ArrayLike, mode: str = "raise") -> None:
    """a.flat[ind] = v, from the front again where v is too short; mode raise, clip or wrap."""
    places = ravel(ind)
    if mode == "wrap":
        places = ufuncs.remainder(places, a.size)
    elif mode == "clip":
        places = ufuncs.minimum(ufuncs.maximum(places, 0), a.size - 1)
    elif mode != "raise":
        raise fault(ArgumentError, f"put: mode must be raise, clip or wrap, not {mode!r}")
    setitem(flat(a), places, _cycled(v, np.arange(places.size)))


@_writes
def place(arr: Array, mask: ArrayLike, vals: ArrayLike) -> None:
    """arr[mask] = vals, in order, from the front again where there are too few."""
    number = ufuncs.maximum(ufuncs.subtract(cumsum(_line(mask, arr)), 1), 0)
    new = value(_cycled(vals, number), arr.dtype)
    write(flat(arr), new, "place", where=_line(mask, arr))


@_writes
def putmask(a: Array, mask: ArrayLike, values: ArrayLike) -> None:
    """a.flat[n] = values[n] where the mask holds; values begin again where there are too few."""
    new = value(_cycled(values, np.arange(a.size)), a.dtype)
    write(flat(a), new, "putmask", where=_line(mask, a))


def _line(mask: ArrayLike, a: Array) -> Array:
    """A mask of all elements of an array, along one axis."""
    line = ravel(truth(value(mask)))
    if line.size != a.size:
        raise fault(ShapeError, f"a mask of shape {shape_of(mask)} for an array of {a.shape}")
    return line


def _cycled(values: ArrayLike, places: Array) -> Array:
    """values[places], as if they began again behind the last."""
    line = ravel(values)
    if not line.size:
        raise fault(ArgumentError, "there are no values to put")
    return take(line, ufuncs.remainder(places, line.size)) if line.size > 1 else line


@_writes
def fill_diagonal(a: Array, val: ArrayLike, wrap: bool = False) -> None:
    """a[i, i, ...] = val; wrap: again and again, an empty row between, in a tall matrix."""
    if a.ndim < 2 or (a.ndim > 2 and len(set(a.shape)) > 1):
        what = f"fill_diagonal of shape {a.shape}: two axes are needed, or more of one length"
        raise fault(ShapeError, what)
    n, m = a.shape[0], a.shape[1]
    step = 1 + sum(np.cumprod(a.shape[:-1]).tolist()) if a.ndim > 2 else m + 1
    end = a.size if wrap or a.ndim > 2 or n < m else m * m
    places = np.arange(0, end, step)
    setitem(a, np.unravel_index(places, a.shape), _cycled(val, np.arange(places.size)))


@_writes
def put_along_axis(
    arr: Array, indices: ArrayLike, values: ArrayLike, axis: int | None = -1
) -> None:
    """Along an axis, replace the elements at indices that differ from line to line."""
    if axis is None:
        arr, axis = flat(arr), 0
    i, at = value(indices), one_axis(axis, arr.ndim)
    if i.ndim != arr.ndim:
        what = f"put_along_axis: ranks differ, {arr.shape} and {i.shape}"
        raise fault(ShapeError, what)
    grid: list[Any] = list(np.indices(arr.shape, sparse=True))
    grid[at] = i
    setitem(arr, tuple(grid), values)


# Methods


def fill(x: Tracer, value: ArrayLike) -> None:
    """All elements become a number."""
    setitem(x, ..., value)


def sort(
    x: Tracer, axis: int = -1, kind: str | None = None, order: None = None, *,
    stable: bool | None = None,
) -> None:  # fmt: skip
    """The elements along an axis become sorted."""
    x.assign(sorting.sort(x, axis))


def partition(x: Tracer, kth: Any, axis: int = -1, kind: str = "introselect") -> None:
    """The elements along an axis become sorted, which is more than was asked for."""
    sort(x, axis)


def resize(x: Tracer, *new_shape: Any, refcheck: bool = True) -> NoReturn:
    """Not supported: the memory of an array stays as large as it is."""
    what = f"x.resize of a traced {x.aval} would change how many elements it has"
    raise fault(UnsupportedError, what, "np.resize(x, shape) and np.pad make a new array")


def itemset(x: Tracer, *args: Any) -> NoReturn:
    """Not there in NumPy 2 either."""
    raise fault(UnsupportedError, "x.itemset is no longer there in NumPy 2", "x[index] = value")


# Ufuncs: np.add.at and its like


def _updater(change: Callable[..., Array]) -> Callable[..., Array]:
    return lambda a, indices, b: change(Update(a, indices), b)


for _function, _change in {
    ufuncs.add: Update.add, ufuncs.subtract: Update.subtract, ufuncs.multiply: Update.multiply,
    ufuncs.divide: Update.divide, ufuncs.minimum: Update.min, ufuncs.maximum: Update.max,
}.items():  # fmt: skip
    _function.updater = _updater(_change)

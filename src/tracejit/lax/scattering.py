"""gather and the scatters with all of XLA's dimension numbers, over the primitives of those names.

    gather(x, starts, numbers, sizes)[*I, *window]  =  x[start(I) + window]

A window has a size along every axis of x; `starts` holds a vector along its last axis that says
where it starts along some of them. The primitives take single places, so a window becomes the
places that it covers, unless it is as long as its axis.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tracejit.errors import ArgumentError, ShapeError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import INEXACT, INT64
from tracejit.numpy import shaping, ufuncs
from tracejit.numpy.arrays import Array, ArrayLike, convert, fault, shape_argument, value
from tracejit.numpy.choosing import clip, where
from tracejit.ops import indexing as ops
from tracejit.ops.structure import inverse_order
from tracejit.trace.tracer import bind

__all__ = [
    "GatherDimensionNumbers", "GatherScatterMode", "ScatterDimensionNumbers", "gather", "scatter",
    "scatter_add", "scatter_max", "scatter_min", "scatter_mul", "scatter_sub",
]  # fmt: skip

Axes = Sequence[int]


class GatherDimensionNumbers(NamedTuple):
    """Of gather. offset_dims: where the window is in the result; collapsed_slice_dims: axes of the
    operand whose window has length 1 and is left out; start_index_map: the axes that the components
    of a start belong to; the batching ones: axes that operand and indices share."""

    offset_dims: Axes
    collapsed_slice_dims: Axes
    start_index_map: Axes
    operand_batching_dims: Axes = ()
    start_indices_batching_dims: Axes = ()


class ScatterDimensionNumbers(NamedTuple):
    """Of the scatters, as `GatherDimensionNumbers`: where the window is in the updates, the axes of
    the operand that they leave out, the axes that the components of a start belong to."""

    update_window_dims: Axes
    inserted_window_dims: Axes
    scatter_dims_to_operand_dims: Axes
    operand_batching_dims: Axes = ()
    scatter_indices_batching_dims: Axes = ()


class GatherScatterMode(enum.Enum):
    """What becomes of a window that does not fit: moved so that it does; or it reads the fill value
    and writes nothing; or it is promised that there is none (then it is moved)."""

    CLIP = "clip"
    FILL_OR_DROP = "fill"
    PROMISE_IN_BOUNDS = "promise_in_bounds"


def _drops(mode: str | GatherScatterMode | None) -> bool:
    """Whether a mode drops windows that do not fit; None, 'fill' and 'drop' do."""
    name = mode.value if isinstance(mode, GatherScatterMode) else mode
    if name in (None, "fill", "drop"):
        return True
    if name in ("clip", "promise_in_bounds"):
        return False
    raise fault(ArgumentError, f"mode {mode!r}: it is 'clip', 'fill', 'drop' or "
                "'promise_in_bounds'")  # fmt: skip


class _Windows:
    """The windows of a gather or scatter on an operand of a shape, put in order.

    operand_order, index_order: the shared axes first. axes: those (counted in that order) along
    which places are counted; rest: those along which the window is the axis, and has no start if
    `counts_all`. vectors: the places, (*shared, *I, *window along axes, len(axes)). fits: whether a
    window does, (*shared, *I).
    """

    def __init__(
        self, name: str, shape: Sequence[int], starts: Array, start_axes: Axes, shared: Axes,
        index_shared: Axes, sizes: Sequence[int], counts_all: bool = False,
    ):  # fmt: skip
        starts = convert(starts, INT64) if starts.dtype.kind == "u" else starts
        _check(name, shape, starts.shape, start_axes, (shared, index_shared), sizes)
        self.batch = len(shared)
        self.operand_order = _first(shared, len(shape))
        self.index_order = _first(index_shared, starts.ndim - 1)
        starts = shaping.transpose(starts, (*self.index_order, starts.ndim - 1))
        self.count = starts.ndim - 1
        lengths = [shape[a] for a in self.operand_order]
        self.sizes = [sizes[a] for a in self.operand_order]
        components = {self.operand_order.index(a): k for k, a in enumerate(start_axes)}
        partial = [a for a, n in enumerate(lengths) if self.sizes[a] != n]
        counted = [*partial, *components] if counts_all else partial
        own = range(self.batch, len(shape))
        self.axes = tuple(a for a in own if a in counted)
        self.rest = tuple(a for a in own if a not in counted)
        room = {a: lengths[a] - self.sizes[a] for a in components}
        first = {a: starts[..., k] for a, k in components.items()}
        inside = [ufuncs.logical_and(first[a] >= 0, first[a] <= room[a]) for a in components]
        zero = np.zeros(starts.shape[:-1], np.int64)
        self.fits = functools.reduce(ufuncs.logical_and, inside, zero == 0)
        nearest = {a: clip(first[a], 0, room[a]) for a in components if a in self.axes}
        self.vectors = self._places([nearest.get(a, zero) for a in self.axes], zero)

    def _places(self, starts: list[Array], zero: np.ndarray) -> Array:
        """The index vectors of all elements of the windows."""
        window = [self.sizes[a] for a in self.axes]
        shape = (*zero.shape, *window)
        columns = []
        for k, start in enumerate(starts):
            steps = np.arange(window[k]).reshape([-1 if j == k else 1 for j in range(len(window))])
            spread = shaping.reshape(start, (*zero.shape, *[1] * len(window)))
            columns.append(shaping.broadcast_to(spread + steps.astype(spread.dtype), shape))
        return shaping.stack(columns, -1) if columns else np.zeros((*shape, 0), np.int64)

    def over_window(self, x: Array, ndim: int) -> Array:
        """(*shared, *I) with axes of length 1 behind them."""
        return shaping.reshape(x, (*x.shape, *[1] * (ndim - x.ndim)))

    def order(self, kept: Axes, window_dims: Axes) -> tuple[int, ...]:
        """Where, in the user's order of a result or of updates, the axes (*shared, *I, *axes,
        *rest) are, after those of the window that are not among `kept` are gone."""
        places = [self.operand_order.index(a) for a in kept]
        behind = [a for a in (*self.axes, *self.rest) if a in places]
        ndim = self.count + len(places)
        free = [d for d in range(ndim) if d not in window_dims]
        indices = [free[a] for a in self.index_order]
        return (*indices, *(window_dims[places.index(a)] for a in behind))


def _check(
    name: str, shape: Sequence[int], indices: Sequence[int], start_axes: Axes,
    shared: tuple[Axes, Axes], sizes: Sequence[int],
) -> None:  # fmt: skip
    """Errors of dimension numbers that do not fit."""
    if not indices or indices[-1] != len(start_axes):
        raise fault(
            ShapeError, f"{name}: indices of shape {tuple(indices)} do not hold vectors of "
            f"{len(start_axes)} along their last axis",
        )  # fmt: skip
    if len(sizes) != len(shape) or any(
        not 0 <= s <= n for s, n in zip(sizes, shape, strict=False)
    ):
        raise fault(ShapeError, f"{name}: a window of {tuple(sizes)} does not fit {tuple(shape)}")
    if [shape[a] for a in shared[0]] != [indices[a] for a in shared[1]]:
        raise fault(ShapeError, f"{name}: the batching axes differ in length")


def _first(axes: Axes, ndim: int) -> tuple[int, ...]:
    """All axes, these first."""
    return (*axes, *(a for a in range(ndim) if a not in axes))


def gather(
    operand: ArrayLike, start_indices: ArrayLike, dimension_numbers: GatherDimensionNumbers,
    slice_sizes: Sequence[int], *, unique_indices: bool = False, indices_are_sorted: bool = False,
    mode: str | GatherScatterMode | None = None, fill_value: Any = None,
) -> Array:  # fmt: skip
    """Windows of these sizes at computed starts.

    mode: see `GatherScatterMode`; the fill value is NaN, for integers the least (unsigned: the
    greatest), unless given. Raises ShapeError where numbers, sizes and shapes do not fit.
    """
    x, starts, numbers = value(operand), value(start_indices), dimension_numbers
    shared = tuple(numbers.operand_batching_dims)
    sizes = shape_argument(slice_sizes)
    gone = (*numbers.collapsed_slice_dims, *shared)
    if any(sizes[a] != 1 for a in gone):
        raise fault(ShapeError, f"gather: sizes {sizes} are not 1 at the axes {gone} left out")
    windows = _Windows(
        "gather", x.shape, starts, numbers.start_index_map, shared,
        numbers.start_indices_batching_dims, sizes,
    )  # fmt: skip
    moved = shaping.transpose(x, windows.operand_order)
    y = bind(ops.gather, moved, windows.vectors, axes=windows.axes, batch=windows.batch)
    if _drops(mode):
        fill = _fill_of(x.dtype) if fill_value is None else fill_value
        y = where(windows.over_window(windows.fits, y.ndim), y, value(fill, x.dtype))
    kept = [a for a in range(x.ndim) if a not in gone]
    behind = [windows.operand_order[a] for a in (*windows.axes, *windows.rest)]
    y = shaping.reshape(y, (*y.shape[: windows.count], *(sizes[a] for a in behind if a in kept)))
    return shaping.transpose(y, inverse_order(windows.order(kept, tuple(numbers.offset_dims))))


def _fill_of(dtype: np.dtype) -> Any:
    """What is read where nothing is."""
    if dtype in INEXACT:
        return np.nan
    if dtype.kind == "b":
        return True
    return np.iinfo(dtype).max if dtype.kind == "u" else np.iinfo(dtype).min


def _scatter(name: str, primitive: Primitive, doc: str) -> Callable[..., Array]:
    """A scatter with dimension numbers."""

    def function(
        operand: ArrayLike, scatter_indices: ArrayLike, updates: ArrayLike,
        dimension_numbers: ScatterDimensionNumbers, *, indices_are_sorted: bool = False,
        unique_indices: bool = False, mode: str | GatherScatterMode | None = None,
    ) -> Array:  # fmt: skip
        x, numbers = value(operand), dimension_numbers
        starts, new = value(scatter_indices), value(updates, x.dtype)
        shared = tuple(numbers.operand_batching_dims)
        gone = (*numbers.inserted_window_dims, *shared)
        kept = [a for a in range(x.ndim) if a not in gone]
        window = tuple(numbers.update_window_dims)
        if len(window) != len(kept) or new.ndim != starts.ndim - 1 + len(kept):
            raise fault(
                ShapeError, f"{name}: updates of shape {new.shape} for indices {starts.shape} and "
                f"an operand {x.shape}; {len(kept)} of their axes are the window's",
            )  # fmt: skip
        lengths = dict(zip(kept, (new.shape[d] for d in window), strict=True))
        windows = _Windows(
            name, x.shape, starts, numbers.scatter_dims_to_operand_dims, shared,
            numbers.scatter_indices_batching_dims, [lengths.get(a, 1) for a in range(x.ndim)],
            _drops(mode),
        )  # fmt: skip
        vectors = windows.vectors
        if _drops(mode):  # the primitives drop what is out of range
            fits = windows.over_window(windows.fits, vectors.ndim)
            vectors = where(fits, vectors, value(-1, vectors.dtype))
        new = shaping.transpose(new, windows.order(kept, window))
        places = vectors.shape[:-1]
        new = shaping.reshape(new, (*places, *(windows.sizes[a] for a in windows.rest)))
        moved = shaping.transpose(x, windows.operand_order)
        y = bind(primitive, moved, vectors, new, axes=windows.axes, batch=windows.batch)
        return shaping.transpose(y, inverse_order(windows.operand_order))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def scatter_sub(
    operand: ArrayLike, scatter_indices: ArrayLike, updates: ArrayLike,
    dimension_numbers: ScatterDimensionNumbers, **options: Any,
) -> Array:  # fmt: skip
    """The operand with windows of updates taken from it; as `scatter_add`."""
    taken = ufuncs.negative(updates)
    return scatter_add(operand, scatter_indices, taken, dimension_numbers, **options)


_DOC = """The operand with windows of updates {what} at computed starts.

mode: see `GatherScatterMode`. Raises ShapeError where dimension numbers and shapes do not fit.
"""

scatter = _scatter(
    "scatter", ops.scatter, _DOC.format(what="written, the last of several at one place,")
)
scatter_add = _scatter("scatter_add", ops.scatter_add, _DOC.format(what="added"))
scatter_mul = _scatter("scatter_mul", ops.scatter_mul, _DOC.format(what="multiplied into it"))
scatter_min = _scatter("scatter_min", ops.scatter_min, _DOC.format(what="as upper bounds"))
scatter_max = _scatter("scatter_max", ops.scatter_max, _DOC.format(what="as lower bounds"))

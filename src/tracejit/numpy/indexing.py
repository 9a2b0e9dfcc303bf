"""x[index]: NumPy's indexing, as windows, turned axes and gathers.

An index is taken apart once (`parse`) into an entry for each axis, and the order of the result:

    Cut      a slice, or an int (a slice of length 1 that goes away)
    Pick     an array of indices, or a traced int; all of these together are one gather

NumPy's rule for their place is kept: where the picks (ints among them count) are side by side, the
axes they make stand there, else in front. Known indices are checked; traced ones count from the end
where negative, and the rest that is out of range is clamped when read, dropped when written.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.errors import IndexingError, TracerError, UnsupportedError
from tracejit.ir.types import BOOL, INT64, Shape
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    common_shape,
    convert,
    fault,
    lifted,
    one_axis,
    operand,
    reshape_to,
    shape_of,
    splat,
    stretch,
    takes_out,
    value,
)
from tracejit.numpy.kinds import truth
from tracejit.numpy.shaping import broadcast_to, concatenate, ravel, transpose
from tracejit.numpy.windows.affine import affine
from tracejit.numpy.windows.proofs import reached
from tracejit.ops import elementwise, indexing, structure
from tracejit.trace.tracer import Tracer, bind, current_trace, is_traced

__all__ = [
    "compress", "extract", "ix_", "ravel_multi_index", "take",
    "take_along_axis", "unravel_index",
]  # fmt: skip

Axes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Cut:
    """start, limit and stride of a window along one axis; read from its end if reversed."""

    start: int
    limit: int
    stride: int = 1
    reversed: bool = False
    drop: bool = False

    @property
    def length(self) -> int:
        return max(0, -(-(self.limit - self.start) // self.stride))

    def is_whole(self, n: int) -> bool:
        """Whether it takes the axis of this length as it is."""
        every = (self.start, self.limit, self.stride) == (0, n, 1)
        return every and not self.reversed and not self.drop

    def places(self) -> np.ndarray:
        """The indices that it takes, in its order."""
        places = np.arange(self.start, self.limit, self.stride)
        return places[::-1] if self.reversed else places


@dataclass(frozen=True, slots=True)
class Pick:
    """Indices along one axis, counted from 0 (where traced: any integers)."""

    indices: Any


@dataclass(slots=True)
class Index:
    """An index taken apart: an entry for each axis, and where new axes and picks go.

    layout: the axes of the result, each None (new), or the number of an axis of x; picked axes
    appear once, as the place of all of them.
    """

    entries: list[Cut | Pick] = field(default_factory=list)
    layout: list[int | None] = field(default_factory=list)
    scattered: bool = False  # the picks do not stand side by side

    @property
    def picks(self) -> dict[int, Any]:
        """The index arrays, by axis."""
        return {i: e.indices for i, e in enumerate(self.entries) if isinstance(e, Pick)}

    @property
    def cuts(self) -> dict[int, Cut]:
        """The cuts, by axis."""
        return {i: e for i, e in enumerate(self.entries) if isinstance(e, Cut)}


# Taking an index apart


def parse(index: Any, shape: Shape) -> Index:
    """The index of an array of this shape, checked."""
    parts = [_normal(p) for p in (index if isinstance(index, tuple) else (index,))]
    used = sum(axes_of(p) for p in parts)
    if used > len(shape):
        raise fault(IndexingError, f"{used} indices for an array of rank {len(shape)}")
    dots = [i for i, p in enumerate(parts) if p is Ellipsis]
    if len(dots) > 1:
        raise fault(IndexingError, "an index may hold one ... only")
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * (len(shape) - used)
    return _assemble(_without_masks(parts, shape), shape)


def axes_of(part: Any) -> int:
    """How many axes a part of an index is for."""
    if part is None or part is Ellipsis:
        return 0
    return len(part.shape) if is_mask(part) else 1


def is_mask(part: Any) -> bool:
    """Whether a part of an index is an array of bools."""
    return getattr(part, "dtype", None) == BOOL


def _normal(part: Any) -> Any:
    """A part of an index as a slice, None, ..., an int, or an array of integers or bools."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if isinstance(part, (bool, np.bool_)):
        raise fault(UnsupportedError, "a single bool is no index here", "use np.where")
    if isinstance(part, (int, np.integer)):
        return int(part)
    if isinstance(part, list) and not part:
        return np.zeros(0, np.int64)
    array = operand(part)
    kind = getattr(array, "dtype", np.dtype(float)).kind
    if kind == "f":
        raise fault(
            IndexingError, "indices must be integers, slices, ..., None or arrays of integers",
            f"got {array!r}; floats can be converted, i.astype(int)",
        )  # fmt: skip
    if isinstance(array, np.ndarray) and not array.ndim and kind in "iu":
        return int(array)
    return array


def _without_masks(parts: list[Any], shape: Shape) -> list[Any]:
    """Bool masks as the indices where they hold; other parts are themselves."""
    result: list[Any] = []
    axis = 0
    for part in parts:
        if is_mask(part):
            expected = shape[axis : axis + len(part.shape)]
            if part.shape != expected:
                raise fault(
                    IndexingError, f"a mask of shape {part.shape} for axes of shape {expected}"
                )
            result.extend(_where_true(part))
        else:
            result.append(part)
        axis += axes_of(part)
    return result


def _where_true(mask: Any) -> tuple[np.ndarray, ...]:
    """The indices where a known mask holds."""
    if isinstance(mask, Tracer):
        raise fault(
            UnsupportedError, "x[mask] of a traced mask: its shape would depend on the numbers",
            "keep the shape: np.where(mask, x, 0), np.sum(x, where=mask), x.at[mask].set(number)",
        )  # fmt: skip
    return np.nonzero(mask)


def _assemble(parts: list[Any], shape: Shape) -> Index:
    found, axis = Index(), 0
    group: list[int] = []  # places in `parts` of what counts as picks
    has_picks = any(not (p is None or isinstance(p, (slice, int))) for p in parts)
    arrays = any(isinstance(p, (Tracer, np.ndarray)) and shape_of(p) for p in parts)
    for place, part in enumerate(parts):
        if part is None:
            found.layout.append(None)
            continue
        n = shape[axis]
        if isinstance(part, slice):
            found.entries.append(_slice(part, n))
            found.layout.append(axis)
        elif isinstance(part, int):
            at = _checked(part, n, axis)
            found.entries.append(Cut(at, at + 1, drop=True))
        else:
            found.entries.append(Pick(_indices(part, n, axis)))
        if not isinstance(part, slice):
            group.append(place)
        axis += 1
        if has_picks and group == [place]:
            found.layout.append(-1)
    if arrays and group and group[-1] - group[0] != len(group) - 1:
        found.scattered = True
    return found


def _slice(part: slice, n: int) -> Cut:
    try:
        start, stop, step = part.indices(n)
    except TracerError:
        raise fault(
            UnsupportedError, "a slice with traced bounds: its length would depend on numbers",
            "use lax.dynamic_slice_in_dim(x, start, length), or a mask with np.where",
        ) from None  # fmt: skip
    except (TypeError, ValueError) as error:
        raise fault(IndexingError, f"{part}: {error}") from None
    count = len(range(start, stop, step))
    if not count:
        return Cut(0, 0)
    if step > 0:
        return Cut(start, start + (count - 1) * step + 1, step)
    last = start + (count - 1) * step
    return Cut(last, start + 1, -step, reversed=count > 1)


def _checked(i: int, n: int, axis: int) -> int:
    if not -n <= i < n:
        raise fault(
            IndexingError, f"index {i} is out of bounds for axis {axis} of length {n}"
        )
    return i + n if i < 0 else i


def _indices(part: Any, n: int, axis: int) -> Any:
    """Indices counted from 0: checked where known, else wrapped where negative."""
    if isinstance(part, Tracer):
        if not part.shape:
            _look_ahead(part, n, axis)
        return wrapped(part, n)
    if part.size and not (part.min() >= -n and part.max() < n):
        bad = part[(part < -n) | (part >= n)].flat[0]
        raise fault(IndexingError, f"index {bad} is out of bounds for axis {axis} of length {n}")
    part = part.astype(np.int64, copy=False)
    return np.where(part < 0, part + n, part) if part.size and part.min() < 0 else part


def _look_ahead(i: Tracer, n: int, axis: int) -> None:
    """Note an index that is sure to leave its axis in some round of a loop that is traced once."""
    low, high = reached(i) or (0, 0)
    trace = current_trace()
    if trace is not None and (low < -n or high >= max(n, 1)):
        bad = low if low < -n else high
        trace.beyond = f"index {bad} is out of bounds for axis {axis} of length {n}"


def wrapped(i: Any, n: int) -> Any:
    """Traced indices as int64, the negative ones (if there may be any) counted from the end."""
    if i.dtype.kind == "u" or (not i.shape and affine(i).range[0] >= 0):
        return convert(i, INT64)
    i = convert(i, INT64)
    below = bind(elementwise.lt, i, splat(0, INT64, shape_of(i)))
    from_end = bind(elementwise.add, i, splat(n, INT64, shape_of(i)))
    return bind(elementwise.select, below, from_end, i)


# Reading


def getitem(x: Any, index: Any) -> Array:
    """x[index]."""
    return read(x, parse(index, x.shape))


def read(x: Array, index: Index) -> Array:
    """The elements at an index."""
    picks = index.picks
    if picks and not any(map(shape_of, picks.values())):
        return _read_window(x, index)
    window = _window(x, index)
    kept = [i for i, e in enumerate(index.entries) if not (isinstance(e, Cut) and e.drop)]
    window = reshape_to(window, tuple(window.shape[i] for i in kept))
    if not picks:
        return reshape_to(window, _result_shape(index, ()))
    vectors, shape = index_vectors(list(picks.values()))
    axes = tuple(kept.index(i) for i in picks)
    window = bind(indexing.gather, window, vectors, axes=axes, batch=0)
    return _placed(window, index, shape)


def _window(x: Array, index: Index) -> Array:
    """The part of x that the cuts take, with all axes."""
    cuts = index.cuts
    if all(c.is_whole(x.shape[i]) for i, c in cuts.items()):
        return x
    every = [cuts.get(i, Cut(0, n)) for i, n in enumerate(x.shape)]
    if any((c.start, c.limit, c.stride) != (0, n, 1) for c, n in zip(every, x.shape, strict=True)):
        x = bind(
            structure.slice, x, start=tuple(c.start for c in every),
            limit=tuple(c.limit for c in every), stride=tuple(c.stride for c in every),
        )  # fmt: skip
    turned = tuple(i for i, c in cuts.items() if c.reversed)
    return bind(structure.reverse, x, axes=turned) if turned else x


def _read_window(x: Array, index: Index) -> Array:
    """A window at computed places: all ints of the index in one dynamic_slice."""
    starts: list[Any] = []
    sizes: list[int] = []
    rest: list[Cut | Pick] = []
    for n, entry in zip(x.shape, index.entries, strict=True):
        single = isinstance(entry, Pick) or entry.drop
        at = entry.indices if isinstance(entry, Pick) else entry.start if entry.drop else 0
        starts.append(at if isinstance(at, Tracer) else splat(at, INT64, ()))
        sizes.append(1 if single else n)
        rest.append(Cut(0, 1, drop=True) if single else entry)
    x = bind(indexing.dynamic_slice, x, *starts, sizes=tuple(sizes))
    layout = [a for a in index.layout if a != -1]
    return read(x, Index(rest, layout))


def index_vectors(indices: list[Any]) -> tuple[Any, Shape]:
    """Index arrays, broadcast together, as vectors along a last axis; and their common shape."""
    shape = common_shape(indices)
    traced = is_traced(*indices)
    if not traced:
        return np.stack([np.broadcast_to(i, shape) for i in indices], axis=-1), shape
    columns = [stretch(lifted(i), shape) for i in indices]
    columns = [reshape_to(i, (*shape, 1)) for i in columns]
    return concatenate(columns, -1), shape


def _result_shape(index: Index, picks: Shape) -> Shape:
    """The shape of the result, new axes included."""
    shape: list[int] = list(picks) if index.scattered else []
    for axis in index.layout:
        if axis is None:
            shape.append(1)
        elif axis == -1:
            shape.extend(() if index.scattered else picks)
        else:
            shape.append(index.cuts[axis].length)
    return tuple(shape)


def _placed(gathered: Array, index: Index, picks: Shape) -> Array:
    """What a gather gave, axes of the picks first, in NumPy's order and with the new axes."""
    order = placing_order(index, len(picks))
    return reshape_to(transpose(gathered, order), _result_shape(index, picks))


def placing_order(index: Index, count: int) -> Axes:
    """The permutation from the axes of a gather to those of the result (new ones aside)."""
    rest = [a for a in index.layout if a is not None]
    before = 0 if index.scattered else rest.index(-1)
    leading = tuple(range(count, count + before))
    return (*leading, *range(count), *range(count + before, count + len(rest) - 1))


# Functions


@takes_out
def take(
    a: ArrayLike, indices: ArrayLike, axis: int | None = None, out: Array = None,
    mode: str | None = None,
) -> Array:  # fmt: skip
    """The elements at indices along an axis (None: of all, flattened); mode raise, clip or wrap."""
    x, at = (ravel(a), 0) if axis is None else (value(a), axis)
    at = one_axis(at, x.ndim)
    found = operand(indices)
    if mode == "wrap":
        found = ufuncs.remainder(found, x.shape[at])
    elif mode == "clip":
        found = ufuncs.minimum(ufuncs.maximum(found, 0), x.shape[at] - 1)
    elif mode not in (None, "raise"):
        raise fault(UnsupportedError, f"take: mode must be raise, clip or wrap, not {mode!r}")
    return getitem(x, (slice(None),) * at + (found,))


def take_along_axis(arr: ArrayLike, indices: ArrayLike, axis: int | None = -1) -> Array:
    """Along an axis, the elements at indices that differ from line to line."""
    x, i = value(arr), value(indices)
    if axis is None:
        return take(x, i)
    if x.ndim != i.ndim:
        raise fault(IndexingError, f"take_along_axis: ranks differ, {x.shape} and {i.shape}")
    at = one_axis(axis, x.ndim)
    i = _indices(i, x.shape[at], at)
    lines = common_shape(
        [np.broadcast_to(0, (*s[:at], *s[at + 1 :])) for s in (x.shape, i.shape)]
    )
    order = (*(a for a in range(x.ndim) if a != at), at)
    back = (*range(at), x.ndim - 1, *range(at, x.ndim - 1))
    x = broadcast_to(transpose(x, order), (*lines, x.shape[at]))
    i = broadcast_to(transpose(i, order), (*lines, i.shape[at]))
    i = reshape_to(i, (*i.shape, 1))
    batch = x.ndim - 1
    return transpose(bind(indexing.gather, x, i, axes=(batch,), batch=batch), back)


def extract(condition: ArrayLike, arr: ArrayLike) -> Array:
    """The elements where a known condition holds, along one axis."""
    return compress(ravel(condition), ravel(arr))


@takes_out
def compress(
    condition: ArrayLike, a: ArrayLike, axis: int | None = None, out: Array = None
) -> Array:
    """The parts along an axis where a known condition holds."""
    return take(a, _where_true(truth(operand(condition)))[0], axis)


def ix_(*args: ArrayLike) -> tuple[Any, ...]:
    """Index arrays that pick a grid: one for each axis, along it."""
    lines = [operand(a) for a in args]
    lines = [_where_true(x)[0] if is_mask(x) else x for x in lines]
    count = len(lines)
    return tuple(
        [reshape_to(value(x), (*(1,) * i, x.shape[0], *(1,) * (count - i - 1)))
         for i, x in enumerate(lines)]
    )  # fmt: skip


def unravel_index(indices: ArrayLike, shape: Any) -> tuple[Array, ...]:
    """The index along each axis of elements numbered in row-major order."""
    rest, result = operand(indices), []
    for n in reversed(tuple(shape)):
        result.append(ufuncs.remainder(rest, n))
        rest = ufuncs.floor_divide(rest, n)
    return tuple(reversed(result))


def ravel_multi_index(multi_index: Any, dims: Any, mode: str = "clip", order: str = "C") -> Array:
    """The row-major number of elements, from their index along each axis (clamped)."""
    total: Any = 0
    for i, n in zip(multi_index, tuple(dims), strict=True):
        inside = ufuncs.minimum(ufuncs.maximum(operand(i), 0), operator.index(n) - 1)
        total = ufuncs.add(ufuncs.multiply(total, n), inside)
    return value(total)

"""x[index] where the index has traced bounds, a traced mask or a window.

Such an index is taken apart: traced bounds are replaced by whole slices, which gives an array of
full extent, as a view of x; and the extents say which of its elements are meant. Slices of known
length at a traced start are cut out first, together with the single numbers beside them.

    A[i, :j]         A[i, :], of which the window [0, j)
    A[i, j:j + 3]    the block (1, 3) of A at (i, j), of which [0, :]
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.errors import IndexingError, UnsupportedError
from tracejit.ir.types import BOOL, Shape
from tracejit.numpy import choosing, indexing, subscripts, ufuncs, views
from tracejit.numpy.arrays import Array, copied, fault, operand, reshape_to, shape_of
from tracejit.numpy.windows.affine import Affine, affine, counted_from_end
from tracejit.numpy.windows.alignment import aligned, check_same_length, extents_of
from tracejit.numpy.windows.spans import Block, Chosen, Extent, Span, chosen, resolved
from tracejit.numpy.windows.windowed import Windowed, as_integer, filled, windowed
from tracejit.ops import indexing as places
from tracejit.trace.tracer import Tracer, bind


@dataclass(frozen=True, slots=True)
class Section:
    """The way to a block of known shape at a traced start (see trace/view.py)."""

    starts: tuple[Affine, ...]
    sizes: Shape

    def read(self, base: Array) -> Array:
        starts = [s.value() for s in self.starts]
        return bind(places.dynamic_slice, base, *starts, sizes=self.sizes)

    def write(self, base: Array, new: Array) -> Array:
        return bind(places.dynamic_update_slice, base, new, *[s.value() for s in self.starts])

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        return strides


@dataclass(slots=True)
class Parts:
    """An index taken to pieces.

    rest: the index without what is traced of its bounds, a part for each axis and new axis.
    extents: by the place in `rest`, what is meant of the axis there. section: by axis, the start
    and length of a block. merged: the places of the axes that a mask takes together.
    """

    rest: list[Any] = field(default_factory=list)
    extents: dict[int, Extent] = field(default_factory=dict)
    section: dict[int, tuple[Affine, int]] = field(default_factory=dict)
    merged: tuple[int, int] | None = None


def concerns(given: Any) -> bool:
    """Whether an index has traced bounds, a traced mask or a window."""
    if type(given) is tuple:
        return any(map(_concerns, given))
    return _concerns(given)


def _concerns(part: Any) -> bool:
    if type(part) is slice:
        return _is_unknown(part.start) or _is_unknown(part.stop) or _is_unknown(part.step)
    if isinstance(part, Tracer):
        return part.dtype == BOOL
    return isinstance(part, Windowed)


def _is_whole(part: Any) -> bool:
    """Whether a part of an index is all of an axis."""
    if type(part) is not slice or part.start is not None or part.stop is not None:
        return False
    return part.step is None or (type(part.step) is int and part.step == 1)


def _is_unknown(bound: Any) -> bool:
    """Whether a bound is a traced value without a number."""
    return isinstance(bound, Tracer) and (
        not bound.owner.alive or bound.owner.value_of(bound.atom) is None
    )


# Reading


def getitem(x: Any, given: Any) -> Array:
    """x[given], for a tracer or a window."""
    if isinstance(x, Tracer) and not concerns(given):
        return subscripts.getitem(x, given)
    parts = taken_apart(x, given)
    _, full, extents = part_of(x, parts)
    if parts.merged:
        full, extents = merged(full, extents, parts)
    return windowed(full, extents)


def part_of(x: Any, parts: Parts) -> tuple[Array, Array, list[Extent | None]]:
    """What x[rest] is of, x[rest], and the extents of its axes."""
    base = x.full if isinstance(x, Windowed) else x
    if parts.section:
        base = _section(base, parts)
    return base, subscripts.getitem(base, tuple(parts.rest)), _placed(base.shape, parts)


def taken_apart(x: Any, given: Any) -> Parts:
    """An index of a tracer or a window, in pieces."""
    parts = Parts()
    shape, extents = (x.full if isinstance(x, Windowed) else x).shape, extents_of(x)
    axis = 0
    for part in _spelt_out(given, len(shape)):
        part = operand(part) if isinstance(part, list) else part
        extent = extents[axis] if axis < len(extents) else None
        if part is None:
            parts.rest.append(None)
            continue
        if isinstance(part, (Tracer, Windowed)) and part.dtype == BOOL:
            axis += _take_mask(parts, part, shape, extents, axis)
            continue
        if isinstance(extent, Chosen) and not _is_whole(part):
            raise x.refusal("an index by place")
        if isinstance(part, slice):
            _take_slice(parts, part, shape[axis], extent, axis)
        elif isinstance(part, Windowed):
            parts.extents[len(parts.rest)] = _only(part)
            parts.rest.append(_from(extent, filled(part, 0)))
        else:
            parts.rest.append(_from(extent, part))
        axis += 1
    return parts


def _spelt_out(given: Any, rank: int) -> list[Any]:
    """The parts of an index, with slices for ... and for what is not said."""
    parts = list(given) if isinstance(given, tuple) else [given]
    used = sum(_axes_of(p) for p in parts)
    if used > rank:
        raise fault(IndexingError, f"{used} indices for an array of rank {rank}")
    dots = [i for i, p in enumerate(parts) if p is Ellipsis]
    at = dots[0] if dots else len(parts)
    parts[at : at + 1] = [slice(None)] * (rank - used)
    return parts


def _axes_of(part: Any) -> int:
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if getattr(part, "dtype", None) == BOOL else 1


def _take_slice(parts: Parts, part: slice, n: int, extent: Extent | None, axis: int) -> None:
    if _is_whole(part):
        if extent is not None:
            parts.extents[len(parts.rest)] = extent
        parts.rest.append(part)
        return
    if extent is None and not _concerns(part):
        parts.rest.append(part)
        return
    assert not isinstance(extent, Chosen)
    found, step = resolved(part, n if extent is None else extent)
    if isinstance(found, Block):
        parts.section[axis] = found.start, found.length
    else:
        parts.extents[len(parts.rest)] = found if step > 0 else found.turned()
    parts.rest.append(slice(None) if step == 1 else slice(None, None, step))


def _take_mask(
    parts: Parts, mask: Any, shape: Shape, extents: Sequence[Extent | None], axis: int
) -> int:
    """Take a mask apart; gives how many axes it is for."""
    count, extent = mask.ndim, extents[axis]
    if parts.merged:
        raise fault(UnsupportedError, "an index of two traced masks")
    if isinstance(mask, Windowed):
        theirs = mask.extents[0]
        if count != 1 or extent is None or theirs is None:
            raise mask.refusal("an index of a whole axis by a mask")
        check_same_length(extent, theirs, [mask])
        mask = filled(aligned(mask, (extent,)), False)
    elif any(extents[axis : axis + count]):
        raise fault(IndexingError, f"a mask of shape {mask.shape} for a part of traced length")
    if mask.shape != shape[axis : axis + count]:
        raise fault(
            IndexingError,
            f"a mask of shape {mask.shape} for axes of shape {shape[axis : axis + count]}",
        )
    parts.merged = len(parts.rest), count
    parts.extents[len(parts.rest)] = chosen(mask)
    parts.rest.extend([slice(None)] * count)
    return count


def _only(index: Windowed) -> Extent:
    """The extent of a window of indices."""
    if index.ndim != 1 or index.extents[0] is None:
        raise index.refusal("an index of several axes")
    return index.extents[0]


def _from(extent: Extent | None, index: Any) -> Any:
    """An index of a window as one of the whole axis."""
    if extent is None:
        return index
    assert isinstance(extent, Span)
    if not shape_of(index):
        return as_integer(extent.lo + counted_from_end(affine(index), extent.count()))
    lo, hi = (as_integer(bound) for bound in (extent.lo, extent.hi))
    return ufuncs.add(choosing.where(ufuncs.less(index, 0), hi, lo), index)


def _section(base: Tracer, parts: Parts) -> Array:
    """The block that the index is of: traced numbers of the index are starts, too."""
    axes = [place for place, part in enumerate(parts.rest) if part is not None]
    starts, sizes = [], []
    for axis, (place, n) in enumerate(zip(axes, base.shape, strict=True)):
        start, size = parts.section.get(axis, (Affine(), n))
        part = parts.rest[place]
        if isinstance(part, Tracer) and not part.shape:
            start, size = counted_from_end(affine(part), Affine(constant=n)), 1
            parts.rest[place] = 0
        starts.append(start)
        sizes.append(size)
    return views.of(base, Section(tuple(starts), tuple(sizes)))


def _placed(shape: Shape, parts: Parts) -> list[Extent | None]:
    """The extents of the axes of x[rest], for x of this shape."""
    axes = [place for place, part in enumerate(parts.rest) if part is not None]
    extents = {a: parts.extents[p] for a, p in enumerate(axes) if p in parts.extents}
    # Traced numbers stand for themselves in no axis; as a 0 they cost no equations.
    plain = [0 if isinstance(p, Tracer) and not p.shape else p for p in parts.rest]
    index = indexing.parse(tuple(plain), shape)
    rank = max([len(shape_of(p)) for p in index.picks.values()], default=0)
    picked: list[Extent | None] = [None] * rank
    for pick in index.picks:
        if pick in extents:
            if len(index.picks) > 1:
                raise fault(UnsupportedError, "a window of indices beside other index arrays")
            picked = [extents[pick]]
    found = [*picked] if index.scattered else []
    for axis in index.layout:
        if axis == -1:
            found.extend([] if index.scattered else picked)
        else:
            found.append(None if axis is None else extents.get(axis))
    return found


def merged(
    full: Array, extents: list[Extent | None], parts: Parts
) -> tuple[Array, list[Extent | None]]:
    """The axes of a mask as one axis, of an array of its own."""
    at, count = _merging(extents, parts)
    behind = full.shape[at + count :]
    line = int(np.prod(full.shape[at : at + count], dtype=int))
    flat = reshape_to(full, (*full.shape[:at], line, *behind))
    return copied(flat), [*extents[: at + 1], *extents[at + count :]]


def _merging(extents: Sequence[Extent | None], parts: Parts) -> tuple[int, int]:
    """The first axis of a mask in the result, and how many there are."""
    assert parts.merged is not None
    place, count = parts.merged
    return next(i for i, e in enumerate(extents) if e is parts.extents[place]), count

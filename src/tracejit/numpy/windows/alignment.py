"""Windows of one length brought to one place, so that their full arrays fit each other.

    y[:k] + x[n-k:]      the array behind x is moved by n - k, so that both begin at 0

Two windows have one length if the difference of their bounds is the same sum (see affine.py).
Where other lengths meet there is an error: they may differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.errors import ShapeError
from tracejit.ir.types import INT64
from tracejit.numpy.arrays import Array, fault, shape_of, splat
from tracejit.numpy.windows.affine import Affine
from tracejit.numpy.windows.spans import Chosen, Extent, Span
from tracejit.numpy.windows.windowed import Extents, Windowed, described, windowed
from tracejit.ops import indexing, structure
from tracejit.trace.tracer import bind


def extents_of(x: Any) -> Extents:
    """The extents of the axes of an operand."""
    return x.extents if isinstance(x, Windowed) else (None,) * len(shape_of(x))


def full_of(x: Any) -> Any:
    """The full array of a window; anything else is itself."""
    return x.full if isinstance(x, Windowed) else x


def common_extents(xs: Sequence[Any]) -> Extents:
    """The extents to which operands broadcast, from the last axis on."""
    rank = max(len(extents_of(x)) for x in xs)
    axes = range(-rank, 0)
    return tuple(common_extent([(x, a) for x in xs if -a <= len(extents_of(x))]) for a in axes)


def common_extent(axes: Sequence[tuple[Any, int]], stretches: bool = True) -> Extent | None:
    """The extent that axes of operands share: the window that starts at a known place, if any.

    stretches: whether a length of 1 fits any other.
    """
    xs = [x for x, _ in axes]
    extents = [extents_of(x)[a] for x, a in axes]
    found = [e for e in extents if e is not None]
    if not found:
        return None
    whole = {full_of(x).shape[a] for (x, a), e in zip(axes, extents, strict=True) if e is None}
    for extent in found[1:]:
        check_same_length(found[0], extent, xs)
    if whole := whole - ({1} if stretches else set()):
        if any(known_length(found[0]) != n for n in whole):
            raise mismatch(xs)
        return None
    return min(found, key=lambda e: isinstance(e, Span) and e.lo.known is None)


def known_length(extent: Extent) -> int | None:
    """The length of a window where it is one number."""
    return extent.length.known if isinstance(extent, Span) else None


def check_same_length(a: Extent, b: Extent, xs: Sequence[Any]) -> None:
    """Raise unless it is certain that two extents hold equally many elements, in one order."""
    if a == b or (isinstance(a, Span) and isinstance(b, Span) and a.length == b.length):
        return
    raise mismatch(xs)


def mismatch(xs: Sequence[Any]) -> Exception:
    """The error of lengths that may differ."""
    shown = " and ".join(
        described(x) if isinstance(x, Windowed) else str(shape_of(x)) for x in xs
    )
    return fault(
        ShapeError, f"parts of traced length meet, and may differ in length: {shown}",
        "write their bounds alike (x[i:i + k] and y[j:j + k] have one length), choose both by one "
        "mask, or use an array of length 1",
    )  # fmt: skip


def aligned(x: Any, targets: Extents) -> Any:
    """An operand with its windows where the targets are: a Windowed, or an array as it is."""
    if not isinstance(x, Windowed):
        return x
    full, extents = x.full, list(x.extents)
    for axis, extent in enumerate(x.extents):
        target = targets[axis - x.ndim]
        if extent is None or extent == target:
            continue
        assert isinstance(extent, Span) and not isinstance(target, Chosen)
        if target is None:
            assert extent.length.known is not None
            full = _cut(full, axis, extent.lo, extent.length.known)
        else:
            full = _moved(full, axis, extent, target)
        extents[axis] = target
    return windowed(full, extents)


def settled(x: Any, goal: Any) -> Any:
    """A window all of whose lengths are known numbers as an array, to go into another array."""
    if not isinstance(x, Windowed):
        return x
    if any(e is not None and known_length(e) is None for e in x.extents):
        raise mismatch([goal, x])
    return aligned(x, (None,) * x.ndim)


def _moved(full: Array, axis: int, source: Span, target: Span) -> Array:
    """z of length target.n along the axis with z[target.lo + t] = full[source.lo + t].

    A window of full, with as much in front of it and behind as the shift may need.
    """
    shift = source.lo - target.lo
    low, high = _limited(shift, source, target)
    before, behind = max(0, -low), max(0, high + target.n - source.n)
    if before or behind:
        zeros = [0] * full.ndim
        pads = [[*zeros], [*zeros]]
        pads[0][axis], pads[1][axis] = before, behind
        full = bind(
            structure.pad, full, splat(0, full.dtype, ()), low=tuple(pads[0]),
            high=tuple(pads[1]), interior=tuple(zeros),
        )  # fmt: skip
    return _cut(full, axis, shift + before, target.n)


def _limited(shift: Affine, source: Span, target: Span) -> tuple[int, int]:
    """The least and the greatest shift of a window that is not empty."""
    low, high = shift.range
    return int(max(low, 1 - target.n)), int(min(high, source.n - 1))


def _cut(full: Array, axis: int, start: Affine, length: int) -> Array:
    """A part of known length along an axis."""
    if start.known is None:
        starts: list[Any] = [splat(0, INT64, ())] * full.ndim
        starts[axis] = start.value()
        sizes = [*full.shape]
        sizes[axis] = length
        return bind(indexing.dynamic_slice, full, *starts, sizes=tuple(sizes))
    begin = min(max(start.known, 0), full.shape[axis] - length)
    if (begin, length) == (0, full.shape[axis]):
        return full
    at, limit = [0] * full.ndim, [*full.shape]
    at[axis], limit[axis] = begin, begin + length
    return bind(
        structure.slice, full, start=tuple(at), limit=tuple(limit), stride=(1,) * full.ndim
    )

"""The extents of axes whose length is a traced number, and their masks.

    Span(n, lo, hi)     the elements lo <= i < hi of an axis of length n; none where hi <= lo
    Chosen(mask)        the elements of an axis at which a mask holds, in order

NumPy's rules for the bounds of a slice (negative ones count from the end, the rest is clamped) are
applied as far as the range of the bounds does not show that there is nothing to do. A slice whose
length is a known number, x[i : i + 3], is a `Block` instead: an array like any other. Where the
range of i is not known, it is taken to lie within x, as for all traced indices.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import Any

from tracejit.errors import IndexingError, UnsupportedError
from tracejit.ir.types import INT64, Shape
from tracejit.numpy.arrays import convert, copied, fault, reshape_to, spread
from tracejit.numpy.windows.affine import (
    Affine,
    affine,
    counted_from_end,
    larger,
    name_of,
    once,
    smaller,
)
from tracejit.ops import elementwise, structure
from tracejit.trace.tracer import Tracer, bind, current_trace


@dataclass(frozen=True, slots=True)
class Span:
    """The window [lo, hi) of an axis of length n.

    length: hi - lo as the user wrote it, which tells whether two windows have one length.
    """

    n: int
    lo: Affine
    hi: Affine
    length: Affine

    @property
    def bounds(self) -> tuple[Affine, Affine]:
        """lo and hi, where hi is no less than lo."""
        return self.lo, larger(self.hi, self.lo)

    def turned(self) -> Span:
        """The window of the axis read from its end."""
        return Span(self.n, self.hi * -1 + self.n, self.lo * -1 + self.n, self.length)

    def count(self) -> Affine:
        """The number of elements."""
        return larger(self.hi - self.lo, Affine())

    def mask(self, shape: Shape, axis: int) -> Tracer | None:
        """Where the window is, in an array of this shape; None where it is everywhere."""
        return once(("mask", self.lo, self.hi, shape, axis), lambda: self._mask(shape, axis))

    def _mask(self, shape: Shape, axis: int) -> Tracer | None:
        sides = []
        if not Affine().at_least(self.lo):
            sides.append((elementwise.ge, self.lo))
        if not self.hi.at_least(self.n):
            sides.append((elementwise.lt, self.hi))
        if not sides:
            return None
        trace = current_trace()
        assert trace is not None
        (places,) = trace.emit(structure.iota, (), {"dtype": INT64, "shape": shape, "axis": axis})
        tests = [
            bind(test, Tracer(trace, places), spread_scalar(bound.value(), shape))
            for test, bound in sides
        ]
        return tests[0] if len(tests) == 1 else bind(elementwise.and_, *tests)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The elements of an axis at which a traced mask holds; equal for masks of equal name."""

    holds: Tracer = field(compare=False)
    name: Any

    @property
    def n(self) -> int:
        return self.holds.shape[0]

    @property
    def length(self) -> Affine:
        """The number of elements."""
        return self.count()

    def count(self) -> Affine:
        """The number of elements."""
        return affine(bind(structure.reduce_sum, convert(self.holds, INT64), axes=(0,)))

    def mask(self, shape: Shape, axis: int) -> Tracer:
        """Where the elements are, in an array of this shape."""
        return spread(self.holds, shape, (axis,))


Extent = Span | Chosen


@dataclass(frozen=True, slots=True)
class Block:
    """A part of known length of an axis, at a traced start; every `step`-th element of it."""

    start: Affine
    length: int
    step: int


def chosen(mask: Tracer) -> Chosen:
    """The elements at which a mask holds, numbered in row-major order."""
    holds = copied(reshape_to(mask, (mask.size,)))
    return Chosen(holds, name_of(holds))


def spread_scalar(x: Any, shape: Shape) -> Any:
    """A number in every element of a shape."""
    if isinstance(x, Tracer):
        return spread(x, shape, ())
    return type(x)(x.value, x.type.with_shape(shape))


# Slices


def resolved(part: slice, extent: int | Span) -> tuple[Span | Block, int]:
    """What a slice takes of an axis (or of a window on one), and the step: 1, or -1 for turned."""
    step = _step(part)
    if step > 0:
        start, stop = _place(part.start), _place(part.stop)
    else:
        start, stop = _place(part.stop, 1), _place(part.start, 1)
    if isinstance(extent, Span):
        return _within(extent, start, stop, _one(step)), step
    zero, n = Affine(), Affine(constant=extent)
    first, end = (_from_start(x, n) for x in (start or zero, stop or n))
    length = end - first
    if length.known is not None and length.known <= extent and _fits(start, stop, n):
        return Block(first, max(0, length.known), step), step
    lo, hi = (_clamped(x, n, default) for x, default in ((start, zero), (stop, n)))
    return Span(extent, lo, hi, length), _one(step)


def _step(part: slice) -> int:
    if part.step is None:
        return 1
    if isinstance(part.step, Tracer):
        raise fault(UnsupportedError, "a slice with a traced step")
    if not part.step:
        raise fault(IndexingError, "a slice with step 0")
    return int(part.step)


def _one(step: int) -> int:
    """The step of a window, which is 1 or -1."""
    if abs(step) != 1:
        raise fault(
            UnsupportedError, f"a slice with traced bounds and step {step}",
            "steps 1 and -1 may have traced bounds, or any step where the length is known: "
            "x[i : i + 4 : 2]",
        )  # fmt: skip
    return step


@dataclass(frozen=True, slots=True)
class Place:
    """A bound as it is written, and what is added once it is counted from the start."""

    written: Affine
    shift: int


def _place(bound: Any, shift: int = 0) -> Place | None:
    if bound is None:
        return None
    if isinstance(bound, Tracer) and (bound.shape or bound.dtype.kind not in "iu"):
        raise fault(IndexingError, f"the bound of a slice is an integer, not {bound.aval}")
    return Place(affine(bound), shift)


def _from_start(x: Any, n: Affine) -> Affine:
    """A bound counted from the start, taken not to be negative where its sign is not known."""
    if isinstance(x, Affine):
        return x
    return (x.written + n if x.written.range[1] < 0 else x.written) + x.shift


def _fits(start: Place | None, stop: Place | None, n: Affine) -> bool:
    """Whether a part of known length lies within an axis, or nothing is known against it."""
    places = [p for p in (start, stop) if p is not None]
    lows = [p.written.range[0] for p in places if p.written.range[1] >= 0]
    rests = [(n - _from_start(p, n)).range[0] for p in places]
    return all(low >= 0 or low == -inf for low in lows + rests)


def _clamped(x: Place | None, n: Affine, default: Affine) -> Affine:
    """A bound after all of NumPy's rules: in [0, n]."""
    if x is None:
        return default
    return smaller(larger(counted_from_end(x.written, n) + x.shift, Affine()), n)


def _within(outer: Span, start: Place | None, stop: Place | None, step: int) -> Span:
    """A window of a window. It may not reach beyond the outer one, but hi may be less than lo."""
    count, zero = outer.count(), Affine()
    lo = zero if start is None else larger(counted_from_end(start.written, count), zero)
    lo += 0 if start is None else start.shift
    if stop is None:
        hi = outer.hi
    else:
        hi = smaller(outer.lo + counted_from_end(stop.written, count) + stop.shift, outer.hi)
    length = (_from_start(stop or outer.length, outer.length)
              - _from_start(start or zero, outer.length))  # fmt: skip
    return Span(outer.n, outer.lo + lo, hi, length)

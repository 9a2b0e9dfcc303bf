"""x[index] and x[index] = v, as tracers answer them: parts that are views, and writes to parts.

A part that NumPy would give as a view is one here (`trace.view`): y = x[1:], then y[0] = 3, changes
x. A write to a part of a part is a write to the whole where the two indices make one
(`composed`), so that A[i][j] = v touches one element.

x[a:b] += v is, in Python, y = x[a:b]; y += v; x[a:b] = y. The second step has written to x already;
the third one finds that y is what it would be written to, and does nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tracejit.ir.types import Shape
from tracejit.numpy import views
from tracejit.numpy.arrays import Array, shape_of
from tracejit.numpy.indexing import Cut, Index, Pick, is_mask, parse, read
from tracejit.numpy.updates import masked, replaced
from tracejit.trace.tracer import Tracer
from tracejit.trace.view import View


@dataclass(frozen=True, slots=True)
class Window:
    """The part at an index of slices and numbers; `given` is the index as the user wrote it."""

    index: Index
    given: Any

    def read(self, base: Array) -> Array:
        return read(base, self.index)

    def write(self, base: Array, new: Array) -> Array:
        return replaced(base, self.index, new)

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        found = []
        for axis in self.index.layout:
            cut = None if axis is None or axis < 0 else self.index.cuts[axis]
            if cut is not None:
                step = strides[axis] * cut.stride  # type: ignore[index]
                found.append(-step if cut.reversed else step)
            elif axis is None:
                found.append(0)
        return tuple(found)


def getitem(x: Tracer, given: Any) -> Array:
    """x[given]: a view where NumPy gives one."""
    index = parse(given, x.shape)
    if any(map(shape_of, index.picks.values())) or _is_element(index, given):
        return read(x, index)
    return views.of(x, Window(index, given))


def _is_element(index: Index, given: Any) -> bool:
    """Whether it is a single element, which is a value of its own (x[i, ...] is not)."""
    dots = given is Ellipsis or (isinstance(given, tuple) and any(p is Ellipsis for p in given))
    return not dots and all(a == -1 for a in index.layout)


def setitem(x: Tracer, given: Any, new: Any) -> None:
    """x[given] = new, converted to the dtype of x, as NumPy does."""
    if isinstance(new, View) and new.base is x and is_same_window(new.way, given):
        return
    parts = given if isinstance(given, tuple) else (given,)
    at = next((i for i, p in enumerate(parts) if is_mask(p) and isinstance(p, Tracer)), None)
    if at is not None:
        x.assign(masked(x, parts, at, lambda old, new: new, new))
        return
    index = parse(given, x.shape)
    while isinstance(x, View) and isinstance(x.way, Window) and x.base.shape == x.shape_then:
        joined = composed(x.way.index, index, x.base.shape)
        if joined is None:
            break
        x, index = x.base, joined
    x.assign(replaced(x, index, new))


def is_same_window(way: Any, given: Any) -> bool:
    """Whether a way is that to the part at an index."""
    return isinstance(way, Window) and _alike(way.given, given)


def _alike(p: Any, q: Any) -> bool:
    """Whether two indices are the same, without asking what is traced."""
    if p is q:
        return True
    if type(p) is not type(q):
        return False
    if isinstance(p, tuple):
        return len(p) == len(q) and all(map(_alike, p, q))
    if isinstance(p, slice):
        return _alike((p.start, p.stop, p.step), (q.start, q.stop, q.step))
    return isinstance(p, int) and p == q


# Parts of parts


def composed(outer: Index, inner: Index, shape: Shape) -> Index | None:
    """The index that gives x[outer][inner] at once, for x of this shape; None where there is none.

    outer has slices and numbers only. What is out of range of the part may not be in range of x,
    so traced indices have to be of an axis that outer leaves whole.
    """
    entries: list[Cut | Pick] = list(outer.entries)
    shown = [a for a in outer.layout if a != -1]  # the axes of the part
    for axis, entry in zip(shown, inner.entries, strict=True):
        if axis is None:
            if isinstance(entry, Pick) or entry.length != 1:
                return None
            continue
        cut = outer.cuts[axis]
        if isinstance(entry, Cut):
            entries[axis] = _cut_of_cut(cut, entry)
        elif cut.is_whole(shape[axis]):
            entries[axis] = entry
        elif isinstance(entry.indices, Tracer):
            return None
        else:
            entries[axis] = Pick(cut.places()[entry.indices])
    layout = [shown[a] if a is not None and a >= 0 else a for a in inner.layout]
    return Index(entries, layout, inner.scattered)


def _cut_of_cut(outer: Cut, inner: Cut) -> Cut:
    """The places of outer at the places of inner."""
    if not inner.length:
        return replace(inner, start=0, limit=0)
    first, last = inner.start, inner.start + (inner.length - 1) * inner.stride
    stride = outer.stride * inner.stride
    turned = inner.reversed
    if outer.reversed:
        end = outer.start + (outer.length - 1) * outer.stride
        start, stop = end - last * outer.stride, end - first * outer.stride
        turned = not turned and inner.length > 1
    else:
        start, stop = outer.start + first * outer.stride, outer.start + last * outer.stride
    return Cut(start, stop + 1, stride, turned, inner.drop)

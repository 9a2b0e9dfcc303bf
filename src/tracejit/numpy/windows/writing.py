"""x[index] = v where the index has traced bounds, a traced mask or a window, or v is a window.

    x[lo:hi] = v        x = select(mask, v, x)
    A[i, :j] = v        A = dynamic_update_slice(A, select(mask, v, A[i]), i)

x[:k] += v is, in Python, y = x[:k]; y += v; x[:k] = y. The second step has written to x already, so
that the third one finds y where it would go, and does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import ShapeError, UnsupportedError
from tracejit.ir.primitive import Primitive
from tracejit.numpy import subscripts, updates
from tracejit.numpy.arrays import (
    Array,
    copied,
    fault,
    fit,
    operand,
    plain,
    reshape_to,
    shape_of,
)
from tracejit.numpy.windows.access import concerns, getitem, merged, part_of, taken_apart
from tracejit.numpy.windows.affine import Affine
from tracejit.numpy.windows.alignment import (
    aligned,
    check_same_length,
    extents_of,
    full_of,
    known_length,
    mismatch,
    settled,
)
from tracejit.numpy.windows.elementwise import converted, of_arrays
from tracejit.numpy.windows.spans import Span
from tracejit.numpy.windows.windowed import Windowed, described, mask_of, windowed
from tracejit.ops import elementwise, indexing
from tracejit.trace.tracer import Tracer, bind
from tracejit.trace.view import View


def setitem(x: Any, given: Any, new: Any) -> None:
    """x[given] = new, for a tracer or a window; new may be a window."""
    traced = isinstance(x, Windowed) or concerns(given)
    if not traced and not isinstance(new, Windowed):
        subscripts.setitem(x, given, new)
        return
    parts = taken_apart(x, given)
    if parts.merged and isinstance(x, Tracer) and not isinstance(new, Windowed):
        subscripts.setitem(x, given, new)  # the same values for all elements that a mask takes
        return
    base, part, extents = part_of(x, parts)
    if not any(extents):
        subscripts.setitem(base, tuple(parts.rest), settled(new, part))
        return
    if any(shape_of(p) for p in parts.rest if isinstance(p, (Tracer, np.ndarray))):
        raise fault(
            UnsupportedError, "assignment to x[i, a:b] with an array i and traced bounds a, b"
        )
    full = part
    if parts.merged:
        full, extents = merged(full, extents, parts)
    target = Windowed(full, extents)
    if not (isinstance(new, Windowed) and _is_same(target, new)):
        part.assign(reshape_to(blended(target, new), part.shape))


def write(target: Windowed, new: Any) -> None:
    """Make the elements of a window those of `new`, which broadcasts."""
    target.full.assign(blended(target, new))


def blended(target: Windowed, new: Any) -> Array:
    """The full array with new elements in the window."""
    full = target.full
    new = converted(new if isinstance(new, Windowed) else operand(new), full.dtype)
    if len(extents_of(new)) > target.ndim:
        raise fault(ShapeError, f"values of {new.ndim} axes for {described(target)}")
    new = _brought(new, target)
    values = fit(full_of(new), full.dtype, full.shape, traced=True)
    mask = mask_of(full.shape, target.extents)
    return plain(values) if mask is None else bind(elementwise.select, mask, values, full)


def _brought(new: Any, target: Windowed) -> Any:
    """Values with their windows where those of the target are."""
    found, wanted = [*extents_of(new)], [*extents_of(new)]
    for axis in range(-len(found), 0):
        n, goal = full_of(new).shape[axis], target.extents[axis]
        if found[axis] is None and goal is not None and n != 1:
            length = Affine(constant=n)
            found[axis] = Span(n, Affine(), length, length)
        extent = found[axis]
        if extent is not None and goal is None and known_length(extent) != target.full.shape[axis]:
            raise mismatch([target, new])
        if extent is not None and goal is not None:
            check_same_length(goal, extent, [target, new])
        wanted[axis] = goal if extent is not None else None
    return aligned(windowed(full_of(new), found), tuple(wanted))


def _is_same(target: Windowed, new: Windowed) -> bool:
    """Whether a window is assigned to itself, as Python does at the end of x[:k] += v."""
    return target.extents == new.extents and _are_same(target.full, new.full)


def _are_same(x: Tracer, y: Tracer) -> bool:
    if x is y:
        return True
    return (
        isinstance(x, View) and isinstance(y, View)
        and _are_same(x.base, y.base) and _is_same_way(x.way, y.way)
    )  # fmt: skip


def _is_same_way(p: Any, q: Any) -> bool:
    if isinstance(q, subscripts.Window):
        return subscripts.is_same_window(p, q.given)
    return type(p) is type(q) and p == q


# x.at


class At(updates.At):
    """x.at, where an index may have traced bounds, too."""

    __slots__ = ()

    def __getitem__(self, index: Any) -> updates.Update:
        return (Update if concerns(index) else updates.Update)(self.x, index)


class Update(updates.Update):
    """x.at[index] of an index with traced bounds, a traced mask or a window."""

    __slots__ = ()

    def get(self) -> Array:
        """The elements."""
        return getitem(self.x, self.index)

    def _changed(self, scatter: Primitive, combine: Callable[..., Array], values: Any) -> Array:
        changed, new = copied(self.x), converted(values, self.x.dtype)
        if scatter is not indexing.scatter:
            new = of_arrays(combine)(getitem(changed, self.index), new)
        setitem(changed, self.index, new)
        return changed

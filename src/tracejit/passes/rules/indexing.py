"""Rewrites of reading and writing at computed places.

What is written into zeros and then added goes straight into the other summand: the adjoint of a
read in a loop updates a sum where it lies, instead of making an array of zeros in each round.
"""

from __future__ import annotations

from functools import partial, reduce
from typing import Any

from tracejit.ir.atoms import Atom, Literal, is_zero, zero
from tracejit.ir.graph import Equation
from tracejit.ir.types import BOOL, Shape, array_type
from tracejit.ops.elementwise import add, select, sub
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice, scatter_add
from tracejit.ops.structure import pad, slice
from tracejit.passes.rules.table import always, is_shared, origin, over

#: So many summands may lie between two parts of an array.
FAR = 16


def _add_updates(position: int, inner: Equation, *summands: Atom) -> Atom | None:
    """x + scatter_add(0, i, u) -> scatter_add(x, i, u); so of windows, and of several."""
    if is_shared(summands[position]):
        return None
    return _with_updates(inner, summands[1 - position])


def _with_updates(last: Equation, x: Atom) -> Atom | None:
    """x, with what a chain of updates adds to zeros added to x instead.

        0 -> b at j -> a at i        x + dus(y, y[i] + a, i), where y = dus(0, b, j)
        x -> b at j -> a at i        dus(z, z[i] + a, i), where z = dus(x, x[j] + b, j)
    """
    base, update, *starts = last.inputs
    added: Atom | None = update
    if not is_zero(base):
        if last.primitive is dynamic_update_slice:
            added = _added(base, update, starts)
        found = None if added is None else _with_base(base, x)
        if found is None:
            return None
        x = found
    if last.primitive is scatter_add:
        return scatter_add(x, *last.inputs[1:], **last.params)
    assert added is not None
    window = dynamic_slice(x, *starts, sizes=added.type.shape)
    return dynamic_update_slice(x, add(window, added), *starts)


def _with_base(base: Atom, x: Atom) -> Atom | None:
    """x, with what the updates begin with added to it: other updates, or a part of an array."""
    before = origin(base)
    if before is None:
        return None
    if before.primitive in (scatter_add, dynamic_update_slice):
        return _with_updates(before, x)
    parted = before.primitive is select and any(is_zero(y) for y in before.inputs[1:])
    return add(x, base) if parted else None


def _added(base: Atom, update: Atom, starts: list[Atom]) -> Atom | None:
    """What an update adds to the window of the base that it replaces, if that is what it does."""
    total = origin(update)
    if total is None or total.primitive is not add:
        return None
    window = origin(total.inputs[0])
    if window is None or window.primitive is not dynamic_slice:
        return None
    return total.inputs[1] if window.inputs == (base, *starts) else None


for position in (0, 1):
    for updating in (scatter_add, dynamic_update_slice):
        over(add, updating, position)(partial(_add_updates, position))


def _part_comes_back(position: int, inner: Equation, *summands: Atom) -> Atom | None:
    """select(window, 0, x) + a + b + pad(slice(x)), all of that window  ->  x + a + b

    What is added to a part of an array leaves the adjoint of the array as it is.
    """
    part = origin(inner.inputs[0])
    if part is None or part.primitive is not slice or not is_zero(inner.inputs[1]):
        return None
    x, window = part.inputs[0], inner.params
    if part.params["start"] != window["low"] or x.type != inner.outvars[0].type:
        return None
    added: list[Atom] = []
    rest = summands[1 - position]
    for _ in range(FAR):
        maker = origin(rest)
        if maker is None or (added and is_shared(rest)):
            return None
        if maker.primitive in (select, dynamic_update_slice) and _is_outside(maker, x, window):
            return reduce(add, reversed(added), x)
        if maker.primitive is not add or is_shared(rest):
            return None
        rest, more = maker.inputs
        added.append(more)
    return None


def _is_outside(choice: Equation, x: Atom, window: dict[str, Any]) -> bool:
    """Whether a choice, or an update, is x outside of a window, and zero in it."""
    if choice.primitive is dynamic_update_slice:
        whole, update, *starts = choice.inputs
        sizes = [n - a - b for n, a, b in zip(x.shape, window["low"], window["high"], strict=True)]
        known = [s.value if isinstance(s, Literal) else None for s in starts]
        return whole is x and is_zero(update) and (known, sizes) == (
            [*window["low"]], [*update.shape]
        )  # fmt: skip
    mask, inside, outside = choice.inputs
    maker = origin(mask)
    if outside is not x or not is_zero(inside) or maker is None or maker.primitive is not pad:
        return False
    filled = [isinstance(y, Literal) and bool(y.value) for y in maker.inputs]
    return filled == [True, False] and maker.params == window


for position in (0, 1):
    over(add, pad, position)(partial(_part_comes_back, position))


def _read_back(inner: Equation, x: Atom, *starts: Atom, sizes: Shape) -> Atom | None:
    """The window that was written last, read as it is."""
    _, update, *places = inner.inputs
    return update if places == [*starts] and update.shape == sizes else None


over(dynamic_slice, dynamic_update_slice)(_read_back)


def _write_back(inner: Equation, x: Atom, update: Atom, *starts: Atom) -> Atom | None:
    """A window that is written where it was read changes nothing."""
    return x if inner.inputs == (x, *starts) else None


over(dynamic_update_slice, dynamic_slice, 1)(_write_back)


def _overwrite(inner: Equation, x: Atom, update: Atom, *starts: Atom) -> Atom | None:
    """A window that is written twice: the second time alone."""
    before, first, *places = inner.inputs
    if is_shared(x) or places != [*starts] or first.type != update.type:
        return None
    return dynamic_update_slice(before, update, *starts)


over(dynamic_update_slice, dynamic_update_slice)(_overwrite)


@over(slice, dynamic_update_slice)
def _slice_of_moved(
    inner: Equation, x: Atom, *, start: Shape, limit: Shape, stride: Shape
) -> Atom | None:
    """A slice of zeros with an array at a traced place: a window of that array, padded.

    Nothing has to be in memory for that but the array. It is the adjoint of such a window.
    """
    base, update, *starts = inner.inputs
    if not is_zero(base) or is_shared(x) or any(s != 1 for s in stride):
        return None
    room = tuple(n - m for n, m in zip(x.shape, update.shape, strict=True))
    low = tuple(r - a for r, a in zip(room, start, strict=True))
    high = tuple(b - m for b, m in zip(limit, update.shape, strict=True))
    if min(*low, *high) < 0:
        return None
    padded = pad(update, zero(array_type(x.dtype)), low=low, high=high, interior=(0,) * x.ndim)
    places = [
        sub(Literal(r, s.type), s) if r else Literal(0, s.type)
        for r, s in zip(room, starts, strict=True)
    ]
    sizes = tuple(b - a for a, b in zip(start, limit, strict=True))
    return dynamic_slice(padded, *places, sizes=sizes)


def _moved_inside(starts: list[Any], shape: Shape, sizes: Shape) -> Shape:
    """Where a window begins, moved so that it fits."""
    return tuple(
        sorted((0, int(a), n - size))[1] for a, n, size in zip(starts, shape, sizes, strict=True)
    )


@always(dynamic_slice)
def _slice_at_known_place(x: Atom, *starts: Atom, sizes: Shape) -> Any:
    """Literal starts, moved so that the window fits: a slice."""
    known = [start.value for start in starts if isinstance(start, Literal)]
    if len(known) < len(starts):
        return None
    first = _moved_inside(known, x.shape, sizes)
    limit = tuple(a + size for a, size in zip(first, sizes, strict=True))
    return slice(x, start=first, limit=limit, stride=(1,) * x.ndim)


@always(dynamic_update_slice)
def _overwrite_all(x: Atom, update: Atom, *starts: Atom) -> Atom | None:
    return update if update.type == x.type else None


@always(dynamic_update_slice)
def _set_at_known_place(x: Atom, update: Atom, *starts: Atom) -> Any:
    """One number in much of x, at a known place: a choice, which costs no pass over x; but where
    others read x, that would be an array beside it."""
    known = [start.value for start in starts if isinstance(start, Literal)]
    if len(known) < len(starts) or not isinstance(update, Literal):
        return None
    maker = origin(x)
    if maker is not None and maker.primitive.is_pointwise and is_shared(x):
        return None
    least = 1 / 8 if x.type.size <= 1024 else 1 / 2
    if update.type.size < least * x.type.size or update.type == x.type:
        return None
    first = _moved_inside(known, x.shape, update.shape)
    behind = tuple(n - a - m for n, a, m in zip(x.shape, first, update.shape, strict=True))
    yes = Literal(True, array_type(BOOL, update.shape))
    no = Literal(False, array_type(BOOL, ()))
    window = pad(yes, no, low=first, high=behind, interior=(0,) * x.ndim)
    return select(window, Literal(update.value, x.type), x)

"""Borders: where arrays are padded, the core of a space is run apart from the slabs around it.

    pad(x, low=1) + pad(x, high=1)        slabs    0 and n        each element asks where it is
                                          core     1 .. n - 1     x[i - 1] + x[i], nothing to ask

So the adjoint of a stencil reads where the stencil itself did, and asks nowhere in its core whether
an index is inside. The slabs are one loop around one nest, which asks everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

from tracejit.backends.native.emit import I64, Function, Value, constant
from tracejit.backends.native.halo import LARGE, Halo, halo_of
from tracejit.backends.native.index import Loop, Rows
from tracejit.backends.native.lowering import Pointwise, rule_of
from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.graph import Equation
from tracejit.ops import structure as ops

#: So many pads at least are read in a nest that is run in parts.
OFTEN = 2

#: Of each axis of an array: the axis of the space that it runs along, and how far it is shifted.
Places = tuple[tuple[int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Part:
    """Where a nest runs: along each axis of the space from low on, below high."""

    low: tuple[int | Value, ...]
    high: tuple[int | Value, ...]

    def bind(self, fn: Function, loops: Sequence[Loop], rows: Rows | None) -> tuple[int, ...]:
        """Let the loops run there; returns what is to be added to their counters."""
        shifts = []
        for axis, loop in enumerate(loops):
            low, high, shift = self.low[axis], self.high[axis], 0
            if rows is not None and rows.axis == axis:
                loop.ends = lambda a=low, b=high, n=loop.extent: _of_tile(fn, rows, a, b, n)  # type: ignore[misc]
            elif isinstance(low, int) and isinstance(high, int):
                loop.extent, shift = high - low, low
            elif loop.extent > 1:
                loop.ends = lambda a=low, b=high: (a, b)  # type: ignore[misc]
            shifts.append(shift)
        return tuple(shifts)

    def span(self, axis: int, shift: int) -> tuple[int, int]:
        """Between which numbers the index along an axis lies, without the shift."""
        low, high = self.low[axis], self.high[axis]
        assert isinstance(low, int) and isinstance(high, int)
        return low - shift, high - 1 - shift


def _of_tile(
    fn: Function, rows: Rows, low: int | Value, high: int | Value, extent: int
) -> tuple[Value, Value]:
    """The ends of a part within the rows of a tile, which count from their own first one."""
    first = rows.origin.base
    assert first is not None
    ends = []
    for end in (low, high):
        at = fn.sub(constant(I64, end) if isinstance(end, int) else end, first)
        at = fn.select(fn.less(at, fn.like(at, 0)), fn.like(at, 0), at)
        ends.append(fn.select(fn.greater(at, fn.like(at, extent)), fn.like(at, extent), at))
    return ends[0], ends[1]


@dataclass(frozen=True, slots=True)
class Core:
    """A box in a space; what is left around it is `border`."""

    space: tuple[int, ...]
    border: Halo

    @property
    def inside(self) -> Part:
        """The box."""
        high = tuple(n - b for n, b in zip(self.space, self.border.high, strict=True))
        return Part(self.border.low, high)

    @property
    def slabs(self) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """What is around it, as (start, extents)."""
        return self.border.slabs(self.border.inside(self.space))

    def slab(self, fn: Function, number: Value) -> Part:
        """The slab with this number."""
        low: list[Value] = []
        high: list[Value] = []
        for axis in range(len(self.space)):
            first, *rest = [(start[axis], start[axis] + n[axis]) for start, n in self.slabs]
            ends = [constant(I64, end) for end in first]
            for k, others in enumerate(rest):
                here = fn.equal(number, constant(I64, k + 1))
                ends = [
                    fn.select(here, constant(I64, end), x)
                    for end, x in zip(others, ends, strict=True)
                ]
            low.append(ends[0])
            high.append(ends[1])
        return Part(tuple(low), tuple(high))


def core_of(
    program: Any, stored: Sequence[Atom], space: tuple[int, ...], vector: int, lanes: int
) -> Core | None:
    """Where no pad that these variables are computed from has an edge, if that is most of the
    space and worth two nests. Along the axis `vector` it is whole vectors of so many lanes."""
    if prod(space) < LARGE:
        return None
    insides = _insides(program, stored, space)
    if len(insides) < OFTEN:
        return None
    low, high = [0] * len(space), [0] * len(space)
    for axis, first, last in insides:
        n = space[axis]
        if 2 * (last - first) >= n:
            low[axis], high[axis] = max(low[axis], first), max(high[axis], n - last)
        elif 4 * last <= n:
            low[axis] = max(low[axis], last)
        elif 4 * (n - first) <= n:
            high[axis] = max(high[axis], n - first)
    low[vector], high[vector] = _whole(space[vector], low[vector], high[vector], lanes)
    border = Halo(tuple(low), tuple(high))
    inside = border.inside(space)
    if not any((*low, *high)) or min(inside) < 1 or 2 * prod(inside) < prod(space):
        return None
    return Core(space, border)


def _whole(n: int, low: int, high: int, lanes: int) -> tuple[int, int]:
    """Borders that leave whole vectors between them, as a slab is a vector wide in any case."""
    first = -(-low // lanes) * lanes
    last = high + (n - first - high) % lanes if high else 0
    return (first, last) if 4 * (first + last) <= n else (low, high)


def _insides(
    program: Any, stored: Sequence[Atom], space: tuple[int, ...]
) -> list[tuple[int, int, int]]:
    """(axis, first, last): the indices along an axis of the space that are inside of a pad."""
    found: list[tuple[int, int, int]] = []
    identity: Places = tuple((axis, 0) for axis in range(len(space)))
    pending: list[tuple[Any, Places]] = [(x, identity) for x in stored]
    seen: set[tuple[Any, Places]] = set()
    while pending:
        x, places = pending.pop()
        if isinstance(x, Literal) or not x.ndim or (x, places) in seen:
            continue
        first_time = not seen or x in stored
        seen.add((x, places))
        eqn = program.makers.get(x)
        if eqn is None or (x in program.locations and not (first_time and x in stored)):
            continue
        pending += _followed(program, eqn, places, space, found)
    return found


def _followed(
    program: Any, eqn: Equation, places: Places, space: tuple[int, ...],
    found: list[tuple[int, int, int]],
) -> list[tuple[Atom, Places]]:  # fmt: skip
    """The operands of an equation, and where they are read."""
    p = eqn.params
    if isinstance(rule_of(eqn), Pointwise):
        return [(y, places) for y in eqn.inputs]
    if not eqn.inputs:
        return []
    x = eqn.inputs[0]
    if eqn.primitive is ops.slice:
        return [(x, _shifted(places, p["start"], p["stride"]))]
    if eqn.primitive is ops.broadcast:
        return [(x, tuple(places[d] for d in p["dims"]))]
    if eqn.primitive is ops.permute:
        return [(x, tuple(places[p["order"].index(a)] for a in range(x.ndim)))]
    if eqn.primitive is ops.reshape:
        wide = [place for place, n in zip(places, p["shape"], strict=True) if n > 1]
        if [n for n in x.shape if n > 1] != [n for n in p["shape"] if n > 1]:
            return []
        return [(x, tuple(wide.pop(0) if n > 1 else None for n in x.shape))]
    if eqn.primitive is not ops.pad or (asked := halo_of(eqn)) is None:
        return []
    if not program.has_halo(x, asked):
        for place, low, high, n in zip(places, asked.low, asked.high, x.shape, strict=True):
            if place is not None and (low or high):
                axis, shift = place
                first = max(0, low - shift)
                last = min(space[axis], low - shift + n)
                found.append((axis, first, max(first, last)))
    return [(x, _shifted(places, [-low for low in asked.low], [1] * x.ndim))]


def _shifted(places: Places, by: Sequence[int], strides: Sequence[int]) -> Places:
    return tuple(
        None if place is None or stride != 1 else (place[0], place[1] + n)
        for place, n, stride in zip(places, by, strides, strict=True)
    )

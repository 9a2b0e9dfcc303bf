"""Where the loops of a nest begin and end, if limits of their axes say so (see windows.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.backends.native.emit import I64, Value, constant
from tracejit.backends.native.index import Emitted, Index, Loop
from tracejit.backends.native.nest import Indices, Nest
from tracejit.backends.native.windows import Limit, Limits, Windows


class Bounds:
    """The ends of the loops of a nest, by limits of their axes; masks that hold between them."""

    def __init__(self, nest: Nest, index: Indices, loops: Sequence[Loop], limits: Limits):
        self.nest, self.index, self.loops = nest, index, loops
        self.places = {i: (axis, 0) for axis, i in enumerate(index) if i.terms}
        self.limits = frozenset(x for x in limits if self._is_known_outside(x))

    def _is_known_outside(self, limit: Limit) -> bool:
        """Whether the number depends on nothing but loops around the loop that it ends."""
        loop = self.loops[limit.axis]
        around = [self.loops[a] for a in limit.needs]
        return loop.depth > 0 and all(x.depth < loop.depth for x in around)

    def set_ends(self, windows: Windows) -> None:
        """Let the loops run between their limits."""
        for axis, loop in enumerate(self.loops):
            own = [x for x in self.limits if x.axis == axis]
            if own:
                loop.ends = lambda loop=loop, own=own: self._ends(loop, own)  # type: ignore[misc]
        known: dict[Any, bool] = {}

        def holds(mask: Any, index: Indices) -> bool:
            key = mask, index
            if key not in known:
                known[key] = self._holds(*windows.of_mask(mask), index)
            return known[key]

        if self.limits:
            self.nest.holds = holds

    def _holds(self, limits: Limits, exact: bool, index: Indices) -> bool:
        """Whether a mask with these limits of its own axes holds wherever the loops run."""
        if not (exact and limits):
            return False
        places = {a: self.places[i] for a, i in enumerate(index) if i in self.places}
        return all(limit.moved(places) in self.limits for limit in limits)

    def _ends(self, loop: Loop, limits: Sequence[Limit]) -> tuple[Value, Value]:
        """Where a loop begins and ends, both within its extent."""
        fn, n = self.nest.fn, loop.extent
        ends = [constant(I64, 0), constant(I64, n)]
        for limit in sorted(limits, key=str):
            number = self._number(limit)
            if limit.past:
                number = self.nest.combine(
                    lambda x: fn.add(x, fn.like(x, 1)),
                    self.nest.clamped(number, n - 1, least=-1),
                )
            value, side = self.nest.clamped(number, n).value, int(limit.upper)
            further = (fn.less if limit.upper else fn.greater)(value, ends[side])
            ends[side] = fn.select(further, value, ends[side])
        return ends[0], ends[1]

    def _number(self, limit: Limit) -> Emitted:
        """The number of a limit, for the indices around the loop."""
        nest, total = self.nest, Index((), limit.const)
        for axis, n in limit.along:
            total = nest.plus(total, nest.scaled(self.index[axis], n))
        for n, x, dims in limit.terms:
            found = nest.integer(nest.value(x, tuple(self.index[a] for a in dims)), x.dtype)
            total = nest.plus(total, nest.scaled(nest.dynamic(found), n))
        return nest.split(total)[0]

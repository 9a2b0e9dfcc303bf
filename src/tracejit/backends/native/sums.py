"""The reductions of a nest: partial results in registers, put together where they are complete.

A reduction has partial results for each chain of the vector loop, and, where a loop inside of it
is unrolled, for each copy of that loop's body: sums that do not wait for each other. They are
merged in a fixed order, so results are the same every time.

Where each row of a block of rows is reduced over one vector, the vectors of as many rows as a
vector has lanes are reduced together: a transposition with additions on the way,

    a0 a1 a2 a3      a0+a1 b0+b1 a2+a3 b2+b3      a b c d
    b0 b1 b2 b3  ->  c0+c1 d0+d1 c2+c3 d2+d3  ->
    ...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import register_type
from tracejit.backends.native.emit import Value, constant
from tracejit.backends.native.index import Emitted, Loop
from tracejit.backends.native.lowering import Reduction
from tracejit.backends.native.nest import Buffer, Indices, Nest
from tracejit.ir.graph import Equation


@dataclass(slots=True, eq=False)
class Accumulate:
    """Reduce; into a buffer, or a register if the result has rank 0."""

    eqn: Equation
    rule: Reduction
    reduced: tuple[int, ...]
    buffer: Buffer | None
    depth: int = 0
    in_memory: bool = False
    result: Value | None = None

    @property
    def dtype(self) -> np.dtype:
        return self.eqn.outvars[0].dtype


class Sums:
    """The reductions of one nest. index: of its space. loops: one for each axis of the space."""

    def __init__(
        self, nest: Nest, sums: Sequence[Accumulate], loops: Sequence[Loop], index: Indices
    ):
        self.nest = nest
        self.sums = sums
        self.index = index
        self.lanes = nest.lanes if nest.vector else 1
        self.vector_depth = nest.vector.depth if nest.vector else 0
        self.blocks: dict[Accumulate, list[Value]] = {}
        for s in sums:
            kept = [loops[a] for a in range(len(loops)) if a not in s.reduced]
            s.depth = max([loop.depth for loop in kept if loop.extent > 1], default=0)
            s.in_memory = s.in_memory or any(loop not in kept for loop in nest.loops[: s.depth])

    def enter(self, depth: int) -> None:
        """Begin what is reduced inside of this depth."""
        for s in self.sums:
            if s.depth == depth:
                start = constant(register_type(s.dtype, self.lanes), s.rule.identity(s.dtype))
                for key in self._keys(s):
                    self.nest.carried[key] = start

    def accumulate(self, chain: int) -> None:
        """Take in the elements at the current point, of one chain."""
        for s in self.sums:
            self._accumulate(s, chain)

    def leave(self, depth: int) -> None:
        """Store what is complete at this depth."""
        for s in self.sums:
            if s.depth == depth:
                self._leave(s)

    def _inside(self, s: Accumulate) -> bool:
        """Whether the vector loop runs inside: lanes are put together at the end."""
        return self.vector_depth > s.depth

    def _copies(self, s: Accumulate) -> int:
        """How many copies of an unrolled loop's body have partial results of their own."""
        loop = self.nest.unrolled
        return loop.copies if loop is not None and loop.depth > s.depth else 1

    def _chains(self, s: Accumulate) -> Sequence[int]:
        return range(self.nest.chains) if self._inside(s) else self.nest.active

    def _keys(self, s: Accumulate) -> list[tuple[Any, int, int]]:
        return [(s, chain, i) for chain in self._chains(s) for i in range(self._copies(s))]

    def _accumulate(self, s: Accumulate, chain: int) -> None:
        nest, fn = self.nest, self.nest.fn
        key = (s, chain, nest.copy if self._copies(s) > 1 else 0)
        before = nest.carried[key]
        parts = s.rule.element(nest, s.eqn, nest.here(self.index))
        values = [fn.splat(x.value, self.lanes) for x in parts]
        after = s.rule.combine(fn, s.dtype, before, *values)
        if chain in nest.masks:
            after = fn.select(nest.masks[chain], after, before)
        nest.carried[key] = after

    def _leave(self, s: Accumulate) -> None:
        nest = self.nest
        if not (self._inside(s) or not nest.vector):
            for chain in nest.active:
                parts = [nest.carried.pop((s, chain, i)) for i in range(self._copies(s))]
                self._finish(s, self._tree(s, parts), chain)
            return
        total = self._tree(s, [nest.carried.pop(key) for key in self._keys(s)])
        if self._in_block(s):
            self._put_into_block(s, total)
        else:
            self._finish(s, self._across(s, total), None)

    def _merge(self, s: Accumulate, x: Value, y: Value) -> Value:
        """Two partial results into one."""
        return s.rule.merge(self.nest.fn, s.dtype, x, y)

    def _tree(self, s: Accumulate, parts: list[Value]) -> Value:
        while len(parts) > 1:
            half = (len(parts) + 1) // 2
            parts = [
                self._merge(s, parts[i], parts[i + half]) if i + half < len(parts) else parts[i]
                for i in range(half)
            ]
        return parts[0]

    def _across(self, s: Accumulate, total: Value) -> Value:
        """All lanes of a vector."""
        fn, lanes = self.nest.fn, total.type.lanes
        while lanes > 1:
            # Halves onto each other: log2(lanes) steps, and the same order on every machine.
            lanes //= 2
            upper = fn.shuffle(total, None, list(range(lanes, 2 * lanes)))
            lower = fn.shuffle(total, None, list(range(lanes)))
            if lanes == 1:
                lower, upper = fn.extract(total, 0), fn.extract(total, 1)
            total = self._merge(s, lower, upper)
        return total

    # Blocks of rows.

    def _in_block(self, s: Accumulate) -> bool:
        """Whether this is one of the rows that are finished together."""
        loop = self.nest.unrolled
        return loop is not None and loop.depth == s.depth and loop.unrolling

    def _put_into_block(self, s: Accumulate, total: Value) -> None:
        rows = self.blocks.setdefault(s, [])
        rows.append(total)
        if len(rows) < self.lanes:
            return
        del self.blocks[s]
        group = 1
        while len(rows) > 1:
            rows = [
                self._fold(s, x, y, group) for x, y in zip(rows[::2], rows[1::2], strict=True)
            ]
            group *= 2
        self._store_block(s, rows[0])

    def _fold(self, s: Accumulate, x: Value, y: Value, group: int) -> Value:
        """Neighbouring groups of lanes of x onto each other, those of y beside them."""
        fn, n = self.nest.fn, self.lanes
        lower = [i + side for i in range(0, n, 2 * group) for side in (0, n)]
        first = [i + k for i in lower for k in range(group)]
        return self._merge(
            s, fn.shuffle(x, y, first), fn.shuffle(x, y, [i + group for i in first])
        )

    def _store_block(self, s: Accumulate, totals: Value) -> None:
        """The results of as many rows as there are lanes; the loop is at the last of them."""
        nest, fn = self.nest, self.nest.fn
        assert s.buffer is not None
        last = nest.place(s.buffer, self._kept(s))
        stride = next(n for loop, n in last.terms if loop is nest.unrolled)
        at = nest.address(s.buffer, last.shift(-stride * (self.lanes - 1)))
        value = nest.to_memory(totals, s.buffer.dtype)
        first = at.of(fn, value.type)
        if stride == 1:
            fn.store(value, first)
        else:
            fn.scatter(value, first, nest.lane_steps(stride), None)

    def _kept(self, s: Accumulate) -> Indices:
        return tuple(i for a, i in enumerate(self.index) if a not in s.reduced)

    def _finish(self, s: Accumulate, total: Value, chain: int | None) -> None:
        nest = self.nest
        if s.buffer is None:
            s.result = total
            return
        nest.chain = chain
        index = self._kept(s)
        if s.in_memory:
            before = nest.read(s.buffer, nest.address(s.buffer, nest.place(s.buffer, index)))
            total = self._merge(s, nest.fn.splat(before, total.type.lanes), total)
        nest.store(s.buffer, index, Emitted(total, nest.depth, chain))
        nest.chain = None

"""Index arithmetic: where a kernel reads, as sums of loop counters.

An `Index` is  sum of coefficient x loop  +  constant  +  a number known at run time. Structure
operations (slice, broadcast, permute, reverse, pad) only rewrite indices; nothing is copied.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tracejit.backends.native.emit import Block, Phi, Value


@dataclass(slots=True, eq=False)
class Loop:
    """One loop of a nest. `base` is its counter (for a vector loop: of lane 0 of chain 0).

    copies: how often its body is emitted for one turn; `unrolling` where that is done. shift: how
    far the present copy is behind a counter that is no number. ends: emits the numbers from which
    on, and below which, its counter runs, where these are computed.
    """

    extent: int
    vector: bool = False
    copies: int = 1
    unrolling: bool = False
    ends: Callable[[], tuple[Value, Value]] | None = None
    depth: int = -1
    base: Value | None = None
    shift: int = 0
    preheader: Block | None = None
    phis: list[Phi] = field(default_factory=list)

    @property
    def is_fixed(self) -> bool:
        """Whether the counter is a number where code is emitted now."""
        return self.base is not None and self.base.is_constant

    @property
    def number(self) -> int:
        """That number."""
        assert self.base is not None
        return int(self.base.text)


@dataclass(slots=True, eq=False)
class Rows:
    """A part of a space: along one axis only `extent` indices, from origin's counter on."""

    axis: int
    origin: Loop
    extent: int

    def shape(self, space: tuple[int, ...]) -> tuple[int, ...]:
        """The extents of the part."""
        return (*space[: self.axis], self.extent, *space[self.axis + 1 :])

    def place(self, index: tuple[Index, ...]) -> tuple[Index, ...]:
        """An index of the part as one of the space."""
        moved = index[self.axis] + Index(((self.origin, 1),))
        return (*index[: self.axis], moved, *index[self.axis + 1 :])


@dataclass(slots=True, eq=False)
class Emitted:
    """An SSA value with the depth of loops (0: outside of all) where it was computed.

    chain: the chain of the vector loop that it belongs to, None if it is the same for all.
    """

    value: Value
    depth: int
    chain: int | None


@dataclass(frozen=True, slots=True)
class Index:
    """A position along one axis, or an offset in elements."""

    terms: tuple[tuple[Loop, int], ...] = ()
    const: int = 0
    dynamic: Any = None  # an Emitted integer

    def __add__(self, other: Index) -> Index:
        assert self.dynamic is None or other.dynamic is None
        if not other.terms:
            terms = self.terms
        elif not self.terms:
            terms = other.terms
        else:
            sums = dict(self.terms)
            for loop, n in other.terms:
                sums[loop] = sums.get(loop, 0) + n
            terms = tuple((loop, n) for loop, n in sums.items() if n)
        return Index(terms, self.const + other.const, self.dynamic or other.dynamic)

    def shift(self, n: int) -> Index:
        return Index(self.terms, self.const + n, self.dynamic) if n else self

    def scale(self, n: int) -> Index:
        """n times the index; one with a run-time part can only be left as it is."""
        if n == 1:
            return self
        assert self.dynamic is None
        if n == 0:
            return ORIGIN
        return Index(tuple((loop, c * n) for loop, c in self.terms), self.const * n)

    def fixed(self, vector: Loop | None) -> Index:
        """The same with numbers for counters that are numbers, but for the vector loop's."""
        rest = tuple((loop, n) for loop, n in self.terms if loop is vector or not loop.is_fixed)
        if len(rest) == len(self.terms):
            return self
        found = [(loop, n) for loop, n in self.terms if loop is not vector and loop.is_fixed]
        return Index(rest, self.const + sum(n * loop.number for loop, n in found), self.dynamic)

    @property
    def is_constant(self) -> bool:
        return not self.terms and self.dynamic is None


ORIGIN = Index()


def along(loop: Loop) -> Index:
    """The index that runs with a loop."""
    return Index(((loop, 1),)) if loop.extent != 1 else ORIGIN


def constant_index(n: int) -> Index:
    """The same position at every point."""
    return Index((), n)

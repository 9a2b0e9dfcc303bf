"""Memory for what is neither input nor output: blocks, given and taken back while code is emitted.

    a = take(800)      [a a a]
    b = take(400)      [a a a b b]          the workspace grows
    give(a)            [. . . b b]
    c = take(300)      [c . . b b]          the smallest hole that fits

An output that is written late lends its memory until then, so that much is never asked for.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from tracejit.backends.native.emit import I8, Function, Value
from tracejit.backends.native.lowering import Pointwise, Reduction
from tracejit.backends.native.plan import Plan, Step
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation

#: Blocks begin at its multiples, so that no vector lies across two lines of the cache.
ALIGN = 64


class Area:
    """Memory from a pointer, with holes. limit: its bytes; None where it grows as it is used."""

    def __init__(self, base: Value, limit: int | None = None):
        self.base = base
        self.limit = limit
        self.size = limit or 0
        self.holes: list[tuple[int, int]] = [(0, limit)] if limit else []  # (offset, size), sorted

    def take(self, nbytes: int) -> Block | None:
        """A block, in the smallest hole that fits; None where there is none to be had."""
        size = -(-max(1, nbytes) // ALIGN) * ALIGN
        fitting = [hole for hole in self.holes if hole[1] >= nbytes]
        if fitting:
            at, room = hole = min(fitting, key=lambda h: h[1])
            self.holes.remove(hole)
            if room > size:
                self.give(at + size, room - size)
            return Block(self, at, min(size, room))
        if self.limit is not None:
            return None
        at = self.size
        if self.holes and sum(self.holes[-1]) == self.size:
            at = self.holes.pop()[0]
        self.size = at + size
        return Block(self, at, size)

    def give(self, at: int, size: int) -> None:
        """Take memory back; neighbours grow together."""
        merged: list[tuple[int, int]] = []
        for hole in sorted([*self.holes, (at, size)]):
            if merged and sum(merged[-1]) == hole[0]:
                merged[-1] = (merged[-1][0], merged[-1][1] + hole[1])
            else:
                merged.append(hole)
        self.holes = merged


class Block(NamedTuple):
    """A piece of an area."""

    area: Area
    at: int
    size: int

    def pointer(self, fn: Function) -> Value:
        """Where it begins."""
        return fn.offset(self.area.base, self.at, I8)

    def free(self) -> None:
        """Give it back."""
        self.area.give(self.at, self.size)


@dataclass(slots=True, eq=False)
class Lent:
    """An output's memory, free until the step that writes it."""

    area: Area
    until: int


class Arena:
    """The workspace, and what the outputs of the whole program lend."""

    def __init__(self, base: Value):
        self.workspace = Area(base)
        self.lent: list[Lent] = []

    @property
    def size(self) -> int:
        """Bytes of the workspace."""
        return self.workspace.size

    def lend(self, base: Value, nbytes: int, until: int) -> None:
        """Use this memory for what is dead before a step."""
        if nbytes >= ALIGN:
            self.lent.append(Lent(Area(base, nbytes), until))

    def take(self, nbytes: int, last: int) -> Block:
        """A block for what no step of the whole program behind `last` reads."""
        for lent in sorted(self.lent, key=lambda lent: lent.until):
            if lent.until > last and (block := lent.area.take(nbytes)):
                return block
        block = self.workspace.take(nbytes)
        assert block is not None
        return block

    def keeps(self, block: Block, last: int) -> bool:
        """Whether a block may stay where it is until this step."""
        return all(block.area is not lent.area or lent.until > last for lent in self.lent)


# Stores in place: tanh(z + b) goes where z lies, if nobody reads z afterwards.


def replaceable(plan: Plan, step: Step, dying: Iterable[Var]) -> dict[Var, Var]:
    """For stores of a kernel, the dying array each may replace: one of its type that the kernel
    reads at the very index where it stores, before it stores, and at no other.
    """
    types = {v.type for v in step.stores}
    left = [x for x in dying if x.type in types]
    if not left:
        return {}
    stores = {v: _reads(plan, _operands(plan, v, here=True)) for v in step.stores}
    sums = [_reads(plan, [(x, _aligned(plan, eqn)) for x in eqn.inputs]) for eqn in step.sums]
    elsewhere = {x for _, other in (*stores.values(), *sums) for x in other}
    found: dict[Var, Var] = {}
    for v, (here, _) in stores.items():
        fitting = [x for x in left if x.type == v.type and x in here and x not in elsewhere]
        if fitting:
            found[v] = fitting[0]
            left.remove(fitting[0])
    return found


def _aligned(plan: Plan, eqn: Equation) -> bool:
    rule = plan.rules[eqn]
    return isinstance(rule, Reduction) and rule.aligned(eqn)


def _operands(plan: Plan, v: Var, *, here: bool) -> list[tuple[Atom, bool]]:
    """What v is computed from, each with whether it is read at the kernel's own index."""
    eqn = plan.makers[v]
    here = here and isinstance(plan.rules[eqn], Pointwise)
    return [(x, here) for x in eqn.inputs]


def _reads(plan: Plan, pending: list[tuple[Atom, bool]]) -> tuple[set[Var], set[Var]]:
    """The arrays in memory behind these: those read at the kernel's own index, and elsewhere."""
    own: set[Var] = set()
    elsewhere: set[Var] = set()
    seen = set()
    while pending:
        x, here = pending.pop()
        if not isinstance(x, Var) or not x.ndim or (x, here) in seen:
            continue
        seen.add((x, here))
        if x in plan.makers and x not in plan.stored:
            pending += _operands(plan, x, here=here)
        else:
            (own if here else elsewhere).add(x)
    return own, elsewhere

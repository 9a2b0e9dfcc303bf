"""Memory for what is neither input nor output: blocks, given and taken back while code is emitted.

    a = take(800)      [a a a]
    b = take(400)      [a a a b b]          the workspace grows
    give(a)            [. . . b b]
    c = take(300)      [c . . b b]          the smallest hole that fits

An output that is written late lends its memory until then, so that much is never asked for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from tracejit.backends.native.emit import I8, Function, Value
from tracejit.backends.native.lowering import Pointwise, Reduction
from tracejit.backends.native.plan import Plan, Step
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation
from tracejit.ops.structure import reshape

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


#: How an array in memory is read by a kernel: at the kernel's own index; at that, behind a reshape,
#: which is the same place in memory; anywhere.
HERE, RESHAPED, ELSEWHERE = range(3)


def replaceable(
    plan: Plan, step: Step, dying: Iterable[Var], meant: Mapping[Var, Var] = MappingProxyType({})
) -> dict[Var, Var]:
    """For stores of a kernel, the dying array each may replace: one that the kernel reads at the
    very place where it stores, before it stores, and at no other.

    What several statements read is loaded once, and stays in a register; but behind a reshape it
    may be loaded again, so then only the one that stores may read it. meant: arrays that
    stores take if they may, before any other.
    """
    sizes = {(v.type.size, v.dtype) for v in step.stores}
    left = [x for x in dying if (x.type.size, x.dtype) in sizes]
    if not left:
        return {}
    made = set(step.stores)
    reads = {v: _reads(plan, _operands(plan, v, HERE), made) for v in step.stores}
    others = [_reads(plan, [(x, _kind(plan, eqn)) for x in eqn.inputs], made) for eqn in step.sums]
    found: dict[Var, Var] = {}

    def fits(v: Var, x: Var) -> bool:
        rest = [*others, *(read for other, read in reads.items() if other is not v)]
        most = max((read[x] for read in rest if x in read), default=None)
        own = reads[v].get(x)
        alike = (v.type.size, v.dtype) == (x.type.size, x.dtype) and v not in plan.halos
        alone = own == RESHAPED and most is None
        return alike and (alone or (own == HERE and most in (None, HERE)))

    for v in reads:
        x = meant.get(v)
        if x in left and fits(v, x):
            found[v] = x
            left.remove(x)
    for v in reads:
        heir = next((x for x in left if v not in found and fits(v, x)), None)
        if heir is not None:
            found[v] = heir
            left.remove(heir)
    return found


def _kind(plan: Plan, eqn: Equation) -> int:
    """Where a reduction reads its operands."""
    rule = plan.rules[eqn]
    return HERE if isinstance(rule, Reduction) and rule.aligned(eqn) else ELSEWHERE


def _operands(plan: Plan, v: Var, kind: int) -> list[tuple[Atom, int]]:
    """What v, asked for like this, is computed from, and where that is read."""
    eqn = plan.makers[v]
    if eqn.primitive is reshape:
        kind = max(kind, RESHAPED)
    elif not isinstance(plan.rules[eqn], Pointwise):
        kind = ELSEWHERE
    return [(x, kind) for x in eqn.inputs]


def _reads(plan: Plan, pending: list[tuple[Atom, int]], made: set[Var]) -> dict[Var, int]:
    """The arrays in memory behind these, and where each is read; of several, the largest.

    made: what the kernel stores; who reads that elsewhere in the kernel computes it there.
    """
    found: dict[Var, int] = {}
    seen = set()
    while pending:
        x, kind = pending.pop()
        if not isinstance(x, Var) or not x.ndim or (x, kind) in seen:
            continue
        seen.add((x, kind))
        if x in made or (x in plan.makers and x not in plan.stored):
            pending += _operands(plan, x, kind)
        else:
            found[x] = max(kind, found.get(x, HERE))
    return found

"""Regions: kernels that go through the same rows run together, tile by tile.

    z = X @ w            kernel over (N, D)            for rows in tiles of 200:
    r = f(z, y)          kernel over (N,)         ->       z, r, g for these rows
    g = r @ X            kernel over (D, N)

A kernel joins where it reads what the region makes at its own row only. Then a tile of X is read
from memory once and from the cache afterwards, and arrays that nobody else reads (z and r) are only
ever as long as a tile. Sums over rows are added up in memory, tile after tile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

from tracejit.backends.native.lowering import Pointwise, Reader, Rowwise, Statement
from tracejit.backends.native.plan import CACHE, Plan, Step
from tracejit.backends.native.windows import in_common
from tracejit.ir.atoms import Literal, Var
from tracejit.ir.graph import Equation

Axes = tuple[int | None, ...]

#: Bytes that a region has to save on the way to memory and back.
WORTH = 1 << 16
#: Bytes of a tile: what stays in the first cache, or in the second where rows are long.
NEAR, FAR = 1 << 15, 1 << 19
#: Rows of a tile, at least and at most.
FEW, MANY = 8, 1024
#: Rows that lie side by side are columns: of so few of them, in arrays that no cache holds, each
#: piece of memory that is fetched at once is too short.
NARROW = 64
#: Rows of so few elements lie side by side: one vector goes along the rows, not along a row.
SHORT = 16
#: How often an operand with short rows is read before a tile of it is copied and turned.
OFTEN = 6
#: Sums of rows that are longer than a page add up so many rows at a time: memory is read ahead
#: along so many streams, while a walk down the columns would meet a new page at every step.
PAGE, STREAMS = 1 << 12, 16
#: Regions are looked for among so many steps at a time.
WINDOW = 60


@dataclass(slots=True, eq=False)
class Member:
    """A kernel or a statement of a region; `axis` of its space runs along the rows."""

    step: Step
    axis: int


@dataclass(slots=True, eq=False)
class Region(Step):
    """Kernels over the same `extent` rows, `tile` of them at a time.

    rows: for each variable that is made row by row, its axis of rows. contracted: those of them
    that are only as long as a tile; turned: and lie with their rows side by side. copied: operands
    of which each tile is copied, to lie so, too. totals: sums over the rows.
    """

    members: list[Member] = field(default_factory=list)
    statements: list[Equation] = field(default_factory=list)
    extent: int = 0
    tile: int = 0
    rows: dict[Var, int] = field(default_factory=dict)
    contracted: set[Var] = field(default_factory=set)
    turned: set[Var] = field(default_factory=set)
    copied: dict[Var, int] = field(default_factory=dict)
    totals: set[Var] = field(default_factory=set)
    saved: int = 0


def with_regions(plan: Plan) -> list[Step]:
    """The steps of a plan, in an order that it allows, kernels gathered into regions."""
    return _Search(plan).run()


class _Search:
    def __init__(self, plan: Plan):
        self.plan = plan
        self.touched: dict[Step, dict[tuple[Var, Axes], None]] = {}
        self.readers: dict[Var, set[Step]] = {}
        self.flat = {
            x for eqn, rule in plan.rules.items()
            if isinstance(rule, Reader) and rule.flat(eqn)
            for x in eqn.inputs
        }  # fmt: skip

    def run(self) -> list[Step]:
        pending = self.plan.steps
        if not any(self._is_large(step) for step in pending):
            return pending
        for step in pending:
            for x in self.plan.reads(step):
                self.readers.setdefault(x, set()).add(step)
        for x in self.plan.behind(self.plan.jaxpr.outvars):
            self.readers.setdefault(x, set()).add(Step(0))
        windows = [pending[i : i + WINDOW] for i in range(0, len(pending), WINDOW)]
        return [step for window in windows for step in self._gathered(window)]

    def _gathered(self, steps: list[Step]) -> list[Step]:
        """These steps with regions among them: the best one first, then what is left around it."""
        best = self._best(steps)
        if best is None:
            return steps
        first = steps.index(best.first)
        behind = [*best.after, *steps[first + best.count :]]
        return [
            *self._gathered(steps[:first]), *best.before, best.region, *self._gathered(behind)
        ]  # fmt: skip

    def _best(self, steps: Sequence[Step]) -> _Growth | None:
        """The region of these steps that saves most."""
        best: _Growth | None = None
        for number, first in enumerate(steps):
            if not self._is_large(first):
                continue
            for axis, extent in enumerate(self.space(first)):
                if extent < 2 * FEW or axis in self.limited(first):
                    continue
                if best is not None and best.has(first, axis):
                    continue
                growth = _Growth(self, first, axis)
                growth.run(steps[number + 1 :])
                saved = growth.region.saved
                better = saved >= WORTH and (best is None or saved > best.region.saved)
                if better and self._set_tile(growth):
                    best = growth
        return best

    def _is_large(self, step: Step) -> bool:
        """Whether a step goes through enough to be the first of a region."""
        space = self.space(step)
        return 8 * prod(space) >= WORTH // 4 if space else False

    def by_rows(self, step: Step) -> Rowwise | None:
        """How a statement takes part in a region, if it can."""
        if step.statement is None or self.plan.windows.of_scatter(step.statement):
            return None
        rule = self.plan.rules[step.statement]
        assert isinstance(rule, Statement)
        return rule.by_rows

    def space(self, step: Step) -> tuple[int, ...]:
        """The loops that a step runs; () for one that can't be in a region, or had better update a
        part of an array where it lies."""
        windows = self.plan.windows
        if any(windows.of_store(v) != windows.of_store(v, set()) for v in step.stores):
            return ()
        by_rows = self.by_rows(step)
        return step.space if by_rows is None else by_rows.space(step.statement)  # type: ignore

    def limited(self, step: Step) -> set[int]:
        """The axes of which a step runs only what lies between limits: no one knows which rows."""
        windows = self.plan.windows
        found = [windows.of_store(v) for v in step.stores]
        found += [windows.of_sum(eqn) for eqn in step.sums]
        return {limit.axis for limit in in_common(found)}

    def _set_tile(self, growth: _Growth) -> bool:
        """Choose the length of a tile; False where all rows together are hardly more."""
        region, per_row = growth.region, growth.bytes_of_a_row()
        most = FAR if FEW * per_row > NEAR else NEAR
        tile = max(FEW, min(STREAMS if growth.adds_rows() else MANY, most // per_row))
        if tile < NARROW and growth.goes_along_columns():
            return False
        region.tile = _even_tile(region.extent, tile)
        return region.extent >= 2 * region.tile

    def _accesses(self, step: Step) -> dict[tuple[Var, Axes], None]:
        """What a kernel reads from where it lies, and along which axes of its space.

        An axis of a variable that takes the same place as an axis of the space has its number;
        all others have None.
        """
        if step in self.touched:
            return self.touched[step]
        plan, space, by_rows = self.plan, self.space(step), self.by_rows(step)
        found: dict[tuple[Var, Axes], None] = {}
        identity = tuple(range(len(space)))
        pending = [p for v in step.stores for p in self._operands(plan.makers[v], identity, space)]
        for eqn in step.sums:
            pending += plan.rules[eqn].operands(eqn)
        if by_rows is not None:
            pending += by_rows.operands(step.statement)  # type: ignore[arg-type]
        seen = set()
        while pending:
            x, axes = pending.pop()
            if isinstance(x, Literal) or (x, axes) in seen:
                continue
            seen.add((x, axes))
            there = x in plan.stored or x not in plan.makers or not x.ndim
            if there and x not in step.stores:
                found[x, axes] = None
                continue
            pending += self._operands(plan.makers[x], axes, space)
        self.touched[step] = found
        return found

    def _operands(
        self, eqn: Equation, axes: Axes, space: tuple[int, ...]
    ) -> Iterator[tuple[Any, Axes]]:
        rule = self.plan.rules[eqn]
        if isinstance(rule, Pointwise):
            for x in eqn.inputs:
                yield x, axes if x.ndim else ()
            return
        assert isinstance(rule, Reader)
        moved, flat = rule.moved(eqn), rule.flat(eqn)
        kept = tuple(None if a in moved else axis for a, axis in enumerate(axes))
        for x, along in rule.axes(eqn, kept):
            yield x, tuple(
                None if axis is None or x.shape[a] != space[axis] or (flat and a) else axis
                for a, axis in enumerate(along)
            )


class _Growth:
    """A region that takes in what it can of the steps that follow its first."""

    def __init__(self, search: _Search, first: Step, axis: int):
        self.search = search
        self.first = first
        self.region = Region(first.level, extent=search.space(first)[axis])
        self.before: list[Step] = []
        self.after: list[Step] = []
        self.count = 1
        self.late: set[Var] = set()  # what is not there before the region is through
        self.read_rows: dict[Var, int] = {}  # arrays read row by row, and their axis of rows
        self.shared: dict[Var, set[Step]] = {}  # and by whom
        self._read: set[Var] = set()  # by members
        self._updated: set[Var] = set()  # before the first row, and where they lie, if that may be
        self._join(first, axis)

    def run(self, steps: Sequence[Step]) -> None:
        plan, effects = self.search.plan, False  # ... whether one comes behind the region
        for step in steps:
            reads = plan.reads(step)
            axis = None
            space = self.search.space(step)
            there = reads.isdisjoint(self.late) and reads.isdisjoint(self._updated)
            if there and space and 0 not in space:
                axis = self._axis(step)
            if axis is not None:
                self._join(step, axis)
            elif (
                reads.isdisjoint(self.late) and reads.isdisjoint(self.region.rows)
                and not (effects and step.statement in plan.effects)
            ):
                self.before.append(step)
            else:
                effects = effects or step.statement in plan.effects
                self.after.append(step)
                self.late.update(plan.results(step))
        self._trim(steps)
        self._settle()

    def has(self, step: Step, axis: int) -> bool:
        """Whether a step is in the region, with this axis along the rows."""
        return any(m.step is step and m.axis == axis for m in self.region.members)

    def _trim(self, steps: Sequence[Step]) -> None:
        """Leave the steps behind the last member to those who come later."""
        members = {member.step for member in self.region.members}
        last = max((i for i, step in enumerate(steps) if step in members), default=-1)
        self.count = last + 2
        here = set(steps[: last + 1])
        self.before = [step for step in self.before if step in here]
        self.after = [step for step in self.after if step in here]

    def _axis(self, step: Step) -> int | None:
        """The axis of a kernel that runs along the rows, if it can run tile by tile.

        It goes by what the region makes, or else by what its kernels read, too.
        """
        accesses, rows = self.search._accesses(step), self.region.rows
        found = {axes[rows[x]] for x, axes in accesses if x in rows}
        if not found:
            found = {
                axes[self.read_rows[x]] for x, axes in accesses
                if x in self.read_rows and 8 * x.type.size >= WORTH // 2
            } - {None}  # fmt: skip
        if len(found) != 1:
            return None
        (axis,) = found
        if axis is None or self.search.space(step)[axis] != self.region.extent:
            return None
        if axis in self.search.limited(step):
            return None
        by_rows = self.search.by_rows(step)
        if by_rows is not None:
            roots = by_rows.reads_before(step.statement)  # type: ignore[arg-type]
            before = self.search.plan.behind(roots)
            if not before.isdisjoint(rows) or not self._read.isdisjoint(roots):
                return None
        return axis

    def _join(self, step: Step, axis: int) -> None:
        region, rules = self.region, self.search.plan.rules
        region.members.append(Member(step, axis))
        self._read |= self.search.plan.reads(step)
        region.stores += step.stores
        region.sums += step.sums
        for eqn in step.statements:
            region.statements.append(eqn)
            by_rows = self.search.by_rows(step)
            (out,), kept = eqn.outvars, by_rows.kept(eqn, axis)  # type: ignore[union-attr]
            roots = by_rows.reads_before(eqn)  # type: ignore[union-attr]
            self._updated.update(x for x in roots if isinstance(x, Var))
            if kept is None:
                region.totals.add(out)
                self.late.add(out)
            else:
                region.rows[out] = kept
        for v in step.stores:
            region.rows[v] = axis
        for eqn in step.sums:
            (out,) = eqn.outvars
            reduced = rules[eqn].reduced(eqn)
            if axis in reduced:
                region.totals.add(out)
                self.late.add(out)
            else:
                region.rows[out] = axis - sum(a < axis for a in reduced)
        for x, axes in self.search._accesses(step):
            if axes.count(axis) == 1:
                self.read_rows.setdefault(x, axes.index(axis))
                self.shared.setdefault(x, set()).add(step)

    def _settle(self) -> None:
        """What is contracted, and how many bytes are saved."""
        region, search = self.region, self.search
        inside = {member.step for member in region.members}
        for x in region.rows:
            if search.readers.get(x, set()) <= inside and x not in search.plan.halos:
                region.contracted.add(x)
                region.saved += 2 * _bytes(x)
                if x.shape[-1] <= SHORT and x not in search.flat:
                    region.turned.add(x)
        for x, readers in self.shared.items():
            if x not in region.contracted:
                region.saved += (len(readers) - (x not in region.rows)) * _bytes(x)

        if self.adds_rows():
            region.saved += sum(_bytes(x) for x in self.shared)
        for x in self.shared:
            if x not in region.rows and self._is_worth_turning(x):
                region.copied[x] = self.read_rows[x]

    def _is_worth_turning(self, x: Var) -> bool:
        """Whether an operand has short rows and is read again and again, always row by row."""
        axis, reads = self.read_rows[x], 0
        if x.ndim < 2 or x.shape[-1] > SHORT or axis == x.ndim - 1 or x in self.search.flat:
            return False
        for member in self.region.members:
            for y, axes in self.search._accesses(member.step):
                if y is x:
                    if axes[axis] != member.axis:
                        return False
                    reads += prod(self.search.space(member.step)) // x.type.size
        return reads >= OFTEN

    def adds_rows(self) -> bool:
        """Whether it is one kernel that adds up the long rows of large arrays, and does no more."""
        (first, *others), rules = self.region.members, self.search.plan.rules
        if others or first.step.stores or not first.step.sums:
            return False
        if any(rules[eqn].reduced(eqn) != (first.axis,) for eqn in first.step.sums):
            return False
        return any(
            x.ndim == 2 and self.read_rows[x] == 0 and _bytes(x) > max(CACHE, PAGE * x.shape[0])
            for x in self.shared
        )

    def goes_along_columns(self) -> bool:
        """Whether its rows lie side by side in large arrays that it reads or makes."""
        return any(
            axis == x.ndim - 1 > 0 and _bytes(x) > CACHE
            for x, axis in (self.read_rows | self.region.rows).items()
        )

    def bytes_of_a_row(self) -> int:
        """What a tile holds for each of its rows."""
        near = {x for x, readers in self.shared.items() if len(readers) > 1} | set(self.region.rows)
        return max(1, sum(_bytes(x) for x in near) // self.region.extent)


def _bytes(x: Var) -> int:
    return x.type.size * x.dtype.itemsize


def _even_tile(extent: int, tile: int) -> int:
    """About so many rows; a number that the rows are a multiple of, where there is one."""
    for multiple in (32, 8, 1):
        for rows in range(tile // multiple * multiple, tile // 2, -multiple):
            if rows and extent % rows == 0:
                return rows
    return tile // 32 * 32 or tile // 8 * 8 or tile

"""The plan of a program: what lies in memory, and which statements share a loop nest.

    z = dot(X, w); y = exp(z); s = reduce_sum(y); g = mul(y, 2.0); return s, g

    level 1   kernel over (N, D):  z
    level 2   kernel over (N,):    s += exp(z[i]);  g[i] = 2 exp(z[i])        (exp computed once)

A variable is *stored* if it is an output, comes from a reduction or a statement, or is needed by
address; other arrays are computed in place where they are read, and scalars once, in registers.
What is finished gets a level: 1 more than what it needs finished. Statements of one level and one
space share a nest. Effects (guards are some) keep their order, and what has code of its own, such
as a loop that may not end, does not come before an effect that it is behind. An array that is dear
and would be computed in two nests, at several indices, or again and again along another axis, is
stored after all.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from math import prod
from typing import Any, TypeGuard

from tracejit.backends.native.elementwise import TWINS
from tracejit.backends.native.halo import halos
from tracejit.backends.native.lowering import Pointwise, Reader, Reduction, Statement, rule_of
from tracejit.backends.native.windows import Limits, Windows
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import BOOL
from tracejit.ir.walk import count_equations, held_jaxprs
from tracejit.ops.indexing import dynamic_slice
from tracejit.ops.structure import pad, permute, slice

#: Computing in place again is given up for a store and a load above this cost.
DEAR = 8
#: The same for an array of more than `CACHE` bytes that no region makes tile by tile, because it is
#: not read row by row, or because a row has more than `ROW`: a store and a load then go to memory.
DISTANT, CACHE, ROW = 64, 1 << 20, 1 << 16
#: To read from memory and write there, at one point.
TRAFFIC = 8
#: Elements of which a cache holds every line, in whichever order they are read.
LINES = 1 << 12
#: The cost of the work over one shape that one nest does at most.
LONG = 500
#: What a sum adds to that, with what follows its loop.
SUM = 10
#: What the loops of a nest cost to compile.
NEST = 20
#: Scalars that make a step.
SCALARS = 20
#: Readers (slices, pads, ...) read through each other this deep; then the result is stored.
DEEP = 40


@dataclass(slots=True, eq=False)
class Step:
    """Scalars, a kernel (stores and reductions over one space) or one statement."""

    level: int
    space: tuple[int, ...] = ()
    stores: list[Var] = field(default_factory=list)
    sums: list[Equation] = field(default_factory=list)
    scalars: list[Var] = field(default_factory=list)
    statement: Equation | None = None

    @property
    def statements(self) -> Sequence[Equation]:
        """The statement, or none."""
        return [] if self.statement is None else [self.statement]


class Plan:
    """Decides what is stored, and groups it into steps.

    stored: what lies in memory, each with the reason, for `explain`. effects: the equations that
    have one; their order stays.
    """

    def __init__(self, jaxpr: Jaxpr):
        self.jaxpr = jaxpr
        self.makers: dict[Var, Equation] = {v: e for e in jaxpr.equations for v in e.outvars}
        self.rules = {eqn: rule_of(eqn) for eqn in jaxpr.equations}
        self.effects = {eqn for eqn in jaxpr.equations if is_effectful(eqn)}
        self.looks: dict[Any, list[Equation]] = {}  # by array, what reads windows of it
        for eqn in jaxpr.equations:
            if eqn.primitive in (slice, dynamic_slice):
                self.looks.setdefault(eqn.inputs[0], []).append(eqn)
        self.twins = self._twins()
        self.windows = Windows(self)
        self.stored = self._must_be_stored()
        self.halos, parted = halos(jaxpr, self.stored)
        self.stored |= dict.fromkeys(self.halos, "padded several times: with a halo")
        self.stored |= dict.fromkeys(parted, "a part of it is padded several times")
        self.costs = self._costs()
        self.distant: set[Var] = set()
        self._store_what_spreads()
        self._cut_long_kernels()
        for _ in range(3):
            self.steps = self._steps()
            again = self._dear_in_two_places()
            if not again:
                break
            self.stored |= dict.fromkeys(again, "dear, and wanted by several nests")
            self.costs = self._costs()
        else:
            self.steps = self._steps()

    def _twins(self) -> dict[Equation, Var]:
        """For sin of something whose cos is wanted too, that cos; and the other way round."""
        found = {
            (eqn.primitive, eqn.inputs[0]): eqn
            for eqn in self.jaxpr.equations if eqn.primitive in TWINS
        }  # fmt: skip
        pairs = {}
        for (primitive, x), eqn in found.items():
            other = found.get((TWINS[primitive][0], x))
            if other is not None:
                pairs[eqn] = other.outvars[0]
        return pairs

    def _inline(self, x: Atom) -> TypeGuard[Var]:
        """Whether x is an array that is computed in place."""
        return isinstance(x, Var) and x.ndim > 0 and x in self.makers and x not in self.stored

    def _in_place(self, eqn: Equation) -> bool:
        """Whether an equation reads its operands at the index at which it is computed."""
        rule = self.rules[eqn]
        return isinstance(rule, Pointwise) or (isinstance(rule, Reduction) and rule.aligned(eqn))

    def _must_be_stored(self) -> dict[Var, str]:
        outs = [y for y in self.jaxpr.outvars if isinstance(y, Var)]
        stored = {y: "a result" for y in outs if y in self.makers and y.ndim}
        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            if isinstance(rule, (Reduction, Statement)):
                for v in eqn.outvars:
                    stored.setdefault(v, "finished before it is read")
            if isinstance(rule, (Reader, Statement)):
                for i in rule.stored(eqn):
                    x = eqn.inputs[i]
                    if isinstance(x, Var) and x in self.makers and x.ndim:
                        stored.setdefault(x, f"read by address in {eqn.primitive.name}")
        return stored

    def _costs(self) -> dict[Var, int]:
        """What an element of a variable costs in place, down to what is stored or a scalar.

        Arrays behind too many readers are stored on the way.
        """
        costs: dict[Var, int] = {}
        deep: dict[Var, int] = {}
        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            own = rule.cost if isinstance(rule, Pointwise) else 1
            arrays = [x for x in eqn.inputs if self._inline(x)]
            total = own + sum([costs[x] for x in arrays])
            depth = max([deep[x] for x in arrays], default=0)
            depth += int(isinstance(rule, Reader))
            for v in eqn.outvars:
                if v.ndim and v.dtype == BOOL and self.windows.of_mask(v)[1]:
                    total = 1  # it holds between the ends of loops
                if depth > DEEP and v.ndim:
                    self.stored.setdefault(v, "behind many slices, pads or their like")
                costs[v], deep[v] = min(total, 1 << 30), depth
        return costs

    def _store_what_spreads(self) -> None:
        """Store what is dear and read several times: along another axis, or at several indices."""
        places: dict[Var, set[Any]] = {}
        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            often: tuple[Any, ...] = ()
            if isinstance(rule, Reader):
                often = eqn.inputs if rule.spreads(eqn) else ()
            elif isinstance(rule, Reduction):
                often = rule.spread(eqn)
            for x in eqn.inputs:
                if self._inline(x):
                    at = "own index" if self._in_place(eqn) else eqn
                    places.setdefault(x, set()).add(at)
                    if x in often and self.costs[x] > DEAR:
                        self.stored[x] = f"dear, and read again and again by {eqn.primitive.name}"
        turned = self._turned()
        for x, where in places.items():
            limit = DISTANT if _is_distant(x, where, x in turned) else DEAR
            if limit == DISTANT:
                self.distant.add(x)
            if len(where) > 1 and self.costs[x] * (len(where) - 1) > limit:
                self.stored.setdefault(x, f"read at {len(where)} indices")
        self.costs = self._costs()

    def _turned(self) -> set[Any]:
        """What is computed in place of arrays whose last axis goes elsewhere: their rows are not
        read as they would be made."""
        turned: set[Any] = set()
        for eqn in reversed(self.jaxpr.equations):
            if eqn.primitive is permute and eqn.params["order"][-1] != eqn.inputs[0].ndim - 1:
                turned.add(eqn.inputs[0])
            elif isinstance(self.rules[eqn], (Pointwise, Reader)) and any(
                v in turned and v not in self.stored for v in eqn.outvars
            ):
                turned.update(eqn.inputs)
        return turned

    def store(self, found: dict[Var, str]) -> None:
        """Store these too, for the reasons given, and make the steps again."""
        self.stored |= found
        self.costs = self._costs()
        self.steps = self._steps()

    # Levels.

    def _steps(self) -> list[Step]:
        self.level: dict[Var, int] = {}
        self._ready: dict[Var, int] = {}
        self._kernels: dict[Any, Step] = {}
        self._others: list[Step] = []
        self._scalars: dict[int, list[Step]] = {}
        behind = 0  # the level behind the last effect, which statements and numbers wait for
        for eqn in self.jaxpr.equations:
            rule, first = self.rules[eqn], self._first_level(eqn)
            number = isinstance(rule, (Pointwise, Reader)) and not eqn.outvars[0].ndim
            if number or isinstance(rule, Statement):
                first = max(first, behind)
            if eqn in self.effects:
                behind = first + 1
            for v in eqn.outvars:
                self._ready[v] = first
            if isinstance(rule, (Pointwise, Reader)):
                for v in eqn.outvars:
                    self._place(v, first)
                continue
            if isinstance(rule, Statement):
                self._others.append(Step(first, statement=eqn))
            else:
                space = rule.space(eqn)
                parts = [
                    self.parts[x] for x in eqn.inputs if x in self.parts and x.shape == space
                ]
                part = max(parts, default=self.parts[eqn.outvars[0]])
                window = self.windows.of_sum(eqn)
                grain = _grain(rule.operands(eqn), space)
                self._kernel(first, space, part, window, window, grain).sums.append(eqn)
            for v in eqn.outvars:
                self.level[v], self._ready[v] = first, first + 1
        return sorted(
            [*chain(*self._scalars.values()), *self._others], key=lambda step: step.level
        )

    def _first_level(self, eqn: Equation) -> int:
        """The level at which all that an equation reads is there."""
        in_place, found = self._in_place(eqn), 0
        for x in eqn.inputs:
            if isinstance(x, Var):
                level = self._ready.get(x, 0)
                if not in_place and x in self.level:  # at any index: when its nest is finished
                    level = self.level[x] + 1
                found = max(found, level)
        return found

    def _place(self, v: Var, level: int) -> None:
        """What is computed in place: stored by a nest, a scalar of a step, or nothing yet."""
        if v in self.stored:
            window = self.windows.of_store(v), self.windows.of_store(v, set())
            self._kernel(level, v.shape, self.parts[v], *window).stores.append(v)
            self.level[v] = level
        elif not v.ndim:
            run = self._scalars.setdefault(level, [])
            if not run or len(run[-1].scalars) == SCALARS:
                run.append(Step(level))
            run[-1].scalars.append(v)

    def _kernel(
        self, level: int, space: tuple[int, ...], part: int, window: Limits, least: Limits,
        grain: int = -1,
    ) -> Step:  # fmt: skip
        """The step of a nest, made if it is the first time: of what has the same window, wherever
        it lies; and the same where it is not stored in place; and the same grain."""
        key = (level, space, part, window, least, grain % len(space) if space else 0)
        if key not in self._kernels:
            self._kernels[key] = Step(level, space)
            self._others.append(self._kernels[key])
        return self._kernels[key]

    def _cut_long_kernels(self) -> None:
        """Work over one shape is cut where it grows too long; what is dear and crosses is stored.

        Each nest takes statements of one part only: one nest with hundreds of values alive is more
        than registers hold, and more than the compiler can take.
        """
        filled: dict[tuple[int, ...], int] = {}
        self.parts: dict[Var, int] = {}
        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            if isinstance(rule, Reduction):
                shape, cost = rule.space(eqn), SUM
            elif isinstance(rule, (Pointwise, Reader)) and eqn.outvars[0].ndim:
                shape, cost = eqn.outvars[0].shape, self._own_cost(eqn)
            else:
                continue
            filled[shape] = filled.get(shape, 0) + cost
            part = filled[shape] // LONG
            for v in eqn.outvars:
                self.parts[v] = part
            if isinstance(rule, Reduction):
                continue
            for x in eqn.inputs:
                if not self._inline(x) or x.shape != shape:
                    continue
                if self.costs[x] > DEAR and self.parts[x] != part:
                    self.stored.setdefault(x, "dear, and a nest would be too long with it")
        self.costs = self._costs()

    # Reads.

    def results(self, step: Step) -> Iterable[Var]:
        """The variables that a step finishes."""
        for eqn in step.statements:
            yield from eqn.outvars
        yield from (*step.stores, *step.scalars)
        for eqn in step.sums:
            yield from eqn.outvars

    def roots(self, step: Step) -> Iterable[Atom]:
        """What a step evaluates, before anything is followed."""
        for eqn in step.statements:
            yield from eqn.inputs
        for v in (*step.stores, *step.scalars):
            yield from self.makers[v].inputs
        for eqn in step.sums:
            yield from eqn.inputs

    def reads(self, step: Step) -> set[Var]:
        """The variables that a step touches: stored ones, scalars, and arrays computed in place."""
        return self.behind(self.roots(step), set(step.stores))

    def weights(self) -> list[int]:
        """For each step, the cost of all that is computed in it."""
        costs = []
        for step in self.steps:
            made = {self.makers[v] for v in self.reads(step) if self._inline(v)}
            made.update(self.makers[v] for v in self.results(step))
            nest = NEST if step.space else 0
            costs.append(nest + sum(self._own_cost(eqn) for eqn in made))
        return costs

    def effort(self, step: Step, points: int) -> int:
        """What it takes to run a step at so many points, in the units of `effort.py`."""
        made = {self.makers[v] for v in self.reads(step) if self._inline(v)}
        made.update(self.makers[v] for v in step.stores)
        rules = [self.rules[eqn] for eqn in made]
        each = sum(rule.cost for rule in rules if isinstance(rule, Pointwise))
        return points * (TRAFFIC + len(step.sums) + each)

    def _own_cost(self, eqn: Equation) -> int:
        """Of one equation; a statement with jaxprs costs what they do."""
        rule = self.rules[eqn]
        if isinstance(rule, Pointwise):
            return rule.cost
        if isinstance(rule, Statement):
            return 20 + 4 * sum(count_equations(body) for _, body in held_jaxprs(eqn))
        return 5

    def behind(self, roots: Iterable[Atom], own: set[Var] = frozenset()) -> set[Var]:  # type: ignore[assignment]
        """What is touched when these are evaluated; those of `own` are computed here."""
        seen: set[Var] = set()
        pending = [x for x in roots if isinstance(x, Var)]
        while pending:
            x = pending.pop()
            if x in seen:
                continue
            seen.add(x)
            if x in own or self._inline(x):
                pending += [y for y in self.makers[x].inputs if isinstance(y, Var)]
        return seen

    def _dear_in_two_places(self) -> set[Var]:
        """Variables computed in place in more than one step, and dear."""
        count: dict[Var, int] = {}
        for step in self.steps:
            for x in self.reads(step):
                limit = DISTANT if x in self.distant else DEAR
                if self._inline(x) and self.costs[x] > limit:
                    count[x] = count.get(x, 0) + 1
        several = {x for x, n in count.items() if n > 1}
        # Of a chain of dear ones only the last is needed by address.
        inner = {
            y for x in several for y in self.makers[x].inputs
            if y in several and count[y] == count[x]
        }  # fmt: skip
        return several - inner


def _is_distant(x: Var, readers: Iterable[Any], turned: bool) -> bool:
    """Whether storing an array that is read at several indices takes it to memory and back."""
    nbytes = x.type.nbytes
    return nbytes > CACHE and (turned or nbytes > ROW * x.shape[0] or any(
        isinstance(eqn, Equation) and eqn.primitive in (slice, pad)
        and eqn.outvars[0].shape[0] != x.shape[0]
        for eqn in readers
    ))  # fmt: skip


def _grain(operands: Sequence[tuple[Any, Sequence[int | None]]], space: tuple[int, ...]) -> int:
    """The axis of the space that an array as large as the space has its last axis along: nests
    with another one would walk down the columns of one of their arrays. Small ones may."""
    for x, axes in operands:
        if x.ndim == len(space) > 1 and axes[-1] is not None and x.type.size == prod(space) > LINES:
            return axes[-1]
    return -1

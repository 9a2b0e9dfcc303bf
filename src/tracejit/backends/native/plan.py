"""The plan of a program: what lies in memory, and which statements share a loop nest.

    z = dot(X, w); y = exp(z); s = reduce_sum(y); g = mul(y, 2.0); return s, g

    level 1   kernel over (N, D):  z
    level 2   kernel over (N,):    s += exp(z[i]);  g[i] = 2 exp(z[i])        (exp computed once)

A variable is *stored* if it is an output, comes from a reduction or a statement, or is needed by
address; everything else is computed in place where it is read. A stored variable gets a level: 1 more
than what it needs finished. Statements of one level and one space share a nest. What is dear and would
be computed in two nests, or again and again along another axis, is stored after all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tracejit.backends.native.lowering import Pointwise, Reader, Reduction, Statement, rule_of
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation, Jaxpr

#: Computing in place again is given up for a store and a load above this cost.
DEAR = 8


@dataclass(slots=True, eq=False)
class Step:
    """A kernel (stores and reductions over one space) or one statement, in order of execution."""

    level: int
    space: tuple[int, ...] = ()
    stores: list[Var] = field(default_factory=list)
    sums: list[Equation] = field(default_factory=list)
    statement: Equation | None = None


class Plan:
    """Decides what is stored, and groups it into steps."""

    def __init__(self, jaxpr: Jaxpr):
        self.jaxpr = jaxpr
        self.makers: dict[Var, Equation] = {v: e for e in jaxpr.equations for v in e.outvars}
        self.rules = {eqn: rule_of(eqn) for eqn in jaxpr.equations}
        self.stored = self._must_be_stored()
        self.costs = self._costs()
        self._store_what_spreads()
        for _ in range(3):
            self.steps = self._steps()
            again = self._dear_in_two_places()
            if not again:
                break
            self.stored |= again

    def _inline(self, x: Atom) -> bool:
        """Whether x is computed in place (in this program, not stored)."""
        return isinstance(x, Var) and x in self.makers and x not in self.stored

    def _must_be_stored(self) -> set[Var]:
        stored = {y for y in self.jaxpr.outvars if isinstance(y, Var) and y in self.makers and y.ndim}
        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            if isinstance(rule, (Reduction, Statement)):
                stored.update(eqn.outvars)
            if isinstance(rule, (Reader, Statement)):
                for i in rule.stored(eqn):
                    x = eqn.inputs[i]
                    if isinstance(x, Var) and x in self.makers and x.ndim:
                        stored.add(x)
        return stored

    def _costs(self) -> dict[Var, int]:
        """What computing a variable in place costs for one element, down to what is stored."""
        costs: dict[Var, int] = {}
        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            own = rule.cost if isinstance(rule, Pointwise) else 1
            total = own + sum(costs.get(x, 0) for x in eqn.inputs if self._inline(x))
            for v in eqn.outvars:
                costs[v] = min(total, 1 << 30)
        return costs

    def _store_what_spreads(self) -> None:
        """Store what is dear and read several times for each element of its own."""
        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            if isinstance(rule, Reader):
                spreading = rule.spreads(eqn)
                operands = eqn.inputs if spreading else ()
            elif isinstance(rule, Reduction):
                operands = rule.spread(eqn)
            else:
                continue
            for x in operands:
                if self._inline(x) and x.ndim and self.costs[x] > DEAR:  # type: ignore[index]
                    self.stored.add(x)  # type: ignore[arg-type]

    # Levels.

    def _steps(self) -> list[Step]:
        ready: dict[Var, int] = {}
        kernels: dict[tuple[int, tuple[int, ...]], Step] = {}
        steps: list[Step] = []
        self.level: dict[Var, int] = {}

        def after(x: Atom) -> int:
            """The first level at which a reader by address finds x."""
            if not isinstance(x, Var):
                return 0
            return self.level[x] + 1 if x in self.level else ready.get(x, 0)

        def step(level: int, space: tuple[int, ...]) -> Step:
            key = (level, space)
            if key not in kernels:
                kernels[key] = Step(level, space)
                steps.append(kernels[key])
            return kernels[key]

        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            if isinstance(rule, Pointwise):
                first = max([ready.get(x, 0) for x in eqn.inputs if isinstance(x, Var)], default=0)
            elif isinstance(rule, Reduction):
                first = max([
                    ready.get(x, 0) if rule.aligned(eqn) else after(x)
                    for x in eqn.inputs if isinstance(x, Var)
                ], default=0)  # fmt: skip
            else:
                first = max([after(x) for x in eqn.inputs], default=0)
            for v in eqn.outvars:
                ready[v] = first
            if isinstance(rule, Statement):
                steps.append(Step(first, statement=eqn))
            elif isinstance(rule, Reduction):
                step(first, rule.space(eqn)).sums.append(eqn)
            else:
                for v in eqn.outvars:
                    if v in self.stored and v.ndim:
                        step(first, v.shape).stores.append(v)
                        self.level[v] = first
                continue
            for v in eqn.outvars:
                self.level[v] = first
                ready[v] = first + 1
        return sorted(steps, key=lambda s: s.level)

    # Reads.

    def roots(self, step: Step) -> Iterable[Atom]:
        """What a step evaluates, before anything is followed."""
        if step.statement is not None:
            yield from step.statement.inputs
        for v in step.stores:
            yield from self.makers[v].inputs
        for eqn in step.sums:
            yield from eqn.inputs

    def reads(self, step: Step) -> set[Var]:
        """All variables that a step touches, stored ones and those computed on the way."""
        seen: set[Var] = set()
        own = set(step.stores)
        pending = [x for x in self.roots(step) if isinstance(x, Var)]
        while pending:
            x = pending.pop()
            if x in seen:
                continue
            seen.add(x)
            if x in self.makers and (x not in self.stored or x in own):
                pending += [y for y in self.makers[x].inputs if isinstance(y, Var)]
        return seen

    def _dear_in_two_places(self) -> set[Var]:
        """Variables computed in place in more than one step, and dear."""
        count: dict[Var, int] = {}
        for step in self.steps:
            for x in self.reads(step):
                if x.ndim and self._inline(x) and self.costs[x] > DEAR:
                    count[x] = count.get(x, 0) + 1
        several = {x for x, n in count.items() if n > 1}
        # Of a chain of dear ones only the last is needed by address.
        inner = {
            y for x in several for y in self.makers[x].inputs
            if y in several and count[y] == count[x]  # type: ignore[index]
        }  # fmt: skip
        return several - inner  # type: ignore[operator]


def make_plan(jaxpr: Jaxpr) -> Plan:
    """The plan of a (simplified) jaxpr."""
    return Plan(jaxpr)



"""The plan of a program: what lies in memory, and which statements share a loop nest.

    z = dot(X, w); y = exp(z); s = reduce_sum(y); g = mul(y, 2.0); return s, g

    level 1   kernel over (N, D):  z
    level 2   kernel over (N,):    s += exp(z[i]);  g[i] = 2 exp(z[i])        (exp computed once)

A variable is *stored* if it is an output, comes from a reduction or a statement, or is needed by
address; other arrays are computed in place where they are read, and scalars once, in registers. What
is finished gets a level: 1 more than what it needs finished. Statements of one level and one space
share a nest. An array that is dear and would be computed in two nests, at several indices, or again
and again along another axis, is stored after all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from tracejit.backends.native.elementwise import TWINS
from tracejit.backends.native.lowering import Pointwise, Reader, Reduction, Statement, rule_of
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation, Jaxpr

#: Computing in place again is given up for a store and a load above this cost.
DEAR = 8
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


class Plan:
    """Decides what is stored, and groups it into steps."""

    def __init__(self, jaxpr: Jaxpr):
        self.jaxpr = jaxpr
        self.makers: dict[Var, Equation] = {v: e for e in jaxpr.equations for v in e.outvars}
        self.rules = {eqn: rule_of(eqn) for eqn in jaxpr.equations}
        self.twins = self._twins()
        self.stored = self._must_be_stored()
        self.costs = self._costs()
        self._store_what_spreads()
        for _ in range(3):
            self.steps = self._steps()
            again = self._dear_in_two_places()
            if not again:
                break
            self.stored |= again
            self.costs = self._costs()

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

    def _inline(self, x: Atom) -> bool:
        """Whether x is an array that is computed in place."""
        return isinstance(x, Var) and x.ndim > 0 and x in self.makers and x not in self.stored

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
        """What an element of a variable costs in place, down to what is stored or a scalar.

        Arrays behind too many readers are stored on the way.
        """
        costs: dict[Var, int] = {}
        deep: dict[Var, int] = {}
        for eqn in self.jaxpr.equations:
            rule = self.rules[eqn]
            own = rule.cost if isinstance(rule, Pointwise) else 1
            arrays = [x for x in eqn.inputs if self._inline(x)]
            total = own + sum(costs[x] for x in arrays)  # type: ignore[index]
            depth = max([deep[x] for x in arrays], default=0)  # type: ignore[index]
            depth += isinstance(rule, Reader)
            for v in eqn.outvars:
                if depth > DEEP and v.ndim:
                    self.stored.add(v)
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
                    at = "own index" if isinstance(rule, Pointwise) else eqn
                    places.setdefault(x, set()).add(at)  # type: ignore[arg-type]
                    if x in often and self.costs[x] > DEAR:  # type: ignore[index]
                        self.stored.add(x)  # type: ignore[arg-type]
        for x, where in places.items():
            if len(where) > 1 and self.costs[x] * (len(where) - 1) > DEAR:
                self.stored.add(x)
        self.costs = self._costs()

    # Levels.

    def _steps(self) -> list[Step]:
        ready: dict[Var, int] = {}
        kernels: dict[tuple[int, tuple[int, ...]], Step] = {}
        steps: list[Step] = []
        scalars: dict[int, Step] = {}
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
                    if v in self.stored:
                        step(first, v.shape).stores.append(v)
                        self.level[v] = first
                    elif not v.ndim:
                        scalars.setdefault(first, Step(first)).scalars.append(v)
                continue
            for v in eqn.outvars:
                self.level[v] = first
                ready[v] = first + 1
        return sorted([*scalars.values(), *steps], key=lambda s: s.level)

    # Reads.

    def results(self, step: Step) -> Iterable[Var]:
        """The variables that a step finishes."""
        if step.statement is not None:
            yield from step.statement.outvars
        yield from (*step.stores, *step.scalars)
        for eqn in step.sums:
            yield from eqn.outvars

    def roots(self, step: Step) -> Iterable[Atom]:
        """What a step evaluates, before anything is followed."""
        if step.statement is not None:
            yield from step.statement.inputs
        for v in (*step.stores, *step.scalars):
            yield from self.makers[v].inputs
        for eqn in step.sums:
            yield from eqn.inputs

    def reads(self, step: Step) -> set[Var]:
        """The variables that a step touches: stored ones, scalars, and arrays computed in place."""
        return self.behind(self.roots(step), set(step.stores))

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
                if self._inline(x) and self.costs[x] > DEAR:
                    count[x] = count.get(x, 0) + 1
        several = {x for x, n in count.items() if n > 1}
        # Of a chain of dear ones only the last is needed by address.
        inner = {
            y for x in several for y in self.makers[x].inputs
            if y in several and count[y] == count[x]  # type: ignore[index]
        }  # fmt: skip
        return several - inner  # type: ignore[operator]


"""The pattern of a linear map: its equations, run on sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import TracejitError
from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import TAPE
from tracejit.ir.walk import held_jaxprs, user_line
from tracejit.passes.sparsity.known import fact, facts_of, mask_of
from tracejit.passes.sparsity.loops import branched, called, scanned
from tracejit.passes.sparsity.rules import RULES, Fact, Maybe, everything, filled, pointwise
from tracejit.passes.sparsity.sets import LARGEST, Pattern, Sets, too_much
from tracejit.passes.sparsity.sums import Widen, needed


def sparsity(
    known: Jaxpr, linear: Jaxpr, residuals: int, constants: Sequence[np.ndarray | None],
    widen: Widen,
) -> Pattern:  # fmt: skip
    """Which elements of the results of `linear` depend on which of its inputs behind the residuals,
    all results after each other, and all inputs.

    constants: for each input of `known`, whose last results are the residuals, its value where it
    belongs to the program. widen: transforms.batch, for loops.
    """
    types = linear.in_types[residuals:]
    sets = Sets(sum(t.size for t in types))
    ids: list[Maybe] = [None] * residuals
    first = 0
    for t in types:
        ids.append(sets.numbers(first, t.shape))
        first += t.size
    finder = Finder(sets, widen)
    numbers = _residual_facts(finder, known, residuals, constants) + [None] * len(types)
    outs, _ = finder.run(linear, ids, numbers)
    flat = [filled(y, v.type.shape).ravel() for y, v in zip(outs, linear.outvars, strict=True)]
    return sets.pattern(np.concatenate(flat) if flat else np.zeros(0, np.int64))


def _residual_facts(
    finder: Finder, known: Jaxpr, residuals: int, constants: Sequence[np.ndarray | None]
) -> list[Fact]:
    """What is known of the residuals: nothing else is computed."""
    last = known.outvars[len(known.outvars) - residuals :]
    program = Jaxpr(known.invars, tuple(needed(known, last)), last)
    read = {x for eqn in program.equations for x in eqn.inputs} | set(last)
    facts = [x if v in read else None
             for v, x in zip(known.invars, constants, strict=True)]  # fmt: skip
    return finder.run(program, [None] * len(facts), facts)[1]


class Finder:
    """Runs jaxprs on sets, and on what is known of values that depend on nothing."""

    def __init__(self, sets: Sets, widen: Widen):
        self.sets, self.widen = sets, widen

    def run(
        self, jaxpr: Jaxpr, ids: Sequence[Maybe], known: Sequence[Fact]
    ) -> tuple[list[Maybe], list[Fact]]:
        """The sets of the results and the facts about them; None for what depends on nothing, and
        where nothing is known."""
        depends = {v: x for v, x in zip(jaxpr.invars, ids, strict=True) if x is not None}
        facts = {v: x for v, x in zip(jaxpr.invars, known, strict=True) if x is not None}
        for eqn in jaxpr.equations:
            operands: list[Any] = [depends.get(x) for x in eqn.inputs]  # type: ignore[call-overload]
            if all(x is None for x in operands):
                facts |= facts_of(eqn, facts, self.run)
                continue
            for v, y in zip(eqn.outvars, self._sets_of(eqn, operands, facts), strict=True):
                if y is not None and (v.type.is_inexact or v.dtype == TAPE):
                    depends[v] = y
        outs = [depends.get(y) for y in jaxpr.outvars]  # type: ignore[call-overload]
        return outs, [fact(y, facts) for y in jaxpr.outvars]

    def _sets_of(
        self, eqn: Equation, operands: list[Maybe], facts: dict[Var, Fact]
    ) -> Sequence[Maybe]:
        known = [fact(x, facts) for x in eqn.inputs]
        name = eqn.primitive.name
        try:
            for v in eqn.outvars:
                if v.type.size > LARGEST:
                    raise too_much(f"on the way there are {v.type.size} elements, in {v.type}")
            if name == "cond":
                return branched(self.sets, self.run, eqn, operands, known)
            if name == "scan":
                return scanned(self.sets, self.run, eqn, operands, known, self.widen)
            if any(held_jaxprs(eqn)):
                return called(self.sets, self.run, eqn, operands, known)
            rule = RULES.get(name, pointwise if eqn.primitive.is_pointwise else everything)
            return rule(self.sets, eqn, operands, list(map(mask_of, eqn.inputs, known)))
        except TracejitError as error:
            raise error.at(user_line(eqn)) from None

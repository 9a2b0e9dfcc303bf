"""The pattern of a linear map: its equations, run on sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.control.bodies import spread
from tracejit.errors import TracejitError
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import BITS, INTEGERS, TAPE
from tracejit.ir.walk import evaluate_equation, held_jaxprs, literal_value, user_line
from tracejit.passes.sparsity.loops import branched, called, scanned
from tracejit.passes.sparsity.rules import RULES, Maybe, everything, filled, pointwise
from tracejit.passes.sparsity.sets import Pattern, Sets
from tracejit.passes.sparsity.sums import Widen, needed


def sparsity(
    known: Jaxpr, linear: Jaxpr, residuals: int, constants: Sequence[np.ndarray | None],
    widen: Widen,
) -> Pattern:  # fmt: skip
    """Which elements of the results of `linear` depend on which of its inputs behind the residuals,
    all results after each other, and all inputs.

    constants: for each input of `known`, whose last results are the residuals, its value where it
    belongs to the program; only integers and bools count. widen: transforms.batch, for loops.
    """
    types = linear.in_types[residuals:]
    sets = Sets(sum(t.size for t in types))
    ids: list[Maybe] = [None] * residuals
    first = 0
    for t in types:
        ids.append(sets.numbers(first, t.shape))
        first += t.size
    finder = Finder(sets, widen)
    numbers = _residual_numbers(finder, known, residuals, constants) + [None] * len(types)
    outs, _ = finder.run(linear, ids, numbers)
    flat = [filled(y, v.type.shape).ravel() for y, v in zip(outs, linear.outvars, strict=True)]
    return sets.pattern(np.concatenate(flat) if flat else np.zeros(0, np.int64))


def _residual_numbers(
    finder: Finder, known: Jaxpr, residuals: int, constants: Sequence[np.ndarray | None]
) -> list[Any]:
    """The residuals that are integers made of constants: nothing else is computed."""
    last = known.outvars[len(known.outvars) - residuals :]
    places = [y for y in last if y.dtype in INTEGERS]
    program = Jaxpr(known.invars, tuple(needed(known, places)), tuple(places))
    given = [None if x is None or x.dtype not in BITS else x for x in constants]
    _, numbers = finder.run(program, [None] * len(given), given)
    return spread(numbers, [y.dtype in INTEGERS for y in last], [None] * residuals)


class Finder:
    """Runs jaxprs on sets, and on numbers where they are known."""

    def __init__(self, sets: Sets, widen: Widen):
        self.sets, self.widen = sets, widen

    def run(
        self, jaxpr: Jaxpr, ids: Sequence[Maybe], known: Sequence[Any]
    ) -> tuple[list[Maybe], list[Any]]:
        """The sets and the numbers of the results; None for what depends on nothing, and for
        numbers that are not known."""
        depends = {v: x for v, x in zip(jaxpr.invars, ids, strict=True) if x is not None}
        numbers = {v: x for v, x in zip(jaxpr.invars, known, strict=True) if x is not None}
        for eqn in jaxpr.equations:
            operands: list[Any] = [depends.get(x) for x in eqn.inputs]  # type: ignore[call-overload]
            if all(x is None for x in operands):
                numbers.update(_numbers(eqn, numbers))
                continue
            for v, y in zip(eqn.outvars, self._sets_of(eqn, operands, numbers), strict=True):
                if y is not None and (v.type.is_float or v.dtype == TAPE):
                    depends[v] = y
        outs = [depends.get(y) for y in jaxpr.outvars]  # type: ignore[call-overload]
        return outs, [_number(y, numbers) for y in jaxpr.outvars]

    def _sets_of(
        self, eqn: Equation, operands: list[Maybe], numbers: dict[Var, Any]
    ) -> Sequence[Maybe]:
        known = [_number(x, numbers) for x in eqn.inputs]
        name = eqn.primitive.name
        try:
            if name == "cond":
                return branched(self.sets, self.run, eqn, operands, known)
            if name == "scan":
                return scanned(self.sets, self.run, eqn, operands, known, self.widen)
            if any(held_jaxprs(eqn)):
                return called(self.sets, self.run, eqn, operands, known)
            rule = RULES.get(name, pointwise if eqn.primitive.is_pointwise else everything)
            return rule(self.sets, eqn, operands, known)
        except TracejitError as error:
            raise error.at(user_line(eqn)) from None


def _number(x: Atom, numbers: dict[Var, Any]) -> Any:
    """The value of an atom, if it is a known integer or bool."""
    if isinstance(x, Literal):
        return literal_value(x) if x.dtype in BITS else None
    return numbers.get(x)  # type: ignore[call-overload]


def _numbers(eqn: Equation, numbers: dict[Var, Any]) -> dict[Var, Any]:
    """The results of an equation of integers and bools, if its operands are known."""
    if not eqn.outvars or any(v.dtype not in BITS for v in eqn.outvars) or is_effectful(eqn):
        return {}
    values = [_number(x, numbers) for x in eqn.inputs]
    if any(x is None for x in values):
        return {}
    return dict(zip(eqn.outvars, evaluate_equation(eqn, values), strict=True))

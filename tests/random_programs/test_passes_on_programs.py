"""Passes keep the values of any program, and its types; once is enough; text reads back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, find, given, settings
from program_strategy import Case, programs

from tracejit.ir.atoms import Var
from tracejit.ir.builder import Builder
from tracejit.ir.check import verify
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.parsing import parse
from tracejit.ir.walk import count_equations, evaluate
from tracejit.ops.elementwise import sub
from tracejit.passes.cse import cse
from tracejit.passes.dce import dce
from tracejit.passes.fold import fold
from tracejit.passes.hoist import hoist
from tracejit.passes.inline import inline
from tracejit.passes.pairs.split import pairs
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close


def parted(jaxpr: Jaxpr) -> Jaxpr:
    """Pairs for complex values, with what that needs before it."""
    return pairs(inline(jaxpr))


PASSES = [inline, fold, cse, dce, hoist, parted, SIMPLIFY]
random = settings(max_examples=60, suppress_health_check=list(HealthCheck))


def assert_same_values(law: str, case: Case, after: Jaxpr) -> None:
    """The program gives on the case's operands what the case's program gives."""
    results, expected = evaluate(after, *case.arrays), evaluate(case.jaxpr, *case.arrays)
    assert_close(law, case, results, expected, rtol=case.rtol)


def check_pass(step: Callable[[Jaxpr], Jaxpr], case: Case) -> None:
    """Types, rules of the language, values; and that the pass leaves nothing for itself to do."""
    after = step(case.jaxpr)
    verify(after)
    assert (after.in_types, after.out_types) == (case.jaxpr.in_types, case.jaxpr.out_types)
    assert_same_values("pass", case, after)
    assert step(after) is after, f"once more changes\n{after}\ninto\n{step(after)}"


@pytest.mark.parametrize("step", PASSES, ids=lambda step: getattr(step, "__name__", "simplify"))
@random
@given(case=programs())
def test_passes(step, case) -> None:
    check_pass(step, case)


@random
@given(case=programs(wild=True))
def test_passes_where_values_are_not_finite(case) -> None:
    check_pass(SIMPLIFY, case)


@random
@given(case=programs())
def test_simplified_programs_are_no_longer(case) -> None:
    assert count_equations(SIMPLIFY(case.jaxpr)) <= count_equations(inline(case.jaxpr))


@random
@given(case=programs())
def test_text_reads_back(case) -> None:
    text = str(case.jaxpr)
    again = parse(text)
    verify(again)
    assert str(again) == text
    for x, y in zip(evaluate(again, *case.arrays), evaluate(case.jaxpr, *case.arrays), strict=True):
        np.testing.assert_array_equal(x, y)


def swap_differences(jaxpr: Jaxpr) -> Jaxpr:
    """A wrong pass: x - y -> y - x."""
    equations = [
        Equation(sub, eqn.inputs[::-1], {}, eqn.outvars) if eqn.primitive is sub else eqn
        for eqn in jaxpr.equations
    ]
    return Jaxpr(jaxpr.invars, tuple(equations), jaxpr.outvars)


def rename_results(jaxpr: Jaxpr) -> Jaxpr:
    """A wrong pass: the results are variables that nobody binds."""
    return Builder().finish(jaxpr.invars, [Var(t) for t in jaxpr.out_types])


@pytest.mark.parametrize("wrong", [swap_differences, rename_results])
def test_the_law_catches_a_wrong_pass(wrong) -> None:
    def is_caught(case: Case) -> bool:
        try:
            check_pass(wrong, case)
        except Exception:  # AssertionError or VerifyError
            return True
        return False

    case = find(programs(), is_caught, settings=settings(max_examples=2000))
    assert len(case.jaxpr.equations) <= 4, "hypothesis shrinks to the fault"

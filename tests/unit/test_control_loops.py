"""What the transforms make of loops and branches: nothing is kept or computed that need not be."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

import tracejit.numpy  # lends tracers their operators
import tracejit.tree
from tracejit.control.branching import cond
from tracejit.control.looping import fori_loop, scan, while_loop
from tracejit.control.prune import prune
from tracejit.errors import MissingRuleError
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import FLOAT64, array_type
from tracejit.ir.walk import count_equations, evaluate, held_jaxprs
from tracejit.trace.stage import stage
from tracejit.transforms.gradient import value_and_gradient
from tracejit.transforms.linearize import linearize
from tracejit.transforms.transpose import transpose

SCALAR, ROWS = array_type(FLOAT64), array_type(FLOAT64, (6,))


def traced(fun, *types) -> Jaxpr:
    staged = stage(lambda *xs: tracejit.tree.leaves(fun(*xs)), types)
    assert not staged.captured
    return staged.jaxpr


def gradient(fun, *types) -> Jaxpr:
    return value_and_gradient(traced(fun, *types), (True,) * len(types))


def loops(jaxpr: Jaxpr) -> list[Equation]:
    return [eqn for eqn in jaxpr.equations if eqn.primitive.name == "scan"]


def census(jaxpr: Jaxpr) -> Counter[str]:
    """How often each primitive stands in a jaxpr, at any depth."""
    total = Counter(eqn.primitive.name for eqn in jaxpr.equations)
    for eqn in jaxpr.equations:
        for _, body in held_jaxprs(eqn):
            total += census(body)
    return total


def test_constants_of_a_loop_are_not_stacked() -> None:
    """w is read where it is, exp(w) computed once, rows of xs read where they are."""

    def f(w, xs):
        return scan(lambda c, x: (c * w + x * np.exp(w), None), 0.0, xs)[0]

    back = gradient(f, SCALAR, ROWS)
    known, linear = loops(back)
    assert [str(v.type) for v in known.outvars] == ["f64[]", "f64[6]"]  # the carry, stacked
    assert linear.inputs[:2] == (back.invars[0], back.equations[0].outvars[0])
    assert back.invars[1] in linear.inputs
    assert census(back)["exp"] == 1


def test_a_carry_that_is_handed_on_is_a_constant() -> None:
    """Parameters in the carry cost no memory for each round."""

    def f(w, xs):
        (_, total), _ = scan(lambda c, x: ((c[0], c[1] + c[0] * x), None), (w, 0.0), xs)
        return total

    (eqn,) = loops(traced(f, SCALAR, ROWS))
    assert (eqn.params["num_consts"], eqn.params["num_carry"]) == (1, 1)
    known, linear = loops(gradient(f, SCALAR, ROWS))
    assert [str(v.type) for v in known.outvars] == ["f64[]"]
    assert len(linear.inputs) == 4  # w, its sum, the cotangent of the total, xs


def test_the_index_of_a_fori_loop_is_not_stacked() -> None:
    def f(x):
        return fori_loop(0, 5, lambda i, c: np.sin(c) * i, x)

    known, linear = loops(gradient(f, SCALAR))
    assert [str(v.type) for v in known.outvars] == ["f64[]", "f64[5]"]  # cos(c)
    assert linear.params["reverse"]


def test_the_adjoint_drops_what_no_cotangent_needs() -> None:
    """Only `a` is differentiated: b, and the rows, are not in the loop that goes back."""

    def f(x, xs):
        def step(carry, r):
            a, b = carry
            return (np.sin(a) + r, np.cos(b) * a), b * r

        (a, _), _ = scan(step, (x, x), xs)
        return a

    _, linear = loops(gradient(f, SCALAR, ROWS))
    assert linear.params["num_carry"] == 1


def test_zero_cotangents_of_rows_cost_nothing() -> None:
    def f(x, xs):
        final, ys = scan(lambda c, r: (np.sin(c) * r, np.exp(c)), x, xs)
        return final, ys

    _, linear = loops(gradient(f, SCALAR, ROWS))
    (_, body), *_ = held_jaxprs(linear)
    assert census(body) == Counter(mul=3)


def test_branches_share_slots_of_residuals() -> None:
    def f(x, y):
        return cond(
            x > y, lambda x, y: np.sin(x) * np.sin(y), lambda x, y: np.exp(np.tanh(x)) * y, x, y
        )

    back = gradient(f, SCALAR, SCALAR)
    known, linear = [eqn for eqn in back.equations if eqn.primitive.name == "cond"]
    first, second = known.params["branches"]
    assert first.out_types == second.out_types
    # The value; cos x, sin y, sin x, cos y in one branch, in the other as many or fewer.
    assert len(known.outvars) == 5
    assert linear.inputs[0] is known.inputs[0]
    for x, y in [(0.3, 0.1), (0.1, 0.3)]:
        _, dx, dy = evaluate(back, np.array(x), np.array(y))
        t = np.tanh(x)
        expected = (
            (np.cos(x) * np.sin(y), np.sin(x) * np.cos(y))
            if x > y
            else (np.exp(t) * (1 - t * t) * y, np.exp(t))
        )
        np.testing.assert_allclose((dx, dy), expected)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: cond(x > 0, np.sqrt, lambda x: 0.0, x),
        lambda x: cond(x > 0, lambda y: y, lambda y: 0.0, np.sqrt(x)),
        lambda x: np.where(x > 0, scan(lambda c, _: (np.sqrt(c), None), x, None, 2)[0], 0.0),
        lambda x: scan(
            lambda c, r: ((np.where(r > 0, c[1], 0.0), np.sqrt(c[0]) + c[1]), None),
            (x, 1.0), np.zeros(3),
        )[0][0],
    ],
    ids=["inside", "ahead", "a loop behind a select", "a select in a loop"],
)  # fmt: skip
def test_no_nan_from_the_side_that_is_not_taken(f) -> None:
    staged = stage(lambda x: [f(x)], [SCALAR])
    mask = (False,) * len(staged.captured) + (True,)
    _, slope = evaluate(value_and_gradient(staged.jaxpr, mask), *staged.captured, np.array(0.0))
    assert slope == 0.0


def test_while_has_reverse_mode() -> None:
    def f(x):
        return while_loop(lambda c: c < 10.0, lambda c: c * c, x)

    _, slope = evaluate(gradient(f, SCALAR), np.array(2.0))
    assert slope == 4 * 2.0**3


def test_while_over_values_without_tangents() -> None:
    """A loop that no tangent enters is as good as any other known value."""

    def f(x):
        n = while_loop(lambda n: n < 10, lambda n: n * 2, 1)
        return x * n

    _, slope = evaluate(gradient(f, SCALAR), np.array(3.0))
    assert slope == 16.0


def test_while_linearized_is_a_scan_over_a_tape() -> None:
    def f(x):
        return while_loop(lambda s: s[0] < 3, lambda s: (s[0] + 1, np.sin(s[1])), (0, x))

    parts = linearize(traced(f, SCALAR), (True,))
    (loop,) = parts.linear.equations
    assert loop.primitive.name == "scan" and loop.params["length"] is None
    assert [str(x.type) for x in loop.inputs] == ["i64[]", "f64[]", "tape[]"]
    values = evaluate(parts.known, np.array(0.5))
    np.testing.assert_allclose(values[1], np.sin(np.sin(np.sin(0.5))))
    (t,) = evaluate(parts.linear, *values[2:], np.array(1.0))
    a, b = np.sin(0.5), np.sin(np.sin(0.5))
    np.testing.assert_allclose(t, np.cos(0.5) * np.cos(a) * np.cos(b))


# Pruning.


def only(jaxpr: Jaxpr, name: str) -> Equation:
    (eqn,) = [eqn for eqn in jaxpr.equations if eqn.primitive.name == name]
    return eqn


def pruned_outputs(jaxpr: Jaxpr, name: str, used) -> tuple[Equation, list, list]:
    """The pruned equation, and the values of what is used before and after."""
    eqn = only(jaxpr, name)
    less = prune(eqn, used)
    arrays = [np.asarray(0.5 + i) for i in range(len(jaxpr.invars))]
    wanted = [v for v, u in zip(eqn.outvars, used, strict=True) if u]
    steps = [step for step in jaxpr.equations if step is not eqn]
    before = Jaxpr(jaxpr.invars, (*steps, eqn), tuple(wanted))
    after = Jaxpr(jaxpr.invars, (*steps, less), tuple(wanted))
    return less, list(evaluate(before, *arrays)), list(evaluate(after, *arrays))


def test_prune_scan() -> None:
    def f(x, y):
        def step(carry, _):
            a, b, dead = carry
            return (np.sin(a), b + a, dead * y), (a * 2.0, np.exp(dead))

        return scan(step, (x, x, y), None, length=4)

    jaxpr = traced(f, SCALAR, SCALAR)
    less, before, after = pruned_outputs(jaxpr, "scan", [False, True, False, True, False])
    assert before[0] == after[0] and np.array_equal(before[1], after[1])
    assert (less.params["num_consts"], less.params["num_carry"]) == (0, 2)
    assert count_equations(less.params["jaxpr"]) == 3
    eqn = only(jaxpr, "scan")
    assert prune(eqn, [True] * 5) is eqn


def test_prune_while() -> None:
    def f(x, y):
        return while_loop(
            lambda s: s[0] < 3, lambda s: (s[0] + 1, np.sin(s[1]), s[2] * y), (0, x, y)
        )

    less, before, after = pruned_outputs(traced(f, SCALAR, SCALAR), "while", [False, True, False])
    assert before == after
    assert len(less.outvars) == 2
    assert less.params["num_body_consts"] == 0


def test_prune_cond() -> None:
    def f(x, y):
        return cond(x > 0, lambda: (np.sin(x), np.exp(y)), lambda: (np.cos(x), y))

    less, before, after = pruned_outputs(traced(f, SCALAR, SCALAR), "cond", [True, False])
    assert before == after
    assert len(less.inputs) == 2
    assert all(len(branch.equations) == 1 for branch in less.params["branches"])


# The adjoint of what is linear, with parts that are not.


def test_a_linear_loop_with_a_known_counter_and_constants() -> None:
    """linear_transpose: the float carry is linear in x, the counter and the weights are known."""

    def f(x, xs):
        def step(carry, r):
            n, weight, s = carry
            return (n + 1, weight * 0.5, s * weight + n * r), s * weight

        (_, _, s), ys = scan(step, (0, 1.0, x), xs)
        return s, ys

    jaxpr = traced(f, SCALAR, ROWS)
    back = transpose(jaxpr, (True, True))
    rng = np.random.default_rng(3)
    x, xs, w, ws = rng.normal(), rng.normal(size=6), rng.normal(), rng.normal(size=6)
    s, ys = evaluate(jaxpr, np.array(x), xs)
    ct_x, ct_xs = evaluate(back, np.array(w), ws)
    np.testing.assert_allclose(ct_x * x + ct_xs @ xs, s * w + ys @ ws)


def test_a_branch_on_the_inputs_is_not_linear() -> None:
    jaxpr = traced(lambda x: cond(x > 0, lambda: x, lambda: 2 * x), SCALAR)
    with pytest.raises(MissingRuleError, match="not linear"):
        transpose(jaxpr, (True,))

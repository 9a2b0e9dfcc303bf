"""checkpoint: the same derivatives, with less kept; loops in slots; what is kept, told."""

from __future__ import annotations

import math

import numpy as np
import pytest

import tracejit as tj
from tracejit import lax
from tracejit.ad_checkpoint import checkpoint_name
from tracejit.control.treeverse import advance, loop, number
from tracejit.ir.atoms import Var
from tracejit.ir.builder import building
from tracejit.ir.types import INT64, array_type
from tracejit.ir.walk import evaluate

RNG = np.random.default_rng(1)
W, X = RNG.normal(size=(3, 3)), RNG.normal(size=3)
POLICIES = tj.checkpoint_policies


def layers(w, x):
    for _ in range(3):
        x = checkpoint_name(np.sin(w @ x), "layer") * 1.5
    return np.sum(np.exp(-x * x))


CHOICES = {
    "nothing": None,
    "nothing_saveable": POLICIES.nothing_saveable,
    "everything": POLICIES.everything_saveable,
    "dots": POLICIES.dots_saveable,
    "dots without batch": POLICIES.dots_with_no_batch_dims_saveable,
    "names": POLICIES.save_only_these_names("layer"),
    "other names": POLICIES.save_any_names_but_these("layer"),
    "but names": POLICIES.save_anything_except_these_names("layer"),
    "both": POLICIES.save_from_both_policies(
        POLICIES.dots_saveable, POLICIES.save_only_these_names("layer")
    ),
}


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("choice", CHOICES)
def test_policies_do_not_change_derivatives(choice: str, backend: str) -> None:
    f = tj.checkpoint(layers, policy=CHOICES[choice])
    value, slopes = tj.jit(tj.value_and_grad(f, argnums=(0, 1)), backend=backend)(W, X)
    wanted, expected = tj.value_and_grad(layers, argnums=(0, 1))(W, X)
    np.testing.assert_allclose(value, wanted, rtol=1e-14)
    for got, slope in zip(slopes, expected, strict=True):
        np.testing.assert_allclose(got, slope, rtol=1e-12, atol=1e-14)


def test_second_derivatives_and_batches() -> None:
    f = tj.remat(lambda x: layers(W, x))

    def g(x):
        return layers(W, x)

    np.testing.assert_allclose(tj.hessian(f)(X), tj.hessian(g)(X), rtol=1e-11, atol=1e-12)
    xs = RNG.normal(size=(4, 3))
    np.testing.assert_allclose(
        tj.vmap(tj.grad(f))(xs), tj.vmap(tj.grad(g))(xs), rtol=1e-12, atol=1e-13
    )


def kept(policy) -> list[str]:
    found = tj.saved_residuals(tj.checkpoint(layers, policy=policy), W, X)
    return [text.split(" from ")[0] for _, text in found if not text.startswith("from the argu")]


def test_policies_say_what_is_kept() -> None:
    assert kept(None) == []
    assert kept(POLICIES.save_only_these_names("layer")) == ["output of checkpoint"] * 3
    assert len(kept(POLICIES.dots_saveable)) == 3
    assert len(kept(POLICIES.everything_saveable)) > 3


def test_what_is_computed_again_is_not_found_to_be_the_same() -> None:
    def f(x):
        return np.sin(np.exp(np.exp(x)))

    again = str(tj.make_jaxpr(tj.value_and_grad(tj.checkpoint(f)))(0.3))
    assert again.count("exp(") == 4 and "barrier(" in again
    once = str(tj.make_jaxpr(tj.value_and_grad(tj.checkpoint(f, prevent_cse=False)))(0.3))
    assert "barrier(" not in once


def test_static_arguments_and_decorators() -> None:
    @tj.checkpoint(static_argnums=(1,))
    def power(x, n):
        return x**n if n > 1 else x

    assert tj.grad(power)(3.0, 2) == 6.0
    with pytest.raises(tj.errors.ArgumentError, match="takes a function"):
        tj.checkpoint(3)


# Slots.


def turns(x, n):
    """A while loop with a vector for a state, and a constant that is differentiated."""
    def step(i, y):
        return np.sin(y) * x[0] + 0.1 * np.roll(y, 1) + 1e-3 * i

    return np.sum(lax.fori_loop(0, n, step, x))


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("slots", [2, 3, 5])
def test_slots_give_the_gradient_of_all_rounds(slots: int, backend: str) -> None:
    few = tj.jit(tj.grad(tj.checkpoint(turns, slots=slots)), backend=backend)
    for n in (0, 1, 2, 3, 7, 40):
        np.testing.assert_allclose(few(X, n), tj.grad(turns)(X, n), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("memory", [1, 40, 150, 400, 1000])
def test_stretches_between_slots_may_be_of_any_length(memory: int) -> None:
    few = tj.jit(tj.grad(tj.checkpoint(turns, memory=memory)))
    for n in (0, 1, 2, 3, 8, 9, 31, 64):
        np.testing.assert_allclose(few(X, n), tj.grad(turns)(X, n), rtol=1e-12, atol=1e-14)


def test_rows_that_are_large_are_computed_again() -> None:
    def f(x, n):
        def step(i, y):
            many = np.exp(np.sin(y[:, None] * np.linspace(0.0, 1.0, 50)))
            return y + 1e-3 * np.sum(np.cos(many), axis=1)

        return np.sum(lax.fori_loop(0, n, step, x))

    few = tj.checkpoint(f, slots=3)
    text = str(tj.make_jaxpr(tj.grad(few))(X, 9))
    assert f"f64[{(1 << 16) // X.nbytes},3]" in text
    np.testing.assert_allclose(tj.jit(tj.grad(few))(X, 9), tj.grad(f)(X, 9), rtol=1e-12)


def test_loops_in_loops_in_slots() -> None:
    def f(x, n):
        def outer(i, y):
            return lax.fori_loop(0, i, lambda j, z: np.sin(z) * x[1] + 0.1 * j, y) + x

        return np.sum(lax.fori_loop(0, n, outer, x))

    for memory in (300, 4000):
        few = tj.jit(tj.grad(tj.checkpoint(f, memory=memory)))
        np.testing.assert_allclose(few(X, 6), tj.grad(f)(X, 6), rtol=1e-12)


def test_slots_on_xla() -> None:
    pytest.importorskip("jax")
    for budget in ({"slots": 4}, {"memory": 300}):
        few = tj.jit(tj.grad(tj.checkpoint(turns, **budget)), backend="xla")
        np.testing.assert_allclose(few(X, 9), tj.grad(turns)(X, 9), rtol=1e-10)


def steps_to_one(x):
    """A while in a while in a scan, written in Python."""
    total = 0.0
    for _ in range(6):
        y = x
        while y > 1.0:
            z = 2.0
            while z * z < y:
                z = z * 1.5
            y = y * 0.5 + 0.01 * z * x
        total = total + y * y * x
    return total


def test_a_backend_without_tapes_takes_slots() -> None:
    pytest.importorskip("jax")
    for transform, f, args in (
        (tj.grad, turns, (X, 9)),
        (tj.grad, steps_to_one, (5.0,)),
        (tj.grad, lambda x: tj.jit(tj.grad(steps_to_one))(x) ** 2, (5.0,)),
        (lambda f: tj.jacrev(tj.jacrev(f)), turns, (X, 4)),
        (tj.hessian, steps_to_one, (5.0,)),
        (lambda f: tj.vmap(tj.grad(f)), steps_to_one, (np.array([0.5, 5.0, 9.0]),)),
    ):
        far, near = tj.jit(transform(f), backend="xla"), tj.jit(transform(f))
        np.testing.assert_allclose(far(*args), near(*args), rtol=1e-9)
        assert far.cache_size == 1


def test_both_kinds_of_derivatives_of_one_jaxpr() -> None:
    pytest.importorskip("jax")
    inner = tj.jit(turns)
    for backend in ("native", "xla", "native"):
        got = tj.jit(lambda x: tj.grad(inner)(x, 9), backend=backend)(X)
        np.testing.assert_allclose(got, tj.grad(turns)(X, 9), rtol=1e-10)


def test_scans_in_slots() -> None:
    def f(x, rows):
        y, ys = lax.scan(lambda y, r: (np.sin(y * r) + x, y * r), x, rows, reverse=True)
        return np.sum(y) + np.sum(ys * ys)

    rows = RNG.normal(size=(9, 3))
    got = tj.jit(tj.grad(tj.checkpoint(f, slots=3), argnums=(0, 1)))(X, rows)
    for a, b in zip(got, tj.grad(f, argnums=(0, 1))(X, rows), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13)


def test_second_derivatives_in_slots() -> None:
    f = tj.checkpoint(lambda x: turns(x, 6), slots=3)
    t = RNG.normal(size=3)
    got = tj.jvp(tj.grad(f), (X,), (t,))[1]
    wanted = tj.jvp(tj.grad(lambda x: turns(x, 6)), (X,), (t,))[1]
    np.testing.assert_allclose(got, wanted, rtol=1e-10)


def test_memory_is_a_number_of_slots() -> None:
    few = tj.checkpoint(turns, memory="0.1KB")
    assert "slots=3" in str(tj.make_jaxpr(few)(X, 5)) or "slots=2" in str(tj.make_jaxpr(few)(X, 5))
    np.testing.assert_allclose(tj.grad(few)(X, 20), tj.grad(turns)(X, 20), rtol=1e-12)
    for bad in ({"memory": "much"}, {"slots": 1}, {"slots": 3, "memory": 10}):
        with pytest.raises(tj.errors.ArgumentError):
            tj.checkpoint(turns, **bad)


def runs_of(schedule, slots: int, rounds: int) -> int:
    """How many rounds are run in all to turn so many round; the state of `turn`, in Python."""
    stack, total = [0], 0
    for at in reversed(range(rounds)):
        here = stack[-1]
        while here < at:
            free = slots - len(stack)
            far = schedule(free, at - here + 1)
            assert 1 <= far <= at - here
            total, here = total + far, here + far
            if free and here < at:
                stack.append(here)
        while len(stack) > 1 and stack[-1] >= at:
            stack.pop()
    return total


def test_the_schedule_is_binomial() -> None:
    with building() as builder:
        free, rounds = Var(array_type(INT64)), Var(array_type(INT64))
        out = advance(free, rounds)
    jaxpr = builder.finish([free, rounds], [out])

    def schedule(free: int, rounds: int) -> int:
        return int(evaluate(jaxpr, np.int64(free), np.int64(rounds))[0])

    for slots, rounds in ((3, 30), (5, 200), (10, 60)):
        repeats = next(r for r in range(99) if math.comb(slots + r, slots) >= rounds)
        assert runs_of(schedule, slots, rounds) <= repeats * rounds


def test_loops_of_the_schedule_are_bound_by_functions() -> None:
    with building() as builder:
        n = Var(array_type(INT64))
        (total, _) = loop([n], [number(0), n], lambda f, c: c[0] < f[0],
                          lambda f, c: [c[0] + 1, c[1] + f[0]])  # fmt: skip
    assert int(evaluate(builder.finish([n], [total]), np.int64(4))[0]) == 4


def test_what_is_kept_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    def f(a, b):
        return np.sin(a["x"]) * np.exp(b)

    tj.print_saved_residuals(f, {"x": 1.0}, b=2.0)
    lines = capsys.readouterr().out.splitlines()
    assert any("output of cos" in line and "test_loop_ad_checkpoint.py" in line for line in lines)
    tj.print_saved_residuals(lambda x, y: x * y, 1.0, 2.0)
    assert capsys.readouterr().out.count("from the argument") == 2


def test_a_loop_without_rounds_takes_no_slots() -> None:
    few = tj.checkpoint(lambda x, xs: lax.scan(lambda c, r: (c * r, c), x, xs)[0], slots=2)
    assert tj.grad(few)(2.0, np.zeros(0)) == 1.0

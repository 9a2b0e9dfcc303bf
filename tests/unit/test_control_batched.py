"""A batch with a predicate for each member: all at once if that is short, else one by one."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracejit as tj
from tracejit import lax


def both(xp, control):
    """Members that are arrays, or numbers; branches that are dear, cheap, or may not end."""

    def dear(p, x):
        return control.cond(p > 0, lambda x: xp.exp(xp.sin(x)), lambda x: xp.log1p(x * x) * p, x)

    def cheap(p, x):
        return control.cond(p > 0, lambda x: 2.0 * x, lambda x: x + p, x)

    def halved(x):
        """Never ends for what is not finite."""
        return control.while_loop(lambda x: xp.sum(abs(x)) > 1.0, lambda x: x / 2, x)

    def loops(p, x):
        return control.cond(p > 0, halved, lambda x: x * 0.5 + p, xp.where(p > 0, x, xp.inf))

    def inner(p, x):
        branches = [halved, lambda x: xp.where(x > 0.5, 1.0, -p * x), lambda x: xp.cos(x)]
        return control.switch(xp.where(p > 0, 2, 1), branches, x)

    def scans(p, x):
        def step(c, _):
            return control.cond(xp.sum(c) > 0, lambda c: xp.sin(c) - p, lambda c: c + 1.0, c), None

        return control.scan(step, x, None, length=5)[0]

    return {"dear": dear, "cheap": cheap, "loops": loops, "inner": inner, "scans": scans}


OURS = both(np, lax)
P = np.array([0.3, -0.7, 1.5, -0.1, 2.0])
X = np.linspace(-2, 2, 5 * 32).reshape(5, 32)


@pytest.mark.parametrize("backend", ["eager", "native", "xla"])
@pytest.mark.parametrize("x", [X, X[:, 3]], ids=["arrays", "numbers"])
@pytest.mark.parametrize("name", OURS)
def test_values_are_those_of_the_members(name, x, backend):
    f = OURS[name]
    with tj.config.override(backend=backend):
        batch = tj.jit(tj.vmap(f))(P, x)
    members = [f(*pair) for pair in zip(P, x, strict=True)]
    np.testing.assert_allclose(batch, members, rtol=1e-13)


@pytest.mark.parametrize("name", ["dear", "cheap", "scans"])
@pytest.mark.parametrize("x", [X, X[:, 3]], ids=["arrays", "numbers"])
def test_derivatives_as_in_jax(name, x):
    with jax.enable_x64(True):
        theirs = both(jnp, jax.lax)[name]
        g = jax.vmap(jax.grad(lambda p, x: theirs(p, x).sum(), (0, 1)))(P, x)
        t = jax.jvp(jax.vmap(theirs), (P, x), (P, x))[1]
    f = OURS[name]
    ours = tj.jit(tj.vmap(tj.grad(lambda p, x: f(p, x).sum(), (0, 1))))(P, x)
    for a, b in zip(ours, g, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(tj.jvp(tj.vmap(f), (P, x), (P, x))[1], t, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "x", "apart"),
    [("dear", X, True), ("dear", X[:, 3], False), ("cheap", X[:, :8], False),
     ("loops", X, True), ("loops", X[:, 3], True)],
)  # fmt: skip
def test_who_goes_alone(name, x, apart):
    text = str(tj.make_jaxpr(tj.vmap(OURS[name]))(P, x))
    assert (" cond(" in text) == apart


def test_one_predicate_for_all_stays_a_branch():
    text = str(tj.make_jaxpr(tj.vmap(OURS["cheap"], (None, 0)))(0.5, X))
    assert " cond(" in text and "select" not in text


def test_switch_takes_its_operand_by_name():
    f = lambda i: lax.switch(i, [np.sin, np.cos], operand=1.0)
    np.testing.assert_allclose([tj.jit(f)(1), f(0)], [np.cos(1.0), np.sin(1.0)], rtol=1e-15)


def until(x):
    """A loop that may not end, and has derivatives."""
    return lax.while_loop(lambda c: c < 3.0, lambda c: c * 1.5 + x * x, x)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_branches_with_tapes_are_taken_by_each_member(backend: str) -> None:
    xs = np.array([0.5, -1.0, 1.5])
    slope = tj.grad(lambda x: lax.cond(x > 0, until, lambda x: x * x, x))
    many = tj.jit(tj.vmap(slope), backend=backend)(xs)
    np.testing.assert_allclose(many, [slope(x) for x in xs], rtol=1e-13)

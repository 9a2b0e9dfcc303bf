"""Solutions as functions of parameters: derivatives by the implicit function theorem."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import ArgumentError, MissingRuleError

RNG = np.random.default_rng(0)
A, B = RNG.standard_normal((8, 3)), RNG.standard_normal(8)
ZERO = np.zeros(3)


def ridge(x: Any, theta: Any) -> Any:
    return 0.5 * np.sum((A @ x - B) ** 2) + 0.5 * theta * np.sum(x**2)


def by_steps(init: Any, theta: Any) -> Any:
    """Gradient descent, in a loop that has no reverse mode without a tape."""

    def step(state: Any) -> Any:
        x, _ = state
        return x - 0.05 * tj.grad(ridge)(x, theta), x

    def more(state: Any) -> Any:
        return np.max(np.abs(state[0] - state[1])) > 1e-15

    return tj.lax.while_loop(more, step, (init, init + 1.0))[0]


def closed_form(theta: Any) -> Any:
    return np.linalg.solve(A.T @ A + theta * np.eye(3), A.T @ B)


@pytest.mark.parametrize("linear", ["dense", "cg", lambda g, y: tj.implicit._dense(g, y)])
def test_argmin_is_the_closed_form(linear: Any) -> None:
    solution = tj.implicit.argmin(ridge, by_steps, linear=linear)
    theta = 0.7

    def weighted(x: Any) -> Any:
        return np.sum(np.sin(x))

    mine, true = lambda t: weighted(solution(ZERO, t)), lambda t: weighted(closed_form(t))
    near: Any = {"rtol": 1e-9}
    np.testing.assert_allclose(solution(ZERO, theta), closed_form(theta), **near)
    for transform in (tj.grad, tj.jacfwd):
        np.testing.assert_allclose(transform(mine)(theta), transform(true)(theta), **near)
        np.testing.assert_allclose(tj.jit(transform(mine))(theta), transform(true)(theta), **near)
    np.testing.assert_allclose(
        tj.vmap(tj.grad(mine))(np.array([0.5, 0.9])), [tj.grad(true)(t) for t in (0.5, 0.9)], **near
    )


@pytest.mark.parametrize("linear", ["dense", "cg"])
def test_second_order(linear: str) -> None:
    solution = tj.implicit.argmin(ridge, by_steps, linear=linear)
    mine, true = lambda t: np.sum(solution(ZERO, t)), lambda t: np.sum(closed_form(t))
    expected = tj.grad(tj.grad(true))(0.7)
    for second in (tj.jacfwd(tj.grad(mine)), tj.grad(tj.grad(mine)), tj.jacfwd(tj.jacfwd(mine))):
        np.testing.assert_allclose(second(0.7), expected, rtol=1e-8)


def newton(init: Any, a: Any, shift: Any = 0.0) -> Any:
    def step(_: Any, x: Any) -> Any:
        return x - np.linalg.solve(tj.jacfwd(equations)(x, a, shift), equations(x, a, shift))

    return tj.lax.fori_loop(0, 8, step, init)


def equations(x: Any, a: Any, shift: Any = 0.0) -> Any:
    """Without symmetry: x + a x^3 turned round = 1 + shift."""
    return 2.0 * x + a * x[::-1] ** 3 - np.array([1.0, 2.0]) - shift


@pytest.mark.parametrize("linear", ["dense", "cg"])
def test_root(linear: str) -> None:
    solution = tj.implicit.root(equations, newton, linear=linear)
    init, a, h = np.array([0.4, 0.9]), 0.3, 1e-6
    np.testing.assert_allclose(equations(solution(init, a), a), 0, atol=1e-14)
    quotient = (newton(init, a + h) - newton(init, a - h)) / (2 * h)
    np.testing.assert_allclose(tj.jacfwd(solution, 1)(init, a), quotient, rtol=1e-7)
    np.testing.assert_allclose(tj.jacrev(solution, 1)(init, a), quotient, rtol=1e-7)
    by_shift = tj.jacrev(lambda s: solution(init, a, shift=s))(0.0)
    jac = tj.jacfwd(equations)(solution(init, a), a)
    np.testing.assert_allclose(by_shift, np.linalg.solve(jac, np.ones(2)), rtol=1e-10)


def test_the_start_has_no_derivative() -> None:
    solution = tj.implicit.argmin(ridge, by_steps)
    np.testing.assert_array_equal(tj.jacrev(solution)(ZERO, 0.7), np.zeros((3, 3)))


def test_trees() -> None:
    """min (u - p)^2 + |v - q u|^2: u = p, v = q p."""

    def loss(x: Any, theta: Any) -> Any:
        misfit = x["v"] - theta["q"] * x["u"]
        return (x["u"] - theta["p"]) ** 2 + np.sum(misfit**2)

    def known(init: Any, theta: Any) -> Any:
        return {"u": theta["p"] * 1.0, "v": theta["q"] * theta["p"]}

    theta, start = {"p": 2.0, "q": np.array([1.0, 3.0])}, {"u": 0.0, "v": np.zeros(2)}
    for linear in ("dense", "cg"):
        solution = tj.implicit.argmin(loss, known, linear=linear)
        jac = tj.jacrev(lambda t: solution(start, t))(theta)  # noqa: B023
        np.testing.assert_allclose(jac["u"]["p"], 1.0)
        np.testing.assert_allclose(jac["u"]["q"], [0.0, 0.0], atol=1e-12)
        np.testing.assert_allclose(jac["v"]["p"], theta["q"])
        np.testing.assert_allclose(jac["v"]["q"], 2.0 * np.eye(2), atol=1e-12)


def test_messages() -> None:
    with pytest.raises(ArgumentError, match="'dense', 'cg' or a function, not 'lu'"):
        tj.implicit.root(equations, newton, linear="lu")
    with pytest.raises(TypeError, match="implicit.argmin"):
        tj.implicit.argmin(3, by_steps)


def test_errors_are_where_the_functions_are() -> None:
    for f, solver, text in (
        (lambda x, a: x[:1], newton, "f returns f64"),
        (lambda x, a: x - a, lambda x, a: None, "solve returns another structure"),
    ):
        with pytest.raises(ValueError, match=text) as caught:
            tj.implicit.root(f, solver)(np.ones(2), 1.0)
        assert "test_implicit.py" in str(caught.value)


def test_an_equation_that_does_not_depend_on_its_unknowns() -> None:
    solution = tj.implicit.root(lambda x, a: 0 * x + a, lambda x, a: x * 0.0)
    with np.errstate(all="ignore"):
        assert not np.isfinite(tj.jacfwd(solution, 1)(np.ones(2), 1.0)).any()


def test_conjugate_gradients_that_do_not_arrive_are_nan() -> None:
    stiff = 10.0 ** np.linspace(-8, 8, 60)
    solution = tj.implicit.argmin(
        lambda x, a: 0.5 * np.sum(stiff * x * x) - a * np.sum(x), lambda x, a: a / stiff,
        linear="cg",
    )  # fmt: skip
    assert np.isnan(tj.jacfwd(solution, 1)(np.zeros(60), 1.0)).all()


def test_what_is_no_function_or_not_linear() -> None:
    with pytest.raises(ArgumentError, match="custom_root takes a function, not int 3"):
        tj.lax.custom_root(3, 1.0, lambda f, x: x, lambda g, y: y)
    with pytest.raises(ArgumentError, match="custom_linear_solve takes a function, not int 3"):
        tj.lax.custom_linear_solve(lambda x: x, 1.0, 3)
    with pytest.raises(MissingRuleError, match="is not linear"):
        tj.grad(lambda a: tj.lax.custom_root(
            lambda x: x**2 - a, 1.0, lambda f, x: np.sqrt(a), lambda g, y: y * y / g(1.0)
        ))(4.0)  # fmt: skip
    with pytest.raises(MissingRuleError, match="without a transpose_solve\n  at .*test_implicit"):
        tj.grad(lambda b: tj.lax.custom_linear_solve(lambda x: x, b, lambda mv, b: b))(1.0)

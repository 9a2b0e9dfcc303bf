"""What a differentiated loop stacks for its way back, and that the values do not suffer."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit import lax
from tracejit.control.residuals import LARGE, thin_out
from tracejit.ir.atoms import Var
from tracejit.ir.builder import building
from tracejit.ir.types import FLOAT64, array_type
from tracejit.ops.elementwise import add, div, exp, mul, neg
from tracejit.ops.structure import broadcast

NUMBER, ROW = array_type(FLOAT64), array_type(FLOAT64, (3,))


def made(build, *invars):
    """The equations that `build` binds, and what it returns."""
    with building() as builder:
        outs = build(*invars)
    return builder.equations, outs


def test_a_few_numbers_stand_for_what_is_made_of_them() -> None:
    h, p, v = Var(NUMBER), Var(ROW), Var(NUMBER)

    def body(h, p, v):
        s = exp(mul(h, v))
        wide = broadcast(s, shape=(3,), dims=())
        gain = div(p, wide)
        around = broadcast(div(h, s), shape=(3,), dims=())
        return (s, gain), [wide, neg(gain), div(gain, wide), around]

    equations, (few, residuals) = made(body, h, p, v)
    handed, again = thin_out(residuals, equations, {h})
    assert set(handed) == {h, *few}
    assert [e.primitive.name for e in again] == ["broadcast", "div", "broadcast", "neg", "div"]


def test_where_bytes_are_equal_nothing_is_computed_again() -> None:
    x = Var(ROW)
    equations, y = made(lambda x: neg(mul(x, x)), x)
    assert thin_out([y], equations, set()) == ([y], [])


def test_dear_results_are_kept() -> None:
    x = Var(ROW)
    equations, y = made(lambda x: add(exp(x), broadcast(x, shape=(3,), dims=(0,))), x)
    assert thin_out([y], equations, {x}) == ([y], [])


def test_long_work_on_free_values_is_kept() -> None:
    def body(x):
        for _ in range(100):
            x = add(x, x)
        return x

    x = Var(ROW)
    equations, y = made(body, x)
    assert thin_out([y], equations, {x}) == ([y], [])


def test_a_large_network_keeps_its_residuals() -> None:
    def body(x):
        return [broadcast(neg(x), shape=(3,), dims=()) for _ in range(LARGE)]

    x = Var(NUMBER)
    equations, ys = made(body, x)
    handed, again = thin_out(ys, equations, set())
    assert handed == ys and not again


def stacks(fun, *args) -> list[str]:
    """The types of what the first loop of the value and the gradient stacks."""
    text = tj.make_jaxpr(tj.value_and_grad(fun))(*args)
    first = next(e for e in text.equations if e.primitive.name == "scan")
    return [str(v.type) for v in first.outvars[first.params["num_carry"] :]]


def test_a_solver_by_rows_stacks_nothing() -> None:
    def loss(b, lower):
        def row(i, x):
            return x.at[i].set((b[i] - lower[i] @ x) / lower[i, i])

        return np.sum(lax.fori_loop(0, 4, row, np.zeros(4) * b[0]) ** 2)

    assert stacks(loss, np.ones(4), np.eye(4)) == []


def test_a_kalman_filter_stacks_five_numbers_a_step() -> None:
    f, h = np.array([[1.0, 0.1, 0.0], [0.0, 1.0, 0.1], [0.0, 0.0, 0.9]]), np.array([1.0, 0.2, 0.0])

    def loss(theta, ys):
        def step(carry, y):
            m, p, total = carry
            m, p = f @ m, f @ p @ f.T + theta[0] * np.eye(3)
            ph = p @ h
            s, v = h @ ph + theta[1], y - h @ m
            total = total - 0.5 * (np.log(s) + v * v / s)
            return (m + ph / s * v, p - (ph / s)[:, None] * ph[None, :], total), None

        return lax.scan(step, (0.0 * h, np.eye(3), 0.0), ys)[0][2]

    theta, ys = np.array([0.3, 0.7]), np.linspace(-1.0, 1.0, 5)
    assert sorted(stacks(loss, theta, ys)) == ["f64[5,3]", "f64[5]", "f64[5]"]
    gradient = tj.jit(tj.grad(loss))(theta, ys)
    for i in range(2):
        step = np.zeros(2)
        step[i] = 1e-6
        slope = (loss(theta + step, ys) - loss(theta - step, ys)) / 2e-6
        assert gradient[i] == pytest.approx(slope, rel=1e-7)

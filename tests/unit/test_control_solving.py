"""custom_root and custom_linear_solve: values and derivatives of any order are those of JAX."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import tracejit as tj
from tracejit import errors, lax

A = np.array([[4.0, 1.0, 0.5], [0.2, 3.0, -1.0], [0.3, 0.1, 5.0]])
B = np.array([1.0, -2.0, 0.5])


@pytest.fixture(autouse=True)
def wide():
    with jax.enable_x64(True):
        yield


def newton(xp, control):
    """A root of f(x) = x^3 + a x - b, by a loop that cannot be differentiated backwards."""

    def solve(f, x):
        derivative = (tj if control is lax else jax).grad(f)

        def step(state):
            x, _ = state
            return x - f(x) / derivative(x), x

        def more(state):
            return abs(state[0] - state[1]) > 1e-13

        return control.while_loop(more, step, (x, x + 1.0))[0]

    def root(a, b):
        return control.custom_root(
            lambda x: x**3 + a * x - b, 1.0 + 0.0 * xp.sin(a), solve, lambda g, y: y / g(1.0)
        )

    return root


def system(xp, control, jacobi=True, **options):
    """A linear system, solved by Jacobi's method in a while loop."""

    def iterate(product, diagonal, b):
        def step(state):
            x, _, i = state
            return x + (b - product(x)) / diagonal, x, i + 1

        def more(state):
            return (xp.max(abs(state[0] - state[1])) > 1e-15) & (state[2] < 200)

        return control.while_loop(more, step, (b / diagonal, b, 0))[0]

    def solution(a, b):
        diagonal = xp.diagonal(a)
        return control.custom_linear_solve(
            lambda x: a @ x, b,
            lambda matvec, b: iterate(matvec, diagonal, b),
            lambda vecmat, b: iterate(vecmat, diagonal, b), **options,
        )  # fmt: skip

    return solution


def transformed(api, f):
    """f, a function of two arguments with an array as result, in many ways."""
    def total(*args):
        return (f(*args) ** 2).sum()

    return {
        "value": f,
        "jit": api.jit(f),
        "jvp": lambda *args: api.jvp(f, args, args)[1],
        "grad": api.grad(total, (0, 1)),
        "jit grad": api.jit(api.grad(total, (0, 1))),
        "hessian": api.jacfwd(api.grad(total, 1), 0),
        "grad of grad": api.jit(api.grad(lambda a, b: (api.grad(total, 1)(a, b) ** 2).sum())),
        "nested jit": api.grad(lambda *args: api.jit(total)(*args) * 2.0),
    }


WAYS = list(transformed(tj, None))


def equal(xs, ys, **tolerance):
    for x, y in zip(tj.tree.leaves(xs), jax.tree.leaves(ys), strict=True):
        np.testing.assert_allclose(x, y, **{"rtol": 1e-9, "atol": 1e-12} | tolerance)


CASES = [
    *[("native", way) for way in WAYS], *[("eager", way) for way in ("jvp", "jit grad", "hessian")],
    ("xla", "jit grad"),
]  # fmt: skip


@pytest.mark.parametrize(("backend", "way"), CASES)
@pytest.mark.parametrize("problem", [newton, system])
def test_as_jax(problem, backend, way):
    args = (2.0, 5.0) if problem is newton else (A, B)
    with tj.config.override(backend=backend):
        ours = transformed(tj, problem(np, lax))[way](*args)
    equal(ours, transformed(jax, problem(jnp, jax.lax))[way](*map(jnp.asarray, args)))


@pytest.mark.parametrize("axes", [(0, 0), (None, 0)])
@pytest.mark.parametrize("problem", [newton, system])
def test_batched(problem, axes):
    args = (2.0, 5.0) if problem is newton else (A, B)
    shift = np.arange(3.0)
    many = [
        x if axis is None else np.stack([x + 0.1 * s for s in shift])
        for x, axis in zip(args, axes, strict=True)
    ]
    for way in ("value", "grad"):
        ours = tj.jit(tj.vmap(transformed(tj, problem(np, lax))[way], axes))(*many)
        theirs = jax.vmap(transformed(jax, problem(jnp, jax.lax))[way], axes)
        equal(ours, theirs(*map(jnp.asarray, many)))


def test_a_symmetric_system_needs_one_solver():
    symmetric = A + A.T

    def f(a, b):
        solve = lambda product, b: np.linalg.solve(a, b)
        return lax.custom_linear_solve(lambda x: (a + a.T) @ x / 2, b, solve, symmetric=True).sum()

    direct = tj.grad(lambda a, b: np.linalg.solve((a + a.T) / 2, b).sum(), (0, 1))
    equal(tj.jit(tj.grad(f, (0, 1)))(symmetric, B), direct(symmetric, B))


def test_trees_and_auxiliary_data():
    def f(w, b):
        solve = lambda matvec, b: ({"u": b["u"] / w, "v": b["v"] / 2.0}, {"calls": 3})
        matvec = lambda x: {"u": w * x["u"], "v": 2.0 * x["v"]}
        x, aux = lax.custom_linear_solve(matvec, b, solve, solve, has_aux=True)
        return x["u"].sum() * x["v"], aux["calls"]

    b = {"u": B, "v": 3.0}
    value, calls = tj.jit(f)(2.0, b)
    assert calls == 3
    np.testing.assert_allclose(value, B.sum() / 2 * 1.5)
    (dw, db), calls = tj.grad(f, (0, 1), has_aux=True)(2.0, b)
    np.testing.assert_allclose(dw, -B.sum() / 4 * 1.5)
    np.testing.assert_allclose(db["v"], B.sum() / 4)


def test_a_root_of_several_unknowns_with_auxiliary_data():
    def f(a):
        def residual(x):
            return np.stack([x[0] ** 2 + x[1] - a, x[0] - x[1] ** 3])

        def solve(f, x):
            for _ in range(30):
                x = x - np.linalg.solve(tj.jacfwd(f)(x), f(x))
            return x, np.max(np.abs(f(x)))

        def tangent(g, y):
            return np.linalg.solve(tj.jacfwd(g)(y), y)

        return lax.custom_root(residual, np.ones(2), solve, tangent, has_aux=True)

    (_, error), h = tj.jit(f)(3.0), 1e-5
    assert error < 1e-14
    slope = (f(3.0 + h)[0] - f(3.0 - h)[0]) / (2 * h)
    np.testing.assert_allclose(tj.jit(tj.jacrev(lambda a: f(a)[0]))(3.0), slope, rtol=1e-7)
    np.testing.assert_allclose(tj.jacfwd(lambda a: f(a)[0])(3.0), slope, rtol=1e-7)


def test_errors_name_the_function():
    with pytest.raises(errors.ShapeError, match="matvec returns"):
        lax.custom_linear_solve(lambda x: x[:2], B, lambda m, b: b)
    with pytest.raises(errors.TreeError, match="solve returns another structure"):
        lax.custom_linear_solve(lambda x: x, B, lambda m, b: (b, b))
    with pytest.raises(errors.ArgumentError, match="pair"):
        lax.custom_linear_solve(lambda x: x, B, lambda m, b: b, has_aux=True)
    with pytest.raises(errors.DTypeError, match="floats"):
        lax.custom_root(lambda x: x, 1, lambda f, x: x, lambda g, y: y)
    with pytest.raises(errors.MissingRuleError, match="transpose_solve"):
        tj.grad(lambda b: lax.custom_linear_solve(lambda x: x * 2, b, lambda m, b: b / 2).sum())(B)

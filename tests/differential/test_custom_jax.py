"""Functions with rules, written once, under JAX and under tracejit."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import tracejit as tj

jax = pytest.importorskip("jax", reason="the reference is JAX")

X = np.array([0.5, 1.5, 2.5])


@pytest.fixture(autouse=True)
def _double_precision():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def fixed_point_sqrt(J):
    """A square root by Newton's method, whose derivative is that of the equation."""

    @partial(J.custom_vjp, nondiff_argnums=(0,))
    def fixed_point(step, a, guess):
        def unsettled(pair):
            return J.numpy.abs(pair[0] - pair[1]) > 1e-13

        return J.lax.while_loop(
            unsettled, lambda p: (p[1], step(a, p[1])), (guess, step(a, guess))
        )[1]

    def forward(step, a, guess):
        x = fixed_point(step, a, guess)
        return x, (a, x)

    def backward(step, residuals, ct):
        a, x = residuals
        _, by_a = J.vjp(lambda a: step(a, x), a)

        def adjoint(packed, u):
            a, x, ct = packed
            return ct + J.vjp(lambda x: step(a, x), x)[1](u)[0]

        return (*by_a(fixed_point(adjoint, (a, x, ct), ct)), J.numpy.zeros_like(x))

    fixed_point.defvjp(forward, backward)
    return lambda a: fixed_point(lambda a, x: 0.5 * (x + a / x), a, a)


def stable_log(J):
    """A rule with branches of its own, per argument."""

    @J.custom_jvp
    def f(x, y):
        return J.numpy.log1p(J.numpy.exp(x)) * y

    f.defjvps(
        lambda t, out, x, y: (1 - 1 / (1 + J.numpy.exp(x))) * y * t,
        lambda t, out, x, y: t * J.numpy.log1p(J.numpy.exp(x)),
    )
    return lambda x: f(x, x * x)


def reversed_gradient(J):
    """A gradient that is no derivative, in a loop and a branch."""

    @J.custom_gradient
    def flip(x):
        return x * 1.0, lambda ct: -2.0 * ct

    def program(x):
        y = J.lax.fori_loop(0, 3, lambda i, c: J.numpy.sin(flip(c)), x)
        return J.lax.cond(x > 1.0, lambda y: flip(y) * y, lambda y: y * 3.0, y)

    return program


@pytest.mark.parametrize("program", [fixed_point_sqrt, stable_log, reversed_gradient])
def test_values_and_derivatives_are_those_of_jax(program) -> None:
    ours = SimpleNamespace(
        **{n: getattr(tj, n) for n in ("custom_jvp", "custom_vjp", "custom_gradient", "vjp")},
        numpy=tj.numpy, lax=tj.lax,
    )  # fmt: skip
    mine, theirs = program(ours), program(jax)
    for order in range(2):
        for x in X:
            np.testing.assert_allclose(mine(x), theirs(x), rtol=1e-11, err_msg=f"order {order}")
            np.testing.assert_allclose(tj.jit(mine)(x), theirs(x), rtol=1e-11)
        np.testing.assert_allclose(tj.jit(tj.vmap(mine))(X), jax.vmap(theirs)(X), rtol=1e-11)
        mine, theirs = tj.grad(mine), jax.grad(theirs)

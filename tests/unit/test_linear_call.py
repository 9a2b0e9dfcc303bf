"""linear_call: a linear function with a transpose of its own; and what goes with symbolic zeros."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import tracejit as tj
from tracejit.custom_derivatives import (
    SymbolicZero,
    custom_vjp_primal_tree_values,
    linear_call,
    zero_from_primal,
)
from tracejit.errors import DTypeError, ShapeError, TreeError, UnsupportedError

BACKENDS = ("eager", "native")
POINTS = np.array([0.3, 0.7, 1.1])


def divided(x, r, slope=1.0):
    """Its transpose is `slope` times the true one, so that it is seen to be used."""
    return linear_call(lambda r, x: x / r, lambda r, ct: slope * ct / r, r, x)


def transposed(f, x):
    return lambda y: tj.linear_transpose(f, x)(y)[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_linear_call(backend: str) -> None:
    def of(transform, **options):
        return tj.jit(transform(partial(divided, **options)), backend=backend)

    assert of(lambda f: f)(8.0, 2.0) == 4.0
    assert of(tj.grad, slope=10.0)(8.0, 2.0) == 5.0
    assert of(lambda f: lambda x, r: tj.jvp(f, (x, r), (1.0, 1.0))[1])(8.0, 2.0) == 0.5 - 2.0
    np.testing.assert_allclose(
        of(lambda f: tj.hessian(f, (0, 1)))(8.0, 2.0), [[0, -0.25], [-0.25, 2]]
    )
    np.testing.assert_allclose(
        of(lambda f: tj.vmap(tj.grad(f), (None, 0)), slope=10.0)(1.0, POINTS), 10 / POINTS
    )


def test_linear_call_and_its_transpose_take_turns() -> None:
    f = lambda x: linear_call(lambda _, x: x, lambda _, ct: 7.0, (), x)
    found = []
    for _ in range(4):
        found.append(f(1.0))
        f = transposed(f, 1.0)
    assert found == [1.0, 7.0, 1.0, 7.0]


def test_linear_call_closes_over_traced_values() -> None:
    def scaled(c):
        tree = {"a": POINTS, "b": 2.0}
        out = linear_call(
            lambda _, p: (p["a"] * c, p["b"]), lambda _, ct: {"a": ct[0] * c, "b": ct[1]}, (), tree
        )
        return np.sum(out[0]) + out[1]

    np.testing.assert_allclose(tj.jit(tj.grad(scaled))(2.0), np.sum(POINTS))


def test_linear_call_messages() -> None:
    half, back = lambda r, x: x / r, lambda r, ct: ct / r
    with pytest.raises(DTypeError, match="hold i64.., and linear maps are those of floats"):
        linear_call(half, back, 2.0, 3)
    with pytest.raises(TreeError, match="another structure than linear_args"):
        linear_call(half, lambda r, ct: (ct,), 2.0, 3.0)
    with pytest.raises(ShapeError, match="returns f64.2. where linear_args have f64"):
        linear_call(half, lambda r, ct: np.stack([ct, ct]), 2.0, 3.0)
    with pytest.raises(UnsupportedError, match="not linear in its residuals"):
        tj.linear_transpose(lambda r: linear_call(half, back, r, 3.0), 2.0)(1.0)


def test_values_and_zeros_of_trees() -> None:
    @tj.custom_vjp
    def f(p, x):
        return p["a"] * x

    def fwd(p, x):
        values = custom_vjp_primal_tree_values((p, x))
        return f(*values), values

    f.defvjp(fwd, lambda r, ct: ({"a": ct * r[1]}, ct * r[0]["a"]), symbolic_zeros=True)
    assert tj.grad(f, (0, 1))({"a": 2.0}, 3.0) == ({"a": 3.0}, 2.0)
    zeros = zero_from_primal({"a": np.ones(2, np.float32), "n": 3})
    assert zeros["a"].dtype == np.float32 and zeros["n"].dtype == tj.float0
    assert isinstance(zero_from_primal(1.0, symbolic_zeros=True), SymbolicZero)

"""jvp, vjp, linearize, linear_transpose, jacobians: beyond what the comparison with JAX covers."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import ArgumentError, DTypeError, MissingRuleError

X = np.linspace(0.1, 0.9, 3)


def test_tangents_of_integers_are_float0() -> None:
    nothing = np.zeros((), tj.float0)
    out, tangent = tj.jvp(lambda x, n: (x * n, n), (2.0, 3), (1.0, nothing))
    assert out == (6.0, 3) and tangent[0] == 3.0
    assert tangent[1].dtype == tj.float0
    _, pull = tj.vjp(lambda x, n: (x * n, n), 2.0, 3)
    cts = pull((1.0, nothing))
    assert cts[0] == 3.0 and cts[1].dtype == tj.float0


def test_constant_outputs_have_zero_tangents() -> None:
    out, tangent = tj.jvp(lambda x: (np.ones(2), x), (X,), (X,))
    np.testing.assert_array_equal(tangent[0], np.zeros(2))
    np.testing.assert_array_equal(tangent[1], X)
    _, push = tj.linearize(lambda x: (np.ones(2), x), X)
    np.testing.assert_array_equal(push(X)[0], np.zeros(2))
    _, pull = tj.vjp(lambda x: (np.ones(2), np.sum(x)), X)
    np.testing.assert_array_equal(pull((np.ones(2), 2.0))[0], np.full(3, 2.0))


def test_a_pullback_can_be_called_again_and_differentiated() -> None:
    out, pull = tj.vjp(np.sin, X)
    np.testing.assert_allclose(pull(X)[0], np.cos(X) * X)
    np.testing.assert_allclose(pull(2 * X)[0], 2 * np.cos(X) * X)
    jac = tj.jacfwd(lambda ct: pull(ct)[0])(X)
    np.testing.assert_allclose(jac, np.diag(np.cos(X)))


def test_a_pullback_crosses_jit() -> None:
    out, pull = tj.jit(lambda x: tj.vjp(np.sin, x))(X)
    np.testing.assert_allclose(pull(X)[0], np.cos(X) * X)


def test_a_pullback_in_a_trace_of_another() -> None:
    def f(x):
        _, pull = tj.vjp(lambda y: y**3, x)
        return pull(x)[0]

    assert f(2.0) == 24.0 and tj.grad(f)(2.0) == 36.0 and tj.jit(tj.grad(f))(2.0) == 36.0


def test_python_numbers_take_the_dtype_of_the_primal() -> None:
    out, tangent = tj.jvp(np.sin, (np.float32(0.5),), (1.0,))
    assert tangent.dtype == np.float32
    assert tj.vjp(np.sin, np.float32(0.5))[1](1)[0].dtype == np.float32


def test_linear_transpose_needs_no_values() -> None:
    A = np.arange(6.0).reshape(2, 3)
    back = tj.linear_transpose(lambda x: A @ x, tj.ShapeDtypeStruct((3,), "float64"))
    np.testing.assert_allclose(back(np.ones(2))[0], A.T @ np.ones(2))
    with pytest.raises(MissingRuleError, match="exp is not linear"):
        tj.linear_transpose(np.exp, X)


def test_jacobians_of_mixed_dtypes() -> None:
    x = X.astype(np.float32)
    assert tj.jacfwd(np.sin)(x).dtype == tj.jacrev(np.sin)(x).dtype == np.float32


def test_jacobians_of_scalars_and_empty_arrays() -> None:
    assert type(tj.jacfwd(np.sin)(0.5)) is np.float64
    assert tj.jacrev(lambda x: x * 2)(np.ones((0, 2))).shape == (0, 2, 0, 2)
    assert tj.hessian(lambda x: np.sum(x))(X).shape == (3, 3)


@pytest.mark.parametrize("jacobian", [tj.jacfwd, tj.jacrev, tj.jacobian])
def test_jacobians_under_jit_and_vmap(jacobian) -> None:
    expected = np.stack([np.diag(np.cos(x)) for x in (X, 2 * X)])
    batch = np.stack([X, 2 * X])
    np.testing.assert_allclose(tj.vmap(jacobian(np.sin))(batch), expected)
    np.testing.assert_allclose(tj.jit(tj.vmap(jacobian(np.sin)))(batch), expected)


@pytest.mark.parametrize(
    "fun",
    [
        lambda x: x * x, lambda x: 1 / x, lambda x: x @ x, lambda x: np.sum(x) * x,
        lambda x: np.where(x > 0, x, 0.0), lambda x: x[x[0].astype(int)],
        lambda x: tj.lax.scan(lambda c, y: (c * y, None), 1.0, x)[0],
    ],
)  # fmt: skip
def test_products_of_the_argument_have_no_transpose(fun) -> None:
    with pytest.raises(MissingRuleError, match=r"is not linear(.|\n)*in <lambda>"):
        tj.linear_transpose(fun, X)


def test_linear_transpose_of_integers() -> None:
    table = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
    taken = np.array([True, False])
    by = tj.linear_transpose(lambda x: np.where(taken, table @ x * 3, 0), np.zeros(3, np.int32))
    (ct,) = by(np.array([2, 7], np.int32))
    assert ct.dtype == np.int32
    np.testing.assert_array_equal(ct, 6 * table[0])
    assert tj.linear_transpose(lambda x: x * 2, 3)(4) == (8,)
    with pytest.raises(DTypeError, match="floats to floats, or of integers to integers"):
        tj.linear_transpose(lambda x: x * 2.0, 3)
    with pytest.raises(DTypeError, match="is f64.., and should be i64"):
        tj.linear_transpose(lambda x: x * 2, 3)(1.5)


def test_a_pull_back_takes_one_cotangent() -> None:
    for pull in (tj.vjp(np.sin, 1.0)[1], tj.linear_transpose(lambda x: 2 * x, 1.0)):
        with pytest.raises(ArgumentError, match="takes one argument, a cotangent .* got 2"):
            pull(1.0, 2.0)

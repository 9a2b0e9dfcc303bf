"""Factorisations and systems: in registers, over stacks, by LAPACK; and what has no factor."""

from __future__ import annotations

import numpy as np
import pytest
from native_guarded import program

import tracejit as tj
from tracejit import backends
from tracejit.backends.native import blas
from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.types import FLOAT32, FLOAT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import linalg
from tracejit.ops.contraction import dot
from tracejit.testing.compare import assert_close

BACKENDS = [name for name in ("eager", "native", "xla") if backends.available(name)]
SIZES = (1, 2, 3, 6, 8, 9, 30)


def definite(rng, n, dtype=np.float64):
    x = rng.normal(size=(n, n))
    return (x @ x.T + n * np.eye(n)).astype(dtype)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", SIZES)
def test_what_is_not_positive_definite(n, backend, rng) -> None:
    """NaN in the lower triangle, whichever pivot fails; others of a stack are none the worse."""
    good = definite(rng, n)
    late, nan = good.copy(), good.copy()
    late[-1, -1] = nan[n // 2, n // 2] = -1.0
    nan[n // 2, 0] = np.nan
    low = np.tril(np.ones((n, n), bool))
    for bad in (-good, late, nan, np.zeros((n, n))):
        run = tj.jit(lambda x: tj.scipy.linalg.cholesky(x, lower=True), backend=backend)
        (first, second) = run(np.stack([bad, good]))
        assert np.isnan(first[low]).all() and (first[~low] == 0).all()
        np.testing.assert_allclose(second, np.linalg.cholesky(good), rtol=1e-12)
        np.testing.assert_array_equal(run(bad), first)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", SIZES)
def test_singular_matrices(n, backend, rng) -> None:
    """Their determinant is 0, a system with them has what division by 0 gives."""
    x = rng.normal(size=(n, n))
    x[:, n // 2] = 0

    def fun(x):
        return np.linalg.det(x), *np.linalg.slogdet(x), np.linalg.solve(x, x[0])

    with np.errstate(all="ignore"):
        det, sign, size, y = tj.jit(fun, backend=backend)(x)
    assert det == 0 and sign == 0 and size == -np.inf
    assert not np.isfinite(y).all()


@pytest.mark.parametrize("n", SIZES)
def test_rows_are_exchanged_as_by_lapack(n, rng) -> None:
    """The pivots, and the order they lead to; ties go to the first."""
    for x in (rng.normal(size=(n, n)), np.ones((n, n)), np.zeros((n, n)), -np.eye(n)[::-1]):
        jaxpr = program(lambda x: linalg.lu(x), array_type(FLOAT64, (n, n)))
        factors, pivots, order = NativeExecutable(jaxpr)(x)
        expected = evaluate(jaxpr, x)
        np.testing.assert_allclose(factors, expected[0], rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(pivots, expected[1])
        np.testing.assert_array_equal(order, expected[2])
        low = np.tril(factors, -1) + np.eye(n)
        np.testing.assert_allclose(low @ np.triu(factors), x[order], atol=1e-12)


def test_small_ones_stay_in_registers() -> None:
    """From products through a factor to a solution: only the result is in memory."""
    types = array_type(FLOAT64, (3, 3)), array_type(FLOAT64, (3, 1))

    def fun(x, b):
        a = dot(x, x, contract=((0,), (0,)), batch=((), ()))
        low = linalg.cholesky(a)
        y = linalg.triangular_solve(low, b, lower=True, transposed=False, unit=False)
        return [linalg.triangular_solve(low, y, lower=True, transposed=True, unit=False)]

    run = NativeExecutable(program(fun, *types))
    assert run.summary.stored == 0 and run.summary.workspace_bytes == 0
    assert run.summary.statements == {"cholesky": 1, "triangular_solve": 2}


def test_one_factorisation_serves_value_and_gradient() -> None:
    def loss(a, b):
        return (np.linalg.solve(a, b) ** 2).sum() + np.linalg.slogdet(a)[1]

    for n in (4, 20):
        fun = tj.jit(tj.value_and_grad(loss, argnums=(0, 1)))
        compiled = backends.load("native").compile(fun.trace(np.eye(n), np.ones(n)))
        assert compiled.summary.statements["lu"] == 1


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
def test_in_a_loop(dtype, rng) -> None:
    """Factors and solutions of small systems, step by step, with gradient."""

    eye = np.eye(3, dtype=dtype)

    def loss(theta, ys):
        def step(carry, y):
            m, p = carry
            low = np.linalg.cholesky(p)
            m = np.linalg.solve(p, m + y)
            p = p + theta[0] * eye + low @ low.T * theta[1]
            return (m, p), np.linalg.slogdet(p)[1] + m @ y

        _, totals = tj.lax.scan(step, (ys[0], eye * theta[0]), ys)
        return totals.sum()

    args = np.array([1.5, 0.2], dtype), rng.normal(size=(9, 3)).astype(dtype)
    value, slope = tj.jit(tj.value_and_grad(loss))(*args)
    expected = tj.jit(tj.value_and_grad(loss), backend="eager")(*args)
    rtol = 1e-4 if dtype == FLOAT32 else 1e-11
    np.testing.assert_allclose(value, expected[0], rtol=rtol)
    np.testing.assert_allclose(slope, expected[1], rtol=rtol)


@pytest.mark.parametrize("name", ["dpotrf", "strsm", "dgetrf", "dgemm"])
def test_addresses_without_the_library_of_the_wheel(name, monkeypatch) -> None:
    """From the pointers that SciPy exports, of LAPACK and of BLAS."""
    monkeypatch.setattr(blas, "_openblas", lambda: None)
    assert blas.blas.__wrapped__(name) > 0


def test_operands_are_computed_and_views(rng) -> None:
    """Slices and products in front of LAPACK and of loops over stacks."""

    def fun(x):
        a = np.exp(-((x[:, None] - x[None, :]) ** 2)) + np.eye(len(x))
        low = np.linalg.cholesky(a[::-1, ::-1])
        parts = np.stack([a[:4, :4], a[2:6, 2:6].T, a[4:8, 4:8]])
        return low.T, np.linalg.solve(a, x), np.linalg.inv(parts)[:, ::2], np.linalg.det(a[3:, 3:])

    x = rng.normal(size=20)
    for ours, theirs in zip(tj.jit(fun)(x), fun(x), strict=True):
        assert_close("linalg", "views", [ours], [theirs], rtol=1e-9)

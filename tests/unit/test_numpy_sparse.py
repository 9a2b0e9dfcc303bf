"""Products of SciPy's sparse matrices with traced arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.sparse

import tracejit as tj
from tracejit.errors import ShapeError, TracedConversionError

RNG = np.random.default_rng(0)
MATRIX = scipy.sparse.random_array((6, 8), density=0.3, rng=RNG).tocsr()
X, Y = RNG.normal(size=8), RNG.normal(size=6)


@pytest.mark.parametrize("format", ["csr", "csc", "coo", "dia", "lil", "dok", "matrix"])
def test_products(format: str) -> None:
    made: Any = scipy.sparse.csr_matrix(MATRIX) if format == "matrix" else MATRIX.asformat(format)
    for f, x in [
        (lambda x: made @ x, X),
        (lambda x: made @ x, RNG.normal(size=(8, 3))),
        (lambda y: y @ made, Y),
        (lambda y: y @ made, RNG.normal(size=(3, 6))),
        (lambda y: made.T @ y, Y),
    ]:
        for run in (f, tj.jit(f), tj.jit(f, backend="eager")):
            np.testing.assert_allclose(run(x), f(x), rtol=1e-13, atol=1e-14)


def test_dot_is_the_operator() -> None:
    np.testing.assert_allclose(tj.jit(lambda x: MATRIX.dot(x))(X), MATRIX @ X)


def test_derivatives_and_batches() -> None:
    gradient = tj.grad(lambda x: np.sum((MATRIX @ x) ** 2))(X)
    np.testing.assert_allclose(gradient, 2.0 * MATRIX.T @ (MATRIX @ X))
    many = np.stack([X, -X, 2.0 * X])
    np.testing.assert_allclose(tj.vmap(lambda x: MATRIX @ x)(many), (MATRIX @ many.T).T)
    assert tj.sparse_jacobian(lambda x: MATRIX @ x**2)(X).nnz == MATRIX.nnz


def test_dtypes_are_numpys() -> None:
    single = MATRIX.astype(np.float32)
    assert tj.jit(lambda x: single @ x)(X.astype(np.float32)).dtype == np.float32
    assert tj.jit(lambda x: single @ x)(X).dtype == np.float64


def test_a_traced_sparse_array_times_a_vector() -> None:
    @tj.jit
    def newton_product(x, v):
        jac = tj.sparse_jacobian(lambda x: MATRIX @ np.sin(x))(x)
        return jac @ v, np.ones(6) @ jac, jac @ np.ones((8, 2))

    right, left, many = newton_product(X, X)
    dense = MATRIX.toarray() * np.cos(X)
    np.testing.assert_allclose(right, dense @ X)
    np.testing.assert_allclose(left, np.ones(6) @ dense)
    np.testing.assert_allclose(many, dense @ np.ones((8, 2)))


def test_mistakes_are_named() -> None:
    with pytest.raises(ShapeError, match=r"sparse matrix of shape \(6, 8\) @ .* \(3,\)"):
        tj.jit(lambda x: MATRIX @ x[:3])(X)
    with pytest.raises(TracedConversionError, match="which is traced"):
        tj.jit(lambda x: MATRIX * x)(X)

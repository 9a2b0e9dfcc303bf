"""Linear algebra of complex matrices: values are NumPy's, derivatives those of differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.linalg

import tracejit as tj

rng = np.random.default_rng(0)


def random(*shape: int) -> np.ndarray:
    return rng.normal(size=shape) + 1j * rng.normal(size=shape)


A, B, C = random(4, 4), random(4, 3), random(2, 3, 3)
TALL, WIDE = random(5, 3), random(3, 5)
DEFINITE = A @ A.conj().T + 2 * np.eye(4)


def rebuilt_by_svd(x: Any) -> Any:
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    return (u * np.exp(-s)) @ vh


def projector(x: Any) -> Any:
    """What does not turn with the phases of eigenvectors."""
    w, v = np.linalg.eigh(x)
    return (v * np.sin(w)) @ v.conj().T


def by_qr(x: Any) -> Any:
    q, r = np.linalg.qr(x)
    return np.concatenate([q.ravel(), (r @ r.conj().T).ravel()])


FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[np.ndarray, ...]]] = {
    "solve": (np.linalg.solve, (A, B)),
    "solve, a vector": (np.linalg.solve, (A, B[:, 0])),
    "inv": (np.linalg.inv, (C,)),
    "det": (np.linalg.det, (A,)),
    "det, 3 x 3": (np.linalg.det, (C,)),
    "sign of slogdet": (lambda x: np.linalg.slogdet(x)[0], (A,)),
    "logarithm of slogdet": (lambda x: np.linalg.slogdet(x)[1], (A,)),
    "cholesky": (np.linalg.cholesky, (DEFINITE,)),
    "eigh": (projector, (DEFINITE,)),
    "eigvalsh": (np.linalg.eigvalsh, (DEFINITE,)),
    "svd": (rebuilt_by_svd, (TALL,)),
    "svd, wide": (rebuilt_by_svd, (WIDE,)),
    "eigenvalues": (np.linalg.eigvals, (A,)),
    "eigenvalues of real matrices": (lambda x: np.sum(np.linalg.eigvals(x) ** 2), (A.real.copy(),)),
    "eigenvectors": (lambda x: np.linalg.eig(x)[1], (A,)),
    "singular values": (lambda x: np.linalg.svd(x, compute_uv=False), (TALL,)),
    "qr": (by_qr, (TALL,)),
    "qr, wide": (by_qr, (WIDE,)),
    "pinv": (np.linalg.pinv, (TALL,)),
    "lstsq": (lambda a, b: np.linalg.lstsq(a, b, None)[0], (TALL, random(5, 2))),
    "sums of lstsq": (lambda a, b: np.linalg.lstsq(a, b, None)[1], (TALL, random(5, 2))),
    "norm": (np.linalg.norm, (A,)),
    "norm, nuclear": (lambda x: np.linalg.norm(x, "nuc"), (A,)),
    "norm, 1": (lambda x: np.linalg.norm(x, 1), (A,)),
    "norm, 3": (lambda x: np.linalg.norm(x, 3), (A[0],)),
    "matrix_power": (lambda x: np.linalg.matrix_power(x, 3), (A,)),
    "multi_dot": (lambda x, y: np.linalg.multi_dot([x, y, x @ y]), (WIDE, TALL)),
    "cond": (np.linalg.cond, (A,)),
    "cho_solve": (
        lambda a, b: tj.scipy.linalg.cho_solve(tj.scipy.linalg.cho_factor(a), b), (DEFINITE, B)
    ),
    "solve_triangular": (
        lambda a, b: tj.scipy.linalg.solve_triangular(a, b, trans="C", lower=True), (A, B)
    ),
    "lax, x a* = b": (
        lambda a, b: tj.lax.linalg.triangular_solve(
            a, b, lower=True, transpose_a=True, conjugate_a=True
        ),
        (A, B.T),
    ),
}  # fmt: skip


def check(fun: Callable[..., Any], args: Any, directions: Any) -> None:
    """Forward mode is a difference quotient, reverse mode pairs with it."""
    step = 1e-5
    ahead, behind = (
        fun(*[x + sign * step * t for x, t in zip(args, directions, strict=True)])
        for sign in (1, -1)
    )
    y, change = tj.jvp(fun, args, directions)
    np.testing.assert_allclose(change, (ahead - behind) / (2 * step), rtol=1e-6, atol=1e-6)
    ct = (random(*np.shape(y)) if np.iscomplexobj(y) else rng.normal(size=np.shape(y)))[()]
    gradients = tj.vjp(fun, *args)[1](np.asarray(ct, y.dtype))
    paired = sum(np.sum(g * t) for g, t in zip(gradients, directions, strict=True))
    np.testing.assert_allclose(np.real(paired), np.real(np.sum(ct * change)), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_values_and_derivatives(name: str) -> None:
    fun, args = FUNCTIONS[name]
    if not any(word in name for word in ("cho_solve", "triangular", "lax")):
        np.testing.assert_allclose(tj.jit(fun, backend="eager")(*args), fun(*args), rtol=1e-11)
    directions = tuple(
        random(*x.shape) if np.iscomplexobj(x) else rng.normal(size=x.shape) for x in args
    )
    if name in ("cholesky", "eigh", "eigvalsh"):  # stays Hermitian
        directions = (directions[0] + directions[0].conj().T,)
    check(fun, args, directions)
    check(lambda *xs: tj.jvp(fun, xs, directions)[1], args, directions)


def test_solvers_of_scipy() -> None:
    ours, theirs = tj.scipy.linalg, scipy.linalg
    for trans in (0, 1, 2, "C"):
        np.testing.assert_allclose(
            ours.solve_triangular(A, B, trans=trans), theirs.solve_triangular(A, B, trans=trans)
        )
    for trans in (0, 1, 2):
        np.testing.assert_allclose(
            ours.lu_solve(ours.lu_factor(A), B, trans=trans),
            theirs.lu_solve(theirs.lu_factor(A), B, trans=trans),
        )
    for lower in (True, False):
        np.testing.assert_allclose(
            ours.cholesky(DEFINITE, lower=lower), theirs.cholesky(DEFINITE, lower=lower)
        )
        np.testing.assert_allclose(
            ours.cho_solve(ours.cho_factor(DEFINITE, lower), B),
            theirs.cho_solve(theirs.cho_factor(DEFINITE, lower), B),
        )


def test_the_imaginary_diagonal_of_a_hermitian_matrix_is_not_read() -> None:
    skewed = DEFINITE + 1j * np.eye(4)
    np.testing.assert_allclose(
        tj.lax.linalg.cholesky(skewed, symmetrize_input=False), np.linalg.cholesky(DEFINITE)
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_compiled(name: str, backend: str) -> None:
    fun, args = FUNCTIONS[name]
    gradient = tj.grad(lambda *xs: np.sum(np.abs(fun(*xs)) ** 2))
    for f in (fun, gradient):
        found = tj.jit(f, backend=backend)(*args)
        np.testing.assert_allclose(found, tj.jit(f, backend="eager")(*args), rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.complex64, np.complex128])
def test_what_has_no_factors_is_nan(dtype: type) -> None:
    bad = DEFINITE.astype(dtype)
    bad[3, 3] = -1
    low = tj.jit(np.linalg.cholesky, backend="native")(bad)
    assert np.isnan(low[np.tril_indices(4)]).all() and not low[np.triu_indices(4, 1)].any()
    bad[0, 0] = np.nan
    for fun in (np.linalg.eigvalsh, lambda x: np.linalg.svd(x)[0]):
        assert np.isnan(tj.jit(fun, backend="native")(bad)).all()


@pytest.mark.parametrize("size", [1, 9, 40])
def test_sizes_and_stacks(size: int) -> None:
    x = random(2, size, size) + size * np.eye(size)
    h = x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(size)
    right = random(2, size, 3)
    for fun, xs in (
        (np.linalg.solve, (x, right)), (np.linalg.cholesky, (h,)), (np.linalg.eigvalsh, (h,)),
        (projector_of_stacks, (h,)), (lambda x: np.linalg.svd(x)[1], (x,)), (np.linalg.inv, (x,)),
        (lambda x: np.linalg.slogdet(x)[1], (x,)), (lambda x: np.linalg.qr(x)[1], (x,)),
    ):  # fmt: skip
        found = tj.jit(fun, backend="native")(*xs)
        np.testing.assert_allclose(found, fun(*xs), rtol=1e-9, atol=1e-9 * size)


def projector_of_stacks(x: Any) -> Any:
    w, v = np.linalg.eigh(x)
    return (v * np.sqrt(w)[..., None, :]) @ np.conj(np.swapaxes(v, -1, -2))

"""eigh, svd, qr and what is made of them: NumPy's results, and derivatives at repeated values."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit import backends
from tracejit.errors import ArgumentError, MissingRuleError, ShapeError, UnsupportedError

BACKENDS = [name for name in ("eager", "native", "xla") if backends.available(name)]
TALL, WIDE, SQUARE = (np.random.default_rng(7).normal(size=s) for s in ((5, 3), (3, 5), (4, 4)))
RIGHT = np.random.default_rng(8).normal(size=5)

FUNCTIONS = {
    "svd": lambda a: np.linalg.svd(a), "svd thin": lambda a: np.linalg.svd(a, False),
    "svd values": lambda a: np.linalg.svd(a, compute_uv=False), "svdvals": np.linalg.svdvals,
    "qr": np.linalg.qr, "qr r": lambda a: np.linalg.qr(a, "r"), "pinv": np.linalg.pinv,
    "pinv rcond": lambda a: np.linalg.pinv(a, 0.5), "rank": np.linalg.matrix_rank,
    "rank tol": lambda a: np.linalg.matrix_rank(a, 1.5),
    "rank rtol": lambda a: np.linalg.matrix_rank(a, rtol=0.7), "cond": np.linalg.cond,
    "cond -2": lambda a: np.linalg.cond(a, -2), "norm 2": lambda a: np.linalg.norm(a, 2),
    "norm -2": lambda a: np.linalg.norm(a, -2, keepdims=True),
    "nuc": lambda a: np.linalg.norm(a, "nuc"),
    "nuc axes": lambda a: np.linalg.norm(np.stack([a, 2 * a]), "nuc", axis=(1, 2), keepdims=True),
    "eigh": lambda a: np.linalg.eigh(a @ a.T), "eigvalsh": lambda a: np.linalg.eigvalsh(a @ a.T),
    "stack": lambda a: np.linalg.svd(np.stack([a, a + 1.0, a[::-1]]), full_matrices=False),
    "lstsq": lambda a: np.linalg.lstsq(a, RIGHT[: a.shape[0]]),
    "lstsq matrix": lambda a: np.linalg.lstsq(a, np.stack([RIGHT, RIGHT**2], 1)[: a.shape[0]]),
    "empty": lambda a: np.linalg.svd(a[:0]), "empty pinv": lambda a: np.linalg.pinv(a[:, :0]),
}  # fmt: skip


def leaves(y):
    return y if isinstance(y, tuple) else (y,)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("a", [TALL, WIDE, SQUARE], ids=["tall", "wide", "square"])
def test_results_are_those_of_numpy(a, backend) -> None:
    """Names, shapes, dtypes and numbers, signs of vectors included."""
    found = tj.jit(lambda a: {k: f(a) for k, f in FUNCTIONS.items()}, backend=backend)(a)
    for name, fun in FUNCTIONS.items():
        expected, y = fun(a), found[name]
        assert getattr(y, "_fields", None) == getattr(expected, "_fields", None), name
        if name == "eigh" and a is TALL:  # two of the values are 0, up to rounding
            y, expected = y[:1], expected[:1]
        for x, e in zip(leaves(y), leaves(expected), strict=True):
            assert np.shape(x) == np.shape(e), name
            assert np.asarray(x).dtype == np.asarray(e).dtype, name
            np.testing.assert_allclose(x, e, rtol=1e-10, atol=1e-12, err_msg=name)


def test_cond_of_other_orders() -> None:
    for p in (1, -1, np.inf, -np.inf, "fro"):
        y = tj.jit(lambda a, p=p: np.linalg.cond(a, p))(SQUARE)
        np.testing.assert_allclose(y, np.linalg.cond(SQUARE, p), rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("n", [3, 20])
def test_what_does_not_converge_is_nan(n, backend) -> None:
    """Others of the stack are none the worse."""
    bad = np.eye(n)
    bad[n // 2, 1] = np.nan
    stack = np.stack([bad, np.diag(np.arange(1.0, n + 1))])
    w, s = tj.jit(lambda a: (np.linalg.eigvalsh(a), np.linalg.svdvals(a)), backend=backend)(stack)
    assert np.isnan(w[0]).all() and np.isnan(s[0]).all()
    np.testing.assert_allclose(w[1], np.arange(1.0, n + 1))
    np.testing.assert_allclose(s[1], np.arange(1.0, n + 1)[::-1])


# Repeated values

BASIS = np.linalg.qr(np.random.default_rng(3).normal(size=(4, 4)))[0]
REPEATED = {
    "identity": 2.0 * np.eye(4), "zero": np.zeros((4, 4)), "diagonal": np.diag([1.0, 3, 1, 3]),
    "turned": (BASIS * [1.0, 1, 1, 4]) @ BASIS.T,
}  # fmt: skip


@pytest.mark.parametrize("mode", ["eager", "native", "xla"])
@pytest.mark.parametrize("name", REPEATED)
def test_functions_of_eigenvalues_at_repeated_ones(name, mode) -> None:
    """sum g(w) has the gradient v g'(w) v', whichever basis the vectors are."""
    if mode not in BACKENDS:
        pytest.skip(f"{mode} is not installed")
    x = REPEATED[name]
    for vectors in (False, True):
        def f(x, vectors=vectors):
            w = np.linalg.eigh(x)[0] if vectors else np.linalg.eigvalsh(x)
            return np.sum(w**3 - w)

        gradient = tj.jit(tj.grad(f), backend=mode)(x)
        np.testing.assert_allclose(gradient, 3 * x @ x - np.eye(4), atol=1e-12)


@pytest.mark.parametrize("name", REPEATED)
def test_vectors_at_repeated_values_are_finite(name) -> None:
    x = REPEATED[name]
    for f in (
        lambda x: np.sum(np.linalg.eigh(x)[1] ** 3),
        lambda x: sum(np.sum(y**3) for y in np.linalg.svd(x)),
        lambda x: np.sum(np.linalg.eigh(x)[1] * np.linalg.eigvalsh(x)),
    ):
        assert np.isfinite(tj.grad(f)(x)).all()
        assert np.isfinite(tj.jacfwd(f)(x)).all()
        assert np.isfinite(tj.jit(tj.hessian(f))(x)).all()


def test_matrix_functions_where_the_function_is_flat() -> None:
    """v g(w) v' with g constant around each of the repeated values: a projector."""
    x = REPEATED["turned"]

    def step(x):
        w, v = np.linalg.eigh(x)
        return (v * np.where(w > 2, 1.0, 0.0)) @ v.T

    t = np.arange(16.0).reshape(4, 4)
    t = t + t.T
    _, moved = tj.jvp(step, (x,), (t,))
    h = 1e-5
    np.testing.assert_allclose(moved, (step(x + h * t) - step(x - h * t)) / (2 * h), atol=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nuclear_norm_at_repeated_values(backend) -> None:
    """Gradient u v', and its derivative: singular values repeat, and are not 0."""
    q = np.linalg.qr(np.random.default_rng(5).normal(size=(4, 4)))[0]
    x, t = 2.0 * q, np.arange(16.0).reshape(4, 4) / 8

    def norm(x):
        return np.linalg.norm(x, "nuc")

    gradient = tj.jit(tj.grad(norm), backend=backend)
    np.testing.assert_allclose(gradient(x), q, atol=1e-12)
    turned = tj.jit(lambda x, t: tj.jvp(tj.grad(norm), (x,), (t,))[1], backend=backend)(x, t)
    h = 1e-5
    quotient = (gradient(x + h * t) - gradient(x - h * t)) / (2 * h)
    np.testing.assert_allclose(turned, quotient, atol=1e-8)


def test_spectral_norm_and_ties() -> None:
    """The largest of several equal singular values shares."""
    gradient = tj.grad(lambda x: np.linalg.norm(x, 2))(np.eye(3) * 2)
    np.testing.assert_allclose(gradient, np.eye(3) / 3, atol=1e-12)


def _cubes(x):
    return np.sum(np.linalg.pinv(x, 1e-10) ** 3)


def test_pinv_and_lstsq_differentiate() -> None:
    """Of full rank and of constant rank, to second order, against differences."""
    low_rank = TALL[:, :2] @ np.array([[1.0, 2, 3], [0, 1, -1]])
    for x, direction in ((TALL, TALL**2), (WIDE, WIDE**2), (low_rank, low_rank @ np.ones((3, 3)))):
        h = 1e-5
        for g in (_cubes, lambda x, t=direction: np.sum(tj.grad(_cubes)(x) * t)):
            _, slope = tj.jvp(g, (x,), (direction,))
            quotient = (g(x + h * direction) - g(x - h * direction)) / (2 * h)
            np.testing.assert_allclose(slope, quotient, rtol=1e-6)

    def normal(a):
        return np.linalg.solve(a.T @ a, a.T @ RIGHT)

    found = tj.jit(tj.jacrev(lambda a: np.linalg.lstsq(a, RIGHT)[0]))(TALL)
    np.testing.assert_allclose(found, tj.jacrev(normal)(TALL), rtol=1e-9)


def test_vmap_of_decompositions() -> None:
    stack = np.stack([SQUARE, SQUARE.T + 1, SQUARE * 2])
    for f in (np.linalg.svdvals, lambda a: np.linalg.qr(a)[1], lambda a: np.linalg.pinv(a)):
        expected = np.stack([f(a) for a in stack])
        np.testing.assert_allclose(tj.vmap(f)(stack), expected, rtol=1e-10)
        np.testing.assert_allclose(tj.jit(tj.vmap(f))(stack), expected, rtol=1e-10)


def test_errors_say_where_and_what() -> None:
    cases = (
        (MissingRuleError, "full_matrices=False", tj.grad(lambda a: np.linalg.svd(a)[0].sum())),
        (ShapeError, "square matrices", tj.jit(np.linalg.eigvalsh)),
        (ArgumentError, "UPLO", tj.jit(lambda a: np.linalg.eigh(a[:3], UPLO="X"))),
        (UnsupportedError, "mode", tj.jit(lambda a: np.linalg.qr(a, mode="complete"))),
        (ArgumentError, "no norm of order 3", tj.jit(lambda a: np.linalg.norm(a, 3))),
        (ArgumentError, "known number", tj.jit(lambda a: np.linalg.pinv(a, a[0, 0]))),
    )
    for error, text, fun in cases:
        with pytest.raises(error, match=text):
            fun(TALL)
    with pytest.raises(ShapeError, match="in the last two axes"):
        tj.jit(lambda x: np.linalg.svd(x))(RIGHT)

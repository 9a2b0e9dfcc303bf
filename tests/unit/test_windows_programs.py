"""Programs with loops over parts of traced length: values, gradients and vmap against NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from windows_harness import BACKENDS, gradient_by_differences, loop

import tracejit as tj

N = 6
RNG = np.random.default_rng(1)


class Program(NamedTuple):
    """A function of float arrays; integer arrays are closed over."""

    function: Callable[..., Any]
    arrays: tuple[np.ndarray, ...]


def forward_substitution(L: Any, b: Any) -> Any:
    def row(i: Any, x: Any) -> None:
        x[i] = (b[i] - L[i, :i] @ x[:i]) / L[i, i]

    return loop(0, N, row, b * 0.0)[0]


def backward_substitution(U: Any, b: Any) -> Any:
    def row(k: Any, x: Any) -> None:
        i = N - 1 - k
        x[i] = (b[i] - U[i, i + 1 :] @ x[i + 1 :]) / U[i, i]

    return loop(0, N, row, b * 0.0)[0]


def many_right_hand_sides(L: Any, B: Any) -> Any:
    def row(i: Any, X: Any) -> None:
        X[i] = (B[i] - L[i, :i] @ X[:i, :]) / L[i, i]

    return loop(0, N, row, B * 0.0)[0]


def factors(A: Any) -> Any:
    """L below and U above the diagonal, row by row."""

    def row(i: Any, A: Any) -> None:
        def left(j: Any, A: Any) -> None:
            A[i, j] = np.where(j < i, (A[i, j] - A[i, :j] @ A[:j, j]) / A[j, j], A[i, j])

        def right(j: Any, A: Any) -> None:
            A[i, j] = np.where(j >= i, A[i, j] - A[i, :i] @ A[:i, j], A[i, j])

        A[:] = loop(0, N, left, A)[0]
        A[:] = loop(0, N, right, A)[0]

    return loop(0, N, row, A + 0.0)[0]


def outer_products(A: Any) -> Any:
    """The same factors by rank one updates of what is left."""

    def step(k: Any, A: Any) -> None:
        A[k + 1 :, k] /= A[k, k]
        A[k + 1 :, k + 1 :] -= np.outer(A[k + 1 :, k], A[k, k + 1 :])

    return loop(0, N - 1, step, A + 0.0)[0]


def cholesky_by_columns(A: Any) -> Any:
    def column(j: Any, L: Any) -> None:
        L[j, j] = np.sqrt(A[j, j] - np.dot(L[j, :j], L[j, :j]))
        L[j + 1 :, j] = (A[j + 1 :, j] - L[j + 1 :, :j] @ L[j, :j]) / L[j, j]

    return loop(0, N, column, A * 0.0)[0]


def toeplitz(r: Any) -> Any:
    """The recursion of Levinson and Durbin."""

    def step(k: Any, y: Any, state: Any) -> None:
        state[0] *= 1.0 - state[1] ** 2
        state[1] = -(r[k] + np.flip(r[:k]) @ y[:k]) / state[0]
        y[:k] += state[1] * y[:k][::-1]
        y[k] = state[1]

    first = np.where(np.arange(N) == 0, -r[0], 0.0)
    return loop(1, N, step, first, np.stack([1.0 + 0 * r[0], -r[0]]))[0]


ROWS = np.array([0, 2, 2, 3, 7, 8, 11])
COLUMNS = np.array([0, 3, 5, 1, 2, 4, 5, 0, 1, 3, 4])


def sparse_product(values: Any, x: Any) -> Any:
    rows, columns = (np.asarray(a) + 0 * x[:1].astype(int) for a in (ROWS, COLUMNS))

    def row(i: Any, y: Any) -> None:
        part = columns[rows[i] : rows[i + 1]]
        y[i] = values[rows[i] : rows[i + 1]] @ x[part]

    return loop(0, N, row, x * 0.0)[0]


def correlations(data: Any) -> Any:
    centred = data - data.mean(axis=0)

    def column(i: Any, c: Any) -> None:
        c[i + 1 :, i] = c[i, i + 1 :] = centred[:, i] @ centred[:, i + 1 :]

    return loop(0, N - 1, column, centred[:N, :N] * 0.0)[0]


def triangle_of_rank_k(C: Any, A: Any) -> Any:
    def row(i: Any, C: Any) -> None:
        C[i, : i + 1] *= 0.5

        def column(k: Any, C: Any) -> None:
            C[i, : i + 1] += 1.5 * A[i, k] * A[: i + 1, k]

        C[:] = loop(0, N, column, C)[0]

    return loop(0, N, row, C + 0.0)[0]


def triangular_product(A: Any, B: Any) -> Any:
    def row(i: Any, B: Any) -> None:
        def column(j: Any, B: Any) -> None:
            B[i, j] += np.dot(A[i + 1 :, i], B[i + 1 :, j])

        B[:] = loop(0, N, column, B)[0]

    return loop(0, N, row, B + 0.0)[0] * 1.5


def running_means(x: Any) -> Any:
    def place(i: Any, y: Any) -> None:
        y[i] = x[i - 2 : i + 2].sum() + x[: i + 1].mean() * x[i:].max() + np.std(x[: i + 2])

    return loop(0, N, place, x * 0.0)[0]


def means_by_masks(x: Any, y: Any) -> Any:
    """The means of y in bins of x."""

    def place(i: Any, m: Any) -> None:
        inside = np.logical_and(x.min() + i * 0.5 <= x, x < x.min() + (i + 1) * 0.5)
        m[i] = np.where(inside.any(), y[inside].sum() / np.maximum(y[inside].size, 1), 0.0)

    return loop(0, N, place, y[:N] * 0.0)[0]


def sorted_by_insertion(x: Any) -> Any:
    """Each element goes in where as many as are less stand before it."""

    def step(i: Any, y: Any) -> None:
        new, place = y[i], (y[:i] <= y[i]).sum()
        y[place + 1 : i + 1] = y[place:i]
        y[place] = new

    return loop(1, N, step, x + 0.0)[0]


def inverses_where_positive(x: Any) -> Any:
    d = np.abs(x[:, None] - x)
    d[d > 0] = d[d > 0] ** -1.5
    return d


def _matrix(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape)


SQUARE = _matrix(N, N) + 4 * np.eye(N)
PROGRAMS = [
    Program(forward_substitution, (SQUARE, _matrix(N))),
    Program(backward_substitution, (SQUARE, _matrix(N))),
    Program(many_right_hand_sides, (SQUARE, _matrix(N, 3))),
    Program(factors, (SQUARE,)),
    Program(outer_products, (SQUARE,)),
    Program(cholesky_by_columns, (SQUARE @ SQUARE.T,)),
    Program(toeplitz, (0.4 * _matrix(N),)),
    Program(sparse_product, (_matrix(11), _matrix(N))),
    Program(correlations, (_matrix(9, N),)),
    Program(triangle_of_rank_k, (_matrix(N, N), _matrix(N, N))),
    Program(triangular_product, (_matrix(N, N), _matrix(N, N))),
    Program(running_means, (_matrix(N),)),
    Program(means_by_masks, (_matrix(20), _matrix(20))),
    Program(sorted_by_insertion, (_matrix(N),)),
    Program(inverses_where_positive, (_matrix(N),)),
]
each = pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.function.__name__)


@each
@pytest.mark.parametrize("backend", BACKENDS)
def test_values(program: Program, backend: str) -> None:
    expected = program.function(*program.arrays)
    got = tj.jit(program.function, backend=backend)(*program.arrays)
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)


@each
@pytest.mark.parametrize("backend", ["eager", "native"])
def test_gradients(program: Program, backend: str) -> None:
    weights = np.cos(np.arange(np.size(program.function(*program.arrays))))

    def loss(*arrays: Any) -> Any:
        return (program.function(*arrays).reshape(-1) * weights).sum()

    places = tuple(range(len(program.arrays)))
    grads = tj.jit(tj.grad(loss, argnums=places), backend=backend)(*program.arrays)
    for k, grad in enumerate(grads):
        def of_one(x: Any, k: int = k) -> Any:
            return loss(*program.arrays[:k], x, *program.arrays[k + 1 :])

        expected = gradient_by_differences(of_one, program.arrays[k])
        np.testing.assert_allclose(grad, expected, rtol=2e-5, atol=1e-6)


@each
def test_vmap(program: Program) -> None:
    stacks = [np.stack([a, a * 1.01, a + 0.02]) for a in program.arrays]
    got = tj.jit(tj.vmap(program.function))(*stacks)
    expected = np.stack([program.function(*xs) for xs in zip(*stacks, strict=True)])
    np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-12)

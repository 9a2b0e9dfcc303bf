"""What whole programs become, counted: nests, statements, arrays in memory, bytes of workspace.

A number that grows means that fusion has decayed; one that shrinks is written down here.
"""

from __future__ import annotations

import numpy as np
import pytest
from models import MODELS

import tracejit as tj
from tracejit import backends
from tracejit.backends.native.summary import Summary

#: For the value and gradient of each model: loop nests, how many of them are copies, arrays with
#: memory of their own, bytes of workspace, and what has code of its own.
COUNTS = {
    "eight_schools": (1, 0, 0, 0, {}),
    "logistic_regression": (5, 0, 2, 896, {}),
    "softmax_regression": (10, 3, 8, 8768, {"concatenate": 1, "scatter_add": 1}),
    "poisson_groups": (4, 1, 1, 640, {"scatter_add": 1}),
    "gaussian_mixture": (8, 0, 7, 3520, {}),
    "mlp": (13, 0, 12, 22016, {}),
    "gaussian_process_kernel": (3, 0, 0, 0, {}),
    "jacobi_pad": (10, 0, 9, 3200, {}),
    "diffusion_update": (21, 12, 8, 640, {"dynamic_update_slice": 4}),
    "rosenbrock": (2, 0, 0, 0, {}),
    "runge_kutta": (10, 2, 5, 1088, {"scan": 2}),
    "recurrent_network": (9, 2, 5, 1600, {"scan": 2}),
    "kalman_filter": (23, 4, 14, 6912, {"scan": 2}),
    "hidden_markov_model": (31, 4, 10, 5312, {"scan": 2, "dynamic_update_slice": 2}),
    "branch_in_loop": (15, 5, 10, 1024, {"scan": 2, "cond": 2}),
    "nested_loops": (12, 1, 9, 1280, {"scan": 4}),
    "polynomial_in_fori_loop": (6, 3, 1, 320, {"scan": 2, "dynamic_update_slice": 1}),
}  # fmt: skip


def summary_of(fun, *args) -> Summary:
    return backends.load("native").compile(tj.jit(fun).trace(*args)).summary


@pytest.mark.parametrize("name", MODELS)
def test_counts(name, rng) -> None:
    loss, args = MODELS[name](rng)
    s = summary_of(tj.value_and_grad(loss), *args)
    found = (s.kernels, s.copies, s.stored, s.workspace_bytes, dict(s.statements))
    assert found == COUNTS[name], f'"{name}": {found}\n' + "\n".join(s.lines)


def test_elementwise_work_is_one_nest(rng) -> None:
    def f(x, y):
        return np.exp(x) * np.sin(y), np.exp(x) + y

    s = summary_of(f, rng.normal(size=100), rng.normal(size=100))
    assert (s.kernels, s.stored, s.workspace_bytes) == (1, 0, 0)


def test_views_are_no_copies(rng) -> None:
    """Slices, transposes, reversals, pads and reshapes on the way to a sum."""

    def f(x):
        y = np.pad(x.T[::-1, 1:], 2)[1:-1].reshape(-1, 1, x.shape[0] + 3)
        return np.sum(y * y)

    s = summary_of(tj.value_and_grad(f), rng.normal(size=(8, 9)))
    assert (s.copies, s.stored, s.workspace_bytes) == (0, 0, 0), "\n".join(s.lines)


def test_a_regression_reads_its_matrix_twice(rng) -> None:
    """Once for the residual, once for the gradient."""

    def f(w, X, y):
        return np.sum((X @ w - y) ** 2)

    s = summary_of(tj.value_and_grad(f), *(rng.normal(size=n) for n in (7, (50, 7), 50)))
    reads = [line for line in s.lines if "(50, 7)" in line or "(7, 50)" in line]
    assert len(reads) == 2, "\n".join(s.lines)


def test_a_matrix_of_pairs_is_never_stored(rng) -> None:
    loss, args = MODELS["gaussian_process_kernel"](rng)
    s = summary_of(loss, *args)
    assert s.workspace_bytes < 31 * 31 * 8, "\n".join(s.lines)

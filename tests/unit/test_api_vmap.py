"""vmap: axes, trees, and what reaches the function."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import ShapeError

M = np.arange(6.0).reshape(2, 3)


def test_unmapped_arguments_reach_the_function_as_they_are() -> None:
    def f(x, n, mode):
        assert type(n) is int and mode == "sum"
        return sum(x * i for i in range(n))

    np.testing.assert_array_equal(tj.vmap(f, (0, None, None))(M, 3, "sum"), 3 * M)


def test_axes_count_from_the_end() -> None:
    np.testing.assert_array_equal(tj.vmap(np.sum, -1)(M), M.sum(0))
    np.testing.assert_array_equal(tj.vmap(lambda x: x, 1, -1)(M), M)
    np.testing.assert_array_equal(tj.vmap(lambda x: x, 0, 1)(M), M.T)


def test_none_in_a_tree_of_axes() -> None:
    tree = {"a": M, "b": None, "c": 2.0}
    out = tj.vmap(lambda t: t["a"] * t["c"], ({"a": 0, "b": None, "c": None},))(tree)
    np.testing.assert_array_equal(out, 2 * M)


def test_a_python_result_is_repeated() -> None:
    out = tj.vmap(lambda x: (1.0, x))(M)
    np.testing.assert_array_equal(out[0], np.ones(2))
    assert tj.vmap(lambda x: 1.0, out_axes=None)(M) == 1.0


def test_a_list_of_axes_is_a_tuple() -> None:
    np.testing.assert_array_equal(tj.vmap(np.multiply, [0, None])(M, 2.0), 2 * M)


def test_axis_size_has_to_agree() -> None:
    with pytest.raises(ShapeError, match="axis_size is 3"):
        tj.vmap(np.sin, axis_size=3)(M)


def test_vmap_of_a_function_that_closes_over_a_tracer() -> None:
    def f(y):
        return np.sum(tj.vmap(lambda row: np.sum(row * y))(M))

    np.testing.assert_allclose(tj.grad(f)(np.ones(3)), M.sum(0))
    np.testing.assert_allclose(tj.jit(tj.grad(f))(np.ones(3)), M.sum(0))


def test_an_empty_batch() -> None:
    assert tj.vmap(np.sin)(np.ones((0, 2))).shape == (0, 2)


def test_vmap_of_a_jitted_function_is_jitted() -> None:
    f = tj.jit(lambda x, n: x * n, static_argnums=1)
    np.testing.assert_array_equal(tj.vmap(f, (0, None))(M, 3), 3 * M)

"""custom_vmap and sequential_vmap: rules under every transform, and errors."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.custom_batching import custom_vmap, sequential_vmap
from tracejit.errors import GradError, ShapeError, TreeError, UnsupportedError

X = np.array([0.3, 0.7, 1.1])


def doubled(calls: list):
    """sin(x) * y, of which a batch is twice that, so that the rule is seen to be used."""

    @custom_vmap
    def f(x, y=2.0):
        return np.sin(x) * y

    @f.def_vmap
    def _(size, in_batched, x, y):
        calls.append((size, in_batched))
        return 2 * np.sin(x) * y, True

    return f


def test_a_batch_follows_the_rule() -> None:
    calls: list = []
    f = doubled(calls)
    assert f(1.0) == np.sin(1.0) * 2.0
    np.testing.assert_allclose(tj.vmap(f, (0, None))(X, 3.0), 6 * np.sin(X))
    np.testing.assert_allclose(tj.jit(tj.vmap(f, (None, 0)))(1.0, X), 2 * np.sin(1.0) * X)
    assert calls == [(3, [True, False]), (3, [False, True])]
    np.testing.assert_allclose(tj.jit(f)(1.0, 3.0), 3 * np.sin(1.0))


def test_a_batch_of_batches_is_a_batch_of_the_rule() -> None:
    calls: list = []
    f = doubled(calls)
    table = tj.vmap(tj.vmap(f, (0, None)), (None, 0))(X, np.array([1.0, 2.0]))
    np.testing.assert_allclose(table, 2 * np.sin(X) * np.array([[1.0], [2.0]]))
    assert len(calls) == 1


def test_derivatives() -> None:
    f = doubled([])

    def pushed(x):
        return tj.jvp(f, (x, 2.0), (1.0, 0.0))

    np.testing.assert_allclose(pushed(1.0), (2 * np.sin(1.0), 2 * np.cos(1.0)))
    y, t = tj.vmap(pushed)(X)
    np.testing.assert_allclose((y, t), (4 * np.sin(X), 4 * np.cos(X)))
    np.testing.assert_allclose(tj.grad(f)(1.0), 2 * np.cos(1.0))
    total = tj.grad(lambda x: np.sum(tj.vmap(f)(x, x)))
    np.testing.assert_allclose(total(X), 2 * (np.cos(X) * X + np.sin(X)))
    np.testing.assert_allclose(tj.jit(total)(X), total(X))
    # What reverse mode makes of a call has no rule: it is batched as what it is.
    np.testing.assert_allclose(tj.vmap(tj.grad(f), (0, None))(X, 2.0), 2 * np.cos(X))
    np.testing.assert_allclose(
        tj.linear_transpose(lambda y: f(0.5, y), 1.0)(3.0)[0], 3 * np.sin(0.5)
    )


def test_trees_and_results_without_the_batch() -> None:
    @custom_vmap
    def f(tree):
        return {"sum": tree["a"] + tree["b"], "one": tree["b"] * 1.0}

    @f.def_vmap
    def _(size, in_batched, tree):
        assert in_batched == [{"a": True, "b": False}]
        return {"sum": tree["a"] + tree["b"], "one": tree["b"]}, {"sum": True, "one": False}

    out = tj.vmap(f, ({"a": 0, "b": None},))({"a": X, "b": 2.0})
    np.testing.assert_allclose(out["sum"], X + 2.0)
    np.testing.assert_allclose(out["one"], [2.0] * 3)


def test_members_in_sequence() -> None:
    @sequential_vmap
    def f(x, y):
        return x @ y

    rows = np.arange(6.0).reshape(2, 3)
    np.testing.assert_allclose(tj.vmap(f, (0, None))(rows, X), rows @ X)
    np.testing.assert_allclose(tj.jit(tj.vmap(f))(rows, rows), np.sum(rows * rows, 1))
    assert "scan" in str(tj.make_jaxpr(tj.vmap(f))(rows, rows))


def test_errors() -> None:
    with pytest.raises(GradError, match="No batching rule defined for custom_vmap"):
        custom_vmap(lambda x: x)(1.0)

    def with_rule(rule):
        f = custom_vmap(lambda x: x)
        f.def_vmap(rule)
        return tj.vmap(f)

    with pytest.raises(TreeError, match="pair"):
        with_rule(lambda n, b, x: x)(X)
    with pytest.raises(TreeError, match="are inconsistent"):
        with_rule(lambda n, b, x: (x, (True, True)))(X)
    with pytest.raises(TreeError, match="another structure"):
        with_rule(lambda n, b, x: ((x,), (True,)))(X)
    with pytest.raises(ShapeError, match="f64\\[2\\]"):
        with_rule(lambda n, b, x: (x[:2], True))(X)

    def closing(x):
        f = custom_vmap(lambda y: x * y)
        f.def_vmap(lambda n, b, y: (y, True))
        return f(2.0)

    with pytest.raises(UnsupportedError, match="closes over a value that is mapped"):
        tj.vmap(closing)(X)

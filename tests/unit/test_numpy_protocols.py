"""What tracers answer to NumPy's protocols, and what they say where they cannot."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy_harness import equations, run, trace

import tracejit.numpy as tnp
from tracejit.errors import (
    ArgumentError,
    AxisError,
    LeakedTracerError,
    ShapeError,
    TracejitError,
    UnsupportedError,
)
from tracejit.ir.types import type_of
from tracejit.trace.stage import stage, value_of

X = np.arange(12.0).reshape(3, 4)

#: Arrays from outside of what is traced.
BUFFER, SCALAR = np.zeros((3, 4)), np.zeros(())


def test_methods_of_ufuncs() -> None:
    for call in (
        lambda x: np.add.reduce(x), lambda x: np.multiply.reduce(x, axis=1),
        lambda x: np.maximum.reduce(x, axis=None), lambda x: np.add.accumulate(x, axis=1),
        lambda x: np.minimum.accumulate(x), lambda x: np.multiply.outer(x, x),
        lambda x: np.logaddexp.reduce(x, axis=1), lambda x: np.logical_or.reduce(x > 3, axis=0),
        lambda x: np.add.reduce(x, axis=0, keepdims=True, initial=2.0),
        lambda x: np.bitwise_xor.reduce(x.astype(int)), lambda x: np.sin(x, dtype=np.float32),
        lambda x: np.logaddexp.accumulate(x, axis=1),
    ):  # fmt: skip
        np.testing.assert_allclose(run(call, X), call(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.hypot.at(x, [0], 1.0), "that of add, subtract"),
        (lambda x: np.add.at(BUFFER, [0], x[0, 0]), "which is not traced"),
        (lambda x: np.add.reduceat(x, [0, 2]), "by segment"),
        (lambda x: np.sin(x, out=BUFFER), "sin writes a traced value into"),
        (lambda x: BUFFER.__iadd__(x), "a = a \\+ x"),
        (lambda x: tnp.sin(x, out=BUFFER), "an ndarray \\(3, 4\\), which is not traced"),
        (lambda x: np.sum(x, out=SCALAR), "sum writes a traced value"),
        (lambda x: np.sin(x, where=X > 1), "np.where"),
        (lambda x: np.subtract.reduce(x), "reduce of np.subtract"),
        (lambda x: np.gcd(x, x), "numpy.gcd has no counterpart"),
        (lambda x: np.linalg.tensorinv(x), "numpy.linalg.tensorinv has no counterpart"),
        (lambda x: np.unique(x), "the shape of its result depends on the numbers"),
        (lambda x: np.nonzero(x), "the shape of its result depends on the numbers"),
        (lambda x: np.repeat(x, x[0].astype(int)), "shape depend on numbers"),
        (lambda x: x.resize(3), "np.pad make a new array"),
        (lambda x: x.itemset(0, 1.0), r"x\[index\] = value"),
        (lambda x: np.bincount(x[0].astype(int)), "length=n"),
        (lambda x: tnp.arange(x[0, 0]), "start \\+ step"),
    ],
)
def test_what_is_not_there_says_what_to_do(call: Any, message: str) -> None:
    with pytest.raises(TracejitError, match=message) as caught:
        run(call, X)
    assert "test_numpy_protocols.py" in str(caught.value)
    assert isinstance(caught.value, UnsupportedError | ArgumentError | TypeError)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: x + np.ones(3), ShapeError, r"\(3, 4\) and \(3,\) do not broadcast"),
        (lambda x: x @ x, ShapeError, "sizes \\(4,\\) and \\(3,\\)"),
        (lambda x: np.sum(x, axis=2), AxisError, "axis 2 does not exist"),
        (lambda x: np.sum(x, axis=(0, 0)), AxisError, "named twice"),
        (lambda x: x.reshape(5, -1), ShapeError, "cannot be put into shape"),
        (lambda x: np.concatenate([x, x[0]]), ShapeError, "same number of axes"),
        (lambda x: np.stack([x, x[0]]), ShapeError, "shapes differ"),
        (lambda x: np.max(x[:0]), ShapeError, "max of no elements"),
        (lambda x: np.squeeze(x, 0), ShapeError, "not of length 1"),
        (lambda x: np.einsum("ij,jk", x, x), ShapeError, "label 'j' has sizes 4 and 3"),
        (lambda x: np.einsum("ij->k", x), ArgumentError, "unknown or repeated"),
        (lambda x: np.broadcast_to(x, (2, 2)), ShapeError, "does not broadcast"),
        (lambda x: np.transpose(x, (0, 0)), AxisError, "no permutation"),
        (lambda x: tnp.sin(None), ArgumentError, "an array was expected"),
        (lambda x: tnp.sin(x, x, x), ArgumentError, "takes 1 arguments, got 3"),
        (lambda x: tnp.sin(x, 1.0), ArgumentError, "takes 1 arguments, got 2"),
        (lambda x: x.astype(int) ** -1, ArgumentError, "negative integer powers"),
        (lambda x: np.interp(x, [0, 1], [1.0]), ShapeError, "interp"),
        (lambda x: tnp.array([x, x[0]]), ShapeError, "parts of an array"),
    ],
)
def test_wrong_arguments_are_named(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        run(call, X)
    assert "test_numpy_protocols.py" in str(caught.value)


def test_operators_with_arrays_on_the_left() -> None:
    for call in (lambda x: X + x, lambda x: np.float64(2) * x, lambda x: X @ x.T, lambda x: x < X):
        np.testing.assert_array_equal(run(call, X + 1), call(X + 1))
    assert equations(lambda x: np.float64(2) * x, X) == ["mul"]


def test_operators_with_strangers_are_left_to_them() -> None:
    class Stranger:
        def __radd__(self, other: Any) -> str:
            return "added"

    assert trace(lambda x: [x, x + Stranger() == "added"][0], X)
    with pytest.raises(TypeError):
        run(lambda x: x + "text", X)


def test_the_array_namespace_is_ours() -> None:
    assert trace(lambda x: x.__array_namespace__().sin(x), X)


def test_splats_are_literals_while_tracing() -> None:
    def f(x: Any) -> Any:
        zeros = tnp.zeros_like(x).at[0].set(1.0)
        assert float(tnp.full((), 2.0)) == 2.0
        return zeros + tnp.ones(4) * tnp.full((3, 1), 2)

    np.testing.assert_array_equal(run(f, X)[:, 0], [3, 2, 2])
    assert type(tnp.zeros(3)) is np.ndarray


def test_a_tape_knows_its_numbers() -> None:
    """With values, plain Python control flow works, and value_of gives the number."""
    seen = []

    def f(x: Any) -> list[Any]:
        y = np.sum(x * 2)
        seen.append(value_of(y))
        return [y if y > 1 else -y]

    stage(f, [type_of(X)], values=[X])
    assert seen == [132.0]
    assert value_of(np.float64(2)) == 2


def test_a_tracer_that_outlived_its_trace() -> None:
    kept: list[Any] = []
    trace(lambda x: [kept.append(x), x][1], X)
    with pytest.raises(LeakedTracerError, match="after its trace"):
        np.sin(kept[0])


def test_nested_traces_mix() -> None:
    """An inner function uses an outer tracer, a constant and its own argument."""

    def outer(x: Any) -> Any:
        inner = stage(lambda y: [np.sum(x * y + X)], [type_of(X)])
        assert len(inner.captured) == 2
        return x

    trace(outer, X)


def test_functions_of_known_arrays_are_numpys() -> None:
    values = np.array([3, 1, 3, 2])
    for name in ("unique", "nonzero", "argwhere", "flatnonzero", "unique_values"):
        np.testing.assert_array_equal(getattr(tnp, name)(values), getattr(np, name)(values))
    for name in ("union1d", "intersect1d", "setdiff1d", "setxor1d"):
        ours, theirs = (getattr(xp, name)(values, [1, 7]) for xp in (tnp, np))
        np.testing.assert_array_equal(ours, theirs)
    assert tnp.unique_counts(values).counts.tolist() == [1, 1, 2]
    np.testing.assert_array_equal(tnp.unique_inverse(values)[1], np.unique_inverse(values)[1])
    np.testing.assert_array_equal(X[tnp.ix_([0, 2], [1])], X[np.ix_([0, 2], [1])])
    for name in ("bartlett", "blackman", "hamming", "hanning"):
        np.testing.assert_array_equal(getattr(tnp, name)(5), getattr(np, name)(5))
    np.testing.assert_array_equal(tnp.kaiser(5, 2.0), np.kaiser(5, 2.0))
    for name in ("diag_indices_from", "tril_indices_from", "triu_indices_from"):
        square = np.ones((3, 3))
        np.testing.assert_array_equal(getattr(tnp, name)(square), getattr(np, name)(square))
    assert tnp.einsum_path("ij,jk,k", X, X.T, X[:, 0])[0][0] == "einsum_path"
    assert tnp.iterable(X) and not tnp.iterable(2.0)
    assert tnp.bool is np.bool_
    assert tnp.isscalar(2.0)
    assert tnp.can_cast(np.int32, np.float64)

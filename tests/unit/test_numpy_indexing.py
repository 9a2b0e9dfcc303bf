"""x[index] and x.at[index] follow NumPy, for known and for traced indices."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy_harness import equations, run

from tracejit.errors import IndexingError, UnsupportedError
from tracejit.numpy.updates import At

X = np.arange(120.0).reshape(4, 5, 6)
I = np.array([2, 0, -1])  # noqa: E741
J = np.array([[1, 3], [0, -2]])
S = slice
INDICES: list[Any] = [
    0, -1, (1, 2), (1, 2, 3), S(1, 3), (S(None), 2), (..., 0), (None, 1), (1, None, ..., None),
    S(None, None, -1), (S(3, 0, -2), S(None, None, 2)), S(2, 2), (0, S(5, 1, -3)), I, J, [1, 2],
    (I, I), (S(None), I), (I, S(1, 4)), (I, 0), (0, I), (0, S(None), I), (I, S(None), 1),
    (I, None, I), (S(None), I, I), (S(1, 3), J, 2), (..., I), (J, ..., J),
    (I, S(None, None, -2), I),
    X[:, 0, 0] > 40, X > 50, (S(None), X[0] % 2 == 0), (0, X[0, :, 0] > 10, S(1, 3)), np.int64(1),
    np.array(2), (I[:, None], I), np.zeros(0, int), [], np.ix_([0, 2], [1, 4]),
    (I, None, S(2, 4), I), (None, I, None), (S(0, 4), I, S(0, 6)),
]  # fmt: skip


@pytest.mark.parametrize("index", INDICES, ids=lambda i: str(i)[:40].replace("\n", ""))
def test_reading_as_numpy(index: Any) -> None:
    y = run(lambda x: x[index], X)
    np.testing.assert_array_equal(y, X[index])
    assert np.shape(y) == X[index].shape


@pytest.mark.parametrize("index", INDICES, ids=lambda i: str(i)[:40].replace("\n", ""))
@pytest.mark.parametrize("method", ["set", "add", "multiply", "min", "max"])
def test_writing_as_numpy(index: Any, method: str) -> None:
    """Against NumPy's assignment and ufunc.at; the values are an array, then a number."""
    ufunc = {"add": np.add, "multiply": np.multiply, "min": np.minimum, "max": np.maximum}
    for values in (np.arange(X[index].size).reshape(X[index].shape) * 3.0, 7.5):
        expected = X.copy()
        if method == "set":
            expected[index] = values
        else:
            ufunc[method].at(expected, index, values)
        ours = run(lambda x, v: getattr(x.at[index], method)(v), X, values)
        np.testing.assert_array_equal(ours, expected)
        np.testing.assert_array_equal(getattr(At(X)[index], method)(values), expected)


@settings(max_examples=150)
@given(st.data())
def test_random_basic_indices(data: Any) -> None:
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=5))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    index = data.draw(hnp.basic_indices(shape, allow_ellipsis=True, allow_newaxis=True))
    np.testing.assert_array_equal(run(lambda x: x[index], x), x[index])
    expected = x.copy()
    expected[index] = -1
    np.testing.assert_array_equal(run(lambda x: x.at[index].set(-1), x), expected)


@settings(max_examples=150)
@given(st.data())
def test_random_array_indices(data: Any) -> None:
    """Arrays of integers and slices in any order, known and traced."""
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=4, max_side=4))
    x = np.arange(float(np.prod(shape))).reshape(shape)
    common = data.draw(hnp.array_shapes(min_dims=1, max_dims=2, max_side=3))
    parts: list[Any] = []
    for n in shape:
        kind = data.draw(st.sampled_from(["array", "slice", "int", "whole"]))
        if kind == "array":
            parts.append(data.draw(hnp.arrays(np.int64, common, elements=st.integers(-n, n - 1))))
        elif kind == "int":
            parts.append(data.draw(st.integers(-n, n - 1)))
        else:
            parts.append(data.draw(st.slices(n)) if kind == "slice" else slice(None))
    index = tuple(parts)
    np.testing.assert_array_equal(run(lambda x: x[index], x), x[index])
    arrays = [p for p in parts if isinstance(p, np.ndarray)]

    def with_traced(x: Any, *given: Any) -> Any:
        rest = list(given)
        return x[tuple(rest.pop(0) if isinstance(p, np.ndarray) else p for p in parts)]

    np.testing.assert_array_equal(run(with_traced, x, *arrays), x[index])
    expected = x.copy()
    np.add.at(expected, index, 1.0)
    np.testing.assert_array_equal(run(lambda x: x.at[index].add(1.0), x), expected)


def test_traced_integers_are_windows() -> None:
    assert equations(lambda x, i: x[i], X, np.int32(1))[-2:] == ["dynamic_slice", "reshape"]
    for i in (0, 3, -1, -4):
        np.testing.assert_array_equal(run(lambda x, i: x[i], X, i), X[i])
        np.testing.assert_array_equal(run(lambda x, i: x[1, i], X, i), X[1, i])
        y = run(lambda x, i: x[:, None, i, ::2], X, i)
        np.testing.assert_array_equal(y, X[:, None, i, ::2])
        np.testing.assert_array_equal(run(lambda x, i: x[i, ..., i], X, i), X[i, ..., i])
        np.testing.assert_array_equal(run(lambda x, i: x[i, :, I], X, i), X[i, :, I])


def test_traced_indices_out_of_range_clamp_and_drop() -> None:
    v = np.arange(5.0)
    np.testing.assert_array_equal(run(lambda x, i: x[i], v, np.array([7, -9, 2])), [4, 0, 2])
    written = run(lambda x, i: x.at[i].set(-1.0), v, np.array([7, -9, 2]))
    np.testing.assert_array_equal(written, [0, 1, -1, 3, 4])
    assert run(lambda x, i: x[i], v, np.int64(9)) == 4.0
    np.testing.assert_array_equal(run(lambda x, i: x[i], v, np.array([3, 1], np.uint8)), [3, 1])


def test_basic_indices_are_cheap() -> None:
    assert equations(lambda x: x[:], X) == []
    assert equations(lambda x: x[1:], X) == ["slice"]
    assert equations(lambda x: x[::-1], X) == ["reverse"]
    assert equations(lambda x: x[:, None], X) == ["reshape"]
    assert equations(lambda x: x[2, 1:3], X) == ["slice", "reshape"]
    assert equations(lambda x: x.at[1:3].set(0.0), X) == ["broadcast", "dynamic_update_slice"] or (
        equations(lambda x: x.at[1:3].set(0.0), X) == ["dynamic_update_slice"]
    )


def test_a_traced_mask_may_choose_where_to_write() -> None:
    mask = X > 50
    np.testing.assert_array_equal(
        run(lambda x, m: x.at[m].set(0.0), X, mask), np.where(mask, 0.0, X)
    )
    np.testing.assert_array_equal(
        run(lambda x, m: x.at[m].multiply(2.0), X, mask[:, 0, 0]),
        np.where(mask[:, :1, :1], 2 * X, X),
    )


@pytest.mark.parametrize(
    ("index", "error", "message"),
    [
        (4, IndexingError, "index 4 is out of bounds for axis 0 of length 4"),
        ((0, -6), IndexingError, "index -6 is out of bounds for axis 1"),
        ([0, 9], IndexingError, "index 9 is out of bounds"),
        ((0, 0, 0, 0), IndexingError, "4 indices for an array of rank 3"),
        ((..., ...), IndexingError, "one ... only"),
        (1.5, IndexingError, "indices must be integers"),
        (np.array([1.0]), IndexingError, "indices must be integers"),
        (np.array([True, False]), IndexingError, "a mask of shape"),
        (slice(0, 2, 0), IndexingError, "zero"),
        ("x", TypeError, "array was expected"),
    ],
)
def test_wrong_indices_say_so(index: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message) as caught:
        run(lambda x: x[index], X)
    assert "test_numpy_indexing.py" in str(caught.value)


def test_traced_shapes_and_masks_are_refused() -> None:
    with pytest.raises(UnsupportedError, match=r"np.where\(mask, x, 0\)"):
        run(lambda x: x[x > 0], X)
    with pytest.raises(UnsupportedError, match="not known while tracing"):
        run(lambda x, n: x[:n], X, 2)

"""Assignments to traced arrays, and to parts of them, mean what they mean in NumPy.

Each program writes to its argument, of the values 0, 1, ... 23, and returns what it likes: that and
the argument afterwards are compared with NumPy's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy_harness import equations, run

import tracejit as tj
import tracejit.numpy as tnp
from tracejit.errors import ArgumentError, DTypeError, IndexingError, ShapeError, UnsupportedError

Program = Callable[[Any], Any]


def array(*shape: int, dtype: Any = float) -> np.ndarray:
    return np.arange(np.prod(shape)).reshape(shape).astype(dtype)


def check(program: Program, x: np.ndarray) -> None:
    """The same as NumPy: the result, and the argument behind it."""

    def both(x: Any) -> tuple[Any, ...]:
        result = program(x)
        return (*(result if isinstance(result, tuple) else (result,)), x)

    ours = run(lambda x: tuple(y for y in both(x) if y is not None), x)
    theirs = tuple(y for y in both(x.copy()) if y is not None)
    for mine, wanted in zip(ours if isinstance(ours, tuple) else (ours,), theirs, strict=True):
        assert np.asarray(mine).dtype == np.asarray(wanted).dtype
        np.testing.assert_array_equal(mine, wanted)


#: An array from outside of what is traced.
KNOWN = np.zeros(3)


def execs(code: str) -> Program:
    """A program of statements about x; `y` is its result, if there is one."""

    def program(x: Any) -> Any:
        names: dict[str, Any] = {"x": x, "np": np, "KNOWN": KNOWN}
        exec(code, names)
        return names.get("y")

    return program


CASES = """
x[0] = 7
x[1, 2] = -1
x[-1, ..., 1] = 9.0
x[:, 1:3] = 5
x[::-1] = x.copy()
x[1:] = x[:-1]
x[:-1] = x[1:]
x[::2, ::-1] += 1
x += 1; x -= x; x *= 2
x **= 2; x /= 3; x //= 2; x %= 5
y = x; x += 1
y = x[1:]; y[0] = 3
y = x[1:]; x[2] = 3
y = x[1:][::2]; y[0, 1:] *= 2; x[1] += 5
y = x[::-1][1:, ::2]; y += 100
y = x.T; y[0] = 3; x[0, 0] = 8
y = x.T[1:]; y[0, 1] = 3
y = x.reshape(-1); y[3] = 3; x[0] = 0
y = x.ravel(); y[3:9] = 3
y = x.T.ravel(); y[3] = 3
y = x.T.reshape(-1); y[3] = 3
y = x[:, :4].ravel(); y[3] = 3
y = x[:, :4].reshape(2, 2, 4); y[1, 0] = 3
y = x[1:3].reshape(3, 4); y[1, 0] = 3
y = x.flatten(); y[3] = 3
y = x.copy(); y[3] = 3
y = np.copy(x); y += 3
y = np.copy(x, order='C'); y += 3
y = x.astype(float); y += 3
y = x.astype(float, copy=False); y += 3
y = x.swapaxes(0, 1); y[2] = -1
y = np.moveaxis(x, 0, 1); y[2] = -1
y = x[None, :, None]; y[0, 1, 0, 2] = 5; y += 1
y = np.expand_dims(x, 1); y[1] = 5
y = x[1:2].squeeze(); y[1] = 5
y = np.squeeze(x[1:2]); y[1] = 5
y = np.atleast_3d(x); y[1] = 5
y = np.flip(x); y[0, 0] = 5
y = np.flipud(x)[1]; y[:] = 5
y = np.rot90(x); y[0, 0] = 5
y, z = np.split(x, 2); y[0] = 5; z += y
y, z = np.hsplit(x, 2); y[0] = 5; z += y
y = np.array_split(x, 3)[1]; y[:] = 1
y = x.real; y[0] = 5
y = np.roll(x, 0); y[0] = 5
y = np.tile(x, 1); y[0] = 5
y = np.repeat(x, 1, 0); y[0] = 5
y = np.concatenate([x]); y[0] = 5
y = x[[0, 1]]; y[0] = 5
y = x[:, [0, 1]]; y[0] = 5
x[[0, 1]] = x[[1, 0]]
x[[0, 0, 1]] = [[1], [2], [3]]
x[[0, 1], [2, 3]] += 10
x[[0, 0]] += 10
x[[0, 1], :][0, 1] = 5
x[np.array([True, False, True, False])] = 0
x[1][2] = 5
x[1:3][1][::2][1] = 5
x[::-1][0][1:3] += 5
x[:, None, 1:][1, 0] = 2
x[1:, 1:][0, [1, 2]] = 7
x[1][[0, 2]] = 7
x[1:3][[1]] = 7
x[...] = 3; x[...] *= 2
x[()] = 4
x[0:0] = 5
x[2:1, 0] += 5
a = x[0, 0]; x[0, 0] = 50; x[1, 1] = a
x[0, 0], x[1, 1] = x[1, 1], x[0, 0]
x[0], x[1] = x[1], x[0]
x[[0, 1]] = x[[1, 0]]; y = x[0] + 0
for row in x: row[0] = 1
for i, row in enumerate(x): row += i
for e in x.flat: pass
x.flat[3] = 5; x.flat[-1] = 6; x.flat[::5] = 0
x.T.flat[3] = 5
x.flat = 7
y = x[:, 1]; y.flat[1] = 5
x.fill(3); x[1:].fill(4)
x[:, ::-1].sort()
x[::-1, 0].sort()
x.sort(axis=0)
x.put([0, 5, -1], [1, 2])
np.put(x, [[0, 25]], 9, mode="wrap")
np.put(x, [0, 25], 9, mode="clip")
np.place(x, np.eye(4, 6) > 0, [7, 8, 9]); np.place(x, x > 9, [-1, -2, -3])
np.putmask(x, np.eye(4, 6) > 0, [7, 8, 9])
np.copyto(x, 4); np.copyto(x[0], [1, 2, 3, 4, 5, 6])
np.copyto(x, -x, where=np.eye(4, 6) > 0)
np.copyto(x[:2], x[2:])
np.fill_diagonal(x, 5)
np.fill_diagonal(x.T, [5, 6])
np.fill_diagonal(x.T, 5, wrap=True)
np.put_along_axis(x, np.array([[0], [1], [2], [0]]), 99, axis=1)
np.put_along_axis(x, np.array([0, 7]), 99, axis=None)
np.add.at(x, [0, 0, 1], 10)
np.subtract.at(x, ([0, 0], [1, 1]), [1, 2])
np.multiply.at(x, (slice(None), [0, 0]), 3)
np.maximum.at(x, 1, 9); np.minimum.at(x[2:], 1, 9); np.divide.at(x, [0, 1, 1], 2.0)
y = np.add(x, 1, out=x)
y = np.multiply(x, x, x)
np.sin(x[0], out=x[1])
np.add(x[0], x[1], x[2]); np.exp(x[0], x[2, :])
np.add(x, 1, out=x, where=np.eye(4, 6) > 0)
np.add(1, 2, out=x[0])
np.add(x[0], 1, out=x)
np.divmod(x[0], 2, out=(x[1], x[2]))
np.divmod(x[0], 2, x[1], x[2])
np.cumsum(x, axis=0, out=x); np.cumsum(x[0], out=x[1])
np.sum(x, axis=0, out=x[0]); np.sum(x, 0, None, x[1])
x.sum(axis=1, out=x[:, 1]); np.mean(x, axis=0, out=x[3]); np.max(x, 0, x[2])
y = x[:, :4].copy(); np.dot(x, x.T, out=y); np.dot(x, x.T, y)
y = np.matmul(x[:, :4], x, out=x)
np.clip(x, 3, 5, out=x); np.clip(x, 4, None, x)
x.clip(3, 5, out=x); x.round(0, out=x)
np.add.reduce(x, axis=0, out=x[0]); np.add.accumulate(x, axis=0, out=x)
np.einsum("ij->j", x, out=x[0])
np.take(x, [1, 0], axis=0, out=x[2:])
np.concatenate([x[2:], x[:2]], out=x); np.stack([x[0], x[1]], out=x[2:])
np.median(x, axis=0, out=x[0]); np.trace(x[:, 2:], out=x[0, 0, ...])
np.outer(x[0, :2], x[1, :6], out=x[:2])
x.shape = (6, 4); x[0] = 1
y = x[1:]; x.shape = 24; x[7] = -5; y[1] = -7
x @= np.eye(6)
""".strip().splitlines()


@pytest.mark.parametrize("code", CASES)
def test_as_numpy(code: str) -> None:
    check(execs(code), array(4, 6))


def test_elements_by_a_mask_that_is_traced() -> None:
    for code in (
        "x[x > 5] = 0",
        "x[x[:, 0] > 5] = [1, 2, 3, 4, 5, 6]",
        "x[x[:, 0] > 5] = 2",
        "x[:, x[0] > 2] = 2",
        "x[1:3, x[0] > 2] = [[2]]",
        "x[..., x[0] > 2] = 2",
        "x[1:][x[1:] > 9] = 2",
        "x[x[:, 0] > 5, 1:3] = [8, 9]",
    ):
        check(execs(code), array(4, 6))


def test_places_that_are_traced() -> None:
    def program(x: Any, i: Any, j: Any) -> Any:
        x[i] = 7
        x[i, j] += 5
        x[j][i] = -1
        x[1:][i, 1] = 3
        row = x[j]
        row[0] = 100
        row += 1
        return x

    for i, j in ((0, 1), (-1, 2), (2, -3)):
        x = array(4, 6)
        ours = run(program, x, np.int64(i), np.int64(j))
        np.testing.assert_array_equal(ours, program(x.copy(), i, j))


def test_places_out_of_range_are_dropped_also_in_parts() -> None:
    def program(x: Any, i: Any) -> Any:
        x[1:3][i] = 7
        return x

    np.testing.assert_array_equal(run(program, array(4), np.int64(2)), array(4))


def test_numbers_are_values() -> None:
    def program(x: Any) -> Any:
        a = x[0]
        b = a
        a += 5
        return a, b, x

    assert [np.asarray(y).tolist() for y in run(program, array(2))] == [5.0, 0.0, [0.0, 1.0]]


def test_a_part_of_a_part_is_written_at_once() -> None:
    """One update, of one element: nothing of the row is copied."""

    def program(x: Any) -> Any:
        x[1][2:][1] = 5.0
        return x

    assert equations(program, array(4, 6)).count("dynamic_update_slice") == 1

    def in_place(x: Any) -> Any:
        x[1:3] += 5.0
        return x

    assert equations(in_place, array(4)) == ["slice", "add", "dynamic_update_slice"]


@pytest.mark.parametrize(
    ("code", "error", "message"),
    [
        ("x += 0.5", DTypeError, "add in place gives float64, which cannot be written into an arr"),
        ("x /= 2", DTypeError, "divide in place gives float64"),
        ("np.sin(x, out=x)", DTypeError, "sin gives float64"),
        ("np.copyto(x, 1.5)", DTypeError, "copyto gives float64"),
        ("np.add.at(x, 0, 1.5)", DTypeError, "add.at gives float64"),
        ("x += np.ones((2, 4, 6), int)", ShapeError, "cannot be written into an array of shape"),
        ("np.add(x, 1, out=x[0])", ShapeError, "add gives shape"),
        ("x[0] = [1, 2]", ShapeError, "does not broadcast to"),
        ("x[9] = 1", IndexingError, "index 9 is out of bounds"),
        ("np.broadcast_to(x, (2, 4, 6))[0] = 1", ArgumentError, "is read-only"),
        ("np.diagonal(x)[0] = 1", ArgumentError, "is read-only"),
        ("x[x > 3] = [1, 2, 3]", UnsupportedError, "how many elements it takes is not known"),
        ("x[x[0] > 3] = 1", IndexingError, "a mask of shape"),
        ("x[1:].shape = 18", ArgumentError, "y.reshape"),
        ("x.shape = 5", ShapeError, "cannot be given shape"),
        ("np.add(x, 1, where=x > 3)", UnsupportedError, "leaves numbers undefined"),
        ("KNOWN[...] += x[0, 0]", UnsupportedError, "which is not traced"),
        ("np.copyto(KNOWN, x[0, 0])", UnsupportedError, "which is not traced"),
        ("np.put(x, 0, [])", ArgumentError, "no values to put"),
        ("np.fill_diagonal(x[0], 0)", ShapeError, "two axes are needed"),
    ],
)
def test_messages(code: str, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        run(execs(code), array(4, 6, dtype=int))


def test_dtypes_are_those_of_the_target() -> None:
    check(execs("x[0] = 2.7; x += 3; x[1] += 2"), array(4, 6, dtype=np.int32))
    check(execs("x += 0.1; x[0] = 1; x *= np.float64(2)"), array(4, 6, dtype=np.float32))
    check(execs("x[0] = 3; x |= True"), array(4, 6, dtype=bool))


def test_closures_are_written_by_who_made_them() -> None:
    def loop(x: Any) -> Any:
        def body(i: Any, total: Any) -> Any:
            x[i] = total
            return total + 1.0

        return tj.lax.fori_loop(0, 3, body, 0.0)

    with pytest.raises(UnsupportedError, match=r"assigns to a traced f64\[4\] that was made"):
        run(loop, array(4))

    def recovers(x: Any) -> Any:
        with pytest.raises(UnsupportedError):
            loop(x)
        return x

    np.testing.assert_array_equal(run(recovers, array(4)), array(4))


def test_what_is_known_is_left_to_numpy() -> None:
    x = array(4)
    tnp.put(x, 0, 5)
    tnp.add.at(x, [1, 1], 1)
    tnp.add(x, 1, out=x)
    np.testing.assert_array_equal(x, [6, 4, 3, 4])

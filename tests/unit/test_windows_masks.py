"""x[mask] with a traced mask, ranges that are not known, and what windows refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy_harness import equations, trace
from windows_harness import BACKENDS, loop

import tracejit as tj
from tracejit.errors import ShapeError, TracedConversionError, TracejitError, UnsupportedError

RNG = np.random.default_rng(2)
X = RNG.normal(size=8)
Y = RNG.normal(size=8)
A = RNG.normal(size=(8, 3))


def assigned(x: Any, index: Any, new: Any) -> Any:
    x = x + 0.0
    x[index] = new
    return x


def doubled_in_a_copy(x: Any) -> Any:
    part = x[x > 0]
    part *= 2.0
    return x.sum() + part.sum()


MASKS: dict[str, Callable[..., Any]] = {
    "sum": lambda x, y, a: x[x > 0].sum(),
    "mean": lambda x, y, a: np.mean(x[y > 0]),
    "mean of none": lambda x, y, a: x[x > 10].mean(),
    "var": lambda x, y, a: x[x > 0].var(),
    "std": lambda x, y, a: np.std(x[x > 0], ddof=1),
    "max": lambda x, y, a: x[x < 0].max(),
    "size": lambda x, y, a: x[x > 0].size,
    "shape": lambda x, y, a: a[x > 0].shape[0] * 10 + a[x > 0].shape[1],
    "two of one mask": lambda x, y, a: (x[x > 0] * y[x > 0]).sum(),
    "two of a computed mask": lambda x, y, a: x[np.abs(y) > 0.5] @ y[np.abs(y) > 0.5],
    "rows": lambda x, y, a: a[x > 0].sum(axis=0),
    "rows, within": lambda x, y, a: a[x > 0].sum(axis=1).max(),
    "rows by matrix": lambda x, y, a: (a[x > 0] @ a.T).sum(axis=0),
    "columns": lambda x, y, a: a.T[:, x > 0].mean(axis=1),
    "elements of a matrix": lambda x, y, a: a[a > 0].mean(),
    "row of a mask": lambda x, y, a: a[x > 0, 1].sum(),
    "logarithm": lambda x, y, a: np.log(x[x > 0]).sum(),
    "quotient": lambda x, y, a: (1 / x[x > 0]).sum(),
    "any": lambda x, y, a: (x[x > 0] > 1).any(),
    "mask of a mask": lambda x, y, a: x[x > 0][x[x > 0] < 1].sum(),
    "logical": lambda x, y, a: x[np.logical_and(x > 0, y < 0.5)].sum(),
    "known mask": lambda x, y, a: x[np.arange(8) % 2 == 0],
    "assigned": lambda x, y, a: assigned(x, x > 0, x[x > 0] ** 2 + y[x > 0]),
    "assigned a number": lambda x, y, a: assigned(x, x > 0, 0.0),
    "assigned rows": lambda x, y, a: assigned(a, x > 0, a[x > 0] * 2),
    "assigned elements": lambda x, y, a: assigned(a, a > 0, a[a > 0] ** -1.5),
    "a copy": lambda x, y, a: doubled_in_a_copy(x),
    "sum over an axis of numbers": lambda x, y, a: np.sum(a[y > 0] - a[y > 0].mean(axis=0), axis=0),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("name", MASKS)
def test_masks_as_numpy(name: str, backend: str) -> None:
    function = MASKS[name]
    expected = function(X, Y, A)
    got = tj.jit(function, backend=backend)(X, Y, A)
    assert np.shape(got) == np.shape(expected)
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_nan_from_outside_of_a_mask(backend: str) -> None:
    def loss(x: Any) -> Any:
        return np.log(x[x > 0]).sum() + np.sqrt(x[x > 0]).sum() + (1 / x[x != 0]).sum()

    x = np.array([2.0, 0.0, -1.0, 0.5])
    got = tj.jit(tj.grad(loss), backend=backend)(x)
    positive = x > 0
    safe = np.where(positive, x, 1.0)
    expected = np.where(positive, 1 / safe + 0.5 / np.sqrt(safe), 0.0)
    expected -= np.where(x != 0, 1 / np.where(x != 0, x, 1.0) ** 2, 0.0)
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_second_derivatives_are_finite_outside_of_a_mask(backend: str) -> None:
    """Functions with poles and edges get a harmless number there."""

    def of_part(v: Any) -> Any:
        total = np.log(v).sum() + np.sqrt(v).sum() + (1 / v).sum() + (v**-1.5).sum()
        total += np.hypot(v, v).sum() + np.tan(v).prod() + np.arcsin(v / 3).max()
        return total + v @ np.log(v) + np.cumsum(1 / v).sum() + np.exp(v).std()

    x = np.array([2.0, 0.0, -1.0, 0.5, np.inf, np.nan, 1e308])
    of_x = tj.jacrev(tj.grad(lambda x: of_part(x[np.logical_and(x > 0, x < 10)])))
    got = tj.jit(of_x, backend=backend)(x)
    inside = np.ix_([0, 3], [0, 3])
    np.testing.assert_allclose(got[inside], tj.hessian(of_part)(x[[0, 3]]), rtol=1e-10)
    got[inside] = 0.0
    assert not got.any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_lies_outside_never_counts(backend: str) -> None:
    """NaN and inf behind the window: in values, and in gradients."""
    a = np.arange(1.0, 26).reshape(5, 5)
    a[:, 3:], a[3:] = np.inf, np.nan

    x = np.array([1.0, 2.0, 3.0, np.nan, np.inf])

    def in_a_loop(a: Any, x: Any) -> Any:
        def step(i: Any, total: Any) -> None:
            part = x[i:3]
            total[0] += (a[i, i:3] * part).sum() + (a[i:3, i:3] @ part).sum()
            total[0] += (part / a[0, i:3]).mean() + np.log(a[i:3, 0]).sum() + a[i:3, 0].max()

        return loop(0, 3, step, a[:1, 0] * 0.0)[0][0]

    expected = in_a_loop(a, x)
    assert np.isfinite(expected)
    got, grads = tj.jit(tj.value_and_grad(in_a_loop, argnums=(0, 1)), backend=backend)(a, x)
    np.testing.assert_allclose(got, expected, rtol=1e-12)
    assert all(np.isfinite(g).all() for g in grads)


# Ranges that are not known


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("k", [-9, -8, -3, -1, 0, 1, 4, 8, 9])
def test_bounds_of_any_sign(k: int, backend: str) -> None:
    """NumPy's rules: from the end where negative, and clamped."""

    def parts(x: Any, k: Any) -> Any:
        found = [x[:k], x[k:], x[k::-1], x[:k:-1], x[k:-1], x[1:k], x[-k:], x[2:][:k], x[k:][1:]]
        weights = 1.0 + np.arange(8.0)
        return np.stack([(part * part).sum() for part in found] + [(x * weights)[k:].sum()])

    got = tj.jit(parts, backend=backend)(X, np.int64(k))
    np.testing.assert_allclose(got, parts(X, k), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("k", [0, 3, 5])
def test_a_part_of_known_length_is_an_array(k: int) -> None:
    got = tj.jit(lambda x, k: x[k : k + 3])(X, k)
    np.testing.assert_array_equal(got, X[k : k + 3])
    assert equations(lambda x, k: x[k : k + 3], X, k).count("select") == 0


def test_a_sum_is_a_bounded_reduction() -> None:
    """The form that the backends know: the mask is right ahead of the reduction."""
    names = equations(lambda x, y, k: x[2:k] @ y[2:k], X, Y, 5)
    assert names[-7:] == ["iota", "ge", "broadcast", "lt", "and", "select", "reduce_sum"]
    assert "dynamic_slice" not in names and "pad" not in names


PATHS: dict[str, Callable[..., Any]] = {
    "a result": lambda x, k: x[:k],
    "two results": lambda x, k: (x[k:] * 2, x[:k].sum()),
    "a function that takes no windows": lambda x, k: np.sort(x[k:]) * 2,
    "several arrays": lambda x, k: np.concatenate((x[:k], x)),
    "a method": lambda x, k: x[:k].repeat(2),
    "a ufunc's method": lambda x, k: np.subtract.outer(x[:k], x),
    "an attribute": lambda x, k: x.sum() + x[:k].nbytes,
    "len": lambda x, k: x[:k].sum() / len(x[k:]),
    "iteration": lambda x, k: sum(v * v for v in x[k:]),
    "two axes": lambda x, k: x.reshape(4, 2)[:k, k - 3 :],
}


def assert_close(got: Any, expected: Any) -> None:
    if not isinstance(expected, tuple):
        got, expected = (got,), (expected,)
    for mine, theirs in zip(got, expected, strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-12)


@pytest.mark.parametrize("name", PATHS)
def test_on_a_path_the_bounds_are_numbers(name: str) -> None:
    compiled = tj.jit(PATHS[name])
    for k in (3, 2, 5, 3):
        assert_close(compiled(X, k), PATHS[name](X, k))


def test_the_namespace_takes_windows() -> None:
    def program(np: Any, x: Any, k: Any) -> Any:
        part = np.exp(x[:k])
        return np.sum(part) + np.dot(x[:k], part) + np.matmul(part, part) + np.flip(part).max()

    expected = program(np, X, 3)
    np.testing.assert_allclose(tj.jit(lambda x, k: program(tj.numpy, x, k))(X, 3), expected)
    np.testing.assert_allclose(tj.jit(lambda x, k: program(np, x, k))(X, 3), expected)


def test_windows_alike_are_not_moved() -> None:
    names = equations(lambda x, y, k: (x[k:] * y[k : x.shape[0] + 1 - 1]).sum(), X, Y, 3)
    assert "dynamic_slice" not in names


def test_the_same_part_is_written_once() -> None:
    def program(x: Any, k: Any) -> Any:
        x[:k] += 1.0
        return x

    assert equations(program, X, 3).count("select") <= 2  # one for the sign of k


REFUSED: dict[str, tuple[Callable[..., Any], type[TracejitError], str]] = {
    "lengths that may differ": (lambda x, k: x[:k] + x[1:k], ShapeError, "may differ in length"),
    "an array": (lambda x, k: x[:k] + x, ShapeError, "may differ in length"),
    "an array written": (lambda x, k: assigned(x, np.s_[:k], x), ShapeError, "may differ"),
    "a window into an array": (
        lambda x, k: assigned(x, np.s_[:4], x[:k]), ShapeError, "may differ"),
    "a result": (lambda x, k: x[:k], UnsupportedError, "traced length"),
    "len": (lambda x, k: len(x[:k]), UnsupportedError, "len"),
    "iteration": (lambda x, k: list(x[:k]), UnsupportedError, "iteration"),
    "truth": (lambda x, k: bool(x[:k]), TracedConversionError, "truth"),
    "sort": (lambda x, k: np.sort(x[:k]), UnsupportedError, "np.sort"),
    "concatenate": (lambda x, k: np.concatenate((x[:k], x)), UnsupportedError, "concatenate"),
    "roll": (lambda x, k: np.roll(x[:k], 1), UnsupportedError, "np.roll"),
    "asarray": (lambda x, k: np.asarray(x[:k]), UnsupportedError, "traced length"),
    "steps": (lambda x, k: x[:k:2].sum(), UnsupportedError, "step 2"),
    "traced step": (lambda x, k: x[::k].sum(), UnsupportedError, "traced step"),
    "float bound": (lambda x, k: x[: k * 1.0].sum(), TracejitError, "integer"),
    "reshape": (lambda x, k: x[:k].reshape(2, -1), UnsupportedError, "reshape"),
    "element of a mask": (lambda x, k: x[x > 0][0], UnsupportedError, "by place"),
    "part of a mask": (lambda x, k: x[x > 0][1:].sum(), UnsupportedError, "by place"),
    "place in a mask": (lambda x, k: x[x > 0].argmax(), UnsupportedError, "index"),
    "masks that differ": (lambda x, k: x[x > 0] + x[x > 1], ShapeError, "may differ"),
    "mask of another length": (lambda x, k: x[x[:k] > 0], UnsupportedError, "mask"),
    "attribute": (lambda x, k: x[:k].nbytes, UnsupportedError, "nbytes"),
    "method": (lambda x, k: x[:k].repeat(2), UnsupportedError, "repeat"),
    "integer in place": (lambda x, k: changed_integers(x, k), TracejitError, "cannot be written"),
}  # fmt: skip


def changed_integers(x: Any, k: Any) -> Any:
    whole = x.astype(int)
    whole[:k] += 0.5
    return whole


@pytest.mark.parametrize("name", REFUSED)
def test_what_windows_refuse(name: str) -> None:
    """Where there are no paths (see test_guards.py) that would tell the bounds as numbers."""
    function, error, words = REFUSED[name]
    with pytest.raises(error, match=words) as caught:
        trace(function, X, 3)
    assert "tests/unit/" in str(caught.value)

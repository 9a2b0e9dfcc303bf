"""The index of a loop that is traced once is an int, or the loop is unrolled."""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.numpy.windows.proofs import is_zero_once

X = np.random.default_rng(4).random(100)
WORDS = [f"word {k}" for k in range(100)]
WEIGHTS = {3: 2.0, 5: -1.0}


def check(body: Callable[[Any, Any], Any], rounds: int = 100, *, rolled: bool) -> None:
    """The sum over a loop is that of Python; the loop is traced once or not."""

    def f(x: Any) -> Any:
        s = 0.0
        for i in range(rounds):
            s = s + body(x, i)
        return s

    for backend in ("native", "eager"):
        np.testing.assert_allclose(tj.jit(f, backend=backend)(X), f(X), rtol=1e-12)
    names = [eqn.primitive.name for eqn in tj.make_jaxpr(f)(X).equations]
    assert ("scan" in names) is rolled


def by_type(x: Any, i: Any) -> Any:
    number = isinstance(i, int) and isinstance(i + 1, (int, float)) and not isinstance(i, float)
    abstract = isinstance(i, numbers.Integral) and isinstance(i, int | str)
    array = isinstance(i, np.ndarray) or isinstance(x[i], np.ndarray) and not x[i].ndim
    scalar = np.isscalar(i) and np.isscalar(x[0]) and not np.isscalar(x)
    exact = type(i) is int and type(i * 0.5) is float and not hasattr(i, "__len__")
    floating = isinstance(x[0], np.floating) and isinstance(x, np.ndarray)
    return x[i] * (1 + number + 2 * abstract + 4 * scalar + 8 * exact + 16 * floating) + 0 * array


def by_class_pattern(x: Any, i: Any) -> Any:
    match i % 7:
        case 0:
            return x[i]
        case k:
            return x[k] * k


@pytest.mark.parametrize("body", [by_type, by_class_pattern])
def test_the_index_is_an_int(body: Any) -> None:
    check(body, rolled=True)


@pytest.mark.parametrize(
    ("body", "rounds"),
    [
        (lambda x, i: x[i] * len(f"{i}"), 100),
        (lambda x, i: x[i] * len("%s" % i), 100),  # noqa: UP031
        (lambda x, i: x[i] * len(str(i + 1)), 100),
        (lambda x, i: x[i] * hash(i), 100),
        (lambda x, i: x[i] * WEIGHTS.get(i, 0.5), 100),
        (lambda x, i: x[i] if i in {3, 7} else 0.5 * x[i], 100),
        (lambda x, i: x[i] * len(WORDS[i]), 100),
        (lambda x, i: x[i] * i.bit_length(), 100),
        (lambda x, i: x[i] / math.factorial(i), 80),
        (lambda x, i: x[i] * len([0, 1] * i) + len(i * [0]), 100),
        (lambda x, i: x[i] * len(np.zeros(i)), 100),
        (lambda x, i: x[i] * np.random.default_rng(i).random(), 100),
        (lambda x, i: x[i] * 3**i, 99),
    ],
)
def test_what_takes_a_number_unrolls(body: Any, rounds: int) -> None:
    check(body, rounds, rolled=False)


def test_negative_powers_of_integers_are_floats() -> None:
    check(lambda x, i: x[i] * 2**-i + 3.0**-i, rolled=True)
    check(lambda x, i: x[i] * 2 ** (i % 8) + (-1) ** i, rolled=True)


def test_a_class_pattern_unrolls() -> None:
    def f(x: Any) -> Any:
        s = 0.0
        for i in range(100):
            match i:
                case 0 | 1:
                    s = s + 3 * x[i]
                case int():
                    s = s - x[i]
                case _:
                    s = s * 2
        return s

    np.testing.assert_allclose(tj.jit(f)(X), f(X), rtol=1e-12)


@pytest.mark.parametrize(
    ("body", "rounds", "error"),
    [
        (lambda x, i: x[i], 101, IndexError),
        (lambda x, i: x[2 * i + 1], 51, IndexError),
        (lambda x, i: x[-i], 102, IndexError),
        (lambda x, i: x[i] * (7 // i), 100, ZeroDivisionError),
        (lambda x, i: x[i] / (i - 50), 100, None),
        (lambda x, i: x[i] * (1 / (i - 50)), 100, ZeroDivisionError),
        (lambda x, i: x[i] * (i % (50 - i)), 100, ZeroDivisionError),
        (lambda x, i: x[i] * (1 / (3 * i - 50)), 100, None),
        (lambda x, i: x[i + 1] if i < 99 else 0.0, 100, None),
    ],
)
def test_errors_of_single_rounds(body: Any, rounds: int, error: type[Exception] | None) -> None:
    """An index or a divisor that is sure to go wrong in some round does so as in Python."""

    def f(x: Any) -> Any:
        y = np.zeros(rounds)
        for i in range(rounds):
            y[i] = body(x, i)
        return y

    with np.errstate(all="ignore"):
        if error is None:
            np.testing.assert_allclose(tj.jit(f)(X), f(X))
        else:
            with pytest.raises(error):
                f(X)
            with pytest.raises(error):
                tj.jit(f)(X)


def test_errors_that_are_expected() -> None:
    def caught(x: Any) -> Any:
        s = 0.0
        for i in range(100):
            try:
                s = s + x[i + 1]
            except IndexError:
                s = 2 * s
        return s

    def found(x: Any) -> Any:
        for i in range(1000):
            if x[i] > 0.99 * x.max():
                break
        return i

    def written(x: Any) -> Any:
        for i in range(101):
            x[i] = i

    for f in (caught, found):
        np.testing.assert_allclose(tj.jit(f)(X), f(X), rtol=1e-12)
    x = X.copy()
    with pytest.raises(IndexError):
        tj.jit(written)(x)
    np.testing.assert_array_equal(x, X)


def test_zeros_of_steps() -> None:
    seen = []

    def f(x: Any) -> Any:
        for i in range(30):
            seen.append((is_zero_once(2 * i - 8), is_zero_once(2 * i - 7), is_zero_once(i + 1)))
            x = x + i
        return x

    tj.make_jaxpr(f)(1.0)
    assert seen[0] == (True, False, False)


TABLE = np.random.default_rng(5).random((100, 4))
PLACES = np.random.default_rng(6).integers(-100, 100, 100)


def test_known_arrays_are_read_at_traced_indices() -> None:
    inside = np.linspace(1, 2, 100)

    def read(weights: Any, i: Any) -> Any:
        return weights[i, 1] + weights[i].sum() + weights[1:, 2][i - 1]

    def f(x: Any) -> Any:
        own = np.sin(np.arange(100.0))
        s = 0.0
        for i in range(1, 100):
            doubled = own * 2
            s = s + x[i] * read(TABLE, i) + x[PLACES[i]] * inside[i] + doubled[3] * own[i]
            for j in range(i):
                s = s * 0.9 + own[j] * TABLE[j, 0]
        return s + own[1] + doubled.sum()

    for backend in ("native", "eager"):
        np.testing.assert_allclose(tj.jit(f, backend=backend)(X), f(X), rtol=1e-12)
    assert [e.primitive.name for e in tj.make_jaxpr(f)(X).equations].count("scan") == 1
    along = np.linspace(-1, 1, 100)
    slope = (f(X + 1e-6 * along) - f(X - 1e-6 * along)) / 2e-6
    np.testing.assert_allclose(tj.jit(tj.grad(f))(X) @ along, slope, rtol=1e-6)
    assert type(TABLE) is type(PLACES) is type(inside) is np.ndarray


def test_known_arrays_are_what_they_are_when_they_are_read() -> None:
    def f(x: Any) -> Any:
        table = np.sin(np.arange(100.0))
        s, t = 0.0, 0.0
        for i in range(100):
            s = s + x[i] * table[i]
        table[3:] = 7.0
        for i in range(100):
            t = t + x[i] * table[i]
        return s, t, table

    for x, y in zip(tj.jit(f)(X), f(X), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


def test_known_arrays_are_arrays_again_when_tracing_fails() -> None:
    inside = np.arange(3.0)

    def f(x: Any) -> Any:
        return x + TABLE[0, 0] + inside[0] + 1 / 0

    with pytest.raises(ZeroDivisionError):
        tj.jit(f)(1.0)
    assert type(TABLE) is type(inside) is np.ndarray
    kept: list[Any] = []
    tj.jit(lambda x: kept.append(TABLE * 2) or x)(1.0)  # type: ignore[func-returns-value]
    assert type(kept[0]) is np.ndarray

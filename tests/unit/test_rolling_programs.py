"""Loops that random programs have found to go wrong: arrays by several names, long functions."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.control.sharing import moved

sys.path.insert(0, str(Path(__file__).parents[1] / "random_programs"))
from loop_programs import load


def check(fun: Callable[..., Any], *, rolled: bool) -> None:
    """Results, and the arrays written to, are those of Python; the loop is traced once or not."""
    given = np.arange(8.0), np.ones(8)
    written = [x.copy() for x in given]
    expected = fun(*written)
    for backend in ("native", "eager"):
        mine = [x.copy() for x in given]
        found = tj.jit(fun, backend=backend)(*mine)
        for x, y in zip((*found, *mine), (*expected, *written), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
    names = [eqn.primitive.name for eqn in tj.make_jaxpr(fun)(*given).equations]
    assert ("scan" in names) is rolled


def two(x: Any, y: Any) -> Any:
    for i in range(101):
        x, y = y, x
        y[i % 8] = x[(i * 3) % 8] + 0.1
    return x, y


def three(x: Any, y: Any) -> Any:
    z = 0 * x
    for i in range(101):
        x, y, z = y, z, x
        if x[i % 8] < 3:
            x[i % 8] += y[1] + z[i % 3]
    return x, y, z


def within(x: Any, y: Any) -> Any:
    for i in range(1, 13):
        x, y = y, x
        for j in range(i - 1, -1, -1):
            y[j + 1 :] += 0.1
    return x, y


@pytest.mark.parametrize("fun", [two, three, within])
def test_arrays_change_places(fun: Callable[..., Any]) -> None:
    check(fun, rolled=True)


def known_by_another(x: Any, y: Any) -> Any:
    z = x
    for i in range(101):
        x, y = y, x
        y[i % 8] = x[(i * 3) % 8] + z[i % 7]
    return x, y, z


def written_in_the_first_round(x: Any, y: Any) -> Any:
    for i in range(101):
        x[i % 8] += y[0]
        x = x + 1
    return x, y


def seen_through_a_view(x: Any, y: Any) -> Any:
    v = y[1:]
    for i in range(101):
        y[i % 8] += v[0]
        v = y[1:]
    return x, v


def seen_by_another_name(x: Any, y: Any) -> Any:
    v = x.copy()
    for i in range(101):
        x[i % 8] += v[1]
        v = x
    return x, v


def test_an_argument_that_is_written_to_and_left() -> None:
    """Under jit it is the caller's, and what is written is seen; make_jaxpr gives nothing back."""
    check(written_in_the_first_round, rolled=True)


@pytest.mark.parametrize("fun", [known_by_another, seen_through_a_view, seen_by_another_name])
def test_arrays_of_several_names_are_unrolled(fun: Callable[..., Any]) -> None:
    check(fun, rolled=False)


def test_where_arrays_come_from() -> None:
    turn = {("a",): ("b",), ("b",): ("c",), ("c",): ("a",)}
    assert moved(turn, 1) == {("b",): ("a",), ("c",): ("b",), ("a",): ("c",)}
    assert moved(turn, 3) == {path: path for path in turn}


def test_a_while_whose_exit_is_a_long_jump(tmp_path: Path) -> None:
    """In long functions jumps have an EXTENDED_ARG, which is where other jumps to them go."""
    filler = "\n".join(f"        s = s + np.sin(s) * x[{i % 8}]" for i in range(60))
    source = f"""
import numpy as np

def program(x):
    s = 0.0
    for i in range(50):
{filler}
        e = 1.0 + abs(s)
        while e > 0.01:
            e *= 0.7
            s = 0.5 * s + e
    return s
"""
    fun = load(source, tmp_path)
    x = np.linspace(0, 0.1, 8)
    jaxpr = tj.make_jaxpr(fun)(x)
    assert [eqn.primitive.name for eqn in jaxpr.equations].count("scan") == 1
    np.testing.assert_allclose(tj.jit(fun, backend="eager")(x), fun(x), rtol=1e-9)


def test_a_while_within_that_is_unrolled_ends() -> None:
    """What asks for a truth again and again, and is no loop that is rolled, is no path."""

    def settled(e: Any) -> bool:
        return bool(e < 0.01)

    def f(x: Any, y: Any) -> Any:
        for i in range(20):
            e = x[i % 8] + 1
            while not settled(e):
                e = e * 0.5
            y[i % 8] += e
        return x, y

    check(f, rolled=False)


def test_what_the_index_is_behind_the_loop() -> None:
    def no_round(x: Any, y: Any) -> Any:
        i = 5
        for i in range((x > 100).sum()):
            y[i] += 1
        return x, y + i

    def assigned(x: Any, y: Any) -> Any:
        for i in range(100):
            y[i % 8] += np.sin(x[i % 8])
            i = i * 2
        return x, y + i

    check(no_round, rolled=False)
    check(assigned, rolled=False)


def until_it_settles(x: Any, y: Any) -> Any:
    a, b, k = 2 * x, np.zeros(8), 0
    while abs(a - b).max() > 0.1 and k < 50:
        b[1:-1] = 0.5 * (a[:-2] + a[2:])
        a, b = b, a
        k += 1
    a[0] = 9.0
    return a, b, k


def left_by_break(x: Any, y: Any) -> Any:
    a, b, c = x.copy(), np.zeros(8), np.ones(8)
    for k in range(500):  # noqa: B007
        c[:] = a * 1.1 + 0.1 * b + 0.1
        if c.sum() > 500:
            break
        a, b, c = c, a, b
    return a, b, c, k


def on_one_path_alone(x: Any, y: Any) -> Any:
    a, b = x.copy(), np.zeros(8)
    for k in range(200):
        b[k % 8] = a[k % 8] * 0.9
        if x[k % 8] > 3:
            a, b = b, a
    return a, b


def a_former_array(x: Any, y: Any) -> Any:
    a, former, k = x.copy(), np.zeros(8), 0
    while abs(a - former).max() > 1e-3:
        former = a
        a = 0.5 * a
        a[0] += 0.1
        k += 1
    return a, former, k


@pytest.mark.parametrize(
    "fun", [until_it_settles, left_by_break, on_one_path_alone, a_former_array]
)
def test_arrays_that_nobody_else_knows_change_places_at_will(fun: Callable[..., Any]) -> None:
    given = np.arange(8.0), np.ones(8)
    for backend in ("native", "eager"):
        for x, y in zip(tj.jit(fun, backend=backend)(*given), fun(*given), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
    names = [eqn.primitive.name for eqn in tj.make_jaxpr(fun)(*given).equations]
    assert {"scan", "while"} & {*names}


def an_argument(x: Any, y: Any) -> Any:
    for _ in range(500):
        y[:] = x * 1.1 + 0.1
        x, y = y, x
        if x.sum() > 500:
            break
    return x, y


def known_by_a_view(x: Any, y: Any) -> Any:
    a, b = x.copy(), y.copy()
    part = a[2:]
    for _ in range(500):
        b[:] = a * 1.1 + part[0]
        a, b = b, a
        if a.sum() > 500:
            break
    return a, b, part


@pytest.mark.parametrize("fun", [an_argument, known_by_a_view])
def test_arrays_that_others_see_change_places_round_by_round(fun: Callable[..., Any]) -> None:
    given = np.arange(8.0), np.ones(8)
    mine, written = [x.copy() for x in given], [x.copy() for x in given]
    found, expected = tj.jit(fun)(*mine), fun(*written)
    for x, y in zip((*found, *mine), (*expected, *written), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


def pivoted(A: Any) -> Any:
    """Triangular factors in place, and the order of the rows."""
    order = np.arange(A.shape[0])
    for k in range(A.shape[0] - 1):
        best = k + np.argmax(np.abs(A[k:, k]))
        if best != k:
            A[[k, best]] = A[[best, k]]
            order[[k, best]] = order[[best, k]]
        for i in range(k + 1, A.shape[0]):
            A[i, k] /= A[k, k]
            A[i, k + 1 :] -= A[i, k] * A[k, k + 1 :]
    return order


def test_known_arrays_that_the_function_makes_are_read_and_written_at_traced_places() -> None:
    A = np.random.default_rng(5).random((9, 9))
    given, mine = A.copy(), A.copy()
    np.testing.assert_array_equal(tj.jit(pivoted)(mine), pivoted(given))
    np.testing.assert_allclose(mine, given, rtol=1e-12)


def swapped_by_chance(x: Any, y: Any, s: Any) -> Any:
    while s > 0.3:
        s = s * 0.7
        x, y = y, x
    x[0] += 1.0
    return x, y


def swapped_within(x: Any, y: Any, s: Any) -> Any:
    for k in range(20):
        w = s + k
        while w > 5.0:
            w = w * 0.5
            x, y = y, x
    for v in y:
        x[0] += v
    return x, y


def made_anew_by_chance(x: Any, y: Any, s: Any) -> Any:
    while s > 0.3:
        s = s * 0.7
        x = x * 0.5
    x[0] = 9.0
    return x, y


def made_anew_on_a_path(x: Any, y: Any, s: Any) -> Any:
    for i in range(20):
        if s * i > 7.0:
            x = x * 0.9
    x[1:] += 1.0
    return x, y


def made_anew_in_a_loop_within(x: Any, y: Any, s: Any) -> Any:
    z = y
    for i in range(20):
        w = s - i
        while w > 0.3:
            w = w - 1.0
            z = z + 1.0
    z[2] = 5.0
    return x, y


@pytest.mark.parametrize("fun", [
    swapped_by_chance, swapped_within, made_anew_by_chance, made_anew_on_a_path,
    made_anew_in_a_loop_within,
])  # fmt: skip
@pytest.mark.parametrize("s", [0.1, 0.4, 0.5, 1.5])
def test_arrays_that_may_be_the_callers_behind_a_loop_are_written_to(
    fun: Callable[..., Any], s: float
) -> None:
    theirs, mine = ([np.arange(8.0), np.arange(8.0) ** 2] for _ in range(2))
    expected, found = fun(*theirs, s), tj.jit(fun)(*mine, s)
    for a, b in zip((*found, *mine), (*expected, *theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12)


def test_arrays_that_may_be_the_callers_are_read_behind_a_loop_that_is_traced_once() -> None:
    def fun(x: Any, tolerance: Any) -> Any:
        error = 1.0
        while error > tolerance:
            old, x = x, 0.5 * (x + 2.0 / x)
            error = np.max(np.abs(x - old))
        fixed = x.copy()
        fixed[0] = 0.0
        return fixed, old

    primitives = [e.primitive.name for e in tj.make_jaxpr(fun)(np.arange(1.0, 9.0), 1e-8).equations]
    assert "while" in primitives

"""Python loops that are traced once: what they compute, what they carry, what they refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import TracejitError, UnsupportedError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import count_equations, held_jaxprs

RNG = np.random.default_rng(4)
X = RNG.random(100)
M = RNG.random((40, 30))


def primitives(jaxpr: Jaxpr) -> list[str]:
    """The names of all operations, those inside of others included."""
    names = []
    for eqn in jaxpr.equations:
        names.append(eqn.primitive.name)
        for _, inner in held_jaxprs(eqn):
            names += primitives(inner)
    return names


def check(fun: Callable[..., Any], *args: Any, rolled: int | None = None) -> None:
    """Python, the compiled program and the interpreter agree; so do the arrays written to."""

    def both(*args: Any) -> Any:
        args = tuple([a.copy() if np.ndim(a) else a for a in args])
        return fun(*args), args

    expected = tj.tree.leaves(both(*args))
    for backend in ("native", "eager"):
        found = tj.tree.leaves(tj.jit(both, backend=backend)(*args))
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
    if rolled is not None:
        names = primitives(tj.make_jaxpr(both)(*args))
        assert sum(name in ("scan", "while") for name in names) == rolled


def test_names_bound_anew_are_carried() -> None:
    def f(x: Any) -> Any:
        total, count, last = 0.0, 0, None
        for i in range(100):
            total = total + np.sin(x[i]) * i
            count += 2
        return total, count, last

    check(f, X, rolled=1)


def test_arrays_written_to_are_carried() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(100)
        y[0] = x[0]
        for i in range(1, 100):
            y[i] = 0.5 * y[i - 1] + x[i]
            x[i] *= 2
        return y

    check(f, X, rolled=1)


def test_two_names_of_one_array_stay_one() -> None:
    def f(x: Any) -> Any:
        y = x
        z = x.copy()
        for i in range(1, 100):
            x[i] = y[i - 1] + 1
        return y, z

    check(f, X, rolled=1)


def test_a_view_made_ahead_of_the_loop_sees_its_writes() -> None:
    def f(x: Any) -> Any:
        row = x[3]
        for i in range(1, 40):
            x[i] = x[i - 1] + row
        return row.copy()

    check(f, M, rolled=1)


def test_steps_and_bounds() -> None:
    def f(x: Any) -> Any:
        s = 0.0
        for i in range(90, 9, -2):
            s = s * 0.5 + x[i] * i
        for j in range(3, 96, 7):
            s = s + x[j - 3]
        for _ in range(0):
            s = s + 1
        return s, i, j

    check(f, X)


def test_loops_within_loops_with_bounds_of_the_outer() -> None:
    def f(a: Any) -> Any:
        n = a.shape[1]
        for i in range(n):
            for j in range(i):
                a[i, j] -= np.dot(a[i, :j], a[j, :j])
                a[i, j] /= a[j, j] + 2
            a[i, i] = np.sqrt(np.abs(a[i, i] - np.dot(a[i, :i], a[i, :i])) + 1)
        for i in range(n - 1, -1, -1):
            for j in range(n - 1, i, -1):
                a[i, j] = a[j, i]

    check(f, M[:30].copy(), rolled=4)


def test_structures_among_the_variables() -> None:
    class State:
        def __init__(self, v: Any) -> None:
            self.v = v
            self.log = {"sum": 0.0, "pair": (1.0, v)}

    def f(x: Any) -> Any:
        state, names = State(x[0]), ["a", "b"]
        for i in range(100):
            state.v = 0.9 * state.v + x[i]
            first, second = state.log["pair"]
            state.log["pair"] = (second, first + state.v)
            state.log["sum"] += first
        return state.v, state.log, len(names)

    check(f, X, rolled=1)


def test_branches_in_the_body() -> None:
    def f(x: Any) -> Any:
        s, hits, kept = 0.0, 0, np.zeros(100)
        for i in range(100):
            if x[i] > 0.7:
                s = s + np.exp(x[i])
                hits += 1
                kept[i] = s
            elif x[i] < 0.2 and i > 5:
                s = s - x[i]
            else:
                kept[i] = -1
            s = max(s, 0.5 * x[i])
        return s, hits, kept

    check(f, X, rolled=1)


def test_the_common_end_of_branches_is_there_once() -> None:
    def f(x: Any) -> Any:
        s = 0.0
        for i in range(100):
            y = np.sin(x[i]) if x[i] > 0.5 else np.cos(x[i])
            z = 2.0 if y > 0.9 else 3.0
            for k in range(10):
                s = s + np.tanh(y * z + k)
        return s

    check(f, X)
    assert primitives(tj.make_jaxpr(f)(X)).count("tanh") == 10


def test_rows_of_a_traced_array() -> None:
    def f(m: Any) -> Any:
        total = np.zeros(30)
        for row in m:
            total = np.sin(total * 0.5 + row) * row + np.cos(row)
        return total, row

    check(f, M, rolled=1)


def test_views_that_are_left_over_from_other_rounds() -> None:
    def f(image: Any) -> Any:
        h, w = image.shape
        out = np.empty((h // 2, w // 2))
        for i in range(h // 2):
            for j in range(w // 2):
                patch = image[2 * i : 2 * i + 2, 2 * j : 2 * j + 2]
                flat = patch.T
                out[i, j] = np.max(flat)
        return out, patch, flat

    check(f, M, rolled=1)


def test_while_on_traced_values() -> None:
    def f(x: Any) -> Any:
        y, rounds = x[0] + 2, 0
        while np.abs(y * y - 2) > 1e-10 and rounds < 50:
            y = 0.5 * (y + 2 / y)
            rounds += 1
        return y, rounds

    check(f, X)


def test_while_with_a_condition_that_is_known_at_first() -> None:
    def f(x: Any) -> Any:
        change = 1
        while change > 1e-9:
            old = x.copy()
            x[1:-1] = 0.5 * (x[2:] + x[:-2])
            change = np.abs(x - old).max()
        return change

    check(f, X[:8])


def test_what_cannot_be_rolled_is_unrolled() -> None:
    def grows(x: Any) -> Any:
        found = []
        for i in range(100):
            found.append(x[i] * 2)
        return np.stack(found)

    def sizes(x: Any) -> Any:
        s = 0.0
        for i in range(1, 40):
            s = s + np.zeros(i).sum() + np.ones((i, 2))[0, 0] * x[i]
        return s

    def returns(x: Any) -> Any:
        for i in range(100):
            if i == 7:
                return x[i]
        return x[0]

    def leaves_with_more(x: Any) -> Any:
        s = 0.0
        for i in range(100):
            s = s + x[i]
            if s > 20:
                s = -s
                break
        else:
            s = 1e9
        return s

    for f in (grows, sizes, returns, leaves_with_more):
        check(f, X, rolled=0)


def test_breaks() -> None:
    def solver(x: Any) -> Any:
        y, trace = x[:3] + 1, np.zeros(60)
        for k in range(60):
            old = y.copy()
            y = 0.5 * (y + 2 / y)
            change = np.abs(y - old).max()
            trace[k] = change
            if change < 1e-9 and k > 2:
                break
            y = y + 0.0
        return y, k, trace, change

    def found(x: Any) -> Any:
        at, s = -1, 0.0
        for i in range(100):
            if x[i] < 0.05:
                continue
            s += x[i]
            if x[i] > 0.99:
                at = i
            if s > 7.0:
                break
            if not at < 0:
                break
        return at, s, i

    def nested(x: Any) -> Any:
        s = 0.0
        for i in range(1, 30):
            for j in range(i):
                s = s + x[j] * x[i]
                if s > i:
                    break
            s = s * 0.5
        return s, j

    def never(x: Any) -> Any:
        s = 0.0
        for i in range(100):
            s = s + x[i]
            if s > 1e9:
                break
        return s, i

    for f in (solver, found, nested, never):
        check(f, X)
        names = primitives(tj.make_jaxpr(f)(X))
        assert "while" in names and "guard" not in names


def test_while_true() -> None:
    def newton(x: Any) -> Any:
        y, rounds = x[0] + 1, 0
        while True:
            step = (y * y - 2) / (2 * y)
            if np.abs(step) < 1e-9:
                break
            y = y - step
            rounds += 1
            if rounds > 50:
                break
        return y, rounds

    def returns(x: Any) -> Any:
        y = x[0] + 1
        while True:
            y = 0.5 * (y + 2 / y)
            if np.abs(y * y - 2) < 1e-9:
                return y

    def negated(x: Any) -> Any:
        y, done = x[0] + 1, x[0] > 5
        while not done:
            y = 0.5 * (y + 2 / y)
            done = np.abs(y * y - 2) < 1e-9
        return y

    for f in (newton, returns, negated):
        check(f, X)
        names = primitives(tj.make_jaxpr(f)(X))
        assert "while" in names and "guard" not in names
    slope = tj.jit(tj.grad(lambda a: solve(a)))(3.0)
    np.testing.assert_allclose(slope, 0.5 / np.sqrt(3.0), rtol=1e-6)


def test_while_with_or_takes_guards() -> None:
    def f(x: Any) -> Any:
        y, k = x[0] * 64, 0
        while y > 4 or k < 3:
            y, k = y / 2, k + 1
        return y, k

    for start in (0.1, 0.5, 2.0):
        check(f, X + start)


def solve(a: Any) -> Any:
    """The square root, with an end that is decided in the middle."""
    y = a
    for _ in range(100):
        old = y
        y = 0.5 * (y + a / y)
        if abs(y - old) < 1e-12:
            break
    return y


def test_short_loops_are_unrolled() -> None:
    def f(x: Any) -> Any:
        for i in range(3):
            x = np.sin(x) + i
        return x

    check(f, X, rolled=0)


def test_the_loops_of_nested_comprehensions_see_plain_numbers() -> None:
    def pairs(x: Any) -> Any:
        return np.stack([x[i] * j for j in range(3) for i in range(50)])

    def rows(m: Any) -> Any:
        return np.stack([a * 2 for row in m for a in row])

    def mapping(x: Any) -> Any:
        return {k: x[i] * k for k in range(2) for i in range(30)}, sum({x[i] for i in range(40)})

    def lazily(x: Any) -> Any:
        return sum(x[i] for j in range(9) for i in range(j, 40))

    def statement_within(x: Any) -> Any:
        total = 0.0
        for i in range(40):
            total = total + sum([x[i] * k for k in range(3)])
        return total

    check(pairs, X)
    check(rows, M)
    check(mapping, X)
    check(lazily, X)
    check(statement_within, X, rolled=1)


def test_comprehensions_and_iterators_see_plain_numbers() -> None:
    def f(x: Any) -> Any:
        parts = [x[i] for i in range(50)] + [sum(x[k] for k in range(20))]
        for i, p in zip(range(6), parts):  # noqa: B905
            x = x + p * i
        return x, list(range(5)), isinstance(range(3), range)

    assert tj.jit(f)(X)[1] == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(tj.jit(f)(X)[0], f(X)[0])


def test_an_error_in_the_body_is_the_users() -> None:
    def f(x: Any) -> Any:
        for i in range(50):
            x = x + np.ones(3) * i
        return x

    with pytest.raises((TracejitError, ValueError), match=r"100"):
        tj.jit(f)(X)


def test_the_world_is_as_before_behind_a_trace() -> None:
    assert "range" not in globals()
    tj.jit(lambda x: np.zeros(3) + x)(1.0)
    assert "range" not in globals()
    assert type(np.zeros(3)) is np.ndarray
    assert np.zeros.__module__ == "numpy"
    with pytest.raises(ZeroDivisionError):
        tj.jit(lambda x: x + 1 / 0)(1.0)
    assert "range" not in globals() and type(np.ones(2)) is np.ndarray


def test_a_known_array_that_is_written_to() -> None:
    def f(x: Any) -> Any:
        a = np.array([1.0, 2.0, 3.0])
        b = np.linspace(0, 1, 5)
        a[1] = x[0]
        b[2:4] = x[:2]
        for i in range(100):
            a[0] += x[i]
        return a, b

    check(f, X)


def test_programs_stay_small() -> None:
    def f(x: Any) -> Any:
        for i in range(100_000):
            x = x * 0.999 + 0.001 * i
        return x

    assert count_equations(tj.make_jaxpr(f)(1.0)) < 20
    np.testing.assert_allclose(tj.jit(f)(1.0), f(1.0), rtol=1e-9)


def test_gradients_through_rolled_loops() -> None:
    def f(x: Any) -> Any:
        y = np.zeros(100)
        for i in range(1, 100):
            y[i] = np.sin(y[i - 1]) + x[i] * x[i - 1]
            if x[i] > 0.5:
                y[i] *= x[i]
        return np.sum(y)

    found = tj.jit(tj.grad(f))(X)
    step = 1e-6
    for k in (0, 1, 50, 99):
        e = np.zeros(100)
        e[k] = step
        slope = (f(X + e) - f(X - e)) / (2 * step)
        np.testing.assert_allclose(found[k], slope, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(found, tj.grad(f)(X), rtol=1e-12)


def test_range_of_this_package_is_always_rolled() -> None:
    def short(x: Any) -> Any:
        for i in tj.range(3):
            x = x + i
        return x

    check(short, 1.0, rolled=1)
    assert list(tj.range(3)) == [0, 1, 2] and tj.range(2, 9)[1] == 3

    def grows(x: Any) -> Any:
        found = []
        for i in tj.range(7):
            found.append(x * i)
        return found

    with pytest.raises(UnsupportedError, match="cannot be traced once: found") as caught:
        tj.jit(grows)(1.0)
    assert "test_rolling.py" in str(caught.value)
    assert tj.jit(lambda n: sum_to(n))(100) == 4950


def sum_to(n: Any) -> Any:
    """A function that another one calls, with a traced bound."""
    total = 0
    for i in tj.range(n):
        total += i
    return total


def test_derivatives_under_vmap_roll_too() -> None:
    def f(a: Any, x: Any) -> Any:
        s = a
        for i in range(100):
            s = np.sin(s) + x[i] if x[i] > 0.5 else s * x[i] + a
            if s > 1e3:
                break
        return s

    many = np.linspace(0.1, 2, 5)
    both = tj.vmap(tj.grad(f), (0, None))
    expected = [tj.grad(f)(a, X) for a in many]
    np.testing.assert_allclose(tj.jit(both)(many, X), expected, rtol=1e-12)
    curved = tj.jit(tj.grad(tj.grad(f)))(0.7, X)
    np.testing.assert_allclose(curved, tj.grad(tj.grad(f))(0.7, X), rtol=1e-10)


CALLS = [0]
TOTAL: Any = 0


def counted() -> int:
    """A function that counts its calls in a global."""
    CALLS[0] += 1
    return CALLS[0]


def test_globals_that_change_unroll() -> None:
    def f(x: Any) -> Any:
        CALLS[0] = 0
        s = 0.0
        for i in range(200):
            s = s + x[i % 100] * counted()
        return s

    def g(x: Any) -> Any:
        global TOTAL
        TOTAL = 0
        for i in range(200):
            TOTAL = TOTAL + x[i % 100]
        return TOTAL

    for h in (f, g):
        expected = h(X)
        np.testing.assert_allclose(tj.jit(h)(X), expected)


def test_known_arrays_that_become_traced_ones_are_carried() -> None:
    def f(x: Any) -> Any:
        y = np.array([1.0, 2.0])
        state = [np.array([3.0]), np.arange(2)]
        for i in range(300):
            y = y * 0.9 + x[i % 100]
            state[0] = state[0] * 0.5 + y.sum()
            state[1] = (state[1] + 1) % 5
        return y, state

    def g(x: Any) -> Any:
        y, t = np.array([1.0, 2.0]), 0.0 * x[0]
        while t < 30.0:
            if t * x[1] < 2.0:
                y, t = y + x[0], t + 1.0
            else:
                t = t + 2.0
        return y

    def written(x: Any) -> Any:
        y, s = np.array([1.0, 2.0]), 0.0
        w = y
        for i in range(300):
            y += 1.0
            s = s + x[i % 100]
            y = y + s
        return y, w

    check(f, X, rolled=1)
    check(g, X, rolled=1)
    check(written, X)

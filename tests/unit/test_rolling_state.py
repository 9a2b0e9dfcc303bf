"""Loops that keep values, or count their rounds, where their frame's variables do not show it."""

from __future__ import annotations

import importlib.util
import itertools
import random
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import LeakedTracerError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import held_jaxprs

X = np.random.default_rng(4).random(100)


def loops(jaxpr: Jaxpr) -> int:
    """How many loops there are in it."""
    found = 0
    for eqn in jaxpr.equations:
        found += eqn.primitive.name in ("scan", "while")
        found += sum(loops(inner) for _, inner in held_jaxprs(eqn))
    return found


def check(fun: Callable[..., Any], x: Any = X, *, rolled: int | None = None) -> None:
    """Python and the compiled program agree, also the gradient of all results."""

    def total(x: Any) -> Any:
        return sum(np.sum(y) for y in tj.tree.leaves(fun(x)))

    expected = tj.tree.leaves(fun(x))
    for backend in ("native", "eager"):
        found = tj.tree.leaves(tj.jit(fun, backend=backend)(x))
        for y, z in zip(found, expected, strict=True):
            np.testing.assert_allclose(y, z, rtol=1e-12)
    along = np.linspace(-1, 1, x.size).reshape(x.shape)
    slope = (total(x + 1e-6 * along) - total(x - 1e-6 * along)) / 2e-6
    found = np.sum(tj.jit(tj.grad(total))(x) * along)
    np.testing.assert_allclose(found, slope, rtol=1e-6, atol=1e-6)
    if rolled is not None:
        assert loops(tj.make_jaxpr(fun)(x)) == rolled


# Values that are kept out of sight


class Total:
    """A number of a class."""

    value: Any = 0.0


def in_a_class(x: Any) -> Any:
    Total.value = 0.0
    for i in range(100):
        Total.value = Total.value + np.sin(x[i])
    return Total.value


def in_a_generator(x: Any) -> Any:
    def terms() -> Iterator[Any]:
        for i in range(100):
            yield x[i] * i

    total, last = 0.0, 0.0
    for last in terms():
        total = total + last * last
    some = terms()
    return total, last, next(some) + 2 * next(some)


def in_a_deque(x: Any) -> Any:
    last = deque([x[0], x[1]])
    for i in range(100):
        last.append(0.5 * last.popleft() + x[i])
    return tuple(last)


def in_a_default(x: Any) -> Any:
    for i in range(100):
        line = lambda y, k=i: np.sin(y) * k
    return line(x[0])


def in_nested_lists(x: Any) -> Any:
    a: Any = [[[[[[[[0.0]]]]]]]]
    for i in range(100):
        a[0][0][0][0][0][0][0][0] += x[i]
    return a[0][0][0][0][0][0][0][0]


@pytest.mark.parametrize(
    "fun", [in_a_class, in_a_generator, in_a_deque, in_a_default, in_nested_lists]
)
def test_values_that_are_kept_out_of_sight(fun: Callable[..., Any]) -> None:
    check(fun)


def test_what_outlives_the_call_is_an_error() -> None:
    def f(x: Any) -> Any:
        for i in range(100):
            Total.value = x[i]
        return x[0]

    tj.jit(f)(X)
    with pytest.raises(LeakedTracerError):
        tj.jit(lambda x: x + Total.value)(1.0)


def test_a_generator_without_yield_in_its_loop_is_traced_once() -> None:
    def f(x: Any) -> Any:
        def parts() -> Iterator[Any]:
            s = 0.0
            for i in range(100):
                s = s + np.sin(x[i])
            yield s

        return sum(parts())

    check(f, rolled=1)


# Rounds that are counted out of sight


class Slots:
    """An object without a dict."""

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0


class Own:
    """An object that keeps its attributes in a place of its own."""

    def __init__(self) -> None:
        object.__setattr__(self, "kept", {})

    def __setattr__(self, name: str, value: Any) -> None:
        self.kept[name] = value

    def __getattr__(self, name: str) -> Any:
        return self.kept[name]


def weighed(x: Any, count: Callable[[], Any]) -> Any:
    """The elements, weighed with what is counted, and what is counted then."""
    s = 0.0
    for i in range(100):
        s = s + x[i] * count()
    return s, 1.0 * count()


def in_a_slot() -> Callable[[], Any]:
    counter = Slots()

    def count() -> Any:
        counter.count += 1
        return counter.count

    return count


def in_attributes_of_its_own() -> Callable[[], Any]:
    counter = Own()
    counter.n = 0

    def count() -> Any:
        counter.n = counter.n + 1
        return counter.n

    return count


def in_a_cell() -> Callable[[], Any]:
    n = 0

    def count() -> Any:
        nonlocal n
        n += 2
        return n

    return count


def in_its_defaults() -> Callable[[], Any]:
    def count(n: list[int] = [0]) -> Any:  # noqa: B006
        n[0] += 1
        return n[0]

    return count


def in_an_attribute_of_a_function() -> Callable[[], Any]:
    def count() -> Any:
        count.n += 1  # type: ignore[attr-defined]
        return count.n  # type: ignore[attr-defined]

    count.n = 0  # type: ignore[attr-defined]
    return count


def in_a_set() -> Callable[[], Any]:
    seen: set[int] = set()

    def count() -> Any:
        seen.add(len(seen))
        return len(seen)

    return count


def in_bytes() -> Callable[[], Any]:
    data = bytearray(9)

    def count() -> Any:
        data[3] += 1
        return data[3]

    return count


def in_a_long_list() -> Callable[[], Any]:
    data = [0] * 10000

    def count() -> Any:
        data[-1] += 1
        return data[-1]

    return count


def in_an_iterator() -> Callable[[], Any]:
    counter = itertools.count()
    return lambda: next(counter)


def in_a_generator_of_random_numbers() -> Callable[[], Any]:
    return np.random.default_rng(1).random


def in_pythons_random_numbers() -> Callable[[], Any]:
    source = random.Random(2)
    return lambda: source.gauss(0, 1)


def in_random_numbers_of_all() -> Callable[[], Any]:
    np.random.seed(3)
    random.seed(4)
    return lambda: np.random.rand() + random.random()


@pytest.mark.parametrize(
    ("make", "rolled"),
    [
        (in_a_slot, 1), (in_attributes_of_its_own, 1), (in_a_cell, 1), (in_its_defaults, 1),
        (in_an_attribute_of_a_function, 1), (in_a_set, 0), (in_bytes, 0), (in_a_long_list, 0),
        (in_an_iterator, 0), (in_a_generator_of_random_numbers, 0),
        (in_pythons_random_numbers, 0), (in_random_numbers_of_all, 0),
    ],
)  # fmt: skip
def test_rounds_that_are_counted_out_of_sight(make: Any, rolled: int) -> None:
    check(lambda x: weighed(x, make()), rolled=rolled)


def test_a_short_loop_draws_as_many_random_numbers() -> None:
    """It is unrolled behind one round that was traced once, which has drawn, too."""

    def f(x: Any) -> Any:
        source, s = np.random.default_rng(0), 0.0
        for i in range(20):
            s = s + x[i] * source.random()
        return s

    check(f, rolled=0)


def test_counters_of_classes_and_modules(tmp_path: Path) -> None:
    (tmp_path / "counting.py").write_text(
        "count = 0\nstate = [0]\n\ndef step():\n    state[0] += 1\n    return state[0]\n"
    )
    spec = importlib.util.spec_from_file_location("counting", tmp_path / "counting.py")
    assert spec is not None and spec.loader is not None
    counting: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(counting)

    def by_class(x: Any) -> Any:
        Total.value, s = 0, 0.0
        for i in range(100):
            Total.value += 1
            s = s + x[i] * Total.value
        return s

    def by_module(x: Any) -> Any:
        counting.count, s = 0, 0.0
        for i in range(100):
            counting.count += 1
            s = s + x[i] * counting.count
        return s

    def by_its_function(x: Any) -> Any:
        counting.state[0], s = 0, 0.0
        for i in range(100):
            s = s + x[i] * counting.step()
        return s

    for fun in (by_class, by_module, by_its_function):
        check(fun, rolled=0)


def test_objects_that_two_variables_name() -> None:
    def f(x: Any) -> Any:
        one, other = Slots(), Slots()
        two = one
        s = 0.0
        for i in range(100):
            two.count += 1
            s = s + x[i] * one.count
            two = other if i % 2 else one
        return s, 1.0 * two.count, 1.0 * other.count

    def g(x: Any) -> Any:
        one = two = Slots()
        for i in range(100):
            two.count += x[i]
        return one.count, two.count

    check(f, rolled=0)
    check(g, rolled=1)


def test_arrays_of_objects_hold_traced_values() -> None:
    def f(x: Any) -> Any:
        a = np.empty(3, dtype=object)
        a[1], a[2] = 1.0, x[0]
        for i in range(100):
            a[1] = a[1] + np.sin(x[i])
        return a[1] + a[2]

    check(f, rolled=0)

"""Loops that keep values, or count their rounds, where their frame's variables do not show it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
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

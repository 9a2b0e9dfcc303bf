"""Loops that know an array by one window alone carry that window, and read columns once."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native.bounds import bounded
from tracejit.backends.native.still import stilled
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.walk import evaluate, held_jaxprs
from tracejit.passes.standard import SIMPLIFY

RNG = np.random.default_rng(0)
SIZES = [(0, 3), (1, 1), (2, 5), (9, 4), (17, 18)]


def product(a, b):
    """By three loops; the inner one adds to one element."""
    c = np.zeros((a.shape[0], b.shape[1]))
    for i in tj.range(a.shape[0]):
        for j in tj.range(b.shape[1]):
            for k in tj.range(a.shape[1]):
                c[i, j] += a[i, k] * b[k, j]
    return c


def columns(a, b):
    """Column by column, below the diagonal; the adjoint sums at a column."""
    for i in tj.range(min(a.shape)):
        for j in tj.range(b.shape[1]):
            b[i, j] += np.dot(a[i + 1 :, i], b[i + 1 :, j])
    return b


def orthogonal(a, b):
    """The inner loop takes one column from those behind it."""
    q = np.zeros_like(a)
    for k in tj.range(a.shape[1]):
        q[:, k] = np.sin(a[:, k])
        for j in tj.range(k + 1, a.shape[1]):
            a[:, j] -= q[:, k] * np.tanh(np.dot(q[:, k], a[:, j]))
    return q + a * np.sum(b)


def until(a, b):
    """An inner loop of unknown length, perhaps of no round."""
    n = min(a.shape)
    for i in tj.range(n):
        while b[i, 0] < 2.0:
            b[i, 0] += 0.5 + a[i, i] ** 2
    return b


PROGRAMS = {f.__name__: f for f in (product, columns, orthogonal, until)}


def operands(name: str, m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    a = RNG.normal(size=(m, n))
    return a, RNG.normal(size=(n, m + 2) if name == "product" else (m, n + 2))


def traced(fun, *args) -> Jaxpr:
    return bounded(SIMPLIFY(tj.make_jaxpr(fun)(*args)))


def loops(jaxpr: Jaxpr) -> Iterator[Equation]:
    for eqn in jaxpr.equations:
        if eqn.primitive.name in ("scan", "while"):
            yield eqn
        for _, body in held_jaxprs(eqn):
            yield from loops(body)


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("name", PROGRAMS)
def test_the_values_are_the_same(name: str, shape: tuple[int, int]) -> None:
    f, args = PROGRAMS[name], operands(name, *shape)
    expected = f(*[x.copy() for x in args])
    got = tj.jit(f)(*[x.copy() for x in args])
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_pass_changes_no_bit(name: str) -> None:
    args = operands(name, 9, 6)
    for fun in (PROGRAMS[name], tj.grad(lambda *xs: np.sum(np.sin(PROGRAMS[name](*xs))), (0, 1))):
        before = traced(fun, *args)
        after = stilled(before)
        assert after is not before
        for x, y in zip(evaluate(before, *args), evaluate(after, *args), strict=True):
            np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients_are_those_of_the_unchanged_program(name: str) -> None:
    args = operands(name, 9, 6)
    slope = tj.grad(lambda *xs: np.sum(np.sin(PROGRAMS[name](*xs))), (0, 1))
    pairs = zip(tj.jit(slope)(*args), tj.jit(slope, backend="eager")(*args), strict=True)
    for got, expected in pairs:
        np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


def test_one_element_is_a_number() -> None:
    after = stilled(traced(product, *operands("product", 9, 6)))
    inner = [*loops(after)][-1]
    assert [v.shape for v in inner.outvars if v.dtype.kind == "f"] == [()]


def test_the_sum_of_an_adjoint_at_a_column_is_carried_as_a_column() -> None:
    slope = tj.grad(lambda *xs: np.sum(columns(*xs)))
    after = stilled(traced(slope, RNG.normal(size=(30, 20)), RNG.normal(size=(30, 22))))
    carried = {v.shape for e in loops(after) for v in e.outvars}
    assert (30, 1) in carried


def test_a_column_is_read_ahead_of_the_loop() -> None:
    after = stilled(traced(columns, RNG.normal(size=(30, 20)), RNG.normal(size=(30, 22))))
    inner = [*loops(after)][-1]
    assert (30, 1) in {x.shape for x in inner.inputs}


def test_arrays_that_are_known_otherwise_stay() -> None:
    """Two windows, the whole array beside one, another result, a window that moves."""

    def two(x, y):
        for _ in tj.range(9):
            x[0] += x[1] * y
            x[1] += y
        return x

    def whole(x, y):
        for _ in tj.range(9):
            x[0] += np.sum(x) * y
        return x

    def moving(x, y):
        for i in tj.range(9):
            x[i] += y
        return x

    for f in (two, whole, moving):
        x = RNG.normal(size=12)
        before = traced(f, x, 0.5)
        assert stilled(before) is before
        np.testing.assert_allclose(tj.jit(f)(x.copy(), 0.5), f(x.copy(), 0.5), rtol=1e-12)

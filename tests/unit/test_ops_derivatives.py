"""Derivatives where a quotient of differences says nothing: kinks, ties, zeros, duplicates, NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.ir.atoms import Atom, Literal, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate
from tracejit.ops import elementwise as ops
from tracejit.ops import indexing, reduction
from tracejit.ops.structure import reduce_sum
from tracejit.transforms.gradient import value_and_gradient


def gradients(f: Callable[..., Atom], *arrays: Any) -> list[list[float]]:
    """The gradients of sum(f(...)) with respect to the floats among the arrays."""
    values = [np.asarray(x) for x in arrays]
    with building() as builder:
        invars = [Var(type_of(x)) for x in values]
        y = f(*invars)
        total = reduce_sum(y, axes=tuple(range(y.ndim)))
    jaxpr = builder.finish(invars, [total])
    wrt = tuple(v.type.is_inexact for v in invars)
    return [np.asarray(g).tolist() for g in evaluate(value_and_gradient(jaxpr, wrt), *values)[1:]]


@pytest.mark.parametrize(
    ("primitive", "x", "expected"),
    [
        (ops.abs, 0.0, 0.0),
        (ops.sign, 0.0, 0.0),
        (ops.floor, 1.0, 0.0),
        (ops.sqrt, 0.0, np.inf),
        (ops.tanh, 30.0, 0.0),
        (ops.logistic, -800.0, 0.0),
        (ops.softplus, 800.0, 1.0),
        (ops.stop_gradient, 2.0, 0.0),
    ],
)
def test_kinks_and_ends(primitive: Any, x: float, expected: float) -> None:
    assert gradients(primitive, x) == [pytest.approx(expected, abs=1e-12)]


def test_tanh_is_accurate_where_it_saturates() -> None:
    (slope,) = gradients(ops.tanh, 15.0)
    assert slope == pytest.approx(1 / np.cosh(15.0) ** 2, rel=2e-3)


def test_a_tie_is_shared() -> None:
    x, y = np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0])
    assert gradients(ops.max, x, y) == [[0.5, 0.0, 1.0], [0.5, 1.0, 0.0]]
    assert gradients(ops.min, x, y) == [[0.5, 1.0, 0.0], [0.5, 0.0, 1.0]]
    ties = np.array([[2.0, 5.0, 5.0], [1.0, 0.0, -1.0]])
    maximum = gradients(lambda x: reduction.reduce_max(x, axes=(1,)), ties)
    assert maximum == [[[0.0, 0.5, 0.5], [1.0, 0.0, 0.0]]]


def test_running_extrema_go_to_the_first_of_a_tie() -> None:
    x = np.array([1.0, 3.0, 3.0, 2.0])
    forward = gradients(lambda x: reduction.cummax(x, axis=0, reverse=False), x)
    assert forward == [[1.0, 3.0, 0.0, 0.0]]
    backward = gradients(lambda x: reduction.cummax(x, axis=0, reverse=True), x)
    assert backward == [[0.0, 0.0, 3.0, 1.0]]


def test_powers_of_zero() -> None:
    x, y = np.array([0.0, 0.0, 2.0]), np.array([2.0, 0.0, 3.0])
    base, exponent = gradients(ops.pow, x, y)
    assert base == [0.0, 0.0, 12.0]
    assert exponent == pytest.approx([0.0, 0.0, 8 * np.log(2)])


def test_products_with_zeros() -> None:
    def product(x: Atom) -> Atom:
        return reduction.reduce_prod(x, axes=(0,))

    assert gradients(product, np.array([2.0, 0.0, 3.0])) == [[0.0, 6.0, 0.0]]
    assert gradients(product, np.array([0.0, 0.0, 3.0])) == [[0.0, 0.0, 0.0]]
    running = gradients(lambda x: reduction.cumprod(x, axis=0, reverse=False), [2.0, 0.0, 3.0])
    assert running == [[1.0, 8.0, 0.0]]


def test_cumlogsumexp_far_apart() -> None:
    def last(x: Atom) -> Atom:
        return reduction.cumlogsumexp(x, axis=0, reverse=False)

    inf = float("inf")
    assert gradients(last, np.array([-inf, -inf, 1000.0, -2000.0])) == [[0.0, 0.0, 2.0, 0.0]]


PLACES = np.array([[1], [1], [7], [0]])


def scattered(primitive: Any, x: Any, places: Any, u: Any) -> list[list[float]]:
    return gradients(lambda x, i, u: primitive(x, i, u, axes=(0,), batch=0), x, places, u)


def test_of_several_writes_to_a_place_the_last_counts() -> None:
    x, u = np.zeros(3), np.array([10.0, 20.0, 30.0, 40.0])
    assert scattered(indexing.scatter, x, PLACES, u) == [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0, 1.0]]
    assert scattered(indexing.scatter_add, x, PLACES, u) == [[1.0] * 3, [1.0, 1.0, 0.0, 1.0]]


def test_scattered_factors_that_are_zero() -> None:
    x, u = np.array([2.0, 3.0, 5.0]), np.array([0.0, 7.0, 9.0, 0.0])
    assert scattered(indexing.scatter_mul, x, PLACES, u) == [[0.0, 0.0, 1.0], [21.0, 0.0, 0.0, 2.0]]


def test_scattered_extrema_share_a_tie() -> None:
    x, u = np.array([2.0, 3.0, 5.0]), np.array([3.0, 3.0, 9.0, 1.0])
    third = pytest.approx(1 / 3)
    of_x, of_u = scattered(indexing.scatter_max, x, PLACES, u)
    assert of_x == [1.0, third, 1.0]
    assert of_u == [third, third, 0.0, 0.0]


def test_gather_clamps_in_both_directions() -> None:
    def read(x: Atom, i: Atom) -> Atom:
        return indexing.gather(x, i, axes=(0,), batch=0)

    places = np.array([[-5], [0], [1], [2], [99]])
    assert gradients(read, np.arange(3.0), places) == [[2.0, 1.0, 2.0]]


def test_ties_of_sort_keep_their_order() -> None:
    def weighted(x: Atom, w: Atom) -> Atom:
        return reduction.sort(x, axis=0, keys=1)[0] * w

    x, w = np.array([2.0, 1.0, 1.0]), np.array([10.0, 20.0, 30.0])
    assert gradients(weighted, x, w)[0] == [30.0, 10.0, 20.0]


def test_nan_of_what_is_overwritten_stays_out() -> None:
    """log has an infinite slope at 0, but nobody reads that element."""

    def repaired(x: Atom) -> Atom:
        place = Literal(0, type_of(np.zeros((1, 1), np.int64)))
        return indexing.scatter(ops.log(x), place, zero(type_of(np.zeros(1))), axes=(0,), batch=0)

    assert gradients(repaired, np.array([0.0, 2.0])) == [[0.0, 0.5]]

    def window(x: Atom) -> Atom:
        start = Literal(0, type_of(np.int64(0)))
        return indexing.dynamic_update_slice(ops.log(x), zero(type_of(np.zeros(1))), start)

    assert gradients(window, np.array([0.0, 2.0])) == [[0.0, 0.5]]


def test_the_derivative_by_both_at_the_power_of_zero() -> None:
    """d/dy of y x^(y-1) is 1 / x at y = 0."""
    x, y = np.array([4.0, 0.5]), np.zeros(2)
    mixed = tj.grad(lambda x, y: tj.grad(lambda x, y: (x**y).sum())(x, y).sum(), 1)
    assert mixed(x, y).tolist() == [0.25, 2.0]

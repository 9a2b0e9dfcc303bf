"""Jaxprs that say the same are one; what repeats is compiled."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.api.recording import record
from tracejit.ir.interning import interned, structure
from tracejit.runtime.runner import REPEATS, compiling_repeats


def _loss(x, y):
    return np.sum(np.sin(x) * y) + 1.0


def test_two_traces_of_one_function_are_one_jaxpr():
    x = np.arange(3.0)
    first, second = (record(_loss, (x, y)).jaxpr for y in (x, 2.0 * x))
    assert first is second
    assert record(_loss, (np.arange(4.0), np.arange(4.0))).jaxpr is not first


def test_numbers_parameters_and_lines_tell_jaxprs_apart():
    def of(number):
        return tj.make_jaxpr(lambda x: x * number)(1.0)

    assert structure(of(2.0)) == structure(of(2.0)) != structure(of(3.0))
    assert structure(of(0.0)) != structure(of(-0.0))
    by_axis = [tj.make_jaxpr(lambda x, a=a: np.sum(x, axis=a))(np.ones((2, 2))) for a in (0, 1)]
    assert structure(by_axis[0]) != structure(by_axis[1])
    here = tj.make_jaxpr(lambda x: x + 1.0)(1.0)
    there = tj.make_jaxpr(lambda x: x + 1.0)(1.0)
    assert structure(here) != structure(there)  # errors name the user's line


def test_held_jaxprs_count_by_what_they_say():
    def f(x):
        return tj.lax.fori_loop(0, 3, lambda i, c: np.sin(c), x)

    def g(x):
        return tj.lax.fori_loop(0, 3, lambda i, c: np.cos(c), x)

    assert interned(tj.make_jaxpr(f)(1.0)) is interned(tj.make_jaxpr(f)(1.0))
    assert interned(tj.make_jaxpr(f)(1.0)) is not interned(tj.make_jaxpr(g)(1.0))


def test_what_a_function_closes_over_may_change():
    scale = {"by": np.array([1.0, 2.0])}

    def f(x):
        return np.sum(x * scale["by"])

    slope = tj.grad(f)
    for k in range(4):
        scale["by"] = np.array([1.0, 2.0 + k])
        np.testing.assert_array_equal(slope(np.zeros(2)), scale["by"])


def test_rules_that_are_given_later_count():
    @tj.custom_jvp
    def f(x):
        return x * x

    f.defjvp(lambda p, t: (f(*p), 10.0 * t[0]))
    assert tj.grad(lambda x: f(x))(3.0) == 10.0
    f.defjvp(lambda p, t: (f(*p), 20.0 * t[0]))
    assert tj.grad(lambda x: f(x))(3.0) == 20.0


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_repeats_are_compiled(backend):
    x, y = np.linspace(0.0, 1.0, 7), np.linspace(1.0, 2.0, 7)
    with tj.config.override(backend=backend), compiling_repeats():
        slopes = [tj.grad(_loss)(x, k * y) for k in range(REPEATS + 5)]
    for k, slope in enumerate(slopes):
        np.testing.assert_allclose(slope, np.cos(x) * k * y, rtol=1e-14)

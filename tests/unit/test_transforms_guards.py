"""Zeros behind a select stay zero where a derivative is infinite; other zeros are no constants."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit.numpy  # noqa: F401  (lends tracers their operators)
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import FLOAT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.trace.stage import stage
from tracejit.transforms.gradient import value_and_gradient
from tracejit.transforms.jvp import jvp

SCALAR = array_type(FLOAT64)


def derivatives(f, x: float) -> tuple[float, float]:
    """First and second, the second forward over reverse."""
    both = value_and_gradient(stage(lambda x: [f(x)], [SCALAR]).jaxpr, (True,))
    gradient = Jaxpr(both.invars, both.equations, both.outvars[1:])
    pushed, _ = jvp(gradient, (True,), (True,))
    return evaluate(pushed, np.array(x), np.array(1.0))


def test_the_hessian_of_a_perfect_fit() -> None:
    """The residual, and with it the cotangent, is 0: (x exp x - e)^2 at 1 has curvature 8 e^2."""
    slope, curvature = derivatives(lambda x: (np.where(x > 0, np.exp(x) * x, 0) - np.e) ** 2, 1.0)
    assert slope == 0.0
    np.testing.assert_allclose(curvature, 8 * np.e**2)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: np.where(x > 0, np.sqrt(x), 0.0),
        lambda x: np.where(x > 0, x * np.log(x), 0.0),
        lambda x: np.where(x > 0, 1.0 / x, 0.0),
        lambda x: np.where(x > 0, np.exp(1000 * np.sqrt(x)), 0.0),
    ],
    ids=["sqrt", "entropy", "reciprocal", "chain"],
)
def test_nothing_comes_from_the_untaken_side(f) -> None:
    assert derivatives(f, 0.0) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("f", "slope", "curvature"),
    [
        (lambda x: np.where(x > 0, x**1.5, 0.0), 0.0, 0.0),
        (lambda x: np.where(x > 0, np.sqrt(x), x * x), 0.0, 2.0),
    ],
    ids=["power", "other side"],
)
def test_second_derivatives_at_the_kink(f, slope: float, curvature: float) -> None:
    assert derivatives(f, 0.0) == (slope, curvature)


def test_reverse_over_reverse_at_the_kink() -> None:
    """The guard itself is transposed."""
    f = stage(lambda x: [np.where(x > 0, np.sqrt(x), x * x)], [SCALAR]).jaxpr
    once = value_and_gradient(f, (True,))
    gradient = Jaxpr(once.invars, once.equations, once.outvars[1:])
    twice = value_and_gradient(gradient, (True,))
    assert evaluate(twice, np.array(0.0)) == (0.0, 2.0)

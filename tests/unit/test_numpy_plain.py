"""`math` of traced values: what they would have been as Python numbers."""

from __future__ import annotations

import math
import sys
from math import hypot, sqrt

import numpy as np
import pytest

import tracejit as tj
from tracejit.numpy.plain import FUNCTIONS

X = np.array([0.3, 0.55, 0.8, 0.45])


def every(x):
    """One call of each function that math and NumPy share."""
    return [
        math.acos(x[0]), math.acosh(x[0] + 1), math.asin(x[0]), math.asinh(x[0]), math.atan(x[0]),
        math.atan2(x[0], x[1]), math.atanh(x[0]), math.cbrt(x[0]), math.copysign(x[0], -x[1]),
        math.cos(x[0]), math.cosh(x[0]), math.degrees(x[0]), math.erf(x[0]), math.erfc(x[0]),
        math.exp(x[0]), math.exp2(x[0]), math.expm1(x[0]), math.fabs(-x[0]), math.fmod(x[0], 0.2),
        math.hypot(x[0], x[1], x[2]), math.lgamma(x[0]), math.log(x[0]), math.log(x[0], 2),
        math.log10(x[0]), math.log1p(x[0]), math.log2(x[0]), math.nextafter(x[0], x[1]),
        math.pow(x[0], x[1]), math.radians(x[0]), math.sin(x[0]), math.sinh(x[0]),
        math.sqrt(x[0]), math.tan(x[0]), math.tanh(x[0]), math.fsum(x), math.prod(x),
        math.dist(x[:2], x[2:]), math.floor(9 * x[0]), math.ceil(9 * x[0]), math.trunc(-9 * x[0]),
        math.isnan(x[0]), math.isinf(x[0]), math.isfinite(x[0]),
    ]  # fmt: skip


def test_math_is_math() -> None:
    got = tj.jit(every)(X)
    for x, y in zip(got, every(X), strict=True):
        assert x == pytest.approx(y, rel=1e-14)
        assert x.dtype == np.asarray(y).dtype
    assert set(FUNCTIONS) <= {*every.__code__.co_names}


def by_elements(x, scale):
    total = 0.0
    for i in range(4):
        total += sqrt(x[i]) * scale + hypot(x[i], 2.0) + math.exp(-x[i])
    return total


def by_arrays(x, scale):
    return np.sum(np.sqrt(x) * scale + np.hypot(x, 2.0) + np.exp(-x))


def test_derivatives_are_kept() -> None:
    want = tj.grad(by_arrays, argnums=(0, 1))(X, 3.0)
    for grad in (tj.grad(by_elements, argnums=(0, 1)),
                 tj.jit(tj.grad(by_elements, argnums=(0, 1)))):  # fmt: skip
        for x, y in zip(grad(X, 3.0), want, strict=True):
            assert np.allclose(x, y, rtol=1e-14)
    assert by_elements(X, 3.0) == pytest.approx(by_arrays(X, 3.0))


def test_they_give_way_as_python_numbers_do() -> None:
    def scaled(x):
        return x * math.sqrt(x[0]), x[:1] * math.floor(x[1] * 9)

    x = X.astype(np.float32)
    for y, z in zip(tj.jit(scaled)(x), scaled(x), strict=True):
        assert y.dtype == z.dtype == np.float32
        assert np.allclose(y, z, rtol=1e-6)


def test_types_and_numbers_are_what_they_were() -> None:
    def made(x, n):
        assert type(n) is int and isinstance(n, int) and issubclass(np.float64, float)
        assert math.gcd(12, 18) == 6 and math.pi > 3 and math.sqrt(4.0) == 2.0
        match n:
            case int(count):
                return x * count, np.zeros(count, dtype=float), x.astype(int)

    a, b, c = tj.jit(made, static_argnums=1)(2.75, 2)
    assert (a, b.tolist(), c) == (5.5, [0, 0], 2)
    assert (b.dtype, c.dtype) == (np.float64, np.int64)


def test_a_whole_number_is_an_index_and_a_bound() -> None:
    def picked(x, at):
        return x[math.floor(at)] + x[math.trunc(-at)]

    assert tj.jit(picked)(X, 1.9) == X[1] + X[-1]
    assert tj.grad(picked)(X, 1.9).tolist() == [0, 1, 0, 1]
    ceiling = tj.grad(lambda x: sum(x[i] for i in range(math.ceil(x[0] * 10 - 0.5))))
    assert ceiling(X).tolist() == [1, 1, 1, 0]


def test_more_than_one_element_is_refused() -> None:
    with pytest.raises(TypeError, match="an array of one element"):
        tj.jit(lambda x: math.sqrt(x))(X)
    assert tj.jit(lambda x: math.sqrt(x))(X[:1]) == sqrt(X[0])


def test_outside_nothing_is_changed() -> None:
    tj.jit(by_elements)(X, 3.0)
    assert math is sys.modules["math"] and sqrt is math.sqrt

"""grad and value_and_grad: values, structures, dtypes, plain Python control flow, nesting."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import GradError, TracedConversionError


def loss(w, X, y):
    return np.mean((X @ w - y) ** 2)


def test_value_and_gradient_of_a_regression(rng: np.random.Generator) -> None:
    X, y, w = rng.normal(size=(7, 3)), rng.normal(size=7), rng.normal(size=3)
    expected = 2 * X.T @ (X @ w - y) / 7
    for fun in (tj.value_and_grad(loss), tj.jit(tj.value_and_grad(loss))):
        value, gradient = fun(w, X, y)
        np.testing.assert_allclose(value, loss(w, X, y), rtol=1e-14)
        np.testing.assert_allclose(gradient, expected, rtol=1e-13)


def test_scalars_in_scalars_out() -> None:
    value, gradient = tj.value_and_grad(np.sin)(0.5)
    assert type(value) is type(gradient) is np.float64
    assert type(tj.grad(np.sin)(np.float32(0.5))) is np.float32
    assert type(tj.grad(np.sin)(np.array(0.5))) is np.float64


def test_a_python_float_has_the_default_dtype() -> None:
    with tj.config(default_float="float32"):
        value, gradient = tj.value_and_grad(lambda x: x * 2)(0.5)
    assert value.dtype == gradient.dtype == np.float32


def test_gradients_are_fresh_arrays() -> None:
    c = np.ones(3)
    gradient = tj.grad(lambda x: np.sum(x * c))(np.zeros(3))
    gradient[:] = 7.0
    constant = tj.grad(lambda x: np.sum(x))(np.zeros(3))
    constant[:] = 7.0
    np.testing.assert_array_equal(c, np.ones(3))


class Point(NamedTuple):
    x: object
    y: object


@dataclass
class Model:
    w: object
    name: str = field(metadata={"static": True})


def test_gradients_have_the_structure_of_the_arguments() -> None:
    tree = {"p": Point(1.0, [2.0, None]), "m": Model(np.ones(2), "m"), "e": ()}

    def f(t):
        return t["p"].x * t["p"].y[0] + np.sum(t["m"].w) * 3.0

    gradient = tj.grad(f)(tree)
    assert gradient["p"] == Point(2.0, [1.0, None])
    assert gradient["m"].name == "m" and gradient["e"] == ()
    np.testing.assert_array_equal(gradient["m"].w, [3.0, 3.0])


def test_control_flow_follows_the_numbers() -> None:
    def collatz(x, n):
        while n != 1:
            x, n = (x / 2, n // 2) if n % 2 == 0 else (3 * x + 1, 3 * n + 1)
            if x > 20.0:
                x = np.sqrt(x)
        return x

    eps = 1e-6
    slope = (collatz(7.1 + eps, 7) - collatz(7.1 - eps, 7)) / (2 * eps)
    np.testing.assert_allclose(tj.grad(collatz)(7.1, 7), slope, rtol=1e-6)


@pytest.mark.parametrize(
    "number",
    [float, complex, math.exp, lambda x: x.item(), lambda x: x.tolist(), lambda x: [float(x) * 1]],
)
def test_a_python_number_of_what_is_differentiated(number) -> None:
    """It would have no derivative, silently: an error, as under jit."""
    with pytest.raises(TracedConversionError, match="lose its derivative"):
        tj.grad(lambda x: np.sum(number(x) * x))(2.0)
    assert tj.grad(lambda x: np.float64(float(np.ones(()))) * x)(2.0) == 1.0


def test_control_flow_in_nested_derivatives() -> None:
    def f(x):
        return x**3 if x > 0 else -x

    assert tj.grad(tj.grad(f))(2.0) == 12.0
    assert tj.grad(tj.grad(f))(-2.0) == 0.0
    assert tj.hessian(f)(3.0) == 18.0


def test_other_arguments_are_left_alone() -> None:
    seen = []

    def f(x, mode, *, count):
        seen.append((mode, count))
        return x ** len(range(count)) if mode == "power" else x

    assert tj.grad(f)(2.0, "power", count=3) == 12.0
    assert seen == [("power", 3)]


def test_auxiliary_data_may_be_anything() -> None:
    sentinel = object()

    def f(x):
        return x * x, {"twice": 2 * x, "note": "yes", "what": sentinel, "n": 3}

    (value, aux), gradient = tj.value_and_grad(f, has_aux=True)(3.0)
    assert (value, gradient) == (9.0, 6.0)
    assert aux == {"twice": 6.0, "note": "yes", "what": sentinel, "n": 3}
    assert type(aux["n"]) is int


def test_auxiliary_data_of_an_outer_trace() -> None:
    def outer(y):
        gradient, aux = tj.grad(lambda x: (x * y, y), has_aux=True)(2.0)
        return gradient * aux

    assert tj.grad(outer)(3.0) == 6.0


def test_perturbations_are_not_confused() -> None:
    assert tj.grad(lambda x: x * tj.grad(lambda y: x + y)(1.0))(2.0) == 1.0
    assert tj.grad(lambda x: x * tj.grad(lambda y: x * y)(1.0))(2.0) == 4.0
    nested = tj.jvp(lambda x: x * tj.jvp(lambda y: x * y, (1.0,), (1.0,))[1], (2.0,), (1.0,))
    assert nested[1] == 4.0


def test_integers_have_float0_gradients_if_they_may() -> None:
    gradient = tj.grad(lambda p: p["x"] * p["n"], allow_int=True)({"x": 2.0, "n": 3})
    assert gradient["x"] == 3.0
    assert gradient["n"].dtype == tj.float0 and gradient["n"].shape == ()


def test_integers_are_refused_before_the_function_runs() -> None:
    seen = []
    with pytest.raises(GradError, match=r"argument x\[1\] of <lambda> is i64"):
        tj.grad(lambda x: seen.append(x))([1.0, 2])
    assert seen == []


def test_a_constant_has_gradient_zero() -> None:
    np.testing.assert_array_equal(tj.grad(lambda x: 3.0)(np.ones(2)), np.zeros(2))
    assert tj.value_and_grad(lambda x: tj.stop_gradient(x) ** 2)(3.0) == (9.0, 0.0)


def test_closures_are_constants() -> None:
    X = np.arange(3.0)

    def outer(a):
        return tj.grad(lambda b: np.sum(X * a * b**2))(2.0)

    assert outer(2.0) == 24.0
    assert tj.grad(outer)(2.0) == 12.0
    assert tj.jit(tj.grad(outer))(2.0) == 12.0


def test_the_derivative_of_a_jitted_function_is_jitted() -> None:
    runs = []

    @tj.jit
    def f(x, n):
        runs.append(n)
        return x * n

    g = tj.grad(f)
    assert [g(2.0, 3.0), g(4.0, 5.0)] == [3.0, 5.0]
    assert isinstance(g, type(f)) and len(runs) == 1
    assert g.__name__ == "f"


def test_names_and_documentation_stay() -> None:
    for transform in (tj.grad, tj.value_and_grad, tj.jacfwd, tj.jacrev, tj.hessian, tj.vmap):
        assert transform(loss).__name__ == "loss"
        assert transform(loss).__wrapped__ is loss or transform is tj.hessian

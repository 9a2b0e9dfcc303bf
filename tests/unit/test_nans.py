"""debug_nans and debug_infs: what the report says, when there is one, and what it costs."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import tracejit as tj
from tracejit import backends
from tracejit.errors import NonFiniteError

BACKENDS = [name for name in ("eager", "native", "xla") if backends.available(name)]


def steep(x):
    return np.sum(np.sqrt(x))


def residual(x):
    size = np.sqrt(x * x)
    return np.sum(size)


def line_of(fun, text: str) -> str:
    lines, first = inspect.getsourcelines(fun)
    offset = next(i for i, line in enumerate(lines) if text in line)
    return f"test_nans.py:{first + offset} in {fun.__name__}"


def report(fun, *args, **knobs) -> str:
    block = tj.config(**(knobs or {"debug_nans": True}))
    with block, np.errstate(all="ignore"), pytest.raises(NonFiniteError) as caught:
        fun(*args)
    assert isinstance(caught.value, FloatingPointError)
    return str(caught.value)


@pytest.mark.parametrize("backend", BACKENDS)
def test_forward(backend) -> None:
    """The line, the operation, its operands at the first bad index; and calls before were fine."""
    f = tj.jit(steep, backend=backend)
    x = np.array([4.0, -9.0, 1.0, -1.0])
    for _ in range(3):
        assert np.isnan(f(x))
    for _ in range(2):
        text = report(f, x)
    assert "nan in the result of steep: sqrt gave nan, f64[4] at [1] (2 of 4 elements)" in text
    assert "operands: f64[4] -9.0" in text and "arose forward, in the function itself" in text
    assert line_of(steep, "np.sqrt") in text
    assert np.isnan(f(x))


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_backward(compiled) -> None:
    """0 times infinity, and where the infinity came from."""
    gradient = tj.grad(residual)
    text = report(tj.jit(gradient) if compiled else gradient, np.array([1.0, 0.0]))
    assert "mul gave nan, f64[2] at [1] (1 of 2 elements)" in text
    assert "inf" in text and "inf came from div" in text
    assert "arose backward, in the derivative of" in text
    assert line_of(residual, "x * x") in text or line_of(residual, "np.sqrt") in text


def test_a_factor_of_the_derivative() -> None:
    text = report(tj.jit(lambda x: tj.jvp(steep, (x,), (x,))[1]), np.array([0.0]))
    assert "in the derivative of sqrt" in text


def in_a_loop(x):
    def body(carry, _):
        carry = carry - x
        return carry, np.log(carry)

    return np.sum(tj.lax.scan(body, 2.5, np.arange(4.0))[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_within_a_loop(backend) -> None:
    """The equation of the body, in the first round in which it fails."""
    text = report(tj.jit(in_a_loop, backend=backend), 1.0)
    assert "log gave nan" in text and "operands: f64[] -0.5" in text
    assert line_of(in_a_loop, "np.log").replace("in_a_loop", "body") in text


def test_within_a_branch() -> None:
    def f(x):
        return tj.lax.cond(x > 0, lambda x: np.log(x), lambda x: np.sqrt(x), x)

    assert "sqrt gave nan" in report(tj.jit(f), -1.0)


def test_the_untaken_side_is_no_alarm() -> None:
    def f(x):
        return np.sum(np.where(x > 0, np.log(x), np.sqrt(1 - x))) + np.sum(np.arcsin(x))

    x = np.array([0.5, -0.5])
    with tj.debug_nans(True):
        assert np.isfinite(tj.jit(f)(x))
        assert np.isfinite(tj.jit(tj.grad(f))(x)).all()
    text = report(tj.jit(f), np.array([0.5, -2.0]))
    assert "asin gave nan, f64[2] at [1]" in text


def test_what_comes_in() -> None:
    text = report(tj.jit(steep), np.array([1.0, np.nan]))
    assert "it came in as argument x of steep, f64[2] at [1] (1 of 2 elements)" in text
    assert "first read by sqrt" in text
    known = np.array([np.nan])
    assert "came in as" in report(tj.jit(lambda x: np.sum(x * known)), np.ones(1))


@pytest.mark.parametrize("backend", BACKENDS)
def test_infinities(backend) -> None:
    text = report(
        tj.jit(lambda x: np.sum(1 / x), backend=backend), np.array([1.0, 0.0]), debug_infs=True
    )
    assert "inf in the result of <lambda>: div gave inf, f64[2] at [1]" in text
    assert "operands: f64[2] 1.0, f64[2] 0.0" in text
    with tj.debug_nans():
        assert np.isinf(tj.jit(lambda x: np.sum(1 / x), backend=backend)(np.zeros(1)))


def test_operands_of_other_shapes_are_ranges() -> None:
    text = report(tj.jit(lambda a, b: a @ b), np.full((2, 8), np.inf), np.zeros(8))
    assert "dot gave nan" in text and "f64[2,8] from inf to inf, f64[8] from 0.0 to 0.0" in text


def test_arguments_that_are_assigned_to() -> None:
    """The second run begins with what the first one began with."""

    def f(x):
        x[0] = np.log(x[0])
        return x * 2

    x = np.array([-1.0, 3.0])
    assert "log gave nan" in report(tj.jit(f), x)
    np.testing.assert_array_equal(x, [-1.0, 3.0])


def test_knobs() -> None:
    """JAX's names, for the process and for a block; machine code serves again afterwards."""
    f = tj.jit(steep)
    x = np.array([-1.0])
    tj.config.update("jax_debug_nans", True)
    try:
        with pytest.raises(NonFiniteError):
            f(x)
        with tj.debug_nans(False):
            assert np.isnan(f(x))
    finally:
        tj.config.update("debug_nans", False)
    assert np.isnan(f(x)) and np.isnan(f(x))


@tj.custom_vjp
def ruled(x):
    return x * 2.0


def ruled_back(x, ct):
    def step(_, value):
        return value / x

    return (tj.lax.fori_loop(0, 2, step, ct) * 0.0 + ct / x * x,)


ruled.defvjp(lambda x: (x * 2.0, x), ruled_back)


@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_a_rule_of_the_user_is_the_derivative_of_its_function(compiled) -> None:
    gradient = tj.grad(lambda x: ruled(x))
    text = report(tj.jit(gradient) if compiled else gradient, 0.0)
    assert "arose backward, in the derivative of ruled (reverse mode)" in text
    assert line_of(ruled_back, "* 0.0") in text


def test_the_value_that_a_rule_computes_is_forward() -> None:
    @tj.custom_jvp
    def logarithm(x):
        return np.log(x)

    logarithm.defjvp(lambda primals, ts: (np.log(primals[0]), ts[0] / primals[0] * 0.0))
    jvp = lambda x: tj.jvp(logarithm, (x,), (x,))
    assert "arose forward" in report(tj.jit(jvp), -1.0)
    infinite = lambda x: tj.jvp(logarithm, (x,), (1.0,))[1]
    assert "in the derivative of logarithm (forward mode" in report(tj.jit(infinite), 0.0)


def test_complex_results_are_looked_at() -> None:
    with pytest.raises(NonFiniteError, match="sub gave nan, c128"), tj.debug_nans(True):
        tj.jit(lambda z: z / 0.0 - z / 0.0, backend="eager")(1.0 + 1.0j)


def test_what_came_in_is_called_by_its_name() -> None:
    weights = np.array([1.0, np.nan])

    def model(params, x):
        return np.sum(params["w"] * x)

    text = report(tj.jit(model), {"b": 1.0, "w": weights}, 2.0)
    assert "it came in as argument params['w'] of model, f64[2] at [1]" in text
    text = report(tj.jit(lambda x: np.sum(weights * x)), 2.0)
    assert "it came in as an array that <lambda> closes over" in text
    assert "nan in the result of steep" in report(tj.grad(steep), np.array([-1.0]))

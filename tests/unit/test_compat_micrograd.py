"""The micrograd style."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest

import tracejit as tj
from tracejit.compat.micrograd import MLP, Layer, Neuron, Value
from tracejit.errors import ArgumentError


def test_the_example_of_its_readme() -> None:
    a, b = Value(-4.0), Value(2.0)
    c, d = a + b, a * b + b**3
    c += c + 1
    c += 1 + c + (-a)
    d += d * 2 + (b + a).relu()
    d += 3 * d + (b - a).relu()
    e = c - d
    g = e**2 / 2.0
    g += 10.0 / e**2
    g.backward()
    assert f"{g.data:.4f}" == "24.7041"
    assert f"{a.grad:.4f} {b.grad:.4f}" == "138.8338 645.5773"
    assert e.grad == pytest.approx(e.data - 20 / e.data**3, rel=1e-15)


def test_every_operation() -> None:
    x = Value(0.7)
    cases = {
        "tanh": (x.tanh(), 1 - math.tanh(0.7) ** 2), "exp": (x.exp(), math.exp(0.7)),
        "log": (x.log(), 1 / 0.7), "2 - x": (2 - x, -1.0), "1 / x": (1 / x, -1 / 0.49),
        "relu": ((-x).relu(), 0.0), "2 ** x": (2**x, math.log(2) * 2**0.7), "3 x": (3 * x, 3.0),
        "x / 2": (x / 2, 0.5), "x - 1": (x - 1, 1.0),
        "sigmoid": (x.sigmoid(), math.exp(-0.7) / (1 + math.exp(-0.7)) ** 2),
    }  # fmt: skip
    for name, (y, expected) in cases.items():
        x.grad = 0.0
        y.backward()
        assert x.grad == pytest.approx(expected, rel=1e-14), name


def test_gradients_add_up_and_are_forgotten() -> None:
    x = Value(3.0)
    y = x * x
    z = y + x
    for expected in (7.0, 14.0):
        z.backward()
        assert x.grad == expected
    assert y.grad == 2.0 and z.grad == 1.0
    y.grad = 0.0
    assert y.grad == 0.0


def test_what_drawings_look_at() -> None:
    x, y = Value(1.0, label="x"), Value(2.0)
    z = x * y
    assert z._prev == {x, y} and z._op == "*" and x.label == "x" and x._op == ""
    assert repr(x) == "Value(data=1.0, grad=0.0)"


def test_comparison_with_floats() -> None:
    assert Value(1.0) < 2 and Value(3.0) > Value(2.0) and Value(2.0) >= 2 and Value(2.0) <= 2
    assert float(Value(2.5)) == 2.5


def test_a_value_becomes_a_native_function() -> None:
    a, b = Value(2.0), Value(-3.0)
    y = (a * b + 10.0).tanh()
    f = y.compile(a, b)
    assert f(2.0, -3.0) == tj.jit(lambda a, b: np.tanh(a * b + 10.0))(2.0, -3.0)
    assert f(1.0, 1.0) == pytest.approx(math.tanh(11.0), rel=1e-15)
    assert y.compile()(2.0, -3.0) == f(2.0, -3.0)
    slope = tj.jit(tj.grad(y.compile(a).__wrapped__))(2.0)
    y.backward()
    assert slope == pytest.approx(a.grad, rel=1e-14)


def test_a_chain_of_20000_values() -> None:
    x = y = Value(1.0)
    for _ in range(20_000):
        y = y + x
    y.backward()
    assert y.data == 20_001.0 and x.grad == 20_001.0


def test_a_network_learns() -> None:
    random.seed(1)
    net = MLP(3, [4, 4, 1])
    assert repr(net).startswith("MLP of [Layer of [ReLUNeuron(3), ReLUNeuron(3)")
    assert len(net.parameters()) == 41
    assert isinstance(net.layers[0], Layer) and isinstance(net.layers[0].neurons[0], Neuron)
    xs = [[2.0, 3.0, -1.0], [3.0, -1.0, 0.5], [0.5, 1.0, 1.0], [1.0, 1.0, -1.0]]
    ys = [1.0, -1.0, -1.0, 1.0]
    losses = []
    for _ in range(15):
        loss = sum((net(x) - y) ** 2 for x, y in zip(xs, ys, strict=True))
        net.zero_grad()
        loss.backward()
        losses.append(loss.data)
        for p in net.parameters():
            p.data += -0.02 * p.grad
    assert losses[-1] < losses[0] / 5


def test_messages() -> None:
    with pytest.raises(ArgumentError, match="a Value is one number"):
        Value([1.0, 2.0])
    with pytest.raises(ArgumentError, match="takes Values and numbers, not str"):
        Value(1.0) + "x"


def test_where_python_has_errors_there_is_infinity() -> None:
    x = Value(0.0)
    for y, value, slope in (
        (1 / x, math.inf, -math.inf), (x.log(), -math.inf, math.inf), (x**-1, math.inf, -math.inf),
        (Value(1000.0).exp() * x, math.nan, math.inf), (x**0, 1.0, 0.0), (x**0.5, 0.0, math.inf),
    ):  # fmt: skip
        x.grad = 0.0
        y.backward()
        np.testing.assert_equal([y.data, x.grad], [value, slope])
    y = Value(-8.0) ** (1 / 3)
    assert math.isnan(y.data)
    with pytest.raises(ArgumentError, match="a Value is one number"):
        Value("two")


def test_no_nan_from_what_was_not_taken() -> None:
    x = Value(-1.0)
    (x.log().relu() * 0.0 + (x * 2.0).relu() + x).backward()
    assert x.grad == 1.0


def test_compiled_as_it_is_now() -> None:
    a, b = Value(2.0), Value(3.0)
    y = a * b
    assert y.compile(a)(5.0) == 15.0
    a.data, b.data = 7.0, 4.0
    assert y.compile(a)(5.0) == 20.0 and y.compile()(2.0, 3.0) == 6.0
    assert y.compile(a, Value(1.0))(5.0, 1.0) == 20.0


def test_numbers_of_numpy_are_numbers() -> None:
    x = Value(np.float64(2.0))
    y = np.int64(3) * x + 1 + np.float32(0.5)
    assert y.data == 7.5 and isinstance(y.data, float)


def test_a_step_is_not_slower_than_a_walk() -> None:
    """Two thousand operations of a form that is new each time: nothing is compiled for them."""
    x, total = Value(0.5), Value(0.0)
    for k in range(2000):
        total = total + (x * (k % 7) + 1.0).tanh()
    total.backward()
    slopes = [(k % 7) * (1 - math.tanh(0.5 * (k % 7) + 1.0) ** 2) for k in range(2000)]
    assert x.grad == pytest.approx(sum(slopes), rel=1e-12)

"""roll: a straight line of equations that repeats itself becomes a loop, of the same values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import tracejit as tj
from tracejit import lax, tree
from tracejit.ir.check import verify
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import count_equations, evaluate
from tracejit.passes import roll as module
from tracejit.passes.repeats import Run, find_runs
from tracejit.passes.roll import roll
from tracejit.runtime.values import canonical, type_of_value
from tracejit.trace.stage import Finish, stage


def forever(n):
    """0, 1, ..., n - 1, of which nobody sees that it is a range."""
    for k in itertools.count():
        if k == n:
            return
        yield k


@pytest.fixture
def straight(monkeypatch):
    """Stages a function as it is, unrolled; returns its jaxpr and its inputs. Shorter ones than
    in earnest are rolled."""
    monkeypatch.setattr(module, "LEAST", 300)
    monkeypatch.setattr(Finish, "step", staticmethod(lambda jaxpr, captured: (jaxpr, captured)))

    def trace(f, *args):
        leaves = [canonical(x, str) for x in args]
        staged = stage(lambda *xs: tree.leaves(f(*xs)), [type_of_value(x) for x in leaves])
        return staged.jaxpr, [*map(np.asarray, (*staged.captured, *leaves))]

    return trace


def check(straight, f, *args, most):
    """The rolled function has the values of the straight one, and few equations."""
    jaxpr, inputs = straight(f, *args)
    captured = dict(zip(jaxpr.invars[: len(inputs) - len(args)], inputs, strict=False))
    rolled, values = roll(jaxpr, captured)
    verify(rolled)
    assert count_equations(rolled) <= most < len(jaxpr.equations)
    outs = evaluate(rolled, *values.values(), *inputs[len(captured) :])
    for x, y in zip(evaluate(jaxpr, *inputs), outs, strict=True):
        np.testing.assert_array_equal(x, y)
    return rolled


def scans(jaxpr: Jaxpr) -> list[dict]:
    return [eqn.params for eqn in jaxpr.equations if eqn.primitive.name == "scan"]


# Values handed from round to round


def test_scalar_recurrence(straight):
    def f(x, a):
        for _ in forever(400):
            x = np.sin(x) * 0.5 + a * 0.1
        return x

    (loop,) = scans(check(straight, f, 1.0, 2.0, most=5))
    assert (loop["length"], loop["num_consts"], loop["num_carry"]) == (400, 1, 1)


def test_vector_recurrence_reads_a_captured_array(straight):
    w = np.random.default_rng(0).normal(size=(5, 5))

    def f(x):
        for _ in forever(300):
            y = np.tanh(w @ x)
            x = x + 0.1 * (np.roll(y, 1) - y)
        return x.sum()

    check(straight, f, np.linspace(0, 1, 5), most=16)


def test_several_values_back(straight):
    def f(x):
        a, b, c = x, x * 2, x * 3
        for _ in forever(400):
            a, b, c = b, c, np.cos(a) + 0.5 * c
        return a, b, c

    (loop,) = scans(check(straight, f, 0.3, most=10))
    assert loop["num_carry"] == 3


def test_runge_kutta(straight):
    def rate(y):
        return np.stack([y[1], -np.sin(y[0])])

    def f(y, h):
        for _ in forever(100):
            k1 = rate(y)
            k2 = rate(y + h / 2 * k1)
            k3 = rate(y + h / 2 * k2)
            k4 = rate(y + h * k3)
            y = y + h / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        return y

    check(straight, f, np.array([1.0, 0.0]), 0.01, most=60)


def test_written_arrays(straight):
    def f(x):
        for k in forever(300):
            x = x.at[k + 1].set(np.sin(x[k]) + x[k + 1])
        return x

    check(straight, f, np.linspace(0, 1, 301), most=20)


# What differs from round to round


def test_literals_are_rows(straight):
    def f(x):
        for k in forever(400):
            x = np.sin(x) * (0.5 + 1 / (k + 1)) + k
        return x

    rolled = check(straight, f, 1.0, most=5)
    assert len(rolled.invars) == 3  # two rows of numbers ahead of the argument


def test_numbers_in_arrays_are_rows(straight):
    def f(x):
        for k in forever(400):
            x = np.sin(x) + 0.1 * k
        return x

    check(straight, f, np.ones((2, 3)), most=6)


def test_elements_at_static_places(straight):
    def f(x):
        s = x[0] * 0.0
        for k in forever(300):
            s = np.sin(s) * x[k] + x[-k - 1] * x[2 * k]
        return s

    rolled = check(straight, f, np.linspace(-1, 1, 700), most=40)
    (loop,) = scans(rolled)
    assert "dynamic_slice" not in str(loop["jaxpr"])


def test_columns_and_windows(straight):
    def f(x):
        s = np.zeros(4)
        for k in forever(200):
            s = s + x[:, k] * np.sum(x[1, k : k + 3]) + x[:, (7 * k) % 50]
        return s

    check(straight, f, np.random.default_rng(0).normal(size=(4, 203)), most=40)


def test_rows_of_a_captured_array(straight):
    data = np.random.default_rng(0).normal(size=(400, 3))

    def f(w):
        total = 0.0
        for row in data:
            total = total + np.tanh(row @ w)
        return total

    rolled = check(straight, f, np.array([1.0, -2.0, 0.5]), most=15)
    assert rolled.invars[0].shape[1:] == (3,)


def test_iteration_over_an_argument(straight):
    def f(x, y):
        total = 0.0
        for u, (k, v) in zip(x, enumerate(y), strict=True):
            total = total * 0.5 + u * v * k
        return total

    check(straight, f, np.linspace(0, 1, 400), np.linspace(1, 2, 400), most=40)


# What is read behind the loop


def test_history_is_stacked(straight):
    def f(x):
        history = []
        for _ in forever(500):
            x = np.sin(x) * 0.9 + 0.1
            history.append(x)
        return np.stack(history), history[3], history[-2], sum(history)

    check(straight, f, np.array([0.1, 0.2]), most=25)


def test_a_comprehension_is_one_operation(straight):
    def f(x):
        return np.stack([np.exp(v) * 2.0 for v in x])

    assert not scans(check(straight, f, np.linspace(0, 1, 400).reshape(200, 2), most=10))


# Several, nested, and none


def test_several_loops(straight):
    def f(x):
        for _ in forever(400):
            x = np.sin(x) * 0.5 + x
        y = np.exp(-x)
        for _ in forever(400):
            y = np.cos(y) * x
            x = x * 0.5
        return x, y

    assert len(scans(check(straight, f, 0.3, most=20))) == 2


def test_alike_loops_one_behind_the_other(straight):
    def f(x, a, b):
        for c in (a, b):
            for _ in forever(600):
                x = np.sin(x) * c
        return x

    check(straight, f, 0.3, 1.5, 2.5, most=12)


def test_loops_in_loops(straight):
    def f(x):
        for k in forever(40):
            for m in forever(400):
                x = x + np.sin(x) * (m / 100)
            x = x * k
        return x

    (outer,) = scans(check(straight, f, 0.3, most=20))
    (inner,) = scans(outer["jaxpr"])
    assert (outer["length"], inner["length"]) == (40, 400)


def test_a_round_that_differs_splits_the_loop(straight):
    def f(x):
        for k in forever(1000):
            x = np.sin(x) * 0.5
            if k == 500:
                x = np.exp(x)
        return x

    assert len(scans(check(straight, f, 0.3, most=30))) == 2


def test_red_and_black(straight):
    def f(x):
        for k in forever(400):
            y = x[k % 2 :: 2] * 0.5
            x = x + np.sum(np.sin(y))
        return x

    check(straight, f, np.linspace(0, 1, 8), most=30)


def test_short_ones_stay(straight):
    def f(x):
        for _ in forever(149):
            x = np.sin(x) * 0.5
        return x

    jaxpr, _ = straight(f, 0.3)
    assert roll(jaxpr).jaxpr is jaxpr


def test_growing_rounds_stay(straight):
    def f(x):
        parts = [x]
        for k in forever(60):
            parts.append(np.sin(parts[-1]) * sum(parts[k // 2 :]))
        return parts[-1]

    jaxpr, inputs = straight(f, 0.3)
    rolled, values = roll(jaxpr)
    assert evaluate(rolled, *values.values(), *inputs) == evaluate(jaxpr, *inputs)


@pytest.mark.parametrize("seed", range(16))
def test_random_rounds(straight, monkeypatch, seed):
    """Rounds of random operations, some of them disturbed: the values are always the same."""
    monkeypatch.setattr(module, "LEAST", 100)
    rng = np.random.default_rng(seed)
    width, rounds = int(rng.integers(3, 9)), int(rng.integers(40, 80))
    plan = rng.integers(0, 7, width), rng.integers(0, 4, (width, 2)), rng.integers(1, 3, width)
    odd = set(rng.integers(0, rounds, rng.integers(0, 3)).tolist())
    table = rng.normal(size=(rounds, 2))

    def f(x, y):
        steps = [
            lambda a, b, k: np.sin(a) + b,
            lambda a, b, k: a * 0.5,
            lambda a, b, k: b - k / 8.0,
            lambda a, b, k: a * x[k] + y[-1 - k],
            lambda a, b, k: np.sum(table[k] * x[k : k + 2]) * a,
            lambda a, b, k: np.tanh(a * b),
            lambda a, b, k: np.minimum(a, b),
        ]
        old = [x[0], y[1], x[1] * y[0], x[0] - 1.0]
        for k in forever(rounds):
            new = list(old)
            for kind, (i, j), back in zip(*plan, strict=True):
                new.append(steps[kind](new[-1 - i], new[-back - j % 2], k))
            if k in odd:
                new.append(np.exp(-new[-1] ** 2))
            old = new[-4:]
        return old

    jaxpr, inputs = straight(f, rng.normal(size=rounds + 2), rng.normal(size=rounds + 2))
    captured = dict(zip(jaxpr.invars, inputs[:-2], strict=False))
    rolled, values = roll(jaxpr, captured)
    verify(rolled)
    outs = evaluate(rolled, *values.values(), *inputs[-2:])
    np.testing.assert_array_equal(outs, evaluate(jaxpr, *inputs))
    assert odd or len(rolled.equations) < len(jaxpr.equations)


# Runs


def test_runs_in_a_sequence_of_numbers():
    rng = np.random.default_rng(0)
    noise = rng.integers(10, 1000, 300)
    short, long = np.tile([1, 2, 3], 400), np.tile(rng.integers(0, 9, 50), 40)
    numbers = np.concatenate([noise, short, noise[:100], long, noise])
    assert find_runs(numbers, 32, 1000) == [Run(300, 1500, 3), Run(1600, 3600, 50)]


def test_no_runs_in_noise():
    assert find_runs(np.random.default_rng(0).integers(0, 5, 5000), 32, 1000) == []


# In programs


def test_compiled_with_derivatives():
    def f(x, a):
        for k in forever(2000):
            x = np.sin(x) * 0.9 + a[k % 7] * 0.1 + k * 1e-4
        return x

    def by_scan(x, a):
        def step(x, k):
            return np.sin(x) * 0.9 + a[k % 7] * 0.1 + k * 1e-4, None

        return lax.scan(step, x, np.arange(2000))[0]

    args = 0.3, np.linspace(0, 1, 7)
    both, expected = [tj.jit(tj.value_and_grad(g, (0, 1)))(*args) for g in (f, by_scan)]
    np.testing.assert_allclose(both[0], expected[0], rtol=1e-13)
    for x, y in zip(both[1], expected[1], strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-10)
    assert count_equations(tj.jit(f).trace(*args)) < 200


def test_rolled_in_the_body_of_a_scan_and_under_vmap():
    def f(x):
        for _ in forever(600):
            x = np.sin(x) + 0.5
        return x

    x = np.linspace(0, 1, 3)
    jaxpr = tj.make_jaxpr(lambda x: lax.map(f, x))(x)
    assert count_equations(jaxpr) < 20
    expected = [f(v) for v in x]
    np.testing.assert_allclose(lax.map(f, x), expected, rtol=1e-14)
    np.testing.assert_allclose(tj.jit(tj.vmap(f))(x), expected, rtol=1e-14)

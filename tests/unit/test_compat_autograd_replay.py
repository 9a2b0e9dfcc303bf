"""A function is not run again where it would do the same; wherever it would not, it is."""

from __future__ import annotations

import sys
import threading
import types

import numpy as onp
import pytest

import tracejit as tj
from tracejit.compat.autograd import grad, value_and_grad
from tracejit.compat.autograd import numpy as np
from tracejit.compat.autograd.unchanged import readings_of
from tracejit.runtime.runner import REPEATS

W = onp.array([0.5, -1.0, 2.0])
SCALE = 2.0
DATA = onp.arange(3.0)
OPTIONS = {"power": 2, "arrays": [onp.ones(3)]}
MODULE = types.ModuleType("numbers_of_mine")
MODULE.factor = 3.0
BOX = types.SimpleNamespace(factor=3.0)
LOG: list = []


def helper(w):
    return np.sum(w * DATA) * SCALE


def plain(w):
    return np.sum(np.sin(w) ** OPTIONS["power"] * OPTIONS["arrays"][0]) + helper(w)


def runs_of(f, calls=REPEATS + 10):
    """How often a function is run in so many calls of its gradient."""
    count = [0]
    code = f.__code__
    slope = grad(f)

    def tracer(frame, event, arg):
        count[0] += event == "call" and frame.f_code is code

    sys.setprofile(tracer)
    try:
        for _ in range(calls):
            slope(W)
    finally:
        sys.setprofile(None)
    return count[0]


def test_a_function_of_arrays_is_not_run_again() -> None:
    assert runs_of(plain, REPEATS + 50) <= REPEATS + 2
    onp.testing.assert_allclose(grad(plain)(W), 2 * onp.sin(W) * onp.cos(W) + 2.0 * DATA)


def in_place():
    DATA[1] += 1.0


def rebound():
    global SCALE
    SCALE += 0.5


def nested():
    OPTIONS["arrays"][0] = OPTIONS["arrays"][0] + 1.0


def other_helper():
    global helper
    before = helper
    globals()["helper"] = lambda w: 2.0 * before(w)


@pytest.mark.parametrize("change", [in_place, rebound, nested, other_helper])
def test_what_it_reads_may_change(change) -> None:
    slope, before = grad(plain), {**globals()}
    kept = DATA.copy(), [*OPTIONS["arrays"]]
    try:
        for k in range(REPEATS + 30):
            if k > REPEATS + 5 and k % 4 == 0:
                change()
            onp.testing.assert_allclose(slope(W), grad(plain)(W), rtol=1e-13)
    finally:
        globals().update({n: before[n] for n in ("SCALE", "helper")})
        DATA[:], OPTIONS["arrays"] = kept


def test_closures_arguments_and_kinds_may_change() -> None:
    state = {"x": 1.0}

    def make(y):
        def f(w, k, by=1.0):
            return np.sum(w**k) * y[0] * by * state["x"]

        return f

    y = onp.array([2.0])
    f = make(y)
    slope = value_and_grad(f)
    for k in range(3 * REPEATS):
        if k > REPEATS + 5:
            y[0] += 1.0
            state["x"] = 1.0 + k % 2
        power, by = 2 + (k > 2 * REPEATS), 1.0 + k // 7
        w = W if k % 3 else W.astype(onp.float32)
        value, slopes = slope(w, power, by=by)
        factor = y[0] * by * state["x"]
        onp.testing.assert_allclose(value, onp.sum(w**power) * factor, rtol=1e-5)
        onp.testing.assert_allclose(slopes, power * w ** (power - 1) * factor, rtol=1e-5)
        assert slopes.dtype == w.dtype


def branches(w):
    return np.sum(w) if w[0] > 0 else np.sum(w**2)


def asks(w):
    return np.sum(w) * int(w[1] > 0)


def test_python_may_ask_for_numbers() -> None:
    for f in (branches, asks):
        slope = grad(f)
        for k in range(REPEATS + 10):
            w = W * (1.0 if k % 2 else -1.0)
            onp.testing.assert_allclose(slope(w), grad(f)(w))


def draws(w):
    return np.sum(w * onp.random.rand())


def prints(w):
    print("run")
    return np.sum(w)


def logs(w):
    LOG.append(1)
    return np.sum(w)


def of_module(w):
    return np.sum(w) * MODULE.factor


def of_object(w):
    return np.sum(w) * BOX.factor


def of_attribute(w):
    return np.sum(w) * of_attribute.mean


of_attribute.mean = 1.0


def counts(w, seen=[0]):  # noqa: B006
    seen[0] += 1
    return np.sum(w) * seen[0]


def by_global(w):
    global SCALE
    SCALE = SCALE * 1.0
    return np.sum(w)


def unknown(w):
    return np.sum(w) * eval("2.0")


class Model:
    factor = 2.0

    def loss(self, w):
        return np.sum(w) * self.factor


@pytest.mark.parametrize(
    "f", [draws, prints, of_module, of_object, of_attribute, by_global, unknown]
)
def test_others_are_run_in_each_call(f, capsys) -> None:
    assert readings_of(f) is None
    assert runs_of(f) == REPEATS + 10


def test_who_writes_to_what_it_reads_is_run_in_each_call() -> None:
    assert runs_of(logs) == REPEATS + 10 == len(LOG)


def test_what_a_function_does_to_its_own_is_seen() -> None:
    slope = grad(counts)
    slopes = [slope(W)[0] for _ in range(REPEATS + 20)]
    assert slopes == [float(k + 1) for k in range(REPEATS + 20)]
    model = Model()
    slope = grad(model.loss)
    for k in range(REPEATS + 10):
        model.factor = float(k)
        assert slope(W)[0] == float(k)


def test_readings() -> None:
    assert readings_of(plain) is not None and readings_of(Model().loss) is None
    assert readings_of(tj.jit(plain)) is None
    assert readings_of(lambda w: grad(plain)(w)) is not None
    slope_of_others = grad(of_module)
    assert readings_of(lambda w: slope_of_others(w)) is None
    assert readings_of(lambda w: undefined_name) is None  # noqa: F821


def test_threads_share_a_gradient() -> None:
    slope, failures = grad(plain), []

    def work(seed):
        w = onp.random.default_rng(seed).normal(size=3)
        expected = grad(plain)(w)
        for _ in range(2 * REPEATS):
            if not onp.allclose(slope(w), expected, rtol=1e-12):
                failures.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def test_reports_of_nan_are_made_again() -> None:
    slope = grad(lambda w: np.sum(np.log(w)))
    for _ in range(REPEATS + 5):
        slope(onp.abs(W))
    with tj.debug_nans(), pytest.raises(FloatingPointError):
        slope(-onp.abs(W))

"""What a round writes is handed on in a register: where that is so, where not, and equal values."""

from __future__ import annotations

import random

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tracejit import lax
from tracejit.backends.native.bounds import bounded
from tracejit.backends.native.compile import NativeBackend
from tracejit.backends.native.counting import count as counted
from tracejit.backends.native.handed import handed_on
from tracejit.backends.native.ones import numbers
from tracejit.ir.walk import evaluate, held_jaxprs
from tracejit.passes.cse import cse
from tracejit.passes.dce import dce
from tracejit.passes.fold import fold
from tracejit.passes.standard import SIMPLIFY


def prepared(f, *args):
    """The jaxpr as the pass is given it."""
    jaxpr, _ = counted(SIMPLIFY(tj.make_jaxpr(f)(*args)))
    return dce(fold(dce(fold(cse(numbers(bounded(jaxpr)))))))


def reads(jaxpr):
    """How many elements of arrays that loops write to are read in their bodies."""
    found = 0
    for eqn in jaxpr.equations:
        for _, body in held_jaxprs(eqn):
            written = {e.inputs[0] for e in body.equations if "update" in e.primitive.name}
            written |= {e.outvars[0] for e in body.equations if "update" in e.primitive.name}
            found += sum(
                e.primitive.name == "dynamic_slice" and e.inputs[0] in written
                for e in body.equations
            )
            found += reads(body)
    return found


def recurrence(order):
    def f(x):
        y = np.zeros_like(x)
        y[:order] = x[:order]
        for i in range(order, x.shape[0]):
            for k in range(1, order + 1):
                y[i] += (0.5 / k) * y[i - k]
            y[i] += x[i]
        return y

    return f


def backwards(x):
    y = x * 1.0
    for i in range(x.shape[0] - 2, -1, -1):
        y[i] = y[i] - 0.5 * y[i + 1]
    return y


def around(x):
    """The first round reads the last element, as NumPy counts."""
    y = x * 1.0
    for i in range(x.shape[0]):
        y[i] = 0.5 * y[i - 1] + x[i]
    return y


def every_other(x):
    y = x * 1.0
    for i in range(2, x.shape[0], 2):
        y[i] = 0.5 * y[i - 2] + y[i - 1]
    return y


def of_signs(x):
    """Truths are handed on, too."""
    y = x > 0
    for i in range(1, x.shape[0]):
        y[i] = y[i] ^ y[i - 1]
    return y


def sweep(a):
    a = a * 1.0
    for i in range(1, a.shape[0] - 1):
        for j in range(1, a.shape[1] - 1):
            a[i, j] = 0.25 * (a[i - 1, j] + a[i, j - 1] + a[i + 1, j] + a[i, j + 1])
    return a


def one_place(x):
    y = np.zeros_like(x)
    for i in range(1, x.shape[0]):
        for k in range(i, x.shape[0]):
            y[i] = max(y[i], x[k] - x[i - 1])
    return y


def pascal(n):
    a = np.zeros((n, n), dtype=np.int64)
    for i in range(n):
        a[i, 0] = 1
        for j in range(1, n):
            a[i, j] = a[i - 1, j - 1] + a[i, j - 1] * 0 + a[i - 1, j]
    return a


@pytest.mark.parametrize(
    ("f", "left"),
    [(recurrence(1), 1), (recurrence(2), 1), (recurrence(3), 1), (backwards, 1), (every_other, 1),
     (of_signs, 1)],
    ids=["first", "second", "third", "backwards", "every other", "truths"],
)  # fmt: skip
def test_recurrences_wait_for_no_memory(f, left):
    jaxpr = prepared(f, np.linspace(-1.0, 1.0, 500))
    before, after = reads(jaxpr), reads(dce(fold(handed_on(jaxpr))))
    assert before > after
    assert after == left  # what no round has written


def test_sweeps_read_what_rounds_of_the_outer_loop_wrote():
    jaxpr = prepared(sweep, np.ones((20, 30)))
    assert reads(dce(fold(handed_on(jaxpr)))) == reads(jaxpr) - 1


def test_a_place_that_all_rounds_write_is_a_register():
    jaxpr = prepared(one_place, np.arange(40.0))
    assert reads(jaxpr) == 1
    assert reads(dce(fold(handed_on(jaxpr)))) == 0


def test_what_no_loop_hands_on_is_left_as_it_is():
    def f(x):
        return lax.fori_loop(0, 40, lambda i, y: y.at[i].set(x[i] * 2.0), x)

    jaxpr = prepared(f, np.ones(40))
    assert handed_on(jaxpr) is jaxpr


def test_a_write_at_a_place_that_is_not_known_goes_to_memory():
    def f(x, places):
        def step(i, y):
            y = y.at[i].set(2.0 * y[i - 1])
            return y.at[places[i]].set(-1.0)

        return lax.fori_loop(1, x.shape[0], step, x)

    x, places = np.ones(20), np.array([3, 0, 1, 5, 3] * 4)
    jaxpr = prepared(f, x, places)
    assert handed_on(jaxpr) is jaxpr
    np.testing.assert_array_equal(tj.jit(f)(x, places), tj.jit(f, backend="eager")(x, places))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 7, 40])
@pytest.mark.parametrize(
    "f", [recurrence(1), recurrence(3), backwards, around, every_other, of_signs, one_place]
)
def test_values_of_recurrences(f, n, dtype):
    x = np.random.default_rng(n).normal(size=n).astype(dtype)
    if n < 3 and f.__name__ == "f" or n == 0 and f is around:
        return  # NumPy has no such elements, either
    expected, found = f(x), tj.jit(f)(x)
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5 if dtype == "float32" else 1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (3, 9), (8, 3), (20, 31)])
def test_values_of_sweeps(shape):
    a = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(tj.jit(sweep)(a), sweep(a), rtol=1e-12)


def test_values_of_integers():
    np.testing.assert_array_equal(tj.jit(pascal, static_argnums=0)(30), pascal(30))


@pytest.mark.parametrize("f", [recurrence(1), recurrence(2), backwards, every_other, around])
def test_gradients(f):
    x = np.random.default_rng(1).normal(size=25)
    weights = np.cos(np.arange(25.0))
    gradient = tj.grad(lambda x: (weights * f(x) ** 2).sum())
    np.testing.assert_allclose(
        tj.jit(gradient)(x), tj.jit(gradient, backend="eager")(x), rtol=1e-12
    )


def test_bounds_that_are_not_known_ahead():
    @tj.jit
    def f(x, low, high):
        y = x * 1.0
        for i in range(low, high):
            y[i] = y[i] + 0.5 * y[i - 1]
        return y

    x = np.random.default_rng(2).normal(size=30)
    for low, high in [(1, 30), (1, 1), (5, 3), (7, 9), (0, 30)]:
        expected = x.copy()
        for i in range(low, high):
            expected[i] += 0.5 * expected[i - 1]
        np.testing.assert_allclose(f(x, low, high), expected, rtol=1e-13)


def random_loop(seed):
    """A loop over a vector that reads and writes some elements in each round, in any order; also
    outside of it, where windows are moved into it."""
    rng = random.Random(seed)
    n, rounds, step = rng.choice([1, 6, 40, 40]), rng.choice([1, 2, 5, 9]), rng.choice([1, -1, 2])
    start = rng.randint(2, 5) if step > 0 else rounds + rng.randint(2, 5)
    count = rng.randint(2, 7)
    places = [(rng.choice([0, 2, *[1] * 14]), rng.randint(-3, 3)) for _ in range(count)]
    is_write = [rng.random() < 0.35 for _ in places]
    by_while = rng.random() < 0.4

    def body(i, y, s):
        for (n, c), write in zip(places, is_write, strict=True):
            at = (n * i + c,)
            if write:
                y = lax.dynamic_update_slice(y, tnp.reshape(0.5 * s + c, (1,)), at)
            else:
                s = s + lax.dynamic_slice(y, at, (1,))[0]
        return y, s

    def f(x):
        if by_while:
            def go(state):
                end = start + rounds * step
                return state[0] < end if step > 0 else state[0] > end

            def work(state):
                i, y, s = state
                return (i + step, *body(i, y, s))

            return lax.while_loop(go, work, (tnp.asarray(start), x, x[0]))[1:]

        def round_(carry, _):
            i, y, s = carry
            return (i + step, *body(i, y, s)), None

        return lax.scan(round_, (tnp.asarray(start), x, x[0]), None, length=rounds)[0][1:]

    return f, np.random.default_rng(seed).integers(-4, 4, n).astype(float)


@pytest.mark.parametrize("seed", range(150))
def test_random_loops_mean_the_same(seed):
    f, x = random_loop(seed)
    jaxpr = prepared(f, x)
    for found, expected in zip(
        evaluate(handed_on(jaxpr), x), evaluate(jaxpr, x), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
    if seed % 3 == 0:
        for found, expected in zip(tj.jit(f)(x), evaluate(jaxpr, x), strict=True):
            np.testing.assert_array_equal(found, expected)


def test_many_of_the_random_loops_hand_something_on():
    changed = 0
    for seed in range(80):
        jaxpr = prepared(*random_loop(seed))
        changed += handed_on(jaxpr) is not jaxpr
    assert changed >= 10


def test_the_native_backend_hands_on():
    executable = NativeBackend().compile(tj.make_jaxpr(recurrence(2))(np.ones(50)))
    assert reads(executable.jaxpr) == 1


def test_loops_that_count_down_have_a_counter():
    """Their index is no array: n minus what counts does so, too."""
    jaxpr = prepared(backwards, np.ones(50))
    (loop,) = [eqn for eqn in jaxpr.equations if eqn.primitive.name == "scan"]
    assert len(loop.inputs) == loop.params["num_consts"] + loop.params["num_carry"]

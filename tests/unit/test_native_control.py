"""Loops and branches as native code: carries of every sort, against NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from native_guarded import poison

import tracejit as tj
from tracejit import lax, tree
from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate
from tracejit.passes.inline import inline
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close
from tracejit.trace.stage import stage


def check(fun, *args) -> list[NativeExecutable]:
    """As written and simplified, twice on a poisoned workspace, the values are NumPy's."""
    operands = [np.asarray(x) for x in args]
    staged = stage(lambda *xs: tree.leaves(fun(*xs)), [type_of(x) for x in operands])
    jaxpr, leaves = staged.jaxpr, [*map(np.asarray, staged.captured), *operands]
    expected = evaluate(jaxpr, *leaves)
    rtol = 1e-6 if "f32" in str(jaxpr) else 1e-12
    runs = [NativeExecutable(step(jaxpr)) for step in (inline, SIMPLIFY)]
    for run in runs:
        for _ in range(2):
            poison(run.workspace)
            assert_close("control", jaxpr, run(*leaves), expected, rtol=rtol)
    return runs


X = np.linspace(-1.0, 1.0, 5)
M = np.linspace(-1.0, 2.0, 12).reshape(3, 4)


def swapped(a, b):
    """(a, b) -> (b, a): no buffer is overwritten before it is read."""
    return lax.scan(lambda c, _: ((c[1], c[0] + c[1]), c[0]), (a, b), None, length=5)


def rotated(a, b):
    return lax.scan(lambda c, _: ((c[1], c[2], c[0]), c[1]), (a, b, a * b), None, length=4)


def unchanged(a, b):
    """A carry that the body hands on, read after the loop when its maker is dead."""
    c = np.exp(a)
    (same, total), _ = lax.scan(lambda s, _: ((s[0], s[1] + s[0]), None), (c, b), None, length=3)
    d = np.sort(b * 2.0)
    return same, total, d, same + d


def one_result_twice(a, b):
    """One value is the carry, both carries, and a row."""

    def step(c, x):
        y = np.sin(c[0]) + x
        return (y, y), (y, c[0], x)

    return lax.scan(step, (a, b), np.stack([a, b, a + b]))


def constant_rows(a, b):
    def step(c, _):
        return c * a, (np.float64(2.0), b, np.zeros(3), np.int32(7))

    return lax.scan(step, b, None, length=4)


def no_rounds(a, b):
    c = np.exp(a)
    (x, y), rows = lax.scan(lambda s, r: ((s[1], s[0]), s[0] + r), (c, b), np.zeros((0, 5)))
    d = np.cumsum(np.sin(b))
    return x, y, rows, d, x * d


def literal_starts(a, b):
    start = (np.zeros(5), np.ones(5), 0, True, 1.0)

    def step(c, x):
        z, w, n, flag, s = c
        z = np.where(flag, z + x, z - w)
        return (z, w, n + 1, ~flag, s * 0.5), (n, flag, s)

    return lax.scan(step, start, np.stack([a, b]))


def small_carries(a, b):
    """Carries of one byte and of four."""
    start = (np.arange(5, dtype=np.int8), a > 0, a.astype(np.float32), np.uint16(3))

    def step(c, x):
        n, flag, f, u = c
        return (n + np.int8(50), flag ^ (x > 0), f * np.float32(1.5), u * np.uint16(7)), n

    return lax.scan(step, start, np.stack([a, b, -a]))


def backwards(a, b):
    return lax.scan(lambda c, x: (c * x + b, c), a, np.stack([a, b, a - b]), reverse=True)


def updates_in_place(a, b):
    """The body writes into the array it carries, and reads it."""

    def step(c, i):
        c = lax.dynamic_update_slice(c, np.reshape(c[i] * 2.0 + c[0], (1,)), (i,))
        return c, c[::-1]

    return lax.scan(step, a + b, np.arange(5))


def late_read(a, b):
    """The array is read after the update: here it cannot happen in place."""

    def step(c, i):
        d = lax.dynamic_update_slice(c, np.reshape(c[i] * 2.0, (1,)), (i,))
        return d, np.sum(c * d)

    return lax.scan(step, a, np.arange(5))


def nested(a, b):
    def outer(c, x):
        def inner(d, y):
            def turn(s):
                return np.sin(s[0]) * y, s[1] + 1

            e, n = lax.while_loop(lambda s: s[1] < 2, turn, (d, 0))
            return e + c, np.sum(e) * n

        return lax.scan(inner, x, c)

    return lax.scan(outer, a, np.stack([a, b]))


def loop_in_branch(a, b):
    def many(x):
        return lax.fori_loop(0, 4, lambda i, c: np.cos(c) * i + x, x), x

    return lax.cond(np.sum(a) > np.sum(b), many, lambda x: (x, x[::-1]), a - b)


def both_hand_over(a, b):
    """Branches that return operands as they came, in turn."""
    def exchange(p):
        return lax.cond(p, lambda x, y: (y, x), lambda x, y: (x, y), a, b)

    outs = [exchange(p) for p in (a[0] > 0, a[4] > 0)]
    return outs, lax.cond(a[4] > 0, lambda x, y: x, lambda x, y: y * 2.0, np.exp(a), b)


def switches(a, b):
    """Beyond the last branch, and before the first."""
    arms = [lambda x: x, lambda x: np.sin(x), lambda x: (x * x)[::-1]]
    return [lax.switch(np.int64(i) + np.int64(0) * (b[0] > 9), arms, a) for i in (-5, 0, 1, 2, 77)]


def while_arrays(a, b):
    """The predicate reads an array carry and a constant; one carry stays as it is."""

    def go(s):
        return np.logical_and(np.max(s[0]) < 30.0, np.sum(s[2] * b) < 1e9)

    def step(s):
        return s[0] + 1.0 + np.abs(s[1]), s[2] - s[1], s[2]

    return lax.while_loop(go, step, (a, b, a * b))


def never_entered(a, b):
    return lax.while_loop(lambda s: s[1] < 0, lambda s: (s[0] * 2.0, s[1] + 1), (a * b, 3))


PROGRAMS = [
    swapped, rotated, unchanged, one_result_twice, constant_rows, no_rounds, literal_starts,
    small_carries, backwards, updates_in_place, late_read, nested, loop_in_branch, both_hand_over,
    switches, while_arrays, never_entered,
]  # fmt: skip


@pytest.mark.parametrize("fun", PROGRAMS)
def test_programs(fun) -> None:
    check(fun, X, np.cos(3 * X))


@pytest.mark.parametrize("fun", PROGRAMS)
def test_batches(fun) -> None:
    many = [np.stack([x, x[::-1] * 0.5]) for x in (X, np.cos(3 * X))]
    check(tj.vmap(fun), *many)


GRADIENTS = [f for f in PROGRAMS if f not in (while_arrays, never_entered, nested)]


@pytest.mark.parametrize("fun", GRADIENTS)
def test_gradients(fun) -> None:
    def loss(a, b):
        outs = tree.leaves(fun(a, b))
        return sum(np.sum(np.sin(y)) for y in outs if y.dtype.kind == "f")

    check(tj.value_and_grad(loss, (0, 1)), X, np.cos(3 * X))


def test_while_in_scan_forward() -> None:
    check(lambda a, b: tj.jvp(nested, (a, b), (b, a)), X, np.cos(3 * X))


def test_loops_over_rows_of_matrices() -> None:
    def f(m):
        def step(c, row):
            c = c + np.outer(row, row)
            return c, (c @ row, c)

        return lax.scan(step, np.eye(4), m)

    check(f, M)
    check(tj.grad(lambda m: np.sum(np.sin(f(m)[1][0]))), M)


@pytest.mark.parametrize("index", [-(2**63), -1, 0, 1, 2, 2**31, 2**63 - 1])
def test_any_index_of_a_switch(index) -> None:
    check(lambda i, x: lax.switch(i, [np.sin, np.cos, np.tan], x), np.int64(index), X)


def test_empty_carries() -> None:
    def f(x):
        return lax.scan(lambda c, _: (c * 2.0, np.sum(c)), x, None, length=3)

    check(f, np.zeros((0, 2)))


def test_the_workspace_of_a_loop_is_that_of_one_round() -> None:
    def f(x, rounds):
        def step(c, _):
            for _ in range(3):
                c = np.cumsum(np.sin(c) * 1e-3)
            return c, None

        return lax.scan(step, x, None, length=rounds)[0]

    x = np.linspace(0, 1, 1000)
    sizes = {check(lambda x, n=n: f(x, n), x)[1].summary.workspace_bytes for n in (2, 9)}
    assert len(sizes) == 1 and sizes.pop() <= 4 * 8064

"""Arrays that branches write to: where they lie, and that values are those of copies."""

from __future__ import annotations

import random

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tracejit import lax


def copies(f, *args):
    """The lines of kernels that copy whole arrays of the first argument's shape."""
    shape = str(np.shape(args[0])).replace(" ", "")
    lines = tj.stages(f)(*args)["kernels"].replace(", ", ",").splitlines()
    return [line for line in lines if line.startswith(f"copy over {shape}")]


def bubbles(x):
    """Neighbours change places where they are in the wrong order, round after round."""
    y = x * 1.0
    for _ in range(x.shape[0]):
        for i in range(x.shape[0] - 1):
            if y[i] > y[i + 1]:
                y[i], y[i + 1] = y[i + 1], y[i]
    return y


def nested(x):
    y = x * 1.0
    for i in range(1, x.shape[0]):
        if x[i] > 0:
            y[i] += y[i - 1]
            if x[i] > 1:
                y[i - 1] = 0.0
        else:
            y[i] = -y[i]
    return y


def inner_loops(x):
    y = x * 1.0
    for i in range(1, x.shape[0]):
        if x[i] > 0:
            for k in range(i):
                y[k] += 0.1 * y[i]
    return y


@pytest.mark.parametrize("f", [bubbles, nested, inner_loops])
def test_loops_with_branches_update_in_place(f):
    x = np.random.default_rng(0).normal(size=40)
    np.testing.assert_allclose(tj.jit(f)(x), f(x), rtol=1e-13)
    assert len(copies(f, x)) == 1  # of what is given, which stays as it is


def test_what_is_read_behind_the_branch_is_kept():
    def f(x):
        y = lax.cond(x[0] > 0, lambda x: x.at[1].set(5.0), lambda x: x, x)
        return y, x + 1.0

    for first in (1.0, -1.0):
        x = np.array([first, 2.0, 3.0])
        y, z = tj.jit(f)(x)
        np.testing.assert_array_equal(y, [first, 5.0 if first > 0 else 2.0, 3.0])
        np.testing.assert_array_equal(z, x + 1.0)


def test_a_branch_that_reads_what_it_has_overwritten_works_on_a_copy():
    def shifted(x):
        y = x.at[1:].set(x[:-1])
        return y.at[0].set(x.sum())

    def f(x, n):
        x = x * 2.0
        return lax.fori_loop(
            0, n, lambda i, x: lax.cond(x[0] > 3.0, shifted, lambda x: x.at[0].add(1.0), x), x
        )

    x = np.arange(30.0)
    np.testing.assert_allclose(tj.jit(f)(x, 9), tj.jit(f, backend="eager")(x, 9), rtol=1e-13)


def test_arrays_that_change_places_in_one_branch():
    def f(a, b):
        def step(i, state):
            return lax.cond(
                i % 3 == 0, lambda a, b: (b, a), lambda a, b: (a.at[i].add(b[i]), b), *state
            )

        return lax.fori_loop(0, 20, step, (a + 1.0, b * 2.0))

    a, b = np.arange(20.0), np.ones(20)
    for found, expected in zip(tj.jit(f)(a, b), tj.jit(f, backend="eager")(a, b), strict=True):
        np.testing.assert_array_equal(found, expected)


def random_program(seed):
    """A loop whose body branches, with updates of two arrays that read each other."""
    rng = random.Random(seed)

    def updates():
        return [
            (rng.randrange(2), rng.randrange(5), rng.randint(0, 2), rng.randint(0, 2))
            for _ in range(rng.randint(0, 3))
        ]

    plans = [updates() for _ in range(rng.choice([2, 2, 3]))]
    swaps = rng.random() < 0.2

    def run(plan, last, i, a, b):
        arrays = [a, b]
        for which, kind, n, m in plan:
            x, other = arrays[which], arrays[1 - which]
            match kind:
                case 0:
                    x = x.at[i + n].add(0.5 * other[i + m])
                case 1:
                    x = x.at[i + n].set(x[i + m] + 1.0)
                case 2:
                    x = x.at[1:-1].set(0.5 * (x[:-2] + x[2:]))
                case 3:
                    x = tnp.where(tnp.arange(x.shape[0]) < i, 0.5 * x + other[n], x)
                case _:
                    x = lax.fori_loop(0, i, lambda k, x, m=m: x.at[k].add(x[i + m]), x)
            arrays[which] = x
        return tuple(arrays[::-1] if swaps and last else arrays)

    def f(a, b):
        def step(i, state):
            branches = [
                lambda i, a, b, plan=plan, n=n: run(plan, n == 1, i, a, b)
                for n, plan in enumerate(plans)
            ]
            at = (state[0][i] + state[1][i] > 0).astype(int) + i % 2
            return lax.switch(at, branches, i, *state)

        return lax.fori_loop(0, a.shape[0] - 2, step, (a + 1.0, b))

    return f


@pytest.mark.parametrize("seed", range(40))
def test_random_branches(seed):
    f = random_program(seed)
    a, b = np.random.default_rng(seed).normal(size=(2, 20))
    kept = a.copy(), b.copy()
    for found, expected in zip(tj.jit(f)(a, b), tj.jit(f, backend="eager")(a, b), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_array_equal(a, kept[0])
    np.testing.assert_array_equal(b, kept[1])


@pytest.mark.parametrize("seed", range(8))
def test_gradients_of_random_branches(seed):
    f = random_program(seed)
    a, b = np.random.default_rng(seed).normal(size=(2, 20))

    def loss(a, b):
        x, y = f(a, b)
        return (x * y).sum() + (x**2).sum()

    gradient = tj.grad(loss, argnums=(0, 1))
    for found, expected in zip(
        tj.jit(gradient)(a, b), tj.jit(gradient, backend="eager")(a, b), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)

"""Loops over columns, run for some rows at a time: which loops, and that values are the same."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tracejit import lax
from tracejit.backends.native import interchange as module


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """What is large here, so that arrays of tests are, and tiles are a few rows."""
    monkeypatch.setattr(module, "LARGE", 1 << 10)
    monkeypatch.setattr(module, "TILE", 1 << 14)


def columns(a, b):
    """A running sum of columns, and how it was before."""

    def step(k, y):
        return y.at[:, k].set(0.5 * y[:, k - 1] + a[:, k] * b)

    return lax.fori_loop(1, a.shape[1], step, a)


def planes(w, x):
    """As a sweep over the last axis of three, with neighbours along the first one."""

    def step(k, y):
        near = w[1:, :, k] + w[:-1, :, k]
        return y.at[:, :, k].set((x[:, :, k] - near * y[:, :, k - 1]) / (4.0 + near))

    def back(i, y):
        k = x.shape[2] - 2 - i
        return y.at[:, :, k].add(-0.3 * y[:, :, k + 1])

    y = lax.fori_loop(1, x.shape[2], step, tnp.zeros_like(x))
    return lax.fori_loop(0, x.shape[2] - 1, back, y)


def stacks(a):
    """A scan over rows of what has them along its second axis; it stacks others."""

    def step(carry, row):
        i, y = carry
        y = lax.dynamic_update_slice(y, (row + y[:, 0])[:, None], (0, i))
        return (i + 1, y), row * 2.0

    (i, y), rows = lax.scan(step, (np.int64(0), tnp.zeros_like(a)), a.T)
    return i, y, rows


def rows_meet(a):
    """Each row needs its neighbour: they are not apart."""

    def step(k, y):
        return y.at[1:, k].set(y[:-1, k - 1] + a[1:, k])

    return lax.fori_loop(1, a.shape[1], step, a)


def in_tiles(f, *args):
    """Whether a program has a loop in a loop, which it had not as it was written."""
    return str(tj.stages(f)(*args)["kernels"]).count("statement scan")


RNG = np.random.default_rng(0)
CASES = {
    "columns": (columns, RNG.normal(size=(36, 16)), RNG.normal(size=36)),
    "planes": (planes, RNG.normal(size=(7, 12, 16)), RNG.normal(size=(6, 12, 16))),
    "stacks": (stacks, RNG.normal(size=(36, 16))),
    "rows meet": (rows_meet, RNG.normal(size=(36, 16))),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_those_of_the_reference(name):
    f, *args = CASES[name]

    def loss(*args):
        leaves = [y for y in tj.tree.leaves(f(*args)) if y.dtype.kind == "f"]
        return sum((y**2).sum() for y in leaves)

    gradient = tj.grad(loss, argnums=tuple(range(len(args))))
    for g, exact in ((f, True), (gradient, False)):
        found, expected = tj.jit(g)(*args), tj.jit(g, backend="eager")(*args)
        for a, b in zip(tj.tree.leaves(found), tj.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(a, b, rtol=0 if exact else 1e-12, atol=0 if exact else 1e-13)


@pytest.mark.parametrize(("name", "loops"), [("columns", 2), ("planes", 4), ("rows meet", 1)])
def test_rows_that_are_apart_are_run_some_at_a_time(name, loops):
    f, *args = CASES[name]
    assert in_tiles(f, *args) == loops


def test_small_arrays_are_left_as_they_are(monkeypatch):
    monkeypatch.setattr(module, "LARGE", 1 << 20)
    f, *args = CASES["columns"]
    assert in_tiles(f, *args) == 1


def test_what_a_round_reads_side_by_side_is_left_as_it_is():
    def rows(a):
        return lax.fori_loop(1, a.shape[0], lambda k, y: y.at[k].add(y[k - 1]), a)

    assert in_tiles(rows, RNG.normal(size=(36, 16))) == 1

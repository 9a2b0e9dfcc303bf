"""Loops and branches as users write them, under every transform: the laws of the calculus hold."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit.numpy  # lends tracers their operators
import tracejit.tree
from tracejit import backends
from tracejit.config import config
from tracejit.control.branching import cond, switch
from tracejit.control.call import call
from tracejit.control.looping import fori_loop, map, scan, while_loop
from tracejit.testing import (
    Sample,
    check_backends,
    check_batch,
    check_jvp,
    check_linearize,
    check_second_order,
    check_text,
    check_transpose,
    integers,
    reals,
)
from tracejit.trace.stage import stage
from tracejit.transforms.gradient import value_and_gradient

X = reals(-0.9, 0.9)


def rnn(W, h, xs):
    def step(h, x):
        h = np.tanh(W @ h + x)
        return h, {"norm": np.sum(h * h), "h": h}

    h, ys = scan(step, h, xs)
    return h, ys["norm"], ys["h"]


def rows_only(w, xs):
    return map(lambda x: np.sin(w * x), xs)


def no_rows(x):
    return scan(lambda c, _: (np.sin(c) + x, None), x * x, None, length=5)[0]


def never(x, xs):
    return scan(lambda c, r: (c * r, c + r), x, xs, length=0)


def backwards(x, xs):
    return scan(lambda c, r: (c * r + x, c), x, xs, reverse=True)


def counting(x, xs):
    """Integer and bool carries beside a float one."""

    def step(carry, r):
        n, even, s = carry
        s = np.where(even, s * r, s + np.cos(r) * n)
        return (n + 1, ~even, s), n

    (_, _, s), n = scan(step, (0, np.True_, x), xs)
    return s, n


def late_tangents(w, x):
    """Tangents move from carry to carry, one further in each round."""

    def step(carry, _):
        a, b, c = carry
        return (a, b + a * w, c * 0.5 + b * b), c

    return scan(step, (x, 0.0, 1.0), None, length=4)


def swapping(x, y):
    return scan(lambda c, _: ((c[1], c[0] * 1.5), c[0]), (x, y), None, length=5)


def handed_on(x, ys):
    return scan(lambda c, r: ((c[0], np.sin(c[0] * c[1]) + r), c[1]), (x, 0.0), ys)


def nested(x, xs):
    """A scan in a branch in a scan."""

    def step(c, r):
        inner = cond(
            r > 0,
            lambda c: scan(lambda a, _: (np.sin(a) * r, a), c, None, length=3)[0],
            lambda c: c * np.cos(r) + x,
            c,
        )
        return inner, inner * c

    return scan(step, x, xs)


def branches(x, y):
    """Residuals of different number, type and origin."""
    total = np.sum(x)
    a = cond(total > 0, lambda x, y: np.sin(x) * np.exp(y), lambda x, y: x / (2 + y), x, y)
    b = switch(
        np.sign(total).astype(np.int64) + 1,
        [lambda: np.sum(np.tanh(x)) * y, lambda: y, lambda: np.cos(np.sin(np.sum(x))) * y * y],
    )
    return a, b


def constant_branch(x):
    return cond(x > 0, lambda: x * x, lambda: 0.0), cond(x < 5, lambda x: 2.0, lambda x: x, x)


def powers(x):
    return fori_loop(2, 6, lambda i, c: c * x + i, 1.0)


def until_large(x):
    return while_loop(lambda s: s[1] < 20.0, lambda s: (s[0] + 1, s[1] * 1.5 + x * x), (0, 1.0))


def counted_while(n, x):
    return fori_loop(0, n, lambda i, c: c * x + np.sin(c), x)


PROGRAMS = [
    (rnn, X("f64[3,3]"), X("f64[3]"), X("f64[4,3]")),
    (rows_only, X("f64[]"), X("f64[3]")),
    (no_rows, X("f64[2]")),
    (never, X("f64[]"), X("f64[0]")),
    (backwards, X("f64[]"), X("f64[4]")),
    (counting, X("f64[]"), X("f64[5]")),
    (late_tangents, X("f64[]"), X("f64[]")),
    (swapping, X("f64[]"), X("f64[]")),
    (handed_on, X("f64[]"), X("f64[4]")),
    (nested, X("f64[]"), X("f64[4]")),
    (branches, X("f64[3]"), X("f64[]")),
    (constant_branch, X("f64[]")),
    (powers, X("f64[]")),
]
OF_ANY_LENGTH = [
    (until_large, X("f64[]")),
    (counted_while, integers(0, 5)("i64[]"), X("f64[]")),
]


def sample_of(fun, *args, **options) -> Sample:
    """The program of a function of arrays that returns a tree, as a row for the laws."""

    def flat(*xs):
        return tracejit.tree.leaves(fun(*xs))

    staged = stage(flat, [a.type for a in args], name=fun.__name__)
    assert not staged.captured
    params = {"jaxpr": staged.jaxpr, "name": fun.__name__}
    return Sample(call, args, params, ulps=16, scale=4.0, **options)


def gradient_of(fun, *args, **options) -> Sample:
    """The gradient of the sum of all that a function returns, as a row for the laws."""

    def total(*xs):
        return sum(np.sum(y) for y in tracejit.tree.leaves(fun(*xs)))

    jaxpr = stage(lambda *xs: [total(*xs)], [a.type for a in args]).jaxpr
    gradient = value_and_gradient(jaxpr, (True,) * len(args))
    params = {"jaxpr": gradient, "name": f"gradient of {fun.__name__}"}
    return Sample(call, args, params, ulps=64, scale=16.0)


SAMPLES = [sample_of(*row) for row in PROGRAMS]
TAPED = [sample_of(*row, tapes=True) for row in OF_ANY_LENGTH]
GRADIENTS = [gradient_of(*row) for row in PROGRAMS]
ids = {"ids": lambda sample: sample.params["name"]}


@pytest.mark.parametrize("sample", SAMPLES + TAPED, **ids)
def test_adjoint(sample) -> None:
    check_transpose(sample)


@pytest.mark.parametrize("sample", SAMPLES + TAPED, **ids)
def test_gradient_and_second_order(sample) -> None:
    check_second_order(sample)


@pytest.mark.parametrize(
    "law", [check_jvp, check_linearize, check_batch, check_text], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("sample", SAMPLES + TAPED, **ids)
def test_forward_mode_and_batches(sample, law) -> None:
    law(sample)


@pytest.mark.parametrize("sample", SAMPLES + TAPED + GRADIENTS, **ids)
def test_backends_agree(sample, backend) -> None:
    check_backends(sample, backends.load(backend))


@pytest.mark.parametrize("row", PROGRAMS + OF_ANY_LENGTH, ids=lambda row: row[0].__name__)
def test_values_are_those_of_a_python_loop(row) -> None:
    """Traced, at once, and with jit disabled."""
    fun, *args = row
    sample = sample_of(*row)
    arrays = sample.arrays()
    traced = sample.primitive.evaluate(*arrays, **sample.params)
    at_once = tracejit.tree.leaves(fun(*arrays))
    ways = [at_once]
    if fun is not never:
        with config(disable_jit=True):
            ways.append(tracejit.tree.leaves(fun(*arrays)))
    for results in ways:
        for y, expected in zip(results, traced, strict=True):
            np.testing.assert_allclose(y, expected, rtol=1e-13)
            assert np.shape(y) == np.shape(expected)
    for y, out in zip(at_once, sample.program().outvars, strict=True):
        assert np.asarray(y).dtype == out.dtype, args

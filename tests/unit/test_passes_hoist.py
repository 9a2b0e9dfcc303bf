"""Constant work leaves the loops it stands in, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from tracejit import lax, tree
from tracejit.ir.check import verify
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate
from tracejit.passes.hoist import hoist
from tracejit.trace.stage import stage

W, X = np.linspace(-1.0, 1.0, 4), np.linspace(0.5, 2.0, 4)


def in_while(w, x):
    def body(c):
        return c[0] + 1, c[1] * np.exp(w) + np.sum(np.sin(w) * x)

    return lax.while_loop(lambda c: (c[0] < 3) & (np.max(w) < 5.0), body, (0, x))


def in_scan(w, x):
    def body(c, row):
        m = np.tanh(w[:, None] * x[None, :])
        return c + m @ c, row * np.exp(row) + np.log(x)

    return lax.scan(body, x, np.stack([w, x]))


def in_loops_in_loops(w, x):
    def inner(j, c):
        return c * np.cos(w) + np.exp(c) * 0.1

    return lax.fori_loop(0, 3, lambda i, c: lax.fori_loop(0, 2, inner, c * np.sin(x)), x)


@pytest.mark.parametrize(
    ("fun", "ahead"),
    [(in_while, {"exp", "sin", "reduce_sum"}), (in_scan, {"tanh", "log"}),
     (in_loops_in_loops, {"cos", "sin"})],
)  # fmt: skip
def test_constant_work_comes_first(fun, ahead) -> None:
    staged = stage(lambda w, x: tree.leaves(fun(w, x)), [type_of(W), type_of(X)])
    jaxpr, leaves = staged.jaxpr, [*staged.captured, W, X]
    after = hoist(jaxpr)
    verify(after)
    assert ahead <= {eqn.primitive.name for eqn in after.equations}
    for y, z in zip(evaluate(after, *leaves), evaluate(jaxpr, *leaves), strict=True):
        assert np.array_equal(y, z)
    assert hoist(after) is after

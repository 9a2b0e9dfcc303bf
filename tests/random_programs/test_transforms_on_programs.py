"""The laws of the calculus on any program: jvp, linearize, transpose and batch fit together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from hypothesis import HealthCheck, given, settings
from program_strategy import Case, programs

from tracejit.ir.check import verify, verify_linear
from tracejit.ir.graph import Jaxpr
from tracejit.ir.parsing import parse
from tracejit.ir.walk import evaluate
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close
from tracejit.transforms.batch import batch
from tracejit.transforms.gradient import adjoint, value_and_gradient
from tracejit.transforms.jvp import jvp
from tracejit.transforms.linearize import linearize

Arrays = Sequence[Any]
random = settings(max_examples=40, suppress_health_check=list(HealthCheck))


def floats(jaxpr: Jaxpr) -> tuple[bool, ...]:
    """Which inputs have derivatives."""
    return tuple(t.is_inexact for t in jaxpr.in_types)


def tangents(case: Case, seed: int) -> Arrays:
    """Random tangents of the inputs that have some."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, t.shape) for t in case.jaxpr.in_types if t.is_inexact]


def assert_equal_sums(law: str, case: Case, xs: Arrays, ys: Arrays) -> None:
    """Sums of products that are equal, but for rounding in proportion to their terms."""
    (x, x_size), (y, y_size) = ((np.sum(p), np.sum(np.abs(p))) for p in (xs, ys))
    assert abs(x - y) <= case.rtol * max(1.0, x_size, y_size), f"{law}: {x} and {y} on\n{case}"


def products(xs: Arrays, ys: Arrays) -> np.ndarray:
    """x * y for all elements of all arrays."""
    return np.concatenate(
        [np.ravel(np.multiply(x, y)) for x, y in zip(xs, ys, strict=True)] or [np.zeros(0)]
    )


@random
@given(case=programs(scalar=True))
def test_linearize_is_jvp_and_transpose_its_adjoint(case) -> None:
    mask, t = floats(case.jaxpr), tangents(case, 1)
    forward, live = jvp(case.jaxpr, mask)
    verify(forward)
    count = len(case.jaxpr.outvars)
    pushed = evaluate(forward, *case.arrays, *t)
    assert_close("jvp: value", case, pushed[:count], evaluate(case.jaxpr, *case.arrays), rtol=0)

    parts = linearize(case.jaxpr, mask)
    verify(parts.known)
    verify(parts.linear)
    verify_linear(parts.linear, range(parts.residuals, len(parts.linear.invars)))
    assert parts.unknown == live
    residuals = evaluate(parts.known, *case.arrays)[count:]
    assert_close(
        "linearize", case, evaluate(parts.linear, *residuals, *t), pushed[count:], rtol=case.rtol
    )

    back = adjoint(parts)
    verify(back)
    rng = np.random.default_rng(2)
    w = [rng.uniform(-1, 1, t.shape) for t in parts.linear.out_types]
    pulled = evaluate(back, *residuals, *w)
    assert_equal_sums("transpose", case, products(t, pulled), products(pushed[count:], w))


@random
@given(case=programs(scalar=True))
def test_simplified_gradients_are_gradients_and_read_back(case) -> None:
    both = value_and_gradient(case.jaxpr, floats(case.jaxpr))
    verify(both)
    simple = SIMPLIFY(both)
    verify(simple)
    assert SIMPLIFY(simple) is simple
    expected = evaluate(both, *case.arrays)
    assert_close("simplify", case, evaluate(simple, *case.arrays), expected, rtol=case.rtol)
    again = parse(str(simple))
    assert str(again) == str(simple)
    assert_close("text", case, evaluate(again, *case.arrays), expected, rtol=case.rtol)


@random
@given(case=programs(scalar=True, most=8))
def test_hessians_are_symmetric(case) -> None:
    mask = floats(case.jaxpr)
    both = value_and_gradient(case.jaxpr, mask)
    gradient = SIMPLIFY(Jaxpr(both.invars, both.equations, both.outvars[-sum(mask) :]))
    forward, _ = jvp(gradient, mask, (True,) * sum(mask))
    verify(forward)
    s, t = tangents(case, 1), tangents(case, 2)
    hs, ht = (evaluate(forward, *case.arrays, *ts)[sum(mask) :] for ts in (s, t))
    assert_equal_sums("symmetric Hessian", case, products(hs, t), products(ht, s))


@random
@given(case=programs(scalar=True))
def test_a_batch_of_gradients_is_the_gradient_of_each(case) -> None:
    mask = floats(case.jaxpr)
    both = SIMPLIFY(value_and_gradient(case.jaxpr, mask))
    many, live = batch(both, 2, mask, (True,) * len(both.outvars))
    verify(many)
    assert all(live)
    others = [x + 0.125 if f else x for x, f in zip(case.arrays, mask, strict=True)]
    stacked = [
        np.stack([x, y]) if f else x for x, y, f in zip(case.arrays, others, mask, strict=True)
    ]
    each = [evaluate(both, *xs) for xs in (case.arrays, others)]
    expected = [np.stack(outs) for outs in zip(*each, strict=True)]
    assert_close("batch", case, evaluate(many, *stacked), expected, rtol=case.rtol)
    simple = evaluate(SIMPLIFY(many), *stacked)
    assert_close("batch, simplified", case, simple, expected, rtol=case.rtol)

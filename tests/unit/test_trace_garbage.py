"""The garbage collector is left alone while a program is made, and is as it was afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import numpy as np
import pytest

import tracejit as tj
from tracejit.ir.graph import Equation
from tracejit.ops.elementwise import sin
from tracejit.trace.garbage import AWAITED, seldom_collected


@pytest.fixture(autouse=True)
def usual() -> Iterator[tuple[int, int, int]]:
    before = gc.get_threshold()
    gc.set_threshold(701, 11, 12)
    yield gc.get_threshold()
    gc.set_threshold(*before)


def test_while_tracing(usual: tuple[int, int, int]) -> None:
    seen = []

    def f(x: np.ndarray) -> np.ndarray:
        seen.append(gc.get_threshold())
        return tj.grad(lambda y: np.sin(y) * len(seen))(x)

    tj.jit(f)(1.0)
    assert seen == [(AWAITED, *usual[1:])]
    assert gc.get_threshold() == usual


def test_behind_an_error(usual: tuple[int, int, int]) -> None:
    def f(x: np.ndarray) -> np.ndarray:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        tj.jit(f)(1.0)
    assert gc.get_threshold() == usual


def test_blocks_that_overlap_as_those_of_threads_do(usual: tuple[int, int, int]) -> None:
    one, other = seldom_collected(), seldom_collected()
    one.__enter__()
    other.__enter__()
    one.__exit__(None, None, None)
    assert gc.get_threshold()[0] == AWAITED
    other.__exit__(None, None, None)
    assert gc.get_threshold() == usual


@pytest.mark.parametrize("first", [0, 2 * AWAITED])
def test_a_collector_that_is_off_or_as_slow_stays_so(first: int) -> None:
    gc.set_threshold(first, 10, 10)
    with seldom_collected():
        assert gc.get_threshold() == (first, 10, 10)
    assert gc.get_threshold() == (first, 10, 10)


def test_what_was_traced_is_let_go_at_once() -> None:
    """Without the collector, which may not come for a long time."""

    def left() -> int:
        return sum(type(x) is Equation and x.primitive is sin for x in gc.get_objects())

    def f(x: np.ndarray) -> np.ndarray:
        for k in [*range(200)]:
            x = np.sin(x) * (k % 3)
        return x

    ways = f, tj.grad(f), tj.jit(f)

    def trace_each() -> None:
        for g in ways:
            tj.make_jaxpr(lambda x, g=g: g(x))(1.0)

    trace_each()  # the jitted function keeps its program; so does `interned` what grad traced
    gc.collect()
    gc.disable()
    try:
        before = left()
        trace_each()
        assert left() == before
    finally:
        gc.enable()

"""Which calls get an entry, and when it takes them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native import abi
from tracejit.backends.native.callable import installed
from tracejit.config import config
from tracejit.runtime import programs
from tracejit.runtime.native_calls import MOST_ENTRIES

pytestmark = pytest.mark.skipif(not abi.SUPPORTED, reason=abi.WHY_NOT)

X = np.arange(3.0)


class Pair(NamedTuple):
    a: object
    b: object


@pytest.fixture
def slow_calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows whenever a call takes the path through Python."""
    calls: list[int] = []
    original = programs.Compiled.__call__

    def counted(self, leaves):
        calls.append(1)
        return original(self, leaves)

    monkeypatch.setattr(programs.Compiled, "__call__", counted)
    return calls


@pytest.mark.parametrize(
    "args",
    [
        (X,), (1.0,), (2,), (True,), (np.float32(1),), (np.bool_(True),), ([X, 1.0],),
        ({"b": X, "a": [1, 2]},), ({"a": (None, X)},), (((),), X),
    ],
    ids=str,
)  # fmt: skip
def test_calls_that_get_an_entry(args, slow_calls) -> None:
    f = tj.jit(lambda *args: args)
    first = f(*args)
    for _ in range(3):
        again = f(*args)
        assert tj.tree.structure(again) == tj.tree.structure(first)
        for y, z in zip(tj.tree.leaves(again), tj.tree.leaves(first), strict=True):
            assert type(y) is type(z)
            np.testing.assert_array_equal(y, z)
    assert len(slow_calls) == 1


def test_dictionaries_and_keywords_in_any_order(slow_calls) -> None:
    f = tj.jit(lambda t, *, u, v: t["a"] - 2 * t["b"] + 3 * u - 4 * v)
    results = [
        f({"b": 1.0, "a": 2.0}, v=3.0, u=4.0),
        f({"a": 2.0, "b": 1.0}, u=4.0, v=3.0),
        f({"a": 2.0, "b": 1.0}, v=3.0, u=4.0),
    ]
    assert results == [0.0] * 3 and len(slow_calls) == 1


def test_static_values(slow_calls) -> None:
    f = tj.jit(lambda x, n, mode="a": x * n if mode == "a" else x, static_argnames=("n", "mode"))
    for _ in range(2):
        assert [f(1.0, 2), f(1.0, 3), f(1.0, n=2), f(1.0, 2, mode="b"), f(1.0, True)] == [
            2.0, 3.0, 2.0, 1.0, 1.0,
        ]  # fmt: skip
    assert len(slow_calls) == 5


def test_default_float32_takes_python_floats(slow_calls) -> None:
    f = tj.jit(lambda x: x * 2)
    config.update("default_float", "float32")
    try:
        assert [f(0.1), f(0.1), f(0.3)] == [np.float32(0.2), np.float32(0.2), np.float32(0.6)]
    finally:
        config.update("default_float", "float64")
    assert len(slow_calls) == 1
    assert f(0.1) == 0.2


def test_other_containers_stay_in_python(slow_calls) -> None:
    f = tj.jit(lambda t: t)
    for _ in range(3):
        assert f(Pair(1.0, 2.0)) == Pair(1.0, 2.0)
    assert len(slow_calls) == 3 and installed(f) == ()


def test_a_block_closes_the_gates_while_it_lasts(slow_calls) -> None:
    f = tj.jit(lambda x: x * 2)
    g = tj.jit(lambda x: x * 2, backend="native")
    f(X), g(X)
    slow_calls.clear()
    with config(backend="native"):
        f(X), g(X)
        assert len(slow_calls) == 1  # g was told its backend
    with config(default_float="float64"):
        f(X), g(X)
        assert len(slow_calls) == 3
    with config(threads=1):
        f(X), g(X)
    f(X), g(X)
    assert len(slow_calls) == 3


def test_an_update_opens_the_gates_of_what_it_restores(slow_calls) -> None:
    f = tj.jit(lambda x: x * 2)
    f(X)
    config.update("backend", "eager")
    try:
        f(X), f(X)
        assert len(slow_calls) == 3
    finally:
        config.update("backend", "native")
    f(X)
    assert len(slow_calls) == 3


def test_there_are_not_too_many_entries() -> None:
    f = tj.jit(lambda x: x)
    for n in range(MOST_ENTRIES + 3):
        f(np.zeros(n))
    assert len(installed(f)) == MOST_ENTRIES
    assert f(np.zeros(MOST_ENTRIES + 1)).shape == (MOST_ENTRIES + 1,)


def test_constants_are_part_of_the_program(slow_calls) -> None:
    c = np.arange(3.0)
    f = tj.jit(lambda x: x + c)
    f(X)
    c[:] = 100.0
    np.testing.assert_array_equal(f(X), 2 * X)
    assert len(slow_calls) == 1

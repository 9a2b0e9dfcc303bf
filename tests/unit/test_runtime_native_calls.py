"""Which calls get an entry, and when it takes them."""

from __future__ import annotations

import sys
import threading
import tracemalloc
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native import abi
from tracejit.backends.native.callable import GUESTS, installed
from tracejit.backends.native.compile import NativeExecutable
from tracejit.config import config
from tracejit.runtime import programs
from tracejit.runtime.native_calls import MOST_ENTRIES
from tracejit.tree import register_dataclass
from tracejit.treedef import register_static

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


class Own(Pair):
    """Put together by a function of its own."""

    @classmethod
    def _make(cls, items):
        return cls(*items)


@dataclass
class Plain:
    a: object
    b: object = None


@dataclass(frozen=True, slots=True)
class Slots:
    a: object
    n: int = field(default=3, metadata={"static": True})


class Base:
    def __init__(self, a: object, b: object) -> None:
        self.a, self.b = a, b


@dataclass
class Watched:
    """An attribute whose reading runs Python code."""

    a: object

    def __getattribute__(self, name):
        return object.__getattribute__(self, name)


@dataclass
class Renewed:
    """Instances are made by a function of its own."""

    a: object

    def __new__(cls, *args):
        return object.__new__(cls)


@register_static
class Mode:
    pass


register_dataclass(Base, ["a"], ["b"])
MODE = Mode()


@pytest.mark.parametrize(
    "x",
    [
        Pair(1.0, X), Plain(X, 1.0), Plain(None, {"b": Plain(X), "a": [Pair(X, 2)]}), Slots(X),
        Slots(X, 5), [Slots(X, "n"), MODE], (Pair(X, Plain(X)), X), Pair((), ()),
    ],
)  # fmt: skip
def test_classes_in_machine_code(x, slow_calls) -> None:
    f = tj.jit(lambda t: (tj.tree.map(lambda leaf: leaf * 2, t), 1.0))
    for _ in range(5):
        doubled, one = f(x)
        assert tj.tree.structure(doubled) == tj.tree.structure(x) and one == 1.0
        for y, z in zip(tj.tree.leaves(doubled), tj.tree.leaves(x), strict=True):
            np.testing.assert_array_equal(y, 2 * z)
    assert len(slow_calls) == 1


def test_attributes_and_static_fields(slow_calls) -> None:
    f = tj.jit(lambda t: t.a * (t.n if hasattr(t, "n") else len(t.b)))
    assert [f(Slots(X[1])), f(Slots(X[1], 4)), f(Slots(X[1], 4)), f(Slots(X[1]))] == [3, 4, 4, 3]
    assert [f(Base(X[1], "abc")), f(Base(X[1], "ab")), f(Base(X[2], "ab"))] == [3, 2, 4]
    assert len(slow_calls) == 4
    incomplete = Plain.__new__(Plain)
    with pytest.raises(tj.errors.TreeError, match="has no value in a field"):
        tj.jit(lambda t: t.a)(incomplete)
    g = tj.jit(lambda t: t.a)
    g(Plain(1.0))
    with pytest.raises(tj.errors.TreeError, match="has no value in a field"):
        g(incomplete)


@pytest.mark.parametrize("x", [Own(X, 1.0), Renewed(X), Watched(X), OrderedDict(a=X)], ids=repr)
def test_classes_with_functions_of_their_own_stay_in_python(x, slow_calls) -> None:
    f = tj.jit(lambda t: t)
    for _ in range(3):
        assert type(f(x)) is type(x)
    assert len(slow_calls) == 3 and installed(f) == ()


@pytest.mark.parametrize(
    "change", [lambda x: x[::-1], lambda x: x[:, ::2], np.asfortranarray, lambda x: x.T]
)
def test_arrays_that_are_not_contiguous(change, slow_calls) -> None:
    x = change(np.arange(16.0).reshape(4, 4))
    f = tj.jit(lambda x: (x * 2, np.sum(x)))
    for _ in range(3):
        double, total = f(x)
        np.testing.assert_array_equal(double, 2 * x)
        assert total == x.sum()
    assert len(slow_calls) == 1
    same, count = sys.getrefcount(x), tracemalloc_peak(lambda: f(x))
    assert sys.getrefcount(x) == same and count < 20_000


def tracemalloc_peak(call) -> int:
    """Bytes that a thousand calls leave behind."""
    call(), call()
    tracemalloc.start()
    try:
        for _ in range(1000):
            call()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_a_block_closes_the_gates_while_it_lasts(slow_calls) -> None:
    f = tj.jit(lambda x: x * 2)
    g = tj.jit(lambda x: x * 2, backend="native")
    f(X), g(X)
    slow_calls.clear()
    for _ in range(3):
        with config(backend="native"):
            f(X), g(X), f(X), g(X)
        assert len(slow_calls) == 1  # g was told its backend
    for _ in range(3):
        with config(default_float="float64"):
            f(X), g(X), f(X), g(X)
            with config(backend="native"):
                f(X), g(X), f(X), g(X)
            f(X), g(X), f(X), g(X)
        assert len(slow_calls) == 5
    with config(threads=1):
        f(X), g(X)
    f(X), g(X)
    assert len(slow_calls) == 5


def test_a_block_has_entries_of_its_own(slow_calls) -> None:
    f = tj.jit(lambda x: x * 2)
    assert type(f(1.0)) is np.float64
    for _ in range(3):
        with config(default_float="float32"):
            assert [type(f(1.0)) for _ in range(4)] == [np.float32] * 4
            with config(default_float="float64"):
                assert [type(f(1.0)) for _ in range(4)] == [np.float64] * 4
            with config(disable_jit=True):
                assert [type(f(1.0)) for _ in range(4)] == [float] * 4
            assert [type(f(1.0)) for _ in range(4)] == [np.float32] * 4
        assert type(f(1.0)) is np.float64
    assert len(slow_calls) <= 3  # other functions have shown the gate some of the blocks


def test_what_a_block_leaves_open_is_decided_by_updates() -> None:
    f = tj.jit(lambda x: x * 2)
    try:
        with config(backend="native"):
            assert type(f(1.0)) is type(f(1.0)) is np.float64
            config.update("default_float", "float32")
            assert type(f(1.0)) is type(f(1.0)) is np.float32
            config.update("default_float", "float64")
            assert type(f(1.0)) is type(f(1.0)) is np.float64
    finally:
        config.update("default_float", "float64")


def test_a_block_admits_its_own_thread_alone(slow_calls) -> None:
    f = tj.jit(lambda x: x * 2)
    f(1.0)

    def outside() -> None:
        found.extend(type(f(1.0)) for _ in range(3))

    for _ in range(3):
        with config(default_float="float32"):
            found: list[type] = []
            thread = threading.Thread(target=outside)
            assert type(f(1.0)) is np.float32
            thread.start()
            thread.join()
            assert found == [np.float64] * 3 and type(f(1.0)) is np.float32
    assert len(slow_calls) <= 3


def test_more_blocks_than_a_gate_admits() -> None:
    f = tj.jit(lambda x: x * 2)
    for _ in range(2):
        for n in range(1, GUESTS + 3):
            with config(default_float="float32", threads=n):
                assert [type(f(1.0)) for _ in range(3)] == [np.float32] * 3
        assert type(f(1.0)) is np.float64


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


def test_many_kinds_of_calls_of_one_function(slow_calls) -> None:
    """Each is found, whatever the argument in which the kinds differ."""
    f = tj.jit(lambda x, n, y: x.sum() * n + y.sum(), static_argnums=1)
    calls = [
        (np.ones(shape), n, np.ones(size, dtype))
        for shape in [(2,), (3,), (2, 1), (0,)] for n in (1, 300, 10**10) for size in (2, 3)
        for dtype in (float, "f4")
    ][:MOST_ENTRIES]  # fmt: skip
    wanted = [x.size * n + y.size for x, n, y in calls]
    for _ in range(3):
        assert [f(x, int(str(n)), y) for x, n, y in calls] == wanted
    assert len(slow_calls) == len(calls) == len(installed(f))
    telling = {entry.signature.telling for entry in installed(f)}
    assert {None, 0} < telling
    for name in ("x", "n", "y"):  # by name, and with too few
        assert f(**{"x": calls[5][0], "n": calls[5][1], "y": calls[5][2]}) == wanted[5], name
    with pytest.raises(TypeError):
        f(X)


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


def test_unknown_containers_enter_machine_code_with_their_leaves(monkeypatch) -> None:
    runs: list[int] = []
    original = NativeExecutable.__call__

    def counted(self, *arrays):
        runs.append(1)
        return original(self, *arrays)

    monkeypatch.setattr(NativeExecutable, "__call__", counted)
    f = tj.jit(lambda t: OrderedDict(s=t["x"].sum(), y=t["x"] * t["n"]))
    held = []
    for i in range(8):
        x = np.arange(6.0)[::2] + i
        result = f(OrderedDict(x=x, n=i))
        assert type(result) is OrderedDict and type(result["s"]) is np.float64
        assert result["s"] == x.sum() and (result["y"] == x * i).all()
        held.append(result["y"])
    assert [y[0] for y in held] == [i * i for i in range(8)]
    assert len(runs) == 2

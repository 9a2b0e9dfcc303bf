"""jit: what is compiled when, what goes in and what comes out, on each backend."""

from __future__ import annotations

import copy
import gc
import inspect
import pickle
import threading
import weakref
from collections import OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native.callable import installed
from tracejit.errors import ArgumentError, DTypeError, LeakedTracerError, StaticArgumentError

X = np.arange(3.0)


@tj.jit
def module_level(x):
    """Twice."""
    return 2 * x


class Counter:
    """A function that counts how often it is traced."""

    def __init__(self, fun):
        self.fun, self.runs = fun, 0

    def __call__(self, *args, **kwargs):
        self.runs += 1
        return self.fun(*args, **kwargs)


# ---- what goes in


ARGUMENTS = {
    "array": X,
    "strided": np.arange(6.0)[::2],
    "reversed": X[::-1],
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "big endian": X.astype(">f8"),
    "misaligned": np.zeros(25, np.uint8)[1:].view(np.float64),
    "read only": np.broadcast_to(2.0, (3,)),
    "subclass": np.eye(2).view(np.recarray),
    "rank 0": np.array(2.0),
    "numpy scalar": np.float32(2.0),
    "bool": True,
    "int": 3,
    "float": 0.5,
    "bool array": X > 1,
    "int8": np.arange(3, dtype=np.int8),
    "uint64": np.arange(3, dtype=np.uint64),
    "float32": X.astype(np.float32),
    "empty": np.ones((0, 2)),
}


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments_of_every_kind(name: str, backend: str) -> None:
    x = ARGUMENTS[name]
    f = tj.jit(lambda x: (x + x, x), backend=backend)
    plain = np.asarray(x)
    expected = plain.astype(plain.dtype.newbyteorder("=")) + plain.astype(
        plain.dtype.newbyteorder("=")
    )
    for _ in range(3):
        twice, same = f(x)
        np.testing.assert_array_equal(twice, expected)
        np.testing.assert_array_equal(same, plain)
        assert isinstance(same, np.ndarray) == (plain.ndim > 0)
        assert type(same) in (np.ndarray, plain.dtype.type)
    assert f.cache_size == 1


class HasArray:
    """An array of another package."""

    def __array__(self, dtype=None, copy=None):
        return X.copy()


def test_objects_with_an_array_are_arrays() -> None:
    np.testing.assert_array_equal(module_level(HasArray()), 2 * X)


class Point(NamedTuple):
    x: object
    y: object


@dataclass
class Model:
    w: object
    name: str = field(default="m", metadata={"static": True})


def test_trees_in_and_out(backend: str) -> None:
    tree = {
        "b": [X, (1.0, None)], "a": Point(2, X), "m": Model(X), "o": OrderedDict(z=X, y=1.0),
        "d": defaultdict(list, k=X), "e": [(), {}, []],
    }  # fmt: skip
    f = tj.jit(lambda t: t, backend=backend)
    for _ in range(2):
        out = f(tree)
        assert tj.tree.structure(out) == tj.tree.structure(tree)
        for y, x in zip(tj.tree.leaves(out), tj.tree.leaves(tree), strict=True):
            np.testing.assert_array_equal(y, x)


def test_dictionaries_in_any_order() -> None:
    f = tj.jit(lambda t: t["a"] - t["b"])
    for tree in ({"a": 3.0, "b": 1.0}, {"b": 1.0, "a": 3.0}) * 2:
        assert f(tree) == 2.0
    assert f.cache_size == 1


# ---- what comes out


def test_results_share_no_memory(backend: str) -> None:
    f = tj.jit(lambda x: (x, x, x.reshape(3, 1), X, np.ones(3) * 0), backend=backend)
    for _ in range(3):
        outs = f(x := X.copy())
        for y in outs:
            y[...] = 7.0
        np.testing.assert_array_equal(x, X)
    np.testing.assert_array_equal(X, np.arange(3.0))


def test_scalars_come_out_as_numpy_scalars(backend: str) -> None:
    f = tj.jit(lambda x: (x, 2.0, 3, True, None, x > 0, np.float32(1)), backend=backend)
    for _ in range(2):
        kinds = [type(y) for y in f(0.5)]
        assert kinds == [
            np.float64, np.float64, np.int64, np.bool_, type(None), np.bool_, np.float32,
        ]  # fmt: skip


def test_python_numbers_are_weak(backend: str) -> None:
    x = X.astype(np.float32)
    f = tj.jit(lambda x, s: x * s, backend=backend)
    inner = tj.jit(lambda s: (s + 1, 2.0))
    g = tj.jit(lambda x, s: (x * inner(s)[0], x * inner(s)[1]), backend=backend)
    for _ in range(2):
        assert f(x, 2.0).dtype == f(x, 2).dtype == f(x, True).dtype == np.float32
        assert f(x, np.float64(2.0)).dtype == np.float64
        assert [y.dtype for y in g(x, 2.0)] == [np.float32, np.float32]


# ---- when it is traced


def test_one_program_for_each_kind_of_arguments() -> None:
    counter = Counter(lambda x: x)
    f = tj.jit(counter)
    for x in (X, X + 1, X[::-1], 2 * X):
        f(x)
    assert counter.runs == f.cache_size == 1
    for x in (X[:2], X.astype(np.float32), 1.0, np.float64(1.0), 1, [1.0], (1.0,), {"x": 1.0}):
        f(x)
    assert counter.runs == f.cache_size == 9  # np.float64 and float differ: one is weak


def test_static_arguments_by_position_and_name() -> None:
    counter = Counter(lambda x, n: x**n)
    f = tj.jit(lambda x, n=2, *, flag=True: counter(x, n) if flag else x, static_argnums=1,
               static_argnames=("flag", "n"))  # fmt: skip
    found = [f(3.0), f(3.0, 3), f(3.0, n=3), f(3.0, n=3, flag=False), f(3.0, 3)]
    assert found == [9, 27, 27, 3, 27]
    assert counter.runs == 3


def test_one_of_static_argnums_and_argnames_gives_the_other() -> None:
    for options in ({"static_argnums": 1}, {"static_argnames": "n"}, {"static_argnums": -1}):
        f = tj.jit(lambda x, n: x * len(range(n)), **options)
        assert f(2.0, 3) == f(2.0, n=3) == f(n=3, x=2.0) == 6.0


def test_static_values_of_different_types_are_different_programs() -> None:
    f = tj.jit(lambda x, n: x if type(n) is bool else x * (2 if type(n) is int else 3),
               static_argnums=1)  # fmt: skip
    for _ in range(2):
        assert [f(1.0, n) for n in (True, 1, 1.0)] == [1.0, 2.0, 3.0]


def test_static_arguments_of_functions_with_variable_arguments() -> None:
    f = tj.jit(lambda *args: args[0] * len(args[1]), static_argnums=1)
    assert f(2.0, "abc", 1.0) == 6.0


def test_decorator_and_factory() -> None:
    @tj.jit(static_argnames="n", backend="eager")
    def f(x, n):
        """Power."""
        return x**n

    assert f(2.0, n=3) == 8.0 and f.__doc__ == "Power." and f.__name__ == "f"
    assert list(inspect.signature(f).parameters) == ["x", "n"]


class Layer:
    def __init__(self, w):
        self.w = w

    @tj.jit(static_argnums=0)
    def apply(self, x):
        return self.w * x


def test_methods() -> None:
    layers = [Layer(2.0), Layer(3.0)]
    for _ in range(2):
        assert [layer.apply(2.0) for layer in layers] == [4.0, 6.0]
    assert Layer.apply(layers[0], 2.0) == 4.0


def test_builtins_and_partials() -> None:
    assert tj.jit(abs)(-2.0) == 2.0
    assert tj.jit(np.sin)(0.0) == 0.0


# ---- nesting


def test_a_jit_inside_a_jit_is_one_equation_and_traced_once() -> None:
    counter = Counter(lambda x: np.sin(x) + 1)
    inner = tj.jit(counter)
    jaxpr = tj.make_jaxpr(lambda x: inner(inner(x)) + inner(x))(X)
    assert [eqn.primitive.name for eqn in jaxpr.equations] == ["call"] * 3 + ["add"]
    assert counter.runs == 1
    assert tj.jit(lambda x: inner(inner(x)))(0.0) == np.sin(1) + 1


def test_a_jit_that_closes_over_a_tracer() -> None:
    def f(x):
        inner = tj.jit(lambda y, z: x * y + z)
        return inner(2.0, 1.0) + inner(x, x)

    assert tj.jit(f)(3.0) == 7 + 12
    assert tj.grad(f)(3.0) == tj.jit(tj.grad(f))(3.0) == 2 + 7

    hidden = []
    shared = tj.jit(lambda y: hidden[-1] * y)

    def g(x):
        hidden.append(x)
        return shared(2.0)

    assert [tj.jit(g)(3.0), tj.grad(g)(3.0), tj.jit(lambda x: g(x) + g(2 * x))(1.0)] == [6, 2, 6]


def test_concrete_calls_inside_a_trace_run_at_once() -> None:
    def f(x):
        n = int(module_level(2))
        return x * len(range(n))

    assert tj.jit(f)(1.0) == 4.0


def test_recursion() -> None:
    @tj.jit(static_argnums=1)
    def power(x, n):
        return x if n == 1 else x * power(x, n - 1)

    assert power(2.0, 5) == 32.0 and power(2.0, 5) == 32.0


# ---- errors leave no trace


def test_a_failure_is_not_kept() -> None:
    fail = [True]

    @tj.jit
    def f(x):
        if fail[0]:
            raise KeyError("no")
        return x

    for _ in range(2):
        with pytest.raises(KeyError):
            f(1.0)
    fail[0] = False
    assert f(1.0) == 1.0 and f.cache_size == 1


def test_a_tracer_of_a_failed_trace_is_dead() -> None:
    kept = []

    @tj.jit
    def f(x):
        kept.append(x)
        raise KeyError

    with pytest.raises(KeyError):
        f(1.0)
    with pytest.raises(LeakedTracerError):
        tj.jit(lambda x: x + kept[0])(1.0)


def test_a_leaf_that_is_no_array_is_named() -> None:
    with pytest.raises(DTypeError, match=r"argument t\['a'\]\[1\] of <lambda> is of type str"):
        tj.jit(lambda t: t)({"a": [1.0, "b"]})


# ---- configuration


def test_disable_jit_runs_the_function() -> None:
    counter = Counter(lambda x: abs(float(x)))
    f = tj.jit(counter)
    with tj.disable_jit():
        assert f(-2.0) == 2.0 and type(f(-2)) is float
    with tj.config(disable_jit=True), tj.disable_jit(False), pytest.raises(TypeError):
        f(1.0)


def test_disable_jit_reaches_installed_entries() -> None:
    counter = Counter(lambda x: x * 2)
    f = tj.jit(counter)
    f(X), f(X)
    with tj.disable_jit():
        f(X), f(X)
    f(X)
    assert counter.runs == 3


def test_the_default_float_is_part_of_the_kind() -> None:
    f = tj.jit(lambda x: x * 2)
    for _ in range(2):
        assert f(1.5).dtype == np.float64
        with tj.config(default_float="float32"):
            assert f(1.5).dtype == f(1.5).dtype == np.float32
        assert f(1.5).dtype == np.float64
    tj.config.update("default_float", "float32")
    try:
        assert f(1.5).dtype == f(1.5).dtype == np.float32
        assert f(np.float64(1.5)).dtype == np.float64
    finally:
        tj.config.update("default_float", "float64")
    assert f(1.5).dtype == np.float64 and f.cache_size == 3


def test_a_block_in_one_thread_leaves_the_others_alone() -> None:
    f = tj.jit(lambda x: x * 2)
    f(1.5)
    found = []
    with tj.config(default_float="float32"):
        thread = threading.Thread(target=lambda: found.append(f(1.5).dtype))
        thread.start()
        thread.join()
        assert f(1.5).dtype == np.float32
    assert found == [np.float64]


def test_the_backend_follows_the_configuration() -> None:
    f = tj.jit(lambda x: x * 2)
    f(X), f(X)
    with tj.config(backend="eager"):
        f(X)
    assert f.cache_size == 2
    f(X)
    assert f.cache_size == 2


# ---- as an object


def test_clear_cache() -> None:
    counter = Counter(lambda x: x * 2)
    f = tj.jit(counter)
    f(X), f(X)
    f.clear_cache()
    assert f.cache_size == 0
    f(X), f(X)
    assert counter.runs == 2


def test_trace_gives_the_jaxpr() -> None:
    f = tj.jit(lambda x: x * X)
    assert str(f.trace(X)) == str(tj.make_jaxpr(f.__wrapped__)(X))


def test_pickle_by_name_and_copy() -> None:
    assert pickle.loads(pickle.dumps(module_level)) is module_level
    assert copy.deepcopy(module_level) is module_level is copy.copy(module_level)


def test_arguments_are_not_kept_alive() -> None:
    class Big(np.ndarray):
        pass

    f = tj.jit(lambda t, *, k: (np.sum(t[0]) * k, t[0]))
    x = np.ones(4).view(Big)
    watched = weakref.ref(x)
    f([x], k=2.0), f([x], k=2.0)
    del x
    gc.collect()
    assert watched() is None


def test_functions_that_nobody_holds_go() -> None:
    def fun(x):
        return x * 2

    f = tj.jit(fun)
    f(X), f(X), tj.grad(f)(1.0)
    watched = weakref.ref(f)
    del f, fun
    gc.collect()
    assert watched() is None


# ---- threads


def test_threads_compile_once() -> None:
    started = threading.Barrier(4)
    counter = Counter(lambda x: np.sum(np.sin(x)))
    f = tj.jit(counter)
    found = []

    def work() -> None:
        started.wait()
        found.append(f(X))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counter.runs == f.cache_size == 1
    np.testing.assert_allclose(found, np.sum(np.sin(X)), rtol=1e-14)


def test_threads_that_call_different_kinds() -> None:
    f = tj.jit(lambda x: x * 2)
    faults = []

    def work(n: int) -> None:
        for _ in range(200):
            if f(np.full(n, 1.0)).sum() != 2 * n:
                faults.append(n)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == [] and f.cache_size == 8


def test_static_arguments_are_not_traced() -> None:
    scaled = tj.jit(lambda x, n: x * n, static_argnames="n")
    with pytest.raises(StaticArgumentError, match="static argument n of <lambda> is traced"):
        tj.jit(lambda x, n: scaled(x, n))(1.0, 2)
    with pytest.raises(StaticArgumentError, match="is traced"):
        tj.grad(lambda n: scaled(1.0, n=n))(2.0)


@pytest.mark.parametrize("donate", [{"donate_argnums": 0}, {"donate_argnames": ("w",)}])
def test_donation_lets_large_results_take_turns(donate) -> None:
    @tj.jit(**donate)
    def step(w, slope):
        return {"w": w["w"] - 0.5 * slope, "n": w["n"] + 1}

    w, slope = {"w": np.zeros((300, 200)), "n": np.float64(0)}, np.ones((300, 200))
    first, addresses = w["w"], set()
    for _ in range(9):
        w = step(w, slope)
        addresses.add(w["w"].ctypes.data)
    assert w["n"] == 9 and (w["w"] == -4.5).all() and (first == 0.0).all()
    for entry in installed(step):
        assert any(kept is w for kept in entry.spares) and len(addresses) <= 3

    history = []
    for _ in range(5):
        w = step(w, slope)
        history.append(w["w"])
    assert [x[0, 0] for x in history] == [-5.0, -5.5, -6.0, -6.5, -7.0]


def test_donated_arguments_are_arguments_that_are_there() -> None:
    def f(x, n):
        return x * n

    with pytest.raises(StaticArgumentError, match="donate_argnums: f has no positional argument 2"):
        tj.jit(f, donate_argnums=2)
    with pytest.raises(StaticArgumentError, match="donate_argnames: f has no argument 'm'"):
        tj.jit(f, donate_argnames="m")
    with pytest.raises(StaticArgumentError, match="donate_argnums must be an int"):
        tj.jit(f, donate_argnums="x")
    with pytest.raises(ArgumentError, match=r"arguments \[1\] of f are static and donated"):
        tj.jit(f, static_argnums=1, donate_argnums=(0, 1))
    assert tj.jit(f, donate_argnums=())(2.0, 3.0) == 6.0

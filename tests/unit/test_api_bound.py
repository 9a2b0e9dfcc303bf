"""Bound calls: arguments and results fixed once; on each backend, and what machine code adds."""

from __future__ import annotations

import copy
import ctypes
import gc
import os
import pickle
import subprocess
import sys
import threading
import tracemalloc
import weakref
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import tracejit as tj
from tracejit.api.bound import BoundCall
from tracejit.backends.native import abi
from tracejit.backends.native.callable import installed
from tracejit.backends.native.entry import bound_entry
from tracejit.errors import ArgumentError, DTypeError, ShapeError, TreeError

needs_native = pytest.mark.skipif(not abi.SUPPORTED, reason=abi.WHY_NOT)


class Pair(NamedTuple):
    value: object
    slope: object


def loss(w, X, y):
    """The sum of squares of a regression's residuals."""
    return np.sum((X @ w - y) ** 2)


@pytest.fixture
def data(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Arguments of `loss`."""
    return rng.normal(size=3), rng.normal(size=(7, 3)), rng.normal(size=7)


def assert_trees_equal(found: object, wanted: object) -> None:
    for y, z in zip(tj.tree.leaves(found), tj.tree.leaves(wanted), strict=True):
        assert y.dtype == z.dtype
        np.testing.assert_array_equal(y, z)


# ---- what a call does


def test_a_call_is_the_function_at_the_present_contents(backend, data) -> None:
    f = tj.jit(tj.value_and_grad(loss), backend=backend)
    call = f.bind(*data)
    for step in range(3):
        assert_trees_equal(call(), f(*data))
        data[0][:] -= 0.01 * call.result[1]
        data[2][step] = 0.0


def test_the_result_is_one_object(backend, data) -> None:
    call = tj.jit(tj.value_and_grad(loss), backend=backend).bind(*data)
    value, slope = call.result
    assert value.shape == () and not value.any() and not slope.any()
    assert call() is call() is call.result
    assert call.result[0] is value and value > 0
    with pytest.raises(AttributeError):
        call.result = ()


LEAVES = {
    "float": 2.5, "int": -3, "bool": True, "float32": np.float32(1.5), "int8": np.int8(-7),
    "rank 0": np.array(2.0), "empty": np.zeros((0, 3)), "bools": np.array([True, False]),
    "float32s": np.linspace(0, 1, 5, dtype=np.float32), "uint64": np.arange(3, dtype=np.uint64),
    "int16s": np.ones((2, 3), "i2"), "read-only": np.broadcast_to(np.arange(4.0), (1, 4)),
}  # fmt: skip


def test_every_kind_of_leaf_goes_in_and_out(backend) -> None:
    f = tj.jit(lambda tree: {name: x + x for name, x in tree.items()}, backend=backend)
    assert_trees_equal(f.bind(LEAVES)(), f(LEAVES))


@pytest.mark.parametrize("tree", [(), [[]], None, {"b": [1.0], "a": (2.0, None)}, Pair(1.0, 2.0)])
def test_trees_of_results(backend, tree) -> None:
    f = tj.jit(lambda tree: tree, backend=backend)
    assert tj.tree.structure(f.bind(tree)()) == tj.tree.structure(tree)


def test_keywords_and_static_arguments(backend) -> None:
    f = tj.jit(lambda x, n, *, scale: scale * x**n, static_argnames="n", backend=backend)
    x = np.arange(1.0, 4.0)
    np.testing.assert_array_equal(f.bind(x, 3, scale=2.0)(), 2 * x**3)
    np.testing.assert_array_equal(f.bind(x, scale=x, n=2)(), x**3)


def test_python_floats_where_the_default_is_float32(backend) -> None:
    with tj.config.override(default_float="float32"):
        f = tj.jit(lambda x: x * 3, backend=backend)
        assert f.bind(0.1)() == f(0.1) and f.bind(0.1).result.dtype == np.float32


def test_binding_compiles_nothing_twice(data) -> None:
    f = tj.jit(loss)
    f(*data)
    first, second = f.bind(*data), f.bind(*[x + 1 for x in data])
    assert f.cache_size == 1
    assert first.result is not second.result
    f.clear_cache()
    del f
    gc.collect()
    assert_trees_equal(first(), tj.jit(loss)(*data))


def test_a_call_inside_of_a_trace_is_a_constant_of_it() -> None:
    x = np.arange(3.0)
    call = tj.jit(np.sum).bind(x)
    assert tj.jit(lambda y: y + call())(1.0) == 4.0


# ---- results in the caller's arrays


def test_out_is_written_and_returned(backend, data) -> None:
    f = tj.jit(tj.value_and_grad(loss), backend=backend)
    out = (np.full((), np.nan), np.full(3, np.nan))
    call = f.bind(*data, out=out)
    assert call() is out is call.result
    assert_trees_equal(out, f(*data))


def test_out_may_be_part_of_a_larger_array(backend) -> None:
    rows, x = np.full((4, 3), -1.0), np.arange(3.0)
    tj.jit(lambda x: 2 * x, backend=backend).bind(x, out=rows[2])()
    np.testing.assert_array_equal(rows, [[-1] * 3, [-1] * 3, 2 * x, [-1] * 3])


def test_two_calls_feed_each_other(backend) -> None:
    a, b = np.ones(3), np.zeros(3)
    f = tj.jit(lambda x: 2 * x, backend=backend)
    there, back = f.bind(a, out=b), f.bind(b, out=a)
    for _ in range(3):
        there(), back()
    np.testing.assert_array_equal(a, [64.0] * 3)


def test_out_in_a_file(backend, tmp_path) -> None:
    out = np.memmap(tmp_path / "y", np.float64, "w+", shape=(3,))
    tj.jit(lambda x: x + 1, backend=backend).bind(np.arange(3.0), out=out)()
    out.flush()
    np.testing.assert_array_equal(np.fromfile(tmp_path / "y"), [1.0, 2.0, 3.0])


def test_a_parameter_called_out_is_given_by_position(backend) -> None:
    f = tj.jit(lambda x, out: x + out, backend=backend)
    x, y = np.ones(2), np.zeros(2)
    assert f.bind(x, x, out=y)() is y
    np.testing.assert_array_equal(f(x, out=y), [3.0, 3.0])  # in a call it is the function's


# ---- what bind refuses


X = np.arange(6.0).reshape(2, 3)
MISALIGNED = np.zeros(49, np.uint8)[1:].view(np.float64).reshape(2, 3)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.ones((2, 6))[:, ::2], r"x\['w'\] of f is not C-contiguous.*\n.*\n.*ascont"),
        (np.asfortranarray(X), "not C-contiguous"),
        (MISALIGNED, "is not aligned"),
        (X.astype(">f8"), "has dtype >f8, not in this machine's order"),
        (memoryview(b"abc"), "of type memoryview"),
    ],
    ids=["strided", "fortran", "misaligned", "big endian", "no array"],
)  # fmt: skip
def test_arguments_that_cannot_be_read_in_place(x, message) -> None:
    def f(x):
        return np.sum(x["w"])

    with pytest.raises((ArgumentError, DTypeError), match=message):
        tj.jit(f).bind({"w": x})


@needs_native
def test_arrays_of_other_packages_are_no_memory_of_ours() -> None:
    class Foreign:
        def __array__(self, dtype=None, copy=None):
            return np.ones(3)

    assert tj.jit(np.sum)(Foreign()) == 3.0
    with pytest.raises(ArgumentError, match=r"is of type Foreign: .*\n.*\n.*np.asarray"):
        tj.jit(np.sum).bind(Foreign())


READ_ONLY = np.zeros((2, 3))
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("out", "error", "message"),
    [
        ([np.zeros((2, 3))], TreeError, r"out is \[\*\], and f gives \{'y': \*\}"),
        ({"y": np.zeros((3, 2))}, ShapeError, r"out\['y'\] has shape \(3, 2\), and f gives .*2, 3"),
        ({"y": np.zeros((2, 3), "f4")}, DTypeError, r"out\['y'\] has dtype float32, and f gives"),
        ({"y": READ_ONLY}, ArgumentError, r"out\['y'\] is read-only"),
        ({"y": np.zeros((3, 2)).T}, ArgumentError, r"out\['y'\] is not C-contiguous"),
        ({"y": MISALIGNED}, ArgumentError, r"out\['y'\] is not aligned"),
        ({"y": np.zeros((2, 3), ">f8")}, DTypeError, "has dtype >f8"),
        ({"y": 1.0}, ArgumentError, "is of type float, and f gives an array of shape"),
        ({"y": np.ma.zeros((2, 3))}, ArgumentError, "is of type MaskedArray"),
    ],
)
def test_results_that_cannot_be_written(out, error, message) -> None:
    def f(x):
        return {"y": 2 * x}

    with pytest.raises(error, match=message):
        tj.jit(f).bind(X, out=out)


def test_a_number_is_written_into_an_array_of_rank_0() -> None:
    with pytest.raises(ArgumentError, match=r"hint: numbers .*np.empty\(\(\)\)"):
        tj.jit(np.sum).bind(X, out=0.0)


def test_overlapping_memory_is_refused() -> None:
    memory = np.arange(12.0)

    def f(x, y):
        return x + y, y + 1

    def bind(x, y, a, b):
        return tj.jit(f).bind(x, y, out=(a, b))

    x, y, a, b = memory[:6], np.ones(6), np.ones(6), np.ones(6)
    assert isinstance(bind(x, x, memory[6:], b), BoundCall)  # neighbours; one input twice
    for args, message in [
        ((x, y, x, b), r"out\[0\] shares memory with argument x of f"),
        ((x, y, a, memory[3:9]), r"out\[1\] shares memory with argument x of f"),
        ((y, x, memory[5:11], b), r"out\[0\] shares memory with argument y of f"),
        ((memory[3:9], y, a, x), r"out\[1\] shares memory with argument x of f"),
        ((x, y, a, a), r"out\[1\] shares memory with out\[0\]"),
    ]:
        with pytest.raises(ArgumentError, match=message):
            bind(*args)
    big = np.zeros(18)  # the long interval before reaches over the one between
    with pytest.raises(ArgumentError, match=r"out shares memory with argument x of"):
        tj.jit(lambda x, y: np.sum(x) + y).bind(big, big[:1], out=big[9:10])


def test_overlaps_are_those_that_numpy_finds(rng) -> None:
    f = tj.jit(lambda x, y: (x + 1, y + 1))
    refused = 0
    for _ in range(300):
        memory = np.zeros(40)
        sizes = zip(rng.integers(0, 35, 4), (4, 2, 4, 2), strict=True)
        x, y, a, b = [memory[i : i + n] for i, n in sizes]
        pairs = [(a, x), (a, y), (b, x), (b, y), (a, b)]
        if not any(np.shares_memory(p, q) for p, q in pairs):
            f.bind(x, y, out=(a, b))
            continue
        refused += 1
        with pytest.raises(ArgumentError, match="shares memory"):
            f.bind(x, y, out=(a, b))
    assert 100 < refused < 300


def test_captured_arrays_are_constants_which_out_does_not_change(backend) -> None:
    captured = np.arange(3.0)
    call = tj.jit(lambda x: x + captured, backend=backend).bind(1.0, out=captured)
    call(), call()
    np.testing.assert_array_equal(captured, [1.0, 2.0, 3.0])


def test_empty_arrays_overlap_with_nothing() -> None:
    x = np.zeros((0, 3))
    assert tj.jit(lambda x: x + 1).bind(x, out=x)() is x


def test_binding_in_a_trace_is_refused() -> None:
    def outer(x):
        return tj.jit(np.sum).bind(x)()

    def capturing(x):
        return tj.jit(lambda y: x + y).bind(1.0)()

    for f in (outer, capturing):
        with pytest.raises(
            ArgumentError, match="bind was called in a function that is being traced"
        ):
            tj.jit(f)(X)


def test_a_bound_call_takes_no_arguments(backend) -> None:
    call = tj.jit(np.sum, backend=backend).bind(X)
    for args, kwargs in [((X,), {}), ((), {"x": X})]:
        with pytest.raises(
            ArgumentError, match=r"a bound call of sum takes no arguments.*\n.*\n.*x\["
        ):
            call(*args, **kwargs)
    assert call(*(), **{}) == 15.0


# ---- as an object


def test_it_is_no_method(backend) -> None:
    class Model:
        step = tj.jit(np.sum, backend=backend).bind(X)

    assert Model().step() == Model.step() == 15.0


def test_it_is_one_of_a_kind() -> None:
    call = tj.jit(np.sum).bind(X)
    assert copy.copy(call) is copy.deepcopy(call) is call
    assert repr(call) == "<bound call of sum>"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(call)


def test_it_keeps_what_it_uses_alive(backend, data) -> None:
    expected = loss(*data)
    arrays = [x.copy() for x in data]
    alive = weakref.ref(arrays[1])
    call = tj.jit(loss, backend=backend).bind(*arrays)
    arrays.clear()
    gc.collect()
    junk = [np.full((7, 3), np.nan) for _ in range(50)]
    assert alive() is not None and len(junk) == 50
    np.testing.assert_allclose(call(), expected)
    del call
    gc.collect()
    assert alive() is None


def test_without_native_calls_it_works_the_same(monkeypatch, data) -> None:
    call = tj.jit(tj.value_and_grad(loss)).bind(*data)
    monkeypatch.setattr(abi, "LAYOUT", None)
    portable = tj.jit(tj.value_and_grad(loss)).bind(*data)
    assert not installed(portable)
    assert_trees_equal(portable(), call())


# ---- machine code


@needs_native
def test_no_python_runs_in_a_call(data) -> None:
    call = tj.jit(tj.value_and_grad(loss)).bind(*data)
    events = []
    sys.setprofile(lambda frame, event, arg: events.append(frame.f_code.co_name))
    try:
        for _ in range(3):
            call()
    finally:
        sys.setprofile(None)
    assert set(events) <= {"test_no_python_runs_in_a_call"}  # the end of the block itself


@needs_native
def test_a_kernel_may_decline() -> None:
    class Executable:
        """Machine code that leaves every call to Python, which computes 7."""

        kernel = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p)(
            lambda inputs, outputs: 1
        )

        def __call__(self, *arrays):
            return (np.array(7.0),)

        def texts(self):
            return {}

        def bound_entry(self, inputs, outputs, result):
            address = ctypes.cast(self.kernel, ctypes.c_void_p).value
            return bound_entry(address, inputs, outputs, result, owner=self)

    out = np.zeros(())
    call = BoundCall("f", Executable(), [], [out], out)
    assert installed(call)
    assert call() is out and out == 7.0


@needs_native
def test_references_and_memory_are_flat() -> None:
    x = np.arange(5.0)
    call = tj.jit(tj.value_and_grad(lambda w: np.sum(w**2))).bind(x)
    watched = [x, call, call.result, *call.result, x.dtype]
    call()
    before, blocks = [sys.getrefcount(o) for o in watched], sys.getallocatedblocks()
    tracemalloc.start()  # counts the data of arrays, too
    memory, _ = tracemalloc.get_traced_memory()
    for _ in range(1_000_000):
        call()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - memory < 1000 and sys.getallocatedblocks() - blocks < 100
    assert [sys.getrefcount(o) for o in watched] == before


@needs_native
def test_binding_again_and_again_leaks_nothing() -> None:
    x = np.arange(5.0)
    f = tj.jit(lambda w: {"y": 2 * w})

    def bind() -> tuple[int, int]:
        for _ in range(500):
            f.bind(x, out={"y": np.empty(5)})()
        gc.collect()
        return sys.getrefcount(x), sys.getallocatedblocks()

    bind()  # free lists grow
    references, blocks = bind()
    again, now = bind()
    assert again == references and now - blocks < 250


@needs_native
def test_a_circle_through_the_result_is_collected() -> None:
    @tj.tree.register_pytree_node_class
    class Box:
        def __init__(self, x):
            self.x = x

        def tree_flatten(self):
            return (self.x,), None

        @classmethod
        def tree_unflatten(cls, aux, children):
            return cls(*children)

    call = tj.jit(lambda x: Box(2 * x)).bind(X)
    call.result.call = call
    gone = weakref.ref(call)
    del call
    gc.collect()
    assert gone() is None


def test_threads_with_calls_of_their_own(backend) -> None:
    f = tj.jit(lambda x: np.cumsum(np.sin(x)), backend=backend)
    arrays = [np.linspace(0, k, 500) for k in range(1, 5)]
    wrong = []

    def work(x: np.ndarray) -> None:
        call, expected = f.bind(x), f(x)
        for _ in range(200):
            call.result[:] = 0
            if not np.array_equal(call(), expected):
                wrong.append(x)

    threads = [threading.Thread(target=work, args=(x,)) for x in arrays]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_after_a_fork() -> None:
    program = """
import os, numpy as np, tracejit as tj
x = np.arange(4.0)
call = tj.jit(lambda x: 2 * x).bind(x)
call()
child = os.fork()
if child == 0:
    x[:] = 5.0
    os._exit(not np.array_equal(call(), [10.0] * 4))
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
assert np.array_equal(call.result, 2 * x)
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(tj.__file__).parents[1])}
    subprocess.run([sys.executable, "-c", program], env=environment, check=True, timeout=60)

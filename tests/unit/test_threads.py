"""Threads: the same results on any number, the GIL, workspaces, forks, the end of a process."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native import compile as native
from tracejit.backends.native import pieces, pool
from tracejit.backends.native.compile import NativeExecutable
from tracejit.backends.native.emit import F64, I64, constant
from tracejit.backends.native.nest import Scalar
from tracejit.backends.native.parallel import parallel
from tracejit.backends.native.program import Program
from tracejit.errors import ArgumentError
from tracejit.ir.walk import evaluate
from tracejit.testing.compare import assert_close

RNG = np.random.default_rng(5)
COUNTS = (1, 2, 3, 7)


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = tj.config.threads
    yield
    tj.config.update("threads", before)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small programs count as long ones, and are cut into small pieces."""
    for module in (native, pieces):
        monkeypatch.setattr(module, "LONG", 1)
    monkeypatch.setattr(pieces, "LEAST", 100)


def executable(fun, *args) -> NativeExecutable:
    return NativeExecutable(tj.jit(fun).trace(*args))


def bits(results) -> list[bytes]:
    return [np.asarray(y).tobytes() for y in results]


def on_threads(run: NativeExecutable, count: int, *args) -> list[bytes]:
    tj.config.update("threads", count)
    return bits(run(*args))


def in_process(code: str, **environment: str) -> str:
    """What Python code prints, in a process of its own that ends well."""
    src = Path(tj.__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=300,
        env={**os.environ, "PYTHONPATH": str(src), **environment},
    )  # fmt: skip
    assert done.returncode == 0 and not done.stderr, done.stderr
    return done.stdout.strip()


# ---- the same results


def dense(x):
    return np.sin(x) * np.exp(-x * x)


def total(x):
    return np.sum(dense(x)), np.max(x), np.min(dense(x))


def rows(x):
    return x.sum(1), x.max(0), (x * 2.0 + x.sum(1, keepdims=True)), x.T @ x.sum(1)


def integers(x):
    n = (x * 100).astype(np.int64)
    return n.sum(), np.any(n > 90), np.all(n < 1000, axis=0), n ^ 5


def loop(x):
    def step(carry, row):
        y = np.tanh(carry + row)
        return y, (y * row).sum()

    return tj.lax.scan(step, x[0], x[:40])


SHAPES = {"long": (40_003,), "prime rows": (1009, 37), "few rows": (3, 9001), "cube": (30, 31, 29)}
CASES = [(dense, s) for s in SHAPES] + [(total, s) for s in SHAPES]
CASES += [(rows, "prime rows"), (rows, "few rows"), (integers, "prime rows")]
CASES += [(loop, "prime rows")]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("fun", "shape"), CASES, ids=lambda x: getattr(x, "__name__", x))
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_the_number_of_threads_changes_no_bit(fun, shape: str, dtype: str) -> None:
    x = RNG.normal(size=SHAPES[shape]).astype(dtype)
    run = executable(fun, x)
    assert run.summary.is_long and (run.summary.loops_shared or fun is rows)
    expected = on_threads(run, 1, x)
    for count in COUNTS:
        for _ in range(5):
            assert on_threads(run, count, x) == expected, count
    tj.config.update("threads", 5)
    assert bits(executable(fun, x)(x)) == expected, "compiled for others"
    rtol = 1e-11 if dtype == "float64" else 2e-4
    assert_close("threads", fun.__name__, run(x), evaluate(run.jaxpr, x), rtol=rtol)


@pytest.mark.usefixtures("small")
def test_gradients_on_threads() -> None:
    def loss(w, x, y):
        return np.mean(np.log1p(np.exp(-y * (x @ w)))) + 0.1 * (w * w).sum()

    w, x, y = RNG.normal(size=9), RNG.normal(size=(3001, 9)), RNG.choice([-1.0, 1.0], 3001)
    run = executable(tj.value_and_grad(loss), w, x, y)
    expected = on_threads(run, 1, w, x, y)
    assert all(on_threads(run, n, w, x, y) == expected for n in COUNTS for _ in range(5))
    assert_close("gradient", "", run(w, x, y), evaluate(run.jaxpr, w, x, y), rtol=1e-11)


PRODUCTS = {
    "rows": ((301, 40), (40, 33)), "columns": ((33, 40), (40, 301)), "even": ((256, 64), (64, 64)),
    "batch": ((7, 32, 40), (7, 40, 32)),
}  # fmt: skip


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", PRODUCTS)
@pytest.mark.parametrize("turned", [(0, 0), (0, 1), (1, 0), (1, 1)], ids=str)
def test_products_of_matrices(name: str, turned: tuple[int, int]) -> None:
    x, y = (RNG.normal(size=shape) for shape in PRODUCTS[name])

    def turn(pair):
        return [np.swapaxes(z, -1, -2) if t else z for z, t in zip(pair, turned, strict=True)]

    left, right = map(np.ascontiguousarray, turn((x, y)))
    run = executable(lambda a, b: np.matmul(*turn((a, b))), left, right)
    assert run.summary.statements["dot"] and run.summary.loops_shared
    expected = on_threads(run, 1, left, right)
    assert all(on_threads(run, n, left, right) == expected for n in COUNTS for _ in range(3))
    assert_close("product", name, run(left, right), [x @ y], rtol=1e-12)


def test_blas_has_its_threads_back() -> None:
    printed = in_process("""
import threading, numpy as np, tracejit as tj
from tracejit.backends.native.blas import _openblas, blas
usual = blas("threads")
import ctypes
setter = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(usual)
setter(2)
f, g = tj.jit(lambda x: x @ x), tj.jit(lambda x: np.tanh(x @ x).sum())
small, large = np.ones((40, 40)), np.ones((400, 400))
def work(h, x):
    for _ in range(200):
        h(x)
threads = [threading.Thread(target=work, args=a) for a in ((f, small), (g, large), (g, small)) * 2]
for t in threads: t.start()
for t in threads: t.join()
print(setter(2))
""")
    assert printed == "2"


def test_parts_of_large_sums_take_little_memory() -> None:
    """A matrix times a vector, from the left: some rows at a time, in a few pieces."""
    x, y = np.ones((3000, 20_000)), np.ones(3000)
    summary = executable(lambda x, y: y @ x, x, y).summary
    assert summary.loops_shared == 1 and summary.workspace_bytes < 5 << 18


def test_what_is_large_is_cut_and_what_is_small_is_not() -> None:
    large, small = np.ones(1_000_000), np.ones(1000)
    assert executable(dense, large).summary.loops_shared == 1
    summary = executable(dense, small).summary
    assert not summary.is_long and not summary.loops_shared


# ---- a loop of one's own


def reversed_rows(monkeypatch: pytest.MonkeyPatch, count: int, size: int) -> NativeExecutable:
    """4 times the rows of an array of (count, size), reversed: an iteration for each row, by way of
    memory of its own, with a number that was computed outside."""
    x = np.zeros((count, size))

    def emit(self: Program, step) -> None:
        (v,), (source,) = step.stores, self.jaxpr.invars
        target, array, two = self.allocate(v), self.locations[source], Scalar(constant(F64, 2.0))
        twice = self.fn.add(two.value, two.value)

        def body(i):
            scratch = self.scratch(source.type.with_shape((size,)))
            fn = self.fn
            first = fn.mul(i, constant(I64, size))
            row = fn.offset(array.pointer, first, F64)
            out = fn.offset(target.pointer, first, F64)

            def keep(j):
                fn.store(fn.load(F64, fn.offset(row, j, F64)), fn.offset(scratch.pointer, j, F64))

            def write(j):
                back = fn.sub(constant(I64, size - 1), j)
                y = fn.load(F64, fn.offset(scratch.pointer, back, F64))
                fn.store(fn.mul(y, twice), fn.offset(out, j, F64))

            self.repeat(size, keep)
            self.repeat(size, write)

        parallel(self, count, body)
        self.locations[v] = target

    monkeypatch.setattr(native, "LONG", 1)
    with monkeypatch.context() as patch:
        patch.setattr(Program, "_run_kernel", emit)
        return executable(lambda x: x + 1.0, x)


@pytest.mark.parametrize("size", [5, 1000, 300_000])
def test_iterations_have_memory_of_their_own(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    run = reversed_rows(monkeypatch, 13, size)
    x = RNG.normal(size=(13, size))
    for count in (*COUNTS, 20):
        tj.config.update("threads", count)
        for _ in range(10):
            np.testing.assert_array_equal(run(x)[0], 4.0 * x[:, ::-1])
    assert run.summary.scratch_bytes >= 8 * size


def test_a_loop_in_a_program_for_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    x = RNG.normal(size=(3, 4))
    monkeypatch.setattr(native, "effort", lambda jaxpr: 0)
    run = reversed_rows(monkeypatch, 3, 4)
    assert not run.summary.is_long and not run.summary.loops_shared
    np.testing.assert_array_equal(run(x)[0], 4.0 * x[:, ::-1])


@pytest.mark.usefixtures("small")
def test_loops_in_parallel_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    """A part of a job wants a job done: it does that itself."""
    x = RNG.normal(size=(5, 4))

    def emit(self: Program, step) -> None:
        (v,), (source,) = step.stores, self.jaxpr.invars
        target, array, threads = self.allocate(v), self.locations[source], self.threads

        def outer(i):
            self.threads = threads

            def inner(j):
                fn = self.fn
                at = fn.add(fn.mul(i, constant(I64, 4)), j)
                y = fn.load(F64, fn.offset(array.pointer, at, F64))
                fn.store(fn.neg(y), fn.offset(target.pointer, at, F64))

            parallel(self, 4, inner)
            self.threads = None

        parallel(self, 5, outer)
        self.locations[v] = target

    with monkeypatch.context() as patch:
        patch.setattr(Program, "_run_kernel", emit)
        run = executable(lambda x: x + 1.0, x)
    for count in COUNTS:
        tj.config.update("threads", count)
        for _ in range(20):
            np.testing.assert_array_equal(run(x)[0], -x)


# ---- the GIL, and threads of Python


@pytest.mark.parametrize("bound", [False, True], ids=["call", "bound"])
def test_python_runs_while_a_long_kernel_does(bound: bool) -> None:
    """A kernel waits for what Python writes into its operand meanwhile."""
    never = 4_000_000_000

    def wait(flags):
        def waits(state):
            return (state[1] == 0) & (state[0] < never)

        def look(state):
            return state[0] + 1, flags[state[0] % 2]

        n, _ = tj.lax.while_loop(waits, look, (0, flags[0]))
        return n, np.sin(np.arange(500_000.0) + flags[0]).sum()

    f, flags = tj.jit(wait), np.ones(2, np.int64)
    f(flags)
    call = f.bind(flags) if bound else lambda: f(flags)
    flags[:] = 0
    started, steps = threading.Event(), []

    def work() -> None:
        started.set()
        steps.append(int(call()[0]))

    thread = threading.Thread(target=work)
    thread.start()
    started.wait()
    time.sleep(0.05)  # until then the kernel runs, with the GIL or without it
    flags[:] = 1
    thread.join()
    assert steps[0] < never


@pytest.mark.usefixtures("small")
def test_threads_of_python_in_one_function() -> None:
    def fun(x):
        # What is stored on the way lies in the workspace.
        y = np.cumsum(np.exp(np.sin(x)))
        return y / y.sum(), np.sort(y)[::-1].sum()

    f = tj.jit(fun)
    xs = [RNG.normal(size=3000) for _ in range(6)]
    expected = [bits(f(x)) for x in xs]
    tj.config.update("threads", 2)
    wrong = []

    def work(x, right) -> None:
        for _ in range(300):
            if bits(f(x)) != right:
                wrong.append(x)

    threads = [
        threading.Thread(target=work, args=pair)
        for pair in (*zip(xs, expected, strict=True), *zip(xs, expected, strict=True))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.usefixtures("small")
def test_a_workspace_is_kept_for_the_next_call() -> None:
    x = RNG.normal(size=2000)
    run = executable(lambda x: np.sort(np.cumsum(x)), x)
    slots = (ctypes.c_void_p * pool.SLOTS).from_address(run._code.address("workspaces"))
    assert not any(slots)
    run(x)
    first = slots[0]
    run(x)
    assert first and list(slots) == [first] + [None] * (pool.SLOTS - 1)


def test_memory_of_workspaces_is_freed() -> None:
    printed = in_process("""
import numpy as np, tracejit as tj
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
x = np.random.default_rng(0).normal(size=2_000_000)
def once(k):
    f = tj.jit(lambda x: np.sort(np.cumsum(x) * k)[::2])
    f(x), f(x)
once(1.0)
before = resident()
for k in range(2, 12):
    once(float(k))
print(resident() - before < 100e6)
""")
    assert printed == "True"


def test_no_workspace_is_a_memory_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "LONG", 1)
    jaxpr = tj.jit(lambda x: np.cumsum(x) + 1.0).trace(np.ones(3))
    with monkeypatch.context() as patch:
        patch.setattr(native.Arena, "size", property(lambda self: 1 << 62))
        run = NativeExecutable(jaxpr)
    with pytest.raises(MemoryError, match="no workspace of"):
        run(np.ones(3))


# ---- how many


def test_nobody_is_started_before_it_is_needed() -> None:
    printed = in_process("""
import os, threading, numpy as np, tracejit as tj
from tracejit.backends.native import pool
def count():
    return len(os.listdir("/proc/self/task"))
f = tj.jit(lambda x: np.sin(x) * 2.0)
before = count()
small, large = np.ones(10), np.ones(1_000_000)
f(small)
tj.config.update("threads", 1)
f(large), f(large)
with tj.config(threads=1):
    f(large)
print(count() - before, pool.workers())
tj.config.update("threads", 3)
f(large), f(large), f(large)
print(count() - before, pool.workers(), threading.active_count())
tj.config.update("threads", 2)
f(large)
print(pool.workers())
""", OPENBLAS_NUM_THREADS="1")
    assert printed.splitlines() == ["0 0", "2 2 1", "2"]


def test_blocks_and_functions_have_counts_of_their_own() -> None:
    printed = in_process("""
import numpy as np, tracejit as tj
from tracejit.backends.native import pool
x = np.ones(1_000_000)
f = tj.jit(lambda x: np.cos(x), threads=1)
g = tj.jit(lambda x: np.cos(x) + 1.0)
tj.config.update("threads", 2)
f(x), f(x), tj.jit(tj.grad(lambda x: f(x).sum()), threads=1)(x)
with tj.config(threads=1):
    g(x), g(x), g(x)
print(pool.workers())
with tj.config(threads=3):
    g(x)
print(pool.workers())
h = tj.jit(lambda x: np.cos(x) + 2.0, threads=5)
h(x), h(x)
print(pool.workers())
""")
    assert printed.split() == ["0", "2", "4"]


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", True])
def test_counts_that_are_none(count) -> None:
    with pytest.raises(ArgumentError, match="whole number of at least 1"):
        tj.jit(lambda x: x, threads=count)


def test_rounding_is_that_of_the_caller() -> None:
    """Workers that were started before take over the caller's floating point state."""
    printed = in_process("""
import ctypes, ctypes.util, numpy as np, tracejit as tj
m = ctypes.CDLL(ctypes.util.find_library("m"))
tj.config.update("threads", 2)
f = tj.jit(lambda x: x / 3.0 + 1.0)
x = np.random.default_rng(0).normal(size=1_000_000)
f(x)
usual = f(x)
m.fesetround(0x400 if ctypes.sizeof(ctypes.c_long) else 0)
down = [f(x).tobytes() for _ in range(20)]
m.fesetround(0)
print(len(set(down)), down[0] != usual.tobytes(), (f(x) == usual).all())
""")
    assert printed == "1 True True"


# ---- forks and the end


FORK = """
import os, signal, numpy as np, tracejit as tj
from tracejit.backends.native import pool
tj.config.update("threads", 3)
f = tj.jit(lambda x: (np.sin(x) * 2.0, np.sum(np.cos(x))))
x = np.arange(500_000.0)
right = [np.asarray(y).tobytes() for y in f(x)]
"""


def test_a_child_begins_anew() -> None:
    printed = in_process(FORK + """
import threading, warnings
warnings.simplefilter("ignore")
go = True
def work():
    while go:
        f(x)
thread = threading.Thread(target=work); thread.start()
good = 0
for _ in range(20):
    child = os.fork()
    if not child:
        signal.alarm(60)
        none = pool.workers() == 0
        same = all([np.asarray(y).tobytes() for y in f(x)] == right for _ in range(3))
        os._exit(0 if none and same and pool.workers() == 2 else 1)
    good += os.waitpid(child, 0)[1] == 0
go = False
thread.join()
same = [np.asarray(y).tobytes() for y in f(x)] == right
print(good, same)
""")
    assert printed == "20 True"


def test_a_process_ends_while_a_daemon_computes() -> None:
    printed = in_process(FORK + """
import threading, time
def work():
    while True:
        f(x)
threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
time.sleep(0.2)
print("end")
""")
    assert printed == "end"


def test_workers_get_no_signals() -> None:
    """Or Python's handler would run there, and a main thread that sleeps would not wake up."""
    printed = in_process("""
import os, numpy as np, tracejit as tj
def tasks():
    return set(os.listdir("/proc/self/task"))
def blocked(task):
    lines = open(f"/proc/self/task/{task}/status").read().splitlines()
    (mask,) = [line.split()[1] for line in lines if line.startswith("SigBlk")]
    return int(mask, 16)
tj.config.update("threads", 3)
f = tj.jit(lambda x: np.sin(x) * 2.0)
before, mine = tasks(), blocked(os.getpid())
f(np.ones(500_000))
usual = 0x7FFBFEFF  # 1 to 31 without SIGKILL and SIGSTOP
print([blocked(t) & usual == usual for t in tasks() - before], blocked(os.getpid()) == mine)
""")
    assert printed == "[True, True] True"

"""Effects and what surrounds them: paths, threads, the disk, XLA, long programs."""

from __future__ import annotations

import gc
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native import compile as compile_module
from tracejit.errors import CheckError
from tracejit.ir.effects import has_effects

BACKENDS = ["native", "eager", "xla"]


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> Any:
    """Each backend that is installed."""
    if request.param == "xla":
        pytest.importorskip("jax")
    return request.param


class Log(list):
    """A callback that remembers what it got."""

    def __call__(self, *args: Any) -> None:
        self.append(tuple(np.asarray(x).tolist() for x in args))

    def taken(self) -> list[Any]:
        calls = list(self)
        self.clear()
        return calls


def test_on_every_backend(backend: str) -> None:
    log = Log()

    def f(x: Any, n: Any) -> Any:
        def body(i: Any, s: Any) -> Any:
            tj.debug.callback(log, i, s)
            tj.check(s < 3, "{s} in {i}", s=s, i=i)
            return s + tj.experimental.io_callback(np.sin, tj.ShapeDtypeStruct((), float), x) * 0.1

        return tj.lax.fori_loop(0, n, body, x)

    run = tj.jit(f, static_argnums=1, backend=backend)
    assert np.isclose(run(1.0, 2), 1 + 0.2 * np.sin(1.0))
    assert log.taken() == [(0, 1.0), (1, 1 + 0.1 * np.sin(1.0))]
    for _ in range(3):
        with pytest.raises(CheckError, match=r"3\.5 in 0\n  at .*test_effects_programs.py"):
            run(3.5, 4)
        assert log.taken() == [(0, 3.5)]
    assert np.isclose(run(0.5, 1), 0.5 + 0.1 * np.sin(0.5))


def test_pure_callback_and_batches_on_every_backend(backend: str) -> None:
    def f(x: Any) -> Any:
        y = tj.pure_callback(np.cos, x, x, vmap_method="expand_dims")
        tj.check(y > 0, "{y:.1f}", y=y)
        return y * 2

    run, x = tj.jit(tj.vmap(f), backend=backend), np.array([0.1, 0.2, 3.0])
    assert np.allclose(run(x[:2]), 2 * np.cos(x[:2]))
    with pytest.raises(CheckError, match=r"-1\.0 \(member 2 of the batch\)"):
        run(x)


def test_an_exception_is_the_callers_on_every_backend(backend: str) -> None:
    error = KeyError("mine")

    def stop(x: Any) -> None:
        if x > 1:
            raise error

    run = tj.jit(lambda x: (tj.debug.callback(stop, x), x + 1)[1], backend=backend)
    assert run(1.0) == 2.0
    for _ in range(3):
        with pytest.raises(KeyError) as caught:
            run(2.0)
        assert caught.value is error
    assert run(0.0) == 1.0


# ---- Python's loops


def _summed(log: Log, x: Any, n: int) -> Any:
    s = 0.0
    for i in range(n):
        tj.debug.callback(log, i, s)
        tj.check(s < 50, "{s} in {i}", s=s, i=i)
        if s > 3:
            s = s + 2 * x
        else:
            s = s + x
    return s


def _filled(log: Log, x: Any, n: int) -> Any:
    y = np.zeros(n)
    for i in range(n):
        y[i] = x * i
        tj.debug.callback(log, y[i])
    return y.sum()


def _doubled(log: Log, x: Any, n: int) -> Any:
    while x < n:
        tj.debug.callback(log, x)
        x = x * 2
    return x


@pytest.mark.parametrize("fun", [_summed, _filled, _doubled])
@pytest.mark.parametrize("transform", [lambda f: f, tj.grad], ids=["value", "grad"])
def test_loops_traced_once_have_the_effects_of_each_round(fun: Any, transform: Any) -> None:
    log = Log()
    run = transform(lambda x: fun(log, x, 200))
    value, plain = run(0.1), log.taken()
    assert np.isclose(tj.jit(run)(0.1), value)
    assert np.allclose([x[-1] for x in log.taken()], [x[-1] for x in plain])


def test_a_check_in_a_loop_that_is_traced_once() -> None:
    with pytest.raises(CheckError) as plain:
        _summed(Log(), 1.0, 200)
    with pytest.raises(CheckError) as caught:
        tj.jit(lambda x: _summed(Log(), x, 200))(1.0)
    assert str(caught.value) == str(plain.value)
    assert str(caught.value).startswith("50.0 in 27\n  at ")


# ---- arguments that are assigned to


def _written(x: Any, k: Any) -> Any:
    x[0] = x[0] + 1
    y = np.sin(x)
    tj.check(y.sum() < k, "{k}", k=k)
    x[1:] *= 2
    return y.sum()


def test_a_failure_leaves_arguments_as_they_were(backend: str) -> None:
    run = tj.jit(_written, backend=backend)
    x, plain = np.arange(5.0), np.arange(5.0)
    for _ in range(3):
        assert np.isclose(run(x, 100.0), _written(plain, 100.0))
        assert np.array_equal(x, plain)
        with pytest.raises(CheckError, match="-100"):
            run(x, -100.0)
        assert np.array_equal(x, plain)


# ---- paths


def test_the_path_that_is_left_has_had_no_effect(backend: str) -> None:
    log = Log()

    @tj.jit(backend=backend)
    def f(x: Any) -> Any:
        tj.debug.callback(log, 0, x)
        y = x * 2
        if y > 0:
            tj.check(y < 10, "{y}", y=y)
            tj.debug.callback(log, 1, y)
        elif y < -10:
            tj.debug.callback(log, 2, y)
        return y

    for x, expected in ((1.0, [(0, 1.0), (1, 2.0)]), (-1.0, [(0, -1.0)]),
                        (-6.0, [(0, -6.0), (2, -12.0)])) * 3:  # fmt: skip
        assert f(x) == 2 * x
        assert log.taken() == expected
    with pytest.raises(CheckError, match="20"):
        f(10.0)
    assert log.taken() == [(0, 10.0)]


# ---- long programs, and many calls


def test_long_straight_lines_keep_their_effects() -> None:
    log = Log()

    def f(x: Any) -> Any:
        for i in range(120):
            for _ in range(12):
                x = np.sin(x) + 0.5
            tj.check(x < 3, "{i}", i=i)
            if i % 40 == 0:
                tj.debug.callback(log, i, x)
        return x

    assert has_effects(tj.make_jaxpr(f)(0.5))
    run = tj.jit(f)
    expected = f(0.5)
    plain = log.taken()
    assert np.isclose(run(0.5), expected)
    assert np.allclose(log.taken(), plain) and len(plain) == 3


def test_nothing_is_kept_of_calls() -> None:
    """Neither arguments nor exceptions outlive a call."""

    class Mine(Exception):
        pass

    def stop(x: Any) -> None:
        raise Mine

    run = tj.jit(lambda x: (tj.debug.callback(stop, x), x)[1])
    checked = tj.jit(lambda x: (tj.check(x > 0, "{x}", x=x), x)[1])
    for _ in range(50):
        with pytest.raises(Mine):
            run(np.ones(5))
        with pytest.raises(CheckError):
            checked(-1.0)
    gc.collect()
    assert sum(isinstance(x, (Mine, CheckError)) for x in gc.get_objects()) == 0


# ---- threads


def test_threads_call_back_at_the_same_time() -> None:
    def host(x: Any) -> Any:
        return x + 1

    @tj.jit
    def f(x: Any) -> Any:
        y = np.sin(x) * 2
        out = tj.experimental.io_callback(host, tj.ShapeDtypeStruct(x.shape, x.dtype), y)
        tj.check(out.sum() < 1e6, "large")
        return out - y

    f(np.zeros(100))

    def work(seed: int) -> bool:
        x = np.full(100, float(seed))
        return all(np.allclose(f(x), 1.0) for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(8)))


def test_a_callback_is_called_by_the_thread_of_the_call() -> None:
    seen = []
    run = tj.jit(lambda x: (tj.debug.callback(lambda x: seen.append(threading.get_ident()), x),
                            np.exp(x).sum())[1])  # fmt: skip
    run(np.zeros(1_000_000))
    worker = threading.Thread(target=run, args=(np.zeros(1_000_000),))
    worker.start()
    worker.join()
    assert seen == [threading.get_ident(), worker.ident]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:.*fork:RuntimeWarning", "ignore:.*fork:DeprecationWarning")
def test_behind_a_fork() -> None:
    run = tj.jit(lambda x: (tj.check(x > 0, "{x}", x=x), tj.debug.callback(lambda x: None, x),
                            x)[2])  # fmt: skip
    run(1.0)
    child = os.fork()
    if not child:
        try:
            run(-1.0)
        except CheckError:
            os._exit(0 if run(2.0) == 2.0 else 1)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0


# ---- the disk


def test_programs_with_python_objects_are_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A check is data, and kept; its line is the user's, wherever the code comes from."""
    kept: list[Any] = []
    keep = compile_module.keep
    monkeypatch.setattr(compile_module, "keep", lambda *x: (kept.append(x), keep(*x)))

    def checked(x: Any) -> Any:
        tj.check(x > 0, "not < {x}", x=x)
        return x * 3

    with tj.config(cache_dir=str(tmp_path)):
        tj.jit(lambda x: (tj.debug.print("{}", x), x * 3)[1])(1.0)
        assert not kept
        for _ in range(2):
            with pytest.raises(CheckError, match=r"not < -1\.0\n  at .*test_effects_programs.py"):
                tj.jit(checked)(-1.0)
            assert tj.jit(checked)(1.0) == 3.0
            assert len(kept) == 1

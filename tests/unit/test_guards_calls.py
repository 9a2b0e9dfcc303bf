"""Calls of functions with several paths: threads, failures, memory, code kept on disk."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import LeakedTracerError


def steps(x: Any) -> Any:
    """A path for each part of the line."""
    for limit in (-2.0, -1.0, 0.0, 1.0, 2.0):
        if x < limit:
            return x * limit + 1.0
    return x * x


def at_once(count: int, work: Callable[[int], None]) -> None:
    """work(i) in so many threads, which begin together."""
    barrier, failures = threading.Barrier(count), []

    def run(i: int) -> None:
        try:
            barrier.wait()
            work(i)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("backend", ["native", "eager"])
def test_threads_meet_new_paths_at_once(backend: str) -> None:
    both = tj.jit(tj.value_and_grad(steps), backend=backend)
    numbers = np.linspace(-3.0, 3.0, 25)
    expected = [tj.value_and_grad(steps)(x) for x in numbers]

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for i in rng.integers(0, len(numbers), 200):
            assert both(numbers[i]) == expected[i]

    at_once(4, work)
    assert both.cache_size == 6


def test_long_programs_change_paths_without_the_gil() -> None:
    """They release the GIL; arguments found in containers stay alive from path to path."""

    @tj.jit
    def f(data: Any) -> Any:
        total = np.sum(np.exp(np.sin(data["x"])))
        if data["sign"] > 0:
            return total
        return -total if data["sign"] > -5.0 else 0.0 * total

    x = np.random.default_rng(0).normal(size=400_000)
    value = np.exp(np.sin(x)).sum()
    for sign in (1.0, -1.0, -9.0):
        f({"x": x, "sign": np.float64(sign)})

    def work(seed: int) -> None:
        data: dict[str, Any] = {}
        for i in range(10):
            data["x"], data["sign"] = x.copy(), np.float64((1.0, -1.0, -9.0)[(i + seed) % 3])
            expected = (value, -value, 0.0)[(i + seed) % 3]
            assert np.isclose(f(data), expected)

    at_once(3, work)
    assert f.cache_size == 3


def test_an_exception_leaves_nothing_behind() -> None:
    seen = []

    @tj.jit
    def f(x: Any) -> Any:
        y = x * 2.0
        seen.append(y)
        if y > 10.0:
            raise KeyError("path")
        return y + 1.0 if y > 0.0 else y

    with pytest.raises(KeyError) as caught:
        f(6.0)
    assert caught.traceback[-1].name == "f"
    assert f.cache_size == 0 and (f(1.0), f(-1.0)) == (3.0, -2.0)
    with pytest.raises(KeyError):
        f(7.0)
    assert (f(1.0), f(-1.0), f.cache_size) == (3.0, -2.0, 2)
    with pytest.raises(LeakedTracerError):
        bool(seen[0] > 0.0)


def test_arguments_are_as_they_were_on_every_path() -> None:
    f = tj.jit(lambda x: x - 1.0 if x[0] > 0.0 else -x, donate_argnums=0)
    for start in (3.0, -2.0, 5.0, -1.0) * 3:
        x = np.full(1000, start)
        y = f(x)
        np.testing.assert_array_equal(y, start - 1.0 if start > 0.0 else -start)
        np.testing.assert_array_equal(x, start)
    x = np.full(1000, 9.0)
    for k in range(9):
        x = f(x)
        np.testing.assert_array_equal(x, 8.0 - k)


def test_the_paths_of_each_kind_of_arguments_are_its_own() -> None:
    f = tj.jit(lambda x: x * 2.0 if x.sum() > 0.0 else -x)
    for n in (1, 2, 3):
        for sign in (1.0, -1.0):
            np.testing.assert_array_equal(f(np.full(n, sign)), np.full(n, 1.5 * (1 + sign / 3)))
    assert f.cache_size == 6
    f.clear_cache()
    assert f.cache_size == 0 and f(np.ones(1)) == 2.0 and f(-np.ones(1)) == 1.0


def test_backends_have_paths_of_their_own() -> None:
    f = tj.jit(steps)
    for x in (-3.0, 0.5, 9.0):
        found = set()
        for backend in ("native", "eager"):
            with tj.config(backend=backend):
                found.add(float(f(x)))
        assert found == {float(steps(x))}
    assert f.cache_size == 6


def test_keywords_trees_and_statics() -> None:
    @tj.jit(static_argnames="scale")
    def f(pair: Any, *, scale: float, shift: Any = 0.0) -> Any:
        a, b = pair["a"], pair["b"]
        if a > b and shift >= 0.0:
            return {"y": a * scale + shift, "n": None}
        return {"y": b * scale, "n": None}

    for a, b in ((1.0, 2.0), (2.0, 1.0)) * 3:
        for scale in (1.0, 3.0):
            for shift in (0.5, -0.5):
                y = f({"a": a, "b": b}, scale=scale, shift=shift)
                expected = a * scale + shift if a > b and shift >= 0 else b * scale
                assert y == {"y": expected, "n": None}


def test_code_of_paths_is_kept_on_disk(tmp_path: Path) -> None:
    with tj.config(cache_dir=str(tmp_path)):
        for _ in range(2):
            f = tj.jit(tj.value_and_grad(steps))
            for x in (-3.0, 0.5, 9.0):
                assert f(x) == tj.value_and_grad(steps)(x)
            assert f.cache_size == 3


def test_float32_and_python_numbers() -> None:
    f = tj.jit(lambda x: x * 2 if x > 0 else -x)
    with tj.config(default_float="float32"):
        for x in (1.5, -1.5, 2.5):
            y = f(x)
            assert y == (2 * x if x > 0 else -x) and y.dtype == np.float32
    assert (f(3), f(-3)) == (6, 3)


def test_arguments_are_let_go() -> None:
    f = tj.jit(lambda x: x if x.sum() > 0.0 else -x)
    for sign in (1.0, -1.0):
        x = np.full(5, sign)
        gone = weakref.ref(x)
        f(x)
        del x
        gc.collect()
        assert gone() is None


@pytest.mark.parametrize("size", [10, 400_000])
def test_no_references_are_kept(size: int) -> None:
    f = tj.jit(lambda d: np.exp(d["x"]) if d["x"][0] > 0.0 else np.exp(-np.sin(d["x"])))
    up, down = np.full(size, 1.0), np.full(size, -1.0)
    for x in (up, down):
        f({"x": x})
    before = [sys.getrefcount(x) for x in (up, down)]
    for _ in range(50):
        f({"x": up}), f({"x": down})
    assert [sys.getrefcount(x) for x in (up, down)] == before


def assigns(a: Any, t: Any) -> Any:
    """Writes to its argument before and behind a condition on what it wrote."""
    a[0] = a[0] + 1.0
    a *= 1.5
    if a[0] > t:
        a[1] = 9.0
        return a.sum()
    a[2:] += a[0]
    return a.max()


@pytest.mark.parametrize("backend", ["native", "eager"])
@pytest.mark.parametrize("size", [3, 1000])
def test_what_is_assigned_is_seen_on_the_right_path_alone(backend: str, size: int) -> None:
    f = tj.jit(assigns, backend=backend)
    rng = np.random.default_rng(0)
    for _ in range(20):
        a, t = rng.normal(size=size), rng.normal()
        b = a.copy()
        np.testing.assert_allclose(f(a, t), assigns(b, t))
        np.testing.assert_allclose(a, b)
    a = np.ones(size)
    b = a.copy()
    call = f.bind(a, 5.0)
    np.testing.assert_array_equal(a, b)
    for _ in range(5):
        np.testing.assert_allclose(call(), assigns(b, 5.0))
        np.testing.assert_allclose(a, b)
    assert f.cache_size == 2


def test_a_path_that_raises_leaves_arguments_as_they_were() -> None:
    @tj.jit
    def f(a: Any) -> None:
        a += 1.0
        if a[0] > 10.0:
            raise ValueError("too large")

    a = np.zeros(4)
    for _ in range(10):
        f(a)
    before = a.copy()
    for _ in range(2):
        with pytest.raises(ValueError, match="too large"):
            f(a)
        np.testing.assert_array_equal(a, before)


def test_a_path_that_assigns_and_one_that_does_not() -> None:
    @tj.jit
    def f(a: Any, t: Any) -> Any:
        if t > 0.0:
            a[:] = t
        return a.sum()

    a = np.ones(3)
    for t in (-1.0, 2.0, -3.0, 4.0, 5.0, -1.0):
        before = a.copy()
        total = f(a, t)
        np.testing.assert_array_equal(a, np.full(3, t) if t > 0.0 else before)
        assert total == a.sum()

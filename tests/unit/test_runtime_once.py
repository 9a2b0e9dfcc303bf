"""Once: a value is made once, and a failure is not kept."""

from __future__ import annotations

import threading
import time

import pytest

from tracejit.runtime.once import Once


def test_a_value_is_made_once_by_many_threads() -> None:
    cache: Once[int] = Once()
    made = []

    def make() -> int:
        made.append(1)
        time.sleep(0.01)
        return 7

    threads = [threading.Thread(target=lambda: cache.make("k", make)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [1] and cache.get("k") == 7 and len(cache) == 1


def test_a_failure_is_not_kept() -> None:
    cache: Once[int] = Once()
    with pytest.raises(ZeroDivisionError):
        cache.make("k", lambda: 1 // 0)
    assert cache.get("k") is None
    assert cache.make("k", lambda: 3) == 3


def test_a_value_need_not_be_kept() -> None:
    cache: Once[int] = Once()
    assert cache.make("k", lambda: 3, keep=lambda value: value > 5) == 3
    assert len(cache) == 0


def test_making_one_may_ask_for_another() -> None:
    cache: Once[int] = Once()
    assert cache.make("a", lambda: 1 + cache.make("b", lambda: 2)) == 3
    assert len(cache) == 2


def test_clear() -> None:
    cache: Once[int] = Once()
    cache.make("a", lambda: 1)
    cache.clear()
    assert cache.get("a") is None

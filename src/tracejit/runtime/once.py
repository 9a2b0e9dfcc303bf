"""A cache whose values are made once, also when threads ask at the same time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


class Once(Generic[T]):
    """Values by key. Making one holds a lock for its key alone, which its own thread may enter
    again; where making fails nothing is kept."""

    def __init__(self) -> None:
        self._values: dict[Hashable, T] = {}
        self._makers: dict[Hashable, threading.RLock] = {}

    def get(self, key: Hashable) -> T | None:
        """The value, if it has been made."""
        return self._values.get(key)

    def make(
        self, key: Hashable, make: Callable[[], T], keep: Callable[[T], bool] = lambda _: True
    ) -> T:
        """The value, made by the first who asks; it is kept if `keep` says so."""
        lock = self._makers.setdefault(key, threading.RLock())
        try:
            with lock:
                if key in self._values:
                    return self._values[key]
                value = make()
                if keep(value):
                    self._values[key] = value
                return value
        finally:
            self._makers.pop(key, None)

    def values(self) -> list[T]:
        """All that has been made and kept."""
        return list(self._values.values())

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)

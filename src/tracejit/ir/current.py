"""Where bound equations go: a stack, for each thread, of what takes them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, Protocol


class Sink(Protocol):
    """A builder, as far as a primitive knows it."""

    def emit(self, primitive: Any, inputs: Sequence[Any], params: dict[str, Any]) -> Any: ...


class _Stack(threading.local):
    def __init__(self) -> None:
        self.sinks: list[Any] = []


stack = _Stack()


def current() -> Any:
    """The builder that bound atoms go to."""
    assert stack.sinks, "atoms are bound inside `with building(...)`"
    return stack.sinks[-1]

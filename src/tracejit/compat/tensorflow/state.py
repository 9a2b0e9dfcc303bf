"""What is going on in this thread: tapes that record, and a `function` that is being traced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from tracejit.compat.graph import Cell
from tracejit.compat.recorder import Recorder

#: Performs every operation; a Python float is float32.
RECORDER = Recorder("float32")


class Reader(Protocol):
    """Who is told of values that variables have when they are read."""

    def read(self, variable: Any, cell: Cell) -> None:
        """Note a value."""


class Tape(Reader, Protocol):
    """A tape that records."""

    watches_variables: bool


class Tracing(Reader, Protocol):
    """A `function` that is being recorded: see `tracing`."""

    asked: str
    printed: list[Any]

    def write(self, variable: Any, cell: Cell) -> None:
        """Give a variable a new value."""

    def draw(self, make: Callable[[], np.ndarray]) -> Cell:
        """Random numbers, which are others in each call."""

    def answer(self, cell: Cell) -> np.ndarray:
        """The number of a cell, for Python to go by."""

    def depends(self, cell: Cell) -> bool:
        """Whether the value of a cell may differ from call to call."""


class _State(threading.local):
    """tapes: those that record now, the innermost last. tracing: the outermost `function`.
    eager: whether functions run as they stand."""

    def __init__(self) -> None:
        self.tapes: list[Tape] = []
        self.tracing: Tracing | None = None
        self.eager = False


STATE = _State()

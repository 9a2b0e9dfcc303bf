"""What a `tf.function` does while it is recorded, beside computing: reads and writes of variables,
random numbers, printing, and what Python asked.

The program of a function gives, behind its results, whatever of this has to be seen in each call.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.compat.graph import Cell, Step, known, reachable
from tracejit.compat.tensorflow.variable import Variable

__all__ = ["Tracing"]


class Tracing:
    """The recording of a function.

    asked: why there can be no program for other calls, if there cannot. answers: the cells whose
    numbers Python asked for (`if`, `range`), and these numbers: the program is for calls in which
    they are the same. before: the values that variables had, written: their new ones. drawn: random
    numbers, and who draws them. printed: what is printed, and where to.
    """

    def __init__(self, sources: Sequence[Cell]):
        self.asked = ""
        self.answers: list[tuple[Cell, np.ndarray]] = []
        self.before: dict[int, tuple[Variable, Cell]] = {}
        self.written: dict[int, tuple[Variable, Cell]] = {}
        self.drawn: list[tuple[Callable[[], np.ndarray], Cell]] = []
        self.printed: list[tuple[list[Any], Any]] = []
        self._sources = set(sources)
        self._varies: dict[Step, bool] = {}

    def read(self, variable: Variable, cell: Cell) -> None:
        """Note that a variable is read, which has this value."""
        if id(variable) not in self.written:
            self.before.setdefault(id(variable), (variable, cell))
            self._sources.add(cell)

    def write(self, variable: Variable, cell: Cell) -> None:
        """Give a variable a new value."""
        self.before.setdefault(id(variable), (variable, variable._cell))
        self.written[id(variable)] = (variable, cell)
        variable._cell = cell

    def draw(self, make: Callable[[], np.ndarray]) -> Cell:
        """Random numbers, which are others in each call."""
        cell = known(make())
        self._sources.add(cell)
        self.drawn.append((make, cell))
        return cell

    def answer(self, cell: Cell) -> np.ndarray:
        """The number of a cell, for Python to go by."""
        if self.depends(cell):
            self.answers.append((cell, cell.value))
        return cell.value

    def depends(self, cell: Cell) -> bool:
        """Whether the value of a cell may differ from call to call."""
        if cell in self._sources or cell.step is None:
            return cell in self._sources
        known = self._varies
        stop = self._sources.__contains__
        for step in reachable([cell.step], lambda x: stop(x) or x.step in known):
            known[step] = any(stop(x) or known.get(x.step, False) for x in step.inputs)  # type: ignore[arg-type]
        return known[cell.step]


def show(parts: Sequence[Any], stream: Any) -> None:
    """Print tensors as numbers, and anything else as it is."""
    shown = [x.value[()] if isinstance(x, Cell) else x for x in parts]
    builtins.print(*shown, file=stream)

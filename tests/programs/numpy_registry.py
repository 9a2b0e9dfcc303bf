"""Plain NumPy programs with loops and assignments: what the modules `numpy_*` of this folder hold.

A program is an ordinary function, that may write to its arguments, with a function that makes
arguments for it. Python ints among these are static.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Arguments = Callable[[np.random.Generator], tuple[Any, ...]]


@dataclass(frozen=True)
class NumpyProgram:
    """steps: positions of arguments of which the outputs are step functions, so that there is no
    derivative to compare."""

    function: Callable[..., Any]
    arguments: Arguments
    steps: tuple[int, ...] = ()


def normal(*shapes: tuple[int, ...]) -> Arguments:
    """Arrays of these shapes."""
    return lambda rng: tuple(rng.normal(size=shape) for shape in shapes)


PROGRAMS: dict[str, NumpyProgram] = {}


def program(arguments: Arguments, steps: tuple[int, ...] = ()) -> Callable[[Any], Any]:
    """Register a function with the function that makes its arguments."""

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        PROGRAMS[function.__name__] = NumpyProgram(function, arguments, steps)
        return function

    return register

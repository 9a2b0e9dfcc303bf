"""NumPy's own price for the arrays of a gradient: no result can be had for less."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from benchmarks.case import Case, leaves
from benchmarks.systems import NotOffered, Ready


def empty(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    shapes = [leaf.shape for leaf in leaves(args[0]) if leaf.ndim]
    if case.group != "calls" or not shapes:
        raise NotOffered

    def several() -> tuple[()]:
        for shape in shapes:
            np.empty(shape)
        return ()

    one = functools.partial(np.empty, shapes[0])  # runs no Python code
    return Ready(several, (), bare=several if len(shapes) > 1 else one)

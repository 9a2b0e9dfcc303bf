"""What no system can do without: the price of a gradient's arrays, and of its products."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from benchmarks.case import Case, leaves
from benchmarks.systems import NotOffered, Ready


def products(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    """The matrix products that a value and its gradient hold, and nothing else."""
    if case.products is None:
        raise NotOffered
    dtype = leaves(args[0])[0].dtype
    work = [
        (np.ones((m, k), dtype), np.ones((k, n), dtype), np.empty((m, n), dtype))
        for m, n, k in case.products(**case.sizes[size])
    ]

    def call() -> tuple[()]:
        for x, y, out in work:
            np.dot(x, y, out=out)
        return ()

    return Ready(call, ())


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

"""Nested containers of arrays as one vector."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np

from tracejit import tree

__all__ = ["flatten", "flatten_func"]


def flatten(value: Any) -> tuple[Any, Callable[[Any], Any]]:
    """(vector, unflatten): the elements of all leaves behind each other, and the way back.

    Dicts go by their sorted keys. Leaves of different dtypes get one that holds them all.
    """
    leaves, treedef = tree.flatten(value)
    shapes = [np.shape(x) for x in leaves]
    ends = list(accumulate(map(prod, shapes), initial=0))
    vector = np.concatenate([np.ravel(x) for x in leaves]) if leaves else np.array([])

    def unflatten(flat: Any) -> Any:
        parts = [flat[a:b] for a, b in zip(ends, ends[1:], strict=False)]
        return treedef.unflatten(map(np.reshape, parts, shapes))

    return vector, unflatten


def flatten_func(
    func: Callable[..., Any], example: Any
) -> tuple[Callable[..., Any], Callable[[Any], Any], Any]:
    """(flat_func, unflatten, vector): `func` from a vector to a vector, for arguments as `example`
    is, of which `vector` has the elements."""
    vector, unflatten = flatten(example)

    def flat_func(x: Any, *args: Any) -> Any:
        return flatten(func(unflatten(x), *args))[0]

    return flat_func, unflatten, vector

"""NumPy: its own functions on known arrays, and tracejit's on traced values.

A list or a tuple with traced values in it is an array to these functions, as in `np.mean([x, y])`:
NumPy itself would ask each of them for its number.
"""

from __future__ import annotations

from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from tracejit.compat.autograd.numpy import fft, linalg, random
from tracejit.compat.autograd.numpy.joining import c_, joining, joining_rows, make_diagonal, r_
from tracejit.trace.world import double_of

__all__ = ["c_", "fft", "linalg", "make_diagonal", "r_", "random"]

#: These take lists of arrays.
_ROWS = frozenset("concatenate stack hstack vstack dstack column_stack".split())
#: These take lists as they are.
_TAKE_LISTS = frozenset(
    "array asarray block meshgrid select choose broadcast_arrays atleast_1d atleast_2d atleast_3d "
    "einsum ix_".split()
)
_FUNCTIONS = (FunctionType, BuiltinFunctionType, np.ufunc, type(np.sum))


def __getattr__(name: str) -> Any:
    found = getattr(double_of(np), name)
    if isinstance(found, _FUNCTIONS) and not isinstance(found, type) and name not in _TAKE_LISTS:
        found = joining_rows(found) if name in _ROWS else joining(found)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return dir(np)

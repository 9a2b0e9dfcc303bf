"""Lists with traced values in them as arrays; np.r_ and np.c_; and make_diagonal, which autograd
has and NumPy has not."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.numpy import creation
from tracejit.trace.tracer import Tracer

__all__ = ["c_", "joining", "joining_rows", "make_diagonal", "r_"]

#: What a ufunc has beside being called.
_METHODS = ("accumulate", "at", "nargs", "nin", "nout", "outer", "reduce", "reduceat", "types")


def joining(fun: Any) -> Callable[..., Any]:
    """The same function, for which lists with traced values in them are arrays."""

    @functools.wraps(fun)
    def joined(*args: Any, **kwargs: Any) -> Any:
        for x in args:
            if (x.__class__ is list or x.__class__ is tuple) and _holds_traced(x):
                return fun(*map(_array, args), **kwargs)
        return fun(*args, **kwargs)

    if isinstance(fun, np.ufunc):
        for name in _METHODS:
            setattr(joined, name, getattr(fun, name))
    return joined


def joining_rows(fun: Any) -> Callable[..., Any]:
    """A function of a sequence of arrays, whose lists with traced values in them are arrays."""

    @functools.wraps(fun)
    def joined(arrays: Any, *args: Any, **kwargs: Any) -> Any:
        if arrays.__class__ is list or arrays.__class__ is tuple:
            arrays = list(map(_array, arrays))
        return fun(arrays, *args, **kwargs)

    return joined


def _holds_traced(x: Any) -> bool:
    for y in x:
        if isinstance(y, Tracer):
            return True
        if (y.__class__ is list or y.__class__ is tuple) and _holds_traced(y):
            return True
    return False


def _array(x: Any) -> Any:
    nested = x.__class__ is list or x.__class__ is tuple
    return creation.array(x) if nested and _holds_traced(x) else x


class _Joined:
    """np.r_ or np.c_, which join what is in the brackets along the first or the last axis."""

    def __init__(self, original: Any, axis: int, least: int):
        self._original, self._axis, self._least = original, axis, least

    def __getitem__(self, key: Any) -> Any:
        parts = key if isinstance(key, tuple) else (key,)
        if not _holds_traced(parts):
            return self._original[key]
        arrays = [self._part(x) for x in parts if not isinstance(x, str)]
        if any(isinstance(x, str) for x in parts):
            return np.concatenate(arrays, axis=int(parts[0]))
        return np.concatenate(arrays, axis=self._axis)

    def _part(self, x: Any) -> Any:
        """An element as an array; a slice stands for its numbers, as in NumPy."""
        array = self._original[x].reshape(-1) if isinstance(x, slice) else creation.array(x)
        if self._least == 2 and array.ndim < 2:
            return np.reshape(array, (-1, 1))
        return np.reshape(array, (1,)) if not array.ndim else array


r_ = _Joined(np.r_, 0, 1)
c_ = _Joined(np.c_, -1, 2)


def make_diagonal(D: Any, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Square matrices with the last axis of D on their diagonals; of the arguments only
    offset=0, axis1=-1, axis2=-2 are there, as in autograd."""
    if (offset, axis1, axis2) != (0, -1, -2):
        raise NotImplementedError("make_diagonal: offset=0, axis1=-1, axis2=-2 is all there is")
    return np.expand_dims(D, -1) * np.eye(D.shape[-1])

"""What traced values seem to be, where traced code asks: `isinstance(i, int)`, `type(i) is int`.

In NumPy the index of a loop is an int, an element a float64, and the rest an ndarray; here all are
tracers. The doubles of `isinstance`, `type`, `hasattr` and `np.isscalar` answer for what the value
stands for.
"""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from tracejit.trace.stage import is_weak
from tracejit.trace.tracer import Tracer

_NUMBERS = {"b": bool, "i": int, "u": int, "f": float}


def seems(x: Tracer) -> builtins.type:
    """The class that NumPy's or Python's value would have."""
    if x.ndim:
        return np.ndarray
    return _NUMBERS[x.dtype.kind] if is_weak(x) else x.dtype.type


def isinstance_(x: Any, kinds: Any) -> bool:
    """The double of `isinstance`."""
    if builtins.isinstance(x, kinds):
        return True
    if not builtins.isinstance(x, Tracer):
        return False
    try:
        return issubclass(seems(x), kinds)
    except TypeError:  # a protocol that asks for more than methods
        return False


def hasattr_(x: Any, name: str) -> bool:
    """The double of `hasattr`: numbers have no `__len__` and no `__iter__`."""
    number = builtins.isinstance(x, Tracer) and not x.ndim
    return builtins.hasattr(seems(x) if number else x, name)


def isscalar(x: Any) -> bool:
    """The double of `np.isscalar`."""
    return not x.ndim if builtins.isinstance(x, Tracer) else np.isscalar(x)


class _TypeType(builtins.type):
    """`type`: of a number that is traced, that of the number."""

    def __instancecheck__(cls, x: Any) -> bool:
        return builtins.isinstance(x, builtins.type)

    def __subclasscheck__(cls, other: builtins.type) -> bool:
        return issubclass(other, builtins.type)

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        x = args[0]
        if len(args) == 1 and builtins.isinstance(x, Tracer) and not x.ndim and is_weak(x):
            return seems(x)
        return builtins.type(*args, **kwargs)

    def __getattribute__(cls, name: str) -> Any:
        return getattr(builtins.type, name)


class type_(metaclass=_TypeType):
    """The double of `type`."""

"""What JAX has for arrays on devices. Arrays are ndarrays here, and ready: these return them."""

from __future__ import annotations

from typing import Any

from tracejit import tree
from tracejit.ir.types import FLOAT0
from tracejit.numpy.static import ndarray
from tracejit.runtime.values import canonical

#: `isinstance(x, tracejit.Array)`: arrays, NumPy scalars and traced values.
Array = ndarray

#: The dtype of tangents of integers and bools.
float0 = FLOAT0


def block_until_ready(x: Any) -> Any:
    """x itself: a call returns when its result is there."""
    return x


def device_put(x: Any, device: Any = None) -> Any:
    """The tree with its leaves as arrays; a backend puts them where it needs them."""
    return tree.map(lambda leaf: canonical(leaf, lambda: "a leaf of device_put"), x)


def device_get(x: Any) -> Any:
    """The tree with its leaves as arrays, which they are."""
    return device_put(x)

"""Checks of values that are known when an operation is recorded: places and classes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.compat.torch.kinds import numpy_dtype
from tracejit.compat.torch.tensor import Tensor


def values(x: Any) -> np.ndarray | None:
    """The values of a tensor or an array; None where they are not known yet, or traced."""
    found = x.cell.known if isinstance(x, Tensor) else x
    return found if isinstance(found, np.ndarray) else None


def is_float(x: Any) -> bool:
    """Whether a tensor, an array or a traced value has floats."""
    return bool(numpy_dtype(x.dtype).kind == "f")


def in_range(places: Any, low: int, high: int, error: Callable[[int], Exception]) -> None:
    """Raise error(place) for one that is not from low to below high, if they are known."""
    found = values(places)
    if found is None or not found.size:
        return
    least, most = int(found.min()), int(found.max())
    if least < low or most >= high:
        raise error(most if most >= high else least)

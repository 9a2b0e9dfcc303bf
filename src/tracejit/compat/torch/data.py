"""What depends on the numbers themselves: places, unique values, comparison as a whole."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.tensor import Tensor

__all__ = [
    "allclose", "bincount", "equal", "is_tensor", "isin", "masked_select", "nonzero", "numel",
    "unique",
]  # fmt: skip


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor."""
    return isinstance(x, Tensor)


def numel(input: Tensor) -> int:
    """The number of elements."""
    return input.shape.numel()


def allclose(
    input: Tensor, other: Tensor, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False
) -> bool:
    """Whether all elements are close."""
    return bool(np.allclose(input.cell.value, other.cell.value, rtol, atol, equal_nan))


def equal(input: Tensor, other: Tensor) -> bool:
    """Whether shapes and elements are the same."""
    return bool(np.array_equal(input.cell.value, other.cell.value))


def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The places of what is not zero: in rows, or an array for each axis."""
    places = np.nonzero(input.cell.value)
    if as_tuple:
        return tuple([Tensor(known(i)) for i in places])
    return Tensor(known(np.stack(places, axis=-1)))


def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where the mask holds."""
    return FUNCTIONS["broadcast_to"](input, tuple(mask.shape))[mask]  # type: ignore[no-any-return]


def unique(input: Tensor, sorted: bool = True, return_inverse: bool = False,
           return_counts: bool = False) -> Any:  # fmt: skip
    """The values, each once, in order; with the place of each among them, and how often it is."""
    options: Any = {"return_inverse": return_inverse, "return_counts": return_counts}
    found = np.unique(input.cell.value, **options)
    if isinstance(found, tuple):
        return tuple([Tensor(known(x)) for x in found])
    return Tensor(known(found))


def bincount(input: Tensor, weights: Any = None, minlength: int = 0) -> Tensor:
    """How often each number occurs."""
    given = weights.cell.value if isinstance(weights, Tensor) else weights
    return Tensor(known(np.bincount(input.cell.value, given, minlength)))


def isin(elements: Tensor, test_elements: Any) -> Tensor:
    """Which elements are among others."""
    others = test_elements.cell.value if isinstance(test_elements, Tensor) else test_elements
    return Tensor(known(np.isin(elements.cell.value, others)))

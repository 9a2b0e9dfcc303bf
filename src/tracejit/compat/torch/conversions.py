"""Tensors as what Python and NumPy know: arrays, numbers, lists, text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tracejit.compat.graph import Handle
from tracejit.compat.torch import display
from tracejit.compat.torch.words import fault


class Conversions(Handle):
    """The part of `Tensor` that tells its values."""

    if TYPE_CHECKING:  # what `Tensor` has

        def __getattr__(self, name: str) -> Any: ...

        def __getitem__(self, index: Any) -> Any: ...

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """A copy of the values, as an array."""
        if self.requires_grad and not force:
            raise fault(
                "Can't call numpy() on Tensor that requires grad. "
                "Use tensor.detach().numpy() instead."
            )
        return self._array().copy()

    def _array(self) -> np.ndarray:
        return self.cell.value

    def item(self) -> Any:
        """The Python number of a tensor of one element."""
        if self._box.cell.type.size != 1:
            raise fault(
                f"a Tensor with {self._box.cell.type.size} elements cannot be converted to Scalar"
            )
        return self._array().item()

    def tolist(self) -> Any:
        """Nested lists of Python numbers."""
        return self._array().tolist()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.numpy().astype(dtype or self._box.cell.type.dtype)

    def __bool__(self) -> bool:
        if self._box.cell.type.size != 1:
            raise fault("Boolean value of Tensor with more than one value is ambiguous")
        return bool(self._array())

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return self._array().__index__()

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[i] for i in range(len(self))])

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec and not self.ndim else str(self)

    def __repr__(self) -> str:
        suffixes = []
        if self._wants_grad:
            suffixes = ["requires_grad=True"]
        elif self.grad_fn is not None:
            suffixes = [f"grad_fn=<{self.grad_fn.name()}>"]
        return display.shown(self._array(), suffixes, self.dtype.name)

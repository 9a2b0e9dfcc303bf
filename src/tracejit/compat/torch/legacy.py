"""PyTorch's older constructors, and what says how numbers are stored and printed."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.graph import known
from tracejit.compat.torch import display
from tracejit.compat.torch.creation import sizes_of
from tracejit.compat.torch.kinds import TENSOR_NAMES, default, numpy_dtype
from tracejit.compat.torch.tensor import Tensor, tensor


class _OfKind(type):
    """Classes that tensors of one dtype are instances of."""

    kind: np.dtype

    def __instancecheck__(cls, x: object) -> bool:
        return isinstance(x, Tensor) and x.dtype.numpy == cls.kind

    @property
    def numpy(cls) -> np.dtype:
        """The dtype, for `x.type(torch.LongTensor)`."""
        return cls.kind

    def __call__(cls, *args: Any) -> Any:
        """Of data, or (for numbers) zeros of these sizes."""
        if args and not all(isinstance(n, int) for n in args):
            return tensor(args[0], dtype=cls.kind)
        return Tensor(known(np.zeros(sizes_of(args, {}), cls.kind)))


CLASSES: dict[str, Any] = {
    f"{word}Tensor": _OfKind(f"{word}Tensor", (), {"kind": np.dtype(name)})
    for name, word in TENSOR_NAMES.items()
}


class finfo:
    """What a float dtype can hold."""

    def __init__(self, type: Any = None):
        found = np.finfo(numpy_dtype(type) or default.float)
        self.bits, self.dtype = found.bits, found.dtype.name
        self.eps, self.max, self.min = float(found.eps), float(found.max), float(found.min)
        self.tiny = self.smallest_normal = float(found.tiny)
        self.resolution = float(found.resolution)


class iinfo:
    """What an integer dtype can hold."""

    def __init__(self, type: Any):
        found = np.iinfo(numpy_dtype(type))
        self.bits, self.max, self.min = found.bits, int(found.max), int(found.min)
        self.dtype = found.dtype.name


def set_printoptions(
    precision: int | None = None, threshold: int | None = None, edgeitems: int | None = None,
    linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """How tensors are printed: digits behind the point, the most elements that are printed, how
    many at each edge else, the width of a line, whether with exponents."""
    profiles = {
        "default": display.Options(), "short": display.Options(2, 1000, 2),
        "full": display.Options(4, np.inf),
    }  # fmt: skip
    if profile is not None:
        display.options.__dict__.update(vars(profiles[profile]))
    given = {
        "precision": precision, "threshold": threshold, "edgeitems": edgeitems,
        "linewidth": linewidth, "sci_mode": sci_mode,
    }  # fmt: skip
    display.options.__dict__.update({k: x for k, x in given.items() if x is not None})

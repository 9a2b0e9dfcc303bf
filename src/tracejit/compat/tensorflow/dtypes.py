"""tf.float32 and the others, and shapes, as TensorFlow shows them."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.trace.provenance import user_frame

__all__ = ["DType", "TensorShape", "TensorSpec", "as_dtype"]


class DType:
    """A dtype under its TensorFlow name; equal to NumPy's dtype and to names, too."""

    __slots__ = ("as_numpy_dtype", "name", "numpy_dtype")

    def __init__(self, name: str):
        self.name = name
        self.numpy_dtype = np.dtype(name)
        self.as_numpy_dtype = self.numpy_dtype.type

    @property
    def is_floating(self) -> bool:
        return self.numpy_dtype.kind == "f"

    @property
    def is_integer(self) -> bool:
        return self.numpy_dtype.kind in "iu"

    @property
    def is_bool(self) -> bool:
        return self.numpy_dtype.kind == "b"

    @property
    def size(self) -> int:
        """In bytes."""
        return self.numpy_dtype.itemsize

    def __eq__(self, other: object) -> bool:
        try:
            return other is not None and self.numpy_dtype == numpy_dtype(other)
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.numpy_dtype)

    def __repr__(self) -> str:
        return f"tf.{self.name}"

    def __str__(self) -> str:
        return f"<dtype: '{self.name}'>"


#: Every dtype by its name.
DTYPES = {
    name: DType(name)
    for name in (
        *("bool", "float16", "float32", "float64"),
        *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    )
}


def numpy_dtype(dtype: Any) -> np.dtype:
    """NumPy's dtype for one of TensorFlow's, a name, or one of NumPy's."""
    return dtype.numpy_dtype if isinstance(dtype, DType) else np.dtype(dtype)


def as_dtype(dtype: Any) -> DType:
    """TensorFlow's dtype; UnsupportedError for one that is not there."""
    found = DTYPES.get(numpy_dtype(dtype).name)
    if found is None:
        raise no_such_dtype(numpy_dtype(dtype))
    return found


def no_such_dtype(dtype: np.dtype) -> UnsupportedError:
    """The error for a dtype that tensors do not have."""
    hint = f"there are {', '.join(sorted(DTYPES))}"
    if dtype.kind == "c":
        hint = "take the real and the imaginary part as two tensors, or tracejit.numpy, which has "
        hint += "complex numbers"
    return UnsupportedError(
        f"there are no tensors of dtype {dtype} here", where=user_frame(), hint=hint
    )


class TensorShape(tuple[int, ...]):
    """A shape: a tuple, with TensorFlow's names."""

    __slots__ = ()

    @property
    def rank(self) -> int:
        return len(self)

    ndims = rank

    def as_list(self) -> list[int]:
        return list(self)

    def num_elements(self) -> int:
        return prod(self)

    def __repr__(self) -> str:
        return f"TensorShape({list(self)})"

    def __str__(self) -> str:
        return tuple.__repr__(self)


class TensorSpec:
    """Shape and dtype of an argument of a `function`; None stands for any size."""

    def __init__(self, shape: Any = None, dtype: Any = "float32", name: str | None = None):
        self.shape, self.dtype, self.name = shape, as_dtype(dtype), name

    def __repr__(self) -> str:
        return f"TensorSpec(shape={self.shape}, dtype={self.dtype!r}, name={self.name!r})"

    def fits(self, shape: tuple[int, ...]) -> bool:
        """Whether an array of this shape is meant."""
        if self.shape is None:
            return True
        sizes = list(self.shape)
        return len(sizes) == len(shape) and all(
            m is None or m == n for m, n in zip(sizes, shape, strict=True)
        )

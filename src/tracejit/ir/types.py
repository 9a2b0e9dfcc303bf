"""Types of the IR: a dtype and a shape.

All arithmetic on dimensions is in this module, so that a symbolic dimension has one place to
come to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

Shape = tuple[int, ...]

#: The dtypes of the language, by the names used in its text.
DTYPES: dict[str, np.dtype] = {
    "bool": np.dtype(bool),
    "i8": np.dtype("int8"), "i16": np.dtype("int16"),
    "i32": np.dtype("int32"), "i64": np.dtype("int64"),
    "u8": np.dtype("uint8"), "u16": np.dtype("uint16"),
    "u32": np.dtype("uint32"), "u64": np.dtype("uint64"),
    "f32": np.dtype("float32"), "f64": np.dtype("float64"),
    "c64": np.dtype("complex64"), "c128": np.dtype("complex128"),
}  # fmt: skip

#: The dtype of tangents of integers and booleans: a type without values, as in JAX.
FLOAT0 = np.dtype([("float0", np.void, 0)])
#: Rows of a loop whose number is known at run time alone: see control/tape.py.
TAPE = np.dtype(object)
DTYPE_NAMES: dict[np.dtype, str] = {dtype: name for name, dtype in DTYPES.items()} | {
    FLOAT0: "float0", TAPE: "tape",
}  # fmt: skip

FLOATS = frozenset({DTYPES["f32"], DTYPES["f64"]})
COMPLEX = frozenset({DTYPES["c64"], DTYPES["c128"]})
#: What has derivatives.
INEXACT = FLOATS | COMPLEX
SIGNED = frozenset(DTYPES[n] for n in ("i8", "i16", "i32", "i64"))
UNSIGNED = frozenset(DTYPES[n] for n in ("u8", "u16", "u32", "u64"))
BOOLS = frozenset({DTYPES["bool"]})
INTEGERS = SIGNED | UNSIGNED
#: Numbers that have an order.
REALS = INTEGERS | FLOATS
NUMBERS = REALS | COMPLEX
BITS = INTEGERS | BOOLS
ORDERED = REALS | BOOLS
ALL = NUMBERS | BOOLS

BOOL, INT32, INT64 = DTYPES["bool"], DTYPES["i32"], DTYPES["i64"]
UINT32, UINT64 = DTYPES["u32"], DTYPES["u64"]
FLOAT32, FLOAT64 = DTYPES["f32"], DTYPES["f64"]
COMPLEX64, COMPLEX128 = DTYPES["c64"], DTYPES["c128"]

#: The dtype of the real and the imaginary part, and back.
PART_OF = {COMPLEX64: FLOAT32, COMPLEX128: FLOAT64}
COMPLEX_OF = {part: whole for whole, part in PART_OF.items()}


@dataclass(frozen=True, slots=True)
class ArrayType:
    """The type of an array: dtype and shape. `str` gives f64[3,4]."""

    dtype: np.dtype
    shape: Shape

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * self.dtype.itemsize

    @property
    def is_inexact(self) -> bool:
        """Whether values of the type have derivatives."""
        return self.dtype in INEXACT

    @property
    def is_complex(self) -> bool:
        return self.dtype in COMPLEX

    def with_shape(self, shape: Shape) -> ArrayType:
        return array_type(self.dtype, tuple(shape))

    def with_dtype(self, dtype: np.dtype) -> ArrayType:
        return array_type(dtype, self.shape)

    def __str__(self) -> str:
        return f"{DTYPE_NAMES.get(self.dtype, self.dtype)}[{','.join(map(str, self.shape))}]"

    __repr__ = __str__


@lru_cache(maxsize=4096)
def array_type(dtype: np.dtype, shape: Shape = ()) -> ArrayType:
    """The (shared) type of this dtype and shape."""
    return ArrayType(dtype, shape)


def type_of(value: np.ndarray | np.generic) -> ArrayType:
    """The type of an array or NumPy scalar."""
    return array_type(value.dtype, value.shape)


def tangent_type(type: ArrayType) -> ArrayType:
    """Tangents of floats and complex numbers have the type of the value; others, float0."""
    return type if type.is_inexact or type.dtype == TAPE else type.with_dtype(FLOAT0)


def without_axes(shape: Shape, axes: tuple[int, ...]) -> Shape:
    """The shape with these (non-negative) axes taken out."""
    return tuple(n for axis, n in enumerate(shape) if axis not in axes)


def with_axis(shape: Shape, axis: int, size: int) -> Shape:
    """The shape with one axis put in before position `axis`."""
    return (*shape[:axis], size, *shape[axis:])


def strides_of(shape: Shape) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))

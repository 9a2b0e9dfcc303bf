"""Types of the IR: a dtype and a shape.

All arithmetic on dimensions is in this module, so that a symbolic dimension has one place to
come to.

bfloat16 is no dtype of NumPy: the package ml_dtypes brings it, which takes as long to import as a
tenth of this one. So the language learns it when it meets it: `has_dtype` and `array_type` enter
it in the sets of dtypes here, which are sets that grow by that one at most.
"""

from __future__ import annotations

import importlib
import math
import sys
from collections.abc import Set
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tracejit.errors import DTypeError

Shape = tuple[int, ...]

#: The dtypes of the language, by the names used in its text.
DTYPES: dict[str, np.dtype] = {
    "bool": np.dtype(bool),
    "i8": np.dtype("int8"), "i16": np.dtype("int16"),
    "i32": np.dtype("int32"), "i64": np.dtype("int64"),
    "u8": np.dtype("uint8"), "u16": np.dtype("uint16"),
    "u32": np.dtype("uint32"), "u64": np.dtype("uint64"),
    "f16": np.dtype("float16"), "f32": np.dtype("float32"), "f64": np.dtype("float64"),
    "c64": np.dtype("complex64"), "c128": np.dtype("complex128"),
}  # fmt: skip

#: The dtype of tangents of integers and booleans: a type without values, as in JAX.
FLOAT0 = np.dtype([("float0", np.void, 0)])
#: Rows of a loop whose number is known at run time alone: see control/tape.py.
TAPE = np.dtype(object)
DTYPE_NAMES: dict[np.dtype, str] = {dtype: name for name, dtype in DTYPES.items()} | {
    FLOAT0: "float0", TAPE: "tape",
}  # fmt: skip

COMPLEX = frozenset({DTYPES["c64"], DTYPES["c128"]})
SIGNED = frozenset(DTYPES[n] for n in ("i8", "i16", "i32", "i64"))
UNSIGNED = frozenset(DTYPES[n] for n in ("u8", "u16", "u32", "u64"))
BOOLS = frozenset({DTYPES["bool"]})
INTEGERS = SIGNED | UNSIGNED
BITS = INTEGERS | BOOLS

Dtypes = Set[np.dtype]
#: Floats of 16 bits: stored, but not computed with (see halves.py).
HALVES = {DTYPES["f16"]}
FLOATS = {*HALVES, DTYPES["f32"], DTYPES["f64"]}
#: What has derivatives.
INEXACT = {*FLOATS, *COMPLEX}
#: Numbers that have an order.
REALS = {*INTEGERS, *FLOATS}
NUMBERS = {*REALS, *COMPLEX}
ORDERED = {*REALS, *BOOLS}
ALL = {*NUMBERS, *BOOLS}

BOOL, INT32, INT64 = DTYPES["bool"], DTYPES["i32"], DTYPES["i64"]
UINT8, UINT16, UINT32, UINT64 = (DTYPES[n] for n in ("u8", "u16", "u32", "u64"))
FLOAT16, FLOAT32, FLOAT64 = DTYPES["f16"], DTYPES["f32"], DTYPES["f64"]
COMPLEX64, COMPLEX128 = DTYPES["c64"], DTYPES["c128"]

#: The dtype of the real and the imaginary part, and back.
PART_OF = {COMPLEX64: FLOAT32, COMPLEX128: FLOAT64}
COMPLEX_OF = {part: whole for whole, part in PART_OF.items()}


def bfloat16() -> np.dtype:
    """The dtype bfloat16, the upper half of a float32. DTypeError where there is no ml_dtypes."""
    try:
        found = np.dtype(importlib.import_module("ml_dtypes").bfloat16)
    except ImportError:
        raise DTypeError(
            "bfloat16 comes with the package ml_dtypes, which is not installed",
            hint="pip install ml_dtypes",
        ) from None
    assert has_dtype(found)
    return found


def has_dtype(dtype: np.dtype) -> bool:
    """Whether there are arrays of the dtype; bfloat16 is learnt here."""
    return dtype in ALL or (dtype.kind == "V" and _is_bfloat16(dtype) and _learn(dtype))


def _is_bfloat16(dtype: np.dtype) -> bool:
    return dtype.name == "bfloat16" and dtype.type.__module__ == "ml_dtypes"


def _learn(dtype: np.dtype) -> bool:
    """Enter bfloat16 wherever float16 is."""
    for group in (HALVES, FLOATS, INEXACT, REALS, NUMBERS, ORDERED, ALL):
        group.add(dtype)
    DTYPES["bf16"], DTYPE_NAMES[dtype] = dtype, "bf16"
    return True


def kind_of(dtype: np.dtype) -> str:
    """NumPy's letter for the kind of a dtype, f for bfloat16 too."""
    return "f" if dtype in HALVES else dtype.kind


def finfo(dtype: np.dtype) -> np.finfo:
    """`np.finfo`, of bfloat16 too."""
    return (importlib.import_module("ml_dtypes") if dtype.kind == "V" else np).finfo(dtype)


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
    has_dtype(dtype)
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


if "ml_dtypes" in sys.modules:
    bfloat16()

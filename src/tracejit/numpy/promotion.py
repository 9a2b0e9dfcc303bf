"""Which dtype a NumPy function computes in: NEP 50, and what `config.default_float` makes of it.

Python numbers are weak: they take the dtype of what they meet. A tracer may be weak too: it stands
for a Python number. Two modes:

    default_float    int and float32    int / int    sqrt(int64)    Python float alone
    float64          float64            float64      float64        float64              as NumPy
    float32          float32            float32      float32        float32              as JAX

float16 is NumPy's: `sin` of int8 or bool gives it in the first mode. bfloat16, which NumPy does not
know, has JAX's rules: it stays with integers, meets float16 in float32, and wider floats win. In
the second mode so does float16.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from tracejit.config import config
from tracejit.errors import DTypeError
from tracejit.ir.atoms import Literal
from tracejit.ir.types import (
    ALL,
    BITS,
    BOOL,
    COMPLEX,
    COMPLEX64,
    COMPLEX128,
    COMPLEX_OF,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    HALVES,
    INEXACT,
    INT64,
    UINT64,
    bfloat16,
    has_dtype,
)
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer

_DEFAULTS = {"float64": FLOAT64, "float32": FLOAT32}
_WEAK_KINDS = {"b": 0, "i": 1, "u": 1, "f": 2, "c": 3}


def default_float() -> np.dtype:
    """The dtype of Python floats and of what creation functions give."""
    return _DEFAULTS[config.default_float]


def default_complex() -> np.dtype:
    """The dtype of Python's complex numbers."""
    return COMPLEX_OF[default_float()]


def defaulted(dtype: np.dtype) -> np.dtype:
    """The dtype of what NumPy made of Python's numbers: of floats and complex ones the default."""
    if dtype == FLOAT64:
        return default_float()
    return default_complex() if dtype == COMPLEX128 else dtype


def as_dtype(dtype: Any) -> np.dtype:
    """The dtype that the user names: a dtype, a scalar type, a text; `float` is the default one,
    and `complex` that of its numbers."""
    if dtype is float:
        return default_float()
    if dtype is complex:
        return default_complex()
    found = bfloat16() if isinstance(dtype, str) and dtype == "bfloat16" else np.dtype(dtype)
    if not has_dtype(found):
        raise unknown_dtype(found)
    return found


def unknown_dtype(dtype: np.dtype) -> DTypeError:
    """The error for a dtype outside the language."""
    return DTypeError(
        f"there are no arrays of dtype {dtype} in tracejit",
        where=user_frame(),
        hint="it knows bool, int8 to int64, uint8 to uint64, float16 to float64, bfloat16, "
        "complex64 and complex128",
    )


def is_weak(x: Any) -> bool:
    """Whether the dtype of x gives way: a Python number, or a tracer that stands for one."""
    if isinstance(x, Tracer):
        return x.weak
    return isinstance(x, (int, float, complex)) and not isinstance(x, (np.generic, bool))


def dtype_of(x: Any) -> np.dtype:
    """The dtype of an operand on its own."""
    if isinstance(x, (Tracer, np.ndarray, np.generic, Literal)):
        if x.dtype not in ALL and not has_dtype(x.dtype):
            raise unknown_dtype(x.dtype)
        return x.dtype
    if isinstance(x, complex):
        return default_complex()
    return BOOL if isinstance(x, bool) else INT64 if isinstance(x, int) else default_float()


@lru_cache(maxsize=1024)
def _promote(x: np.dtype, y: np.dtype, default: np.dtype) -> np.dtype:
    half, other = (x, y) if x in HALVES else (y, x)
    if half in HALVES and (half != FLOAT16 or default == FLOAT32):
        return half if other in BITS else FLOAT32 if other in HALVES else other
    both = np.promote_types(x, y)
    if default == FLOAT32 and not {x, y} & {FLOAT64, COMPLEX128}:
        return {FLOAT64: FLOAT32, COMPLEX128: COMPLEX64}.get(both, both)
    return both


def promote_dtypes(x: np.dtype, y: np.dtype) -> np.dtype:
    """The dtype that holds both."""
    return x if x == y else _promote(x, y, default_float())


def result_dtype(*xs: Any) -> np.dtype:
    """The dtype in which operands meet."""
    strong: np.dtype | None = None
    weak = -1
    for x in xs:
        dtype = dtype_of(x)
        if is_weak(x):
            weak = max(weak, _WEAK_KINDS[dtype.kind])
        else:
            strong = dtype if strong is None else promote_dtypes(strong, dtype)
    if weak == 3 and (strong is None or strong not in COMPLEX):
        if strong in HALVES:
            return COMPLEX64
        return default_complex() if strong is None else COMPLEX_OF.get(strong, default_complex())
    if weak == 2 and (strong is None or strong not in INEXACT):
        return default_float()
    if weak == 1 and (strong is None or strong == BOOL):
        return INT64
    return BOOL if strong is None else strong


def float_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of sin, sqrt and their like for this one."""
    if dtype in INEXACT:
        return dtype
    if dtype.itemsize > 2:
        return default_float()
    return FLOAT16 if dtype.itemsize == 1 and default_float() == FLOAT64 else FLOAT32


def result_float(*xs: Any) -> np.dtype:
    """The dtype of floats or complex numbers in which operands meet."""
    return float_dtype(result_dtype(*xs))


def quotient_dtype(*xs: Any) -> np.dtype:
    """The dtype of a true quotient: that of the operands if it is a float, else the default."""
    dtype = result_dtype(*xs)
    return dtype if dtype in INEXACT else default_float()


def sum_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of sums and products: small integers and bools widen to 64 bits."""
    if dtype.kind in "bi":
        return INT64
    return UINT64 if dtype.kind == "u" else dtype

"""Leaves: what a user passes or returns, as a tracer, an array or a NumPy scalar of a known dtype.

    bool, int, float      a NumPy scalar: bool, int64, and `config.default_float`
    complex               complex128, or complex64 where that is float32
    ndarray, NumPy scalar as it is; a subclass as a plain array; foreign byte order in native order
    has `__array__`       np.asarray of it (arrays of other packages)

Python ints are int64 also where the default float is float32: sizes and indices, which are what
they mostly are, should not overflow. A Python number is weak: its dtype gives way in promotion.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.config import config
from tracejit.errors import DTypeError
from tracejit.ir.atoms import Literal
from tracejit.ir.types import ALL, COMPLEX_OF, FLOAT32, FLOAT64, ArrayType, array_type, has_dtype
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Trace, Tracer

#: Gives the name of a leaf, for messages: `argument params['n'] of loss`.
Name = Callable[[], str]

_KNOWN = (
    "bool, int8 to int64, uint8 to uint64, float16 to float64, bfloat16, complex64 and complex128"
)


def default_float() -> np.dtype:
    """The dtype of a Python float."""
    return FLOAT32 if config.default_float == "float32" else FLOAT64


def is_number(x: Any) -> bool:
    """Whether x is a Python number, whose dtype is weak; NumPy's float64 is no such."""
    return isinstance(x, (bool, int, float, complex)) and not isinstance(x, np.generic)


def canonical(x: Any, name: Name) -> Tracer | np.ndarray | np.generic:
    """The leaf as what it stands for; DTypeError, with its name, if it is no array."""
    if isinstance(x, Tracer) or (type(x) is np.ndarray and x.dtype in ALL):
        return x
    if isinstance(x, np.generic) and x.dtype in ALL:
        return x
    if is_number(x):
        return _number(x, name)
    if hasattr(x, "numbered"):  # a part of traced length
        return x.numbered(name())
    return _array(x, name)


def _number(x: bool | int | float | complex, name: Name) -> np.generic:
    """A Python number in the dtype that it has on its own."""
    if isinstance(x, bool):
        return np.bool_(x)
    if isinstance(x, float):
        return default_float().type(x)
    if isinstance(x, complex):
        return COMPLEX_OF[default_float()].type(x)
    if not -(2**63) <= x < 2**63:
        raise DTypeError(
            f"{name()} is {x}, which is too large for int64",
            where=user_frame(),
            hint="pass a float, or np.uint64(...)",
        )
    return np.int64(x)


def _array(x: Any, name: Name) -> np.ndarray:
    """A plain array of what says that it is an array."""
    kind = type(x).__name__
    if isinstance(x, np.ma.MaskedArray):
        raise DTypeError(
            f"{name()} is a masked array, and its mask would be lost",
            where=user_frame(),
            hint="pass x.data and x.mask",
        )
    if not hasattr(x, "__array__"):
        raise DTypeError(
            f"{name()} is of type {kind}, not an array or a number",
            where=user_frame(),
            hint=_what_to_do(x),
        )
    array = np.asarray(x)
    native = array
    if array.dtype.kind in "biufc":
        native = array.astype(array.dtype.newbyteorder("="), copy=False)
    if not has_dtype(native.dtype):
        raise DTypeError(
            f"{name()} is an array of dtype {array.dtype}",
            where=user_frame(),
            hint=f"tracejit knows {_KNOWN}: convert it with astype",
        )
    return native


def _what_to_do(x: Any) -> str:
    static = "jit takes any value for a static argument (jit(f, static_argnames=...))"
    if isinstance(x, (str, bytes)) or callable(x):
        return static
    return f"{static}; a class becomes a container with tracejit.tree.register_dataclass"


def type_of_value(x: Any) -> ArrayType:
    """The type of a canonical value."""
    return x.aval if isinstance(x, Tracer) else array_type(x.dtype, x.shape)


def abstract(x: Any, name: Name) -> ArrayType:
    """The type of a leaf, of which only shape and dtype count: also of a ShapeDtypeStruct."""
    if hasattr(x, "shape") and hasattr(x, "dtype") and not hasattr(x, "__array__"):
        dtype = np.dtype(x.dtype)
        if not has_dtype(dtype):
            raise DTypeError(
                f"{name()} has dtype {dtype}", where=user_frame(), hint=f"tracejit knows {_KNOWN}"
            )
        return array_type(dtype, tuple(map(operator.index, x.shape)))
    return type_of_value(canonical(x, name))


def returned(y: Any, trace: Trace | None, name: Name) -> Any:
    """What a traced function returned, as a canonical value; a Python number stays weak."""
    if not (isinstance(y, Tracer) or is_number(y) or hasattr(y, "__array__")):
        raise DTypeError(
            f"{name()} is of type {type(y).__name__}, not an array or a number",
            where=user_frame(),
            hint="a traced function returns arrays, numbers and trees of them",
        )
    value = canonical(y, name)
    if trace is not None and is_number(y):
        return Tracer(trace, Literal(y, array_type(value.dtype)), weak=True)
    return value

"""What needs no traced values: constants, dtypes, questions about dtypes, sets of known arrays."""

from __future__ import annotations

import builtins
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.ir.types import finfo as limits
from tracejit.numpy.arrays import ArrayLike, operand, shape_of
from tracejit.numpy.choosing import known
from tracejit.numpy.promotion import as_dtype, default_float, dtype_of, promote_dtypes, result_dtype
from tracejit.trace.tracer import Tracer

__all__ = [
    "bartlett", "blackman", "bool", "bool_", "broadcast_shapes", "can_cast", "cdouble",
    "complex64", "complex128", "complexfloating", "csingle", "diag_indices", "diag_indices_from",
    "double", "dtype", "e", "einsum_path", "euler_gamma", "finfo", "float16", "float32",
    "float64", "floating", "generic", "half", "hamming", "hanning", "iinfo", "index_exp",
    "indices", "inexact",
    "inf", "int8", "int16", "int32", "int64", "int_", "integer", "intersect1d", "iscomplexobj",
    "isdtype", "isrealobj", "isscalar", "issubdtype", "iterable", "kaiser", "mask_indices",
    "mgrid", "nan", "ndarray", "newaxis", "number", "ogrid", "pi", "promote_types", "result_type",
    "s_", "set_printoptions", "setdiff1d", "setxor1d", "signedinteger", "single", "tril_indices",
    "tril_indices_from", "triu_indices", "triu_indices_from", "uint", "uint8", "uint16", "uint32",
    "uint64", "union1d", "unique", "unique_counts", "unique_inverse", "unique_values",
    "unsignedinteger",
]  # fmt: skip

pi, e, inf, nan, euler_gamma, newaxis = np.pi, np.e, np.inf, np.nan, np.euler_gamma, None

bool_ = bool = np.bool_  # the name that NumPy has, too
single, double, int_, uint = np.float32, np.float64, np.int64, np.uint64
complex64, complex128 = csingle, cdouble = np.complex64, np.complex128
float16, float32, float64 = np.float16, np.float32, np.float64
half = np.float16
int8, int16, int32, int64 = np.int8, np.int16, np.int32, np.int64
uint8, uint16, uint32, uint64 = np.uint8, np.uint16, np.uint32, np.uint64
generic, number, inexact, floating = np.generic, np.number, np.inexact, np.floating
complexfloating = np.complexfloating
integer, signedinteger, unsignedinteger = np.integer, np.signedinteger, np.unsignedinteger
dtype = np.dtype

broadcast_shapes, iinfo = np.broadcast_shapes, np.iinfo
isdtype, issubdtype = np.isdtype, np.issubdtype
index_exp, s_, mgrid, ogrid = np.index_exp, np.s_, np.mgrid, np.ogrid
indices, diag_indices, mask_indices = np.indices, np.diag_indices, np.mask_indices
tril_indices, triu_indices = np.tril_indices, np.triu_indices
set_printoptions = np.set_printoptions


def finfo(dtype: Any) -> Any:
    """The limits of floats of a dtype, also of bfloat16."""
    return limits(np.result_type(getattr(dtype, "dtype", dtype)))


class _KindOfArray(type):
    def __instancecheck__(cls, x: Any) -> builtins.bool:
        return isinstance(x, (np.ndarray, np.generic, Tracer))


class ndarray(metaclass=_KindOfArray):
    """For `isinstance` and annotations: arrays, NumPy scalars (results of rank 0), tracers."""


def result_type(*arrays_and_dtypes: Any) -> np.dtype:
    """The dtype in which arrays, numbers and dtypes meet; Python numbers give way."""
    dtypes = [x for x in arrays_and_dtypes if isinstance(x, (np.dtype, type, str))]
    values = [operand(x) for x in arrays_and_dtypes if not isinstance(x, (np.dtype, type, str))]
    return result_dtype(*[as_dtype(d).type(0) for d in dtypes], *values)


def promote_types(type1: Any, type2: Any) -> np.dtype:
    """The dtype that holds both."""
    return promote_dtypes(as_dtype(type1), as_dtype(type2))


def can_cast(from_: Any, to: Any, casting: Any = "safe") -> builtins.bool:
    """Whether values of a dtype (or array) may be converted to another under a rule."""
    return np.can_cast(from_.dtype if isinstance(from_, Tracer) else from_, to, casting)


def diag_indices_from(arr: ArrayLike) -> tuple[np.ndarray, ...]:
    """The indices of the diagonal of a square array."""
    return np.diag_indices_from(_shadow(arr))


def tril_indices_from(arr: ArrayLike, k: int = 0) -> tuple[np.ndarray, ...]:
    """The indices of a matrix on and below its k-th diagonal."""
    return np.tril_indices_from(_shadow(arr), k)


def triu_indices_from(arr: ArrayLike, k: int = 0) -> tuple[np.ndarray, ...]:
    """The indices of a matrix on and above its k-th diagonal."""
    return np.triu_indices_from(_shadow(arr), k)


def einsum_path(subscripts: str, *operands: ArrayLike, optimize: Any = "greedy") -> Any:
    """The order in which einsum joins its operands, and a report on it."""
    return np.einsum_path(subscripts, *[_shadow(x) for x in operands], optimize=optimize)


def _shadow(x: ArrayLike) -> np.ndarray:
    """An array of the shape of x, without its numbers."""
    return np.broadcast_to(0.0, shape_of(operand(x)))


def iterable(y: Any) -> builtins.bool:
    """Whether iter(y) works: a traced value of rank 0 is not iterable."""
    return np.iterable(y) if not isinstance(y, Tracer) else len(y.shape) > 0


def isscalar(element: Any) -> builtins.bool:
    """Whether x is a number, not an array; a traced value is an array."""
    return np.isscalar(element)


def iscomplexobj(x: ArrayLike) -> builtins.bool:
    """Whether x is of a complex dtype."""
    return np.iscomplexobj(x) if not isinstance(x, Tracer) else dtype_of(x).kind == "c"


def isrealobj(x: ArrayLike) -> builtins.bool:
    """Whether x is of no complex dtype."""
    return not iscomplexobj(x)


def _window(name: str) -> Callable[..., np.ndarray]:
    of_numpy = getattr(np, name)

    def function(M: int, *shape: float) -> np.ndarray:
        return of_numpy(M, *shape).astype(default_float(), copy=False)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"The {name} window of M points."
    return function


bartlett, blackman, hamming = _window("bartlett"), _window("blackman"), _window("hamming")
hanning, kaiser = _window("hanning"), _window("kaiser")


def _of_known(name: str) -> Callable[..., Any]:
    """NumPy's own function, for known arrays: the shape of its result needs the numbers."""
    of_numpy = getattr(np, name)
    arrays = 2 if name.endswith("1d") else 1

    def function(*args: Any, **options: Any) -> Any:
        return of_numpy(*[known(x, name) for x in args[:arrays]], *args[arrays:], **options)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"np.{name}, for arrays that are known while tracing."
    return function


unique, unique_counts = _of_known("unique"), _of_known("unique_counts")
unique_inverse, unique_values = _of_known("unique_inverse"), _of_known("unique_values")
intersect1d, setdiff1d = _of_known("intersect1d"), _of_known("setdiff1d")
setxor1d, union1d = _of_known("setxor1d"), _of_known("union1d")

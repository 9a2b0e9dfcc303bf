"""Arrays from nothing, from numbers and from sequences.

While a function is traced, arrays that are one number everywhere (zeros, full) are literals and
cost nothing; all other results are ndarrays. Floats have `config.default_float`, unless said.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, TracedConversionError
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    DTypeLike,
    convert,
    copied,
    fault,
    full_of,
    known_number,
    operand,
    shape_argument,
    shape_of,
    size_argument,
    stretch,
    value,
)
from tracejit.numpy.choosing import where
from tracejit.numpy.kinds import truth
from tracejit.numpy.promotion import (
    as_dtype,
    default_float,
    defaulted,
    dtype_of,
    result_dtype,
    result_float,
)
from tracejit.ops import structure
from tracejit.trace.tracer import Tracer, bind, is_traced

__all__ = [
    "arange", "array", "asarray", "astype", "copy", "empty", "empty_like", "eye",
    "fromfunction", "full", "full_like", "geomspace", "identity", "linspace", "logspace",
    "ones", "ones_like", "tri", "vander", "zeros", "zeros_like",
]  # fmt: skip


def array(
    x: ArrayLike, dtype: DTypeLike = None, copy: bool | None = True, order: Any = None,
    ndmin: int = 0,
) -> Array:  # fmt: skip
    """The array of a number, an array, or nested sequences, which may hold traced values."""
    given = operand(x)
    result = value(given, None if dtype is None else as_dtype(dtype))
    if isinstance(result, Tracer):
        result = copied(result) if copy else result
    else:
        result = np.array(result, copy=copy, order=order)
    missing = ndmin - result.ndim
    return result if missing <= 0 else stretch(result, (*(1,) * missing, *result.shape))


def asarray(x: ArrayLike, dtype: DTypeLike = None, copy: bool | None = None) -> Array:
    """As `array`, without a copy where x is an array of the dtype."""
    return array(x, dtype, copy=copy)


def copy(x: ArrayLike, order: str = "K") -> Array:
    """A copy: what is written to it is not written to x."""
    return array(x)


def astype(x: ArrayLike, dtype: DTypeLike, *, copy: bool = True) -> Array:
    """x converted: floats to integers toward 0, numbers to bools by x != 0."""
    x, dtype = value(x), as_dtype(dtype)
    result = truth(x) if dtype.kind == "b" else convert(x, dtype)
    return copied(result) if copy and result is x else result


def _dtype(dtype: DTypeLike) -> np.dtype:
    return default_float() if dtype is None else as_dtype(dtype)


def zeros(shape: Any, dtype: DTypeLike = None) -> Array:
    """Zeros."""
    return full_of(0, _dtype(dtype), shape_argument(shape))


def ones(shape: Any, dtype: DTypeLike = None) -> Array:
    """Ones."""
    return full_of(1, _dtype(dtype), shape_argument(shape))


def empty(shape: Any, dtype: DTypeLike = None) -> Array:
    """Zeros: an array without defined values has no place in a traced program."""
    return zeros(shape, dtype)


def full(shape: Any, fill_value: ArrayLike, dtype: DTypeLike = None) -> Array:
    """One number, or an array repeated, in a shape."""
    fill = operand(fill_value)
    dtype = dtype_of(fill) if dtype is None else as_dtype(dtype)
    number = known_number(fill)
    if number is not None:
        return full_of(dtype.type(number), dtype, shape_argument(shape))
    return stretch(value(fill, dtype), shape_argument(shape))


def _like(x: ArrayLike, dtype: DTypeLike, shape: Any) -> tuple[Any, np.dtype]:
    x = operand(x)
    return (
        shape_of(x) if shape is None else shape,
        dtype_of(x) if dtype is None else as_dtype(dtype),
    )


def zeros_like(x: ArrayLike, dtype: DTypeLike = None, *, shape: Any = None) -> Array:
    """Zeros of the shape and dtype of x."""
    return zeros(*_like(x, dtype, shape))


def ones_like(x: ArrayLike, dtype: DTypeLike = None, *, shape: Any = None) -> Array:
    """Ones of the shape and dtype of x."""
    return ones(*_like(x, dtype, shape))


def empty_like(x: ArrayLike, dtype: DTypeLike = None, *, shape: Any = None) -> Array:
    """Zeros of the shape and dtype of x."""
    return zeros(*_like(x, dtype, shape))


def full_like(
    x: ArrayLike, fill_value: ArrayLike, dtype: DTypeLike = None, *, shape: Any = None
) -> Array:
    """One number in the shape and dtype of x."""
    shape, dtype = _like(x, dtype, shape)
    return full(shape, fill_value, dtype)


def _known(name: str, *xs: Any) -> None:
    if is_traced(*xs):
        raise fault(
            TracedConversionError, f"{name} needs numbers that are known, not traced ones",
            "make them static arguments (jit(f, static_argnames=...)); a traced offset or step can "
            f"be applied to the result: start + step * {name}(n)",
        )  # fmt: skip


def _by_numpy(result: np.ndarray, dtype: DTypeLike) -> np.ndarray:
    """What NumPy made, in the default dtype of floats unless the user asked for another."""
    return result.astype(defaulted(result.dtype), copy=False) if dtype is None else result


def arange(
    start: Any, stop: Any = None, step: Any = None, dtype: DTypeLike = None
) -> np.ndarray:
    """Numbers from start to before stop: arange(stop), or arange(start, stop, step)."""
    _known("arange", start, stop, step)
    args = (start,) if stop is None else (start, stop) if step is None else (start, stop, step)
    return _by_numpy(np.arange(*args, dtype=None if dtype is None else as_dtype(dtype)), dtype)


def linspace(
    start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True,
    retstep: bool = False, dtype: DTypeLike = None, axis: int = 0,
) -> Any:  # fmt: skip
    """`num` numbers at equal distances from start to stop; both may be traced."""
    num = size_argument(num, "num")
    start, stop = operand(start), operand(stop)
    if not is_traced(start, stop):
        made = np.linspace(
            start, stop, num, endpoint=endpoint, retstep=True, dtype=dtype, axis=axis
        )
        line = _by_numpy(made[0], dtype)
        return (line, made[1]) if retstep else line
    working = result_float(start, stop)
    steps = max(num - 1 if endpoint else num, 1)
    first, last = value(start, working), value(stop, working)
    gap = ufuncs.subtract(last, first)
    shape = gap.shape
    step = ufuncs.divide(gap, steps)
    at = np.arange(num).reshape((num, *(1,) * len(shape))).astype(working)
    line = ufuncs.add(ufuncs.multiply(at, step), first)
    if endpoint and num > 1:
        line = where(at == num - 1, last, line)
    if line.ndim > 1:
        line = bind(structure.permute, line, order=_moved(line.ndim, axis))
    line = line if dtype is None else astype(line, dtype)
    return (line, step) if retstep else line


def _moved(ndim: int, axis: int) -> tuple[int, ...]:
    order = list(range(1, ndim))
    order.insert(axis % ndim, 0)
    return tuple(order)


def logspace(
    start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True, base: Any = 10.0,
    dtype: DTypeLike = None, axis: int = 0,
) -> Array:  # fmt: skip
    """base to the power of what linspace gives."""
    powers = linspace(start, stop, num, endpoint, axis=axis)
    result = ufuncs.power(base, powers)
    return result if dtype is None else astype(result, dtype)


def geomspace(
    start: ArrayLike, stop: ArrayLike, num: int = 50, endpoint: bool = True,
    dtype: DTypeLike = None, axis: int = 0,
) -> Array:  # fmt: skip
    """Numbers with equal ratios from start to stop; complex ones on a spiral."""
    start, stop = operand(start), operand(stop)
    if not is_traced(start, stop):
        return _by_numpy(np.geomspace(start, stop, num, endpoint, dtype, axis), dtype)
    dtype_of_both = result_float(start, stop)  # one of them complex, the other's logarithm is, too
    sign = ufuncs.sign(value(start, dtype_of_both))
    logs = [ufuncs.log10(ufuncs.divide(x, sign)) for x in (start, stop)]
    result = ufuncs.multiply(logspace(logs[0], logs[1], num, endpoint, axis=axis), sign)
    return result if dtype is None else astype(result, dtype)


def eye(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = None) -> np.ndarray:
    """Ones on the k-th diagonal, zeros elsewhere."""
    return np.eye(N, M, k, _dtype(dtype))


def identity(n: int, dtype: DTypeLike = None) -> np.ndarray:
    """The identity matrix."""
    return np.eye(n, dtype=_dtype(dtype))


def tri(N: int, M: int | None = None, k: int = 0, dtype: DTypeLike = None) -> np.ndarray:
    """Ones on and below the k-th diagonal."""
    return np.tri(N, M, k, _dtype(dtype))


def vander(x: ArrayLike, N: int | None = None, increasing: bool = False) -> Array:
    """The powers of each x along a new last axis: from N - 1 down to 0, or up."""
    x = value(x)
    if len(x.shape) != 1:
        raise fault(ArgumentError, f"vander takes one axis, got shape {x.shape}")
    count = x.shape[0] if N is None else size_argument(N, "N")
    dtype = result_dtype(x, 0)
    columns = [np.ones(x.shape, dtype), *(ufuncs.power(x, n) for n in range(1, count))]
    columns = columns[:count] if increasing else columns[:count][::-1]
    if not columns:
        return np.zeros((*x.shape, 0), dtype)
    return operand([value(c, dtype) for c in columns]).T


def fromfunction(
    function: Callable[..., Any], shape: Any, *, dtype: DTypeLike = float, **kwargs: Any
) -> Any:
    """function(i, j, ...) of the arrays of indices of a shape."""
    return function(*np.indices(shape_argument(shape), as_dtype(dtype)), **kwargs)

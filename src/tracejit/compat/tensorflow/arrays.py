"""TensorFlow's functions that make tensors, take several, or give several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit import debug
from tracejit.api import linear_maps
from tracejit.compat.graph import known
from tracejit.compat.tensorflow import compositions, indexing
from tracejit.compat.tensorflow.dtypes import numpy_dtype
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tensor import Tensor, Value, binary, call, convert
from tracejit.compat.tensorflow.tracing import show
from tracejit.compat.tensorflow.variable import Variable
from tracejit.errors import ArgumentError
from tracejit.numpy import choosing, contraction, einstein, shaping, ufuncs
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer, current_trace

__all__ = [
    "bincount", "boolean_mask", "cast", "clip_by_global_norm", "einsum", "eye", "fill",
    "global_norm", "group", "is_tensor", "linspace", "matmul", "meshgrid", "no_op", "ones",
    "print", "range", "rank", "shape", "size", "split", "stop_gradient", "unstack",
    "where", "zeros",
]  # fmt: skip

Name = str | None


def _new(array: Any, dtype: Any) -> Tensor:
    return Tensor(known(np.asarray(array, numpy_dtype(dtype))))


def _sizes(shape: Any) -> tuple[int, ...]:
    """A shape, which may be a tensor, or one number."""
    given = shape.numpy() if isinstance(shape, Value) else shape
    return tuple([int(n) for n in np.atleast_1d(given)]) if np.size(given) else ()


def zeros(shape: Any, dtype: Any = "float32", name: Name = None) -> Tensor:
    """Zeros."""
    return _new(np.zeros(_sizes(shape)), dtype)


def ones(shape: Any, dtype: Any = "float32", name: Name = None) -> Tensor:
    """Ones."""
    return _new(np.ones(_sizes(shape)), dtype)


def fill(dims: Any, value: Any, name: Name = None) -> Tensor:
    """One number everywhere, in its dtype."""
    return call(np.broadcast_to, convert(value), _sizes(dims))  # type: ignore[no-any-return]


def eye(
    num_rows: int, num_columns: int | None = None, dtype: Any = "float32", name: Name = None
) -> Tensor:
    """Ones on the diagonal."""
    return _new(np.eye(num_rows, num_columns), dtype)


def range(start: Any, limit: Any = None, delta: Any = 1, dtype: Any = None, name: Name = None
          ) -> Tensor:  # fmt: skip
    """Numbers from start up to limit, without it; from 0 where there is one number."""
    first, last = (0, start) if limit is None else (start, limit)
    numbers = [_number(x) for x in (first, last, delta)]
    whole = all(isinstance(x, (int, np.integer)) for x in numbers)
    return _new(np.arange(*numbers), dtype or ("int32" if whole else "float32"))


def _number(x: Any) -> Any:
    if isinstance(x, Value):
        return int(x) if x.dtype.is_integer else x.numpy()
    return x


def linspace(start: Any, stop: Any, num: int, name: Name = None) -> Tensor:
    """`num` numbers from start to stop."""
    first, last = convert(start), convert(stop)
    return call(np.linspace, first, last, num=num)  # type: ignore[no-any-return]


def cast(x: Any, dtype: Any, name: Name = None) -> Tensor:
    """x in another dtype. A number becomes what its text says: tf.cast(0.1, tf.float64) is 0.1."""
    kind = numpy_dtype(dtype)
    if not isinstance(x, Value):
        return _new(np.asarray(x), kind)
    return x if x._type.dtype == kind else call(compositions.cast, x, dtype=kind)  # type: ignore


def shape(input: Any, out_type: Any = "int32", name: Name = None) -> Tensor:
    """The shape, as a tensor."""
    return _new(convert(input).shape, out_type)


def size(input: Any, out_type: Any = "int32", name: Name = None) -> Tensor:
    """The number of elements, as a tensor."""
    return _new(convert(input).shape.num_elements(), out_type)


def rank(input: Any, name: Name = None) -> Tensor:
    """The number of axes, as a tensor."""
    return _new(convert(input).ndim, "int32")


def matmul(
    a: Any, b: Any, transpose_a: bool = False, transpose_b: bool = False, name: Name = None
) -> Tensor:  # fmt: skip
    """The product of matrices, transposed if told so."""
    x, y = (z if isinstance(z, Value) else convert(z) for z in (a, b))
    if not transpose_a and not transpose_b:
        return binary(contraction.matmul, x, y)  # type: ignore[no-any-return]
    x = call(np.matrix_transpose, x) if transpose_a else x
    return binary(contraction.matmul, x, call(np.matrix_transpose, y) if transpose_b else y)  # type: ignore


def where(condition: Any, x: Any = None, y: Any = None, name: Name = None) -> Tensor:
    """x where the condition holds, else y; without these the places where it holds, in rows."""
    if x is None:
        return _new(np.argwhere(convert(condition).numpy()), "int64")
    return call(choosing.where, convert(condition), x, y)  # type: ignore[no-any-return]


def bincount(arr: Any, weights: Any = None, minlength: Any = None, name: Name = None) -> Tensor:
    """How often each number occurs, or the sum of its weights; the numbers are known."""
    places = convert(arr)
    least = int(minlength or 0)
    length = max(int(places.numpy().max(initial=-1)) + 1, least)
    ones = np.ones(places.shape, np.int32) if weights is None else weights
    return call(indexing.segment_sum, convert(ones), places, length)  # type: ignore[no-any-return]


def boolean_mask(tensor: Any, mask: Any, name: Name = None) -> Tensor:
    """The elements, or rows, where a mask holds."""
    return convert(tensor)[convert(mask)]  # type: ignore[no-any-return]


def einsum(equation: str, *inputs: Any, name: Name = None) -> Tensor:
    """Products summed over the letters that the result has not."""
    return call(einstein.einsum, equation, *map(convert, inputs))  # type: ignore[no-any-return]


def split(value: Any, num_or_size_splits: Any, axis: int = 0, name: Name = None) -> list[Tensor]:
    """So many equal parts along an axis, or parts of these sizes."""
    parts = num_or_size_splits
    if not isinstance(parts, int):
        parts = [int(n) for n in np.cumsum(_sizes(parts))[:-1]]
    return list(call(shaping.split, convert(value), parts, axis=axis))


def unstack(value: Any, num: int | None = None, axis: int = 0, name: Name = None) -> list[Tensor]:
    """The slices along an axis."""
    tensor = convert(value)
    rows = tensor if not axis else call(shaping.moveaxis, tensor, axis, 0)
    return list(rows)


def meshgrid(*args: Any, indexing: str = "xy", name: Name = None) -> list[Tensor]:
    """Grids of coordinates."""
    return list(call(shaping.meshgrid, *map(convert, args), indexing=indexing))


def stop_gradient(input: Any, name: Name = None) -> Tensor:
    """The same tensor, a constant to all tapes."""
    tensor = convert(input)
    if STATE.tracing is not None or current_trace() is not None:
        return call(linear_maps.stop_gradient, tensor)  # type: ignore[no-any-return]
    return Tensor(known(tensor.cell.value))


def global_norm(t_list: Sequence[Any], name: Name = None) -> Tensor:
    """The Euclidean norm of all tensors of a list together; None is left out."""
    squares = [call(_square_sum, convert(t)) for t in t_list if t is not None]
    total = squares[0]
    for square in squares[1:]:
        total = total + square
    return call(ufuncs.sqrt, total)  # type: ignore[no-any-return]


def _square_sum(x: Any) -> Any:
    return np.sum(np.square(x))


def clip_by_global_norm(
    t_list: Sequence[Any], clip_norm: Any, use_norm: Any = None, name: Name = None
) -> tuple[list[Any], Tensor]:  # fmt: skip
    """(tensors, norm): all made shorter by one factor where their global norm is above a number."""
    if not t_list:
        raise ArgumentError("clip_by_global_norm: there are no tensors", where=user_frame())
    norm = global_norm(t_list) if use_norm is None else convert(use_norm)
    factor = clip_norm / binary(ufuncs.maximum, norm, clip_norm)
    return [None if t is None else convert(t) * factor for t in t_list], norm


def print(*inputs: Any, output_stream: Any = None, name: Name = None) -> None:
    """Print tensors as numbers; in a `function` when it has run."""
    parts = [x.cell if isinstance(x, Value) else x for x in inputs]
    if STATE.tracing is not None:
        STATE.tracing.printed.append((parts, output_stream))
    elif any(isinstance(x, Tracer) for x in parts):
        debug.print(" ".join("{}" for _ in parts), *parts)
    else:
        show(parts, output_stream)


def group(*inputs: Any, name: Name = None) -> None:
    """Nothing: what was called has been done."""


def no_op(name: Name = None) -> None:
    """Nothing."""


def is_tensor(x: Any) -> bool:
    """Whether x is a tensor or a variable."""
    return isinstance(x, (Tensor, Variable))

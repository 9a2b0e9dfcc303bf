"""Products, reductions, running reductions, sorting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import INT32
from tracejit.numpy import contraction, indexing, shaping, sorting
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    DTypeLike,
    convert,
    fault,
    one_axis,
    value,
)
from tracejit.numpy.promotion import as_dtype
from tracejit.numpy.reductions import reduce_with
from tracejit.ops import reduction, structure
from tracejit.trace.tracer import bind

__all__ = [
    "argmax", "argmin", "batch_matmul", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum",
    "dot", "dot_general", "reduce_and", "reduce_max", "reduce_min", "reduce_or",
    "reduce_prod", "reduce_sum", "reduce_xor", "sort", "sort_key_val", "top_k",
]  # fmt: skip

def dot(
    lhs: ArrayLike, rhs: ArrayLike, *, dimension_numbers: Any = None, precision: Any = None,
    preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """The product of vectors and matrices; with dimension numbers, dot_general."""
    if dimension_numbers is not None:
        return dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type)
    return in_preferred(lhs, rhs, preferred_element_type, contraction.dot)


def in_preferred(
    lhs: ArrayLike, rhs: ArrayLike, dtype: DTypeLike, product: Callable[[Array, Array], Array]
) -> Array:
    """A product in the dtype that is preferred for its result, or in a wider one of an operand."""
    x, y = value(lhs), value(rhs)
    if dtype is None:
        return product(x, y)
    preferred = as_dtype(dtype)
    working = np.promote_types(np.promote_types(x.dtype, y.dtype), preferred)
    return convert(product(convert(x, working), convert(y, working)), preferred)


def dot_general(
    lhs: ArrayLike, rhs: ArrayLike, dimension_numbers: Any, precision: Any = None,
    preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """Sums of products: ((contracted axes), (batch axes)), for both; batch, lhs's, rhs's axes."""
    over, batch = dimension_numbers
    return in_preferred(
        lhs, rhs, preferred_element_type,
        lambda x, y: contraction.contract(x, y, over, batch, "dot_general"),
    )  # fmt: skip


def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None) -> Array:
    """Products of matrices in the last two axes."""
    return contraction.matmul(lhs, rhs)


# Reductions


def _reducing(name: str, primitive: Primitive) -> Callable[..., Array]:
    def function(operand: ArrayLike, axes: Sequence[int]) -> Array:
        x = value(operand)
        return reduce_with(primitive, x, tuple(sorted(one_axis(a, x.ndim) for a in axes)), False)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} over axes, in the dtype of the operand."
    return function


def _running(name: str, primitive: Primitive) -> Callable[..., Array]:
    def function(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
        x = value(operand)
        return bind(primitive, x, axis=one_axis(axis, x.ndim), reverse=bool(reverse))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} along an axis; from its end if `reverse`."
    return function


reduce_sum = _reducing("reduce_sum", structure.reduce_sum)
reduce_prod = _reducing("reduce_prod", reduction.reduce_prod)
reduce_max = _reducing("reduce_max", reduction.reduce_max)
reduce_min = _reducing("reduce_min", reduction.reduce_min)
reduce_and = _reducing("reduce_and", reduction.reduce_and)
reduce_or = _reducing("reduce_or", reduction.reduce_or)
reduce_xor = _reducing("reduce_xor", reduction.reduce_xor)
cumsum, cumprod = _running("cumsum", reduction.cumsum), _running("cumprod", reduction.cumprod)
cummax, cummin = _running("cummax", reduction.cummax), _running("cummin", reduction.cummin)
cumlogsumexp = _running("cumlogsumexp", reduction.cumlogsumexp)

def _extremum(name: str, primitive: Primitive) -> Callable[..., Array]:
    def function(operand: ArrayLike, axis: int, index_dtype: DTypeLike) -> Array:
        x = value(operand)
        return bind(primitive, x, axis=one_axis(axis, x.ndim), dtype=as_dtype(index_dtype))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name}: the index of the first one along an axis."
    return function


argmax = _extremum("argmax", reduction.argmax)
argmin = _extremum("argmin", reduction.argmin)


# Sorting


def sort(
    operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1
) -> Any:
    """One array, or several by the first `num_keys` of them, in ascending order; NaN last."""
    if isinstance(operand, (tuple, list)):
        xs = [value(x) for x in operand]
        return bind(reduction.sort, *xs, axis=one_axis(dimension, xs[0].ndim), keys=num_keys)
    return sorting.sort(operand, dimension)


def sort_key_val(
    keys: ArrayLike, values: ArrayLike, dimension: int = -1, is_stable: bool = True
) -> tuple[Array, Array]:
    """Keys in ascending order, and the values that go with them."""
    return tuple(sort((keys, values), dimension))  # type: ignore[return-value]


def top_k(operand: ArrayLike, k: int, *, axis: int = -1) -> tuple[Array, Array]:
    """The k largest elements along an axis, the largest first, and their indices."""
    x = value(operand)
    at = one_axis(axis, x.ndim)
    if not 0 <= k <= x.shape[at]:
        raise fault(ArgumentError, f"top_k: {k} of the {x.shape[at]} elements along axis {at}")
    order = shaping.part(sorting.argsort(x, at, descending=True), at, 0, k)
    return indexing.take_along_axis(x, order, at), convert(order, INT32)

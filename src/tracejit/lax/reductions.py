"""Products, reductions, running reductions, sorting."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.errors import ArgumentError, UnsupportedError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import INT32, array_type
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
from tracejit.ops import elementwise as ops
from tracejit.ops import reduction, structure
from tracejit.trace.stage import stage
from tracejit.trace.tracer import bind

__all__ = [
    "argmax", "argmin", "batch_matmul", "cumlogsumexp", "cummax", "cummin", "cumprod", "cumsum",
    "dot", "dot_general", "reduce", "reduce_and", "reduce_max", "reduce_min", "reduce_or",
    "reduce_prod", "reduce_sum", "reduce_xor", "sort", "sort_key_val", "top_k",
]  # fmt: skip

def dot(
    lhs: ArrayLike, rhs: ArrayLike, *, dimension_numbers: Any = None, precision: Any = None,
    preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """The product of vectors and matrices; with dimension numbers, dot_general."""
    if dimension_numbers is not None:
        return dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type)
    result = contraction.dot(lhs, rhs)
    return _preferred(result, preferred_element_type)


def _preferred(x: Array, dtype: DTypeLike) -> Array:
    return x if dtype is None else convert(x, as_dtype(dtype))


def dot_general(
    lhs: ArrayLike, rhs: ArrayLike, dimension_numbers: Any, precision: Any = None,
    preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """Sums of products: ((contracted axes), (batch axes)), for both; batch, lhs's, rhs's axes."""
    over, batch = dimension_numbers
    result = contraction.contract(value(lhs), value(rhs), over, batch, "dot_general")
    return _preferred(result, preferred_element_type)


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

#: The reduction that a function of two numbers makes, by the one primitive that it binds.
_REDUCTIONS = {
    ops.add: structure.reduce_sum, ops.mul: reduction.reduce_prod, ops.max: reduction.reduce_max,
    ops.min: reduction.reduce_min, ops.and_: reduction.reduce_and, ops.or_: reduction.reduce_or,
    ops.xor: reduction.reduce_xor,
}  # fmt: skip


def reduce(
    operands: ArrayLike, init_values: ArrayLike, computation: Callable[[Any, Any], Any],
    dimensions: Sequence[int],
) -> Array:  # fmt: skip
    """A reduction by lax.add, mul, max, min or a bitwise function of two numbers."""
    x = value(operands)
    number = array_type(x.dtype)
    equations = stage(lambda a, b: [computation(a, b)], [number, number]).jaxpr.equations
    found = _REDUCTIONS.get(equations[0].primitive) if len(equations) == 1 else None
    if found is None:
        raise fault(
            UnsupportedError, "lax.reduce knows add, mul, max, min, and, or and xor",
            "loop with lax.scan for another computation",
        )  # fmt: skip
    y = reduce_with(found, x, tuple(sorted(one_axis(a, x.ndim) for a in dimensions)), False)
    return value(computation(y, value(init_values, x.dtype)))


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

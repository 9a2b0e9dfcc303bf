"""Reductions, running reductions and sorting. (reduce_sum is beside broadcast, in `structure.py`.)

Reductions over `axes` take them out; over no elements they give their identity. Running ones
(cumsum and its kin) keep the shape and go along one `axis`, from the end if `reverse`.

Two of the derivatives are linear recurrences  s_k = a_k s_{k-1} + b_k,  solved in log2(n) steps:

    y = cumprod(x):        dy_k = x_k dy_{k-1} + y_{k-1} dx_k
    y = cumlogsumexp(x):   dy_k = exp(y_{k-1} - y_k) dy_{k-1} + exp(x_k - y_k) dx_k

No division by x, so zeros are no exception; no exponent above 0, so nothing overflows.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, DTypeError, ShapeError
from tracejit.ir.atoms import Atom, Literal, is_zero, scalar, zero
from tracejit.ir.primitive import ZERO, Joint, Jvp, Primitive, linear, not_accepted
from tracejit.ir.types import (
    ALL,
    BITS,
    FLOATS,
    INT64,
    INTEGERS,
    NUMBERS,
    ORDERED,
    REALS,
    ArrayType,
    Dtypes,
    tangent_type,
    without_axes,
)
from tracejit.ops.elementwise import convert, eq, exp, ne, select
from tracejit.ops.indexing import gather
from tracejit.ops.structure import (
    Axes,
    batch_all,
    check_axes,
    expand,
    inverse_order,
    iota,
    pad,
    permute,
    reduce_sum,
    reduce_typing,
    reshape,
    shifted,
    slice,
)

# Reductions


def _reduction(
    name: str, *, accepts: Dtypes, evaluate: Callable[..., Any], jvp: Jvp, doc: str
) -> Primitive:
    def batch(size: int, inputs: Any, batched: Any, *, axes: Axes) -> Any:
        return primitive.bind(inputs[0], axes=shifted(axes))

    primitive = Primitive(
        name, typing=reduce_typing(name, accepts), evaluate=evaluate, jvp=jvp, batch=batch, doc=doc
    )
    return primitive


def _flat(x: Atom, axes: Axes) -> Atom:
    """x with these axes at the end, in one."""
    kept = tuple(a for a in range(x.ndim) if a not in axes)
    order = (*kept, *axes)
    moved = x if order == tuple(range(x.ndim)) else permute(x, order=order)
    length = math.prod(x.shape[a] for a in axes)
    shape = (*without_axes(x.shape, axes), length)
    return moved if shape == moved.shape else reshape(moved, shape=shape)


def _reduce_prod_jvp(primals: Any, tangents: Any, outs: Any, *, axes: Axes) -> tuple[Atom]:
    """sum of t_i times the product of the others: of those in front, and of those behind."""
    (x,), (t,), (y,) = primals, tangents, outs
    if is_zero(t) or x.type.size == 0:
        return (zero(tangent_type(y.type)),)
    axes = tuple(sorted(axes))
    flat, last = _flat(x, axes), x.ndim - len(axes)
    front = previous(cumprod(flat, axis=last, reverse=False), last, fill=1)
    behind = previous(cumprod(flat, axis=last, reverse=True), last, fill=1, reverse=True)
    return (reduce_sum(front * behind * _flat(t, axes), axes=(last,)),)


reduce_prod = _reduction(
    "reduce_prod", accepts=NUMBERS, jvp=_reduce_prod_jvp,
    evaluate=lambda x, *, axes: np.prod(x, axis=axes, dtype=x.dtype),
    doc="Product over axes, in the dtype of x; 1 over none.",
)  # fmt: skip


def _extremum_jvp(primals: Any, tangents: Any, outs: Any, *, axes: Axes) -> tuple[Atom]:
    """The mean of the tangents of all elements that attain the extremum."""
    (x,), (t,), (y,) = primals, tangents, outs
    if is_zero(t) or x.type.size == 0:
        return (zero(tangent_type(y.type)),)
    attained = eq(x, expand(y, x.shape, axes))
    count = reduce_sum(convert(attained, dtype=x.dtype), axes=axes)
    return (reduce_sum(select(attained, t, zero(t.type)), axes=axes) / count,)


def least(dtype: np.dtype) -> float | int | bool:
    """The identity of max: -inf, the smallest integer, or False."""
    if dtype.kind == "b":
        return False
    return -math.inf if dtype in FLOATS else int(np.iinfo(dtype).min)


def greatest(dtype: np.dtype) -> float | int | bool:
    """The identity of min: inf, the largest integer, or True."""
    if dtype.kind == "b":
        return True
    return math.inf if dtype in FLOATS else int(np.iinfo(dtype).max)


reduce_max = _reduction(
    "reduce_max", accepts=ORDERED, jvp=_extremum_jvp,
    evaluate=lambda x, *, axes: np.max(x, axis=axes, initial=least(x.dtype)),
    doc="Maximum over axes, NaN if there is one; -inf or the smallest integer over none.",
)  # fmt: skip
reduce_min = _reduction(
    "reduce_min", accepts=ORDERED, jvp=_extremum_jvp,
    evaluate=lambda x, *, axes: np.min(x, axis=axes, initial=greatest(x.dtype)),
    doc="Minimum over axes, NaN if there is one; inf or the largest integer over none.",
)  # fmt: skip
reduce_and = _reduction(
    "reduce_and", accepts=BITS, jvp=ZERO,
    evaluate=lambda x, *, axes: np.bitwise_and.reduce(x, axis=axes),
    doc="Bitwise and over axes; all ones (True) over none.",
)  # fmt: skip
reduce_or = _reduction(
    "reduce_or", accepts=BITS, jvp=ZERO,
    evaluate=lambda x, *, axes: np.bitwise_or.reduce(x, axis=axes),
    doc="Bitwise or over axes; 0 (False) over none.",
)  # fmt: skip
reduce_xor = _reduction(
    "reduce_xor", accepts=BITS, jvp=ZERO,
    evaluate=lambda x, *, axes: np.bitwise_xor.reduce(x, axis=axes),
    doc="Bitwise exclusive or over axes; 0 (False) over none.",
)  # fmt: skip

# Where the extremum is


def _index_of(name: str, find: Callable[..., Any], doc: str) -> Primitive:
    def typing(x: ArrayType, *, axis: int, dtype: np.dtype) -> tuple[ArrayType, ...]:
        check_axes(name, (axis,), x.ndim)
        if x.dtype not in ORDERED:
            raise not_accepted(name, x, ORDERED)
        if dtype not in INTEGERS:
            raise DTypeError(f"{name}: no index of dtype {dtype} into {x}")
        if x.shape[axis] == 0:
            raise ShapeError(f"{name}: axis {axis} of {x} is empty, so there is no extremum")
        return (x.with_shape(without_axes(x.shape, (axis,))).with_dtype(dtype),)

    def batch(size: int, inputs: Any, batched: Any, *, axis: int, dtype: np.dtype) -> Any:
        return primitive.bind(inputs[0], axis=axis + 1, dtype=dtype)

    primitive = Primitive(
        name, typing=typing, jvp=ZERO, batch=batch, doc=doc,
        evaluate=lambda x, *, axis, dtype: find(x, axis=axis).astype(dtype),
    )  # fmt: skip
    return primitive


argmax = _index_of("argmax", np.argmax, "Index of the first maximum (or NaN) along an axis.")
argmin = _index_of("argmin", np.argmin, "Index of the first minimum (or NaN) along an axis.")

# Running reductions


def previous(
    x: Atom, axis: int, *, fill: float, reverse: bool = False, distance: int = 1
) -> Atom:
    """At place k what x has at k - distance (k + distance if reverse), or `fill` for none."""
    n, none = x.shape[axis], [0] * x.ndim
    distance = distance if distance < n else n
    start, limit, low, high = list(none), list(x.shape), list(none), list(none)
    if reverse:
        start[axis], high[axis] = distance, distance
    else:
        limit[axis], low[axis] = n - distance, distance
    kept = slice(x, start=tuple(start), limit=tuple(limit), stride=(1,) * x.ndim)
    value = scalar(fill, x.dtype)
    return pad(kept, value, low=tuple(low), high=tuple(high), interior=tuple(none))


def linear_recurrence(a: Atom, b: Atom, axis: int, reverse: bool) -> Atom:
    """The solution of s_k = a_k s_{k-1} + b_k, from s = 0, along an axis.

    Step j replaces each equation by what it says 2^j places back, so log2(n) steps are enough.
    """
    n, distance = b.shape[axis], 1
    while distance < n:
        where: dict[str, Any] = {"axis": axis, "reverse": reverse, "distance": distance}
        b = b + a * previous(b, fill=0, **where)
        distance *= 2
        if distance < n:
            a = a * previous(a, fill=1, **where)
    return b


def _accumulated(ufunc: np.ufunc) -> Callable[..., Any]:
    def evaluate(x: Any, *, axis: int, reverse: bool) -> Any:
        if reverse:
            return np.flip(ufunc.accumulate(np.flip(x, axis), axis=axis, dtype=x.dtype), axis)
        return ufunc.accumulate(x, axis=axis, dtype=x.dtype)

    return evaluate


def _running_rules(name: str, accepts: Dtypes, ufunc: np.ufunc) -> dict[str, Any]:
    """What all running reductions share: typing, value and batching."""

    def typing(x: ArrayType, *, axis: int, reverse: bool) -> tuple[ArrayType, ...]:
        check_axes(name, (axis,), x.ndim)
        if x.dtype not in accepts:
            raise not_accepted(name, x, accepts)
        return (x,)

    def batch(size: int, inputs: Any, batched: Any, *, axis: int, reverse: bool) -> Any:
        return Primitive.registry[name].bind(inputs[0], axis=axis + 1, reverse=reverse)

    return {
        "typing": typing, "evaluate": _accumulated(ufunc), "batch": batch,
        "defaults": {"reverse": False},
    }  # fmt: skip


cumsum: Primitive = linear(
    "cumsum", **_running_rules("cumsum", NUMBERS, np.add),
    transpose=lambda cts, inputs, *, axis, reverse: (
        cumsum(cts[0], axis=axis, reverse=not reverse),
    ),
    doc="Running sum along an axis.",
)  # fmt: skip


def _cumprod_jvp(
    primals: Any, tangents: Any, outs: Any, *, axis: int, reverse: bool
) -> tuple[Atom]:
    (x,), (t,), (y,) = primals, tangents, outs
    if is_zero(t):
        return (t,)
    before = previous(y, axis, fill=1, reverse=reverse)
    return (linear_recurrence(x, before * t, axis, reverse),)


cumprod = Primitive(
    "cumprod", **_running_rules("cumprod", NUMBERS, np.multiply), jvp=_cumprod_jvp,
    doc="Running product along an axis.",
)  # fmt: skip


def _cumlogsumexp_jvp(
    primals: Any, tangents: Any, outs: Any, *, axis: int, reverse: bool
) -> tuple[Atom]:
    """Where y is -inf, so is every x so far, and the derivative is 0: exp(-inf - 0)."""
    (x,), (t,), (y,) = primals, tangents, outs
    if is_zero(t):
        return (t,)
    before = previous(y, axis, fill=-math.inf, reverse=reverse)
    level = select(eq(y, Literal(-math.inf, y.type)), zero(y.type), y)
    return (linear_recurrence(exp(before - level), exp(x - level) * t, axis, reverse),)


cumlogsumexp = Primitive(
    "cumlogsumexp", **_running_rules("cumlogsumexp", FLOATS, np.logaddexp),
    jvp=_cumlogsumexp_jvp, doc="Running log of the sum of exponentials, without overflow.",
)  # fmt: skip


def _running_extremum_jvp(
    primals: Any, tangents: Any, outs: Any, *, axis: int, reverse: bool
) -> tuple[Atom]:
    """The tangent of the element that is the extremum so far; of several, the first.

    That element is the last one where the running extremum changed.
    """
    (t,), (y,) = tangents, outs
    if is_zero(t) or y.type.size == 0:
        return (zero(tangent_type(y.type)),)
    places = iota(dtype=INT64, shape=y.shape, axis=axis)
    first = Literal(y.shape[axis] - 1 if reverse else 0, places.type)
    changed = ne(y, previous(y, axis, fill=math.nan, reverse=reverse))
    running = cummin if reverse else cummax
    attained = running(select(changed, places, first), axis=axis, reverse=reverse)
    return (take_along(t, attained, axis),)


cummax = Primitive(
    "cummax", **_running_rules("cummax", REALS, np.maximum), jvp=_running_extremum_jvp,
    doc="Running maximum along an axis; NaN from the first NaN on.",
)  # fmt: skip
cummin = Primitive(
    "cummin", **_running_rules("cummin", REALS, np.minimum), jvp=_running_extremum_jvp,
    doc="Running minimum along an axis; NaN from the first NaN on.",
)  # fmt: skip

# Sorting


def take_along(x: Atom, indices: Atom, axis: int) -> Atom:
    """y[.., k, ..] = x[.., indices[.., k, ..], ..] along an axis; x and indices have one shape."""
    last = x.ndim - 1
    order = (*(a for a in range(x.ndim) if a != axis), axis)
    if axis != last:
        x, indices = permute(x, order=order), permute(indices, order=order)
    vectors = reshape(indices, shape=(*indices.shape, 1))
    y = gather(x, vectors, axes=(last,), batch=last)
    return y if axis == last else permute(y, order=inverse_order(order))


def _sort_typing(*types: ArrayType, axis: int, keys: int) -> tuple[ArrayType, ...]:
    if not 1 <= keys <= len(types):
        raise ArgumentError(f"sort: {keys} keys out of {len(types)} operands")
    check_axes("sort", (axis,), types[0].ndim)
    for place, operand in enumerate(types):
        if operand.dtype not in (accepted := ORDERED if place < keys else ALL):
            raise not_accepted("sort", operand, accepted)
        if operand.shape != types[0].shape:
            raise ShapeError(f"sort: operands differ in shape, {types[0]} and {operand}")
    return types


def _sort_value(*operands: Any, axis: int, keys: int) -> Any:
    """lexsort is stable, puts NaN last, and takes its last key for the first."""
    order = np.lexsort(operands[:keys][::-1], axis=axis)
    return tuple(np.take_along_axis(x, order, axis) for x in operands)


def _sort_jvp(primals: Any, tangents: Any, *, axis: int, keys: int) -> Any:
    """Tangents move as their operands do: sort the places along, and gather by them."""
    places = iota(dtype=INT64, shape=primals[0].shape, axis=axis)
    *outs, order = sort(*primals, places, axis=axis, keys=keys)
    ts = [
        zero(tangent_type(y.type)) if is_zero(t) else take_along(t, order, axis)
        for t, y in zip(tangents, outs, strict=True)
    ]
    return outs, ts


sort: Primitive = Primitive(
    "sort", typing=_sort_typing, evaluate=_sort_value, jvp=Joint(_sort_jvp), single=False,
    batch=lambda size, inputs, batched, *, axis, keys: sort.bind(
        *batch_all(size, inputs, batched), axis=axis + 1, keys=keys
    ),
    doc="Operands sorted alike along an axis, by the first `keys` of them; stable, NaN last.",
)  # fmt: skip

"""Lowering of what moves elements: an index of the result becomes an index of the operand."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import convert, register_type
from tracejit.backends.native.emit import I64, Value
from tracejit.backends.native.halo import halo_of
from tracejit.backends.native.index import ORIGIN, Emitted, Index, constant_index
from tracejit.backends.native.lowering import LOWERINGS, Axes, Choice, Reader, Statement
from tracejit.backends.native.nest import Indices, Nest
from tracejit.ir.graph import Equation
from tracejit.ir.types import INT64
from tracejit.ops import structure as ops

Operands = list[tuple[Any, Axes]]

#: So many numbers side by side are read in place: one is chosen, where it is not known which.
FEW = 4

# broadcast, permute, reverse, slice


def _broadcast(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    return nest.value(eqn.inputs[0], tuple(index[d] for d in eqn.params["dims"]))


def _broadcast_axes(eqn: Equation, axes: Axes) -> Operands:
    return [(eqn.inputs[0], tuple(axes[d] for d in eqn.params["dims"]))]


def _inverse(order: tuple[int, ...], items: tuple[Any, ...]) -> tuple[Any, ...]:
    result: list[Any] = [None] * len(order)
    for i, axis in enumerate(order):
        result[axis] = items[i]
    return tuple(result)


def _permute(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    return nest.value(eqn.inputs[0], _inverse(eqn.params["order"], index))


def _reverse(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    (x,), axes = eqn.inputs, eqn.params["axes"]
    turned = tuple(
        nest.scaled(i, -1).shift(x.shape[a] - 1) if a in axes else i for a, i in enumerate(index)
    )
    return nest.value(x, turned)


def _slice(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    start, stride = eqn.params["start"], eqn.params["stride"]
    inner = tuple(
        nest.scaled(i, s).shift(a) for i, a, s in zip(index, start, stride, strict=True)
    )
    return nest.value(eqn.inputs[0], inner)


def _same_axes(eqn: Equation, axes: Axes) -> Operands:
    return [(eqn.inputs[0], axes)]


# reshape


def _groups(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list[int], list[int]]] | None:
    """Runs of axes with the same number of elements on both sides; None for empty arrays."""
    if 0 in old:
        return None
    groups, i, j = [], 0, 0
    while i < len(old) or j < len(new):
        left, right, a, b = [], [], 1, 1
        while True:
            if i < len(old) and (a <= b or j >= len(new)):
                a *= old[i]
                left.append(i)
                i += 1
            elif j < len(new):
                b *= new[j]
                right.append(j)
                j += 1
            if a == b and (left or right):
                break
        groups.append((left, right))
    return groups


def _merges(eqn: Equation) -> bool:
    """Whether an axis of the operand is less than a row-major run of axes of the result."""
    old = eqn.inputs[0].shape
    groups = _groups(old, eqn.params["shape"])
    return groups is None or any(sum(old[a] > 1 for a in left) > 1 for left, _ in groups)


def _reshape(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    (x,), new = eqn.inputs, eqn.params["shape"]
    located = nest.program.buffer_if_stored(x)
    if located is not None:
        return nest.load(located.reshaped(new), index)
    inner: list[Index] = [Index()] * x.ndim
    for left, right in _groups(x.shape, new) or ():
        total, step = Index(), 1
        for axis in reversed(right):
            total = nest.plus(total, nest.scaled(index[axis], step))
            step *= new[axis]
        for axis in left:
            if x.shape[axis] > 1:
                inner[axis] = total
    return nest.value(x, tuple(inner))


def _reshape_axes(eqn: Equation, axes: Axes) -> Operands:
    (x,), new = eqn.inputs, eqn.params["shape"]
    result: list[int | None] = [None] * x.ndim
    for left, right in _groups(x.shape, new) or ():
        wide = [a for a in right if new[a] > 1]
        inner = [a for a in left if x.shape[a] > 1][-1:]
        for axis in inner:
            result[axis] = axes[wide[-1]] if wide else None
    return [(x, tuple(result))]


# pad, iota


def _pad(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    """Inside, the operand; around it, the fill. Where the index runs with the lanes, those outside
    are masked; elsewhere the index is moved inside, so that nothing outside is ever read."""
    x, fill = eqn.inputs
    if x.type.size == 0:
        return nest.value(fill, ())
    asked = halo_of(eqn)
    if asked is not None and nest.program.has_halo(x, asked):
        moved = tuple(i.shift(-low) for i, low in zip(index, asked.low, strict=True))
        return nest.value(x, moved)
    fn, conditions, inner, masked = nest.fn, [], [], None
    for axis, i in enumerate(index):
        low, high, gap = (eqn.params[name][axis] for name in ("low", "high", "interior"))
        if low == high == gap == 0:
            inner.append(i)
            continue
        n = x.shape[axis]
        shifted = i.shift(-low)
        if shifted.is_constant:
            place, between = divmod(shifted.const, gap + 1)
            if between or not 0 <= place < n:
                return nest.value(fill, ())
            inner.append(constant_index(place))
            continue
        span = None if gap else nest.span(shifted)
        if span is not None and span[0] >= 0 and span[1] < n:
            inner.append(shifted)
            continue
        if span is not None and (span[1] < 0 or span[0] >= n):
            return nest.value(fill, ())
        at = nest.position(shifted)
        if gap:
            quotient = nest.combine(lambda v, g=gap: fn.sdiv(v, fn.like(v, g + 1)), at)
            exact = nest.combine(
                lambda v, q, g=gap: fn.equal(fn.mul(q, fn.like(q, g + 1)), v), at, quotient
            )
            conditions.append(exact)
            at = quotient
        inside = nest.combine(
            lambda v, n=n: fn.less(v, fn.like(v, n), signed=False), at
        )
        conditions.append(inside)
        if at.value.type.lanes > 1 and not gap:
            inner.append(shifted)
            masked = inside if masked is None else nest.combine(fn.and_, masked, inside)
        else:
            inner.append(nest.dynamic(nest.clamped(at, n - 1)))
    before = nest.predicate
    if masked is not None:
        nest.predicate = masked if before is None else nest.combine(fn.and_, before, masked)
    value = nest.value(x, tuple(inner))
    nest.predicate = before
    if not conditions:
        return value
    inside = conditions[0]
    for condition in conditions[1:]:
        inside = nest.combine(fn.and_, inside, condition)
    return nest.combine(fn.select, inside, value, nest.value(fill, ()))


def _pad_axes(eqn: Equation, axes: Axes) -> Operands:
    return [(eqn.inputs[0], axes), (eqn.inputs[1], ())]


def _padded(eqn: Equation) -> tuple[int, ...]:
    """The axes that are padded."""
    low, interior = eqn.params["low"], eqn.params["interior"]
    return tuple(a for a in range(len(low)) if low[a] or interior[a])


def _iota(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    dtype: np.dtype = eqn.params["dtype"]

    def emit(v: Value) -> Value:
        return convert(nest.fn, INT64, v, dtype=dtype)

    at = nest.position(index[eqn.params["axis"]])
    assert at.value.type.scalar == I64 and register_type(INT64) == I64
    return nest.combine(emit, at)


# concatenate: each operand is stored into its part of the result.


def _concatenate(program: Any, eqn: Equation) -> None:
    (out,), axis = eqn.outvars, eqn.params["axis"]
    buffer, at = program.allocate(out), 0
    for x in eqn.inputs:
        start = [0] * out.ndim
        start[axis] = at
        program.copy(x, buffer.window(program.fn, start, x.shape))
        at += x.shape[axis]
    program.settle(out, buffer)


def _is_few(eqn: Equation) -> bool:
    """Whether these are a few numbers side by side, as the indices of one element are."""
    return eqn.outvars[0].ndim == 1 and eqn.outvars[0].type.size == len(eqn.inputs) <= FEW


def _one_of_few(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    (at,) = index
    if at.is_constant:
        return nest.value(eqn.inputs[at.const], (ORIGIN,))
    place, fn = nest.position(at), nest.fn
    *rest, found = [nest.value(x, (ORIGIN,)) for x in eqn.inputs]
    for i, x in reversed(list(enumerate(rest))):
        here = nest.combine(lambda v, i=i: fn.equal(v, fn.like(v, i)), place)
        found = nest.combine(fn.select, here, x, found)
    return found


_CONCATENATE = Statement(_concatenate, stored=lambda eqn: ())
_FEW = Reader(_one_of_few, lambda eqn, axes: [(x, (None,)) for x in eqn.inputs])


LOWERINGS.rows(
    __name__,
    {
        ops.broadcast: Reader(
            _broadcast, _broadcast_axes,
            spreads=lambda eqn: eqn.outvars[0].type.size > eqn.inputs[0].type.size,
        ),
        ops.permute: Reader(
            _permute, lambda eqn, axes: [(eqn.inputs[0], _inverse(eqn.params["order"], axes))]
        ),
        ops.reverse: Reader(_reverse, _same_axes, moved=lambda eqn: eqn.params["axes"]),
        ops.slice: Reader(_slice, _same_axes),
        ops.reshape: Reader(
            _reshape, _reshape_axes,
            stored=lambda eqn: (0,) if _merges(eqn) else (),
            flat=_merges,
        ),
        ops.pad: Reader(_pad, _pad_axes, moved=_padded),
        ops.iota: Reader(_iota, lambda eqn, axes: []),
        ops.concatenate: Choice(lambda eqn: _FEW if _is_few(eqn) else _CONCATENATE),
    },
)  # fmt: skip

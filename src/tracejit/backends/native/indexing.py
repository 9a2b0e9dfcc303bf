"""Lowering of indexing: gather and dynamic_slice read at computed places, scatter writes there.

No index of any value leads outside of an array: reads are clamped, writes outside are skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.backends.native.callbacks import referred
from tracejit.backends.native.elementwise import maximum, minimum
from tracejit.backends.native.emit import I1, Value, constant
from tracejit.backends.native.ends import Bounds
from tracejit.backends.native.halo import Halo
from tracejit.backends.native.index import Emitted, Index, Loop, Rows, constant_index
from tracejit.backends.native.lowering import LOWERINGS, Axes, Reader, Rowwise, Statement
from tracejit.backends.native.nest import Buffer, Indices, Nest
from tracejit.backends.native.updates import windows_at
from tracejit.ir.atoms import Literal
from tracejit.ir.graph import Equation
from tracejit.ops import indexing as ops

# gather


def _groups(x: Any, indices: Any, axes: tuple[int, ...], batch: int) -> tuple[int, list[int]]:
    """How many axes the indices' own part has, and which axes of x are read whole."""
    rest = [a for a in range(batch, x.ndim) if a not in axes]
    return indices.ndim - 1 - batch, rest


def _gather(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    x, indices = eqn.inputs
    axes, batch = eqn.params["axes"], eqn.params["batch"]
    own, rest = _groups(x, indices, axes, batch)
    inner: list[Index] = list(index[:batch]) + [Index()] * (x.ndim - batch)
    for k, axis in enumerate(axes):
        at = nest.value(indices, (*index[: batch + own], constant_index(k)))
        at = nest.clamped(nest.integer(at, indices.dtype), x.shape[axis] - 1)
        inner[axis] = nest.dynamic(at)
    for axis, i in zip(rest, index[batch + own :], strict=True):
        inner[axis] = i
    return nest.value(x, tuple(inner))


def _takes_rows(eqn: Equation) -> bool:
    """Whether an index is read for several elements of the result."""
    x, indices = eqn.inputs
    _, rest = _groups(x, indices, eqn.params["axes"], eqn.params["batch"])
    return any(x.shape[a] > 1 for a in rest)


def _gather_axes(eqn: Equation, axes: Axes) -> list[tuple[Any, Axes]]:
    x, indices = eqn.inputs
    own, rest = _groups(x, indices, eqn.params["axes"], eqn.params["batch"])
    batch = eqn.params["batch"]
    of_x: list[int | None] = [None] * x.ndim
    of_x[:batch] = axes[:batch]
    for axis, a in zip(rest, axes[batch + own :], strict=True):
        of_x[axis] = a
    return [(x, tuple(of_x)), (indices, (*axes[: batch + own], None))]


# dynamic_slice, dynamic_update_slice


def _starts(
    nest: Nest, starts: Any, shape: tuple[int, ...], sizes: tuple[int, ...]
) -> list[Emitted]:
    """The starts, moved so that the window fits."""
    return [
        nest.clamped(nest.integer(nest.value(s, ()), s.dtype), n - size)
        for s, n, size in zip(starts, shape, sizes, strict=True)
    ]


def _dynamic_slice(nest: Nest, eqn: Equation, index: Indices) -> Emitted:
    x, *starts = eqn.inputs
    moved = _starts(nest, starts, x.shape, eqn.params["sizes"])
    inner = tuple(nest.plus(i, nest.dynamic(s)) for i, s in zip(index, moved, strict=True))
    return nest.value(x, inner)


def _around(shape: tuple[int, ...], sizes: tuple[int, ...], starts: Any) -> Halo | None:
    """What a window leaves over; None where its place is not known yet, or nothing is in it."""
    if 0 in sizes or not all(isinstance(s, Literal) for s in starts):
        return None
    room = [n - size for n, size in zip(shape, sizes, strict=True)]
    low = tuple(min(max(int(s.value), 0), most) for s, most in zip(starts, room, strict=True))
    return Halo(low, tuple(n - at for n, at in zip(room, low, strict=True)))


def _dynamic_update_slice(program: Any, eqn: Equation) -> None:
    x, update, *starts = eqn.inputs
    (out,) = eqn.outvars
    result = program.owned_copy(x, out, _around(x.shape, update.shape, starts))
    if update.type.size:
        nest = Nest(program, [])
        moved = _starts(nest, starts, x.shape, update.shape)
        offset = nest.position(nest.offset(result.strides, tuple(map(nest.dynamic, moved))))
        window = Buffer(
            program.fn.offset(result.pointer, offset.value, result.lane), update.shape, x.dtype,
            result.strides,
        )  # fmt: skip
        there = program.locations.get(x)
        same = isinstance(there, Buffer) and there.pointer is result.pointer
        program.copy(update, window, windows_at(program.plan, eqn) if same else frozenset())
    program.settle(out, result)


# scatter: a copy of x, then one update after the other, in row-major order.


def _scatter(combine: Callable[..., Value]) -> Statement:
    def begin(program: Any, eqn: Equation) -> Buffer:
        return program.owned_copy(eqn.inputs[0], eqn.outvars[0])

    def run(program: Any, eqn: Equation, result: Buffer, rows: Rows | None = None) -> None:
        x, indices, updates = eqn.inputs
        if not (updates.type.size and x.type.size):
            return
        axes, batch = eqn.params["axes"], eqn.params["batch"]
        own, rest = _groups(x, indices, axes, batch)
        shape = updates.shape if rows is None else rows.shape(updates.shape)
        nest = _update_nest(program, shape, rest, x)
        index = nest.index_of(nest.axes)  # type: ignore[attr-defined]
        limits = program.plan.windows.of_scatter(eqn)
        if rows is not None:
            index = rows.place(index)
        elif limits:
            loops = nest.axes  # type: ignore[attr-defined]
            Bounds(nest, index, loops, limits).set_ends(program.plan.windows)

        def body() -> None:
            inside, inner = _target(nest, x, indices, index, axes, batch, own, rest)
            for chain in nest.active:
                nest.chain = chain if nest.vector else None
                value = nest.value(updates, index)
                _update(nest, result, inner, inside, value, combine, x.dtype)
            nest.chain = None

        nest.run(body)

    def emit(program: Any, eqn: Equation) -> None:
        result = begin(program, eqn)
        run(program, eqn, result)
        program.settle(eqn.outvars[0], result)

    by_rows = Rowwise(
        lambda eqn: eqn.inputs[2].shape, _scattered, begin, run,
        reads_before=lambda eqn: eqn.inputs[:1],
    )  # fmt: skip
    return Statement(emit, stored=lambda eqn: (), updates=lambda eqn: {0: 0}, by_rows=by_rows)


def _scattered(eqn: Equation) -> list[tuple[Any, Axes]]:
    """The indices and the updates, along the axes of the updates. Only the first of these may be
    cut into rows: updates of one place keep their order."""
    x, indices, updates = eqn.inputs
    own, _ = _groups(x, indices, eqn.params["axes"], eqn.params["batch"])
    first = (0, *[None] * (updates.ndim - 1))
    of_indices = (*first[: eqn.params["batch"] + own], None)
    return [(indices, of_indices), (updates, first)]


def _update_nest(program: Any, shape: tuple[int, ...], rest: list[int], x: Any) -> Nest:
    """Loops over the updates; the last runs over lanes where it is contiguous in x."""
    loops = [Loop(n) for n in shape]
    contiguous = bool(rest) and rest[-1] == x.ndim - 1 and shape[-1] >= 4
    lanes = 1
    if contiguous:
        loops[-1].vector = True
        lanes = program.target.vector_bits // (8 * max(1, x.dtype.itemsize))
        while lanes > shape[-1]:
            lanes //= 2
    nest = Nest(program, loops, lanes=lanes)
    nest.axes = loops  # type: ignore[attr-defined]
    return nest


def _target(
    nest: Nest, x: Any, indices: Any, index: Indices, axes: tuple[int, ...], batch: int,
    own: int, rest: list[int],
) -> tuple[Emitted | None, Indices]:
    """Where an update goes, and whether that is inside of x."""
    fn, inside = nest.fn, None
    inner: list[Index] = list(index[:batch]) + [Index()] * (x.ndim - batch)
    for k, axis in enumerate(axes):
        at = nest.value(indices, (*index[: batch + own], constant_index(k)))
        at = nest.integer(at, indices.dtype)
        fits = nest.combine(
            lambda v, n=x.shape[axis]: fn.less(v, fn.like(v, n), signed=False), at
        )
        inside = fits if inside is None else nest.combine(fn.and_, inside, fits)
        inner[axis] = nest.dynamic(at)
    for axis, i in zip(rest, index[batch + own :], strict=True):
        inner[axis] = i
    return inside, tuple(inner)


def _update(
    nest: Nest, result: Buffer, inner: Indices, inside: Emitted | None, value: Emitted,
    combine: Callable[..., Value], dtype: np.dtype,
) -> None:
    fn = nest.fn
    at = nest.address(result, nest.place(result, inner))
    lanes = nest.lanes if at.is_vector else 1
    update = fn.splat(value.value, lanes)
    write, after = fn.block("write"), fn.block("next")
    fn.branch_if(inside.value if inside else constant(I1, True), write, after)
    fn.at(write)
    before = nest.read(result, at)
    total = nest.to_memory(combine(fn, dtype, before, update), dtype)
    address = at.of(fn, total.type)
    mask = nest.mask() if at.is_vector else None
    if mask is None:
        fn.store(total, address)
    else:
        fn.masked_store(total, address, mask)
    fn.branch(after)
    fn.at(after)


LOWERINGS.rows(
    __name__,
    {
        ops.gather: Reader(_gather, _gather_axes, stored=lambda eqn: (0,), spreads=_takes_rows),
        ops.dynamic_slice: Reader(
            _dynamic_slice,
            lambda eqn, axes: [(eqn.inputs[0], axes), *((s, ()) for s in eqn.inputs[1:])],
        ),
        ops.dynamic_update_slice: Statement(
            _dynamic_update_slice, stored=lambda eqn: (), updates=lambda eqn: {0: 0}
        ),
        ops.scatter_add: _scatter(lambda b, dtype, x, y: b.add(x, y)),
        ops.scatter: _scatter(lambda b, dtype, x, y: y),
        ops.scatter_mul: referred(
            ops.scatter_mul, _scatter(lambda b, dtype, x, y: b.mul(x, y))
        ),
        ops.scatter_min: _scatter(minimum),
        ops.scatter_max: _scatter(maximum),
    },
)

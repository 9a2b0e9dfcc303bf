"""Reading and writing at computed places: gather and the scatters, windows at dynamic starts.

How index vectors say places is in `places.py`. gather clamps places that are out of range, scatters
drop them. So the adjoint of gather scatters to clamped places, and the adjoint of scatter_add
gathers with a mask.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import DTypeError, IndexingError, ShapeError
from tracejit.ir.atoms import Atom, Literal, is_zero, ones, zero
from tracejit.ir.primitive import Primitive, Unknown, linear, not_accepted
from tracejit.ir.types import (
    ALL,
    BOOL,
    INT64,
    INTEGERS,
    NUMBERS,
    ORDERED,
    ArrayType,
    Dtypes,
    Shape,
    array_type,
    tangent_type,
)
from tracejit.ops.elementwise import convert, eq, select
from tracejit.ops.places import (
    clamped,
    clamped_start,
    gather_value,
    gathered_shape,
    in_range,
    limits_of,
    over_rest,
    places_shape,
    scatter_value,
)
from tracejit.ops.structure import (
    Axes,
    Cotangents,
    batch_all,
    broadcast,
    concatenate,
    iota,
    move_axis,
    permute,
    replicate,
    reshape,
    shifted,
)


def _gather_typing(
    x: ArrayType, indices: ArrayType, *, axes: Axes, batch: int
) -> tuple[ArrayType, ...]:
    shape = gathered_shape("gather", x, indices, axes, batch)
    if math.prod(shape) and any(x.shape[a] == 0 for a in axes):
        raise IndexingError(f"gather: nothing to read along axes {axes} of {x}, which is empty")
    return (x.with_shape(shape),)


def _scatter_typing(name: str, accepts: Dtypes) -> Callable[..., Any]:
    def typing(
        x: ArrayType, indices: ArrayType, updates: ArrayType, *, axes: Axes, batch: int
    ) -> tuple[ArrayType, ...]:
        shape = gathered_shape(name, x, indices, axes, batch)
        if x.dtype not in accepts:
            raise not_accepted(name, x, accepts)
        if updates != x.with_shape(shape):
            raise ShapeError(f"{name}: the updates must be {x.with_shape(shape)}, got {updates}")
        return (x,)

    return typing



# gather


def _gather_transpose(cts: Any, inputs: Any, *, axes: Axes, batch: int) -> Cotangents:
    (ct,), (x, indices) = cts, inputs
    places = clamped(indices, limits_of(x.type, axes))
    return (scatter_add(zero(x.type), places, ct, axes=axes, batch=batch), None)


def _gather_batch(size: int, inputs: Any, batched: Any, *, axes: Axes, batch: int) -> Any:
    """A batch of x alone is one more rest axis, a batch of indices one more axis of I."""
    x, indices = inputs
    if all(batched):
        return gather.bind(x, indices, axes=shifted(axes), batch=batch + 1)
    if batched[0]:
        x = move_axis(x, 0, batch)
        y = gather(x, indices, axes=shifted(axes), batch=batch)
        return (move_axis(y, indices.ndim - 1, 0),)
    y = gather(x, move_axis(indices, 0, batch), axes=axes, batch=batch)
    return (move_axis(y, batch, 0),)


gather = linear(
    "gather", operands=(0,), typing=_gather_typing, evaluate=gather_value,
    transpose=_gather_transpose, batch=_gather_batch,
    doc="The elements of x at index vectors, out of range ones clamped.",
)  # fmt: skip

# The scatters


def _scatter_batch(name: str) -> Callable[..., Any]:
    def batch_rule(size: int, inputs: Any, batched: Any, *, axes: Axes, batch: int) -> Any:
        scatter_like = Primitive.registry[name]
        x, indices, updates = inputs
        if batched[1]:
            operands = batch_all(size, inputs, batched)
            return scatter_like.bind(*operands, axes=shifted(axes), batch=batch + 1)
        x = move_axis(x if batched[0] else replicate(x, size), 0, batch)
        updates = move_axis(
            updates if batched[2] else replicate(updates, size), 0, indices.ndim - 1
        )
        y = scatter_like(x, indices, updates, axes=shifted(axes), batch=batch)
        return (move_axis(y, batch, 0),)

    return batch_rule


def _scatter_add_transpose(cts: Any, inputs: Any, *, axes: Axes, batch: int) -> Cotangents:
    """The cotangent itself, and what it is at the places that were in range."""
    (ct,), (x, indices, updates) = cts, inputs
    back = None
    if isinstance(updates, Unknown):
        inside = in_range(indices, limits_of(ct.type, axes))
        back = _read_where(inside, ct, indices, updates.type, axes, batch)
    return (ct if isinstance(x, Unknown) else None, None, back)


def _read_where(
    mask: Atom, ct: Atom, indices: Atom, type: ArrayType, axes: Axes, batch: int
) -> Atom:
    """ct at the places where the mask holds, 0 elsewhere."""
    if ct.type.size == 0 or type.size == 0:
        return zero(type)
    read = gather(ct, indices, axes=axes, batch=batch)
    return select(over_rest(mask, type.shape), read, zero(type))


scatter_add = linear(
    "scatter_add", operands=(0, 2), typing=_scatter_typing("scatter_add", NUMBERS),
    evaluate=scatter_value(np.add.at), transpose=_scatter_add_transpose,
    batch=_scatter_batch("scatter_add"),
    doc="x with the updates added at index vectors; out of range ones are dropped.",
)  # fmt: skip


def winners(x: ArrayType, indices: Atom, *, axes: Axes, batch: int) -> Atom:
    """Which of the updates that `scatter` writes are there to be read afterwards: bool (*B, *I).

    The updates are numbered, the numbers scattered in their place and gathered back: an update that
    finds its own number was the last one there. One that is out of range finds another's, or none.
    """
    places = places_shape(indices.type)
    count = math.prod(places[batch:])
    if count <= 1:
        return in_range(indices, limits_of(x, axes))
    row = iota(dtype=INT64, shape=(count,), axis=0)
    numbers = broadcast(
        reshape(row, shape=places[batch:]), shape=places, dims=tuple(range(batch, len(places)))
    )
    board = array_type(INT64, (*x.shape[:batch], *(x.shape[a] for a in axes)))
    if board.size == 0:
        return Literal(False, array_type(BOOL, places))
    params = {"axes": tuple(range(batch, batch + len(axes))), "batch": batch}
    written = scatter(Literal(-1, board), indices, numbers, **params)
    return eq(gather(written, indices, **params), numbers)


def _write(target: Any, index: Any, values: Any) -> None:
    target[index] = values  # NumPy lets the last of several values for one place win


def _scatter_transpose(cts: Any, inputs: Any, *, axes: Axes, batch: int) -> Cotangents:
    """scatter is linear in x and updates: each place reads x, or the last update that hit it.

    So x gets the cotangent with zeros written, and each winner among the updates its place's.
    """
    (ct,), (x, indices, updates) = cts, inputs
    params: dict[str, Any] = {"axes": axes, "batch": batch}
    around = scatter(ct, indices, zero(updates.type), **params) if isinstance(x, Unknown) else None
    back = None
    if isinstance(updates, Unknown):
        last = winners(ct.type, indices, **params)
        back = _read_where(last, ct, indices, updates.type, axes, batch)
    return (around, None, back)


scatter = linear(
    "scatter", operands=(0, 2), typing=_scatter_typing("scatter", ALL),
    evaluate=scatter_value(_write), transpose=_scatter_transpose,
    batch=_scatter_batch("scatter"), masks=True,
    doc="x with the updates written at index vectors: the last of several in row-major order wins.",
)  # fmt: skip


def _scatter_mul_jvp(
    primals: Any, tangents: Any, outs: Any, *, axes: Axes, batch: int
) -> tuple[Atom]:
    """The product rule: d out = dx prod(u) + sum over u of du (x times the other updates there).

    The product of the others is the product at the place divided by u, where that can be: with
    n zeros among the updates of a place, p the product of x and the other updates, and s the sum
    of the zeros (0 too, but its derivative is not),

        n = 0:  p / u        n = 1:  p for the zero, (p / u) s for the others
        n = 2:  p (s - u) for the zeros        else 0

    which is right to the second derivative even with several zeros at one place.
    """
    (x, indices, u), (s, _, t) = primals, tangents
    total: Atom = zero(tangent_type(x.type))
    if not x.type.is_inexact:
        return (total,)
    params = {"axes": axes, "batch": batch}
    if not is_zero(s):
        total = scatter_mul(s, indices, u, **params)
    if is_zero(t) or x.type.size == 0 or t.type.size == 0:
        return (total,)
    nothing, one = zero(u.type), ones(u.type)
    is_null = eq(u, nothing)
    regular = select(is_null, one, u)
    product = scatter_mul(x, indices, regular, **params)
    nulls = scatter_add(zero(x.type), indices, select(is_null, one, nothing), **params)
    null_sum = scatter_add(zero(x.type), indices, select(is_null, u, nothing), **params)
    p, n, rest = (gather(v, indices, **params) for v in (product, nulls, null_sum))
    without = p / regular
    of_null = select(eq(n, one), p, select(eq(n, one + one), p * (rest - u), nothing))
    of_regular = select(eq(n, nothing), without, select(eq(n, one), without * rest, nothing))
    others = select(is_null, of_null, of_regular)
    return (scatter_add(total, indices, others * t, **params),)


scatter_mul: Primitive = Primitive(
    "scatter_mul", typing=_scatter_typing("scatter_mul", NUMBERS),
    evaluate=scatter_value(np.multiply.at), jvp=_scatter_mul_jvp,
    transpose=lambda cts, inputs, *, axes, batch: (
        scatter_mul(cts[0], *inputs[1:], axes=axes, batch=batch), None, None,
    ),
    batch=_scatter_batch("scatter_mul"), scales=True,
    doc="x with its elements at index vectors multiplied by the updates.",
)  # fmt: skip


def _scatter_extremum_jvp(
    primals: Any, tangents: Any, outs: Any, *, axes: Axes, batch: int
) -> tuple[Atom]:
    """The tangents of all that attain the extremum of a place, in equal shares."""
    (x, indices, updates), (s, _, t), (y,) = primals, tangents, outs
    if not x.type.is_inexact:
        return (zero(tangent_type(x.type)),)
    if x.type.size == 0 or updates.type.size == 0:
        return (s,)
    params = {"axes": axes, "batch": batch}
    x_attains = eq(x, y)
    u_attains = eq(updates, gather(y, indices, **params))
    count = scatter_add(
        convert(x_attains, dtype=x.dtype), indices, convert(u_attains, dtype=x.dtype), **params
    )
    total = scatter_add(
        select(x_attains, s, zero(x.type)), indices,
        select(u_attains, t, zero(updates.type)), **params,
    )  # fmt: skip
    return (total / count,)


scatter_min = Primitive(
    "scatter_min", typing=_scatter_typing("scatter_min", ORDERED),
    evaluate=scatter_value(np.minimum.at), jvp=_scatter_extremum_jvp,
    batch=_scatter_batch("scatter_min"),
    doc="The smaller of x and the updates at index vectors.",
)  # fmt: skip
scatter_max = Primitive(
    "scatter_max", typing=_scatter_typing("scatter_max", ORDERED),
    evaluate=scatter_value(np.maximum.at), jvp=_scatter_extremum_jvp,
    batch=_scatter_batch("scatter_max"),
    doc="The larger of x and the updates at index vectors.",
)  # fmt: skip

# Windows at dynamic starts


def _check_starts(name: str, x: ArrayType, starts: tuple[ArrayType, ...], sizes: Shape) -> None:
    if len(starts) != x.ndim or len(sizes) != x.ndim:
        raise ShapeError(
            f"{name}: {x} needs {x.ndim} starts and a window of rank {x.ndim}, "
            f"got {len(starts)} and {sizes}"
        )
    for start in starts:
        if start.shape != () or start.dtype not in INTEGERS:
            raise DTypeError(f"{name}: starts are integers of rank 0, got {start}")
    if any(not 0 <= size <= n for size, n in zip(sizes, x.shape, strict=True)):
        raise ShapeError(f"{name}: a window of {sizes} does not fit {x}")


def _dynamic_slice_typing(
    x: ArrayType, *starts: ArrayType, sizes: Shape
) -> tuple[ArrayType, ...]:
    _check_starts("dynamic_slice", x, starts, sizes)
    return (x.with_shape(sizes),)


def _dynamic_update_slice_typing(
    x: ArrayType, update: ArrayType, *starts: ArrayType
) -> tuple[ArrayType, ...]:
    if update.dtype != x.dtype:
        raise DTypeError(f"dynamic_update_slice: {x} and update {update} differ in dtype")
    _check_starts("dynamic_update_slice", x, starts, update.shape)
    return (x,)


def _window(shape: Shape, starts: Any, sizes: Shape) -> tuple[Any, ...]:
    """The window as NumPy slices, moved so that it fits."""
    firsts = (
        sorted((0, int(start), n - size))[1]
        for start, n, size in zip(starts, shape, sizes, strict=True)
    )
    return tuple(np.s_[a : a + size] for a, size in zip(firsts, sizes, strict=True))


def _dynamic_update_slice_value(x: Any, update: Any, *starts: Any) -> Any:
    result = np.array(x)
    result[_window(result.shape, starts, np.shape(update))] = update
    return result


def _window_indices(x: Shape, starts: Any, sizes: Shape, size: int) -> tuple[Atom, Axes]:
    """For a batch of windows: index vectors (size, *moving sizes, K), and the K axes that move."""
    moving = tuple(a for a, n in enumerate(x) if sizes[a] < n)
    shape = (size, *(sizes[a] for a in moving))
    columns = []
    for k, a in enumerate(moving):
        first = broadcast(clamped_start(starts[a], x[a] - sizes[a]), shape=shape, dims=(0,))
        place = first + iota(dtype=INT64, shape=shape, axis=k + 1)
        columns.append(reshape(place, shape=(*shape, 1)))
    return concatenate(*columns, axis=len(shape)), moving


def _dynamic_slice_batch(size: int, inputs: Any, batched: Any, *, sizes: Shape) -> Any:
    """Starts that differ between members make a gather."""
    x, *starts = inputs
    shape = x.shape[1:] if batched[0] else x.shape
    if not any(batched[1:]):
        return dynamic_slice.bind(x, _first_start(starts), *starts, sizes=(size, *sizes))
    if sizes == shape:
        return (x if batched[0] else replicate(x, size),)
    starts = batch_all(size, starts, batched[1:])
    indices, moving = _window_indices(shape, starts, sizes, size)
    axes, batch = (shifted(moving), 1) if batched[0] else (moving, 0)
    y = gather(x, indices, axes=axes, batch=batch)
    return (permute(y, order=_windows_in_place(len(shape), moving)),)


def _dynamic_update_slice_batch(size: int, inputs: Any, batched: Any) -> Any:
    """Starts that differ between members make a scatter."""
    x, update, *starts = inputs
    if not any(batched[2:]):
        x, update = batch_all(size, inputs[:2], batched[:2])
        return dynamic_update_slice.bind(x, update, _first_start(starts), *starts)
    x, update, *starts = batch_all(size, inputs, batched)
    shape, sizes = x.shape[1:], update.shape[1:]
    if sizes == shape:
        return (update,)
    indices, moving = _window_indices(shape, starts, sizes, size)
    order = np.argsort(_windows_in_place(len(shape), moving))
    updates = permute(update, order=tuple(int(a) for a in order))
    return scatter.bind(x, indices, updates, axes=shifted(moving), batch=1)


def _first_start(starts: Any) -> Literal:
    """The start along a batch axis that windows span."""
    return zero(starts[0].type if starts else array_type(INT64))


def _windows_in_place(ndim: int, moving: Axes) -> Axes:
    """The order that puts gathered axes (batch, *moving, *rest) where they are in x."""
    gathered = (*moving, *(a for a in range(ndim) if a not in moving))
    return (0, *(gathered.index(a) + 1 for a in range(ndim)))


dynamic_slice = linear(
    "dynamic_slice", operands=(0,), typing=_dynamic_slice_typing,
    evaluate=lambda x, *starts, sizes: np.asarray(x)[_window(np.shape(x), starts, sizes)],
    transpose=lambda cts, inputs, *, sizes: (
        dynamic_update_slice(zero(inputs[0].type), cts[0], *inputs[1:]),
        *[None] * len(inputs[1:]),
    ),
    batch=_dynamic_slice_batch,
    doc="The window of these sizes at the starts, moved so that it fits.",
)  # fmt: skip


def _dynamic_update_slice_transpose(cts: Any, inputs: Any) -> Cotangents:
    (ct,), (x, update, *starts) = cts, inputs
    around = back = None
    if isinstance(x, Unknown):
        around = dynamic_update_slice(ct, zero(update.type), *starts)
    if isinstance(update, Unknown):
        back = dynamic_slice(ct, *starts, sizes=update.type.shape)
    return (around, back, *[None] * len(starts))


dynamic_update_slice: Primitive = linear(
    "dynamic_update_slice", operands=(0, 1), typing=_dynamic_update_slice_typing,
    evaluate=_dynamic_update_slice_value, transpose=_dynamic_update_slice_transpose,
    batch=_dynamic_update_slice_batch, masks=True,
    doc="x with a window at the starts overwritten by the update, moved so that it fits.",
)  # fmt: skip

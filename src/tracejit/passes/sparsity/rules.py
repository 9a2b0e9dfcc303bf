"""What each linear operation does to sets: a rule for each family.

A rule takes the equation, the sets of its inputs (None: it depends on nothing) and what is known of
the others (None: nothing): the numbers of integers and bools, and of floats a mask, where they may
differ from zero. It gives the sets of its results. An operation without a rule makes each result
depend on all that its operands do.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ops.contraction import free_axes
from tracejit.ops.places import gather_value, rest_axes
from tracejit.passes.sparsity.sets import LARGEST, Places, Sets, distinct

Maybe = Places | None
#: What is known of a value: the numbers of integers and bools, where floats may differ from zero.
Fact = Any
Rule = Callable[[Sets, Equation, list[Maybe], list[Fact]], Sequence[Maybe]]
#: Runs a jaxpr on sets and facts: gives both for its results.
Run = Callable[[Jaxpr, Sequence[Maybe], Sequence[Fact]], tuple[list[Maybe], list[Fact]]]


def everything(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """Each result depends on all that the operands do."""
    whole = sets.unite(*_one_segment([x for x in ids if x is not None]), 1)[0]
    return [np.broadcast_to(whole, _shape(v)) for v in eqn.outvars]


def _one_segment(arrays: Sequence[Places]) -> tuple[np.ndarray, Places]:
    flat = np.concatenate([distinct(x.ravel()) for x in arrays])
    return np.zeros(len(flat), np.int64), flat


def _shape(v: Any) -> tuple[int, ...]:
    return tuple(v.type.shape)


def filled(ids: Maybe, shape: tuple[int, ...]) -> Places:
    """The sets, empty ones for None."""
    return np.zeros(shape, np.int64) if ids is None else ids


def pointwise(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """Element by element."""
    total: Maybe = None
    for x in ids:
        total = sets.union(total, x)
    return [total]


def scaled(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """mul: nothing goes through zeros."""
    (total,) = pointwise(sets, eqn, ids, known)
    for mask in known:
        if mask is not None and total is not None:
            total = np.where(mask, total, 0)
    return [total]


def chosen(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """select: by a known condition one side, else both."""
    if known[0] is None:
        return pointwise(sets, eqn, ids, known)
    shape = _shape(eqn.outvars[0])
    return [np.where(known[0], *[filled(x, shape) for x in ids[1:]])]


def moved(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> Sequence[Maybe]:
    """Operations that move elements: their meaning, on places in the table."""
    operands = [filled(x, _shape(v)) for x, v in zip(ids, eqn.inputs, strict=True)]
    return eqn.primitive.evaluate(*operands, **eqn.params)


def reduced(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """Sums over axes."""
    (x,) = ids
    assert x is not None
    return [sets.over(x, eqn.params["axes"]).reshape(_shape(eqn.outvars[0]))]


def running(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """Running sums, in log2(n) steps: each adds what is twice as far away."""
    (x,), axis = ids, eqn.params["axis"]
    assert x is not None
    y = np.moveaxis(x, axis, 0)[:: -1 if eqn.params["reverse"] else 1]
    distance = 1
    while distance < len(y):
        more = sets.union(y[distance:], y[:-distance])
        assert more is not None
        y, distance = np.concatenate([y[:distance], more]), 2 * distance
    return [np.moveaxis(y[:: -1 if eqn.params["reverse"] else 1], 0, axis)]


def contracted(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """dot: each operand summed over its contracted axes, repeated along the other's free ones; of a
    factor with known zeros the others alone count."""
    total: Maybe = None
    for side, x in enumerate(ids):
        if x is None:
            continue
        mask = known[1 - side]
        width = math.prod(x.shape[a] for a in free_axes(x.ndim, *_axes(eqn, side)))
        sparse = mask is not None and np.count_nonzero(mask) * width <= LARGEST
        mine = _by_entries(sets, eqn, side, x, mask) if sparse else _by_sums(sets, eqn, side, x)
        total = sets.union(total, mine)
    return [total]


def _axes(eqn: Equation, side: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The contracted and the batch axes of one operand of a dot."""
    return eqn.params["contract"][side], eqn.params["batch"][side]


def _by_sums(sets: Sets, eqn: Equation, side: int, x: Places) -> Places:
    """What one operand of a dot gives if the other is dense."""
    contract, batch = eqn.params["contract"], eqn.params["batch"]
    shape = _shape(eqn.outvars[0])
    free = free_axes(x.ndim, contract[side], batch[side])
    summed = sets.over(x, contract[side])
    order = (*batch[side], *free)
    kept = np.transpose(summed, (*order, *contract[side])).reshape([x.shape[a] for a in order])
    others = tuple(range(len(shape)))[len(batch[side]) :]
    mine = others[: len(free)] if side == 0 else others[len(others) - len(free) :]
    spread = np.expand_dims(kept, tuple(a for a in others if a not in mine))
    return np.broadcast_to(spread, shape)


def _by_entries(sets: Sets, eqn: Equation, side: int, x: Places, mask: Fact) -> Places:
    """What one operand of a dot gives, x[b, k, :], through the entries of the other, mask[b, i, k]:
    element (b, i) of the result the union of the x[b, k] of its entries."""
    contract, batch = eqn.params["contract"], eqn.params["batch"]
    stacks = []
    for operand, n in ((mask, 1 - side), (x, side)):
        free = free_axes(operand.ndim, contract[n], batch[n])
        parts = batch[n], free, contract[n]
        sizes = [math.prod(operand.shape[a] for a in part) for part in parts]
        stacks.append(np.transpose(operand, [a for part in parts for a in part]).reshape(sizes))
    entries, values = stacks
    (count, rows, _), width = entries.shape, values.shape[1]
    at, row, summed = np.nonzero(entries)
    segments = ((at * rows + row) * width)[:, None] + np.arange(width)
    arriving = values[at, :, summed]
    found = sets.unite(segments.ravel(), arriving.ravel(), count * rows * width)
    found = found.reshape(count, rows, width)
    return (found if side else np.swapaxes(found, 1, 2)).reshape(_shape(eqn.outvars[0]))


def solved(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """a x = b, linear in b: each column of x depends on that column of b."""
    a, b = ids
    if a is not None or b is None:
        return everything(sets, eqn, ids, known)
    return [np.broadcast_to(sets.over(b, (b.ndim - 2,)), b.shape)]


# Places.


def gathered(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """At known places what is there, else what is anywhere along the indexed axes."""
    (x, _), (_, indices), params = ids, known, eqn.params
    if x is None:
        return [None]
    if indices is not None:
        return [gather_value(x, indices, **params)]
    shape, axes, batch = _shape(eqn.outvars[0]), params["axes"], params["batch"]
    anywhere = np.squeeze(sets.over(x, axes), axes)
    places = tuple(range(batch, batch + len(shape) - anywhere.ndim))
    return [np.broadcast_to(np.expand_dims(anywhere, places), shape)]


def scattered(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """scatter_add and its like: each place what it had and all that arrives."""
    (x, _, updates), indices, params = ids, known[1], eqn.params
    shape, axes, batch = _shape(eqn.outvars[0]), params["axes"], params["batch"]
    if updates is None:
        return [x]
    if indices is None:
        return [sets.union(x, _anywhere(sets, updates, shape, axes, batch))]
    numbers = np.arange(int(np.prod(shape))).reshape(shape)
    places = gather_value(numbers, indices, **params)
    limits = np.array([shape[a] for a in axes], np.int64)
    inside = np.all((indices >= 0) & (indices < limits), axis=-1)
    inside = np.broadcast_to(
        inside.reshape(inside.shape + (1,) * (places.ndim - inside.ndim)), places.shape
    )
    segments, arriving = places[inside], updates[inside]
    if x is not None:
        segments, arriving = np.append(numbers, segments), np.append(x, arriving)
    return [sets.unite(segments, arriving, numbers.size).reshape(shape)]


def _anywhere(
    sets: Sets, updates: Places, shape: tuple[int, ...], axes: tuple[int, ...], batch: int
) -> Places:
    """Updates that may go to any place along the indexed axes."""
    rest = len(rest_axes(len(shape), axes, batch))
    arrived = tuple(range(batch, updates.ndim - rest))
    return np.broadcast_to(
        np.expand_dims(np.squeeze(sets.over(updates, arrived), arrived), axes), shape
    )


def overwritten(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """scatter: at known places the last update alone."""
    x, _, updates = ids
    if known[1] is None:
        return scattered(sets, eqn, ids, known)
    operands = filled(x, _shape(eqn.inputs[0])), known[1], filled(updates, _shape(eqn.inputs[2]))
    return [*eqn.primitive.evaluate(*operands, **eqn.params)]


def window(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> Sequence[Maybe]:
    """dynamic_slice: along axes with a traced start what is anywhere."""
    x, starts = ids[0], known[1:]
    if x is None:
        return [None]
    loose = _loose(x.shape, eqn.params["sizes"], starts)
    if loose:
        x = np.broadcast_to(sets.over(x, loose), x.shape)
    return eqn.primitive.evaluate(x, *_first(starts), **eqn.params)


def window_written(sets: Sets, eqn: Equation, ids: list[Maybe], known: list[Any]) -> list[Maybe]:
    """dynamic_update_slice: along axes with a traced start the update may be anywhere, and what was
    there may stay."""
    (x, update), starts = ids[:2], known[2:]
    shape, sizes = _shape(eqn.inputs[0]), _shape(eqn.inputs[1])
    loose = _loose(shape, sizes, starts)
    update = filled(update, sizes)
    if loose:
        spread = [n if a in loose else sizes[a] for a, n in enumerate(shape)]
        update = np.broadcast_to(sets.over(update, loose), spread)
    under = filled(None if loose else x, shape)
    (result,) = eqn.primitive.evaluate(under, update, *_first(starts))
    return [sets.union(x, result) if loose else result]


def _loose(shape: Any, sizes: Any, starts: Sequence[Any]) -> tuple[int, ...]:
    """The axes along which it is not known where a window is."""
    triples = zip(shape, sizes, starts, strict=True)
    return tuple(a for a, (n, size, start) in enumerate(triples) if start is None and size < n)


def _first(starts: Sequence[Any]) -> list[Any]:
    return [0 if start is None else start for start in starts]


RULES: dict[str, Rule] = {
    "broadcast": moved, "reshape": moved, "permute": moved, "reverse": moved, "slice": moved,
    "pad": moved, "concatenate": moved, "mul": scaled, "select": chosen,
    "reduce_sum": reduced, "cumsum": running, "dot": contracted,
    "triangular_solve": solved, "solve": solved,
    "gather": gathered, "scatter_add": scattered, "scatter_mul": scattered, "scatter": overwritten,
    "dynamic_slice": window, "dynamic_update_slice": window_written,
}  # fmt: skip

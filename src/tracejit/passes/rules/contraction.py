"""Rewrites of dot: transposed operands are read in place, an outer product is a product."""

from __future__ import annotations

from tracejit.ir.atoms import Atom
from tracejit.ir.graph import Equation
from tracejit.ops.contraction import AxisPair, dot, free_axes
from tracejit.ops.elementwise import mul
from tracejit.ops.structure import broadcast, permute
from tracejit.passes.rules.table import always, over

Axes = tuple[int, ...]


def _through(order: Axes, contract: Axes, batch: Axes) -> tuple[Axes, Axes] | None:
    """The axes of the source of a permute; None if that brings its free axes in another order."""
    rows = [order[a] for a in free_axes(len(order), contract, batch)]
    if rows != sorted(rows):
        return None
    return tuple(order[a] for a in contract), tuple(order[a] for a in batch)


@over(dot, permute, 0)
def _transposed_left(
    inner: Equation, x: Atom, y: Atom, *, contract: AxisPair, batch: AxisPair
) -> Atom | None:
    axes = _through(inner.params["order"], contract[0], batch[0])
    if axes is None:
        return None
    return dot(
        inner.inputs[0], y, contract=(axes[0], contract[1]), batch=(axes[1], batch[1])
    )  # fmt: skip


@over(dot, permute, 1)
def _transposed_right(
    inner: Equation, x: Atom, y: Atom, *, contract: AxisPair, batch: AxisPair
) -> Atom | None:
    axes = _through(inner.params["order"], contract[1], batch[1])
    if axes is None:
        return None
    return dot(
        x, inner.inputs[0], contract=(contract[0], axes[0]), batch=(batch[0], axes[1])
    )  # fmt: skip


@always(dot)
def _outer(x: Atom, y: Atom, *, contract: AxisPair, batch: AxisPair) -> Atom | None:
    """Nothing is summed: each element of x times each of y, computed where it is read."""
    if contract[0]:
        return None
    rows, columns = (
        free_axes(z.ndim, (), axes) for z, axes in zip((x, y), batch, strict=True)
    )
    stack = range(len(batch[0]))
    shape = tuple(x.shape[a] for a in (*batch[0], *rows)) + tuple(y.shape[a] for a in columns)
    of_x, of_y = dict(zip(batch[0], stack, strict=True)), dict(zip(batch[1], stack, strict=True))
    of_x |= {a: len(stack) + i for i, a in enumerate(rows)}
    of_y |= {a: len(stack) + len(rows) + i for i, a in enumerate(columns)}
    return mul(_spread(x, of_x, shape), _spread(y, of_y, shape))


def _spread(x: Atom, places: dict[int, int], shape: Axes) -> Atom:
    """x with its axes at these places of a larger shape, repeated along the others."""
    order = tuple(sorted(places, key=places.__getitem__))
    turned = permute(x, order=order)
    return broadcast(turned, shape=shape, dims=tuple(places[a] for a in order))

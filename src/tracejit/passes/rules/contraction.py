"""Rewrites of dot: transposed operands are read in place."""

from __future__ import annotations

from tracejit.ir.atoms import Atom
from tracejit.ir.graph import Equation
from tracejit.ops.contraction import AxisPair, dot, free_axes
from tracejit.ops.structure import permute
from tracejit.passes.rules.table import over

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

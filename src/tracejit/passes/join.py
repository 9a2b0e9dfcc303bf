"""Sums of pads: what is put side by side is concatenated, not added.

    %2: f64[3] = pad(%0, 0.0, low=(0,), high=(2,))
    %3: f64[3] = pad(%1, 0.0, low=(1,), high=(1,))      %5: f64[3] = concatenate(%0, %1, 0.0)
    %4: f64[3] = add(%2, %3)                       ->
    ...

That is how the gradient of a vector arises whose elements are read one by one: of n elements, n
pads and n - 1 sums over n elements each. Pads that overlap come into layers, which are added; so
each element gets its terms in the order it had.

Needs: nothing. Leaves: the pads unread (dce).
Does not: join few pads, which cost less where they are read; keep -0.0 apart from 0.0.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from tracejit.ir.atoms import Atom, Literal, Var, is_zero, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ops.elementwise import add
from tracejit.ops.structure import concatenate, pad
from tracejit.passes.held import Pass, Renaming, through_held, with_held

#: Pads that make a layer worth a copy.
LEAST = 4


@dataclass(slots=True, eq=False)
class Sum:
    """A sum of pads along one axis: in each layer (first element, operand), none overlapping."""

    axis: int
    depth: np.ndarray  # how many layers each index of the axis is in
    layers: list[list[tuple[int, Atom]]] = field(default_factory=list)

    def put(self, low: int, x: Atom) -> None:
        """Add a pad behind what is there."""
        within = self.depth[low : low + x.shape[self.axis]]
        layer = int(within.max(initial=0))
        if layer == len(self.layers):
            self.layers.append([])
        self.layers[layer].append((low, x))
        within[:] = layer + 1

    @property
    def pays(self) -> bool:
        return sum(map(len, self.layers)) >= LEAST * len(self.layers)

    def build(self, like: Var) -> Atom:
        """The equations, and what they come to."""
        total: Atom | None = None
        for layer in self.layers:
            pieces, at = [], 0
            for low, x in sorted(layer, key=lambda piece: piece[0]):
                pieces += [*_gap(like, self.axis, low - at), x]
                at = low + x.shape[self.axis]
            pieces += _gap(like, self.axis, like.shape[self.axis] - at)
            joined = concatenate(*pieces, axis=self.axis)
            total = joined if total is None else add(total, joined)
        assert total is not None
        return total


def _gap(like: Var, axis: int, length: int) -> list[Literal]:
    shape = (*like.shape[:axis], length, *like.shape[axis + 1 :])
    return [zero(like.type.with_shape(shape))] if length else []


@through_held
def join(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """Concatenate pads instead of adding them."""
    equations = [with_held(eqn, inner) if eqn.params else eqn for eqn in jaxpr.equations]
    sums = _sums(equations, jaxpr.outvars)
    if not sums:
        same = all(a is b for a, b in zip(equations, jaxpr.equations, strict=True))
        return jaxpr if same else Jaxpr(jaxpr.invars, tuple(equations), jaxpr.outvars)
    renaming = Renaming()
    with building() as builder:
        for eqn in equations:
            eqn = renaming.equation(eqn)
            if eqn.outvars[0] in sums if eqn.outvars else False:
                builder.provenance = eqn.provenance
                renaming[eqn.outvars[0]] = sums[eqn.outvars[0]].build(eqn.outvars[0])
            else:
                builder.equations.append(eqn)
    return builder.finish(jaxpr.invars, renaming.all(jaxpr.outvars))


def _sums(equations: list[Equation], outvars: tuple[Atom, ...]) -> dict[Atom, Sum]:
    """The sums of pads that are worth it and in no larger one."""
    uses: dict[Atom, int] = {}
    for x in [*[x for eqn in equations for x in eqn.inputs], *outvars]:
        if x.__class__ is Var:
            uses[x] = uses.get(x, 0) + 1
    found: dict[Atom, Sum] = {}
    pads: dict[Atom, tuple[int, int, Atom]] = {}
    for eqn in equations:
        if eqn.primitive is pad:
            piece = _piece(eqn)
            if piece is not None:
                pads[eqn.outvars[0]] = piece
        elif eqn.primitive is add and eqn.outvars[0].ndim:
            total = _added(eqn, found, pads, uses)
            if total is not None:
                found[eqn.outvars[0]] = total
    return {v: total for v, total in found.items() if total.pays}


def _piece(eqn: Equation) -> tuple[int, int, Atom] | None:
    """Axis, first element and operand of a pad with zeros along one axis."""
    x, fill = eqn.inputs
    low, high = eqn.params["low"], eqn.params["high"]
    axes = [a for a in range(x.ndim) if low[a] or high[a]]
    plain = len(axes) == 1 and is_zero(fill) and not any(eqn.params["interior"])
    if not plain or isinstance(x, Literal) or min(*low, *high) < 0:
        return None
    return axes[0], low[axes[0]], x


def _added(
    eqn: Equation, found: dict[Atom, Sum], pads: dict[Atom, tuple[int, int, Atom]],
    uses: dict[Atom, int],
) -> Sum | None:  # fmt: skip
    """One operand a pad, the other a pad too, or a sum that nobody else reads."""
    x, y = eqn.inputs
    if y not in pads:
        x, y = y, x
    if y not in pads:
        return None
    axis, low, operand = pads[y]
    if x in pads and pads[x][0] == axis:
        total = Sum(axis, np.zeros(x.shape[axis], np.int32))
        total.put(*pads[x][1:])
    elif x in found and found[x].axis == axis and uses[x] == 1:
        total = found.pop(x)
    else:
        return None
    total.put(low, operand)
    return total

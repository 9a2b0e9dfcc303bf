"""Halos: an array that is padded several times lies in memory with its padding around it.

    0 0 0 0
    0 a b 0        pad(x, low=(1, 0)) + pad(x, high=(1, 0)) + ...: the adjoint of a stencil
    0 c d 0
    0 0 0 0

So the sum of shifted copies reads plainly at shifted places, and asks nowhere whether an index is
inside.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Any

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ops import structure as ops

#: How often an array is padded with the same number before it lies with a halo, and how many
#: elements it has: to fill a halo costs some 10 ns a side.
OFTEN, LARGE = 3, 512


@dataclass(slots=True, eq=False)
class Halo:
    """What lies around an array: so many elements below and above each axis, all of one value."""

    low: tuple[int, ...]
    high: tuple[int, ...]
    fill: Any = None

    def grow(self, other: Halo) -> Halo:
        """A halo that is enough for both."""
        return Halo(
            tuple(map(max, self.low, other.low)), tuple(map(max, self.high, other.high)), self.fill
        )

    def covers(self, other: Halo) -> bool:
        """Whether what the other one has is there."""
        pairs = zip((*self.low, *self.high), (*other.low, *other.high), strict=True)
        return bool(self.fill == other.fill) and all(mine >= its for mine, its in pairs)

    def around(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The extents with the halo."""
        return tuple(a + n + b for a, n, b in zip(self.low, shape, self.high, strict=True))

    def inside(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The extents without the halo."""
        return tuple(n - a - b for a, n, b in zip(self.low, shape, self.high, strict=True))

    def slabs(self, shape: tuple[int, ...]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """The parts of the halo, none twice, as (start, extents) within `around`."""
        found, whole = [], self.around(shape)
        for axis, (low, n, high) in enumerate(zip(self.low, shape, self.high, strict=True)):
            before, behind = self.low[:axis], whole[axis + 1 :]
            for at, width in ((0, low), (low + n, high)):
                if width:
                    start = (*before, at, *[0] * len(behind))
                    found.append((start, (*shape[:axis], width, *behind)))
        return found


def halo_of(eqn: Equation) -> Halo | None:
    """What a pad asks for; None if it spreads its operand or pads with a computed number."""
    low, high, interior = (eqn.params[name] for name in ("low", "high", "interior"))
    fill = eqn.inputs[1]
    if any(interior) or min((*low, *high), default=0) < 0 or not isinstance(fill, Literal):
        return None
    return Halo(low, high, fill.value)


def halos(jaxpr: Jaxpr, stored: Container[Atom]) -> tuple[dict[Var, Halo], list[Var]]:
    """The computed arrays that are padded often, and nowhere needed without the halo; and those of
    which a part is padded often, which is read from where they lie."""
    found: dict[Atom, list[Halo]] = {}
    for eqn in jaxpr.equations:
        halo = halo_of(eqn) if eqn.primitive is ops.pad else None
        if halo is not None:
            found.setdefault(eqn.inputs[0], []).append(halo)
    made = {v: eqn for eqn in jaxpr.equations for v in eqn.outvars}
    result: dict[Var, Halo] = {}
    plain: list[Var] = []
    for x, asked in found.items():
        alike = [halo for halo in asked if halo.fill == asked[0].fill]
        if len(alike) < OFTEN or x.type.size < LARGE or x not in made or x in stored:
            continue
        whole = _sliced(x, made)
        if whole is not x:
            if isinstance(whole, Var) and whole in made and whole not in stored:
                plain.append(whole)
            continue
        halo = alike[0]
        for other in alike[1:]:
            halo = halo.grow(other)
        result[x] = halo  # type: ignore[index]
    return result, plain


def _sliced(x: Atom, made: Mapping[Var, Equation]) -> Atom:
    """The array that x is most of."""
    while isinstance(x, Var) and x in made and made[x].primitive is ops.slice:
        (whole,) = made[x].inputs
        if any(n != 1 for n in made[x].params["stride"]) or 2 * x.type.size < whole.type.size:
            break
        x = whole
    return x

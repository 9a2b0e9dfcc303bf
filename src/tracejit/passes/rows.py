"""Values side by side in arrays: where each lies, and arrays made of many.

    x0, x1, x2, x3 = elements of %0       stack(x0, x1, x2, x3)  ->  %0
                                          stack(x3, x0, x1, x2)  ->  concatenate(%0[3:], %0[:3])
                                          stack(y, y, y, y)      ->  broadcast(y)

A *row* is an array along whose last axis values of one type lie; their *place* is the row and the
index. A row may be planned before its array is there. This is the desk on which `pack` works.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation
from tracejit.ops.structure import broadcast, concatenate, reshape, slice
from tracejit.passes.held import Renaming


@dataclass(slots=True, eq=False)
class Row:
    """An array of `length` values; atom: where it is, once it is there.

    flat: the values are the elements of `atom` in row-major order, whatever its rank.
    """

    length: int
    atom: Atom | None = None
    flat: bool = False


Place = tuple[Row, int]


@dataclass(slots=True)
class Run:
    """Neighbours in a row; or, without a row, one value `length` times."""

    first: Atom
    row: Row | None
    start: int
    length: int = 1

    def takes(self, x: Atom, place: Place | None) -> bool:
        """Whether x comes next; it is taken then."""
        same = x == self.first if isinstance(x, Literal) else x is self.first
        if same and (self.row is None or self.length == 1):
            self.row = None
        elif self.row is None or place != (self.row, self.start + self.length):
            return False
        self.length += 1
        return True


class Rows:
    """What lies where, and the equations that take it from there, in the current builder.

    `gone` are variables that have no equation of their own any more: they are elements of a row.
    Values that are all `constant` for a loop are stacked outside of it: `lifted` says what for.
    """

    def __init__(self) -> None:
        self.place: dict[Atom, Place] = {}
        self.gone: set[Atom] = set()
        self.renaming = Renaming()
        self.constant: set[Atom] = set()
        self.lifted: dict[tuple[Atom, ...], Var] = {}
        self._made: dict[object, Atom] = {}
        self._flat: dict[Atom, Row] = {}

    # Where things are.

    def see(self, eqn: Equation, maker: Equation | None) -> None:
        """Note the place of what is an element of an array: reshape(slice(x), ()).

        maker: the equation of its operand.
        """
        if eqn.primitive is not reshape or eqn.outvars[0].ndim or maker is None:
            return
        if maker.primitive is not slice or isinstance(maker.inputs[0], Literal):
            return
        (x,), at = maker.inputs, 0
        for n, start in zip(x.shape, maker.params["start"], strict=True):
            at = at * n + start
        row = self._flat.setdefault(x, Row(x.type.size, x, flat=True))
        self.place[eqn.outvars[0]] = row, at

    def runs(self, xs: Iterable[Atom]) -> list[Run]:
        """The values as runs of neighbours."""
        found: list[Run] = []
        for x in xs:
            place = self.place.get(x)
            if not found or not found[-1].takes(x, place):
                row, start = place or (None, 0)
                found.append(Run(x, row, start))
        return found

    def is_cheap(self, xs: Sequence[Atom]) -> bool:
        """Whether stacking them costs little for each of them."""
        if all(isinstance(x, Literal) or x in self.constant for x in xs):
            return bool(self.constant) or len(self.runs(xs)) == 1
        runs = self.runs(xs)
        few = len(runs) <= 1 + len(xs) // 4
        return few and all(run.row is not None or run.length > 1 for run in runs)

    # Equations.

    def value(self, x: Atom) -> Atom:
        """A value by itself."""
        if isinstance(x, Literal):
            return x
        if x not in self.gone:
            return self.renaming.atom(x)
        if x not in self._made:
            row, at = self.place[x]
            self._made[x] = reshape(self._part(row, at, 1), shape=x.shape)
        return self._made[x]

    def stack(self, xs: tuple[Atom, ...]) -> Atom:
        """An array with the values along a new last axis."""
        if xs not in self._made:
            self._made[xs] = self._stacked(xs)
        return self._made[xs]

    def _stacked(self, xs: tuple[Atom, ...]) -> Atom:
        runs, type = self.runs(xs), xs[0].type
        if len(runs) > 1 and all(x in self.constant or isinstance(x, Literal) for x in xs):
            self.lifted[xs] = Var(type.with_shape((*type.shape, len(xs))))
            return self.lifted[xs]
        pieces = [self._piece(run) for run in runs]
        return pieces[0] if len(pieces) == 1 else concatenate(*pieces, axis=len(type.shape))

    def _piece(self, run: Run) -> Atom:
        if run.row is not None:
            return self._part(run.row, run.start, run.length)
        x = self.value(run.first)
        shape = (*x.shape, run.length)
        if isinstance(x, Literal):
            return Literal(x.value, x.type.with_shape(shape))
        if run.length == 1:
            return reshape(x, shape=shape)
        return broadcast(x, shape=shape, dims=tuple(range(x.ndim)))

    def _part(self, row: Row, start: int, length: int) -> Atom:
        """Some neighbours of a row."""
        x = self.renaming.atom(row.atom) if isinstance(row.atom, Var) else row.atom
        assert x is not None, "the row has not been made yet"
        if row.flat and x.ndim != 1:
            if (row, "flat") not in self._made:
                self._made[row, "flat"] = reshape(x, shape=(row.length,))
            x = self._made[row, "flat"]
        if length == row.length:
            return x
        outer = x.shape[:-1]
        return slice(
            x, start=(*[0] * len(outer), start), limit=(*outer, start + length),
            stride=(1,) * x.ndim,
        )  # fmt: skip

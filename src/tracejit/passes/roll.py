"""A straight line that repeats itself becomes a loop.

    %2 = sin(%0)      %3 = mul(%2, 0.1)               %1, ... = scan(%0, [0.1, 0.2, ...]) {
    %4 = sin(%3)      %5 = mul(%4, 0.2)      ->         %2 = sin(%0)
    %6 = sin(%5)      ...                               %3 = mul(%2, %1)

Rounds are found by what their equations are (`repeats`), and compared operand by operand
(`rounds`). Values handed from round to round are carries. What differs from round to round becomes
rows of an array: literals, values from outside, where slices start. What is read behind the loop is
the last carry, or a row of the stacked results. Rounds that hand on nothing, of operations that
work element by element, become those operations on arrays. Loops in loops: a round is rolled, too.

Needs: nothing; it is run when a function has been traced, ahead of all transforms, so that
derivatives are those of the loop. Leaves: the same values to the bit, about as many equations as
one round has. Does not: roll what is short, which runs faster as it stands; reorder anything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var, zero
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Pointwise
from tracejit.ir.types import INT64, Shape, array_type
from tracejit.ops import structure
from tracejit.ops.elementwise import add, mul
from tracejit.ops.indexing import dynamic_slice
from tracejit.passes.held import with_inputs
from tracejit.passes.repeats import Run, find_runs
from tracejit.passes.rounds import (
    Before,
    Inside,
    Loop,
    Numbers,
    Places,
    Rows,
    Same,
    Source,
    common,
)

#: A loop has so many rounds at least, and replaces so many equations.
ROUNDS, LEAST = 32, 1000
#: How often a period is multiplied where rounds of it alone are not alike.
MULTIPLES = 4
#: A concatenation of so many operands is worth a look for rows that lie side by side.
MANY = 32
#: Operations that move elements, each in the same way for a batch as for its members.
_MOVING = frozenset({structure.reshape, structure.broadcast, structure.permute, structure.reverse})


Captured = Mapping[Var, Any]


class Rolled(NamedTuple):
    """A jaxpr, and the values of its first inputs: of those that it had before some may be gone,
    arrays of numbers may have come."""

    jaxpr: Jaxpr
    captured: Captured


def roll(jaxpr: Jaxpr, captured: Captured = MappingProxyType({})) -> Rolled:
    """The jaxpr with its long repetitions as loops. captured: the values of its first inputs, in
    order; what is no array may be anything."""
    if len(jaxpr.equations) < LEAST:
        return Rolled(jaxpr, captured)
    places = Places(jaxpr)
    runs = find_runs(places.kinds, ROUNDS, LEAST)
    loops = [loop for run in runs for loop in _loops(jaxpr.equations, run, places)]
    return _Roller(jaxpr, places, loops, captured).result() if loops else Rolled(jaxpr, captured)


def _loops(equations: Sequence[Equation], run: Run, places: Places) -> list[Loop]:
    """The loops in a part that repeats, in order: the longest, and what is before and behind it."""
    best: Loop | None = None
    for multiple in range(1, MULTIPLES + 1):
        wider = Run(run.start, run.stop, run.period * multiple)
        if wider.rounds < ROUNDS or wider.length < LEAST:
            break
        loop = common(equations, wider, places, max(ROUNDS, -(-LEAST // wider.period)))
        if loop and (best is None or loop.stop - loop.start > 1.5 * (best.stop - best.start)):
            best = loop
        if best and 2 * (best.stop - best.start) > run.length:
            break
    if best is None:
        return []
    before, behind = Run(run.start, best.start, run.period), Run(best.stop, run.stop, run.period)
    return [*_loops(equations, before, places), best, *_loops(equations, behind, places)]


class _Stacked(NamedTuple):
    """Where a value lies: row `number` of `rows`."""

    rows: Atom
    number: int


class _Roller:
    """Builds the jaxpr, from the first equation to the last."""

    def __init__(
        self, jaxpr: Jaxpr, places: Places, loops: Sequence[Loop], captured: Captured
    ):
        self.jaxpr, self.places, self.loops, self.captured = jaxpr, places, loops, captured
        self.builder = Builder()
        self.constants: dict[Var, np.ndarray] = {}
        self.renamed: dict[Atom, Atom] = {}
        self.stacked: dict[Atom, _Stacked] = {}
        self.integers: dict[bytes, Atom] = {}
        self.sliced: dict[Any, Atom] = {}
        self.together: dict[tuple[Atom, ...], Atom] = {}
        self.wanted: list[dict[int, dict[int, Var]]] = [{} for _ in loops]
        self._note_wanted()

    def result(self) -> Rolled:
        at, equations = 0, self.jaxpr.equations
        with building(self.builder):
            for loop, wanted in zip(self.loops, self.wanted, strict=True):
                self._copy(equations[at : loop.start])
                _Round(self, loop, wanted).emit()
                at = loop.stop
            self._copy(equations[at:])
            outvars = [self.atom(y) for y in self.jaxpr.outvars]
        read: set[Atom] = {x for eqn in self.builder.equations for x in eqn.inputs}.union(outvars)
        captured = self.constants | {v: x for v, x in self.captured.items() if v in read}
        invars = (*captured, *self.jaxpr.invars[len(self.captured) :])
        return Rolled(self.builder.finish(invars, outvars), captured)

    # What is read outside of the loop that computes it.

    def _note_wanted(self) -> None:
        """For each loop: by number of the result, then by round, the variables read outside."""
        read: set[Atom] = {*self.jaxpr.outvars}
        at = 0
        for loop in self.loops:
            for eqn in self.jaxpr.equations[at : loop.start]:
                read.update(eqn.inputs)
            for row in loop.sources:
                for source in row:
                    read.update(_outside(source))
            at = loop.stop
        for eqn in self.jaxpr.equations[at:]:
            read.update(eqn.inputs)
        starts, width = [loop.start for loop in self.loops], self.places.width
        for x in read:
            place = -1 if isinstance(x, Literal) else self.places.of[x]
            number = bisect_right(starts, place // width) - 1
            if number < 0 or place // width >= self.loops[number].stop:
                continue
            loop = self.loops[number]
            index, slot = divmod(place - loop.start * width, loop.period * width)
            self.wanted[number].setdefault(slot, {})[index] = x  # type: ignore[assignment]

    # Values.

    def atom(self, x: Atom) -> Atom:
        """What stands for an atom of the jaxpr in the one that is built."""
        if isinstance(x, Literal):
            return x
        if x not in self.renamed and x in self.stacked:
            rows, index = self.stacked[x]
            with building(self.builder):
                row = _part(rows, index, index + 1)
                self.renamed[x] = structure.reshape(row, shape=x.shape)
        return self.renamed.get(x, x)

    def constant(self, values: np.ndarray) -> Var:
        """A variable for an array that is known now."""
        var = Var(array_type(values.dtype, values.shape))
        self.constants[var] = values
        return var

    def numbers(self, values: np.ndarray) -> Atom:
        """A row of numbers; integers at equal distances are computed."""
        key = values.dtype.char.encode() + values.tobytes()
        if key not in self.integers:
            step = _step(values)
            with building(self.builder):
                row = self.constant(values) if step is None else _count(values, step)
            self.integers[key] = row
        return self.integers[key]

    def rows(self, atoms: Sequence[Atom]) -> Atom:
        """Values of one type, stacked: parts of what is stacked already, and the others."""
        key = tuple(atoms)
        if key not in self.together:
            self.together[key] = self._together(atoms)
        return self.together[key]

    def _together(self, atoms: Sequence[Atom]) -> Atom:
        values: list[Any] = [self.captured.get(x) for x in atoms if isinstance(x, Var)]
        if len(values) == len(atoms) and all(isinstance(v, np.ndarray) for v in values):
            return self.constant(np.stack(values))
        with building(self.builder):
            parts = [self._side_by_side(piece) for piece in self._pieces(atoms)]
            return structure.concatenate(*parts, axis=0) if len(parts) > 1 else parts[0]

    def lines(self, x: Atom, axis: int, first: int, step: int, count: int, **cut: Any) -> Atom:
        """x cut at first, first + step, ... along an axis, which comes first."""
        key = x, axis, first, step, count, *cut.values()
        if key not in self.sliced:
            with building(self.builder):
                self.sliced[key] = _lines(x, axis, first, first + step * (count - 1), step, **cut)
        return self.sliced[key]

    def _side_by_side(self, piece: Sequence[Atom]) -> Atom:
        """The values of a piece, stacked."""
        first = self.stacked.get(piece[0])
        if first is None:
            return structure.reshape(self.atom(piece[0]), shape=(1, *piece[0].shape))
        return _part(first.rows, first.number, first.number + len(piece))

    def _pieces(self, atoms: Sequence[Atom]) -> list[list[Atom]]:
        """The atoms, in parts: neighbouring rows of one array, or others one by one."""
        pieces: list[list[Atom]] = []
        expected: _Stacked | None = None
        for x in atoms:
            found = self.stacked.get(x) if x.__class__ is Var else None
            if found is not None and found == expected:
                pieces[-1].append(x)
            else:
                pieces.append([x])
            expected = found and _Stacked(found.rows, found.number + 1)
        return pieces

    # Equations outside of loops.

    def _copy(self, equations: Sequence[Equation]) -> None:
        for eqn in equations:
            if eqn.primitive is structure.concatenate and len(eqn.inputs) >= MANY:
                self.renamed[eqn.outvars[0]] = self._joined(eqn)
                continue
            if eqn.primitive is structure.reshape and eqn.inputs[0] in self.stacked:
                self._reshaped(eqn)
                continue
            inputs = tuple([self.atom(x) for x in eqn.inputs])
            same = all(map(_is, inputs, eqn.inputs))
            self.builder.equations.append(eqn if same else with_inputs(eqn, inputs))

    def _reshaped(self, eqn: Equation) -> None:
        """A row in another shape is a row of the array in another shape."""
        (y,), (rows, index) = eqn.outvars, self.stacked[eqn.inputs[0]]
        key = rows, y.shape
        if key not in self.sliced:
            self.sliced[key] = structure.reshape(rows, shape=(rows.shape[0], *y.shape))
        self.stacked[y] = _Stacked(self.sliced[key], index)

    def _joined(self, eqn: Equation) -> Atom:
        """A concatenation, in which neighbouring rows of an array are one operand."""
        axis, parts = eqn.params["axis"], []
        for piece in self._pieces(eqn.inputs):
            if len(piece) == 1:
                parts.append(self.atom(piece[0]))
                continue
            shape = list(piece[0].shape)
            shape[axis] *= len(piece)
            rows = structure.move_axis(self.rows(piece), 0, axis)
            parts.append(structure.reshape(rows, shape=tuple(shape)))
        return structure.concatenate(*parts, axis=axis) if len(parts) > 1 else parts[0]


class _Round:
    """One loop on its way into the jaxpr: its body, and what goes in and out."""

    def __init__(self, roller: _Roller, loop: Loop, wanted: dict[int, dict[int, Var]]):
        self.roller, self.loop, self.wanted = roller, loop, wanted
        self.equations = roller.jaxpr.equations[loop.start : loop.start + loop.period]
        self.results: dict[int, Atom] = {}
        self.consts: dict[Atom, Var] = {}
        self.carries: dict[tuple[int, tuple[Atom, ...]], Var] = {}
        self.xs: dict[Atom, Var] = {}
        self.body = Builder()

    def emit(self) -> None:
        """Append the loop to the jaxpr, and say where its results are."""
        with building(self.body):
            for at, eqn in enumerate(self.equations):
                self._step(at, eqn)
        last, stacks = self._exits()
        if self.carries or not all(map(_is_map, self.body.equations)):
            outs = self._scan(stacks)
        else:
            outs = self._map(stacks)
        for key, var in last.items():
            self.roller.renamed[var] = outs[[*self.carries].index(key)]
        for slot, rows in zip(stacks, outs[len(self.carries) :], strict=True):
            for index, var in self.wanted[slot].items():
                self.roller.stacked[var] = _Stacked(rows, index)

    # The body.

    def _step(self, at: int, eqn: Equation) -> None:
        """One equation of the body."""
        starts = self.loop.starts.get(at)
        if starts is not None:
            outs: tuple[Atom, ...] = (self._window(eqn, self.loop.sources[at][0], starts),)
        else:
            inputs = tuple([self._operand(source) for source in self.loop.sources[at]])
            outs = tuple([Var(v.type) for v in eqn.outvars])
            made = Equation(eqn.primitive, inputs, eqn.params, outs, eqn.provenance)  # type: ignore[arg-type]
            self.body.equations.append(made)
        first = at * self.roller.places.width
        self.results.update(enumerate(outs, first))

    def _operand(self, source: Source) -> Atom:
        match source:
            case Inside(slot):
                return self.results[slot]
            case Before(slot, _, first):
                return self._carry(slot, tuple([self.roller.atom(x) for x in first]))
            case Same(atom):
                return self._constant(self.roller.atom(atom))
            case Numbers(values, type):
                row = self._row(self.roller.numbers(values))
                return structure.broadcast(row, shape=type.shape, dims=()) if type.shape else row
            case Rows(atoms):
                return self._row(self.roller.rows(atoms))

    def _constant(self, x: Atom) -> Atom:
        return x if isinstance(x, Literal) else self.consts.setdefault(x, Var(x.type))

    def _row(self, rows: Atom) -> Var:
        row = array_type(rows.dtype, rows.shape[1:])
        return self.xs.setdefault(rows, Var(row))

    def _carry(self, slot: int, first: tuple[Atom, ...]) -> Var:
        """The result `slot` of len(first) rounds ago: handed on from carry to carry."""
        key = slot, first
        if key not in self.carries:
            self.carries[key] = Var(first[0].type)
            if len(first) > 1:
                self._carry(slot, first[1:])
        return self.carries[key]

    def _window(self, eqn: Equation, source: Source, starts: np.ndarray) -> Atom:
        """A slice whose start moves: a row of what is sliced once, or a dynamic slice."""
        p, shape = eqn.params, eqn.outvars[0].shape
        axes = np.flatnonzero((starts != starts[0]).any(0)).tolist()
        if isinstance(source, Same) and len(axes) == 1 and shape[axes[0]] == 1:
            (axis,) = axes
            step = _step(starts[:, axis])
            if step:
                x = self.roller.atom(source.atom)
                first, count = int(starts[0, axis]), self.loop.rounds
                rows = self.roller.lines(x, axis, first, step, count, **p)
                return structure.reshape(self._row(rows), shape=shape)
        places = [
            self._row(self.roller.numbers(column)) if axis in axes
            else Literal(int(column[0]), array_type(INT64))
            for axis, column in enumerate(starts.astype(np.int64).T)
        ]  # fmt: skip
        sizes = tuple(b - a for a, b in zip(p["start"], p["limit"], strict=True))
        window = dynamic_slice(self._operand(source), *places, sizes=sizes)
        if all(s == 1 for s in p["stride"]):
            return window
        whole = {"start": (0,) * len(sizes), "limit": sizes, "stride": p["stride"]}
        return structure.slice(window, **whole)

    # The whole.

    def _exits(self) -> tuple[dict[Any, Var], list[int]]:
        """What is read of the last rounds' carries, and the results that are stacked."""
        last: dict[Any, Var] = {}
        stacks = []
        for slot, by_round in self.wanted.items():
            ends = {len(key[1]): key for key in self.carries if key[0] == slot}
            if not ends and [*by_round] == [self.loop.rounds - 1]:
                nothing = zero(self.results[slot].type)
                self._carry(slot, (nothing,))
                ends = {1: (slot, (nothing,))}
            if all(self.loop.rounds - index in ends for index in by_round):
                last.update((ends[self.loop.rounds - i], var) for i, var in by_round.items())
            else:
                stacks.append(slot)
        return last, stacks

    def _scan(self, stacks: list[int]) -> Sequence[Atom]:
        following = [
            self.results[slot] if len(first) == 1 else self.carries[slot, first[1:]]
            for slot, first in self.carries
        ]
        invars = (*self.consts.values(), *self.carries.values(), *self.xs.values())
        outvars = (*following, *[self.results[slot] for slot in stacks])
        body, constants = roll(Jaxpr(invars, tuple(self.body.equations), outvars))
        consts = [*[self.roller.constant(x) for x in constants.values()], *self.consts]
        return scan.bind(
            *consts, *[first[0] for _, first in self.carries], *self.xs, jaxpr=body,
            length=self.loop.rounds, reverse=False, num_consts=len(consts),
            num_carry=len(self.carries),
        )  # fmt: skip

    def _map(self, stacks: list[int]) -> Sequence[Atom]:
        """The rounds all at once: their operations, on arrays."""
        size = self.loop.rounds
        single: dict[Atom, Atom] = {var: x for x, var in self.consts.items()}
        many: dict[Atom, Atom] = {row: rows for rows, row in self.xs.items()}
        for eqn in self.body.equations:
            batched = [x in many for x in eqn.inputs]
            inputs = [many.get(x) or single.get(x, x) for x in eqn.inputs]
            rule = eqn.primitive.batch
            if not any(batched):
                outs = eqn.primitive.bind(*inputs, **eqn.params)
                single.update(zip(eqn.outvars, outs, strict=True))
            elif isinstance(rule, Pointwise):
                operands = structure.batch_all(size, inputs, batched)
                outs = eqn.primitive.bind(*operands, **eqn.params)
                many.update(zip(eqn.outvars, outs, strict=True))
            else:
                batch = rule(size, inputs, batched, **eqn.params)
                many.update(zip(eqn.outvars, batch, strict=True))
        results = [self.results[slot] for slot in stacks]
        return [many.get(y) or structure.replicate(single[y], size) for y in results]


def _is_map(eqn: Equation) -> bool:
    """Whether an operation on arrays computes the same, to the bit, as it does row by row."""
    return eqn.primitive.is_pointwise or eqn.primitive in _MOVING


def _outside(source: Source) -> Sequence[Atom]:
    match source:
        case Same(atom):
            return (atom,)
        case Before(first=atoms) | Rows(atoms):
            return atoms
    return ()


def _is(x: object, y: object) -> bool:
    return x is y


def _step(values: np.ndarray) -> int | None:
    """The distance of integers that are equally far apart, else None."""
    steps = np.diff(values)
    return int(steps[0]) if values.dtype.kind == "i" and (steps == steps[0]).all() else None


def _count(values: np.ndarray, step: int) -> Atom:
    """Equally distant integers, computed."""
    type = array_type(values.dtype, values.shape)
    counting = structure.iota(dtype=values.dtype, shape=values.shape, axis=0)
    scaled = counting if step == 1 else mul(counting, Literal(step, type))
    return add(scaled, Literal(int(values[0]), type)) if values[0] else scaled


def _part(rows: Atom, start: int, stop: int) -> Atom:
    """rows[start:stop]."""
    if (start, stop) == (0, rows.shape[0]):
        return rows
    zeros, ones = (0,) * (rows.ndim - 1), (1,) * rows.ndim
    limit = (stop, *rows.shape[1:])
    return structure.slice(rows, start=(start, *zeros), limit=limit, stride=ones)


def _lines(
    x: Atom, axis: int, first: int, last: int, step: int, start: Shape, limit: Shape, stride: Shape
) -> Atom:
    """x cut as start, limit and stride say, but from first to last along an axis."""
    low, high, steps = list(start), list(limit), list(stride)
    low[axis], high[axis], steps[axis] = min(first, last), max(first, last) + 1, abs(step)
    lines = structure.slice(x, start=tuple(low), limit=tuple(high), stride=tuple(steps))
    if step < 0:
        lines = structure.reverse(lines, axes=(axis,))
    return structure.move_axis(lines, axis, 0)

"""What the rounds of a repeating part have in common, and in what they differ.

A round is `period` equations. An operand at one place of it is, round after round, one of these:

    Inside     the result of an equation of the same round
    Before     the same, some rounds back; in the first rounds something from outside
    Same       one value from outside
    Numbers    a literal, each round another
    Rows       a value from outside, each round another

An equation's parameters are equal in all rounds, but for where a slice starts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import ArrayType
from tracejit.ops.structure import slice as slice_primitive
from tracejit.passes.repeats import Run, stretches

#: A value may come from so many rounds back.
MOST_BACK = 8
#: The place of what is not computed: behind all others.
NOWHERE = 1 << 62

#: The values of an operand in rounds a to b.
Atoms = Callable[[int, int], list[Atom]]


@dataclass(frozen=True, slots=True)
class Inside:
    """Result number `slot` of the same round."""

    slot: int


@dataclass(frozen=True, slots=True)
class Before:
    """Result number `slot` of `back` rounds ago; first: what stands for it in the first rounds."""

    slot: int
    back: int
    first: tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Same:
    """One value from outside, or one literal."""

    atom: Atom


@dataclass(frozen=True, slots=True)
class Numbers:
    """Literals of one type."""

    values: np.ndarray
    type: ArrayType


@dataclass(frozen=True, slots=True)
class Rows:
    """Values from outside, of one type."""

    atoms: list[Var]


Source = Inside | Before | Same | Numbers | Rows


@dataclass(frozen=True, slots=True)
class Loop:
    """Equations [start, start + period * rounds), as rounds.

    sources: for each equation of a round, where its operands come from. starts: for slices that
    move, by their number in the round, the start in each round.
    """

    start: int
    period: int
    rounds: int
    sources: list[list[Source]]
    starts: dict[int, np.ndarray] = field(default_factory=dict)

    @property
    def stop(self) -> int:
        return self.start + self.period * self.rounds


class Places:
    """The equations of a jaxpr as numbers, for arithmetic on all of them at once.

    of: for each variable where it is computed, result k of equation i at i * width + k; negative
    for inputs. kinds: equal for equations of one primitive and equal types of results. operands:
    those of all equations, one behind the other; those of equation i begin at first[i]. codes: for
    each of them its place, NOWHERE for a literal.
    """

    def __init__(self, jaxpr: Jaxpr):
        equations = jaxpr.equations
        inputs, results = ([*map(attrgetter(name), equations)] for name in ("inputs", "outvars"))
        self.width = max(map(len, results), default=1) or 1
        self.of: dict[Any, int] = {v: -1 - i for i, v in enumerate(jaxpr.invars)}
        firsts = range(0, len(results) * self.width, self.width)
        for first, variables in zip(firsts, results, strict=True):
            for k, v in enumerate(variables):
                self.of[v] = first + k
        of = self.of
        arity = np.fromiter(map(len, inputs), np.int64, len(inputs))
        self.first = np.concatenate([[0], np.cumsum(arity)])
        self.operands: list[Atom] = [*chain.from_iterable(inputs)]
        self.codes = np.array(
            [of[x] if x.__class__ is Var else NOWHERE for x in self.operands], np.int64
        )
        self.kinds = arity
        for ids in (map(id, map(attrgetter("primitive"), equations)), *self._types(results)):
            values = np.fromiter(ids, np.int64, len(equations))
            _, numbers = np.unique(values, return_inverse=True)
            self.kinds = self.kinds * (numbers.max() + 1) + numbers

    def _types(self, results: Sequence[tuple[Var, ...]]) -> Iterator[Iterable[int]]:
        """Equal numbers for equal types: of first results, of second ones, ..."""
        for k in range(self.width):
            yield [id(vs[k].type) if k < len(vs) else 0 for vs in results]


class _Column(NamedTuple):
    """regular: in which rounds an operand is what it is in the middle one. source: of some."""

    regular: np.ndarray
    source: Callable[[int, int], Source]


def best_phase(equations: Sequence[Equation], run: Run, places: Places) -> int:
    """Where in the period rounds begin so that they hand on the fewest bytes."""
    p, width = run.period, places.width
    middle = run.start + (run.rounds // 2 - 1) * p
    last: dict[Atom, int] = {}
    for at in range(middle, min(middle + 2 * p, run.stop)):
        for x in equations[at].inputs:
            if x.__class__ is Var and middle * width <= places.of[x] < (middle + p) * width:
                last[x] = at
    cost = np.zeros(2 * p + 1)
    for x, use in last.items():
        made = places.of[x] // width
        cost[made - middle + 1] += 8 + x.type.nbytes
        cost[use - middle + 1] -= 8 + x.type.nbytes
    crossing = np.cumsum(cost)[: 2 * p].reshape(2, p).sum(0)
    return int(np.argmin(crossing))


def common(
    equations: Sequence[Equation], run: Run, places: Places, rounds: int
) -> Loop | None:
    """The longest part of a run in which the rounds are alike; None if it is under `rounds`."""
    p = run.period
    start = run.start + best_phase(equations, run, places)
    count = (run.stop - start) // p
    if count < rounds:
        return None
    columns = _columns(places, start, p, count)
    moving: dict[int, np.ndarray] = {}
    regular = np.ones(count, bool)
    for at in range(p):
        if equations[start + at].params:
            regular &= _same_params(equations[start + at : start + count * p : p], at, moving)
    for column in columns:
        regular &= column.regular
    parts = stretches(regular)
    first, last = max(parts, key=lambda part: part[1] - part[0], default=(0, 0))
    if last - first < rounds:
        return None
    supply = iter(columns)
    sources = [
        [next(supply).source(first, last) for _ in equations[at].inputs]
        for at in range(start, start + p)
    ]
    starts = {
        at: found[first:last]
        for at, found in moving.items()
        if (found[first:last] != found[first]).any()
    }
    return Loop(start + first * p, p, last - first, sources, starts)


def _same_params(
    alike: Sequence[Equation], at: int, moving: dict[int, np.ndarray]
) -> np.ndarray:
    """In which rounds an equation's parameters are those of the middle one."""
    here = len(alike) // 2
    params = alike[here].params
    if alike[here].primitive is slice_primitive:
        starts = np.array([e.params["start"] for e in alike])
        sizes = np.array([e.params["limit"] for e in alike]) - starts
        strides = np.array([e.params["stride"] for e in alike])
        moving[at] = starts
        return ((sizes == sizes[here]) & (strides == strides[here])).all(1)
    return np.array([e.params == params for e in alike])


def _columns(places: Places, start: int, period: int, count: int) -> list[_Column]:
    """For each operand of a round what it is, as it looks in the middle round."""
    first, operands = int(places.first[start]), places.operands
    step = int(places.first[start + period]) - first
    codes = places.codes[first : first + step * count].reshape(count, step)
    base = (start + period * np.arange(count)) * places.width
    return [
        _column(lambda a, b, i=i: operands[first + i + a * step : first + i + b * step : step],  # type: ignore[misc]
                codes[:, i], base, period * places.width)
        for i in range(step)
    ]  # fmt: skip


def _column(atoms: Atoms, found: np.ndarray, base: np.ndarray, step: int) -> _Column:
    """What an operand is. atoms: its values in rounds a to b; found: where they are computed;
    base: where each round's first result is, `step` apart."""
    count = len(found)
    here = count // 2
    if found[here] == NOWHERE:
        regular = (found == NOWHERE) & _typed(atoms(0, count))
        return _Column(regular, lambda a, b: _literals(atoms(a, b)))
    relative = found - base
    if relative[here] == relative[here + 1] and found[here] >= base[0]:
        return _from_rounds(atoms, found - base[0], relative, step)
    if found[here] == found[here + 1]:
        return _Column(found == found[here], lambda a, b: Same(atoms(here, here + 1)[0]))
    outside = (found < base[0]) & _typed(atoms(0, count))
    return _Column(outside, lambda a, b: Rows(atoms(a, b)))  # type: ignore[arg-type]


def _from_rounds(
    atoms: Atoms, found: np.ndarray, relative: np.ndarray, step: int
) -> _Column:
    """An operand that comes from the same round, or from one a fixed number of rounds back."""
    distance = int(relative[len(found) // 2])
    regular, back, slot = relative == distance, -(distance // step), distance % step
    if back == 0:
        return _Column(regular, lambda a, b: Inside(slot))
    if back > MOST_BACK:
        return _Column(np.zeros_like(regular), lambda a, b: Inside(slot))
    typed = _typed(atoms(0, 2 * back))
    regular[:back] |= ((found[:back] < 0) | (found[:back] == NOWHERE)) & typed[:back]
    return _Column(regular, lambda a, b: Before(slot, back, tuple(atoms(a, a + back))))


def _typed(xs: Sequence[Atom]) -> np.ndarray:
    """Which of the operands have the type of the middle one."""
    type = xs[len(xs) // 2].type
    return np.array([x.type is type or x.type == type for x in xs])


def _literals(xs: Sequence[Any]) -> Source:
    type = xs[0].type
    values = np.array([x.value for x in xs], type.dtype)
    if values.tobytes() == values[:1].tobytes() * len(values):
        return Same(xs[0])
    return Numbers(values, type)

"""The paths through a loop's body, put together: shared beginnings once, then `cond` by `cond`.

    run 1: a; c = ...; fork c -> yes; b; d          a; c = ...
    run 2: a; c = ...; fork c -> no;  e; d    ->    x = cond(c, b, e)
                                                    d(x)

Every run has traced the whole of its path, on variables of its own; equal beginnings are told by
their places. What two branches do alike at their ends is done once behind the `cond`. A `cond`
between values that are there already, or a few cheap operations away, is a `select`.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field

from tracejit.control.cond import cond as cond_primitive
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import INT32
from tracejit.ir.walk import inline
from tracejit.ops.elementwise import convert, select
from tracejit.transforms.linearize import free_variables

Equations = list[Equation]

#: What is cheaper than a branch, and never makes an inf or nan of what a branch avoids.
_CHEAP = frozenset(
    "add sub neg max min abs eq ne lt le gt ge and or not select convert sign".split()
)
_FEW = 6


@dataclass(frozen=True, slots=True)
class Fork:
    """A truth that was asked for ahead of equation number `at`, and what the answer was. breaks:
    the other answer is `break`, and known."""

    at: int
    pred: Atom
    outcome: bool
    breaks: bool = False


@dataclass(eq=False, slots=True)
class Run:
    """One path: its inputs by name, its equations and forks, and its results."""

    inputs: dict[Hashable, Var]
    equations: Equations
    forks: list[Fork]
    results: dict[Hashable, Atom]
    names: dict[Var, Atom] = field(default_factory=dict)

    def named(self, x: Atom) -> Atom:
        """The atom of the common program for one of this run."""
        return x if isinstance(x, Literal) else self.names.get(x, x)  # type: ignore[call-overload]

    def outcomes(self) -> tuple[bool, ...]:
        return tuple(f.outcome for f in self.forks)


class Wandering(Exception):
    """Two runs differ where they should not: the body does not do the same when run again."""


def assemble(
    runs: Sequence[Run], wanted: Sequence[Hashable]
) -> tuple[dict[Hashable, Var], Equations, list[Atom]]:
    """The inputs by name, the equations and the results of all paths together, in that order.

    Every run has all that is wanted among its results. Raises Wandering.
    """
    inputs: dict[Hashable, Var] = {}
    for run in runs:
        for name, var in run.inputs.items():
            run.names[var] = inputs.setdefault(name, var)
    with building() as builder:
        results = _follow(list(runs), 0, 0, builder, wanted)
    return inputs, builder.equations, results


def _follow(
    runs: list[Run], start: int, depth: int, builder: Builder, wanted: Sequence[Hashable]
) -> list[Atom]:
    """Append what these runs do from equation `start` on, where they have `depth` forks behind."""
    first = runs[0]
    if len(first.forks) == depth:
        if len(runs) > 1:
            raise Wandering
        _copy(first, first.equations[start:], builder)
        return [first.named(first.results[name]) for name in wanted]
    fork = first.forks[depth]
    shared = first.equations[start : fork.at]
    _copy(first, shared, builder)
    for run in runs[1:]:
        if len(run.forks) <= depth or run.forks[depth].at != fork.at:
            raise Wandering
        _identify(run, run.equations[start : fork.at], first, shared)
    sides = [[r for r in runs if r.forks[depth].outcome is way] for way in (False, True)]
    parts = []
    for side in sides:
        with building() as inner:
            results = _follow(side, fork.at, depth + 1, inner, wanted)
        parts.append((inner.equations, results))
    return join_branches(first.named(fork.pred), parts[0], parts[1], builder)


def _copy(run: Run, equations: Equations, builder: Builder) -> None:
    for eqn in equations:
        inputs = tuple([run.named(x) for x in eqn.inputs])
        builder.equations.append(eqn._replace(inputs=inputs))


def _identify(run: Run, equations: Equations, first: Run, shared: Equations) -> None:
    """Give the variables of one run the names that another has for the same equations."""
    if len(equations) != len(shared):
        raise Wandering
    for mine, theirs in zip(equations, shared, strict=True):
        if mine.primitive is not theirs.primitive:
            raise Wandering
        for v, w in zip(mine.outvars, theirs.outvars, strict=True):
            run.names[v] = first.named(w)


Part = tuple[Equations, list[Atom]]


def join_branches(pred: Atom, no: Part, yes: Part, builder: Builder) -> list[Atom]:
    """Append the choice between two lists of equations; gives the chosen results."""
    count = _common_end(no, yes)
    end = [*zip(no[0][len(no[0]) - count :], yes[0][len(yes[0]) - count :], strict=True)]
    heads = no[0][: len(no[0]) - count], yes[0][: len(yes[0]) - count]
    made = {v for eqn, _ in end for v in eqn.outvars}
    takes = [pair for a, b in end for pair in zip(a.inputs, b.inputs, strict=True)]
    takes += zip(no[1], yes[1], strict=True)
    # From here on a pair of atoms, one of each branch, has one name.
    name: dict[tuple[Atom, Atom], Atom] = {(x, y): x for x, y in takes if _one(x, y) or x in made}
    pairs = [*dict.fromkeys(pair for pair in takes if pair not in name)]
    name.update(zip(pairs, _choose(pred, heads, pairs, builder), strict=True))
    for a, b in end:
        inputs = tuple([name[pair] for pair in zip(a.inputs, b.inputs, strict=True)])
        builder.equations.append(a._replace(inputs=inputs))
    return [name[pair] for pair in zip(no[1], yes[1], strict=True)]


def _one(x: Atom, y: Atom) -> bool:
    """Whether both branches take the same value."""
    if isinstance(x, Literal) and isinstance(y, Literal):
        return x == y
    return x is y


def _common_end(no: Part, yes: Part) -> int:
    """How many equations at the end of both are the same, on values made ahead of all of them or
    on each other's."""
    count = 0
    for a, b in zip(reversed(no[0]), reversed(yes[0]), strict=False):
        if not _alike(a, b):
            break
        count += 1
    while count:
        ends = no[0][len(no[0]) - count :], yes[0][len(yes[0]) - count :]
        wrong = _last_crossing(*ends, [*zip(no[1], yes[1], strict=True)])
        if wrong is None:
            break
        count -= wrong + 1
    return count


def _last_crossing(
    no: Equations, yes: Equations, results: list[tuple[Atom, Atom]]
) -> int | None:
    """The last equation of the end that one branch reads where the other reads something else."""
    mine = {v: at for at, eqn in enumerate(no) for v in eqn.outvars}
    theirs = {v: at for at, eqn in enumerate(yes) for v in eqn.outvars}
    ends = [*zip(no, yes, strict=True)]
    twins = {v: w for a, b in ends for v, w in zip(a.outvars, b.outvars, strict=True)}
    takes = [pair for a, b in ends for pair in zip(a.inputs, b.inputs, strict=True)]
    wrong = [
        max(mine.get(x, -1), theirs.get(y, -1))  # type: ignore[call-overload]
        for x, y in takes + results
        if (x in mine or y in theirs) and twins.get(x) is not y  # type: ignore[call-overload]
    ]
    return max(wrong, default=None)


def _alike(a: Equation, b: Equation) -> bool:
    """Whether two equations do the same to operands of the same types; effects are one each."""
    return (
        a.primitive is b.primitive
        and not is_effectful(a)
        and [x.type for x in a.inputs] == [x.type for x in b.inputs]
        and a.params.keys() == b.params.keys()
        and all(_equal(value, b.params[key]) for key, value in a.params.items())
    )


def _equal(x: object, y: object) -> bool:
    if isinstance(x, Jaxpr) and isinstance(y, Jaxpr):
        return x is y or (len(x.equations) == len(y.equations) and str(x) == str(y))
    if isinstance(x, tuple) and isinstance(y, tuple):
        return len(x) == len(y) and all(map(_equal, x, y))
    return bool(x == y)


def _choose(
    pred: Atom, heads: tuple[Equations, Equations], pairs: list[tuple[Atom, Atom]], builder: Builder
) -> list[Atom]:
    """What the branch that is taken has for each pair: the no side's atom, or the yes side's."""
    if not pairs and not any(is_effectful(eqn) for head in heads for eqn in head):
        return []
    no, yes = [x for x, _ in pairs], [y for _, y in pairs]
    cheap = all(x.shape == () for x in no) and all(map(_is_cheap, (*heads[0], *heads[1])))
    with building(builder):
        if cheap and len(heads[0]) + len(heads[1]) <= _FEW:
            builder.equations += heads[0] + heads[1]
            return [select(pred, y, x) for x, y in pairs]
        bodies = [_closed(head, outs) for head, outs in zip(heads, (no, yes), strict=True)]
        free = [*dict.fromkeys(v for _, needs in bodies for v in needs)]
        branches = []
        for jaxpr, needs in bodies:
            with building() as inner:
                own = {v: Var(v.type) for v in free}
                outs = inline(jaxpr, [own[v] for v in needs])
                branches.append(inner.finish([own[v] for v in free], outs))
        index = convert(pred, dtype=INT32)
        return list(cond_primitive.bind(index, *free, branches=tuple(branches)))


def _is_cheap(eqn: Equation) -> bool:
    return eqn.primitive.name in _CHEAP and all(v.shape == () for v in eqn.outvars)


def _closed(equations: Equations, outs: list[Atom]) -> tuple[Jaxpr, list[Var]]:
    """A branch as a jaxpr, and what it takes from outside."""
    free = free_variables(equations, outs, {v for eqn in equations for v in eqn.outvars})
    return Jaxpr(tuple(free), tuple(equations), tuple(outs)), free

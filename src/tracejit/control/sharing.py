"""Arrays that go by several names, in loops that are traced once.

A carry is a value, and a variable of NumPy's is an array that others may know, too:

    for i in range(n):             the array that was x is y in the next round, so what is written
        x, y = y, x       ->       belongs, at the end, to x and y as they were in turn
        y[0] += 1

    last = x                       last is not a copy: what is written to x is seen through it,
    for i in range(n):    ->       which a carry would not see
        x[i] += last[0]
        last = x[::-1]

Where arrays that are carried are written to, they may change places, and that is all: then the
arrays get the values that are theirs. How often they have is known, or they are nobody else's, and
the names get arrays of their own. Everything else has to be unrolled.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation
from tracejit.trace.places import Path
from tracejit.trace.tracer import Tracer
from tracejit.trace.view import View, root_of

#: Where the array goes that a place had: the place that has it at the end of a round.
Moves = dict[Path, Path]


def is_written(entry: Tracer, var: Var) -> bool:
    """Whether a run has written into an array that it found, with this value, in a place."""
    return entry.ndim > 0 and entry.atom is not var


def moves_of(
    entries: Mapping[Path, tuple[Tracer, Var]], leaves: Mapping[Path, Any],
    before: Mapping[Path, Any], captured: Sequence[Any],
) -> Moves | None:  # fmt: skip
    """How the arrays that a run has carried change places; None if others know them.

    entries: what the run found in its places, and the variables that were their values. leaves:
    what it left there. captured: what it has used besides.
    """
    owners = {id(x): path for path, (x, _) in entries.items() if x.ndim}
    moves: Moves = {}
    for path, (x, var) in entries.items():
        goes = owners.get(id(leaves.get(path)))
        if goes is not None:
            moves[goes] = path
        elif is_written(x, var) or (x.ndim and isinstance(leaves.get(path), View)):
            return None
    written = {path for path, (x, var) in entries.items() if is_written(x, var)}
    if {*moves} != {*moves.values()} or not written <= {*moves}:
        return None
    arrays = {id(before[path]) for path in moves}
    others = [x for path, x in before.items() if path not in moves and isinstance(x, Tracer)]
    known = {id(root_of(x)) for x in (*others, *captured)}
    plain = all(isinstance(before[p], Tracer) and not isinstance(before[p], View) for p in moves)
    return moves if plain and len(arrays) == len(moves) and not known & arrays else None


def are_alone(
    entries: Mapping[Path, tuple[Tracer, Var]], leaves: Mapping[Path, Any],
    before: Mapping[Path, Any], known: Sequence[Any], arguments: Collection[int],
) -> bool:  # fmt: skip
    """Whether all arrays that a run has written to, or put in the place of others, are known by
    one name each, and by nobody else: then it is all the same which array is where.

    known: the arrays that the run has used besides. arguments: the ids of those that callers see.
    The rest is as in `moves_of`.
    """
    owners = {id(x): path for path, (x, _) in entries.items() if x.ndim}
    moving: set[Path] = set()
    for path, (x, var) in entries.items():
        goes = owners.get(id(leaves.get(path)), path)
        if is_written(x, var) or goes != path:
            moving |= {path, goes}
    others = [x for path, x in before.items() if path not in moving and isinstance(x, Tracer)]
    used = {*arguments, *(id(root_of(x)) for x in (*others, *known))}
    for places in (before, leaves):
        arrays = [places[p] for p in moving if p in places]
        if not all(isinstance(x, Tracer) and not isinstance(x, View) for x in arrays):
            return False
        held = [id(root_of(x)) for x in places.values() if isinstance(x, Tracer) and x.ndim]
        if any(id(x) in used or held.count(id(x)) > 1 for x in arrays):
            return False
    return True


def sees_late(
    entries: Mapping[Path, tuple[Tracer, Var]], leaves: Mapping[Path, Any], written: set[int],
    equations: Sequence[Equation],
) -> bool:  # fmt: skip
    """Whether a round reads what is, since the round before, a name of an array that is
    written to. written: the ids of these arrays. The rest is as in `moves_of`."""
    used = {x for eqn in equations for x in eqn.inputs if isinstance(x, Var)}
    read = [leaves.get(path) for path, (x, var) in entries.items() if x.ndim and var in used]
    return any(isinstance(x, Tracer) and id(root_of(x)) in written for x in read)


def moved(moves: Moves, rounds: int) -> Moves:
    """Of each place, where the array that is there after so many rounds was at first."""
    result: Moves = {}
    for path in moves:
        cycle = [path]
        while moves[cycle[-1]] != path:
            cycle.append(moves[cycle[-1]])
        result[path] = cycle[-rounds % len(cycle)]
    return result

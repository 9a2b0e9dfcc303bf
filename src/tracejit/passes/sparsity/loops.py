"""Sets through operations that hold jaxprs: calls, branches, loops.

A loop of known length is run round by round, if that is little work: then the counters of its
rounds are numbers, and `x[i]` is one place. One that only adds up has all rounds at once, however
many (sums.py). Otherwise the carry's sets grow until a round changes nothing, and hold for all
rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.control.bodies import divide
from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import BITS, TAPE
from tracejit.ir.walk import held_jaxprs
from tracejit.passes.sparsity.rules import Fact, Maybe, Run, everything
from tracejit.passes.sparsity.sets import Places, Sets, distinct
from tracejit.passes.sparsity.sums import Widen, add_up, take_apart

#: Round by round is done up to so many equations, an equation counting more with its elements: at
#: once if it takes no time, and where nothing else is exact if it takes seconds. ELEMENTS of them
#: cost as much as the equation itself.
LITTLE, MUCH, ELEMENTS = 2_000, 100_000, 1000
#: After so many rounds of growing a carry depends on all that the loop reads.
PATIENCE = 8


def called(
    sets: Sets, run: Run, eqn: Equation, ids: list[Maybe], known: list[Any]
) -> Sequence[Maybe]:
    """The body on the operands; for an operation that holds something else, everything."""
    bodies = [body for _, body in held_jaxprs(eqn)]
    types = tuple(x.type for x in eqn.inputs), tuple(v.type for v in eqn.outvars)
    if len(bodies) == 1 and (bodies[0].in_types, bodies[0].out_types) == types:
        return run(bodies[0], ids, known)[0]
    return everything(sets, eqn, ids, known)


def branched(
    sets: Sets, run: Run, eqn: Equation, ids: list[Maybe], known: list[Any]
) -> Sequence[Maybe]:
    """cond: what any branch gives, or the one that is known to be taken."""
    total: list[Maybe] = [None] * len(eqn.outvars)
    for branch in taken(eqn, known):
        outs, _ = run(branch, ids[1:], known[1:])
        total = [sets.union(x, y) for x, y in zip(total, outs, strict=True)]
    return total


def taken(eqn: Equation, known: Sequence[Fact]) -> tuple[Jaxpr, ...]:
    """The branches of `cond` that may be taken."""
    branches = eqn.params["branches"]
    if known[0] is None:
        return branches
    at = int(np.clip(known[0], 0, len(branches) - 1))
    return branches[at : at + 1]


def scanned(
    sets: Sets, run: Run, eqn: Equation, ids: list[Maybe], known: list[Any], widen: Widen
) -> Sequence[Maybe]:
    """scan: round by round, as a sum, or for all rounds alike."""
    jaxpr, length = eqn.params["jaxpr"], eqn.params["length"]
    if length is None:
        return _all_rounds(sets, run, eqn, ids, known)
    work = length * _work(jaxpr)
    if work > LITTLE:
        dependent = {v for v, x in zip(jaxpr.invars, ids, strict=True) if x is not None}
        counts = eqn.params["num_consts"], eqn.params["num_carry"]
        sums = take_apart(jaxpr, dependent, *counts)
        if sums is not None:
            return add_up(sets, widen, run, sums, eqn, ids, known)
    if work <= MUCH:
        return by_rounds(run, eqn, ids, known)[0]
    return _all_rounds(sets, run, eqn, ids, known)


def is_short(eqn: Equation) -> bool:
    """Whether a scan may be run round by round."""
    length = eqn.params["length"]
    return length is not None and length * _work(eqn.params["jaxpr"]) <= MUCH


def _work(jaxpr: Jaxpr) -> float:
    """About the cost of one run, in equations. Loops that only add up cost by their elements."""
    total = 0.0
    for eqn in jaxpr.equations:
        total += 1 + sum(v.type.size for v in eqn.outvars) / ELEMENTS
        rounds = eqn.params.get("length", 1) or 1
        for _, body in held_jaxprs(eqn):
            inner = rounds * _work(body)
            total += inner / ELEMENTS + LITTLE / 100 if inner > LITTLE and _sums(eqn) else inner
    return total


def _sums(eqn: Equation) -> bool:
    """Whether a loop only adds up, whatever of its inputs depends on something."""
    if eqn.primitive.name != "scan" or eqn.params["length"] is None:
        return False
    jaxpr, counts = eqn.params["jaxpr"], (eqn.params["num_consts"], eqn.params["num_carry"])
    floats = {v for v in jaxpr.invars if v.type.is_inexact}
    return take_apart(jaxpr, floats, *counts) is not None


def by_rounds(
    run: Run, eqn: Equation, ids: Sequence[Maybe], known: Sequence[Fact]
) -> tuple[list[Maybe], list[Fact]]:
    """The sets of a scan's results and the facts about them, one round after the other."""
    jaxpr, length = eqn.params["jaxpr"], eqn.params["length"]
    counts = eqn.params["num_consts"], eqn.params["num_carry"]
    (consts, carry, xs), (k_consts, k_carry, k_xs) = divide(ids, *counts), divide(known, *counts)
    rows: list[Sequence[Maybe]] = [()] * length
    k_rows: list[Sequence[Fact]] = [()] * length
    for i in reversed(range(length)) if eqn.params["reverse"] else range(length):
        outs, k_outs = run(
            jaxpr, [*consts, *carry, *_row(xs, i)], [*k_consts, *k_carry, *_row(k_xs, i)]
        )
        carry, rows[i] = divide(outs, counts[1])
        k_carry, k_rows[i] = divide(k_outs, counts[1])
    stacks = eqn.outvars[counts[1] :]
    if not length:
        return [*carry, *[None] * len(stacks)], [*k_carry, *[None] * len(stacks)]
    ys = [_stacked(y, v) for y, v in zip(zip(*rows, strict=True), stacks, strict=True)]
    k_ys = [_facts(y, v) for y, v in zip(zip(*k_rows, strict=True), stacks, strict=True)]
    return [*carry, *ys], [*k_carry, *k_ys]


def _row(xs: Sequence[Any], i: int) -> list[Any]:
    return [None if x is None else x[i] for x in xs]


def _stacked(rows: Sequence[Maybe], v: Var) -> Maybe:
    """The rows of a result in one array."""
    if all(row is None for row in rows):
        return None
    nothing = np.zeros(v.type.shape[1:], np.int64)
    return np.stack([nothing if row is None else row for row in rows])


def _facts(rows: Sequence[Fact], v: Var) -> Fact:
    """The fact about all rows: their values, or else a mask."""
    if all(row is not None and row.dtype == v.dtype for row in rows):
        return np.stack(rows)
    if v.dtype in BITS or all(row is None for row in rows):
        return None
    anything = np.ones(v.type.shape[1:], bool)
    return np.stack([anything if row is None else row != 0 for row in rows])


def _all_rounds(
    sets: Sets, run: Run, eqn: Equation, ids: list[Maybe], known: list[Any]
) -> Sequence[Maybe]:
    jaxpr, counts = eqn.params["jaxpr"], (eqn.params["num_consts"], eqn.params["num_carry"])
    consts, carry, xs = divide(ids, *counts)
    k_consts = divide(known, *counts)[0]
    row_types = jaxpr.in_types[sum(counts) :]
    rows = [_any_row(sets, x, t.shape) for x, t in zip(xs, row_types, strict=True)]
    unknown = [None] * (len(ids) - counts[0])
    for patience in reversed(range(PATIENCE)):
        outs, _ = run(jaxpr, [*consts, *carry, *rows], [*k_consts, *unknown])
        after = [sets.union(x, y) for x, y in zip(carry, outs[: counts[1]], strict=True)]
        if not patience:
            after = list(_whole(sets, [*consts, *after, *rows], after))
        if all(map(_same, carry, after)):
            break
        carry = after
    outs, _ = run(jaxpr, [*consts, *carry, *rows], [*k_consts, *unknown])
    ys = [
        y if y is None else _every_row(sets, y, v)
        for y, v in zip(outs[counts[1] :], eqn.outvars[counts[1] :], strict=True)
    ]
    return [*carry, *ys]


def _any_row(sets: Sets, x: Maybe, shape: tuple[int, ...]) -> Maybe:
    """What a row depends on, whichever it is. Of a tape there is one set for all that is on it."""
    if x is None:
        return None
    if x.ndim == len(shape) + 1:
        return np.squeeze(sets.over(x, (0,)), 0)
    return np.broadcast_to(x, shape)


def _every_row(sets: Sets, y: Places, v: Any) -> Places:
    """An array of such rows, or a tape."""
    if v.dtype == TAPE:
        return sets.over(y, tuple(range(y.ndim))).reshape(())
    return np.broadcast_to(y, v.type.shape)


def _whole(sets: Sets, read: Sequence[Maybe], carry: Sequence[Maybe]) -> Sequence[Maybe]:
    """Each carry with all that is read."""
    flat = np.concatenate([distinct(x.ravel()) for x in read if x is not None])
    one = sets.unite(np.zeros(len(flat), np.int64), flat, 1)[0]
    return [None if x is None else np.broadcast_to(one, x.shape) for x in carry]


def _same(x: Maybe, y: Maybe) -> bool:
    return x is y or (x is not None and y is not None and np.array_equal(x, y))


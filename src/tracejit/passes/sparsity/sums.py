"""Loops that only add up: all rounds at once.

    carry' = add(carry, dynamic_update_slice(0, u, i))      u = f(x[i], x[i+1])

Where each carry is read by nothing but the sum or the window that makes the next one, the order of
rounds does not matter. So what a round adds, u, is found for all of them together, by batching what
computes it, and put where the windows are. Overwriting counts as adding: the sets may be too large
then, never too small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import Shape, strides_of
from tracejit.passes.sparsity.rules import Maybe
from tracejit.passes.sparsity.sets import Places, Sets

#: A jaxpr for so many rounds at once: see transforms.batch.
Widen = Callable[[Jaxpr, int, tuple[bool, ...], tuple[bool, ...]], tuple[Jaxpr, Any]]


@dataclass
class Addition:
    """What a round adds to a carry: all of it, or a window at the starts."""

    value: Var
    starts: tuple[Atom, ...] | None = None


@dataclass
class Sums:
    """A loop's body, taken apart: what its rounds add to each carry, and their rows."""

    additions: list[list[Addition]]
    rows: list[Atom]
    equations: list[Equation] = field(default_factory=list)

    @property
    def wanted(self) -> list[Atom]:
        """All that has to be known of the rounds: values, starts, rows."""
        parts = [a for carry in self.additions for a in carry]
        return [*[a.value for a in parts], *[s for a in parts for s in a.starts or ()], *self.rows]


def take_apart(jaxpr: Jaxpr, dependent: set[Var], num_consts: int, num_carry: int) -> Sums | None:
    """The body as sums, or None if it is none. dependent: the inputs that depend on something."""
    carries = jaxpr.invars[num_consts : num_consts + num_carry]
    makers = {v: eqn for eqn in jaxpr.equations for v in eqn.outvars}
    live = set(dependent) | {v for v in carries if v.type.is_inexact}
    for eqn in jaxpr.equations:
        if not live.isdisjoint(eqn.inputs):
            live.update(eqn.outvars)
    additions = [
        _additions(y, v, makers, live)
        for v, y in zip(carries, jaxpr.outvars[:num_carry], strict=True)
    ]
    sums = Sums(additions, list(jaxpr.outvars[num_carry:]))
    sums.equations = needed(jaxpr, sums.wanted)
    read = {x for eqn in sums.equations for x in eqn.inputs} | set(sums.wanted)
    return None if read & set(carries) else sums


def _additions(
    y: Atom, carry: Var, makers: dict[Var, Equation], live: set[Var]
) -> list[Addition]:
    """What is added to a carry to make y of it."""
    found: list[Addition] = []
    pending: list[Atom] = [y]
    while pending:
        x = pending.pop()
        if x is carry or not isinstance(x, Var) or x not in live:
            continue
        eqn = makers.get(x)
        if eqn is not None and eqn.primitive.is_pointwise:
            pending += eqn.inputs
        elif eqn is not None and eqn.primitive.name == "dynamic_update_slice":
            under, update, *starts = eqn.inputs
            pending.append(under)
            if isinstance(update, Var) and update in live:
                found.append(Addition(update, tuple(starts)))
        else:
            found.append(Addition(x))
    return found


def needed(jaxpr: Jaxpr, wanted: Sequence[Atom]) -> list[Equation]:
    """The equations that compute these, in order."""
    read, kept = {x for x in wanted if isinstance(x, Var)}, []
    for eqn in reversed(jaxpr.equations):
        if not read.isdisjoint(eqn.outvars):
            kept.append(eqn)
            read.update(x for x in eqn.inputs if isinstance(x, Var))
    return kept[::-1]


def add_up(
    sets: Sets, widen: Widen, run: Any, sums: Sums, eqn: Equation, ids: list[Maybe],
    known: list[Any],
) -> Sequence[Maybe]:  # fmt: skip
    """The sets of the results of a loop that is a sum."""
    jaxpr, length = eqn.params["jaxpr"], eqn.params["length"]
    consts, carry = eqn.params["num_consts"], eqn.params["num_carry"]
    rows = (False,) * (consts + carry) + (True,) * (len(ids) - consts - carry)
    body = Jaxpr(jaxpr.invars, tuple(sums.equations), tuple(sums.wanted))
    many, _ = widen(body, length, rows, (True,) * len(body.outvars))
    hidden = [None] * carry
    outs, numbers = run(
        many, [*ids[:consts], *hidden, *ids[consts + carry :]],
        [*known[:consts], *hidden, *known[consts + carry :]],
    )  # fmt: skip
    values = iter(outs)
    starts = iter(numbers[sum(map(len, sums.additions)) :])
    results: list[Maybe] = []
    for parts, before, v in zip(sums.additions, ids[consts : consts + carry], eqn.outvars,
                                strict=False):  # fmt: skip
        after = before
        for part in parts:
            value = next(values)
            where = None if part.starts is None else [next(starts) for _ in part.starts]
            if value is not None:
                after = sets.union(after, _placed(sets, value, where, v.type.shape))
        results.append(after)
    return [*results, *outs[len(outs) - len(sums.rows) :]]


def _placed(sets: Sets, value: Places, starts: list[Any] | None, shape: Shape) -> Places:
    """What all rounds (axis 0) add, where it goes."""
    if starts is None:
        return sets.over(value, (0,)).reshape(shape)
    if any(start is None for start in starts):
        return np.broadcast_to(sets.over(value, tuple(range(value.ndim))).reshape(()), shape)
    places = np.zeros((len(value), *[1] * len(shape)), np.int64)
    for a, (start, n, step) in enumerate(zip(starts, shape, strides_of(shape), strict=True)):
        size = value.shape[a + 1]
        first = np.clip(start, 0, n - size).reshape(-1, *[1] * len(shape))
        along = np.arange(size).reshape([-1 if b == a + 1 else 1 for b in range(value.ndim)])
        places = places + (first + along) * step
    count = int(np.prod(shape))
    return sets.unite(places.ravel(), value.ravel(), count).reshape(shape)

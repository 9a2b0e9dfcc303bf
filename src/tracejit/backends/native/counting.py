"""What counts is computed where it is read, and the counters of loops are carries.

    %k = iota(n)                                    scan(..., 0, ...) {
    scan(%mask_of, ..., %k) { (%m, ..., %i)    ->     %m = iota(n)
      lt(%m, %i) ...                                  lt(%m, %i) ...
    }                                                 return ..., add(%i, 1)

An iota, a multiple of it, or a constant array of such numbers is no operand of a loop or a branch
then: in a body it is a number of which more is known than of one in memory (`ranges.py`), and masks
made of it say where they hold (`windows.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tracejit.control.cond import cond
from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import INT32, INT64, ArrayType, array_type, type_of
from tracejit.ir.walk import held_jaxprs
from tracejit.ops.elementwise import add, mul, sub
from tracejit.ops.structure import iota, reverse

_LOOPS = (scan, while_, cond)


class Count(NamedTuple):
    """The numbers start, start + step, ... along an axis of an array."""

    start: int
    step: int
    axis: int

    def fits(self, type: ArrayType) -> bool:
        """Whether they are numbers of the dtype, of which loops may have counters."""
        if type.dtype not in (INT32, INT64) or not type.ndim:
            return False
        ends = self.start, self.start + self.step * (type.shape[self.axis] + 1), self.step
        limits = np.iinfo(type.dtype)
        return limits.min <= min(ends) and max(ends) <= limits.max


def count(jaxpr: Jaxpr, constants: Sequence[Any] = ()) -> tuple[Jaxpr, list[Any]]:
    """The jaxpr and the constants, its first inputs, that are left: those that count are made."""
    counts = [_count_of(np.asarray(x)) for x in constants]
    if not any(counts) and not any(map(_counts_in_loops, jaxpr.equations)):
        return jaxpr, list(constants)
    first = len(counts)
    made = {v: c for v, c in zip(jaxpr.invars, counts, strict=False) if c is not None}
    left = [x for x, c in zip(constants, counts, strict=True) if c is None]
    invars = (*[v for v in jaxpr.invars[:first] if v not in made], *jaxpr.invars[first:])
    return _sunk(Jaxpr(invars, jaxpr.equations, jaxpr.outvars), made), left


def _count_of(x: np.ndarray) -> Count | None:
    """How an array of integers counts along its only axis with several elements."""
    wide = [a for a, n in enumerate(x.shape) if n > 1]
    if x.dtype not in (INT32, INT64) or len(wide) != 1:
        return None
    flat = x.reshape(-1)
    start, step = int(flat[0]), int(flat[1]) - int(flat[0])
    if int(flat[-1]) != start + step * (flat.size - 1) or not (np.diff(flat) == step).all():
        return None
    found = Count(start, step, wide[0])
    return found if found.fits(type_of(x)) else None


def _counts_in_loops(eqn: Equation) -> bool:
    """Whether an equation counts and a loop may read it, or holds such."""
    return eqn.primitive is iota or any(
        any(map(_counts_in_loops, body.equations)) for _, body in held_jaxprs(eqn)
    )


def _sunk(jaxpr: Jaxpr, made: Mapping[Var, Count]) -> Jaxpr:
    """The jaxpr with what counts made in it, and in the bodies of its loops and branches."""
    counts, equations = dict(made), [e for v, c in made.items() for e in _equations(v, c)]
    for eqn in jaxpr.equations:
        if eqn.primitive in _LOOPS:
            eqn = _with_counts(eqn, counts)
        elif (found := _derived(eqn, counts)) is not None:
            counts[eqn.outvars[0]] = found
        equations.append(eqn)
    return Jaxpr(jaxpr.invars, tuple(equations), jaxpr.outvars)


def _equations(v: Var, count: Count) -> list[Equation]:
    """What makes v."""
    def splat(n: int) -> Literal:
        return Literal(n, v.type)

    with building() as builder:
        x: Atom = iota(dtype=v.dtype, shape=v.shape, axis=count.axis)
        if count.step != 1:
            x = mul(x, splat(count.step))
        if count.start:
            x = add(x, splat(count.start))
    last = builder.equations[-1]
    assert last.outvars == (x,)
    return [
        *builder.equations[:-1],
        Equation(last.primitive, last.inputs, last.params, (v,), last.provenance),
    ]


def _derived(eqn: Equation, counts: Mapping[Any, Count]) -> Count | None:
    """How the result of an equation counts."""
    found: Count | None = None
    before = counts.get(eqn.inputs[0]) if eqn.inputs else None
    if eqn.primitive is iota:
        found = Count(0, 1, eqn.params["axis"])
    elif eqn.primitive is sub and isinstance(eqn.inputs[0], Literal):
        found = _turned(int(eqn.inputs[0].value), counts.get(eqn.inputs[1]))
    elif before is not None:
        start, step, axis = before
        last = eqn.inputs[-1]
        n = int(last.value) if isinstance(last, Literal) else None
        if eqn.primitive is reverse and axis in eqn.params["axes"]:
            found = Count(start + step * (eqn.inputs[0].shape[axis] - 1), -step, axis)
        elif n is not None and eqn.primitive is mul:
            found = Count(start * n, step * n, axis)
        elif n is not None and eqn.primitive in (add, sub):
            found = Count(start + n if eqn.primitive is add else start - n, step, axis)
    return found if found is not None and found.fits(eqn.outvars[0].type) else None


def _turned(n: int, before: Count | None) -> Count | None:
    """How n minus what counts does."""
    return before and Count(n - before.start, -before.step, before.axis)


def _with_counts(eqn: Equation, counts: Mapping[Any, Count]) -> Equation:
    """A loop or a branch whose bodies make what counts themselves."""
    p = eqn.params
    if eqn.primitive is scan:
        return _counting_scan(eqn, counts)
    if eqn.primitive is cond:
        index, *operands = eqn.inputs
        branches = tuple(_within(b, operands, len(operands), counts) for b in p["branches"])
        kept = [x for x in operands if x not in counts]
        return _changed(eqn, (index, *kept), {"branches": branches})
    test, body = p["num_cond_consts"], p["num_body_consts"]
    of_test, of_body, init = (
        eqn.inputs[:test], eqn.inputs[test : test + body], eqn.inputs[test + body :]
    )  # fmt: skip
    kept_test = [x for x in of_test if x not in counts]
    kept_body = [x for x in of_body if x not in counts]
    return _changed(eqn, (*kept_test, *kept_body, *init), {
        "cond": _within(p["cond"], of_test, test, counts),
        "body": _within(p["body"], of_body, body, counts),
        "num_cond_consts": len(kept_test), "num_body_consts": len(kept_body),
    })  # fmt: skip


def _within(
    body: Jaxpr, operands: Sequence[Atom], most: int, counts: Mapping[Any, Count]
) -> Jaxpr:
    """A body that makes those of its first `most` inputs that count."""
    made = {
        v: counts[x] for v, x in zip(body.invars[:most], operands, strict=False) if x in counts
    }  # fmt: skip
    invars = tuple(v for v in body.invars if v not in made)
    return _sunk(Jaxpr(invars, body.equations, body.outvars), made)


def _changed(eqn: Equation, inputs: tuple[Atom, ...], params: dict[str, Any]) -> Equation:
    return Equation(eqn.primitive, inputs, eqn.params | params, eqn.outvars, eqn.provenance)


def _counting_scan(eqn: Equation, counts: Mapping[Any, Count]) -> Equation:
    """A scan that carries its counters: a row of what counts is the number before plus the step."""
    p, body = eqn.params, eqn.params["jaxpr"]
    consts, carry, length = p["num_consts"], p["num_carry"], p["length"]
    body = _within(body, eqn.inputs[:consts], consts, counts)
    kept = [x for x in eqn.inputs[:consts] if x not in counts]
    first, rows = len(kept) + carry, eqn.inputs[consts + carry :]
    moving = {i: counts[x] for i, x in enumerate(rows) if x in counts and x.ndim == 1 and length}
    counters: list[Literal] = []
    inner: list[Var] = []
    steps: list[Equation] = []
    for i, (start, step, _) in moving.items():
        if p["reverse"]:
            start, step = start + step * (length - 1), -step
        type, v = array_type(rows[i].dtype), body.invars[first + i]
        counters.append(Literal(start, type))
        inner.append(v)
        steps.append(
            Equation(add, (v, Literal(step, type)), {}, (Var(type),), eqn.provenance)
        )
    left = [i for i in range(len(rows)) if i not in moving]
    invars = (*body.invars[:first], *inner, *[body.invars[first + i] for i in left])
    nexts = [e.outvars[0] for e in steps]
    outvars = (*body.outvars[:carry], *nexts, *body.outvars[carry:])
    return Equation(
        scan,
        (*kept, *eqn.inputs[consts : consts + carry], *counters, *[rows[i] for i in left]),
        p | {
            "jaxpr": Jaxpr(invars, (*body.equations, *steps), outvars),
            "num_consts": len(kept), "num_carry": carry + len(counters),
        },
        (*eqn.outvars[:carry], *[Var(x.type) for x in counters], *eqn.outvars[carry:]),
        eqn.provenance,
    )  # fmt: skip

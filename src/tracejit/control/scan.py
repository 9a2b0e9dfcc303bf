"""scan: a body run for each row of its operands xs, with a carry handed on from row to row.

    carry, ys = scan(*consts, *init, *xs)          body: (*consts, *carry, *row) -> (*carry, *row)

Forward mode carries tangents along, also for those carries that get one on the way (a fixpoint).
Linearization makes two loops: the known one stacks the residuals, row for row, the linear one reads
them. What the linear one needs is not stacked where it need not be: constants and rows of xs are
read from where they are, what depends on constants alone is computed once, ahead of the loop, and
what is cheap is computed again (see residuals.py).
The transpose of the linear loop runs the other way and sums the cotangents of constants in a carry.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.control.bodies import (
    check_operands,
    check_types,
    divide,
    fixpoint,
    keep_inputs,
    keep_outputs,
    leave,
    nonzero_mask,
    pick,
    placed,
    read_inputs,
    spread,
    zero_tangents,
)
from tracejit.control.residuals import thin_out
from tracejit.errors import ShapeError
from tracejit.ir.atoms import Atom, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.current import current
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive, Unknown
from tracejit.ir.types import ArrayType, with_axis
from tracejit.ir.walk import Substitution, copy_equation, evaluate
from tracejit.ops.elementwise import add
from tracejit.ops.structure import batch_all, move_axis, replicate
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms import linearize, transpose
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import remembered

Equations = list[Equation]


@dataclass(frozen=True, slots=True)
class Parts:
    """A scan in the making, in the order of its operands.

    consts, xs: what the body calls them, and the operand. carry: the name in the body, the operand
    it starts as, and what the body makes of it. ys: what the body makes.
    """

    consts: list[tuple[Var, Atom]] = field(default_factory=list)
    carry: list[tuple[Var, Atom, Atom]] = field(default_factory=list)
    xs: list[tuple[Var, Atom]] = field(default_factory=list)
    ys: list[Atom] = field(default_factory=list)

    @property
    def operands(self) -> list[Atom]:
        """What the scan is bound with."""
        return [x for _, x, *_ in (*self.consts, *self.carry, *self.xs)]

    def params(self, equations: Iterable[Equation]) -> dict[str, Any]:
        """The parameters, but for length and reverse; the equations are those of the body."""
        carry = [v for v, _, _ in self.carry]
        invars = [*dict(self.consts), *carry, *dict(self.xs)]
        outvars = [*[after for _, _, after in self.carry], *self.ys]
        body = Jaxpr(tuple(invars), tuple(equations), tuple(outvars))
        counts = {"num_consts": len(self.consts), "num_carry": len(self.carry)}
        return {"jaxpr": body, **counts}


def stacked(row: ArrayType, length: int) -> ArrayType:
    """The type of `length` rows."""
    return row.with_shape(with_axis(row.shape, 0, length))


def _typing(
    *types: ArrayType, jaxpr: Jaxpr, length: int, reverse: bool, num_consts: int, num_carry: int
) -> tuple[ArrayType, ...]:
    consts, init, xs = divide(types, num_consts, num_carry)
    for x in xs:
        if x.ndim == 0 or x.shape[0] != length:
            raise ShapeError(f"scan: {x} has no first axis of length {length}")
    rows = [x.with_shape(x.shape[1:]) for x in xs]
    check_operands("scan", jaxpr, (*consts, *init, *rows))
    carry, ys = divide(jaxpr.out_types, num_carry)
    check_types("scan: a carry that the body returns", carry, init)
    return (*carry, *[stacked(y, length) for y in ys])


def _evaluate(
    *arrays: Any, jaxpr: Jaxpr, length: int, reverse: bool, num_consts: int, num_carry: int
) -> tuple[Any, ...]:
    consts, carry, xs = divide(arrays, num_consts, num_carry)
    ys = [np.empty((length, *t.shape), t.dtype) for t in jaxpr.out_types[num_carry:]]
    for i in reversed(range(length)) if reverse else range(length):
        outs = evaluate(jaxpr, *consts, *carry, *[x[i] for x in xs])
        carry, row = divide(outs, num_carry)
        for y, value in zip(ys, row, strict=True):
            y[i] = value
    return (*carry, *ys)


def _jvp(
    primals: Sequence[Atom], tangents: Sequence[Atom], *, jaxpr: Jaxpr,
    num_consts: int, num_carry: int, **params: Any,
) -> tuple[Sequence[Atom], Sequence[Atom]]:  # fmt: skip
    in_consts, in_carry, in_xs = divide(nonzero_mask(tangents), num_consts, num_carry)
    num_ys = len(jaxpr.outvars) - num_carry

    def push(carry: Mask) -> tuple[Jaxpr, Mask]:
        return forward.jvp(jaxpr, (*in_consts, *carry, *in_xs), (*carry, *(False,) * num_ys))

    carry = fixpoint(tuple(in_carry), lambda mask: push(mask)[1][:num_carry])
    body, live = push(carry)
    moving = (*in_consts, *carry, *in_xs)
    ins = [*zip(body.invars, primals, strict=False)]
    t_ins = [*zip(body.invars[len(primals) :], pick(tangents, moving), strict=True)]
    outs, t_outs = divide(body.outvars, len(jaxpr.outvars))
    consts, init, xs = divide(ins, num_consts, num_carry)
    t_consts, t_init, t_xs = divide(t_ins, sum(in_consts), sum(carry))
    after = (*outs[:num_carry], *t_outs[: sum(carry)])
    parts = Parts(
        [*consts, *t_consts],
        [(v, x, y) for (v, x), y in zip((*init, *t_init), after, strict=True)],
        [*xs, *t_xs],
        [*outs[num_carry:], *t_outs[sum(carry) :]],
    )
    results = scan.bind(*parts.operands, **parts.params(body.equations), **params)
    final, t_final, ys, t_ys = divide(results, num_carry, sum(carry), num_ys)
    outs = (*final, *ys)
    return outs, spread((*t_final, *t_ys), live, zero_tangents([y.type for y in outs]))


def _batch(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], *, jaxpr: Jaxpr,
    num_consts: int, num_carry: int, **params: Any,
) -> Sequence[Atom]:  # fmt: skip
    in_consts, in_carry, in_xs = divide(tuple(batched), num_consts, num_carry)
    num_ys = len(jaxpr.outvars) - num_carry

    def widen(carry: Mask) -> tuple[Jaxpr, Mask]:
        mask = (*in_consts, *carry, *in_xs)
        return batching.batch(jaxpr, size, mask, (*carry, *(False,) * num_ys))

    carry = fixpoint(tuple(in_carry), lambda mask: widen(mask)[1][:num_carry])
    body, live = widen(carry)
    consts, init, xs = divide(inputs, num_consts, num_carry)
    starts = [
        replicate(x, size) if many and not had else x
        for x, many, had in zip(init, carry, in_carry, strict=True)
    ]
    rows_first = [move_axis(x, 0, 1) if b else x for x, b in zip(xs, in_xs, strict=True)]
    results = scan.bind(
        *consts, *starts, *rows_first,
        jaxpr=body, num_consts=num_consts, num_carry=num_carry, **params,
    )  # fmt: skip
    final, ys = divide(results, num_carry)
    members_first = [
        move_axis(y, 1, 0) if b else y for y, b in zip(ys, live[num_carry:], strict=True)
    ]
    return batch_all(size, (*final, *members_first), live)


# Linearization.


def _split(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """The known loop, which stacks residuals, and the linear loop."""
    halves, late = _halves(eqn.params, unknown)
    early = tuple(not u for u in late)
    known_vars = leave(eqn.outvars, halves.unknown)
    known = _loop(eqn, early, halves.known.outvars[: len(known_vars)])
    linear = _loop(eqn, late, halves.linear.outvars)
    equations = halves.known.equations
    varying = _reached(equations, {*dict(known.xs), *[v for v, *_ in known.carry]})
    free = {x for x in _defined(halves.known) if x not in varying}.union(dict(known.xs))
    residuals, again = thin_out(halves.linear.invars[: halves.residuals], equations, free)
    ahead, fixed = _hand_over(residuals, varying, equations, known, known_vars, linear, eqn)
    steps = [e for e in equations if is_effectful(e) or not fixed.keys() >= set(e.outvars)]
    made = [*[after for _, _, after in known.carry], *known.ys]
    steps = linearize.live_equations(steps, made)
    read = {x for e in steps for x in e.inputs}.union(made)
    known.consts.extend((r, x) for r, x in fixed.items() if r in read)
    linear_vars = pick(eqn.outvars, halves.unknown)
    return (
        [*ahead, *_equation(eqn, known, steps, known_vars)],
        _equation(eqn, linear, [*again, *halves.linear.equations], linear_vars),
    )


def _halves(params: dict[str, Any], unknown: Sequence[bool]) -> tuple[linearize.Split, Mask]:
    """The body, split, and which of its inputs are unknown: also the carries that become so."""
    jaxpr, num_consts, num_carry = params["jaxpr"], params["num_consts"], params["num_carry"]
    in_consts, in_carry, in_xs = divide(tuple(unknown), num_consts, num_carry)
    num_ys = len(jaxpr.outvars) - num_carry

    def part(carry: Mask) -> linearize.Split:
        mask = (*in_consts, *carry, *in_xs)
        return linearize.split(jaxpr, mask, (*carry, *(False,) * num_ys))

    carry = fixpoint(tuple(in_carry), lambda mask: part(mask).unknown[:num_carry])
    return part(carry), (*in_consts, *carry, *in_xs)


def _loop(eqn: Equation, mask: Sequence[bool], outs: Sequence[Atom]) -> Parts:
    """The scan with these operands alone; `outs` are its carries, then what it makes of a row."""
    counts = eqn.params["num_consts"], eqn.params["num_carry"]
    pairs = [*zip(eqn.params["jaxpr"].invars, eqn.inputs, strict=True)]
    consts, init, xs = [
        pick(part, kept)
        for part, kept in zip(divide(pairs, *counts), divide(mask, *counts), strict=True)
    ]
    carry = [(v, x, after) for (v, x), after in zip(init, outs[: len(init)], strict=True)]
    return Parts(consts, carry, xs, [*outs[len(init) :]])


def _hand_over(
    residuals: Sequence[Var], varying: Set[Var], equations: Sequence[Equation], known: Parts,
    known_vars: list[Var], linear: Parts, eqn: Equation,
) -> tuple[Equations, dict[Var, Atom]]:  # fmt: skip
    """Give the linear loop its residuals; `varying` is what differs from round to round.

    Returns the equations to compute ahead of both loops, and what they compute. The rest is stacked
    by the known loop, whose `ys` and results `known_vars` grow.
    """
    consts, rows = dict(known.consts), dict(known.xs)
    still = [r for r in residuals if r not in varying]
    with building() as builder:
        env = Substitution(consts)
        for step in linearize.live_equations(equations, still, False):
            copy_equation(step, env, builder)
    linear.consts.extend((r, env[r]) for r in still)
    for r in residuals:
        if r in rows:
            linear.xs.append((r, rows[r]))
        elif r in varying:
            if r not in known.ys:
                known.ys.append(r)
                known_vars.append(Var(stacked(r.type, eqn.params["length"])))
            linear.xs.append((r, known_vars[len(known.carry) + known.ys.index(r)]))
    return builder.equations, {r: env[r] for r in still if r not in consts}


def _defined(jaxpr: Jaxpr) -> Iterable[Var]:
    """The inputs, and all that is computed."""
    yield from jaxpr.invars
    for eqn in jaxpr.equations:
        yield from eqn.outvars


def _reached(equations: Sequence[Equation], variables: set[Var]) -> set[Var]:
    """The variables, and those that depend on them, or on what effects give."""
    reached = set(variables)
    for eqn in equations:
        if any(x in reached for x in eqn.inputs) or is_effectful(eqn):
            reached.update(eqn.outvars)
    return reached


def _equation(
    eqn: Equation, parts: Parts, equations: Sequence[Equation], outvars: Sequence[Var]
) -> Equations:
    """The scan of these parts, if it has results or effects."""
    params = eqn.params | parts.params(equations)
    made = Equation(scan, tuple(parts.operands), params, tuple(outvars), eqn.provenance)
    return [made] if outvars or is_effectful(made) else []


# The adjoint of the linear loop.


def _transpose(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, **params: Any
) -> Sequence[Atom | None]:
    """Drop what no cotangent needs, split off what is known, then turn the loop round."""
    counts = params["num_consts"], params["num_carry"]
    keep_in, keep_out = needed(params["jaxpr"], nonzero_mask(cts), *counts)
    params = _cut(params, keep_in, keep_out)
    cts, kept = pick(cts, keep_out), pick(inputs, keep_in)
    turn = _turn_round if _all_carries_linear(kept, params) else _transpose_late
    outs = turn(cts, kept, guarded=guarded, **params)
    return spread(outs, keep_in, [None] * len(inputs))


def _all_carries_linear(inputs: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether each carry depends on what is linear, as it starts or in time."""
    linear = [isinstance(x, Unknown) for x in inputs]
    carry = slice(params["num_consts"], params["num_consts"] + params["num_carry"])
    return all(linear[carry]) or all(_halves(params, linear)[1][carry])


def _transpose_late(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, **params: Any
) -> Sequence[Atom | None]:
    """The adjoint of a loop that has known carries: they go round in a loop of their own."""
    atoms = tuple(Var(x.type) if isinstance(x, Unknown) else x for x in inputs)
    outvars = tuple(Var(ct.type) for ct in cts)
    unknown = [isinstance(x, Unknown) for x in inputs]
    early, late = _split(Equation(scan, atoms, params, outvars), unknown)
    current().equations.extend(early)
    ct_of, linear = dict(zip(outvars, cts, strict=True)), set(pick(atoms, unknown))
    found: dict[Atom, Atom | None] = {}
    for eqn in late:
        operands = [Unknown(x.type) if x in linear else x for x in eqn.inputs]
        outs = [ct_of[v] for v in eqn.outvars]
        back = _turn_round(outs, operands, guarded=guarded, **eqn.params)
        found.update(zip(eqn.inputs, back, strict=True))
    return [found.get(x) if u else None for x, u in zip(atoms, unknown, strict=True)]


def _turn_round(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, jaxpr: Jaxpr, length: int,
    reverse: bool, num_consts: int, num_carry: int,
) -> Sequence[Atom | None]:  # fmt: skip
    """The adjoint of a loop whose carries are all linear."""
    consts, init, xs = divide(inputs, num_consts, num_carry)
    in_consts, in_init, in_xs = [
        tuple(isinstance(x, Unknown) for x in part) for part in (consts, init, xs)
    ]
    stay = guarded or transpose.masks_within(jaxpr)
    back = transpose.transpose(jaxpr, (*in_consts, *(True,) * num_carry, *in_xs), stay)
    known_consts, known_xs = leave(consts, in_consts), leave(xs, in_xs)
    v_consts, v_xs, v_carry, v_ys = divide(back.invars, len(known_consts), len(known_xs), num_carry)
    ct_consts, ct_carry, ct_xs = divide(back.outvars, sum(in_consts), num_carry)
    arrive, rows = nonzero_mask(ct_consts), nonzero_mask(ct_xs)
    sums = [Var(ct.type) for ct in pick(ct_consts, arrive)]
    with building() as builder:
        totals = [add(s, ct) for s, ct in zip(sums, pick(ct_consts, arrive), strict=True)]
    parts = Parts(
        [*zip(v_consts, known_consts, strict=True)],
        [(s, zero(s.type), total) for s, total in zip(sums, totals, strict=True)]
        + [*zip(v_carry, cts[:num_carry], ct_carry, strict=True)],
        [*zip(v_xs, known_xs, strict=True), *zip(v_ys, cts[num_carry:], strict=True)],
        pick(ct_xs, rows),
    )
    params = parts.params([*back.equations, *builder.equations])
    outs = scan.bind(*parts.operands, length=length, reverse=not reverse, **params)
    of_consts, of_init, of_xs = divide(outs, len(sums), num_carry)
    return (
        *placed(of_consts, arrive, in_consts),
        *[ct if u else None for ct, u in zip(of_init, in_init, strict=True)],
        *placed(of_xs, rows, in_xs),
    )


# What is needed.


@remembered
def needed(jaxpr: Jaxpr, used: Mask, num_consts: int, num_carry: int) -> tuple[Mask, Mask]:
    """Which operands and which results a scan needs, if those results are used.

    A carry is needed where its final value is, or where something needed reads it.
    """

    def grow(carry: Mask) -> Mask:
        read = read_inputs(keep_outputs(jaxpr, (*carry, *used[num_carry:])))
        inside = read[num_consts : num_consts + num_carry]
        return tuple(a or b for a, b in zip(carry, inside, strict=True))

    carry = fixpoint(used[:num_carry], grow)
    outs = (*carry, *used[num_carry:])
    consts, _, xs = divide(read_inputs(keep_outputs(jaxpr, outs)), num_consts, num_carry)
    return (*consts, *carry, *xs), outs


def _cut(params: dict[str, Any], keep_in: Mask, keep_out: Mask) -> dict[str, Any]:
    """The parameters of a scan with those operands and results alone."""
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    body = keep_inputs(keep_outputs(params["jaxpr"], keep_out), keep_in)
    counts = {
        "num_consts": sum(keep_in[:num_consts]),
        "num_carry": sum(keep_out[:num_carry]),
    }
    return params | {"jaxpr": body, **counts}


def prune_scan(eqn: Equation, used: Mask) -> Equation:
    """The scan without carries, rows and operands that the used results do not need."""
    counts = eqn.params["num_consts"], eqn.params["num_carry"]
    keep_in, keep_out = needed(eqn.params["jaxpr"], used, *counts)
    if all(keep_in) and all(keep_out):
        return eqn
    inputs, outvars = tuple(pick(eqn.inputs, keep_in)), tuple(pick(eqn.outvars, keep_out))
    params = _cut(eqn.params, keep_in, keep_out)
    return Equation(eqn.primitive, inputs, params, outvars, eqn.provenance)


scan = Primitive(
    "scan", typing=_typing, evaluate=_evaluate, jvp=Joint(_jvp), transpose=_transpose,
    batch=_batch, split=_split, single=False, defaults={"reverse": False},
    doc="(*consts, *init, *xs) -> (*carry, *ys): the body for each of `length` rows of xs, from "
    "the last one on if `reverse`; rows of ys are stacked in the order of xs.",
)  # fmt: skip

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

from collections.abc import Sequence
from typing import Any

from tracejit.control.bodies import (
    check_operands,
    check_types,
    divide,
    fixpoint,
    nonzero_mask,
    pick,
    spread,
    zero_tangents,
)
from tracejit.control.halves import split
from tracejit.control.members import one_by_one
from tracejit.control.parts import Parts, cut, needed
from tracejit.control.tape import read_row, room, stacked, write_row
from tracejit.control.turning import all_carries_linear, turn_round
from tracejit.errors import DTypeError, ShapeError
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.current import current
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive, Unknown
from tracejit.ir.types import INT64, TAPE, ArrayType, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops.structure import batch_all, move_axis, replicate
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms.jvp import Mask

Equations = list[Equation]


def _typing(
    *types: ArrayType, jaxpr: Jaxpr, length: int | None, reverse: bool, num_consts: int,
    num_carry: int,
) -> tuple[ArrayType, ...]:  # fmt: skip
    consts, init, xs = divide(types, num_consts, num_carry)
    if length is None:
        rows = [*jaxpr.in_types[num_consts + num_carry :]]
        if any(x != array_type(TAPE) for x in xs) or consts[:1] != (array_type(INT64),):
            raise DTypeError("scan without a length: its first constant is their number, an i64[], "
                             "and its rows are on tapes")  # fmt: skip
    else:
        for x in xs:
            if x.ndim == 0 or x.shape[0] != length:
                raise ShapeError(f"scan: {x} has no first axis of length {length}")
        rows = [x.with_shape(x.shape[1:]) for x in xs]
    check_operands("scan", jaxpr, (*consts, *init, *rows))
    carry, ys = divide(jaxpr.out_types, num_carry)
    check_types("scan: a carry that the body returns", carry, init)
    return (*carry, *[stacked(y, length) for y in ys])


def _evaluate(
    *arrays: Any, jaxpr: Jaxpr, length: int | None, reverse: bool, num_consts: int,
    num_carry: int,
) -> tuple[Any, ...]:  # fmt: skip
    consts, carry, xs = divide(arrays, num_consts, num_carry)
    rounds = int(consts[0]) if length is None else length
    row_types = jaxpr.in_types[num_consts + num_carry :]
    ys = [room(t, rounds, length is None) for t in jaxpr.out_types[num_carry:]]
    for i in reversed(range(rounds)) if reverse else range(rounds):
        rows = [read_row(x, i, t) for x, t in zip(xs, row_types, strict=True)]
        outs = evaluate(jaxpr, *consts, *carry, *rows)
        carry, made = divide(outs, num_carry)
        for y, value in zip(ys, made, strict=True):
            write_row(y, i, value)
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
    if params["length"] is None and (num_ys or in_consts[0] or any(in_xs)):
        counts = {"num_consts": num_consts, "num_carry": num_carry}
        return one_by_one(
            size, inputs, batched, lambda xs: scan.bind(*xs, jaxpr=jaxpr, **counts, **params)
        )

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


# The adjoint of the linear loop.


def _transpose(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, **params: Any
) -> Sequence[Atom | None]:
    """Drop what no cotangent needs, split off what is known, then turn the loop round."""
    keep_in, keep_out = needed(params, nonzero_mask(cts))
    params = cut(params, keep_in, keep_out)
    cts, kept = pick(cts, keep_out), pick(inputs, keep_in)
    turn = turn_round if all_carries_linear(kept, params) else _transpose_late
    outs = turn(cts, kept, guarded=guarded, **params)
    return spread(outs, keep_in, [None] * len(inputs))


def _transpose_late(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, **params: Any
) -> Sequence[Atom | None]:
    """The adjoint of a loop that has known carries: they go round in a loop of their own."""
    atoms = tuple(Var(x.type) if isinstance(x, Unknown) else x for x in inputs)
    outvars = tuple(Var(ct.type) for ct in cts)
    unknown = [isinstance(x, Unknown) for x in inputs]
    early, late = split(Equation(scan, atoms, params, outvars), unknown)
    current().equations.extend(early)
    ct_of, linear = dict(zip(outvars, cts, strict=True)), set(pick(atoms, unknown))
    found: dict[Atom, Atom | None] = {}
    for eqn in late:
        operands = [Unknown(x.type) if x in linear else x for x in eqn.inputs]
        outs = [ct_of[v] for v in eqn.outvars]
        assert eqn.primitive.transpose is not None
        back = eqn.primitive.transpose(outs, operands, guarded=guarded, **eqn.params)
        found.update(zip(eqn.inputs, back, strict=True))
    return [found.get(x) if u else None for x, u in zip(atoms, unknown, strict=True)]


def prune_scan(eqn: Equation, used: Mask) -> Equation:
    """The scan without carries, rows and operands that the used results do not need."""
    keep_in, keep_out = needed(eqn.params, used)
    if all(keep_in) and all(keep_out):
        return eqn
    inputs, outvars = tuple(pick(eqn.inputs, keep_in)), tuple(pick(eqn.outvars, keep_out))
    params = cut(eqn.params, keep_in, keep_out)
    return Equation(eqn.primitive, inputs, params, outvars, eqn.provenance)


scan: Primitive = Primitive(
    "scan", typing=_typing, evaluate=_evaluate, jvp=Joint(_jvp), transpose=_transpose,
    batch=_batch, split=split, single=False, defaults={"reverse": False},
    doc="(*consts, *init, *xs) -> (*carry, *ys): the body for each of `length` rows of xs, from "
    "the last one on if `reverse`; rows of ys are stacked in the order of xs.",
)  # fmt: skip

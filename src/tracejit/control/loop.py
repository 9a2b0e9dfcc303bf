"""while: a body run again and again, as long as a condition on the carry holds.

    carry, tapes = while(*cond_consts, *body_consts, *init)
    cond: (*cond_consts, *carry) -> bool[]     body: (*body_consts, *carry) -> (*carry, *rows)

How often it runs is not known ahead, so rows that the body makes go on tapes (see tape.py).
Linearized, the known loop counts its rounds, unless one of its carries does so already, and writes
the residuals on tapes; the linear one is a scan over these, with the count for a length, and has
all that scans have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

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
    read_inputs,
    spread,
    zero_tangents,
)
from tracejit.control.cond import choose
from tracejit.control.halves import halve
from tracejit.control.members import one_by_one
from tracejit.control.scan import scan
from tracejit.control.tape import Tape, stacked
from tracejit.control.turning import halves_of
from tracejit.control.undo import Loop
from tracejit.errors import DTypeError, MissingRuleError
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.current import current
from tracejit.ir.effects import has_effects
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive, Unknown
from tracejit.ir.types import BOOL, INT64, ArrayType, array_type
from tracejit.ir.walk import evaluate, inline
from tracejit.ops.elementwise import add
from tracejit.ops.reduction import reduce_or
from tracejit.ops.structure import batch_all
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import loops

Equations = list[Equation]


def _typing(
    *types: ArrayType, cond: Jaxpr, body: Jaxpr, num_cond_consts: int, num_body_consts: int
) -> tuple[ArrayType, ...]:
    cond_consts, body_consts, carry = divide(types, num_cond_consts, num_body_consts)
    check_operands("while, condition", cond, (*cond_consts, *carry))
    check_operands("while", body, (*body_consts, *carry))
    if cond.out_types != (array_type(BOOL),):
        raise DTypeError(f"while: the condition must be a bool[], got {cond.out_types}")
    after, rows = divide(body.out_types, len(carry))
    check_types("while: a carry that the body returns", after, carry)
    return (*carry, *[stacked(row, None) for row in rows])


def _evaluate(
    *arrays: Any, cond: Jaxpr, body: Jaxpr, num_cond_consts: int, num_body_consts: int
) -> tuple[Any, ...]:
    cond_consts, body_consts, carry = divide(arrays, num_cond_consts, num_body_consts)
    rows: list[Sequence[Any]] = []
    while evaluate(cond, *cond_consts, *carry)[0]:
        carry, row = divide(evaluate(body, *body_consts, *carry), len(carry))
        rows.append(row)
    tapes = range(len(body.outvars) - len(carry))
    return (*carry, *[Tape([row[i] for row in rows]) for i in tapes])


def _jvp(
    primals: Sequence[Atom], tangents: Sequence[Atom], *, cond: Jaxpr, body: Jaxpr,
    num_cond_consts: int, num_body_consts: int,
) -> tuple[Sequence[Atom], Sequence[Atom]]:  # fmt: skip
    counts = num_cond_consts, num_body_consts
    _, in_consts, in_carry = divide(nonzero_mask(tangents), *counts)
    num_carry, num_ys = len(in_carry), len(body.outvars) - len(in_carry)

    def push(carry: Mask) -> tuple[Jaxpr, Mask]:
        return forward.jvp(body, (*in_consts, *carry), (*carry, *(False,) * num_ys))

    carry = fixpoint(tuple(in_carry), lambda mask: push(mask)[1][:num_carry])
    pushed, live = push(carry)
    # The order of a jvp is values, then tangents; the loop's is constants, carry, rows.
    consts, init, t_consts, t_init = divide(
        pushed.invars, num_body_consts, num_carry, sum(in_consts)
    )
    after, rows, t_after, t_rows = divide(pushed.outvars, num_carry, num_ys, sum(carry))
    invars, outvars = (*consts, *t_consts, *init, *t_init), (*after, *t_after, *rows, *t_rows)
    pushed = Jaxpr(invars, pushed.equations, outvars)
    ignored = tuple(Var(v.type) for v in t_init)
    cond_consts, body_consts, start = divide(primals, *counts)
    _, t_body_consts, t_start = divide(tangents, *counts)
    results = while_.bind(
        *cond_consts, *body_consts, *pick(t_body_consts, in_consts), *start, *pick(t_start, carry),
        cond=Jaxpr((*cond.invars, *ignored), cond.equations, cond.outvars), body=pushed,
        num_cond_consts=num_cond_consts, num_body_consts=num_body_consts + sum(in_consts),
    )  # fmt: skip
    final, t_final, ys, t_ys = divide(results, num_carry, sum(carry), num_ys)
    outs = (*final, *ys)
    return outs, spread((*t_final, *t_ys), live, zero_tangents([y.type for y in outs]))


# Batching.


def _batch(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], *, cond: Jaxpr, body: Jaxpr,
    num_cond_consts: int, num_body_consts: int,
) -> Sequence[Atom]:  # fmt: skip
    counts = num_cond_consts, num_body_consts
    in_cond, in_body, in_carry = divide(tuple(batched), *counts)
    params = {"num_cond_consts": num_cond_consts, "num_body_consts": num_body_consts}

    def alone() -> Sequence[Atom]:
        """Each member runs a loop of its own."""
        return one_by_one(
            size, inputs, batched, lambda xs: while_.bind(*xs, cond=cond, body=body, **params)
        )

    if len(body.outvars) > len(in_carry):
        return alone()

    def grow(carry: Mask) -> Mask:
        if batching.batch(cond, size, (*in_cond, *carry))[1][0]:
            return (True,) * len(carry)
        return batching.batch(body, size, (*in_body, *carry), carry)[1]

    carry = fixpoint(tuple(in_carry), grow)
    wide_cond, (each,) = batching.batch(cond, size, (*in_cond, *carry))
    wide_body, _ = batching.batch(body, size, (*in_body, *carry), carry)
    cond_consts, body_consts, init = divide(inputs, *counts)
    full = batch_all(size, init, in_carry)
    start = [x if many else y for x, y, many in zip(full, init, carry, strict=True)]
    if each and (has_effects(cond) or has_effects(body)):
        return alone()
    if each:
        return _while_any(wide_cond, wide_body, cond_consts, body_consts, start)
    outs = while_.bind(
        *cond_consts, *body_consts, *start, cond=wide_cond, body=wide_body,
        num_cond_consts=num_cond_consts, num_body_consts=num_body_consts,
    )  # fmt: skip
    return batch_all(size, outs, carry)


def _while_any(
    cond: Jaxpr, body: Jaxpr, cond_consts: Sequence[Atom], body_consts: Sequence[Atom],
    start: Sequence[Atom],
) -> Sequence[Atom]:  # fmt: skip
    """Run as long as the condition holds for any member; those that are done keep their values.

    The condition of each member goes round with the carry, so that it is computed once.
    """
    (running,) = inline(cond, [*cond_consts, *start])
    with building() as builder:
        go = Var(running.type)
        a, b, carry = [[Var(x.type) for x in part] for part in (cond_consts, body_consts, start)]
        after = [
            choose(go, y, x) for x, y in zip(carry, inline(body, [*b, *carry]), strict=True)
        ]
        step = builder.finish((*a, *b, go, *carry), (*inline(cond, [*a, *after]), *after))
    with building() as builder:
        go, rest = Var(running.type), [Var(x.type) for x in start]
        some = builder.finish((go, *rest), (reduce_or(go, axes=(0,)),))
    outs = while_.bind(
        *cond_consts, *body_consts, running, *start, cond=some, body=step,
        num_cond_consts=0, num_body_consts=len(cond_consts) + len(body_consts),
    )  # fmt: skip
    return outs[1:]


# Linearization.


def _split(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """The loop over what is known, with residuals on tapes, and a scan over these; or as `loops`
    says it."""
    without_tapes = loops.get()
    if without_tapes is not None:
        early, late = without_tapes(eqn, unknown)
        return early, late
    cond, body = eqn.params["cond"], eqn.params["body"]
    counts = eqn.params["num_cond_consts"], eqn.params["num_body_consts"]
    in_cond, in_body, in_carry = divide(tuple(unknown), *counts)
    cond_consts, operands = divide(eqn.inputs, counts[0])
    there = Loop(eqn).counter
    count = there or Var(array_type(INT64))
    params = {
        "jaxpr": body, "num_consts": counts[1], "num_carry": len(in_carry), "length": None,
        "reverse": False,
    }  # fmt: skip
    body_of = Equation(scan, tuple(operands), params, eqn.outvars, eqn.provenance)
    carry = halves_of(params, (*in_body, *in_carry))[1][counts[1] :]
    late = (*in_cond, *carry)
    if any(pick(read_inputs(cond), late)):
        return [], [eqn]
    halves = halve(body_of, (*in_body, *in_carry), count)
    known = halves.known
    found = len(known.carry)
    invars = keep_inputs(cond, tuple(not u for u in late)).invars
    if there is None:
        known.carry.append(_counter(halves.steps))
        invars = (*invars, Var(count.type))
    early = {
        "cond": Jaxpr(invars, cond.equations, cond.outvars),
        "body": known.params(halves.steps)["jaxpr"],
        "num_cond_consts": counts[0] - sum(in_cond), "num_body_consts": len(known.consts),
    }  # fmt: skip
    counts_up = () if there else (count,)
    outvars = (*halves.known_vars[:found], *counts_up, *halves.known_vars[found:])
    inputs = (*leave(cond_consts, in_cond), *known.operands)
    loop = Equation(while_, inputs, early, outvars, eqn.provenance)
    return [*halves.ahead, loop], halves.late


def _counter(steps: Equations) -> tuple[Var, Atom, Var]:
    """A carry that counts the rounds of a body, to which it is appended."""
    number = array_type(INT64)
    before, after = Var(number), Var(number)
    steps.append(Equation(add, (before, Literal(1, number)), {}, (after,)))
    return before, Literal(0, number), after


def _transpose(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, **params: Any
) -> Sequence[Atom | None]:
    """The known part runs by itself, and the scan over what it keeps is turned round."""
    unknown = [isinstance(x, Unknown) for x in inputs]
    atoms = tuple(Var(x.type) if isinstance(x, Unknown) else x for x in inputs)
    outvars = tuple(Var(ct.type) for ct in cts)
    early, late = _split(Equation(while_, atoms, params, outvars), unknown)
    if any(e.primitive is while_ for e in late):
        raise MissingRuleError(
            "a while_loop whose condition depends on the inputs is not linear in them",
            where=current().provenance,
        )
    current().equations.extend(early)
    ct_of, linear = dict(zip(outvars, cts, strict=True)), set(pick(atoms, unknown))
    found: dict[Atom, Atom | None] = {}
    for eqn in late:
        operands = [Unknown(x.type) if x in linear else x for x in eqn.inputs]
        assert eqn.primitive.transpose is not None
        outs = [ct_of[v] for v in eqn.outvars]
        back = eqn.primitive.transpose(outs, operands, guarded=guarded, **eqn.params)
        found.update(zip(eqn.inputs, back, strict=True))
    return [found.get(x) if u else None for x, u in zip(atoms, unknown, strict=True)]


def prune_while(eqn: Equation, used: Mask) -> Equation:
    """The loop without carries that no result, no condition and no other carry needs."""
    cond, body = eqn.params["cond"], eqn.params["body"]
    counts = eqn.params["num_cond_consts"], eqn.params["num_body_consts"]
    read_cond, read_carry = divide(read_inputs(cond), counts[0])

    num_carry = len(eqn.inputs) - sum(counts)
    used, rows = used[:num_carry], used[num_carry:]

    def grow(carry: Mask) -> Mask:
        read = read_inputs(keep_outputs(body, (*carry, *rows)))[counts[1] :]
        return tuple(a or b for a, b in zip(carry, read, strict=True))

    start = tuple(a or b for a, b in zip(used, read_carry, strict=True))
    carry = fixpoint(start, grow)
    less = keep_outputs(body, (*carry, *rows))
    read_body = read_inputs(less)[: counts[1]]
    keep = (*read_cond, *read_body, *carry)
    if all(keep) and all(rows):
        return eqn
    params = {
        "cond": keep_inputs(cond, (*read_cond, *carry)),
        "body": keep_inputs(less, (*read_body, *carry)),
        "num_cond_consts": sum(read_cond),
        "num_body_consts": sum(read_body),
    }
    outvars = tuple(pick(eqn.outvars, (*carry, *rows)))
    return Equation(while_, tuple(pick(eqn.inputs, keep)), params, outvars, eqn.provenance)


while_: Primitive = Primitive(
    "while", typing=_typing, evaluate=_evaluate, jvp=Joint(_jvp), transpose=_transpose,
    batch=_batch, split=_split, single=False,
    doc="(*cond_consts, *body_consts, *init) -> (*carry, *tapes): the body as long as the "
    "condition holds.",
)  # fmt: skip

"""while: a body run again and again, as long as a condition on the carry holds.

    carry = while(*cond_consts, *body_consts, *init)
    cond: (*cond_consts, *carry) -> bool[]         body: (*body_consts, *carry) -> carry

How often it runs is not known ahead, so nothing can be kept for a reverse pass: it has forward mode
alone. Linearized, it runs twice: once for the values, and in the linear part once more, values and
tangents together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

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
from tracejit.control.members import one_by_one
from tracejit.errors import DTypeError, MissingRuleError
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.current import current
from tracejit.ir.effects import has_effects, without_effects
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive
from tracejit.ir.types import BOOL, ArrayType, array_type
from tracejit.ir.walk import evaluate, inline
from tracejit.ops.reduction import reduce_or
from tracejit.ops.structure import batch_all
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms import linearize
from tracejit.transforms.jvp import Mask

Equations = list[Equation]


def _typing(
    *types: ArrayType, cond: Jaxpr, body: Jaxpr, num_cond_consts: int, num_body_consts: int
) -> tuple[ArrayType, ...]:
    cond_consts, body_consts, carry = divide(types, num_cond_consts, num_body_consts)
    check_operands("while, condition", cond, (*cond_consts, *carry))
    check_operands("while", body, (*body_consts, *carry))
    if cond.out_types != (array_type(BOOL),):
        raise DTypeError(f"while: the condition must be a bool[], got {cond.out_types}")
    check_types("while: a carry that the body returns", body.out_types, carry)
    return tuple(carry)


def _evaluate(
    *arrays: Any, cond: Jaxpr, body: Jaxpr, num_cond_consts: int, num_body_consts: int
) -> tuple[Any, ...]:
    cond_consts, body_consts, carry = divide(arrays, num_cond_consts, num_body_consts)
    while evaluate(cond, *cond_consts, *carry)[0]:
        carry = evaluate(body, *body_consts, *carry)
    return tuple(carry)


def _jvp(
    primals: Sequence[Atom], tangents: Sequence[Atom], *, cond: Jaxpr, body: Jaxpr,
    num_cond_consts: int, num_body_consts: int,
) -> tuple[Sequence[Atom], Sequence[Atom]]:  # fmt: skip
    counts = num_cond_consts, num_body_consts
    _, in_consts, in_carry = divide(nonzero_mask(tangents), *counts)
    carry = fixpoint(
        tuple(in_carry), lambda mask: forward.jvp(body, (*in_consts, *mask), mask)[1]
    )
    pushed, _ = forward.jvp(body, (*in_consts, *carry), carry)
    # The order of a jvp is values, then tangents; the loop's is constants, then carry.
    consts, init, t_consts, t_init = divide(
        pushed.invars, num_body_consts, len(carry), sum(in_consts)
    )
    pushed = Jaxpr((*consts, *t_consts, *init, *t_init), pushed.equations, pushed.outvars)
    ignored = tuple(Var(v.type) for v in t_init)
    cond_consts, body_consts, start = divide(primals, *counts)
    _, t_body_consts, t_start = divide(tangents, *counts)
    results = while_.bind(
        *cond_consts, *body_consts, *pick(t_body_consts, in_consts), *start, *pick(t_start, carry),
        cond=Jaxpr((*cond.invars, *ignored), cond.equations, cond.outvars), body=pushed,
        num_cond_consts=num_cond_consts, num_body_consts=num_body_consts + sum(in_consts),
    )  # fmt: skip
    outs, ts = divide(results, len(carry))
    return outs, spread(ts, carry, zero_tangents([y.type for y in outs]))


# Batching.


def _batch(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], *, cond: Jaxpr, body: Jaxpr,
    num_cond_consts: int, num_body_consts: int,
) -> Sequence[Atom]:  # fmt: skip
    counts = num_cond_consts, num_body_consts
    in_cond, in_body, in_carry = divide(tuple(batched), *counts)

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
        params = {"num_cond_consts": num_cond_consts, "num_body_consts": num_body_consts}
        return one_by_one(
            size, inputs, batched, lambda xs: while_.bind(*xs, cond=cond, body=body, **params)
        )
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
    """The loop over the values that are known, and the whole of it for the linear part."""
    cond, body = eqn.params["cond"], eqn.params["body"]
    counts = eqn.params["num_cond_consts"], eqn.params["num_body_consts"]
    in_cond, in_body, in_carry = divide(tuple(unknown), *counts)
    carry = fixpoint(
        tuple(in_carry), lambda mask: linearize.split(body, (*in_body, *mask), mask).unknown
    )
    late = (*in_cond, *carry)
    if all(carry) or any(pick(read_inputs(cond), late)):
        return [], [eqn]
    half = linearize.split(body, (*in_body, *carry), carry)
    known = len(carry) - sum(carry)
    values = keep_outputs(half.known, (*(True,) * known, *(False,) * half.residuals))
    params = eqn.params | {
        "cond": keep_inputs(cond, tuple(not u for u in late)),
        "body": values,
        "num_cond_consts": counts[0] - sum(in_cond),
        "num_body_consts": counts[1] - sum(in_body),
    }
    inputs = tuple(leave(eqn.inputs, (*in_cond, *in_body, *carry)))
    early = Equation(while_, inputs, params, tuple(leave(eqn.outvars, carry)), eqn.provenance)
    again = spread(pick(eqn.outvars, carry), carry, [Var(v.type) for v in eqn.outvars])
    twice = eqn.params | {"cond": without_effects(cond), "body": without_effects(body)}
    return [early], [Equation(while_, eqn.inputs, twice, tuple(again), eqn.provenance)]


def _transpose(cts: Sequence[Atom], inputs: Sequence[Any], **params: Any) -> NoReturn:
    raise MissingRuleError(
        "while_loop has no reverse-mode derivative: how often it runs is not known ahead, so "
        "nothing is kept for the way back",
        where=current().provenance,
        hint="use lax.scan, or lax.fori_loop with bounds that are Python numbers; for derivatives "
        "in forward mode jvp or jacfwd",
    )


def prune_while(eqn: Equation, used: Mask) -> Equation:
    """The loop without carries that no result, no condition and no other carry needs."""
    cond, body = eqn.params["cond"], eqn.params["body"]
    counts = eqn.params["num_cond_consts"], eqn.params["num_body_consts"]
    read_cond, read_carry = divide(read_inputs(cond), counts[0])

    def grow(carry: Mask) -> Mask:
        read = read_inputs(keep_outputs(body, carry))[counts[1] :]
        return tuple(a or b for a, b in zip(carry, read, strict=True))

    start = tuple(a or b for a, b in zip(used, read_carry, strict=True))
    carry = fixpoint(start, grow)
    less = keep_outputs(body, carry)
    read_body = read_inputs(less)[: counts[1]]
    keep = (*read_cond, *read_body, *carry)
    if all(keep):
        return eqn
    params = {
        "cond": keep_inputs(cond, (*read_cond, *carry)),
        "body": keep_inputs(less, (*read_body, *carry)),
        "num_cond_consts": sum(read_cond),
        "num_body_consts": sum(read_body),
    }
    outvars = tuple(pick(eqn.outvars, carry))
    return Equation(while_, tuple(pick(eqn.inputs, keep)), params, outvars, eqn.provenance)


while_ = Primitive(
    "while", typing=_typing, evaluate=_evaluate, jvp=Joint(_jvp), transpose=_transpose,
    batch=_batch, split=_split, single=False,
    doc="(*cond_consts, *body_consts, *init) -> carry: the body as long as the condition holds.",
)  # fmt: skip

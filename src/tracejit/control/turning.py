"""The adjoint of a loop that is linear in what it carries: it runs the other way.

Cotangents of constants are summed up in carries.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.control.bodies import divide, fixpoint, leave, nonzero_mask, pick, placed
from tracejit.control.parts import Parts, Restoring
from tracejit.control.twins import without_twins
from tracejit.ir.atoms import Atom, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Primitive, Unknown
from tracejit.ir.walk import splice
from tracejit.transforms import linearize, transpose
from tracejit.transforms.jvp import Mask


def halves_of(params: dict[str, Any], unknown: Sequence[bool]) -> tuple[linearize.Split, Mask]:
    """The body, split, and which of its inputs are unknown: also the carries that become so."""
    jaxpr, num_consts, num_carry = params["jaxpr"], params["num_consts"], params["num_carry"]
    in_consts, in_carry, in_xs = divide(tuple(unknown), num_consts, num_carry)
    num_ys = len(jaxpr.outvars) - num_carry

    def part(carry: Mask) -> linearize.Split:
        mask = (*in_consts, *carry, *in_xs)
        return linearize.split(jaxpr, mask, (*carry, *(False,) * num_ys))

    carry = fixpoint(tuple(in_carry), lambda mask: part(mask).unknown[:num_carry])
    return part(carry), (*in_consts, *carry, *in_xs)


def all_carries_linear(inputs: Sequence[Any], params: dict[str, Any]) -> bool:
    """Whether each carry depends on what is linear, as it starts or in time."""
    linear = [isinstance(x, Unknown) for x in inputs]
    carry = slice(params["num_consts"], params["num_consts"] + params["num_carry"])
    return all(linear[carry]) or all(halves_of(params, linear)[1][carry])


def turn_round(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, jaxpr: Jaxpr, length: int | None,
    reverse: bool, num_consts: int, num_carry: int, restoring: Restoring | None = None,
) -> Sequence[Atom | None]:  # fmt: skip
    """The adjoint of a loop whose carries are all linear."""
    consts, init, xs = divide(inputs, num_consts, num_carry)
    in_consts, in_init, in_xs = [
        tuple(isinstance(x, Unknown) for x in part) for part in (consts, init, xs)
    ]
    stay = guarded or transpose.masks_within(jaxpr)
    back = transpose.transpose(jaxpr, (*in_consts, *(True,) * num_carry, *in_xs), stay)
    known_consts, known_xs = leave(consts, in_consts), leave(xs, in_xs)
    parts = restoring.parts() if restoring else Parts()
    with building() as builder:
        residuals = restoring.emit(parts) if restoring else {}
        names: dict[Atom, Any] = residuals | {x: v for v, x in (*parts.consts, *parts.xs)}
        v_consts = [names.get(x) or Var(x.type) for x in known_consts]
        row_types = leave(jaxpr.in_types[num_consts + num_carry :], in_xs)
        v_xs = [names.get(x) or Var(t) for x, t in zip(known_xs, row_types, strict=True)]
        v_carry = [Var(x.type) for x in init]
        v_ys = [Var(t) for t in jaxpr.out_types[num_carry:]]
        outs = splice(back, [*v_consts, *v_xs, *v_carry, *v_ys], builder)
        ct_consts, ct_carry, ct_xs = divide(outs, sum(in_consts), num_carry)
        arrive, rows = nonzero_mask(ct_consts), nonzero_mask(ct_xs)
        sums = [Var(ct.type) for ct in pick(ct_consts, arrive)]
        arrived = pick(ct_consts, arrive)
        totals = [transpose.summed(s, ct) for s, ct in zip(sums, arrived, strict=True)]
    first = len(parts.carry)
    there = names.keys()
    parts.consts.extend(p for p in zip(v_consts, known_consts, strict=True) if p[1] not in there)
    parts.carry.extend([(s, zero(s.type), total) for s, total in zip(sums, totals, strict=True)])
    parts.carry.extend(zip(v_carry, cts[:num_carry], ct_carry, strict=True))
    parts.xs.extend(p for p in zip(v_xs, known_xs, strict=True) if p[1] not in there)
    parts.xs.extend(zip(v_ys, cts[num_carry:], strict=True))
    parts.ys.extend(pick(ct_xs, rows))
    equations: Sequence[Equation] = builder.equations
    if restoring:
        equations, others = without_twins(equations, parts.names)
        parts.carry[:] = [(v, x, others.get(y, y)) for v, x, y in parts.carry]
        parts.ys[:] = [others.get(y, y) for y in parts.ys]
    params = parts.params(equations)
    scan = Primitive.registry["scan"]
    results = scan.bind(*parts.operands, length=length, reverse=not reverse, **params)
    _, of_consts, of_init, of_xs = divide(results, first, len(sums), num_carry)
    return (
        *placed(of_consts, arrive, in_consts),
        *[ct if u else None for ct, u in zip(of_init, in_init, strict=True)],
        *placed(of_xs, rows, in_xs),
    )

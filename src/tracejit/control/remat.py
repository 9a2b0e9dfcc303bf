"""checkpoint: a part of a program whose derivative computes again what it does not keep.

    checkpoint(x) { y = sin(x); z = exp(y) }        known:   y, z, nothing else is kept
                                                    linear:  x' = barrier(x); y = sin(x'); ...

Of what the derivative needs, the results of those equations are kept that the policy allows; the
rest is computed again, of them and of the operands. `barrier` hands a value on so that no pass sees
that it is the same: else what is computed twice would be found, and kept. `name` gives a value a
name for policies, and a use for its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.control.bodies import check_operands, leave, pick
from tracejit.control.call import prune_call, pull, push, widen
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import POINTWISE, Joint, Primitive, linear
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import Substitution, copy_equation, evaluate, inline
from tracejit.transforms import linearize

Equations = list[Equation]
#: Says whether what a primitive makes of operands of these types may be kept.
Policy = Callable[..., bool]

barrier = linear(
    "barrier", typing=lambda x: (x,), evaluate=lambda x: x,
    transpose=lambda cts, inputs: (cts[0],), batch=POINTWISE,
    doc="x, as something of its own: it is not seen to be x.",
)  # fmt: skip
name = linear(
    "name", typing=lambda x, *, name: (x,), evaluate=lambda x, *, name: x,
    transpose=lambda cts, inputs, *, name: (cts[0],), batch=POINTWISE,
    doc="x, with a name that policies of checkpoint know.",
)  # fmt: skip


def _typing(
    *types: ArrayType, jaxpr: Jaxpr, policy: Policy | None, prevent_cse: bool
) -> tuple[ArrayType, ...]:
    check_operands("checkpoint", jaxpr, types)
    return jaxpr.out_types


def _split(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """What is known, with what is kept; and the linear part, which begins with the rest of it."""
    jaxpr: Jaxpr = eqn.params["jaxpr"]
    parts = linearize.split(jaxpr, tuple(unknown))
    known, count = parts.known, len(parts.known.outvars) - parts.residuals
    known_vars = leave(eqn.outvars, parts.unknown)
    kept = chosen(known, parts.linear.invars[: parts.residuals], eqn.params["policy"])
    held = dict(zip(known.outvars[:count], known_vars, strict=True))
    made = [v for v in kept if v not in held]
    stored: dict[Atom, Atom] = {**held, **{v: Var(v.type) for v in made}}
    early = Jaxpr(known.invars, known.equations, (*known.outvars[:count], *made))
    steps = linearize.live_equations(
        [e for e in known.equations if kept.isdisjoint(e.outvars)],
        parts.linear.invars[: parts.residuals], False,
    )  # fmt: skip
    with building() as builder:
        env = Substitution()
        names = [Var(v.type) for v in known.invars]
        for v, x in zip(known.invars, names, strict=True):
            env[v] = barrier(x) if eqn.params["prevent_cse"] else x
        saved = [v for v in stored if v in kept]
        env.update((v, Var(v.type)) for v in saved)  # type: ignore[misc, arg-type]
        for e in steps:
            copy_equation(e, env, builder)
        rest = [Var(v.type) for v in pick(jaxpr.invars, unknown)]
        residuals = [env[r] for r in parts.linear.invars[: parts.residuals]]
        outs = inline(parts.linear, [*residuals, *rest], builder)
    late = builder.finish([*names, *[env[v] for v in saved], *rest], outs)  # type: ignore
    inputs = (
        *leave(eqn.inputs, unknown), *[stored[v] for v in saved], *pick(eqn.inputs, unknown)
    )  # fmt: skip
    outvars = (*known_vars, *[stored[v] for v in made])
    first = _part(eqn, early, tuple(leave(eqn.inputs, unknown)), outvars)
    return first, _part(eqn, late, inputs, tuple(pick(eqn.outvars, parts.unknown)))


def chosen(known: Jaxpr, residuals: Sequence[Var], policy: Policy | None) -> set[Var]:
    """Of what the residuals are made of, what the policy lets be kept."""
    makers = {v: e for e in known.equations for v in e.outvars}
    kept: set[Var] = set()
    pending, seen = list(residuals), set()
    while pending:
        v = pending.pop()
        if v in seen or v not in makers:
            continue
        seen.add(v)
        eqn = makers[v]
        if policy is not None and policy(eqn.primitive, *[x.type for x in eqn.inputs],
                                         **eqn.params):  # fmt: skip
            kept.add(v)
        else:
            pending += [x for x in eqn.inputs if isinstance(x, Var)]
    return kept


def _part(eqn: Equation, jaxpr: Jaxpr, inputs: Any, outvars: Any) -> Equations:
    """The checkpoint of a part, if it has results, with the operands that it reads."""
    if not outvars:
        return []
    made = Equation(checkpoint, inputs, eqn.params | {"jaxpr": jaxpr}, outvars, eqn.provenance)
    return [prune_call(made, (True,) * len(outvars))]


def unnamed(eqn: Equation) -> Jaxpr:
    """What a name stands for: its operand."""
    x = Var(eqn.outvars[0].type)
    return Jaxpr((x,), (), (x,))


checkpoint: Primitive = Primitive(
    "checkpoint", typing=_typing, evaluate=lambda *xs, jaxpr, **params: evaluate(jaxpr, *xs),
    jvp=Joint(lambda *xs, **params: push(checkpoint, *xs, **params)),
    transpose=lambda *xs, **params: pull(checkpoint, *xs, **params),
    batch=lambda *xs, **params: widen(checkpoint, *xs, **params), split=_split, single=False,
    defaults={"policy": None, "prevent_cse": True},
    doc="The results of a jaxpr; its derivative keeps what the policy allows, and no more.",
)  # fmt: skip

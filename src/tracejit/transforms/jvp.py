"""Forward mode: a jaxpr that carries tangents along.

    fn(x) { y = sin(x) }        ->        fn(x, t) { y = sin(x); c = cos(x); u = mul(c, t) }

Tangents that are zero are literals, so nothing is computed with them, and equations that no tangent
reaches are copied as they are.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.ir.atoms import Atom, Var, is_zero, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, apply_jvp
from tracejit.ir.types import tangent_type
from tracejit.ir.walk import Substitution, copy_equation
from tracejit.transforms.memo import remembered

Mask = tuple[bool, ...]


@remembered
def jvp(jaxpr: Jaxpr, nonzero: Mask, wanted: Mask | None = None) -> tuple[Jaxpr, Mask]:
    """The jaxpr of (primals, tangents of the inputs marked nonzero) -> (outputs, their tangents).

    Returns it with a mask: which outputs have a tangent; the others' is zero. Outputs marked in
    `wanted` get one in any case.
    """
    with building() as builder:
        primals = Substitution((v, Var(v.type)) for v in jaxpr.invars)
        tangents: dict[Var, Atom] = {
            v: Var(v.type) for v, live in zip(jaxpr.invars, nonzero, strict=True) if live
        }
        invars = [*primals.values(), *tangents.values()]

        def tangent(x: Atom) -> Atom:
            known = tangents.get(x) if isinstance(x, Var) else None
            return zero(tangent_type(x.type)) if known is None else known

        for eqn in jaxpr.equations:
            ts = [tangent(x) for x in eqn.inputs]
            if all(map(is_zero, ts)):
                copy_equation(eqn, primals, builder)
                continue
            outs = _push_forward(eqn, primals, ts, builder)
            tangents.update(
                (v, t) for v, t in zip(eqn.outvars, outs, strict=True) if not is_zero(t)
            )
        ts = [tangent(y) for y in jaxpr.outvars]
        force = wanted or (False,) * len(ts)
        live = tuple(not is_zero(t) or f for t, f in zip(ts, force, strict=True))
        outvars = primals.all(jaxpr.outvars) + [t for t, keep in zip(ts, live, strict=True) if keep]
    return builder.finish(invars, outvars), live  # type: ignore[arg-type]


def _push_forward(
    eqn: Equation, primals: Substitution, tangents: Sequence[Atom], builder: object
) -> Sequence[Atom]:
    """Bind one equation on primals, and return the tangents of its results."""
    inputs = primals.all(eqn.inputs)
    if isinstance(eqn.primitive.jvp, Joint):
        builder.provenance = eqn.provenance.derived(eqn, "jvp")  # type: ignore[attr-defined]
        outs, ts = eqn.primitive.jvp.rule(inputs, tangents, **eqn.params)
        primals.update(zip(eqn.outvars, outs, strict=True))
        return ts
    copy_equation(eqn, primals, builder)  # type: ignore[arg-type]
    builder.provenance = eqn.provenance.derived(eqn, "jvp")  # type: ignore[attr-defined]
    outs = [primals[v] for v in eqn.outvars]
    return apply_jvp(eqn.primitive, inputs, tangents, outs, eqn.params)

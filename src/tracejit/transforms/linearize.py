"""Linearize: the jvp, split into a part that is known and a part that is linear in the tangents.

    fn(x, t) {                    known: fn(x)      { y = sin(x); c = cos(x); return y, c }
      y = sin(x)           ->     linear: fn(c, t)  { u = mul(c, t); return u }
      c = cos(x)
      u = mul(c, t) }

c is a residual: computed by the known part, read by the linear part. An operation that holds jaxprs
has a rule of its own: `split(eqn, unknown)` returns (known equations, linear equations), which
define the same variables; the linear ones may read what the known ones define.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tracejit.ir.atoms import Atom, Var
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.transforms.jvp import Mask, jvp
from tracejit.transforms.memo import remembered


@dataclass(frozen=True, slots=True)
class Split:
    """known: known inputs -> known outputs, residuals. linear: residuals, unknown inputs -> unknown
    outputs. unknown: which outputs are in the linear part. residuals: how many there are."""

    known: Jaxpr
    linear: Jaxpr
    unknown: Mask
    residuals: int


@remembered
def split(jaxpr: Jaxpr, unknown: Mask, wanted: Mask | None = None) -> Split:
    """Split by what depends on the inputs marked unknown.

    Outputs marked in `wanted` go to the linear part even if they are known.
    """
    late = {v for v, u in zip(jaxpr.invars, unknown, strict=True) if u}
    known_eqns: list[Equation] = []
    late_eqns: list[Equation] = []
    for eqn in jaxpr.equations:
        mask = [x in late for x in eqn.inputs]
        if not any(mask):
            known_eqns.append(eqn)
            continue
        early, rest = eqn.primitive.split(eqn, mask) if eqn.primitive.split else ([], [eqn])
        known_eqns += early
        late_eqns += rest
        late.update(v for e in rest for v in e.outvars)
    forced = wanted or (False,) * len(jaxpr.outvars)
    outs_late = tuple(y in late or f for y, f in zip(jaxpr.outvars, forced, strict=True))
    late_outs = [y for y, u in zip(jaxpr.outvars, outs_late, strict=True) if u]
    late_eqns = live_equations(late_eqns, late_outs)
    residuals = free_variables(late_eqns, late_outs, late)
    known_outs = [y for y, u in zip(jaxpr.outvars, outs_late, strict=True) if not u]
    known_in = tuple(v for v, u in zip(jaxpr.invars, unknown, strict=True) if not u)
    late_in = [v for v, u in zip(jaxpr.invars, unknown, strict=True) if u]
    return Split(
        Jaxpr(known_in, tuple(known_eqns), (*known_outs, *residuals)),
        Jaxpr((*residuals, *late_in), tuple(late_eqns), tuple(late_outs)),
        outs_late,
        len(residuals),
    )


def live_equations(
    equations: Sequence[Equation], wanted: Sequence[Atom], effects: bool = True
) -> list[Equation]:
    """The equations that the wanted atoms depend on, and those with `effects`, in order."""
    needed = {y for y in wanted if isinstance(y, Var)}
    live = []
    for eqn in reversed(equations):
        if any(v in needed for v in eqn.outvars) or (effects and is_effectful(eqn)):
            live.append(eqn)
            needed.update(x for x in eqn.inputs if isinstance(x, Var))
    return live[::-1]


def free_variables(
    equations: Sequence[Equation], outs: Sequence[Atom], bound: set[Var]
) -> list[Var]:
    """Variables that are read but not in `bound`, each once, in order of use."""
    reads = [x for eqn in equations for x in eqn.inputs] + list(outs)
    return list(dict.fromkeys(x for x in reads if isinstance(x, Var) and x not in bound))


@remembered
def linearize(jaxpr: Jaxpr, nonzero: Mask) -> Split:
    """The linearization with respect to the inputs marked nonzero.

    `known` maps the inputs to (outputs, residuals), `linear` maps (residuals, tangents) to the
    tangents of those outputs that `unknown` marks.
    """
    forward, live = jvp(jaxpr, nonzero)
    parts = split(forward, (False,) * len(nonzero) + (True,) * sum(nonzero))
    count = len(jaxpr.outvars)
    # Every output is known; a tangent that turned out to be known is a constant of the program.
    assert not any(parts.unknown[:count])
    if not all(parts.unknown[count:]):
        wanted = (False,) * count + (True,) * sum(live)
        parts = split(forward, (False,) * len(nonzero) + (True,) * sum(nonzero), wanted)
    return Split(parts.known, parts.linear, live, parts.residuals)

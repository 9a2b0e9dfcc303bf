"""Dead code: equations that nobody reads are dropped.

    %1: f64[] = sin(%0)
    %2: f64[] = cos(%0)    ->    %2: f64[] = cos(%0)
    return %2                    return %2

Needs: nothing. Leaves: every equation has a result that is read, at any depth.
Does not: drop inputs of the jaxpr; take apart equations with several results of which one is read.
"""

from __future__ import annotations

from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.passes.held import Pass, through_held, with_held


@through_held
def dce(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """Drop the equations of a jaxpr that its results do not need."""
    live: set[Atom] = {y for y in jaxpr.outvars if not isinstance(y, Literal)}
    kept: list[Equation] = []
    changed = False
    for eqn in reversed(jaxpr.equations):
        if live.isdisjoint(eqn.outvars):
            changed = True
            continue
        after = with_held(eqn, inner) if eqn.params else eqn
        changed = changed or after is not eqn
        live.update([x for x in after.inputs if not isinstance(x, Literal)])
        kept.append(after)
    if not changed:
        return jaxpr
    return Jaxpr(jaxpr.invars, tuple(reversed(kept)), jaxpr.outvars)

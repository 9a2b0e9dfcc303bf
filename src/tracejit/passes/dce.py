"""Dead code: equations that nobody reads are dropped, but for those with effects.

    %1: f64[] = sin(%0)
    %2: f64[] = cos(%0)    ->    %2: f64[] = cos(%0)
    return %2                    return %2

Operations that hold jaxprs lose the results that nobody reads, and what only those needed.

Needs: nothing. Leaves: every equation has a result that is read or an effect, at any depth.
Does not: drop inputs of the jaxpr.
"""

from __future__ import annotations

from tracejit.control.prune import PRUNE, prune
from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.passes.held import Pass, through_held, with_held


@through_held
def dce(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """Drop the equations of a jaxpr that its results do not need."""
    live: set[Atom] = {y for y in jaxpr.outvars if not isinstance(y, Literal)}
    kept: list[Equation] = []
    changed = False
    for eqn in reversed(jaxpr.equations):
        if live.isdisjoint(eqn.outvars) and not is_effectful(eqn):
            changed = True
            continue
        after = _shrunk(eqn, live, inner) if eqn.params else eqn
        changed = changed or after is not eqn
        live.update([x for x in after.inputs if not isinstance(x, Literal)])
        kept.append(after)
    if not changed:
        return jaxpr
    return Jaxpr(jaxpr.invars, tuple(reversed(kept)), jaxpr.outvars)


def _shrunk(eqn: Equation, live: set[Atom], inner: Pass) -> Equation:
    """The equation without what its live results do not need, in the jaxprs it holds too.

    Bodies that lost equations may need fewer operands, and bodies that lost operands or results
    fewer equations: in turn, until nothing goes.
    """
    after = with_held(eqn, inner)
    while eqn.primitive in PRUNE:
        before = after
        pruned = prune(before, [v in live for v in before.outvars])
        after = with_held(pruned, inner)
        if after is before:
            break
    return after

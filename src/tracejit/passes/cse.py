"""Common subexpressions: equal equations are computed once.

    %2: f64[] = mul(%0, %1)          %2: f64[] = mul(%0, %1)
    %3: f64[] = mul(%1, %0)    ->    %4: f64[] = add(%2, %2)
    %4: f64[] = add(%2, %3)

Needs: literals to the right in commutative operations (fold).
Leaves: no two equal equations in one body; those not needed any more are gone.
Does not: compare held jaxprs by what they say (only by identity); look into loops from outside;
merge what has effects.
"""

from __future__ import annotations

from collections.abc import Hashable

from tracejit.ir.atoms import Atom, Var
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ops import elementwise as ops
from tracejit.passes.held import Pass, Renaming, through_held, with_held

COMMUTATIVE = frozenset(
    {ops.add, ops.mul, ops.max, ops.min, ops.eq, ops.ne, ops.and_, ops.or_, ops.xor}
)


@through_held
def cse(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """Compute equal equations once."""
    equations: list[Equation] = []
    renaming = Renaming()
    known: dict[Hashable, tuple[Var, ...]] = {}
    changed = False
    for eqn in jaxpr.equations:
        after = renaming.equation(with_held(eqn, inner) if eqn.params else eqn)
        if is_effectful(after):
            changed = changed or after is not eqn
            equations.append(after)
            continue
        outs = known.setdefault(_key(after), after.outvars)
        if outs is not after.outvars:
            renaming.update(zip(after.outvars, outs, strict=True))
            changed = True
            continue
        changed = changed or after is not eqn
        equations.append(after)
    if not changed:
        return jaxpr
    return Jaxpr(jaxpr.invars, tuple(equations), renaming.all(jaxpr.outvars))


def _key(eqn: Equation) -> Hashable:
    """Equal for equations with equal results, whatever the order of commuting operands."""
    inputs: tuple[Atom, ...] = eqn.inputs
    if eqn.primitive in COMMUTATIVE:
        x, y = inputs
        if x.__class__ is y.__class__ is Var and id(x) > id(y):
            inputs = (y, x)
    if not eqn.params:
        return eqn.primitive, inputs
    return eqn.primitive, inputs, tuple(sorted(eqn.params.items()))

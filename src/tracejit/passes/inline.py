"""Calls are replaced by what they call.

    %1: f64[] = call(%0, name="f", jaxpr=fn(%0: f64[]) -> f64[] {
      %1: f64[] = sin(%0)                                              %1: f64[] = sin(%0)
      return %1                                                  ->    %2: f64[] = mul(%1, 2.0)
    })
    %2: f64[] = mul(%1, 2.0)

So are equations that were solved by a body (`linear_solve`, `root`), loops that go back, and
operations that users have added.

Needs: the last transform behind it. Leaves: none of them, at any depth; the others see one body.
Does not: touch loops and conditions; keep code small (a body called n times is copied n times).
"""

from __future__ import annotations

from tracejit.control.call import call
from tracejit.control.custom import STANDS_FOR as FUNCTIONS_WITH_RULES
from tracejit.control.extension import EXTENSIONS
from tracejit.control.implicit import STANDS_FOR
from tracejit.control.linear_call import linear
from tracejit.control.remat import checkpoint, name, unnamed
from tracejit.control.rewind import plain, rewind
from tracejit.control.slots import as_while, plain_replay, replay, slotted
from tracejit.ir.builder import Builder
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import inline as append_body
from tracejit.passes.held import Pass, Renaming, through_held, with_held

#: The primitives that only stand for a body.
BODIES = {
    **STANDS_FOR,
    **FUNCTIONS_WITH_RULES,
    call: lambda eqn: eqn.params["jaxpr"],
    checkpoint: lambda eqn: eqn.params["jaxpr"],
    linear: lambda eqn: eqn.params["jaxpr"],
    name: unnamed,
    rewind: plain,
    slotted: as_while,
    replay: lambda eqn: plain_replay([x.type for x in eqn.inputs], eqn.params),
}


@through_held
def inline(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """Replace the calls in a jaxpr by their bodies."""
    builder, renaming, changed = Builder(), Renaming(), False
    for eqn in jaxpr.equations:
        stands_for = BODIES.get(eqn.primitive) or EXTENSIONS.get(eqn.primitive)
        if stands_for:
            outs = append_body(inner(stands_for(eqn)), renaming.all(eqn.inputs), builder)
            renaming.update(zip(eqn.outvars, outs, strict=True))
            changed = True
            continue
        after = renaming.equation(with_held(eqn, inner) if eqn.params else eqn)
        changed = changed or after is not eqn
        builder.equations.append(after)
    if not changed:
        return jaxpr
    return builder.finish(jaxpr.invars, renaming.all(jaxpr.outvars))

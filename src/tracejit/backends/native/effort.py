"""How much work a program is, estimated before it is planned."""

from __future__ import annotations

import math

from tracejit.backends.native.lowering import Pointwise, Reduction, rule_of
from tracejit.control.cond import cond
from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.walk import held_jaxprs
from tracejit.ops.contraction import dot

#: The effort from which a program lets other threads run: about 0.1 ms. To wake a thread takes 5 to
#: 30 us, to give the GIL away and take it again 0.1 us, but milliseconds where others want it, too.
LONG = 1_500_000

#: Iterations of a loop whose number is not known.
_ITERATIONS = 100

#: An operation on one number costs as much as on so many elements of an array.
_SMALL = 4


#: To read an element from memory, or write it.
_TRAFFIC = 8


def effort(jaxpr: Jaxpr) -> int:
    """In multiplications of one element by one lane, of which 15 take about a nanosecond."""
    outside = sum(x.type.size for x in (*jaxpr.invars, *jaxpr.outvars))
    return _TRAFFIC * outside + _inside(jaxpr)


def _inside(jaxpr: Jaxpr) -> int:
    return sum(map(_effort, jaxpr.equations))


def _effort(eqn: Equation) -> int:
    bodies = [_inside(body) for _, body in held_jaxprs(eqn)]
    if eqn.primitive is scan:
        return (eqn.params["length"] or _ITERATIONS) * sum(bodies)
    if eqn.primitive is while_:
        return _ITERATIONS * sum(bodies)
    if eqn.primitive is cond:
        return max(bodies)
    if eqn.primitive is dot:
        contracted = [eqn.inputs[0].shape[a] for a in eqn.params["contract"][0]]
        return eqn.outvars[0].type.size * math.prod(contracted)
    rule = rule_of(eqn)
    if isinstance(rule, Pointwise):
        return rule.cost * max(_SMALL, eqn.outvars[0].type.size)
    if isinstance(rule, Reduction):
        return max(_SMALL, math.prod(rule.space(eqn)))
    return sum(bodies) + sum(x.type.size for x in (*eqn.inputs, *eqn.outvars))

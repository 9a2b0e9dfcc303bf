"""A loop that sums up in a carry begins with what is added to the sum behind it.

    %s = scan(0.0, ...) { return add(%carry, ...) }     ->     %t = scan(%y, ...) { ... }
    %t = add(%s, %y)

So the cotangent of an array that a loop reads is summed where it lies, also by loops in loops: no
array of zeros in each round of the outer one, and no pass over two arrays behind the inner one.
What is added to windows of the sum in between is added in turn.

Needs: sums in place (fold).
Leaves: the equations that make `%y` ahead of the loop.
Does not: look into branches; move effects.
"""

from __future__ import annotations

from collections.abc import Sequence

from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Var, is_zero
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ops.elementwise import add, select, sub
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice, scatter_add
from tracejit.ops.structure import reshape
from tracejit.passes.held import Pass, through_held, with_held

#: Where in an array a variable lies: the starts and sizes of a window, () for all of it.
Place = tuple[object, ...]
#: What is the array, or a window of it, plus something that does not depend on it.
Shifted = dict[Atom, Place]
WHOLE: Place = ()


@through_held
def totals(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """From the inside to the outside."""
    before = jaxpr.equations
    equations = [with_held(e, inner) if e.params else e for e in before]
    at = 0
    while at < len(equations):
        if equations[at].primitive is not scan or not _begin(equations, at, jaxpr.outvars):
            at += 1
    after = tuple(equations)
    return jaxpr if after == before else Jaxpr(jaxpr.invars, after, jaxpr.outvars)


def _begin(equations: list[Equation], at: int, outvars: Sequence[Atom]) -> bool:
    """Take one sum into the loop that is equation number `at`, if there is one to take."""
    loop = equations[at]
    first = loop.params["num_consts"]
    zeros = [
        k for k in range(loop.params["num_carry"])
        if is_zero(loop.inputs[first + k]) and loop.outvars[k].type.ndim
    ]  # fmt: skip
    if not zeros:
        return False
    for k in zeros:
        end = _summed(loop.outvars[k], equations[at:], outvars)
        if end is None or not _adds_up(loop, k):
            continue
        later, y = end
        ahead = _makers(y, equations[at : at + later]) or []
        (total,) = [x for x in equations[at + later].inputs if x is not y]
        inputs = (*loop.inputs[: first + k], y, *loop.inputs[first + k + 1 :])
        begun = Equation(scan, inputs, loop.params, loop.outvars, loop.provenance)
        rest = [e for e in equations[at + 1 : at + later] if e not in ahead]
        name = equations[at + later].outvars[0]
        equations[at : at + later + 1] = [*ahead, *[_named(e, total, name) for e in (begun, *rest)]]
        return True
    return False


def _named(eqn: Equation, before: Atom, after: Var) -> Equation:
    """The equation with another name for a variable."""
    inputs = tuple([after if x is before else x for x in eqn.inputs])
    outvars = tuple([after if v is before else v for v in eqn.outvars])
    return Equation(eqn.primitive, inputs, eqn.params, outvars, eqn.provenance)


def _summed(
    total: Var, equations: Sequence[Equation], outvars: Sequence[Atom]
) -> tuple[int, Atom] | None:
    """Where a result of the first equation, with what is added to windows of it on the way, is
    added to something that is there before that equation: the number of that addition, and what."""
    shifted: Shifted = {total: WHOLE}
    for i, eqn in enumerate(equations[1:], 1):
        which = [x for x in eqn.inputs if x in shifted]
        if not which:
            continue
        if eqn.primitive is add and len(which) == 1 and shifted[which[0]] == WHOLE:
            (y,) = [x for x in eqn.inputs if x is not which[0]]
            if _makers(y, equations[:i]) is not None:
                read = [x for e in equations[i + 1 :] for x in e.inputs]
                return (i, y) if shifted.keys().isdisjoint([*read, *outvars]) else None
        if not _follow(eqn, shifted):
            return None
    return None


def _makers(y: Atom, equations: Sequence[Equation]) -> list[Equation] | None:
    """What y needs of the equations, in order; None if that is the first one, or has effects."""
    needed, found = {y}, list[Equation]()
    for eqn in reversed(equations):
        if needed.isdisjoint(eqn.outvars):
            continue
        if eqn is equations[0] or is_effectful(eqn):
            return None
        needed.update(eqn.inputs)
        found.append(eqn)
    return found[::-1]


def _adds_up(loop: Equation, k: int) -> bool:
    """Whether carry number k of a loop is added to, and neither read nor replaced."""
    is_while = loop.primitive is while_
    body: Jaxpr = loop.params["body" if is_while else "jaxpr"]
    first = loop.params["num_body_consts" if is_while else "num_consts"]
    if is_while:
        ignored = loop.params["num_cond_consts"] + k
        cond: Jaxpr = loop.params["cond"]
        if any(cond.invars[ignored] in e.inputs for e in cond.equations):
            return False
    shifted: Shifted = {body.invars[first + k]: WHOLE}
    for eqn in body.equations:
        if not shifted.keys().isdisjoint(eqn.inputs) and not _follow(eqn, shifted):
            return False
    ends = [i for i, y in enumerate(body.outvars) if y in shifted]
    return ends == [k] and shifted[body.outvars[k]] == WHOLE


def _follow(eqn: Equation, shifted: Shifted) -> bool:
    """Add what an equation makes of shifted operands, if that is shifted, too."""
    which = [i for i, x in enumerate(eqn.inputs) if x in shifted]
    place = shifted[eqn.inputs[which[0]]]
    found: Place | None = None
    if eqn.primitive is add:
        found = place if len(which) == 1 else None
    elif eqn.primitive is sub:
        found = place if which == [0] else None
    elif eqn.primitive is scatter_add:
        found = WHOLE if which == [0] and place == WHOLE else None
    elif eqn.primitive is reshape:
        found = place if place != WHOLE else None
    elif eqn.primitive is select:
        found = place if which == [1, 2] and shifted[eqn.inputs[2]] == place else None
    elif eqn.primitive is dynamic_slice and which == [0] and place == WHOLE:
        found = (*eqn.inputs[1:], eqn.params["sizes"])
    elif eqn.primitive is dynamic_update_slice and which == [0, 1] and place == WHOLE:
        window = (*eqn.inputs[2:], eqn.inputs[1].type.shape)
        found = WHOLE if shifted[eqn.inputs[1]] == window else None
    elif eqn.primitive in (scan, while_):
        return _follow_loop(eqn, which, shifted)
    if found is not None:
        shifted[eqn.outvars[0]] = found
    return found is not None


def _follow_loop(eqn: Equation, which: list[int], shifted: Shifted) -> bool:
    params = eqn.params
    if eqn.primitive is scan:
        first, count = params["num_consts"], params["num_carry"]
    else:
        first = params["num_cond_consts"] + params["num_body_consts"]
        count = len(eqn.inputs) - first
    k = which[0] - first
    if len(which) > 1 or not 0 <= k < count or shifted[eqn.inputs[which[0]]] != WHOLE:
        return False
    if not _adds_up(eqn, k):
        return False
    shifted[eqn.outvars[k]] = WHOLE
    return True

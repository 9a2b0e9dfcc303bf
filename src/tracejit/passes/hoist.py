"""Work that is the same in each round of a loop is done once, ahead of it.

    scan(%w, ...) {                                  %e: f64[3] = exp(%w)
      %1: f64[3] = exp(%w)                     ->    scan(%w, %e, ...) {
      %2: f64[3] = mul(%carry, %1)                     %2: f64[3] = mul(%carry, %e)

Needs: one body (inline); fewer constants look variable behind fold.
Leaves: in bodies, of what depends on constants alone, only views and cheap arithmetic, which cost
less than what is kept in memory for a loop; what comes out of several loops once (cse).
Does not: look into the branches of `cond` (they may not be taken) or conditions of `while`.
"""

from __future__ import annotations

from tracejit.control.loop import while_
from tracejit.control.residuals import CHEAP
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.walk import Substitution, copy_equation
from tracejit.passes.cse import cse
from tracejit.passes.held import Pass, through_held, with_held

#: For each loop: the parameter with its body, that with the number of the body's constants, and
#: that with the number of operands before these.
LOOPS = {
    scan: ("jaxpr", "num_consts", None),
    while_: ("body", "num_body_consts", "num_cond_consts"),
}


def hoist(jaxpr: Jaxpr) -> Jaxpr:
    """Take the constant work out of the loops of a jaxpr."""
    after = _hoist(jaxpr)
    return jaxpr if after is jaxpr else cse(after)


@through_held
def _hoist(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """From the inside to the outside."""
    builder, changed = Builder(), False
    for eqn in jaxpr.equations:
        after = with_held(eqn, inner) if eqn.params else eqn
        if after.primitive in LOOPS:
            after = _without_constant_work(after, builder)
        changed = changed or after is not eqn
        builder.equations.append(after)
    return builder.finish(jaxpr.invars, jaxpr.outvars) if changed else jaxpr


def _without_constant_work(eqn: Equation, builder: Builder) -> Equation:
    """The loop; what has left its body is appended to the builder."""
    name, count, skip = LOOPS[eqn.primitive]
    body: Jaxpr = eqn.params[name]
    first = eqn.params[skip] if skip else 0
    last = first + eqn.params[count]
    constants = body.invars[: eqn.params[count]]
    moved = _constant_work(body, constants)
    if not moved:
        return eqn
    made = [v for e in moved for v in e.outvars]
    env = Substitution(zip(constants, eqn.inputs[first:last], strict=True))
    for e in _behind(body, made):
        copy_equation(e, env, builder)
    rest = tuple(e for e in body.equations if e not in moved)
    read: set[Atom] = {x for e in rest for x in e.inputs}.union(body.outvars)
    handed = [v for v in made if v in read]
    body = Jaxpr((*constants, *handed, *body.invars[len(constants) :]), rest, body.outvars)
    inputs = (*eqn.inputs[:last], *[env[v] for v in handed], *eqn.inputs[last:])
    params = eqn.params | {name: body, count: len(constants) + len(handed)}
    return Equation(eqn.primitive, inputs, params, eqn.outvars, eqn.provenance)


def _constant_work(body: Jaxpr, constants: tuple[Var, ...]) -> dict[Equation, None]:
    """The equations that depend on constants alone and are worth a place in memory."""
    known: set[Atom] = set(constants)
    found: dict[Equation, None] = {}
    for eqn in body.equations:
        fixed = all(isinstance(x, Literal) or x in known for x in eqn.inputs)
        if fixed and not is_effectful(eqn):
            known.update(eqn.outvars)
            if eqn.primitive not in CHEAP:
                found[eqn] = None
    return found


def _behind(body: Jaxpr, made: list[Var]) -> list[Equation]:
    """The equations that some variables need, in order."""
    needed: set[Atom] = set(made)
    found = []
    for eqn in reversed(body.equations):
        if not needed.isdisjoint(eqn.outvars):
            found.append(eqn)
            needed.update(eqn.inputs)
    return found[::-1]

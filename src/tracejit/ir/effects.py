"""Effects: equations that do something beside computing their results.

A primitive with `effects="ordered"` runs as often as the program comes by, in the order in which
it was written: it is neither dropped, merged, moved past another one nor taken out of a loop. So
is an operation that holds a jaxpr with such an equation.
"""

from __future__ import annotations

from collections.abc import Sequence
from weakref import WeakKeyDictionary

from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.walk import held_jaxprs

_known: WeakKeyDictionary[Jaxpr, bool] = WeakKeyDictionary()


def is_effectful(eqn: Equation) -> bool:
    """Whether an equation has an effect, itself or in a jaxpr that it holds."""
    if eqn.primitive.effects == "ordered":
        return True
    return bool(eqn.params) and any(has_effects(body) for _, body in held_jaxprs(eqn))


def has_effects(jaxpr: Jaxpr) -> bool:
    """Whether an equation of a jaxpr has an effect."""
    found = _known.get(jaxpr)
    if found is None:
        found = _known[jaxpr] = any(map(is_effectful, jaxpr.equations))
    return found


def without_effects(jaxpr: Jaxpr) -> Jaxpr:
    """The same results without the effects that they do not need: for what runs a second time."""
    if not has_effects(jaxpr):
        return jaxpr
    return Jaxpr(jaxpr.invars, tuple(_needed(jaxpr)), jaxpr.outvars)


def _needed(jaxpr: Jaxpr) -> Sequence[Equation]:
    """The equations that the results of a jaxpr need, in order."""
    needed = {y for y in jaxpr.outvars if isinstance(y, Var)}
    kept: list[Equation] = []
    for eqn in reversed(jaxpr.equations):
        if not needed.isdisjoint(eqn.outvars):
            kept.append(quiet(eqn) or eqn)
            needed.update(x for x in eqn.inputs if isinstance(x, Var))
    return kept[::-1]


def quiet(eqn: Equation) -> Equation | None:
    """An equation without the effects that its results do not need; None where it has none."""
    if not eqn.outvars and is_effectful(eqn):
        return None
    if not is_effectful(eqn) or eqn.primitive.effects == "ordered":
        return eqn
    params = dict(eqn.params)
    for name, value in eqn.params.items():
        if isinstance(value, Jaxpr):
            params[name] = without_effects(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], Jaxpr):
            params[name] = tuple(map(without_effects, value))
    return Equation(eqn.primitive, eqn.inputs, params, eqn.outvars, eqn.provenance)

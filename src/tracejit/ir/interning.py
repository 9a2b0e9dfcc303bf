"""One jaxpr for all that say the same: what was made of it is then found again.

    first = interned(trace_of(f))     the jaxpr itself
    again = interned(trace_of(f))     `first`, if the second trace says what the first one said

A trace of a function makes new variables each time, so that no two jaxprs are equal. Whoever
traces anew in each call, as an uncompiled `grad` does, interns what came out: derivatives that
were taken of it are remembered (`transforms.memo`), and so is its machine code.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Jaxpr

#: So many jaxprs are kept at most, of at most so many equations.
KEPT, LONGEST = 512, 10_000

_kept: dict[Hashable, Jaxpr] = {}


def interned(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr of this structure that was given first; itself if it is new, or very long."""
    if len(jaxpr.equations) > LONGEST:
        return jaxpr
    try:
        key = structure(jaxpr)
        found = _kept.get(key)
    except TypeError:  # a parameter without a hash, or of one call
        return jaxpr
    if found is None:
        if len(_kept) >= KEPT:
            _kept.clear()
        found = _kept[key] = jaxpr
    return found


def structure(jaxpr: Jaxpr) -> Hashable:
    """Equal for jaxprs that differ in the identity of their variables alone: operations, operands,
    parameters, types and the user's lines are the same.

    Types count by identity: there is one object for each as long as a jaxpr has it. TypeError
    (from whoever hashes it) where a parameter cannot be hashed, or belongs to one call (a rule, a
    callback: `of_one_call`), whose numbers would live as long as the jaxpr.
    """
    numbers: dict[Atom, int] = {}
    key: list[Any] = [len(jaxpr.invars)]
    for v in jaxpr.invars:
        numbers[v] = len(numbers)
        key.append(id(v.type))
    for primitive, inputs, params, outvars, where in jaxpr.equations:
        key += primitive, where.file, where.line
        key += [numbers[x] if x.__class__ is Var else x for x in inputs]
        for name, value in params.items():
            key += name, _comparable(value)
        for v in outvars:
            numbers[v] = len(numbers)
            key.append(id(v.type))
    key += [numbers[x] if x.__class__ is Var else x for x in jaxpr.outvars]
    return tuple(key)


def _comparable(value: Any) -> Any:
    """A parameter so that what is equal means the same: 0.0 is neither 0 nor -0.0."""
    if isinstance(value, Jaxpr):
        return structure(value)
    if value.__class__ is tuple:
        return tuple([_comparable(x) for x in value])
    if getattr(value, "of_one_call", False):
        raise TypeError("what belongs to one call alone never comes again")
    return value.__class__, repr(value) if value.__class__ is float else value

"""What all passes share: the way into jaxprs that equations hold, and renaming of operands."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr

Pass = Callable[[Jaxpr], Jaxpr]


def through_held(step: Callable[[Jaxpr, Pass], Jaxpr]) -> Pass:
    """The pass that `step(jaxpr, inner)` describes; `inner` is the pass for the jaxprs it holds.

    A jaxpr that is held in several places is worked on once and stays shared.
    """

    @wraps(step)
    def run(jaxpr: Jaxpr) -> Jaxpr:
        done: dict[Jaxpr, Jaxpr] = {}

        def inner(held: Jaxpr) -> Jaxpr:
            if held not in done:
                done[held] = step(held, inner)
            return done[held]

        return inner(jaxpr)

    return run


def with_inputs(eqn: Equation, inputs: tuple[Atom, ...]) -> Equation:
    """The equation with other operands of the same types."""
    return Equation(eqn.primitive, inputs, eqn.params, eqn.outvars, eqn.provenance)


def with_held(eqn: Equation, inner: Pass) -> Equation:
    """The equation with a pass run on the jaxprs it holds; itself if none of them changes."""
    params: dict[str, Any] = {}
    for name, value in eqn.params.items():
        if isinstance(value, Jaxpr):
            after: Any = inner(value)
            if after is not value:
                params[name] = after
        elif isinstance(value, tuple) and value and isinstance(value[0], Jaxpr):
            after = tuple([inner(held) for held in value])
            if any(a is not b for a, b in zip(after, value, strict=True)):
                params[name] = after
    if not params:
        return eqn
    return Equation(eqn.primitive, eqn.inputs, eqn.params | params, eqn.outvars, eqn.provenance)


class Renaming(dict[Var, Atom]):
    """What stands for a variable of the same jaxpr, where another atom does."""

    def atom(self, x: Atom) -> Atom:
        return x if isinstance(x, Literal) else self.get(x, x)  # type: ignore[call-overload]

    def all(self, xs: tuple[Atom, ...]) -> tuple[Atom, ...]:
        """The operands, renamed; the same tuple if none of them is."""
        if not self:
            return xs
        for x in xs:
            if x.__class__ is Var and x in self:
                return tuple([self.atom(y) for y in xs])
        return xs

    def equation(self, eqn: Equation) -> Equation:
        """The equation with its operands renamed; itself if none of them is."""
        inputs = self.all(eqn.inputs)
        return eqn if inputs is eqn.inputs else with_inputs(eqn, inputs)

"""Constants and identities.

    %1: f64[3] = mul(2.0, %0)                      %1: f64[3] = mul(%0, 2.0)
    %2: f64[3] = add(%1, 0.0)                ->    %4: f64[3] = sub(%1, 2.0)
    %3: f64[3] = exp(0.6931471805599453: f64[3])
    %4: f64[3] = sub(%2, %3)

Needs: the last transform behind it, as it erases `stop_gradient`.
Leaves: literals to the right in commutative operations; no rule of `rules` applies any more.
Does not: drop what is no longer read (dce), compute arrays that are no splats.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ops.elementwise import convert
from tracejit.ops.structure import broadcast
from tracejit.passes.held import Pass, Renaming, through_held, with_held
from tracejit.passes.rules import (
    contraction,
    elementwise,
    indexing,
    linalg,
    reduction,
    structure,
)
from tracejit.passes.rules.table import TABLE, Rules

#: Their import fills the table.
FAMILIES = (elementwise, structure, reduction, contraction, indexing, linalg)


@through_held
def fold(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """Apply the rules to each equation, operands first."""
    folder = Folder(jaxpr)
    with building(folder):
        for eqn in jaxpr.equations:
            folder.take(with_held(eqn, inner) if eqn.params else eqn)
    outvars = folder.renaming.all(jaxpr.outvars)
    if len(folder.equations) == len(jaxpr.equations) and outvars is jaxpr.outvars:
        pairs = zip(folder.equations, jaxpr.equations, strict=True)
        if all(after is before for after, before in pairs):
            return jaxpr
    return Jaxpr(jaxpr.invars, tuple(folder.equations), outvars)


class Folder(Builder):
    """A builder that simplifies what is bound in it."""

    def __init__(self, jaxpr: Jaxpr) -> None:
        super().__init__()
        self.jaxpr = jaxpr
        self.renaming = Renaming()
        self.origin: dict[Atom, Equation] = {}

    @cached_property
    def shared(self) -> set[Atom]:
        """What the program reads more than once."""
        reads = Counter(x for eqn in self.jaxpr.equations for x in eqn.inputs)
        reads.update(self.jaxpr.outvars)
        return {x for x, n in reads.items() if n > 1}

    def take(self, eqn: Equation) -> None:
        """Append an equation of the program, or remember what stands for its result."""
        eqn = self.renaming.equation(eqn)
        self.provenance = eqn.provenance
        outs = self.simplify(eqn.primitive, eqn.inputs, eqn.params)
        if outs is None:
            self.equations.append(eqn)
            for var in eqn.outvars:
                self.origin[var] = eqn
        else:
            self.renaming.update(zip(eqn.outvars, outs, strict=True))

    def emit(
        self, primitive: Primitive, inputs: Sequence[Atom], params: dict[str, Any]
    ) -> tuple[Any, ...]:
        """Bind what a rule made, folded in its turn."""
        outs = self.simplify(primitive, inputs, params)
        if outs is not None:
            return outs
        variables = super().emit(primitive, inputs, params)
        for var in variables:
            self.origin[var] = self.equations[-1]
        return variables

    def simplify(
        self, primitive: Primitive, inputs: Sequence[Atom], params: dict[str, Any]
    ) -> tuple[Atom, ...] | None:
        """What stands for the results, or None."""
        if inputs and inputs[-1].__class__ is Literal and primitive.is_pointwise:
            literals = [x for x in inputs if isinstance(x, Literal)]
            if len(literals) == len(inputs):
                constant = compute(primitive, literals, params)
                if constant is not None:
                    return constant
        rules = TABLE.get(primitive)
        out = None if rules is None else self.apply(rules, inputs, params)
        if out is None and primitive.is_pointwise and primitive.single:
            out = self.before_broadcast(primitive, inputs, params)
        return None if out is None else (out,)

    def before_broadcast(
        self, primitive: Primitive, inputs: Sequence[Atom], params: dict[str, Any]
    ) -> Atom | None:
        """f(broadcast(x), c) -> broadcast(f(x, c)): computed on fewer elements."""
        first = None
        for x in inputs:
            if x.__class__ is not Literal:
                first = self.origin.get(x)
                break
        if first is None or first.primitive is not broadcast:
            return None
        (source,), dims = first.inputs, first.params["dims"]
        if source.type.size >= inputs[0].type.size:
            return None
        sources: list[Atom] = []
        for x in inputs:
            if isinstance(x, Literal):
                sources.append(structure.splat(x, source.shape))
                continue
            view = self.origin.get(x)
            if view is None or view.primitive is not broadcast or view.params["dims"] != dims:
                return None
            sources.append(view.inputs[0])
        return broadcast(primitive(*sources, **params), **first.params)

    def apply(self, rules: Rules, inputs: Sequence[Atom], params: dict[str, Any]) -> Atom | None:
        """The answer of the first rule that has one."""
        for rule in rules.always:
            out = rule(*inputs, **params)
            if out is not None:
                return out
        before: tuple[Equation, ...]
        for position, x in enumerate(inputs):
            if isinstance(x, Literal):
                candidates, before = rules.literal.get(position, ()), ()
            elif rules.over and (origin := self.origin.get(x)) is not None:
                candidates, before = rules.over.get((position, origin.primitive), ()), (origin,)
            else:
                continue
            for rule in candidates:
                out = rule(*before, *inputs, **params)
                if out is not None:
                    return out
        return None


def compute(
    primitive: Primitive, inputs: Sequence[Literal], params: dict[str, Any]
) -> tuple[Literal, ...] | None:
    """The results for splats: one number each, computed by NumPy."""
    if primitive is convert and not elementwise.is_foldable_conversion(inputs[0], params):
        return None
    numbers = [np.asarray(x.value, x.dtype) for x in inputs]
    types = primitive.typing(*[x.type for x in inputs], **params)
    with np.errstate(all="ignore"):
        values = primitive.evaluate(*numbers, **params)
    return tuple(
        Literal(np.asarray(y, type.dtype).item(), type)
        for y, type in zip(values, types, strict=True)
    )

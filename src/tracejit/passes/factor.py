"""Factors of sums: a sum is not computed again because a factor came to its terms.

    %3: f64[] = reduce_sum(%0, axes=(0,))               %3: f64[] = reduce_sum(%0, axes=(0,))
    %4: f64[9] = broadcast(%1, dims=(), shape=(9,))
    %5: f64[9] = mul(%4, %0)                       ->
    %6: f64[] = reduce_sum(%5, axes=(0,))               %6: f64[] = mul(%3, %1)

So it is in the gradient of a mean, of a norm, or of log(sum(exp(x))), whose sum was needed before.
Only the factors of a sum that is there already are taken out: what overflows has overflowed there.

Needs: nothing. Leaves: the products unread (dce).
Does not: keep the rounding of the products.
"""

from __future__ import annotations

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ops.elementwise import mul, neg
from tracejit.ops.structure import broadcast, reduce_sum
from tracejit.passes.held import Pass, Renaming, through_held, with_held

Axes = tuple[int, ...]


class _Factors:
    """The sums of a jaxpr, and what is behind their terms."""

    def __init__(self) -> None:
        self.makers: dict[Atom, Equation] = {}
        self.sums: dict[tuple[Atom, Axes], Var] = {}

    def look(self, eqn: Equation) -> list[Equation] | None:
        """Remember an equation; where it is a sum with factors of one that is known, the equations
        (neg, mul) that bring them, from the inside, the last of them first."""
        found = self._of_sum(eqn) if eqn.primitive is reduce_sum else None
        for v in eqn.outvars:
            self.makers[v] = eqn
        return found

    def _of_sum(self, eqn: Equation) -> list[Equation] | None:
        (x,), axes = eqn.inputs, eqn.params["axes"]
        if x.dtype.kind != "f":
            return None
        path: list[Equation] = []
        inner: Atom = x
        while (step := self._step(inner, axes)) is not None:
            path.append(step)
            inner = self.terms(step, axes)
            if (inner, axes) in self.sums:
                return path
        self.sums[x, axes] = eqn.outvars[0]
        return None

    def _step(self, x: Atom, axes: Axes) -> Equation | None:
        """The equation that gives x a factor, if one does."""
        eqn = self.makers.get(x)
        if eqn is None or eqn.primitive not in (neg, mul):
            return None
        if eqn.primitive is mul and not any(self.is_factor(y, axes) for y in eqn.inputs):
            return None
        return eqn

    def is_factor(self, x: Atom, axes: Axes) -> bool:
        """Whether x is the same along the axes."""
        if isinstance(x, Literal):
            return True
        eqn = self.makers.get(x)
        if eqn is None or eqn.primitive is not broadcast:
            return False
        return not set(eqn.params["dims"]) & set(axes)

    def terms(self, eqn: Equation, axes: Axes) -> Atom:
        """The operand that is not the factor."""
        if eqn.primitive is neg:
            return eqn.inputs[0]
        x, y = eqn.inputs
        return x if self.is_factor(y, axes) else y

    def times(self, total: Atom, eqn: Equation, axes: Axes) -> Atom:
        """A sum with one factor more."""
        if eqn.primitive is neg:
            return neg(total)
        x, y = eqn.inputs
        factor = y if self.is_factor(y, axes) else x
        if isinstance(factor, Literal):
            return mul(total, Literal(factor.value, total.type))
        maker = self.makers[factor]
        dims = tuple(d - sum(a < d for a in axes) for d in maker.params["dims"])
        (small,) = maker.inputs
        if small.shape != total.shape:
            small = broadcast(small, dims=dims, shape=total.shape)
        return mul(total, small)


@through_held
def factor(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """Take factors out of sums that are known without them."""
    factors = _Factors()
    equations = [with_held(eqn, inner) if eqn.params else eqn for eqn in jaxpr.equations]
    paths = [factors.look(eqn) for eqn in equations]
    if not any(paths):
        same = all(a is b for a, b in zip(equations, jaxpr.equations, strict=True))
        return jaxpr if same else Jaxpr(jaxpr.invars, tuple(equations), jaxpr.outvars)
    renaming = Renaming()
    with building() as builder:
        for eqn, path in zip(equations, paths, strict=True):
            if not path:
                builder.equations.append(renaming.equation(eqn))
                continue
            builder.provenance, axes = eqn.provenance, eqn.params["axes"]
            total: Atom = factors.sums[factors.terms(path[-1], axes), axes]
            for step in reversed(path):
                total = factors.times(total, renaming.equation(step), axes)
            renaming[eqn.outvars[0]] = total
    return builder.finish(jaxpr.invars, renaming.all(jaxpr.outvars))

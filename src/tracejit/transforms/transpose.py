"""Transpose: from a linear jaxpr, the adjoint.

    fn(c, t) { u = mul(c, t); return u }      ->      fn(c, ct) { s = mul(ct, c); return s }

Known inputs stay inputs. Equations are visited backwards; a variable that is read twice receives
the sum of two cotangents.

A cotangent that passed a `select` is zero where the other side was taken, and must stay zero when
it is multiplied by a derivative that is inf or NaN there: products behind a select go through
`keep_zeros`. Programs without select pay nothing. An operation that holds jaxprs is told, by
`guarded`, whether such cotangents come to it; and counts as a select if a body of its has one.

In reverse mode of reverse mode such a cotangent, 0 on the untaken side, is a known factor, and what
it is multiplied by may be infinite there: products with a known guard of a `keep_zeros` go through
one, too.
"""

from __future__ import annotations

from collections.abc import Sequence, Set

from tracejit.errors import MissingRuleError
from tracejit.ir.atoms import Atom, Var, is_zero, zero
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Unknown
from tracejit.ir.types import TAPE
from tracejit.ir.walk import Substitution, copy_equation, held_jaxprs
from tracejit.ops.elementwise import add, keep_zeros
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import remembered


def summed(before: Atom, ct: Atom) -> Atom:
    """The sum of two cotangents; of tapes there is none."""
    if ct.dtype == TAPE:
        raise MissingRuleError(
            "reverse mode of a derivative in reverse mode, through nested loops whose lengths "
            "are known at run time alone, is not defined",
            hint="compile all of it: tracejit.jit(grad(grad(f))) does without tapes; or take the "
            "outer derivative in forward mode: jvp, jacfwd or linearize of grad",
        )
    return add(before, ct)


class Cotangents:
    """The cotangent of each variable so far, and which of them hold zeros that have to stay;
    factors: known variables that do."""

    def __init__(self, factors: frozenset[Atom] = frozenset()) -> None:
        self.of: dict[Var, Atom] = {}
        self.factors = factors
        self.guarded: set[Atom] = set()

    def add(self, x: Atom, ct: Atom | None, *, guarded: bool = False) -> None:
        if ct is None or is_zero(ct) or not isinstance(x, Var):
            return
        before = self.of.get(x)
        total = ct if before is None else summed(before, ct)
        if guarded or (before is not None and before in self.guarded):
            self.guarded.add(total)
        self.of[x] = total

    def read(self, x: Atom) -> Atom:
        known = self.of.get(x) if isinstance(x, Var) else None
        return zero(x.type) if known is None else known


@remembered
def transpose(jaxpr: Jaxpr, linear: Mask, guarded: bool = False) -> Jaxpr:
    """The adjoint with respect to the inputs marked linear.

    Takes the other inputs, then a cotangent for each output; gives a cotangent for each linear
    input (a zero literal where nothing arrives). `guarded`: zeros among the former have to stay.
    """
    unknown = {v for v, m in zip(jaxpr.invars, linear, strict=True) if m}
    with building() as builder:
        known = Substitution((v, Var(v.type)) for v in jaxpr.invars if v not in unknown)
        invars = list(known.values())
        pending = []
        for eqn in jaxpr.equations:
            if any(x in unknown for x in eqn.inputs):
                pending.append(eqn)
                unknown.update(eqn.outvars)
            else:
                copy_equation(eqn, known, builder)
        cts = Cotangents(_guards(pending, unknown))
        for y in jaxpr.outvars:
            ct = Var(y.type)
            invars.append(ct)
            cts.add(y, ct, guarded=guarded)
        for eqn in reversed(pending):
            _pull_back(eqn, known, unknown, cts, builder)
        outs = [cts.read(v) for v, m in zip(jaxpr.invars, linear, strict=True) if m]
    return builder.finish(invars, outs)  # type: ignore[arg-type]


def _pull_back(
    eqn: Equation, known: Substitution, unknown: set[Var], cts: Cotangents, builder: Builder
) -> None:
    """Transpose one equation: from the cotangents of its results to those of its linear inputs."""
    outs = [cts.read(v) for v in eqn.outvars]
    if all(map(is_zero, outs)):
        return
    rule = eqn.primitive.transpose
    if rule is None:
        raise _not_linear(eqn, ", so it has no transpose")
    builder.provenance = eqn.provenance.derived(eqn, "transpose")
    inputs = [Unknown(x.type) if x in unknown else known(x) for x in eqn.inputs]
    behind_select = any(ct in cts.guarded for ct in outs)
    holds = {"guarded": behind_select} if eqn.primitive.split else {}
    count = len(builder.equations)
    results = rule(outs, inputs, **holds, **eqn.params)
    if any(x.__class__ is Unknown for made in builder.equations[count:] for x in made.inputs):
        raise _not_linear(eqn, " in the operands that depend on the argument")
    guarded = behind_select or masks(eqn)
    for x, ct in zip(eqn.inputs, results, strict=True):
        if ct is not None and x in unknown:
            if eqn.primitive.scales and ct is not outs[0] and ct.type.is_inexact:
                if behind_select:
                    ct = keep_zeros(ct, outs[0])
                for factor in filter(cts.factors.__contains__, eqn.inputs):
                    ct = keep_zeros(ct, known(factor))
            cts.add(x, ct, guarded=guarded)


def _not_linear(eqn: Equation, why: str) -> MissingRuleError:
    return MissingRuleError(
        f"{eqn.primitive.name} is not linear{why}", where=eqn.provenance,
        hint="functions for linear_transpose are linear; so are, in the tangents, rules of "
        "custom_jvp that reverse mode goes through",
    )  # fmt: skip


def _guards(equations: Sequence[Equation], unknown: Set[Var]) -> frozenset[Atom]:
    """What is known of what keeps zeros in a linear program."""
    kept = [eqn for eqn in equations if eqn.primitive is keep_zeros]
    guards = {x for eqn in kept for x in eqn.inputs[1:] if isinstance(x, Var)}
    return frozenset(guards - unknown)


def masks(eqn: Equation) -> bool:
    """Whether an equation gives cotangents zeros that have to stay: itself, or within a body."""
    return eqn.primitive.masks or any(masks_within(body) for _, body in held_jaxprs(eqn))


@remembered
def masks_within(jaxpr: Jaxpr) -> bool:
    """Whether an equation of a jaxpr does."""
    return any(map(masks, jaxpr.equations))

"""What runs when equations run one by one: each into a new array, freed after its last reader."""

from __future__ import annotations

from tracejit.backends.explanation import Array, Explanation, Step
from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.printing import Names, print_provenance
from tracejit.ir.walk import last_uses


def explain(jaxpr: Jaxpr, name: str) -> Explanation:
    """A step for each equation; what an equation holds counts as one with it."""
    names, last = Names(jaxpr), last_uses(jaxpr)
    steps = []
    live: dict[Var, Array] = {}
    peak: tuple[Array, ...] = ()
    for index, eqn in enumerate(jaxpr.equations):
        arrays = {v: _array(eqn, v, names) for v in eqn.outvars}
        live |= {v: array for v, array in arrays.items() if v not in jaxpr.outvars}
        if sum(x.nbytes for x in live.values()) > sum(x.nbytes for x in peak):
            peak = tuple(live.values())
        read = sum(x.type.nbytes for x in {x for x in eqn.inputs if isinstance(x, Var)})
        written = sum(x.nbytes for x in arrays.values())
        steps.append(
            Step(
                eqn.primitive.name, arrays=tuple(arrays.values()), bytes_read=read,
                bytes_written=written,
            )  # fmt: skip
        )
        for v in last.get(index, ()):
            live.pop(v, None)
    return Explanation(
        name, "eager", tuple(steps), sum(t.nbytes for t in jaxpr.in_types),
        sum(t.nbytes for t in jaxpr.out_types), sum(x.nbytes for x in peak), peak,
    )  # fmt: skip


def _array(eqn: Equation, v: Var, names: Names) -> Array:
    where, place = print_provenance(eqn.provenance), "in an array of its own"
    return Array(names[v], str(v.type), eqn.primitive.name, where, place, "", v.type.nbytes)

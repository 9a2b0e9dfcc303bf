"""Arrays of one element are computed as numbers.

    %1: f64[1,1] = dynamic_slice(%x, %i, %j)         %1: f64[1,1] = dynamic_slice(%x, %i, %j)
    %2: f64[1,1] = mul(%1, 0.5)                 ->   %n: f64[]    = reshape(%1)
    dynamic_update_slice(%x, %2, %i, %j)             %m: f64[]    = mul(%n, 0.5)
                                                     %2: f64[1,1] = reshape(%m)
                                                     dynamic_update_slice(%x, %2, %i, %j)

A number is computed once, stays in a register, and is read before what it was read from is written;
an array of one element would be computed where it is read, or lie in memory. So is what is spread
from one element.

Leaves: a reshape for each operand, to be merged (cse), and reshapes of reshapes (fold).
"""

from __future__ import annotations

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import array_type
from tracejit.ops.structure import broadcast, reshape
from tracejit.passes.held import Pass, through_held, with_held


@through_held
def numbers(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
    """The jaxpr, pointwise operations on one element done on numbers; itself if there are none."""
    changed = False
    with building() as builder:
        for eqn in jaxpr.equations:
            builder.provenance = eqn.provenance
            after = _on_numbers(builder, with_held(eqn, inner) if eqn.params else eqn)
            builder.equations.append(after)
            changed = changed or after is not eqn
    return Jaxpr(jaxpr.invars, tuple(builder.equations), jaxpr.outvars) if changed else jaxpr


def _on_numbers(builder: Builder, eqn: Equation) -> Equation:
    """What makes the results of an equation, behind what is appended here."""
    if len(eqn.outvars) != 1 or not eqn.outvars[0].ndim:
        return eqn
    (out,) = eqn.outvars
    if eqn.primitive.is_pointwise and out.type.size == 1:
        number = Var(array_type(out.dtype))
        inputs = tuple([_number(x) for x in eqn.inputs])
        builder.equations.append(eqn._replace(inputs=inputs, outvars=(number,)))
        return eqn._replace(primitive=reshape, inputs=(number,), params={"shape": out.shape})
    if eqn.primitive is broadcast and eqn.inputs[0].ndim and eqn.inputs[0].type.size == 1:
        inputs = (_number(eqn.inputs[0]),)
        if out.type.size == 1:
            return eqn._replace(primitive=reshape, inputs=inputs, params={"shape": out.shape})
        return eqn._replace(inputs=inputs, params={"dims": (), "shape": out.shape})
    return eqn


def _number(x: Atom) -> Atom:
    """The only element of an operand."""
    if isinstance(x, Literal):
        return Literal(x.value, array_type(x.dtype))
    return reshape(x, shape=()) if x.ndim else x

"""The members of a batch, one after the other: for what cannot be done for all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.control.bodies import leave, pick
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.primitive import Primitive


def one_by_one(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool],
    call: Callable[[Sequence[Atom]], Sequence[Atom]],
) -> Sequence[Atom]:  # fmt: skip
    """`call` for the members of a batch, one after the other: a loop."""
    with building() as builder:
        rows = [
            Var(x.type.with_shape(x.shape[1:]) if many else x.type)
            for x, many in zip(inputs, batched, strict=True)
        ]
        outs = call(rows)
        consts = leave(rows, batched)
        body = builder.finish([*consts, *pick(rows, batched)], outs)
    operands = [*leave(inputs, batched), *pick(inputs, batched)]
    return Primitive.registry["scan"].bind(
        *operands, jaxpr=body, length=size, reverse=False, num_consts=len(consts), num_carry=0
    )

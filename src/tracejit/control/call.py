"""call: a jaxpr as one operation, what a jit inside a traced function becomes.

A pass inlines it; until then transforms work on the body once, however often it is called.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.control.bodies import (
    check_operands,
    keep_inputs,
    keep_outputs,
    leave,
    nonzero_mask,
    pick,
    placed,
    read_inputs,
    spread,
    zero_tangents,
)
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.effects import has_effects
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive, Unknown
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import evaluate
from tracejit.ops.structure import batch_all
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms import linearize, transpose
from tracejit.transforms.jvp import Mask

Equations = list[Equation]


def _typing(*types: ArrayType, jaxpr: Jaxpr, name: str) -> tuple[ArrayType, ...]:
    check_operands("call", jaxpr, types)
    return jaxpr.out_types


def push(
    primitive: Primitive, primals: Sequence[Atom], tangents: Sequence[Atom], *, jaxpr: Jaxpr,
    **params: Any,
) -> tuple[Sequence[Atom], Sequence[Atom]]:  # fmt: skip
    """The jvp of a primitive that gives the results of its jaxpr."""
    nonzero = nonzero_mask(tangents)
    body, live = forward.jvp(jaxpr, nonzero)
    results = primitive.bind(*primals, *pick(tangents, nonzero), jaxpr=body, **params)
    outs, ts = results[: len(live)], results[len(live) :]
    return outs, spread(ts, live, zero_tangents(jaxpr.out_types))


def _split(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """A call of the known part and one of the linear part.

    Residuals that are inputs of the body are read from where the call read them.
    """
    jaxpr = eqn.params["jaxpr"]
    parts = linearize.split(jaxpr, tuple(unknown))
    known_outs = leave(eqn.outvars, parts.unknown)
    source: dict[Atom, Atom] = dict(
        zip(parts.known.outvars[: len(known_outs)], known_outs, strict=True)
    )
    source.update(zip(jaxpr.invars, eqn.inputs, strict=True))
    made = [r for r in parts.linear.invars[: parts.residuals] if r not in source]
    source.update((r, Var(r.type)) for r in made)
    results = (*parts.known.outvars[: len(known_outs)], *made)
    known = Jaxpr(parts.known.invars, parts.known.equations, results)
    outvars = (*known_outs, *[source[r] for r in made])
    residuals = [source[r] for r in parts.linear.invars[: parts.residuals]]
    late = [*residuals, *pick(eqn.inputs, unknown)]
    return (
        _part(eqn, known, leave(eqn.inputs, unknown), outvars),
        _part(eqn, parts.linear, late, pick(eqn.outvars, parts.unknown)),
    )


def _part(eqn: Equation, jaxpr: Jaxpr, inputs: Sequence[Atom], outvars: Sequence[Any]) -> Equations:
    """The call of a part, if it has results or effects."""
    params = eqn.params | {"jaxpr": jaxpr}
    part = Equation(eqn.primitive, tuple(inputs), params, tuple(outvars), eqn.provenance)
    return [part] if outvars or has_effects(jaxpr) else []


def pull(
    primitive: Primitive, cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool,
    jaxpr: Jaxpr, **params: Any,
) -> Sequence[Atom | None]:  # fmt: skip
    """The transpose of a primitive that gives the results of its jaxpr."""
    linear = tuple(isinstance(x, Unknown) for x in inputs)
    nonzero = nonzero_mask(cts)
    back = transpose.transpose(keep_outputs(jaxpr, nonzero), linear, guarded)
    arrives = nonzero_mask(back.outvars)
    back = keep_outputs(back, arrives)
    outs = primitive.bind(*leave(inputs, linear), *pick(cts, nonzero), jaxpr=back, **params)
    return placed(outs, arrives, linear)


def widen(
    primitive: Primitive, size: int, inputs: Sequence[Atom], batched: Sequence[bool], *,
    jaxpr: Jaxpr, **params: Any,
) -> Sequence[Atom]:  # fmt: skip
    """The batch rule of a primitive that gives the results of its jaxpr."""
    body, live = batching.batch(jaxpr, size, tuple(batched))
    return batch_all(size, primitive.bind(*inputs, jaxpr=body, **params), live)


def prune_call(eqn: Equation, used: Mask) -> Equation:
    """The call without results that are not used, and without operands that it then ignores."""
    jaxpr = keep_outputs(eqn.params["jaxpr"], used)
    read = read_inputs(jaxpr)
    if all(used) and all(read):
        return eqn
    params = eqn.params | {"jaxpr": keep_inputs(jaxpr, read)}
    inputs, outvars = tuple(pick(eqn.inputs, read)), tuple(pick(eqn.outvars, used))
    return Equation(eqn.primitive, inputs, params, outvars, eqn.provenance)


call: Primitive = Primitive(
    "call", typing=_typing, evaluate=lambda *xs, jaxpr, name: evaluate(jaxpr, *xs),
    jvp=Joint(lambda *xs, **params: push(call, *xs, **params)),
    transpose=lambda *xs, **params: pull(call, *xs, **params),
    batch=lambda *xs, **params: widen(call, *xs, **params), split=_split,
    single=False, defaults={"name": ""},
    doc="The results of a jaxpr for these operands; `name` is for people.",
)  # fmt: skip

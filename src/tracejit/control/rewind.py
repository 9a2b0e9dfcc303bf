"""rewind: a linear loop that finds what it needs of arrays by carrying them back.

    carry, ys = rewind(*fixed, *last, *rows, *consts, *init, *xs)
    restore: (*fixed, *state behind a round, *row) -> (*state before it, *residuals)
    body:    (*consts, *carry, *residuals, *row) -> (*carry, *row)

A scan that updates arrays in place keeps what it overwrites (see undo.py), and this is its linear
half. Its adjoint is one scan, which runs the other way and begins each round with `restore`. To run
it forwards takes two: one goes back and stacks the residuals, the other reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.control.bodies import divide, nonzero_mask, pick, spread, zero_tangents
from tracejit.control.parts import Restoring, cut, needed
from tracejit.control.tape import stacked
from tracejit.control.turning import all_carries_linear, turn_round
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive
from tracejit.ir.types import ArrayType, type_of
from tracejit.ir.walk import evaluate, inline
from tracejit.ops.structure import batch_all
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward


def _parted(
    inputs: Sequence[Any], params: dict[str, Any]
) -> tuple[Restoring, Sequence[Any], dict[str, Any]]:
    """What restores, and the operands and parameters of the linear loop."""
    rest = dict(params)
    restore, fixed, states = (rest.pop(n) for n in ("restore", "num_fixed", "num_states"))
    known, others = divide(inputs, len(restore.invars))
    made = [Var(stacked(t, params["length"])) for t in restore.out_types[states:]]
    consts, init, xs = divide(others, params["num_consts"], params["num_carry"])
    operands = [*consts, *init, *made, *xs]
    return Restoring(restore, known, fixed, states, made), operands, rest


def _plainly(inputs: Sequence[Any], params: dict[str, Any]) -> Jaxpr:
    """A rewind as a jaxpr: one loop stacks the residuals, going back; the other one reads them."""
    names = [Var(x.type) for x in inputs]
    restoring, operands, rest = _parted(names, params)
    states = restoring.num_states
    with building() as builder:
        scan = Primitive.registry["scan"]
        made = scan.bind(
            *restoring.operands, jaxpr=restoring.restore, length=rest["length"],
            reverse=not rest["reverse"], num_consts=restoring.num_fixed, num_carry=states,
        )[states:]  # fmt: skip
        env = dict(zip(restoring.made, made, strict=True))
        outs = scan.bind(*[env.get(x, x) for x in operands], **rest)
    return builder.finish(names, outs)


def plain(eqn: Equation) -> Jaxpr:
    """A rewind as two scans."""
    return _plainly([Var(x.type) for x in eqn.inputs], eqn.params)


def _rewind_typing(*types: ArrayType, **params: Any) -> tuple[ArrayType, ...]:
    return _plainly([Var(t) for t in types], params).out_types


def _rewind_evaluate(*arrays: Any, **params: Any) -> tuple[Any, ...]:
    jaxpr = _plainly([Var(type_of(np.asarray(x))) for x in arrays], params)
    return evaluate(jaxpr, *arrays)


def _rewind_jvp(
    primals: Sequence[Atom], tangents: Sequence[Atom], **params: Any
) -> tuple[Sequence[Atom], Sequence[Atom]]:
    nonzero = nonzero_mask(tangents)
    pushed, live = forward.jvp(_plainly(primals, params), nonzero)
    outs, ts = divide(inline(pushed, [*primals, *pick(tangents, nonzero)]), len(live))
    return outs, spread(ts, live, zero_tangents([y.type for y in outs]))


def _rewind_batch(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], **params: Any
) -> Sequence[Atom]:
    types = [x.type.with_shape(x.shape[1:]) if b else x.type
             for x, b in zip(inputs, batched, strict=True)]  # fmt: skip
    body, live = batching.batch(_plainly([Var(t) for t in types], params), size, tuple(batched))
    return batch_all(size, inline(body, inputs), live)


def _rewind_transpose(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, **params: Any
) -> Sequence[Atom | None]:
    restoring, operands, rest = _parted(inputs, params)
    keep_in, keep_out = needed(rest, nonzero_mask(cts))
    rest, kept = cut(rest, keep_in, keep_out), pick(operands, keep_in)
    cts = pick(cts, keep_out)
    assert all_carries_linear(kept, rest), "a rewind is linear in all that it carries"
    back = turn_round(cts, kept, guarded=guarded, restoring=restoring, **rest)
    outs = spread(back, keep_in, [None] * len(operands))
    made = set(restoring.made)
    found = [ct for x, ct in zip(operands, outs, strict=True) if x not in made]
    return [*[None] * len(restoring.operands), *found]


rewind = Primitive(
    "rewind", typing=_rewind_typing, evaluate=_rewind_evaluate, jvp=Joint(_rewind_jvp),
    transpose=_rewind_transpose, batch=_rewind_batch, split=lambda eqn, unknown: ([], [eqn]),
    single=False, defaults={"reverse": False},
    doc="(*fixed, *last, *rows, *consts, *init, *xs) -> (*carry, *ys): a scan that is linear in "
    "what it carries; `restore` makes of the states behind a round those before it, and residuals.",
)  # fmt: skip

"""cond: one of several bodies of equal types, chosen by an index.

Only the chosen body runs, except where a batch has an index for each member: then all run, and
`select` chooses; where a body has effects the members run one by one. What the linear part needs of
the known part differs from branch to branch; the residuals share slots by type, and a branch fills
the slots that it does not use with zeros.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.control.bodies import (
    check_operands,
    check_types,
    divide,
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
from tracejit.control.members import one_by_one
from tracejit.control.residuals import CHEAP
from tracejit.errors import DTypeError, MissingRuleError
from tracejit.ir.atoms import Atom, Literal, Var, zero
from tracejit.ir.current import current
from tracejit.ir.effects import has_effects
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive, Unknown
from tracejit.ir.types import INT32, INT64, ArrayType, array_type
from tracejit.ir.walk import evaluate, held_jaxprs, inline
from tracejit.ops.elementwise import ge, select
from tracejit.ops.structure import batch_all, broadcast
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms import linearize, transpose
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import remembered

Branches = tuple[Jaxpr, ...]

#: From so much work on that a batch with an index for each member would do in vain, each member
#: takes its branch alone: 1.3 to 2.2 times faster, where below it is all members at once that are.
APART = 64
#: So many elements fill a vector; so many cheap operations are worth a dear one.
LANES, DEAR = 4, 8
Equations = list[Equation]


def _typing(
    index: ArrayType, *types: ArrayType, branches: Branches
) -> tuple[ArrayType, ...]:
    if index not in (array_type(INT32), array_type(INT64)):
        raise DTypeError(f"cond: the index must be an i32[] or i64[], got {index}")
    first = branches[0]
    for number, branch in enumerate(branches):
        check_operands(f"cond, branch {number}", branch, types)
        if len(branch.outvars) != len(first.outvars):
            raise TypeError("cond: the branches differ in their number of results")
        check_types(f"cond: a result of branch {number}", branch.out_types, first.out_types)
    return first.out_types


def _evaluate(index: Any, *arrays: Any, branches: Branches) -> tuple[Any, ...]:
    return evaluate(branches[int(np.clip(index, 0, len(branches) - 1))], *arrays)


def _union(masks: Sequence[Mask]) -> Mask:
    return tuple(map(any, zip(*masks, strict=True)))


def _jvp(
    primals: Sequence[Atom], tangents: Sequence[Atom], *, branches: Branches
) -> tuple[Sequence[Atom], Sequence[Atom]]:
    nonzero = nonzero_mask(tangents)[1:]
    live = _union([forward.jvp(branch, nonzero)[1] for branch in branches])
    bodies = tuple(forward.jvp(branch, nonzero, live)[0] for branch in branches)
    results = cond.bind(*primals, *pick(tangents[1:], nonzero), branches=bodies)
    outs, ts = divide(results, len(live))
    return outs, spread(ts, live, zero_tangents(branches[0].out_types))


def _batch(
    size: int, inputs: Sequence[Atom], batched: Sequence[bool], *, branches: Branches
) -> Sequence[Atom]:
    (index, *operands), (many_indices, *mask) = inputs, tuple(batched)
    if many_indices and (any(map(_stays, branches)) or _work(branches) >= APART):
        return one_by_one(size, inputs, batched, lambda xs: cond.bind(*xs, branches=branches))
    live = _union([batching.batch(branch, size, tuple(mask))[1] for branch in branches])
    if not many_indices:
        bodies = tuple(batching.batch(branch, size, tuple(mask), live)[0] for branch in branches)
        return batch_all(size, cond.bind(index, *operands, branches=bodies), live)
    everywhere = (True,) * len(live)
    outs, *others = [
        inline(batching.batch(branch, size, tuple(mask), everywhere)[0], operands)
        for branch in branches
    ]
    for number, results in enumerate(others, start=1):
        taken = ge(index, Literal(number, index.type))
        outs = [choose(taken, y, x) for x, y in zip(outs, results, strict=True)]
    return outs


@remembered
def _stays(branch: Jaxpr) -> bool:
    """Whether a branch must not run for members that do not take it: it may not end, or be seen,
    or reads tapes, which they have not written."""
    held = any(_stays(body) for eqn in branch.equations for _, body in held_jaxprs(eqn))
    return held or has_effects(branch) or any(map(_has_no_end, branch.equations))


def _has_no_end(eqn: Equation) -> bool:
    """Whether the number of rounds of a loop is known at run time alone."""
    return eqn.primitive.name == "while" or eqn.params.get("length", 0) is None


def _work(branches: Branches) -> int:
    """The work of all branches but the dearest: what a branch for each member saves at most."""
    return sum(sorted(map(_work_of, branches))[:-1])


@remembered
def _work_of(jaxpr: Jaxpr) -> int:
    """About what a jaxpr costs, in cheap operations on an element. Numbers and short arrays do not
    count: for them it is the members that fill vectors."""
    total = 0
    for eqn in jaxpr.equations:
        rounds = eqn.params.get("length", 1)
        total += rounds * sum(_work_of(body) for _, body in held_jaxprs(eqn))
        sizes = [v.type.size for v in eqn.outvars if v.type.size >= LANES]
        if eqn.primitive.is_pointwise and sizes:
            total += CHEAP.get(eqn.primitive, DEAR) * sizes[0]
    return total


def choose(taken: Atom, x: Atom, y: Atom) -> Atom:
    """x for the members of a batch where `taken`, a bool for each, holds, else y."""
    return select(broadcast(taken, shape=x.shape, dims=(0,)), x, y)


# Linearization.


def _split(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """The known parts of the branches under one cond, the linear parts under another."""
    index, *operands = eqn.inputs
    if unknown[0]:
        return [], [eqn]
    mask, branches = tuple(unknown[1:]), eqn.params["branches"]
    late = _union([linearize.split(branch, mask).unknown for branch in branches])
    halves = [linearize.split(branch, mask, late) for branch in branches]
    slots = _slots([_made(branch, half) for branch, half in zip(branches, halves, strict=True)])
    known_vars = [*leave(eqn.outvars, late), *[Var(t) for t in slots]]
    # The linear branches take all operands and slots, and read what they need of them.
    linear_inputs = [*operands, *known_vars[len(known_vars) - len(slots) :]]
    early_bodies, late_bodies = [], []
    for branch, half in zip(branches, halves, strict=True):
        filled = _fill(_made(branch, half), slots)
        outs = half.known.outvars[: len(late) - sum(late)]
        early_bodies.append(Jaxpr(half.known.invars, half.known.equations, (*outs, *filled)))
        names = [x if isinstance(x, Var) else Var(x.type) for x in filled]
        invars = (*branch.invars, *names)
        late_bodies.append(Jaxpr(invars, half.linear.equations, half.linear.outvars))
    early = _equation(eqn, [index, *leave(operands, mask)], early_bodies, known_vars)
    rest = _equation(eqn, [index, *linear_inputs], late_bodies, pick(eqn.outvars, late))
    return early, [prune_cond(late_eqn, (True,) * sum(late)) for late_eqn in rest]


def _made(branch: Jaxpr, half: linearize.Split) -> list[Var]:
    """The residuals that a branch computes: the others are among its inputs."""
    return [r for r in half.linear.invars[: half.residuals] if r not in branch.invars]


def _slots(residuals: Sequence[Sequence[Var]]) -> list[ArrayType]:
    """The least list of types that has room for the residuals of each branch."""
    room: Counter[ArrayType] = Counter()
    for branch in residuals:
        room |= Counter(r.type for r in branch)
    return [*room.elements()]


def _fill(residuals: Sequence[Var], slots: Sequence[ArrayType]) -> list[Atom]:
    """The residuals of a branch in the slots of their types, zeros in those left over."""
    waiting = list(residuals)
    filled: list[Atom] = []
    for t in slots:
        fits = next((r for r in waiting if r.type == t), None)
        if fits is not None:
            waiting.remove(fits)
        filled.append(zero(t) if fits is None else fits)
    assert not waiting
    return filled


def _equation(
    eqn: Equation, inputs: Sequence[Atom], branches: Sequence[Jaxpr], outvars: Sequence[Var]
) -> Equations:
    """The cond of these branches, if it has results or effects."""
    params = {"branches": tuple(branches)}
    made = Equation(cond, tuple(inputs), params, tuple(outvars), eqn.provenance)
    return [made] if outvars or any(map(has_effects, branches)) else []


def _transpose(
    cts: Sequence[Atom], inputs: Sequence[Any], *, guarded: bool, branches: Branches
) -> Sequence[Atom | None]:
    index, *operands = inputs
    if isinstance(index, Unknown):
        raise MissingRuleError(
            "a cond whose predicate depends on the inputs is not linear in them",
            where=current().provenance,
        )
    linear = tuple(isinstance(x, Unknown) for x in operands)
    nonzero = nonzero_mask(cts)
    backs = [
        transpose.transpose(keep_outputs(branch, nonzero), linear, guarded) for branch in branches
    ]
    arrives = _union([nonzero_mask(back.outvars) for back in backs])
    bodies = tuple(keep_outputs(back, arrives) for back in backs)
    outs = cond.bind(index, *leave(operands, linear), *pick(cts, nonzero), branches=bodies)
    return (None, *placed(outs, arrives, linear))


def prune_cond(eqn: Equation, used: Mask) -> Equation:
    """The cond without results that are not used, and operands that no branch then reads."""
    branches = [keep_outputs(branch, used) for branch in eqn.params["branches"]]
    read = _union([read_inputs(branch) for branch in branches])
    if all(used) and all(read):
        return eqn
    params = {"branches": tuple(keep_inputs(branch, read) for branch in branches)}
    inputs = (eqn.inputs[0], *pick(eqn.inputs[1:], read))
    outvars = tuple(pick(eqn.outvars, used))
    return Equation(cond, inputs, params, outvars, eqn.provenance)


cond = Primitive(
    "cond", typing=_typing, evaluate=_evaluate, jvp=Joint(_jvp), transpose=_transpose,
    batch=_batch, split=_split, single=False, masks=True,
    doc="The results of branches[index], the index being clamped into range.",
)  # fmt: skip

"""How much a step does: what it computes, the bytes it moves, its operations. Estimates.

Of an array that is computed or read, as many elements count as are asked for: a slice asks for its
own size, a sum for all of its operand. An array that several ask for counts once in full at most.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field

from tracejit.backends.native.lowering import Pointwise, Reduction
from tracejit.backends.native.plan import Plan, Step
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation
from tracejit.ir.walk import held_jaxprs

#: Statements that write an update into what they begin with.
UPDATES = ("scatter", "scatter_add", "scatter_mul", "scatter_min", "scatter_max")
#: Statements that go through memory by copies alone, which are counted as they are emitted.
COPIES = ("concatenate", "dynamic_update_slice")


@dataclass(slots=True)
class Work:
    """computed: the variables that are computed on the way, and how many elements of each. times:
    how often the body runs, where there is one; None where nobody knows."""

    computed: dict[Var, int] = field(default_factory=dict)
    bytes_read: int = 0
    bytes_written: int = 0
    flops: int = 0
    times: int | None = 1


def work_of(plan: Plan, step: Step, order: Mapping[Var, int], nowhere: Set[Var]) -> Work:
    """What a step does, without the steps in it.

    order: the number of each variable's equation. nowhere: what is stored, but not in memory.
    """
    work = Work()
    asked: Counter[Var] = Counter()
    done = set(plan.results(step))
    inline = {v for v in plan.reads(step) if v in plan.makers and v not in plan.stored and v.ndim}
    for eqn in step.statements:
        _run(work, asked, eqn, inline)
    for eqn in step.sums:
        rule = plan.rules[eqn]
        assert isinstance(rule, Reduction)
        _ask(asked, eqn.inputs)
        work.flops += math.prod(rule.space(eqn)) * len(eqn.inputs)
    for v in (*step.stores, *step.scalars):
        asked[v] = v.type.size
    for v in sorted(inline.union(step.stores, step.scalars), key=order.__getitem__, reverse=True):
        if asked[v]:
            _compute(plan, work, asked, v)
    done |= nowhere
    work.bytes_read += sum(
        min(n, x.type.size) * x.dtype.itemsize
        for x, n in asked.items() if x.ndim and x not in done and x not in work.computed
    )  # fmt: skip
    if not step.statements:
        made = set(plan.results(step)) - nowhere
        work.bytes_written += sum(v.type.nbytes for v in made if v.ndim)
    return work


def _ask(asked: Counter[Var], inputs: Iterable[Atom], most: int | None = None) -> None:
    """So many elements of these are asked for; all of them, for None."""
    for x in inputs:
        if isinstance(x, Var):
            asked[x] += x.type.size if most is None else min(most, x.type.size)


def _compute(plan: Plan, work: Work, asked: Counter[Var], v: Var) -> None:
    """v is computed, as many elements of it as are asked for."""
    count, eqn = min(asked[v], v.type.size), plan.makers[v]
    work.computed[v] = count
    _ask(asked, eqn.inputs, count)
    rule = plan.rules[eqn]
    if isinstance(rule, Pointwise):
        work.flops += count * rule.cost


def _run(work: Work, asked: Counter[Var], eqn: Equation, inline: Set[Atom]) -> None:
    """A statement, which reads all its operands and writes all its results; but see above."""
    name = eqn.primitive.name
    if any(True for _ in held_jaxprs(eqn)):
        work.times = {"scan": eqn.params.get("length"), "while": None}.get(name, 1)
        return
    if name in COPIES:
        return _ask(asked, [x for x in eqn.inputs if x in inline])
    if name in UPDATES:
        _, indices, updates = eqn.inputs
        _ask(asked, (indices, updates))
        work.bytes_read += updates.type.nbytes
        work.bytes_written += updates.type.nbytes
        work.flops += updates.type.size
        return
    _ask(asked, eqn.inputs)
    work.bytes_written += sum(v.type.nbytes for v in eqn.outvars)
    if name == "dot":
        x, (contracted, _) = eqn.inputs[0], eqn.params["contract"]
        depth = math.prod(x.shape[a] for a in contracted)
        work.flops += 2 * depth * eqn.outvars[0].type.size

"""Updates in place: which results may lie where one of their operands lies.

    b = dynamic_update_slice(a, u, i)      b lies where a lay, if nobody reads a any more,
    c = tanh(b)                            and c where b lay

So a step that updates an array comes as late as it can, behind all that still reads the array. A
small part that is read for later use is read before, into memory of its own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from tracejit.backends.native.arena import replaceable
from tracejit.backends.native.lowering import Pointwise, Reader, Statement
from tracejit.backends.native.plan import Plan, Step
from tracejit.backends.native.regions import Region
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice
from tracejit.ops.structure import reshape, slice

#: How many steps an update may be put off.
WINDOW = 60


def updated(plan: Plan, eqn: Equation) -> list[tuple[Var, Var]]:
    """(result, operand) for each result of a statement that may take its operand's place.

    Nothing else that the statement reads may need the operand.
    """
    rule = plan.rules[eqn]
    found = []
    for out, place in rule.updates(eqn).items() if isinstance(rule, Statement) else ():
        x, others = eqn.inputs[place], [*eqn.inputs[:place], *eqn.inputs[place + 1 :]]
        if not isinstance(x, Var) or not x.ndim:
            continue
        if eqn.primitive is dynamic_update_slice and _reads_own_window(plan, eqn, x):
            others = others[1:]
        if x not in plan.behind(others):
            found.append((eqn.outvars[out], x))
    return found


def _reads_own_window(plan: Plan, eqn: Equation, x: Var) -> bool:
    """Whether an update at a window reads x only there where it is written."""
    _, update, *starts = eqn.inputs
    pending, seen = [update], set()
    while pending:
        y = pending.pop()
        if y is x:
            return False
        if y in seen or not _is_inline(plan, y):
            continue
        seen.add(y)
        maker = plan.makers[y]  # type: ignore[index]
        if isinstance(plan.rules[maker], Pointwise) or maker.primitive is reshape:
            pending += maker.inputs  # in the same order
        elif maker.inputs and maker.inputs[0] is x and _is_window(maker, starts):
            continue
        elif x in plan.behind(maker.inputs):
            return False
    return True


def _is_inline(plan: Plan, x: Atom) -> bool:
    """Whether x is an array that is computed where it is read."""
    return isinstance(x, Var) and x.ndim > 0 and x in plan.makers and x not in plan.stored


def _is_window(reader: Equation, starts: Sequence[Atom]) -> bool:
    """Whether a reader of x reads the window that an update of its shape at `starts` writes."""
    if reader.primitive is dynamic_slice:
        return all(a is b or a == b for a, b in zip(reader.inputs[1:], starts, strict=True))
    if reader.primitive is not slice or any(step != 1 for step in reader.params["stride"]):
        return False
    (x,), sizes = reader.inputs, reader.outvars[0].shape
    return all(
        isinstance(start, Literal) and sorted((0, int(start.value), n - size))[1] == first
        for start, n, size, first in zip(
            starts, x.shape, sizes, reader.params["start"], strict=True
        )
    )


def windows_at(plan: Plan, eqn: Equation) -> set[Var]:
    """What an update at a window overwrites, element by element, where the plan reads it."""
    x, _, *starts = eqn.inputs
    return {
        reader.outvars[0] for reader in plan.looks.get(x, ())
        if _is_window(reader, starts) and reader.outvars[0].shape == eqn.inputs[1].shape
    }  # fmt: skip


# The order of steps.


def put_off_updates(plan: Plan) -> list[Step]:
    """The steps, updates behind what reads the array that they update."""
    updates = {}
    for eqn in plan.jaxpr.equations:
        rule = plan.rules[eqn]
        for place in rule.updates(eqn).values() if isinstance(rule, Statement) else ():
            if isinstance(x := eqn.inputs[place], Var) and x.ndim:
                updates[x] = eqn
    chosen = _chosen_between(plan)
    if not updates and not chosen:
        return plan.steps
    order = _Order(plan)
    if ahead := order.read_ahead(updates) | _parts_of_old(plan, chosen):
        plan.store(ahead)
        order = _Order(plan)
    for x, eqn in reversed(updates.items()):
        order.put_off(eqn, x)
    return order.steps


def _chosen_between(plan: Plan) -> dict[Var, Var]:
    """For arrays of which a nest changes what lies in a window: the changed one."""
    return {
        x: y for y in plan.stored if y in plan.makers and plan.windows.of_store(y)
        for x in plan.windows.replaced(y) if x.type == y.type
    }  # fmt: skip


def _parts_of_old(plan: Plan, chosen: Mapping[Var, Var]) -> dict[Var, str]:
    """The small parts of an array that are read to change it: they are read before."""
    found = {}
    behind = {y: plan.behind(plan.makers[y].inputs) for y in chosen.values()}
    for eqn in plan.jaxpr.equations if chosen else ():
        if eqn.inputs and isinstance(plan.rules[eqn], Reader):
            x, part = eqn.inputs[0], eqn.outvars[0]
            changed = chosen.get(x)  # type: ignore[call-overload]
            if changed and _is_small(plan, part, x) and part in behind[changed]:
                found[part] = "read before it is overwritten"
    return found


class _Order:
    """The steps of a plan, and what each of them reads."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.steps = list(plan.steps)
        self.reads = {step: plan.reads(step) for step in self.steps}
        self.number = {step.statement: n for n, step in enumerate(self.steps) if step.statement}
        self.last = {x: n for n, step in enumerate(self.steps) for x in self.reads[step]}

    def put_off(self, eqn: Equation, x: Var) -> None:
        """Move the step that updates x behind those that read x, if they do not need it."""
        if self.last[x] <= self.number[eqn]:
            return
        first = next(n for n, step in enumerate(self.steps) if step.statement is eqn)
        place = first
        for n in range(first + 1, min(len(self.steps), first + WINDOW)):
            reads = self.reads[self.steps[n]]
            if not reads.isdisjoint(eqn.outvars):
                break
            if eqn in self.plan.effects and self.steps[n].statement in self.plan.effects:
                break
            if x in reads:
                place = n
        self.steps.insert(place, self.steps.pop(first))

    def read_ahead(self, updates: Mapping[Var, Equation]) -> dict[Var, str]:
        """What to store, and why: small updates that are made of the array that they update, and
        small parts of it that are read together with the updated one."""
        plan = self.plan
        found: dict[Atom, str] = {}
        for x, eqn in updates.items():
            window = eqn.primitive is dynamic_update_slice
            for u in eqn.inputs:
                if not (_is_small(plan, u, x) and x in plan.behind([u])):
                    continue
                if not (window and _reads_own_window(plan, eqn, x)):
                    found[u] = "made of what it overwrites"
        for eqn in plan.jaxpr.equations:
            if eqn.inputs and isinstance(plan.rules[eqn], Reader):
                source, part = eqn.inputs[0], eqn.outvars[0]
                update = updates.get(source)  # type: ignore[call-overload]
                if update and _is_small(plan, part, source) and self._is_late(part, update):
                    found[part] = "read before it is overwritten"
        return found  # type: ignore[return-value]

    def _is_late(self, part: Var, update: Equation) -> bool:
        """Whether the part of the old array is read behind a step that needs the updated one, and
        so behind the update."""
        first, made = self.number[update], set(update.outvars)
        late = False
        for step in self.steps[first + 1 : first + WINDOW]:
            late = late or not made.isdisjoint(self.reads[step])
            if late and part in self.reads[step]:
                return True
        return False


def _is_small(plan: Plan, part: Atom, x: Atom) -> bool:
    return _is_inline(plan, part) and 2 * part.type.size <= x.type.size


# Whose memory a result may have.


def heirs(plan: Plan, step: Step, dying: Iterable[Var]) -> dict[Var, Var]:
    """For results of a step, the dying array whose place each may take."""
    if isinstance(step, Region):
        return {}
    if step.statement is not None:
        last = set(dying)
        return {y: x for y, x in updated(plan, step.statement) if x in last and x.type == y.type}
    return replaceable(plan, step, dying)


def follow(plan: Plan, last: Mapping[Var, int], starts: Sequence[Var]) -> dict[Var, Var]:
    """What may lie where these arrays lie at first: each result, and the array it replaces."""
    ends: dict[int, list[Var]] = {}
    for x in starts:
        ends.setdefault(last.get(x, -1), []).append(x)
    replaced = {}
    for number, step in enumerate(plan.steps):
        if number in ends:
            for y, x in heirs(plan, step, ends[number]).items():
                replaced[y] = x
                ends.setdefault(last[y], []).append(y)
    return replaced


def windows_of(plan: Plan, x: Var, y: Atom, fixed: Iterable[Var]) -> list[Var]:
    """What updates make of x on the way to y, if all write the same windows in each round.

    Their starts are literals or `fixed`, and what lies in between is read by the next one alone.
    """
    found: list[Var] = []
    known = set(fixed)
    reads = Counter(z for eqn in plan.jaxpr.equations for z in eqn.inputs)
    while y is not x:
        eqn = plan.makers.get(y) if isinstance(y, Var) else None
        if eqn is None or eqn.primitive is not dynamic_update_slice:
            return []
        if not all(isinstance(start, Literal) or start in known for start in eqn.inputs[2:]):
            return []
        if found and (reads[y] != 1 or y in plan.jaxpr.outvars):
            return []
        found.append(eqn.outvars[0])
        y = eqn.inputs[0]
    return found

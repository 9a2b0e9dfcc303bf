"""What a loop overwrites is all that it has to remember of an array that it updates in place.

    known body:  r = dynamic_slice(a, i); ...; b = dynamic_update_slice(a, u, i)      (a -> b)
    kept:        the element that is overwritten,  l = dynamic_slice(a, i)
    way back:    a = dynamic_update_slice(b, l, i);  r = dynamic_slice(a, i);  u is read from b

The way back carries the array from its last value to its first and finds in it, at each round, what
the loop read there. So the residual of a round is the window that is written, not what was read,
nor the array. A step of a `Trail`, the way of the array through a body, may be a write at a window
or at index vectors, a view, a loop or a branch whose bodies have such trails in their turn.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass, field

from tracejit.control.bodies import divide
from tracejit.control.residuals import thin_out
from tracejit.control.tape import stacked
from tracejit.ir.atoms import Atom, Literal, Var, is_zero, zero
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import INT64, INTEGERS, array_type
from tracejit.ops import elementwise as ew
from tracejit.ops import indexing, structure
from tracejit.ops.structure import inverse_order

Equations = list[Equation]
Makers = dict[Var, Equation]

#: What writes into its first operand at index vectors, and reads nothing else of it.
SCATTERS = frozenset({indexing.scatter, indexing.scatter_add, indexing.scatter_mul})
#: What is undone by its opposite, of integers.
COUNTING = frozenset({ew.add, ew.sub})
#: The same elements in another order.
VIEWS = frozenset({structure.reshape, structure.permute, structure.reverse})


@dataclass(slots=True)
class Trail:
    """How a body makes a carry: versions[k + 1] is what steps[k] makes of versions[k]."""

    versions: list[Var]
    steps: Equations

    @property
    def counts(self) -> bool:
        """Whether nothing has to be kept to go back."""
        return all(step.primitive in COUNTING for step in self.steps)


def find_trail(before: Var, after: Atom, makers: Makers) -> Trail | None:
    """The trail from a carry's input to its result, if each step on the way can be undone."""
    versions: list[Atom] = [after]
    steps: Equations = []
    while versions[-1] is not before:
        y = versions[-1]
        if not isinstance(y, Var) or (eqn := makers.get(y)) is None:
            return None
        versions.append(_undoable(eqn, y) or zero(y.type))
        steps.append(eqn)
    if not steps:
        return None
    return Trail(versions[::-1], steps[::-1])  # type: ignore[arg-type]


def _undoable(eqn: Equation, y: Var) -> Atom | None:
    """The operand that y is an update of, if the update can be undone."""
    if eqn.primitive is indexing.dynamic_update_slice or eqn.primitive in SCATTERS:
        written = eqn.inputs[1 if eqn.primitive is indexing.dynamic_update_slice else 2]
        return eqn.inputs[0] if 2 * written.type.size <= y.type.size else None
    if eqn.primitive in VIEWS:
        return eqn.inputs[0]
    if eqn.primitive in COUNTING and y.dtype in INTEGERS:
        return eqn.inputs[0] if isinstance(eqn.inputs[1], Literal) else None
    if Loop.is_loop(eqn):
        return Loop(eqn).start_of(y)
    return None


class Loop:
    """A loop in an outer body, by its parts.

    consts, rows: what the body calls them, and the operands. start: what the carries begin as.
    """

    def __init__(self, eqn: Equation):
        self.eqn = eqn
        params = eqn.params
        self.is_while = eqn.primitive.name == "while"
        self.body: Jaxpr = params["body" if self.is_while else "jaxpr"]
        self.num_consts = params["num_body_consts" if self.is_while else "num_consts"]
        first = params["num_cond_consts"] if self.is_while else 0
        count = len(eqn.inputs) - first - self.num_consts
        self.num_carry: int = count if self.is_while else params["num_carry"]
        pairs = [*zip(self.body.invars, eqn.inputs[first:], strict=True)]
        self.consts, carry, self.rows = divide(pairs, self.num_consts, self.num_carry)
        self.before, self.start = [v for v, _ in carry], [x for _, x in carry]
        self.after = self.body.outvars[: self.num_carry]

    @staticmethod
    def is_loop(eqn: Equation) -> bool:
        """Whether an equation is a loop that can be run twice."""
        return eqn.primitive.name in ("scan", "while") and not is_effectful(eqn)

    def trail_of(self, y: Var) -> Trail | None:
        """Of the carry that leaves as y."""
        at = self.eqn.outvars.index(y)
        if at >= self.num_carry:
            return None
        return find_trail(self.before[at], self.after[at], makers_of(self.body.equations))

    def start_of(self, y: Var) -> Atom | None:
        """What the carry that leaves as y starts as, if the loop can be undone."""
        return None if self.trail_of(y) is None else self.start[self.eqn.outvars.index(y)]

    def counters(self) -> list[Trail]:
        """The trails of carries that count."""
        makers = makers_of(self.body.equations)
        pairs = [*zip(self.before, self.after, strict=True)]
        trails = [find_trail(v, y, makers) for v, y in pairs if v.dtype in INTEGERS and not v.ndim]
        return [t for t in trails if t and t.counts]

    def counted(self) -> Loop:
        """The loop with a number of rounds among what it makes, if it is a while."""
        if not self.is_while or self.counter is not None:
            return self
        number = array_type(INT64)
        before, after, eqn, n = Var(number), Var(number), self.eqn, self.num_carry
        step = Equation(ew.add, (before, Literal(1, number)), {}, (after,), eqn.provenance)
        body, cond = self.body, eqn.params["cond"]
        params = eqn.params | {
            "cond": Jaxpr((*cond.invars, Var(number)), cond.equations, cond.outvars),
            "body": Jaxpr(
                (*body.invars, before), (*body.equations, step),
                (*body.outvars[:n], after, *body.outvars[n:]),
            ),
        }  # fmt: skip
        outvars = (*eqn.outvars[:n], Var(number), *eqn.outvars[n:])
        inputs = (*eqn.inputs, Literal(0, number))
        return Loop(Equation(eqn.primitive, inputs, params, outvars, eqn.provenance))

    @property
    def counter(self) -> Var | None:
        """The number of rounds, where the loop makes it."""
        makers = makers_of(self.body.equations)
        for i, (v, x, y) in enumerate(zip(self.before, self.start, self.after, strict=True)):
            step = makers.get(y) if isinstance(y, Var) else None
            if step is None or v.type != array_type(INT64) or not is_zero(x):
                continue
            if step.primitive is ew.add and step.inputs == (v, Literal(1, v.type)):
                return self.eqn.outvars[i]
        return None

    @property
    def length(self) -> tuple[int | None, Atom | None]:
        """The number of rounds, or what has it at run time."""
        if self.is_while:
            return None, self.counter
        length = self.eqn.params["length"]
        return length, self.consts[0][1] if length is None else None

    def stacking(self, equations: Equations, kept: Sequence[Var]) -> tuple[Loop, dict[Var, Var]]:
        """The loop with variables of its body stacked, and what they are stacked in."""
        eqn, found = self.eqn, dict[Var, Var]()
        outvars, results = list(eqn.outvars), list(self.body.outvars)
        for v in kept:
            places = range(self.num_carry, len(results))
            at = next((i for i in places if results[i] is v), len(results))
            if at == len(results):
                results.append(v)
                outvars.append(Var(stacked(v.type, self.length[0])))
            found[v] = outvars[at]
        body = Jaxpr(self.body.invars, tuple(equations), tuple(results))
        params = eqn.params | {"body" if self.is_while else "jaxpr": body}
        return Loop(Equation(eqn.primitive, eqn.inputs, params, tuple(outvars))), found


def makers_of(equations: Iterable[Equation]) -> Makers:
    """The equation that makes each variable."""
    return {v: eqn for eqn in equations for v in eqn.outvars}


# Remembering.


@dataclass(slots=True)
class Record:
    """A body that remembers, and how to undo it.

    equations: of the body, with what reads the windows that are overwritten. logs: what has to be
    kept. needs: other variables of the body that undoing it reads. undo: each makes an older
    version of newer ones. found: other ways to make variables of the body, out of newer versions.
    """

    equations: Equations
    logs: list[Var] = field(default_factory=list)
    needs: list[Var] = field(default_factory=list)
    undo: Equations = field(default_factory=list)
    found: Equations = field(default_factory=list)

    def remember(self, trail: Trail) -> None:
        """Add what undoes a trail."""
        for index, step in enumerate(trail.steps):
            x, y = trail.versions[index], trail.versions[index + 1]
            step = next(e for e in self.equations if y in e.outvars)
            if Loop.is_loop(step):
                self._loop(step, x, y)
            elif step.primitive in COUNTING:
                back = ew.sub if step.primitive is ew.add else ew.add
                self.undo.append(Equation(back, (y, step.inputs[1]), {}, (x,), step.provenance))
            elif step.primitive in VIEWS:
                self.undo.append(_view_back(step, x, y))
            else:
                self._write(step, x, y)

    def _write(self, step: Equation, x: Var, y: Var) -> None:
        """Of a write: read the window before, write it back."""
        if step.primitive is indexing.dynamic_update_slice:
            places, params = step.inputs[2:], {}
            read, again = indexing.dynamic_slice, step.primitive
            reading = {"sizes": step.inputs[1].shape}
            update = step.inputs[1]
        else:
            places, params = step.inputs[1:2], step.params
            read, again, reading = indexing.gather, indexing.scatter, step.params
            update = step.inputs[2]
        old = self._emit(read, (x, *places), reading, Var(update.type), step)
        operands = (y, old, *places) if read is indexing.dynamic_slice else (y, *places, old)
        self.logs.append(old)
        self.needs += [v for v in places if isinstance(v, Var)]
        self.undo.append(Equation(again, operands, params, (x,), step.provenance))
        if step.primitive is indexing.dynamic_update_slice and isinstance(update, Var):
            self._read_update(step, update, y)

    def _read_update(self, step: Equation, update: Var, y: Var) -> None:
        """What was written is there to be read; so is the number that it was made of."""
        sizes = {"sizes": update.shape}
        reading = Equation(
            indexing.dynamic_slice, (y, *step.inputs[2:]), sizes, (update,), step.provenance
        )
        self.found.append(reading)
        makers = makers_of(self.equations)
        while (maker := makers.get(update)) is not None:
            x = maker.inputs[0] if maker.inputs else None
            same = maker.primitive in (structure.reshape, structure.broadcast)
            if not same or not isinstance(x, Var) or x.type.size != update.type.size:
                break
            params = {"shape": x.shape}
            self.found.append(
                Equation(structure.reshape, (update,), params, (x,), step.provenance)
            )
            update = x

    def _emit(self, primitive, inputs, params, out: Var, step: Equation) -> Var:  # type: ignore[no-untyped-def]
        """The variable that an equation before `step` makes; one that is there already, if any."""
        for eqn in self.equations:
            if eqn.primitive is primitive and eqn.params == params and eqn.inputs == inputs:
                return eqn.outvars[0]
        eqn = Equation(primitive, inputs, params, (out,), step.provenance)
        self.equations.insert(self.equations.index(step), eqn)
        return out

    def _loop(self, step: Equation, x: Var, y: Var) -> None:
        """Of a loop: its body remembers, and is undone in a loop that runs the other way."""
        loop = Loop(step).counted()
        trail = loop.trail_of(y)
        assert trail is not None
        consts, rows = dict(loop.consts), dict(loop.rows)
        trails = [trail, *[t for t in loop.counters() if t.versions != trail.versions]]
        way = _walk_back(trails, [], loop.body.equations, {*consts, *rows}, trail)
        kept = [v for v in way.handed if v not in rows and v not in consts]
        loop, kept_vars = loop.stacking(way.equations, kept)
        self.equations[self.equations.index(step)] = loop.eqn
        self.logs += [v for v in kept_vars.values() if v not in self.logs]
        read = {z for e in way.restore for z in e.inputs}
        fixed = [(v, z) for v, z in loop.consts if v in read]
        length, count = loop.length
        if count is not None:
            fixed.insert(0, (Var(count.type), count))
        xs = [p for p in (*kept_vars.items(), *loop.rows) if p[0] in read]
        ends = [t.versions[-1] for t in way.states]
        body = Jaxpr(
            (*[v for v, _ in fixed], *ends, *[v for v, _ in xs]), tuple(way.restore),
            tuple(t.versions[0] for t in way.states),
        )  # fmt: skip
        states = [loop.eqn.outvars[loop.after.index(end)] for end in ends]
        params = {
            "jaxpr": body, "num_consts": len(fixed), "num_carry": len(states), "length": length,
            "reverse": not step.params.get("reverse", False),
        }  # fmt: skip
        operands = (*[z for _, z in fixed], *states, *[z for _, z in xs])
        outvars = (x, *[Var(v.type) for v in states[1:]])
        scan = Primitive.registry["scan"]
        self.undo.append(Equation(scan, operands, params, outvars, step.provenance))
        outer = [*[z for _, z in (*fixed, *xs) if z not in self.logs], *states[1:]]
        self.needs += [v for v in outer if isinstance(v, Var)]


def _view_back(step: Equation, x: Var, y: Var) -> Equation:
    params = {
        structure.reshape: {"shape": x.shape},
        structure.permute: {"order": inverse_order(step.params.get("order", ()))},
        structure.reverse: step.params,
    }[step.primitive]
    return Equation(step.primitive, (y,), params, (x,), step.provenance)


def ordered(equations: Sequence[Equation], given: Iterable[Var]) -> Equations:
    """The equations, each behind those that make what it reads."""
    makers, done = makers_of(equations), set(given)
    found: dict[Equation, None] = {}
    for eqn in equations:
        pending = [eqn]
        while pending:
            first = pending[-1]
            waits = [
                makers[x] for x in first.inputs
                if isinstance(x, Var) and x not in done and x in makers
            ]  # fmt: skip
            if waits:
                pending += waits
            else:
                pending.pop()
                found[first] = None
                done.update(first.outvars)
    return [*found]


# Choosing.


@dataclass(frozen=True, slots=True)
class Rewinding:
    """How the way back gets its residuals.

    equations: the known body's. states: the trails that are walked back. handed: what the way back
    is given (logs, stacked values, rows and constants). restore: what it makes of that, in order.
    made: the residuals among what it makes.
    """

    equations: Equations
    states: list[Trail]
    handed: list[Var]
    restore: Equations
    made: list[Var]


def find_rewinding(
    residuals: Sequence[Var], equations: Sequence[Equation],
    carries: Sequence[tuple[Var, Atom]], free: Set[Var],
) -> Rewinding | None:  # fmt: skip
    """The way back that keeps fewer bytes than stacking what the residuals are made of, if any."""
    makers = makers_of(equations)
    trails = [t for before, after in carries if (t := find_trail(before, after, makers))]
    if not trails:
        return None
    plain, _ = thin_out(residuals, equations, free)
    way = _walk_back(trails, residuals, equations, free)
    return way if way.states and _bytes(way.handed, free) < _bytes(plain, free) else None


def _bytes(variables: Iterable[Var], free: Set[Var]) -> int:
    return sum(v.type.nbytes for v in variables if v not in free)


def _walk_back(
    trails: list[Trail], residuals: Sequence[Var], equations: Sequence[Equation], free: Set[Var],
    main: Trail | None = None,
) -> Rewinding:  # fmt: skip
    """The way back along these trails: along `main`, and those that something needs."""
    record = Record(list(equations))
    for trail in trails:
        record.remember(trail)
    versions = {v for trail in trails for v in trail.versions}
    counted = {v for trail in trails if trail.counts for v in trail.versions}
    # The versions are there: going back makes each of the next, nothing makes it anew.
    steps = [e for e in record.equations if versions.isdisjoint(e.outvars)]
    bases, again = thin_out(residuals, [*steps, *record.found], {*free, *versions})
    # Where an array stood is found without knowing what was in it.
    places, before = thin_out(record.needs, steps, {*free, *counted})
    asked = {*bases, *places}
    used = [t for t in trails if t is main or not asked.isdisjoint(t.versions)]
    if len(used) < len(trails):
        return _walk_back(used, residuals, equations, free, main)
    handed = [v for v in dict.fromkeys([*places, *record.logs, *bases]) if v not in versions]
    given = [*handed, *[t.versions[-1] for t in trails]]
    restore = ordered([*dict.fromkeys([*again, *before, *record.undo])], given)
    made = [r for r in residuals if r not in handed]
    return Rewinding(record.equations, trails, handed, restore, made)

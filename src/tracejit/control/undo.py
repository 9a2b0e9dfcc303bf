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

from tracejit.control.residuals import thin_out
from tracejit.ir.atoms import Atom, Var, zero
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import with_axis
from tracejit.ops import indexing, structure
from tracejit.ops.structure import inverse_order

Equations = list[Equation]
Makers = dict[Var, Equation]

#: What writes into its first operand at index vectors, and reads nothing else of it.
SCATTERS = frozenset({indexing.scatter, indexing.scatter_add, indexing.scatter_mul})
#: The same elements in another order.
VIEWS = frozenset({structure.reshape, structure.permute, structure.reverse})


@dataclass(slots=True)
class Trail:
    """How a body makes a carry: versions[k + 1] is what steps[k] makes of versions[k]."""

    versions: list[Var]
    steps: Equations


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
    if (loop := Loop.of(eqn)) is not None:
        return loop.start_of(y)
    return None


@dataclass(frozen=True, slots=True)
class Loop:
    """A scan in an outer body, by its parts."""

    eqn: Equation

    @staticmethod
    def of(eqn: Equation) -> Loop | None:
        return Loop(eqn) if eqn.primitive.name == "scan" and not is_effectful(eqn) else None

    @property
    def body(self) -> Jaxpr:
        return self.eqn.params["jaxpr"]

    @property
    def num_consts(self) -> int:
        return self.eqn.params["num_consts"]

    @property
    def num_carry(self) -> int:
        return self.eqn.params["num_carry"]

    @property
    def consts(self) -> list[tuple[Var, Atom]]:
        pairs = [*zip(self.body.invars, self.eqn.inputs, strict=True)]
        return pairs[: self.num_consts]

    @property
    def rows(self) -> list[tuple[Var, Atom]]:
        pairs = [*zip(self.body.invars, self.eqn.inputs, strict=True)]
        return pairs[self.num_consts + self.num_carry :]

    def trail_of(self, y: Var) -> Trail | None:
        """Of the carry that leaves as y."""
        at = self.eqn.outvars.index(y)
        if at >= self.num_carry:
            return None
        before, after = self.body.invars[self.num_consts + at], self.body.outvars[at]
        return find_trail(before, after, makers_of(self.body.equations))

    def start_of(self, y: Var) -> Atom | None:
        if self.trail_of(y) is None:
            return None
        return self.eqn.inputs[self.num_consts + self.eqn.outvars.index(y)]


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
            if Loop.of(step):
                self._loop(step, x, y)
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
        loop = Loop(step)
        trail = loop.trail_of(y)
        assert trail is not None
        inner = Record(list(loop.body.equations))
        inner.remember(trail)
        rows, consts = dict(loop.rows), dict(loop.consts)
        handed, again = thin_out(inner.needs, inner.equations, {*rows, *consts})
        kept = [v for v in [*inner.logs, *handed] if v not in rows and v not in consts]
        wider, kept_vars = _stack(loop, inner.equations, list(dict.fromkeys(kept)))
        self.equations[self.equations.index(step)] = wider
        self.logs += [v for v in kept_vars.values() if v not in self.logs]
        steps = ordered([*again, *inner.undo], [*consts, *rows, *kept_vars, trail.versions[-1]])
        read = {z for e in steps for z in e.inputs}
        names = [v for v in consts if v in read]
        xs = {**kept_vars, **{v: z for v, z in rows.items() if v in read}}
        xs = {v: z for v, z in xs.items() if v in read}
        body = Jaxpr((*names, trail.versions[-1], *xs), tuple(steps), (trail.versions[0],))
        operands = (*[consts[v] for v in names], y, *xs.values())
        params = step.params | {
            "jaxpr": body, "num_consts": len(names), "num_carry": 1,
            "reverse": not step.params["reverse"],
        }  # fmt: skip
        self.undo.append(Equation(step.primitive, operands, params, (x,), step.provenance))
        outer = [*[consts[v] for v in names], *[z for v, z in rows.items() if v in read]]
        self.needs += [v for v in outer if isinstance(v, Var)]


def _stack(
    loop: Loop, equations: Equations, kept: list[Var]
) -> tuple[Equation, dict[Var, Var]]:
    """The loop with variables of its body stacked, and what they are stacked in."""
    eqn, body = loop.eqn, loop.body
    outvars, results, found = list(eqn.outvars), list(body.outvars), {}
    for v in kept:
        at = next((i for i, r in enumerate(results) if r is v and i >= loop.num_carry), None)
        if at is None:
            at = len(results)
            results.append(v)
            shape = with_axis(v.shape, 0, eqn.params["length"])
            outvars.append(Var(v.type.with_shape(shape)))
        found[v] = outvars[at]
    params = eqn.params | {"jaxpr": Jaxpr(body.invars, tuple(equations), tuple(results))}
    return Equation(eqn.primitive, eqn.inputs, params, tuple(outvars), eqn.provenance), found


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
    best, bytes_of_plain = None, _bytes(plain, free)
    while trails:
        way, used = _walk_back(trails, residuals, equations, free)
        if len(used) < len(trails):
            trails = used
            continue
        if _bytes(way.handed, free) < bytes_of_plain:
            best = way
        break
    return best


def _bytes(variables: Iterable[Var], free: Set[Var]) -> int:
    return sum(v.type.nbytes for v in variables if v not in free)


def _walk_back(
    trails: list[Trail], residuals: Sequence[Var], equations: Sequence[Equation], free: Set[Var]
) -> tuple[Rewinding, list[Trail]]:
    """The way back along these trails, and which of them it needs."""
    record = Record(list(equations))
    for trail in trails:
        record.remember(trail)
    versions = {v for trail in trails for v in trail.versions}
    alternatives = [*record.equations, *record.found]
    bases, again = thin_out(residuals, alternatives, {*free, *versions})
    # Where an array stood is found without knowing what was in it.
    places, before = thin_out(record.needs, record.equations, free)
    used = [t for t in trails if not {*bases}.isdisjoint(t.versions)]
    handed = [v for v in dict.fromkeys([*places, *record.logs, *bases]) if v not in versions]
    given = [*handed, *[t.versions[-1] for t in trails]]
    steps = ordered(
        list(dict.fromkeys([*again, *before, *record.undo])), given
    )
    made = [r for r in residuals if r not in handed]
    return Rewinding(record.equations, trails, handed, steps, made), used

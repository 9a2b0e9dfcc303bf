"""Python loops in traced functions, traced once: `for i in range(n)` and `while condition`.

    for i in range(1, n):              scan  carry: A, s         the body is traced with a traced i;
        A[i] = A[i - 1] + s      ->          i = iota            what it writes, or binds anew, is
        s = s * 2                            A' = ..., s' = ...  the carry

Python runs the body; nobody reads source text. At the end of the body Python comes back: it asks
the iterator for the next element, or the condition for its truth. Then the variables are compared
with what they were (`trace.places`) and put back, and Python runs the body again, on fresh tracers
for what has changed, until what goes in has the types of what comes out. A truth that is asked for
in the body is decided once one way and once the other: the paths become `cond` (`control.paths`).
At the end the variables get the loop's results.

What cannot be rolled (the index is needed as a number, a list grows, `break` depends on a traced
value, types change from round to round) is traced again, unrolled: `Retrace` goes up to whoever
stages the function, with the place of the loop.

Here is what both kinds of loops share; see `rolled_for` and `rolled_while`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any

import numpy as np

from tracejit.control.bodies import leave
from tracejit.control.paths import Fork, Run, Wandering, assemble
from tracejit.control.sharing import (
    Moves,
    are_alone,
    is_written,
    moved,
    moves_of,
    sees_late,
)
from tracejit.control.staging import as_dtype, as_leaf, join, leaf_type
from tracejit.ir.atoms import Atom, Literal, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.current import stack
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import BOOL, ArrayType, array_type
from tracejit.ir.walk import inline
from tracejit.ops.elementwise import convert, ne
from tracejit.trace.bytecode import break_side, names_in_loop, needs_python
from tracejit.trace.frames import read_locals, replace_locals
from tracejit.trace.places import (
    Advancing,
    Path,
    Shell,
    containers,
    is_leaf,
    is_past,
    put,
    restore,
    same,
    spelled,
    survey,
)
from tracejit.trace.provenance import asking_frame
from tracejit.trace.retrace import LEFT, Retrace, Site
from tracejit.trace.stage import is_weak
from tracejit.trace.tables import is_lendable, lent
from tracejit.trace.tracer import Constant, Trace, Tracer, bind, current_trace
from tracejit.trace.view import root_of
from tracejit.trace.watch import Watch

#: Paths through one body; more is retraced unrolled.
MOST_PATHS = 48

#: The type of the condition that a loop carries.
GO = array_type(BOOL)

#: Of an input or a result of a body: ("place", path), ("in", key of what is captured), or its own.
Name = Any


class BodyTrace(Trace):
    """One run of a loop's body.

    Tracers from outside are captured by object: what is written in the body is the loop's carry, so
    that a read ahead of the write is a read of the carry.
    """

    by_object = True

    def __init__(self, loop: Loop, forced: tuple[bool, ...]):
        super().__init__(loop.name)
        self.loop = loop
        self.forced = forced
        self.forks: list[Fork] = []
        self.outside: dict[Any, Any] = {}
        self.own: dict[Any, Var] = {}
        self.unrolled = loop.outer.unrolled
        self.root = loop.outer.root

    def lift(self, x: Any) -> Atom:
        if isinstance(x, Tracer) and x.owner is not self and isinstance(x.atom, Literal):
            return self.capture(self.capture_key(x), x)
        return super().lift(x)

    def capture_key(self, x: Tracer) -> Any:
        return id(x)

    def capture(self, key: Any, x: Any) -> Var:
        var = super().capture(key, x)
        self.outside.setdefault(key, x)
        if isinstance(x, Tracer):
            bounds = x.owner.bounds_of.get(x.atom)
            if bounds is not None:
                self.bounds_of.setdefault(var, bounds)
        return var

    def goes_through(self, atom: Atom) -> bool:
        return self.loop.is_counted and not self.forks and self.own.get("index") is atom

    def truth(self, tracer: Tracer) -> bool:
        """Decide a truth: as this run was told to, or the first way that is open."""
        leaves = self.loop.break_at(asking_frame())
        known = tracer.operators.known_truth(tracer)
        if known is not None and known is not leaves:
            return bool(known)
        at = len(self.forks)
        if at > MOST_PATHS:  # a `while` that is not rolled itself would go on for ever
            raise self.loop.unrolled(f"its body has more than {MOST_PATHS} paths")
        pred = self.lift(as_bool(tracer))
        if leaves is not None:
            fork = Fork(len(self.equations), pred, not leaves, breaks=True)
            if at >= len(self.forced):
                self.loop.note_break([*self.forks, replace(fork, outcome=leaves)])
            self.forks.append(fork)
            return not leaves
        outcome = self.forced[at] if at < len(self.forced) else True
        self.forks.append(Fork(len(self.equations), pred, outcome))
        return outcome


def as_bool(x: Tracer) -> Tracer:
    """The truth of a number: whether it is not zero."""
    return x if x.dtype == BOOL else bind(ne, x, np.zeros((), x.dtype))


@dataclass(eq=False, slots=True)
class Ending:
    """What the variables and arrays are where a run ends: behind the body, or at a `break`.

    places: the atom, type and weakness of what is no longer as it was. arrays: of those written to.
    """

    body: BodyTrace
    equations: list[Equation]
    forks: list[Fork]
    places: dict[Path, tuple[Atom, ArrayType, bool]]
    arrays: dict[int, Atom]
    results: dict[str, Atom]


class Loop:
    """A loop that is being rolled: `frame` runs it, `before` is what its variables were.

    is_counted: its number of rounds is known. alone: nobody can tell which of its arrays is where.
    carried: the places that change, each with the type of its carry and whether that is weak.
    """

    def __init__(self, frame: FrameType, site: Site, name: str, index: str | None = None):
        outer = current_trace()
        assert outer is not None
        self.frame, self.site, self.name, self.outer = frame, site, name, outer
        self.index = index
        self.is_counted = False
        self.asked: int | None = None
        known = frame.f_locals.get(index) if index else None
        usable = is_leaf(known) and not (isinstance(known, Tracer) and known.ended)
        self.index_before = known if usable else None
        self.given: Any = None
        self.before = self.variables()
        self.watch = Watch(frame.f_globals, outer.root.named, containers(self.before))
        self._refuse_iterators()
        known = read_locals(frame)
        own = (*frame.f_code.co_varnames, *frame.f_code.co_cellvars)
        self.arrays = {name: known[name] for name in own if is_lendable(known.get(name))}
        self.carried: dict[Path, tuple[ArrayType, bool]] = {}
        self.runs: list[Run] = []
        self.pending: list[tuple[bool, ...]] = []
        self.written: dict[int, Tracer] = {}
        self.outside: dict[Any, Any] = {}
        self.last: dict[Path, Any] = {}
        self.breaks: list[Ending] = []
        self.body: BodyTrace | None = None
        self.entries: dict[Path, tuple[Tracer, Var]] = {}
        self.moves: Moves | None = {}
        self.writes = False
        self.alone = True
        self.kept: set[Path] = set()  # places with arrays that were there ahead of a round

    def unrolled(self, reason: str) -> Retrace:
        return Retrace(self.site, reason, self.outer.root)

    def variables(self) -> dict[Path, Any]:
        """What the variables are, without the index of the loop, and what former runs have left."""
        known = read_locals(self.frame)
        known.pop(self.index, None)  # type: ignore[arg-type]
        found = survey(known)
        ended = {p[0] for p, x in found.items() if isinstance(x, Tracer) and x.ended}
        return {p: x for p, x in found.items() if p[0] not in ended} if ended else found

    # One run of the body.

    def enter(self, forced: tuple[bool, ...] = ()) -> BodyTrace:
        """Begin a run: fresh tracers stand for what is carried."""
        self.body = body = BodyTrace(self, forced)
        stack.sinks.append(body)
        variables: dict[str, Any] = {name: lent(x) for name, x in self.arrays.items()}
        self.entries = {}
        for path, (type, weak) in self.carried.items():
            if path in self.before:
                entry = body.new_input(type, weak=weak)
                self.entries[path] = entry, entry.atom  # type: ignore[assignment]
                variables.setdefault(path[0], self.before[path[:1]])
                put(variables, path, entry)
        replace_locals(self.frame, variables)
        return body

    def break_at(self, frame: FrameType | None) -> bool | None:
        """The truth on which the asking `if` of this loop is a `break`; None for all others."""
        if frame is not self.frame:
            return None
        return break_side(frame.f_code, frame.f_lasti, self.site.offset, self.asked)

    def note_break(self, forks: list[Fork]) -> None:
        """A path ends here: the variables are what they are now."""
        self.breaks.append(self._ending(self.variables(), forks, {"go": Literal(False, GO)}))

    def end(self, results: dict[str, Any]) -> bool:
        """Take in the run that has come to its end; whether all paths are known now.

        results: what the run gives besides its variables. Where it is not the last, the variables
        are what they were ahead of the loop.
        """
        body = self.body
        assert body is not None
        if stack.sinks[-1] is not body:
            raise stale()
        place = self.watch.changed()
        if place is not None:
            raise self.unrolled(f"it changes the global variable {spelled(place)}")
        if body.beyond and not any(fork.breaks for fork in body.forks):
            raise self.unrolled(body.beyond)
        after = self.variables()
        lifted = {name: body.lift(x) for name, x in results.items()}
        endings = [*self.breaks, self._ending(after, body.forks, lifted)]
        self.breaks = []
        types = self._agreed(endings)
        fresh = any(self.carried.get(path) != t for path, t in types.items())
        if not fresh:
            leaves = {path: after[path] for path in endings[-1].places}
            self._move(body, leaves, self.is_left or len(endings) > 1)
        runs = [] if fresh else [self._run(ending) for ending in endings]
        written = {key: x for key, (x, _, _) in body.writes.items()}
        body.unwind()
        body.alive = False
        stack.sinks.pop()
        restore(self.before, after)
        if fresh:
            self.carried.update(types)
            self.runs, self.pending = [], []
            self.alone = True
            self._reset()
            return False
        self.runs += runs
        self.written.update(written)
        outcomes = runs[-1].outcomes()
        for at in range(len(body.forced), len(body.forks)):
            if not body.forks[at].breaks:
                self.pending.append((*outcomes[:at], not outcomes[at]))
        if len(self.runs) + len(self.pending) > MOST_PATHS:
            raise self.unrolled(f"its body has more than {MOST_PATHS} paths")
        if not self.pending:
            self.last = after
            return True
        self._reset()
        return False

    def _refuse_iterators(self) -> None:
        """An iterator that the body may advance: no one else knows where it stands."""
        names = names_in_loop(self.frame.f_code, self.site.offset)
        found = [p for p in self.before if p[-1] is Advancing and p[0] in names]
        found += [p for p in self.watch.before if p[-1] is Advancing]
        if found:
            raise self.unrolled(f"{spelled(found[0])} is an iterator")

    @property
    def is_left(self) -> bool:
        """Whether there is a `break` in it."""
        return any(fork.breaks for run in self.runs for fork in run.forks)

    def _reset(self) -> None:
        """Give the frame the variables back that it had ahead of the loop."""
        names = {path[0] for path in self.carried if path[:1] in self.before}
        replace_locals(self.frame, {name: self.before[name,] for name in names})

    def again(self) -> tuple[bool, ...]:
        """The decisions of the next run."""
        return self.pending.pop() if self.pending else ()

    def _changes(self, after: dict[Path, Any]) -> list[Path]:
        """The places that the run has changed, or that a run before has: all have to be carried."""
        changed = []
        for path, x in after.items():
            if (*path, Shell) in after or is_past(path, self.before, after):
                continue
            if path in self.carried and is_leaf(x):
                changed.append(path)
            elif path not in self.before:
                if is_leaf(x) and path[:1] not in self.before:
                    changed.append(path)
            elif not same(self.before[path], x):
                if not (is_leaf(x) and is_leaf(self.before[path])):
                    raise self.unrolled(f"{spelled(path)} changes in a way that is no number's")
                changed.append(path)
        gone = [
            path for path in self.before
            if path not in after and not is_past(path, self.before, after)
        ]  # fmt: skip
        gone += [path for path in self.carried if path in self.before and path not in changed]
        if gone:
            raise self.unrolled(f"{spelled(gone[0])} changes its structure")
        return changed

    def _ending(
        self, after: dict[Path, Any], forks: list[Fork], results: dict[str, Atom]
    ) -> Ending:
        """What has become of the variables at this moment of the run."""
        body = self.body
        assert body is not None
        if self.index is not None and self.frame.f_locals.get(self.index) is not self.given:
            raise self.unrolled(f"{self.index} is assigned to in its body")
        places = {}
        for path in self._changes(after):
            leaf = as_leaf(after[path], spelled(path))
            places[path] = body.lift(leaf), leaf_type(leaf), is_weak(after[path])
        self.alone = self.alone and self._is_alone(body, {path: after[path] for path in places})
        old = {id(x) for x, _ in self.entries.values()} | self.outer.root.unclear.keys()
        self.kept |= {p for p in places if p in after and id(_root(after[p])) in old}
        arrays = {key: body.lift(x) for key, (x, _, _) in body.writes.items()}
        return Ending(body, [*body.equations], [*forks], places, arrays, results)

    def _is_alone(self, body: BodyTrace, leaves: dict[Path, Any]) -> bool:
        """Whether nobody can tell which array is where."""
        known = [*body.outside.values(), *[x for x, _, _ in body.writes.values()]]
        known += [x for x in leaves.values() if isinstance(x, Tracer) and x.owner is not body]
        return are_alone(self.entries, leaves, self.before, known, _callers())

    def _move(self, body: BodyTrace, leaves: dict[Path, Any], left: bool) -> None:
        """See how arrays that are carried change places: alike in all runs, if one writes.

        left: whether a `break` leaves the loop, where they might be anywhere.
        """
        moves = moves_of(self.entries, leaves, self.before, [*body.outside.values()])
        if self.runs and moves != self.moves:
            moves = None
        self.moves = moves
        self.writes |= any(is_written(*entry) for entry in self.entries.values())
        late = sees_late(self.entries, leaves, {*body.writes}, body.equations)
        if late or (self.writes and (moves is None or left) and not self.alone):
            raise self.unrolled("an array that is written to goes by several names")

    def _agreed(self, endings: Sequence[Ending]) -> dict[Path, tuple[ArrayType, bool]]:
        """The type of each carry, which goes in as it was and comes out of all endings."""
        types = dict(self.carried)
        for ending in endings:
            for path, (_, type, weak) in ending.places.items():
                known = types.get(path)
                if known is None and path in self.before:
                    start = self.before[path]
                    known = leaf_type(as_leaf(start, spelled(path))), is_weak(start)
                joined = join(*known, type, weak) if known else (type, weak)
                if joined is None:
                    raise self.unrolled(f"{spelled(path)} is {known and known[0]}, and then {type}")
                types[path] = joined
        return types

    def _run(self, ending: Ending) -> Run:
        """A path: its results are its own, what is carried, and what was written to."""
        body, outs = ending.body, dict[Any, Atom](ending.results)
        with building() as builder:
            for path, (type, _) in self.carried.items():
                if path in ending.places:
                    x = ending.places[path][0]
                    same_type = x.dtype == type.dtype
                    outs["place", path] = x if same_type else convert(x, dtype=type.dtype)
                elif path in self.entries:
                    outs["place", path] = self.entries[path][1]
                else:
                    outs["place", path] = zero(type)
        outs |= {("in", key): x for key, x in ending.arrays.items()}
        inputs: dict[Any, Var] = {("in", key): var for key, (var, _) in body.captured.items()}
        inputs |= {("place", path): var for path, (_, var) in self.entries.items()}
        inputs |= body.own
        self.outside |= body.outside
        return Run(inputs, ending.equations + builder.equations, ending.forks, outs)

    # The loop as an operation.

    def assembled(self, extra: Sequence[Any], own: Sequence[Any]) -> Assembled:
        """The body of all runs: (*consts, *own, *carry) -> (*extra, *carry)."""
        places: list[Name] = [("place", path) for path in self.carried]
        writes: list[Name] = [("in", key) for key in self.written]
        for run in self.runs:
            for name in writes:
                if name not in run.results:
                    type = self.written[name[1]].aval
                    run.results[name] = run.inputs.setdefault(name, Var(type))
        try:
            found, equations, outs = assemble(self.runs, [*extra, *places, *writes])
        except Wandering:
            raise self.unrolled("its body does not do the same when it is run again") from None
        types = [t for t, _ in self.carried.values()] + [x.aval for x in self.written.values()]
        inputs: dict[Name, Var] = {**found}
        carry = [
            inputs.pop(name, Var(t))
            for name, t in zip(places + writes, types, strict=True)
        ]
        mine = [inputs.pop(name) for name in own]
        start = [self._start(path) for path in self.carried] + [*self.written.values()]
        names, consts = [*inputs.values()], [self.outside[key] for _, key in inputs]
        values = [x.value if isinstance(x, Constant) else x for x in consts]
        jaxpr = Jaxpr((*names, *mine, *carry), tuple(equations), tuple(outs))
        return _literals_in(Assembled(jaxpr, values, start))

    def _start(self, path: Path) -> Any:
        """What a carry is ahead of the loop; zeros for a variable that the body makes."""
        type, _ = self.carried[path]
        if path not in self.before:
            return zero(type)
        return as_dtype(as_leaf(self.before[path], spelled(path)), type.dtype)

    def finish(
        self, outs: Sequence[Any], also: dict[str, Any], rounds: int | None = None
    ) -> None:
        """Give the variables and the written arrays the results of the loop."""
        moves = self.moves if self.writes else None
        rounds = None if self.is_left else rounds
        if moves and rounds is None and not self.alone:
            raise self.unrolled("arrays that are written to change places, who knows how often")
        origins = moved(moves, rounds) if moves and rounds else {}
        unclear = self._unclear(rounds)
        variables: dict[str, Any] = {}
        for (path, (_, weak)), x in zip(self.carried.items(), outs, strict=False):
            if path in origins:
                array = self.before[origins[path]]
                array.assign(x)
                x = array
            else:
                x.weak = weak
                if path in unclear:
                    self.outer.root.unclear[id(x)] = x, self.site
            root = path[:1]
            variables.setdefault(path[0], self.before.get(root, self.last.get(root)))
            put(variables, path, x)
        for tracer, x in zip(self.written.values(), outs[len(self.carried) :], strict=True):
            tracer.assign(x)
        replace_locals(self.frame, self.arrays | variables | also)


    def _unclear(self, rounds: int | None) -> set[Path]:
        """The places whose array may be, behind the loop, one that others know: one that was there
        before, if there was no round, or none that made another."""
        places = [p for p in self.carried if p in self.kept or not rounds]
        if not places:
            return set()
        known = _callers() | self.outer.root.unclear.keys()
        known |= {id(_root(x)) for x in self.outside.values()}
        roots = {
            p: id(_root(x)) for p, x in self.before.items() if isinstance(x, Tracer) and x.ndim
        }  # fmt: skip
        held = Counter(roots.values())
        shared = {p for p, root in roots.items() if root in known or held[root] > 1}
        any_carried = not shared.isdisjoint(self.carried)
        return {p for p in places if p in shared or (p in self.kept and any_carried)}


def _callers() -> set[int]:
    """The ids of the arrays that callers see."""
    return {id(x) for s in stack.sinks if isinstance(s, Trace) for x in s.arguments}


def _root(x: Any) -> Any:
    """The array that a view is of; all else as it is."""
    return root_of(x) if isinstance(x, Tracer) else x


@dataclass(frozen=True, slots=True)
class Assembled:
    """A body, the values of its constants, and the carry ahead of the loop."""

    jaxpr: Jaxpr
    consts: list[Any]
    start: list[Any]


def _literals_in(loop: Assembled) -> Assembled:
    """The same with constants that are literals in their places in the body."""
    known = [isinstance(x, Tracer) and isinstance(x.atom, Literal) for x in loop.consts]
    count = len(known)
    with building() as builder:
        invars = [Var(t) for t in loop.jaxpr.in_types]
        inputs = [
            x.atom if k else v for x, k, v in zip(loop.consts, known, invars, strict=False)
        ]
        outs = inline(loop.jaxpr, [*inputs, *invars[count:]])
    jaxpr = builder.finish([*leave(invars[:count], known), *invars[count:]], outs)
    return Assembled(jaxpr, leave(loop.consts, known), loop.start)


def stale() -> Retrace:
    """Python has left a loop that is being rolled, by `break`, `return` or an exception."""
    inner = stack.sinks[-1]
    assert isinstance(inner, BodyTrace)
    return inner.loop.unrolled(LEFT)


def may_roll(trace: Trace | None, site: Site) -> bool:
    """Whether loops are rolled in this trace, and this one has not failed to be."""
    if trace is None or trace.is_tape or site in trace.unrolled:
        return False
    return not needs_python(site.code, site.offset)

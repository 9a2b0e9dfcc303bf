"""What a round writes and a later one reads is handed on in a register.

    scan (c, ..., i) {                              %r0 = c0[0]
      %p = dynamic_slice(c, i - 1)                  scan (c, ..., i, %r) {
      %v = f(%p)                              ->      %v = f(%r)
      %d = dynamic_update_slice(c, %v, i)             %d = dynamic_update_slice(c, %v, i)
      return %d, ..., i + 1                           return %d, ..., i + 1, %v
    }                                               }

A recurrence over the elements of an array would wait for memory in each round, longer than for its
arithmetic. Now the element is written, and nobody waits for it. The same holds for what was written
some rounds before, at the same place in each round, and earlier in the round itself.

Places are sums of numbers that loops count or leave as they are. Two are the same if their sums
are, also outside of the array, as windows are moved into it alike; they are not if the sums differ
by a number, and are inside. What is written in between has to be known not to be the place.

Needs: windows for updates (bounds), numbers where there is one element (ones). Leaves: reshapes of
reshapes (fold), indices that nobody reads (dce).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

from tracejit.backends.native.bounds import Ranges, bounds_of, step_of
from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import INT64, array_type
from tracejit.ops import elementwise as ops
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice
from tracejit.ops.structure import reshape
from tracejit.passes.held import Pass, through_held, with_held

#: So many rounds at most lie between a write and a read that is served from a register.
ROUNDS = 4


def handed_on(jaxpr: Jaxpr) -> Jaxpr:
    """The jaxpr, its loops handing on what their next rounds read; itself if there are none."""
    known: list[Ranges] = []

    def ranges() -> Ranges:
        if not known:
            known.append(bounds_of(jaxpr))
        return known[0]

    @through_held
    def run(jaxpr: Jaxpr, inner: Pass) -> Jaxpr:
        changed = False
        with building() as builder:
            for eqn in jaxpr.equations:
                builder.provenance = eqn.provenance
                after = with_held(eqn, inner) if eqn.params else eqn
                if eqn.primitive is scan or eqn.primitive is while_:
                    after = _Loop(after, ranges).handing_on()
                builder.equations.append(after)
                changed = changed or after is not eqn
        if not changed:
            return jaxpr
        return Jaxpr(jaxpr.invars, tuple(builder.equations), jaxpr.outvars)

    return run(jaxpr)


class _Sum(NamedTuple):
    """A place along an axis: multiples of numbers, and a constant."""

    terms: dict[Var, int]
    const: int

    def plus(self, other: _Sum, n: int = 1) -> _Sum:
        """The sum of this and n times another."""
        terms = dict(self.terms)
        for v, m in other.terms.items():
            terms[v] = terms.get(v, 0) + n * m
        return _Sum({v: m for v, m in terms.items() if m}, self.const + n * other.const)


class _Write(NamedTuple):
    """One element that is set: by an equation, to a number."""

    eqn: Equation
    number: Atom | None  # None: the only element of what is put there
    place: list[_Sum]


class _Read(NamedTuple):
    """One element that is read: what was written there so many rounds before."""

    eqn: Equation
    write: _Write
    rounds: int


class _Loop:
    """A scan or a while. `first` and `count` are of the carries among the inputs of its body."""

    def __init__(self, eqn: Equation, ranges: Callable[[], Ranges]):
        self.eqn, self.ranges = eqn, ranges
        p = eqn.params
        if eqn.primitive is scan:
            self.first, self.count, self.skipped = p["num_consts"], p["num_carry"], 0
            self.body: Jaxpr = p["jaxpr"]
        else:
            self.first, self.skipped = p["num_body_consts"], p["num_cond_consts"]
            self.count, self.body = len(eqn.inputs) - self.first - self.skipped, p["body"]
        self.makers = {v: e for e in self.body.equations for v in e.outvars}
        self.sums: dict[Var, _Sum] = {}

    def handing_on(self) -> Equation:
        """The loop with a carry for each register; what these begin with goes to the builder."""
        reads = [read for i in range(self.count) for read in self._served(i)]
        return self._with_registers(reads) if reads else self.eqn

    # What is written and read.

    def _served(self, i: int) -> Iterator[_Read]:
        """The reads of a carry that need not go to memory."""
        before = self.body.invars[self.first + i]
        chain = self._chain(before, self.body.outvars[i])
        versions = {before: 0, **{w.eqn.outvars[0]: n for n, w in enumerate(chain, 1)}}
        for eqn in self.body.equations if chain else ():
            if eqn.primitive is dynamic_slice and eqn.outvars[0].type.size == 1:
                n = versions.get(eqn.inputs[0])  # type: ignore[call-overload]
                found = None if n is None else self._source(eqn, chain[:n], chain)
                if found is not None:
                    yield _Read(eqn, *found)

    def _chain(self, before: Var, after: Atom) -> list[_Write]:
        """What makes the one of the other, if that is elements that are set; none otherwise."""
        found: list[_Write] = []
        while after is not before:
            eqn = self.makers.get(after) if before.ndim else None  # type: ignore[call-overload]
            if eqn is None or eqn.primitive is not dynamic_update_slice:
                return []
            if eqn.inputs[1].type.size != 1:
                return []
            place = list(map(self._sum, eqn.inputs[2:]))
            found.append(_Write(eqn, self._number(eqn.inputs[1]), place))
            after = eqn.inputs[0]
        return found[::-1]

    def _number(self, x: Atom) -> Atom | None:
        """The number that is the only element of x."""
        if isinstance(x, Literal):
            return Literal(x.value, array_type(x.dtype))
        maker = self.makers.get(x)  # type: ignore[call-overload]
        is_number = maker is not None and maker.primitive is reshape and not maker.inputs[0].ndim
        return maker.inputs[0] if is_number else None  # type: ignore[union-attr]

    def _source(
        self, eqn: Equation, done: Sequence[_Write], all: Sequence[_Write]
    ) -> tuple[_Write, int] | None:
        """Which write a read finds, and how many rounds before; None where that is not known."""
        place = list(map(self._sum, eqn.inputs[1:]))
        for rounds in range(ROUNDS + 1):
            for write in reversed(all if rounds else done):
                same = self._is_same(eqn, place, write, rounds)
                if same:
                    return write, rounds
                if same is None:
                    return None
        return None

    def _is_same(
        self, read: Equation, place: Sequence[_Sum], write: _Write, rounds: int
    ) -> bool | None:
        """Whether a place is the one that is written so many rounds before."""
        equal = True
        for axis, (x, y) in enumerate(zip(place, write.place, strict=True)):
            earlier = self._earlier(y, rounds)
            rest = None if earlier is None else x.plus(earlier, -1)
            if rest is None or rest.terms:
                equal = False
            elif rest.const:
                both = read.inputs[1 + axis], write.eqn.inputs[2 + axis]
                if all(self._is_inside(at, read.inputs[0].shape[axis]) for at in both):
                    return False
                equal = False
        return equal or None

    def _is_inside(self, at: Atom, extent: int) -> bool:
        if isinstance(at, Literal):
            return 0 <= int(at.value) < extent
        low, high = self.ranges().get(at, (-1, 0))
        return low >= 0 and high < extent

    # Places.

    def _sum(self, x: Atom) -> _Sum:
        """An index as a sum of what the body is given, or computes otherwise."""
        if isinstance(x, Literal):
            return _Sum({}, int(x.value))
        found = self.sums.get(x)  # type: ignore[call-overload]
        if found is None:
            found = self.sums[x] = self._added(x)  # type: ignore[index]
        return found

    def _added(self, x: Any) -> _Sum:
        eqn = self.makers.get(x)
        if eqn is not None and x.dtype == INT64 and not x.ndim:
            if eqn.primitive in (ops.add, ops.sub):
                a, b = map(self._sum, eqn.inputs)
                return a.plus(b, 1 if eqn.primitive is ops.add else -1)
            if eqn.primitive is ops.mul and isinstance(eqn.inputs[1], Literal):
                return _Sum({}, 0).plus(self._sum(eqn.inputs[0]), int(eqn.inputs[1].value))
        return _Sum({x: 1}, 0)

    @cached_property
    def _steps(self) -> dict[Var, int]:
        """By how much the inputs of the body grow from round to round, where that is a number."""
        steps = dict.fromkeys(self.body.invars[: self.first], 0)
        for i, v in enumerate(self.body.invars[self.first : self.first + self.count]):
            step = 0 if self.body.outvars[i] is v else step_of(self.body, v, i)
            if step is not None and v.dtype == INT64 and not v.ndim:
                steps[v] = step
        return steps

    def _earlier(self, x: _Sum, rounds: int) -> _Sum | None:
        """What a sum was so many rounds before, in the numbers of this one."""
        if not rounds:
            return x
        if not all(v in self._steps for v in x.terms):
            return None
        return _Sum(x.terms, x.const - rounds * sum(n * self._steps[v] for v, n in x.terms.items()))

    # The new loop.

    def _with_registers(self, reads: Sequence[_Read]) -> Equation:
        depth: dict[int, int] = {}
        writes = {id(read.write.eqn): read.write for read in reads}
        for read in reads:
            key = id(read.write.eqn)
            depth[key] = max(depth.get(key, 0), read.rounds)
        registers: dict[tuple[int, int], Var] = {}
        starts: list[Atom] = []
        for key, rounds in depth.items():
            for n in range(1, rounds + 1):
                registers[key, n] = Var(array_type(writes[key].eqn.inputs[0].dtype))
                starts.append(self._start(writes[key], n))
        served = {id(read.eqn): read for read in reads}
        numbers: dict[int, Atom] = {}
        equations: list[Equation] = []
        for eqn in self.body.equations:
            if id(eqn) in writes:
                with building() as builder:
                    number = writes[id(eqn)].number
                    numbers[id(eqn)] = number or reshape(eqn.inputs[1], shape=())
                equations += builder.equations
            if id(eqn) in served:
                _, write, rounds = served[id(eqn)]
                key, shape = id(write.eqn), eqn.outvars[0].shape
                x = registers[key, rounds] if rounds else numbers[key]
                eqn = Equation(reshape, (x,), {"shape": shape}, eqn.outvars, eqn.provenance)
            equations.append(eqn)
        nexts = [registers[key, n - 1] if n > 1 else numbers[key] for key, n in registers]
        return self._rebuilt(equations, list(registers.values()), starts, nexts)

    def _start(self, write: _Write, rounds: int) -> Atom:
        """The element at the place of a write so many rounds before the first."""
        outside = dict(zip(self.body.invars, self.eqn.inputs[self.skipped :], strict=False))
        array = outside[self._root(write.eqn)]
        places = []
        for x in write.place:
            earlier = self._earlier(x, rounds)
            assert earlier is not None
            total: Atom = Literal(earlier.const, array_type(INT64))
            for v, n in earlier.terms.items():
                part = outside[v]
                if n != 1:
                    part = ops.mul(part, Literal(n, array_type(INT64)))
                total = ops.add(part, total)
            places.append(total)
        element = dynamic_slice(array, *places, sizes=(1,) * array.ndim)
        return reshape(element, shape=())

    def _root(self, eqn: Equation) -> Var:
        """The input of the body that a chain of updates begins with."""
        x: Any = eqn.inputs[0]
        while x in self.makers:
            x = self.makers[x].inputs[0]
        return x

    def _rebuilt(
        self, equations: Sequence[Equation], registers: Sequence[Var], starts: Sequence[Atom],
        nexts: Sequence[Atom],
    ) -> Equation:  # fmt: skip
        """The loop with another body and these carries behind its own."""
        eqn, p, body = self.eqn, self.eqn.params, self.body
        last = self.first + self.count
        after = Jaxpr(
            (*body.invars[:last], *registers, *body.invars[last:]), tuple(equations),
            (*body.outvars[: self.count], *nexts, *body.outvars[self.count :]),
        )  # fmt: skip
        outside = self.skipped + last
        params: dict[str, Any] = {"jaxpr": after, "num_carry": self.count + len(registers)}
        if eqn.primitive is while_:
            test: Jaxpr = p["cond"]
            unread = [Var(v.type) for v in registers]
            test = Jaxpr((*test.invars, *unread), test.equations, test.outvars)
            params = {"body": after, "cond": test}
        outvars = (
            *eqn.outvars[: self.count], *[Var(v.type) for v in registers],
            *eqn.outvars[self.count :],
        )  # fmt: skip
        inputs = (*eqn.inputs[:outside], *starts, *eqn.inputs[outside:])
        return Equation(eqn.primitive, inputs, p | params, outvars, eqn.provenance)

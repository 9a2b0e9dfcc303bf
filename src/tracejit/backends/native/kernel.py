"""Kernels: a group of statements over one index space becomes one loop nest.

A statement stores a variable of the space's shape, or accumulates over some axes of the space (a
reduction). Whatever lies between buffers and statements is computed in place, once for each point,
and shared by all statements of the kernel.

Choices made here: the order of loops, which loop is the vector loop, how many chains.
- The vector loop runs along the axis that most of the data is contiguous in.
- Reduced loops go inside, so that sums stay in registers; a sum that another loop interrupts is
  accumulated in memory.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from math import prod
from typing import Any

from tracejit.backends.native.borders import Core, Part, core_of
from tracejit.backends.native.elementwise import register_type
from tracejit.backends.native.emit import constant
from tracejit.backends.native.ends import Bounds
from tracejit.backends.native.index import ORIGIN, Emitted, Loop, Rows
from tracejit.backends.native.lowering import Pointwise, Reader, rule_of
from tracejit.backends.native.nest import Buffer, Nest, Scalar
from tracejit.backends.native.sums import Accumulate, Sums
from tracejit.backends.native.windows import NONE, Limits, in_common
from tracejit.ir.atoms import Literal
from tracejit.ir.graph import Equation
from tracejit.ir.types import PART_OF
from tracejit.ops.structure import broadcast

#: Sums that are added up at the same time: an addition takes 4 cycles, 2 begin in each.
SUMS = 8
#: The cost of a body up to which loops are unrolled; and how many turns are unrolled altogether.
LIGHT = 8
#: The cost of a body from which on it is emitted once, under masks, without a tail behind the loop:
#: up to half of the time to compile, for 0 to 10 % of the time to run.
HEAVY = 30
FEW_TURNS = 4
#: The cost of a body above which it is emitted once for all chains, which take turns: up to half of
#: the time to compile. Its iterations are as far apart as the machine looks ahead.
MIDDLE = 16


@dataclass(slots=True, eq=False)
class Store:
    """Store a variable of the space's shape into a buffer.

    old: variables whose elements lie there, each where that of `var` will.
    """

    var: Any
    buffer: Buffer
    old: Set[Any] = frozenset()


@dataclass(slots=True, eq=False)
class Survey:
    """What the statements of a kernel touch: votes for the vector axis, the widest dtype, the cost.

    An array votes with its size for the axis in which it is contiguous, and against its others.
    """

    votes: dict[int, int] = field(default_factory=dict)
    widest: int = 1
    cost: int = 0
    seen: set[Any] = field(default_factory=set)

    def vote(self, axes: Sequence[int | None], size: int, buffer: Buffer | None) -> None:
        last = len(axes) - 1 if buffer is None else buffer.contiguous
        for place, axis in enumerate(axes):
            if axis is not None:
                weight = size if place == last else -size
                self.votes[axis] = self.votes.get(axis, 0) + weight


class Kernel:
    """Statements over one space, or over some rows of it, ready to be emitted."""

    def __init__(
        self, program: Any, space: tuple[int, ...], statements: Sequence[Any],
        rows: Rows | None = None,
    ):
        self.program = program
        self.rows = rows
        self.whole = space
        if rows is not None:
            space = rows.shape(space)
        self.space = space
        self.stores = [s for s in statements if isinstance(s, Store)]
        self.sums = [s for s in statements if isinstance(s, Accumulate)]

    def emit(self) -> None:
        """Emit the nest; results are in the buffers, those of rank 0 in `Accumulate.result`."""
        if 0 in self.space:
            for s in self.sums:
                self._set_all(s)
            return
        survey = self._survey()
        limits = self.limits()
        flat = not limits and self._is_flat()
        core = None if flat or limits else self._core(survey)
        if core is None:
            self._emit(survey, limits, flat)
            return
        fn = self.program.fn
        slabs = len(core.slabs)
        self.program.repeat(slabs, lambda i: self._emit(survey, NONE, False, core.slab(fn, i)))
        self._emit(survey, NONE, False, core.inside)

    def _core(self, survey: Survey) -> Core | None:
        """The part of the space that is worth a nest of its own, if any."""
        if self.sums or (self.rows is not None and self.rows.extent == 1):
            return None
        loops, _ = self._loops(survey)
        vector = next((axis for axis, loop in enumerate(loops) if loop.vector), None)
        if vector is None:
            return None
        stored = [s.var for s in self.stores]
        return core_of(self.program, stored, self.whole, vector, self._lanes(survey, loops))

    def _lanes(self, survey: Survey, loops: Sequence[Loop]) -> int:
        width = self.program.target.vector_bits // (8 * survey.widest)
        return next((min(width, _power_of_two(x.extent)) for x in loops if x.vector), 1)

    def _emit(self, survey: Survey, limits: Limits, flat: bool, part: Part | None = None) -> None:
        """Emit the nest, over a part of the space alone if so asked."""
        loops, order = self._one_loop() if flat else self._loops(survey)
        shifts = part.bind(self.program.fn, loops, self.rows) if part else (0,) * len(loops)
        around = part is not None and not isinstance(part.low[0], int)
        vector = next((loop for loop in loops if loop.vector), None)
        lanes = self._lanes(survey, loops)
        keeps = bool(order) and not order[-1].vector and not self.stores
        chains = 1 if around else _chains(survey.cost, keeps)
        if vector:
            chains = max(1, min(chains, -(-vector.extent // lanes)))
        bounded = {loops[limit.axis] for limit in limits}
        if self._adds_up(loops, order, survey) and bounded.isdisjoint(order[-2:]):
            chains = self._unroll(loops, order, lanes, chains)
        self.nest = nest = Nest(self.program, order, lanes=lanes, chains=chains)
        nest.masked, nest.few = survey.cost >= HEAVY, around
        nest.in_turns = survey.cost > MIDDLE
        # Flat: of row-major arrays the last index alone, running through all of them, is the place.
        before = (ORIGIN,) * (len(self.space) - 1) if flat else ()
        own = [i.shift(n) for i, n in zip(nest.index_of(loops), shifts, strict=True)]
        self.index = (*before, *own)
        if self.rows is not None:
            self.index = self.rows.place(self.index)
        if part and not around:
            spans = [part.span(a, i.const) for a, i in enumerate(self.index)]
            nest.spans = {i.terms: s for i, s in zip(self.index, spans, strict=True) if i.terms}
        if limits:
            Bounds(nest, self.index, loops, limits).set_ends(self.program.plan.windows)
        begun = [s for s in self.sums if self.rows is not None and self.rows.axis in s.reduced]
        for s in begun:
            s.in_memory = True  # by a kernel of earlier rows
        self.totals = Sums(nest, self.sums, loops, self.index)
        for s in self.sums:
            if s not in begun and (s.in_memory or self._leaves_out(s, limits)):
                self._set_all(s)
        nest.run(self._body, enter=self.totals.enter, leave=self.totals.leave)

    def describe(self) -> str:
        """One line for the log: the space, its loops, the statements."""
        nest = getattr(self, "nest", None)
        if nest is None:
            return f"{self.space}: nothing to do"
        loops = " ".join(
            f"{'up to ' if loop.ends else ''}{loop.extent}"
            f"{f' by {nest.lanes} x {nest.chains}' if loop.vector else ''}"
            f"{f' by {loop.copies}' if loop.copies > 1 else ''}"
            for loop in nest.loops
        )
        work = [f"store {s.var.type}" for s in self.stores]
        work += [f"{s.eqn.primitive.name} -> {s.eqn.outvars[0].type}" for s in self.sums]
        return f"{self.space}, loops [{loops}]: {'; '.join(work)}"

    # Choices.

    def limits(self) -> Limits:
        """The limits that all statements have in common, but those along rows of a tile."""
        plan = self.program.plan
        found = [plan.windows.of_store(s.var, s.old) for s in self.stores]
        found += [plan.windows.of_sum(s.eqn) if s.eqn in plan.rules else NONE for s in self.sums]
        common = in_common(found)
        if self.rows is None or not common:
            return common
        return frozenset(x for x in common if x.axis != self.rows.axis)

    def _leaves_out(self, s: Accumulate, limits: Limits) -> bool:
        """Whether some of a reduction's results are no more than what it starts with."""
        kept = [x for x in limits if x.axis not in s.reduced]
        return bool(kept) and not self.program.plan.windows.of_result(s.eqn).issuperset(kept)

    def _survey(self) -> Survey:
        survey = Survey()
        identity = tuple(range(len(self.space)))
        for store in self.stores:
            self._look(survey, store.var, identity, force=True)
            survey.vote(identity, store.var.type.size, store.buffer)
        for s in self.sums:
            for x, axes in s.rule.operands(s.eqn):
                self._look(survey, x, axes)
            survey.widest = max(survey.widest, s.dtype.itemsize)
            kept = [a for a in identity if a not in s.reduced]
            survey.vote(kept, s.eqn.outvars[0].type.size, s.buffer)
            survey.cost += 1
        return survey

    def _look(self, survey: Survey, x: Any, axes: tuple[Any, ...], *, force: bool = False) -> None:
        """Follow x to the buffers it is read from; axes[i] is the space's axis that its axis i runs
        along, or None."""
        pending = [(x, axes, force)]
        while pending:
            x, axes, force = pending.pop()
            if isinstance(x, Literal) or (x, axes) in survey.seen:
                continue
            survey.seen.add((x, axes))
            location = self.program.locations.get(x)
            if x.dtype.kind != "b":
                size = PART_OF.get(x.dtype, x.dtype).itemsize
                survey.widest = max(survey.widest, size)
            if location is not None and not force:
                if isinstance(location, Buffer):
                    survey.vote(axes, x.type.size, location)
                continue
            eqn = self.program.makers.get(x)
            if eqn is None:
                continue
            rule = rule_of(eqn)
            if isinstance(rule, Pointwise):
                survey.cost += rule.cost
                pending += [(y, axes, False) for y in eqn.inputs]
            elif isinstance(rule, Reader):
                survey.cost += 1
                pending += [(y, a, False) for y, a in rule.axes(eqn, axes)]

    def _loops(self, survey: Survey) -> tuple[list[Loop], list[Loop]]:
        """A loop for each axis of the space, and the loops from the outside to the inside."""
        axes = [a for a, n in enumerate(self.space) if n > 1]
        loops = [Loop(n) for n in self.space]
        if not axes:
            return loops, []
        enough = [a for a in axes if self.space[a] >= 4] or axes
        chosen = max(enough, key=lambda a: (survey.votes.get(a, 0), a))
        loops[chosen].vector = True
        everywhere = set(axes)
        for s in self.sums:
            everywhere &= set(s.reduced)
        inner = everywhere if self.sums and not self.stores else set()
        if chosen in inner or any(set(s.reduced) != inner for s in self.sums) or self.stores:
            order = [a for a in axes if a != chosen and a not in inner]
            order += [a for a in axes if a != chosen and a in inner] + [chosen]
        else:
            order = [a for a in axes if a != chosen and a not in inner] + [chosen]
            order += [a for a in axes if a in inner]
        return loops, [loops[a] for a in order]

    def _is_flat(self) -> bool:
        """Whether all is read and stored element by element, so that one loop does for all axes."""
        if len(self.space) < 2 or self.rows is not None:
            return False
        if any(len(s.reduced) < len(self.space) or not s.rule.aligned(s.eqn) for s in self.sums):
            return False
        if any(store.buffer.given_strides is not None for store in self.stores):
            return False
        pending = [x for s in self.sums for x in s.eqn.inputs]
        for store in self.stores:
            made = store.var in self.program.makers and store.var not in self.program.locations
            pending += self.program.makers[store.var].inputs if made else [store.var]
            if made and not self._is_plain(self.program.makers[store.var]):
                return False
        seen = set()
        while pending:
            x = pending.pop()
            if x in seen or isinstance(x, Literal) or not x.ndim:
                continue
            seen.add(x)
            location = self.program.locations.get(x)
            if isinstance(location, Buffer):
                if location.given_strides is not None or x.shape != self.space:
                    return False
            elif location is None:
                maker = self.program.makers.get(x)
                if maker is None or not self._is_plain(maker):
                    return False
                pending += maker.inputs
        return True

    def _is_plain(self, eqn: Equation) -> bool:
        """Whether an equation reads at its own index, or one number everywhere."""
        if eqn.primitive is broadcast:
            return not eqn.inputs[0].ndim
        return isinstance(rule_of(eqn), Pointwise)

    def _one_loop(self) -> tuple[list[Loop], list[Loop]]:
        loop = Loop(prod(self.space))
        loop.vector = loop.extent > 1
        return [loop], [loop] if loop.extent > 1 else []

    def _adds_up(self, loops: list[Loop], order: list[Loop], survey: Survey) -> bool:
        """Whether the innermost loop is short work of sums alone."""
        if not order or self.stores or not self.sums or survey.cost > LIGHT:
            return False
        inner = loops.index(order[-1])
        return all(inner in s.reduced for s in self.sums)

    def _unroll(self, loops: list[Loop], order: list[Loop], lanes: int, chains: int) -> int:
        """Unroll a loop, where that is worth it: an inner one, so that sums do not wait for each
        other; or one around a vector that is all of a sum, so that the sums of several rows are
        finished together. Returns how many chains there are then."""
        inner = order[-1]
        if not inner.vector:
            if inner.extent <= FEW_TURNS:
                inner.copies = inner.extent
                return max(1, chains // inner.extent)
            copies = SUMS // chains
            if copies > 1 and inner.extent >= 4 * copies:
                inner.copies = copies
            return chains
        if len(order) == 1 or inner.extent > lanes * chains:
            return chains
        rows = order[-2]
        kept = {a for a, loop in enumerate(loops) if loop in order[:-1]}
        alone = all(kept.isdisjoint(s.reduced) for s in self.sums)
        begun = self.rows is not None and any(self.rows.axis in s.reduced for s in self.sums)
        if alone and not begun and lanes > 1 and rows.extent >= 2 * lanes:
            rows.copies = lanes
        return chains

    # Emission.

    def _set_all(self, s: Accumulate) -> None:
        """The identity everywhere in the result."""
        if s.buffer is None:
            s.result = constant(register_type(s.dtype), s.rule.identity(s.dtype))
            return
        fill(self.program, s, self.rows)

    def _body(self) -> None:
        nest = self.nest
        for chain in nest.active:
            nest.chain = chain if nest.vector else None
            for store in self.stores:
                self._store(store)
            self.totals.accumulate(chain)
        nest.chain = None

    def _store(self, store: Store) -> None:
        nest, x = self.nest, store.var
        located = isinstance(x, Literal) or x in self.program.locations
        found = nest.value(x, self.index) if located else nest.computed(x, self.index)
        lanes = nest.lanes if nest.vector else 1
        value = found.value if x.dtype.kind == "c" else nest.fn.splat(found.value, lanes)
        nest.store(store.buffer, self.index, Emitted(value, found.depth, found.chain))


def fill(program: Any, s: Accumulate, rows: Rows | None = None) -> None:
    """Store a reduction's identity in its buffer; in some of the rows of its space, if so given."""
    out = s.eqn.outvars[0]
    if rows is not None:
        rows = Rows(rows.axis - sum(a < rows.axis for a in s.reduced), rows.origin, rows.extent)
    literal = Literal(s.rule.identity(s.dtype), out.type)
    Kernel(program, out.shape, [Store(literal, s.buffer)], rows).emit()  # type: ignore[arg-type]


def _power_of_two(n: int) -> int:
    """The smallest power of two that is not below n."""
    return 1 << max(0, n - 1).bit_length()


def _chains(cost: int, keeps_sums: bool) -> int:
    """Independent copies of the body: enough to hide latency, few where the body is long.

    Where a loop inside of the vector loop only adds up, more of its sums stay in registers.
    """
    if cost > 60:
        return 1
    if cost > MIDDLE:
        return 2
    return 8 if keeps_sums else 4


def result_location(s: Accumulate) -> Buffer | Scalar:
    """Where the result of a reduction is, after the kernel."""
    if s.buffer is not None:
        return s.buffer
    assert s.result is not None
    return Scalar(s.result)


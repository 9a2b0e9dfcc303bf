"""What a loop carries: registers, and arrays in memory that is not copied from round to round.

    (a, b) -> (b, f(a))               f(a) may go where a lies, then a and b change places
    a -> dynamic_update_slice(a, ..)  updated where it lies, if its body allows that
    a -> a[1:] + a[:-1]               a second buffer is written, then both change places
    a -> a.at[1:-1].set(stencil(a))   so they do here, and what is never written is in both
    a -> f @ a, a few numbers         vectors in registers, one for each row

Buffers of arrays are slots. A carry reads its own slot and its result lies in a slot, its own,
another's, or a spare one; `after` says for each slot whose memory it has in the next round.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.backends.native.elementwise import literal
from tracejit.backends.native.emit import Block, Phi, Value
from tracejit.backends.native.nest import Buffer, Scalar
from tracejit.backends.native.parts import cut
from tracejit.backends.native.program import Location
from tracejit.backends.native.small import carried_in_registers, from_rows, held, leave, to_rows
from tracejit.backends.native.updates import follow, updated, windows_of
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation


def locate(program: Any, x: Atom) -> Location:
    """Where a body finds an operand: a register, a buffer, or a number that fills an array."""
    if isinstance(x, Literal):
        return Scalar(literal(x))
    if not x.ndim:
        return Scalar(program.scalar(x))
    location = program.locations.get(x)
    return location if isinstance(location, Scalar) else program.buffer(x)


class Carry:
    """A value handed from round to round: `out` behind the loop, `init` before it; in the body it
    comes as `before` and leaves as `after`."""

    def __init__(self, out: Var, init: Atom, before: Var, after: Atom):
        self.out, self.init, self.before, self.after = out, init, before, after
        #: The body hands it on as it came.
        self.is_constant = before is after
        self.is_array = init.ndim > 0 and not self.is_constant
        self.is_small = False  # in registers, row by row
        self.location: Location | None = None
        self.register: Phi | None = None
        self.rows: list[Value] = []
        self.phis: list[Phi] = []


class Slot:
    """A buffer of a loop. `memory` is where it begins, `now` where it is in a round."""

    def __init__(self, carry: Carry):
        self.carry = carry
        self.memory: Buffer
        self.phi: Phi | None = None

    @property
    def now(self) -> Buffer:
        if self.phi is None:
            return self.memory
        return Buffer(self.phi.value, self.memory.shape, self.memory.dtype)


class Carries:
    """The carries of a loop whose body is `inner`, in which they begin at input number `first`.

    length: how many rounds there are, at least 1; None where that is not known. Use: `begin` before
    the loop, `enter` at its head, `hand_on` at its latch, `finish` behind it.
    """

    def __init__(
        self, program: Any, eqn: Equation, outs: Sequence[Var], inits: Sequence[Atom],
        inner: Any, first: int, length: int | None,
    ):  # fmt: skip
        self.program, self.eqn, self.inner, self.length = program, eqn, inner, length
        inputs, results = inner.jaxpr.invars[first:], inner.jaxpr.outvars
        self.all = [Carry(*x) for x in zip(outs, inits, inputs, results, strict=False)]
        self._choose_small()
        self.arrays = [c for c in self.all if c.is_array and not c.is_small]
        self.slots = [Slot(c) for c in self.arrays]
        self._choose_slots(inner.jaxpr.invars[:first])

    def _choose_small(self) -> None:
        """What stays in registers: in loops that are one function and go round at least once."""
        inner = self.inner
        if self.length is None or len(cut(inner.plan.weights())) > 1:
            return
        pairs = {i: (c.before, c.after) for i, c in enumerate(self.all) if c.is_array}
        inner.kept = carried_in_registers(inner.plan, pairs)
        for i in inner.kept:
            self.all[i].is_small = True

    # Which slot has what.

    def _choose_slots(self, fixed: Sequence[Var]) -> None:
        """result: for each array the slot of its result; after: for each slot, the next memory."""
        plan = self.inner.plan
        own = {c.before: i for i, c in enumerate(self.arrays)}
        self.replaced = follow(plan, self.inner.last, list(own))
        mixed = self.length is not None and not any(c.out in self.program.ready for c in self.all)
        self.result: list[int] = []
        self.windows: list[list[Var]] = []
        for i, c in enumerate(self.arrays):
            slot = own.get(self._root(c.after))  # type: ignore[call-overload]
            if slot is None or slot in self.result or not (
                slot == i or mixed and self.arrays[slot].init.type == c.init.type
            ):
                slot = len(self.slots)
                self.slots.append(Slot(c))
            self.result.append(slot)
        left = [s for s in range(len(self.slots)) if s not in self.result]
        self.after = list(self.result)
        for spare in range(len(self.arrays), len(self.slots)):
            i = self.arrays.index(self.slots[spare].carry)
            self.after.append(i if i in left else left[0])
            left.remove(self.after[-1])
        for i, c in enumerate(self.arrays):
            alone = self.result[i] >= len(self.arrays) and self.after[self.result[i]] == i
            self.windows.append(windows_of(plan, c.before, c.after, fixed) if alone else [])

    def _root(self, y: Atom) -> Atom:
        """The array whose place y has taken, at last."""
        while y in self.replaced:
            y = self.replaced[y]  # type: ignore[index]
        return y

    def _at_last(self) -> list[int]:
        """For each slot, the slot whose first memory it has when all rounds are through."""
        found, step, rounds = list(range(len(self.slots))), self.after, self.length or 0
        while rounds:
            if rounds & 1:
                found = [step[s] for s in found]
            step = [step[s] for s in step]
            rounds >>= 1
        return found

    # Memory.

    def begin(self) -> None:
        """Put what the loop starts with where the first round finds it."""
        program = self.program
        for c in self.all:
            if c.is_constant:
                c.location = locate(program, c.init)
            elif c.is_small:
                c.rows = to_rows(program.fn, held(program, c.init), c.init.shape)
            elif not c.is_array:
                c.location = Scalar(program.scalar(c.init))
        self._take_memory()
        for i, c in enumerate(self.arrays):
            if program.locations.get(c.init) is not self.slots[i].memory:
                program.copy(c.init, self.slots[i].memory)
            if self.windows[i]:
                program.copy(c.init, self.slots[self.result[i]].memory)

    def _take_memory(self) -> None:
        """Results get their targets, or memory of their own; the rest is given back."""
        program, last = self.program, self._at_last()
        owner = {last[i]: c for i, c in enumerate(self.arrays)}
        free = {x for _, x in updated(program.plan, self.eqn)}
        for s, slot in enumerate(self.slots):
            c = owner.get(s)
            if c is None:
                kept = slot.carry.out if self.length is None else None
                slot.memory = program.scratch(slot.carry.init.type, kept)
                continue
            found = None
            if s < len(self.arrays):
                init = slot.carry.init
                if program.ready.get(c.out) is init:
                    found = program.locations[init] = program.targets[c.out]
                elif init in free:
                    found = program.take_over(c.out, init)
            slot.memory = found or program.allocate(c.out)

    # The loop.

    def enter(self, before: Block) -> None:
        """At the head of the loop, which is first entered from the block `before`."""
        fn = self.program.fn
        for c in self.all:
            if c.is_small:
                c.phis = [fn.phi(row.type) for row in c.rows]
                for phi, row in zip(c.phis, c.rows, strict=True):
                    phi.add(row, before)
                rows = [phi.value for phi in c.phis]
                self.inner.registers[c.before] = from_rows(rows, c.init.shape)
            elif not c.is_array and not c.is_constant:
                assert isinstance(c.location, Scalar)
                c.register = fn.phi(c.location.value.type)
                c.register.add(c.location.value, before)
                self.program.note_range(c.register.value, c.before)
                c.location = Scalar(c.register.value)
        for s, slot in enumerate(self.slots):
            if self.after[s] != s:
                slot.phi = fn.phi(slot.memory.pointer.type)
                slot.phi.add(slot.memory.pointer, before)
        for i, c in enumerate(self.arrays):
            c.location = self.slots[i].now

    @property
    def locations(self) -> list[Location | None]:
        """What the body reads."""
        return [c.location for c in self.all]

    def targets(self) -> list[Buffer | None]:
        """Where the body writes; None for what is a register, or lies somewhere as it is.

        What the body updates in place it is told here.
        """
        found: dict[Carry, Buffer] = {}
        for i, c in enumerate(self.arrays):
            if self.result[i] >= len(self.arrays):
                found[c] = self.slots[self.result[i]].now
                for v in self.windows[i]:
                    self.inner.lies_ready(v, self.inner.makers[v].inputs[0], found[c])
                continue
            y, buffer = c.after, self.arrays[self.result[i]].location
            assert isinstance(buffer, Buffer)
            while y in self.replaced:
                place = buffer if y.shape == buffer.shape else buffer.reshaped(y.shape)
                found.setdefault(c, place)
                self.inner.lies_ready(y, self.replaced[y], place)  # type: ignore[index]
                y = self.replaced[y]  # type: ignore[index]
        return [found.get(c) for c in self.all]

    def hand_on(self, results: Sequence[Location], latch: Block) -> None:
        """The next round begins with these."""
        for c, result in zip(self.all, results, strict=False):
            if c.is_small:
                registers = self.inner.registers[c.after]
                c.rows = to_rows(self.program.fn, registers, c.init.shape)
                for phi, row in zip(c.phis, c.rows, strict=True):
                    phi.add(row, latch)
            elif c.register is not None:
                assert isinstance(result, Scalar)
                c.register.add(result.value, latch)
        for s, slot in enumerate(self.slots):
            if slot.phi is not None:
                slot.phi.add(self.slots[self.after[s]].now.pointer, latch)

    def finish(self, results: Sequence[Location | None]) -> None:
        """Behind the loop, which ended with these."""
        program, last = self.program, self._at_last()
        for c, result in zip(self.all, results, strict=False):
            if c.is_constant:
                program.assign(c.out, c.init)
            elif c.is_small:
                leave(program, c.out, from_rows(c.rows, c.init.shape))
            elif c.is_array and self.length is not None:
                program.settle(c.out, self.slots[last[self.arrays.index(c)]].memory)
            else:
                assert result is not None
                program.hand_over(c.out, result)

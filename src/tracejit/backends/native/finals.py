"""Inputs that a program writes to: its last results are what becomes of them.

    x[1:] += 1        x is an input, and y = dynamic_update_slice(x, ...) its final value

In place where that can be: the memory of x is the program's own once nothing reads x any more, so
that y, or what leads to it, may lie there; or y goes there at once, if it is made after that. What
comes to lie elsewhere is copied at the end. A program that may be left early (see leaving.py)
leaves its inputs alone until its end. One whose written inputs overlap with others declines at its
beginning: what it reads would change under its hands.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tracejit.backends.native.emit import I8, I64, Value, constant
from tracejit.backends.native.leaving import OVERLAP, leave_if
from tracejit.backends.native.nest import Buffer, Nest
from tracejit.backends.native.program import Program
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.effects import has_effects


def store_number(program: Program, pointer: Value, value: Value, dtype: np.dtype) -> None:
    """Store a number in a register into memory."""
    program.fn.store(Nest(program, []).to_memory(value, dtype), pointer)


class Finals:
    """The final values of a program's inputs `written`. places: of its inputs, all of them, of
    which those from `first` on are arguments."""

    def __init__(
        self, program: Program, places: Sequence[Value], first: int, written: Sequence[int]
    ):
        self.program = program
        self.places = places
        self.first = first
        self.written = written
        self.inputs = program.jaxpr.invars
        self.values = program.jaxpr.outvars[len(program.jaxpr.outvars) - len(written) :]
        if written:
            self._decline_overlaps()
        if not has_effects(program.jaxpr):
            self._lend()

    def _decline_overlaps(self) -> None:
        """Leave the program where a written input and another one have memory in common."""
        fn = self.program.fn
        found: Value | None = None
        for i in self.written:
            for j in range(self.first, len(self.inputs)):
                if j == i or (j in self.written and j < i):
                    continue
                (low, high), (start, end) = self._extent(i), self._extent(j)
                meet = fn.and_(
                    fn.less(low, end, signed=False), fn.less(start, high, signed=False)
                )
                found = meet if found is None else fn.or_(found, meet)
        if found is not None:
            leave_if(self.program, found, lambda: constant(I64, OVERLAP))

    def _extent(self, i: int) -> tuple[Value, Value]:
        """Where an input begins and ends."""
        begin, type = self.places[i], self.inputs[i].type
        return begin, self.program.fn.offset(begin, type.nbytes, I8)

    def _lend(self) -> None:
        """Let final values, or what they are made from, lie in the inputs' memory."""
        program = self.program
        makers = {v: n for n, s in enumerate(program.plan.steps) for v in program.plan.results(s)}
        for i, y in zip(self.written, self.values, strict=True):
            x, place = self.inputs[i], program.locations[self.inputs[i]]
            if not isinstance(place, Buffer) or not x.type.size:
                continue
            once = program.jaxpr.outvars.count(y) == 1
            if once and isinstance(y, Var) and makers.get(y, -1) > program.last.get(x, -1):
                program.targets[y] = place
            else:
                program.own(x, place)
                if once and isinstance(y, Var):
                    program.meant[y] = x

    def write(self) -> None:
        """Put what does not lie there into the inputs, when all else is done."""
        program, pending = self.program, list[tuple[Atom, Buffer]]()
        program.number = len(program.plan.steps)
        for i, y in zip(self.written, self.values, strict=True):
            target = program.locations[self.inputs[i]]
            if not isinstance(target, Buffer):
                store_number(program, self.places[i], program.scalar(y), y.dtype)
            elif y.type.size and not self._lies_at(y, target):
                pending.append((y, target))
        saved = {y: self._saved(y) for y, _ in pending if not self._is_apart(y)}
        for y, target in pending:
            if y in saved:
                program.move(saved[y], target)
            else:
                program.copy(y, target)

    def _lies_at(self, y: Atom, target: Buffer) -> bool:
        where = self.program.locations.get(y)
        return isinstance(where, Buffer) and str(where.pointer) == str(target.pointer)

    def _is_apart(self, y: Atom) -> bool:
        """Whether it is plain that y lies in no input that is written to."""
        program = self.program
        where = program.locations.get(y)
        if len(self.written) == 1 or not isinstance(y, Var) or not isinstance(where, Buffer):
            return True
        if program.targets.get(y) is where:
            return True
        maker, blocks = program.makers.get(y), program.blocks.get(y, ())
        owned = any(
            block.area is not program.arena.workspace
            and all(block.area is not lent.area for lent in program.arena.lent)
            for block in blocks
        )
        return bool(blocks) and not owned and maker is not None and not maker.outvars[1:]

    def _saved(self, y: Atom) -> Buffer:
        place = self.program.scratch(y.type)
        self.program.copy(y, place)
        return place

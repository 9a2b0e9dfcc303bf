"""Tapes: the memory of loops whose number of rounds is known at run time alone.

    before the loop:   room = 0, rows = null
    in a round:        if there are as many rows as room: room = 2 room, rows = grow(rows, room)
                       the body writes its row behind the others
    behind it:         the tape is the address of its rows

A tape is read by loops that know how many rows it has. All memory of tapes is in a list of the
program, which is freed where it is left, at its end or before. A body that makes tapes which do not
leave it frees them when a round is done, so that a loop of loops does not keep them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.backends.native.elementwise import memory_type
from tracejit.backends.native.emit import I64, PTR, VOID, Function, Phi, Value, constant
from tracejit.backends.native.leaving import NO_MEMORY, leave_if
from tracejit.backends.native.nest import Buffer, Scalar
from tracejit.control.tape import makes_tapes
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import TAPE, ArrayType

#: Rows that a tape has room for at first.
FEW = 16


class Tapes:
    """The list of a kernel's tapes; there is a word for it once something makes one."""

    def __init__(self, fn: Function):
        self.fn = fn
        self._list: Value | None = None

    @property
    def list(self) -> Value:
        """The address of the word that has the first block."""
        if self._list is None:
            self._list = self.fn.alloca(PTR, align=8)
            self.fn.opening.append(f"  store ptr null, {self._list.typed}")
        return self._list

    def drop(self) -> None:
        """Free all, where the kernel is left."""
        if self._list is not None:
            self.fn.call("tape.drop", VOID, [self._list, constant(PTR, 0)])


def row_of(fn: Function, rows: Value, at: Value, row: ArrayType) -> Buffer:
    """Row number `at` of those at an address."""
    offset = fn.mul(at, constant(I64, _bytes(row)))
    return Buffer(fn.offset(rows, offset), row.shape, row.dtype)


def rows_at(fn: Function, tape: Value) -> Value:
    """The address that a tape is."""
    return fn.pure(PTR, f"inttoptr {tape.typed} to ptr")


def as_tape(fn: Function, rows: Value) -> Scalar:
    """The tape of the rows at an address."""
    return Scalar(fn.pure(I64, f"ptrtoint {rows.typed} to i64"))


def room_for(program: Any, count: Value, row: ArrayType) -> Value:
    """Rows, as many as there will be."""
    return _grow(program, constant(PTR, 0), count, row)


def _grow(program: Any, rows: Value, count: Value, row: ArrayType) -> Value:
    fn: Function = program.fn
    nbytes = fn.mul(count, constant(I64, _bytes(row)))
    found = fn.call("tape.grow", PTR, [program.tapes.list, rows, nbytes])
    none = fn.equal(found, constant(PTR, 0))
    leave_if(program, none, lambda: constant(I64, NO_MEMORY))
    return found


def _bytes(row: ArrayType) -> int:
    return row.size * memory_type(row.dtype).bytes


class Growing:
    """The tapes that a loop writes, all of the same length. Use: `enter` at the head of the loop,
    `row` in the body, `hand_on` at the latch."""

    def __init__(self, program: Any, rows: Sequence[ArrayType]):
        self.program = program
        self.types = rows

    def enter(self, before: Any) -> None:
        """At the head, which is first entered from the block `before`."""
        fn: Function = self.program.fn
        self.count, self.room = fn.phi(I64), fn.phi(I64)
        self.rows: list[Phi] = [fn.phi(PTR) for _ in self.types]
        for phi in (self.count, self.room):
            phi.add(constant(I64, 0), before)
        for phi in self.rows:
            phi.add(constant(PTR, 0), before)

    def row(self) -> list[Buffer]:
        """Where the row of this round goes; room for it is made."""
        fn: Function = self.program.fn
        full = fn.equal(self.count.value, self.room.value)
        more, ready, head = fn.block("more"), fn.block("ready"), fn.here
        fn.branch_if(full, more, ready)
        fn.at(more)
        double = fn.add(self.room.value, self.room.value)
        some = constant(I64, FEW)
        room = fn.select(fn.less(double, some), some, double)
        pairs = zip(self.rows, self.types, strict=True)
        grown = [_grow(self.program, phi.value, room, t) for phi, t in pairs]
        made = fn.here
        fn.branch(ready)
        fn.at(ready)
        self.after = [fn.phi(I64), *[fn.phi(PTR) for _ in self.rows]]
        befores = [self.room.value, *[phi.value for phi in self.rows]]
        for phi, old, new in zip(self.after, befores, [room, *grown], strict=True):
            phi.add(old, head)
            phi.add(new, made)
        places = [phi.value for phi in self.after[1:]]
        return [
            row_of(fn, p, self.count.value, t) for p, t in zip(places, self.types, strict=True)
        ]

    def hand_on(self, latch: Any) -> None:
        """At the latch."""
        fn: Function = self.program.fn
        self.count.add(fn.add(self.count.value, constant(I64, 1)), latch)
        for phi, after in zip((self.room, *self.rows), self.after, strict=True):
            phi.add(after.value, latch)


def freed_behind(program: Any, body: Jaxpr, emit: Callable[[], Any]) -> Any:
    """Emit a round of a loop with this body, and free the tapes that do not leave it."""
    if not makes_tapes(body) or any(y.dtype == TAPE for y in body.outvars):
        return emit()
    mark = program.fn.load(PTR, program.tapes.list)
    results = emit()
    program.fn.call("tape.drop", VOID, [program.tapes.list, mark])
    return results

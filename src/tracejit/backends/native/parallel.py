"""Loops whose iterations several threads may share.

    parallel(program, 40, body)    ->    part.7(frame, i, scratch):  body(i)
                                         pool.run(part.7, frame, 40, scratch, its bytes, threads)

The number of iterations is fixed with the program, and they write apart from each other. So what is
computed is the same, bit by bit, whoever runs which of them. Sums over all of them are added up in
parts, an iteration's at a time, and the parts in order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.backends.native.arena import Arena
from tracejit.backends.native.emit import I64, PTR, VOID, Value, constant
from tracejit.backends.native.parts import in_part
from tracejit.ir.types import array_type

_BYTE = np.dtype(np.uint8)

Body = Callable[[Value], None]


def parallel(program: Any, count: int, body: Body) -> None:
    """body(i) for i in 0 .. count - 1, in any order and at the same time, for an i64 i.

    It may use all that the program knows here. What it learns about variables is forgotten after
    it; what it allocates is memory of its own for each thread, and gone after the iteration. In a
    program for one thread (`program.threads` is None) this is a loop.
    """
    if program.threads is None or count < 2:
        program.repeat(count, lambda i: apart(program, lambda: body(i)))
        return
    with in_part(program, [I64, PTR]) as part:
        _, index, scratch = part.fn.args
        arena, threads = program.arena, program.threads
        program.arena, program.threads = Arena(scratch), None
        apart(program, lambda: body(index))
        nbytes = program.arena.size
        program.arena, program.threads = arena, threads
    fn, frame = program.fn, part.finish()
    mine = program.scratch(array_type(_BYTE, (nbytes,))).pointer
    program.summary.parallel(count, nbytes)
    fn.call("pool.run", VOID, [
        Value(PTR, f"@{part.fn.name}"), frame, constant(I64, count), mine,
        constant(I64, nbytes), threads,
    ])  # fmt: skip


def apart(program: Any, emit: Callable[[], None]) -> None:
    """Emit code that leaves nothing behind: neither locations of variables nor memory."""
    known = len(program.locations)
    temporaries, blocks, registers = program.temporaries, program.blocks, program.registers
    program.temporaries, program.blocks, program.registers = [], {}, dict(registers)
    emit()
    program.release_all()
    program.temporaries, program.blocks, program.registers = temporaries, blocks, registers
    while len(program.locations) > known:
        program.locations.popitem()

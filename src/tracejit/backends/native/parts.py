"""Pieces of a program become functions of their own.

    kernel:  step 1 ... step 900    ->    kernel:  frame = what part.1 uses
                                                   part.1(frame)
                                                   what it made = frame ...

LLVM schedules, and allocates registers, in more than linear time in the length of a function; short
functions keep compile time linear (`emit_part`). What several threads run is a function, too
(`parallel.py`).

Values have different names in all functions of a module. So the code of a part uses values of its
caller as if they were its own; when it is finished, the foreign names in it are found, and what
they stand for goes through a frame on the caller's stack, to be loaded under the same names. What
a part makes stays in its frame, where later parts find it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from tracejit.backends.native.emit import I64, PTR, VOID, Function, Type, Value
from tracejit.backends.native.nest import Buffer, Scalar

#: The cost of the steps of a part (see `Plan.weights`), about 1500 lines of LLVM assembly.
PART = 400
#: Programs up to this cost are left whole.
WHOLE = 1200
#: So many small things are emitted in one function (see `emit_pieces`).
PIECES = 300

T = TypeVar("T")



def cut(weights: Sequence[int]) -> list[range]:
    """Runs of steps of about `PART` each; one run, if they are few."""
    if sum(weights) <= WHOLE:
        return [range(len(weights))]
    runs, first, total = [], 0, 0
    for number, weight in enumerate(weights):
        if total and total + weight > PART:
            runs.append(range(first, number))
            first, total = number, 0
        total += weight
    return [*runs, range(first, len(weights))]


class Part:
    """A function under construction, `void part.N(ptr frame, ...)`, for a piece of its caller."""

    def __init__(self, caller: Function, args: Sequence[Type], attributes: str):
        module = caller.module
        self.caller = caller
        self.fn = module.function(
            f"part.{len(module.functions)}", VOID, [PTR, *args],
            internal=True, attributes=attributes,
        )  # fmt: skip
        self.words = 0

    def _slot(self, type: Type) -> int:
        """Room in the frame: its offset in bytes."""
        at = self.words
        self.words += -(-type.bytes * type.lanes // 8)
        return 8 * at

    def give_back(self, value: Value) -> int:
        """Leave a value in the frame, at the offset that is returned, for the caller."""
        at = self._slot(value.type)
        self.fn.store(value, self.fn.offset(self.fn.args[0], at), align=8)
        return at

    def finish(self) -> Value:
        """End the function; returns the frame, filled in the caller with what the code uses."""
        self.fn.ret()
        own, module = self.fn.prefix[1:], self.fn.module
        self.fn.uses = sorted(set(re.findall(rf"%(?!{own}\d)[a-z]+\d+", self.fn.body())))
        names = set()
        for name in self.fn.uses:
            while name in module.sources:
                name = module.sources[name].base.text
            names.add(name)
        slots = []
        for name in sorted(names):
            if name[0] == "%":
                type = module.type_of(name)
                slots.append((Value(type, name), self._slot(type)))
        frame = self.caller.alloca(I64, max(1, self.words))
        for value, at in slots:
            self.caller.store(value, self.caller.offset(frame, at), align=8)
            self.fn.receive(value, self.fn.args[0], at)
        return frame


@contextmanager
def in_part(program: Any, args: Sequence[Type] = ()) -> Iterator[Part]:
    """Emit code of a program into a part. Where variables are, as learnt there, is forgotten then:
    values of the part are none of the caller's.
    """
    part = Part(program.fn, args, program.target.attributes)
    program.fn = part.fn
    known, registers = len(program.locations), program.registers
    program.registers = dict(registers)
    yield part
    program.fn, program.registers = part.caller, registers
    while len(program.locations) > known:
        program.locations.popitem()


def emit_part(program: Any, steps: range) -> None:
    """Emit the steps as a function of their own, and its call."""
    known, made = len(program.locations), {}
    with in_part(program) as part:
        program.run_steps(steps)
        for x in islice(reversed(program.locations), len(program.locations) - known):
            if program.last.get(x, -1) >= steps.stop:
                location = program.locations[x]
                value = _value(location)
                made[x] = location, part.give_back(value) if part.fn.owns(value) else None
    frame, caller = part.finish(), part.caller
    caller.call(part.fn.name, VOID, [frame])
    program.exit.follow(caller, part.fn)
    for x, (location, at) in made.items():
        if at is not None:
            location = _with(location, caller.load_result(_value(location).type, frame, at))
        program.locations[x] = location


def emit_pieces(program: Any, items: Sequence[T], emit: Callable[[T], None]) -> None:
    """Emit something small for each item; where they are many, some at a time in a part."""
    if len(items) <= PIECES:
        for item in items:
            emit(item)
        return
    for first in range(0, len(items), PIECES):
        with in_part(program) as part:
            for item in items[first : first + PIECES]:
                emit(item)
        part.caller.call(part.fn.name, VOID, [part.finish()])


def _value(location: Buffer | Scalar) -> Value:
    return location.value if isinstance(location, Scalar) else location.pointer


def _with(location: Buffer | Scalar, value: Value) -> Buffer | Scalar:
    if isinstance(location, Scalar):
        return Scalar(value)
    return replace(location, pointer=value)

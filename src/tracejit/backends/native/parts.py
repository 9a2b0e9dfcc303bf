"""Long programs become several functions.

    kernel:  step 1 ... step 900    ->    kernel:  frame = what part.1 reads
                                                   part.1(frame)
                                                   what it made = frame ...

LLVM schedules, and allocates registers, in more than linear time in the length of a function; short
functions keep compile time linear. A part is a run of steps. Pointers and numbers of rank 0 go in
and out through a frame on the stack of the caller; all else lies in memory anyway.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.backends.native.emit import I64, PTR, VOID, Function, Value
from tracejit.backends.native.nest import Buffer, Scalar

#: The cost of the steps of a part (see `Plan.weights`), about 3000 lines of LLVM assembly.
PART = 800


def cut(weights: Sequence[int]) -> list[range]:
    """Runs of steps of about `PART` each; one run, if they are not much more together."""
    if sum(weights) <= 2 * PART:
        return [range(len(weights))]
    runs, first, total = [], 0, 0
    for number, weight in enumerate(weights):
        if total and total + weight > PART:
            runs.append(range(first, number))
            first, total = number, 0
        total += weight
    return [*runs, range(first, len(weights))]


class Frame:
    """Values that a caller and a part share; each has a slot of 8 bytes."""

    def __init__(self, part: Function):
        self.part = part
        self.given: list[tuple[int, Value]] = []
        self.size = 0

    def _slot(self) -> int:
        self.size += 1
        return 8 * (self.size - 1)

    def take(self, value: Value) -> Value:
        """A value of the caller, in the part."""
        if value.is_constant:
            return value
        slot = self._slot()
        self.given.append((slot, value))
        return self.part.load(value.type, self.part.offset(self.part.args[0], slot))

    def give_back(self, value: Value) -> int:
        """The slot in which the part leaves a value for the caller."""
        slot = self._slot()
        self.part.store(value, self.part.offset(self.part.args[0], slot))
        return slot

    def call(self, caller: Function) -> Value:
        """Call the part; returns the address of the frame."""
        frame = caller.alloca(I64, max(1, self.size))
        for slot, value in self.given:
            caller.store(value, caller.offset(frame, slot))
        caller.call(self.part.name, VOID, [frame])
        return frame


def emit_part(program: Any, steps: range) -> None:
    """Emit the steps as a function of their own, and its call."""
    caller, bases, targets, known = (
        program.fn, program.arena.bases, program.targets, program.locations
    )  # fmt: skip
    name = f"part.{len(caller.module.functions)}"
    part = caller.module.function(
        name, VOID, [PTR], internal=True, attributes=program.target.attributes
    )
    frame = Frame(part)
    program.fn, program.arena.bases = part, [frame.take(base) for base in bases]
    program.locations = {x: _moved(frame, known[x]) for x in program.reached(steps)}
    results = [v for n in steps for v in program.plan.results(program.plan.steps[n])]
    program.targets = {v: _moved(frame, targets[v]) for v in results if v in targets}
    before = set(program.locations)
    program.run_steps(steps)
    made = {}
    for x, location in program.locations.items():
        if location is program.targets.get(x):
            known[x] = targets[x]
        elif x not in before and program.last.get(x, -1) >= steps.stop:
            made[x] = location, frame.give_back(_value(location))
    part.ret()
    program.fn, program.arena.bases, program.targets, program.locations = (
        caller, bases, targets, known
    )  # fmt: skip
    base = frame.call(caller)
    for x, (location, slot) in made.items():
        value = _value(location)
        known[x] = _with(location, caller.load(value.type, caller.offset(base, slot)))


def _value(location: Buffer | Scalar) -> Value:
    return location.value if isinstance(location, Scalar) else location.pointer


def _with(location: Buffer | Scalar, value: Value) -> Buffer | Scalar:
    if isinstance(location, Scalar):
        return Scalar(value)
    return Buffer(value, location.shape, location.dtype, location.given_strides)


def _moved(frame: Frame, location: Any) -> Any:
    return _with(location, frame.take(_value(location)))


"""The loop program: a planned jaxpr, step by step, inside a function under construction.

A `Program` knows where each variable is (a buffer, a register, or nowhere yet: computed in place),
hands out memory, and runs the steps of its plan. Loops and branches run programs of their own for the
jaxprs they hold, inside the same native function.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import memory_type, register_type
from tracejit.backends.native.emit import I8, I32, I64, PTR, Function, Value, constant
from tracejit.backends.native.index import Emitted, Loop
from tracejit.backends.native.kernel import Accumulate, Kernel, Store, result_location
from tracejit.backends.native.lowering import rule_of
from tracejit.backends.native.nest import Buffer, Indices, Nest, Scalar
from tracejit.backends.native.plan import Plan, Step
from tracejit.backends.native.target import Features
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import ArrayType

ALIGN = 64


class Arena:
    """The workspace: a plan of offsets, made while the code is emitted, reused when freed."""

    def __init__(self, base: Value):
        self.base = base
        self.size = 0
        self.holes: list[tuple[int, int]] = []  # (offset, size), sorted

    def take(self, nbytes: int) -> tuple[int, int]:
        """Room for this many bytes: (offset, size), in the smallest hole that fits."""
        size = -(-max(1, nbytes) // ALIGN) * ALIGN
        fitting = [hole for hole in self.holes if hole[1] >= size]
        if not fitting:
            at = self.size
            if self.holes and sum(self.holes[-1]) == self.size:
                at = self.holes.pop()[0]
            self.size = at + size
            return at, size
        hole = min(fitting, key=lambda h: h[1])
        self.holes.remove(hole)
        if hole[1] > size:
            self.give((hole[0] + size, hole[1] - size))
        return hole[0], size

    def give(self, block: tuple[int, int]) -> None:
        """Free a block; neighbours grow together."""
        merged: list[tuple[int, int]] = []
        for hole in sorted([*self.holes, block]):
            if merged and sum(merged[-1]) == hole[0]:
                merged[-1] = (merged[-1][0], merged[-1][1] + hole[1])
            else:
                merged.append(hole)
        self.holes = merged


class Program:
    """Emits one jaxpr. `locations` says where inputs are; `targets` where outputs have to go."""

    keeps_scalars = True

    def __init__(
        self, fn: Function, target: Features, arena: Arena, jaxpr: Jaxpr,
        locations: Sequence[Buffer | Scalar], *, log: list[str] | None = None,
    ):
        self.fn = fn
        self.target = target
        self.arena = arena
        self.jaxpr = jaxpr
        self.plan = Plan(jaxpr)
        self.makers = self.plan.makers
        self.locations: dict[Any, Buffer | Scalar] = dict(
            zip(jaxpr.invars, locations, strict=True)
        )
        self.targets: dict[Var, Buffer] = {}
        self.blocks: dict[Var, tuple[int, int]] = {}
        self.log = log

    # Running the plan.

    def emit(self, targets: Sequence[Buffer | None] | None = None) -> list[Buffer | Scalar]:
        """Emit all steps. Output i lies in targets[i] if that is given; returns where outputs are."""
        targets = targets or [None] * len(self.jaxpr.outvars)
        for y, target in zip(self.jaxpr.outvars, targets, strict=True):
            if target is not None and y in self.makers:
                self.targets.setdefault(y, target)  # type: ignore[arg-type]
        steps = self.plan.steps
        last = self._last_reads(steps)
        for number, step in enumerate(steps):
            self._run(step)
            for x in last.get(number, ()):
                self.release(x)
        return [self._deliver(y, t) for y, t in zip(self.jaxpr.outvars, targets, strict=True)]

    def _deliver(self, y: Atom, target: Buffer | None) -> Buffer | Scalar:
        if target is None:
            return Scalar(self.scalar(y)) if not y.ndim else self._located(y)
        if self.locations.get(y) is not target:
            self.copy(y, target)
        return target

    def _located(self, y: Atom) -> Buffer | Scalar:
        if isinstance(y, Literal):
            return Scalar(constant(register_type(y.dtype), y.value))
        return self.locations[y] if y in self.locations else self.buffer(y)

    def _last_reads(self, steps: Sequence[Step]) -> dict[int, list[Var]]:
        """By step: the stored variables that no later step reads."""
        last: dict[Var, int] = {}
        for number, step in enumerate(steps):
            for x in self.plan.reads(step):
                last[x] = number
        kept = self.plan.behind(self.jaxpr.outvars)
        frees: dict[int, list[Var]] = {}
        for x, number in last.items():
            if x in self.plan.stored and x not in kept:
                frees.setdefault(number, []).append(x)
        self.frees = frees
        return frees

    def _run(self, step: Step) -> None:
        self.current = step
        if step.statement is not None:
            if self.log is not None:
                self.log.append(f"statement {step.statement.primitive.name}")
            rule_of(step.statement).emit(self, step.statement)
            return
        if step.scalars:
            for v in step.scalars:
                self.scalar(v)
            return
        stores = [Store(v, self.allocate(v)) for v in step.stores]
        sums = []
        for eqn in step.sums:
            rule, (out,) = rule_of(eqn), eqn.outvars
            buffer = self.allocate(out) if out.ndim else None
            sums.append(Accumulate(eqn, rule, rule.reduced(eqn), buffer))
        kernel = Kernel(self, step.space, [*stores, *sums])
        kernel.emit()
        if self.log is not None:
            self.log.append(kernel.describe())
        for store in stores:
            self.locations[store.var] = store.buffer
        for s in sums:
            self.locations[s.eqn.outvars[0]] = result_location(s)

    # Memory.

    def allocate(self, x: Var) -> Buffer:
        """Memory for a variable: where it has to go, or a piece of the workspace."""
        if x in self.targets:
            return self.targets[x]
        return self.scratch(x.type, x)

    def scratch(self, type: ArrayType, owner: Any = None) -> Buffer:
        """A piece of the workspace; freed with its owner, or by the program's end."""
        itemsize = memory_type(type.dtype).bytes
        block = self.arena.take(type.size * itemsize)
        self.blocks[owner if owner is not None else object()] = block
        pointer = self.fn.offset(self.arena.base, block[0], I8)
        return Buffer(pointer, type.shape, type.dtype)

    def release(self, x: Var) -> None:
        """Free the memory of a variable."""
        block = self.blocks.pop(x, None)
        if block is not None:
            self.arena.give(block)

    def release_all(self) -> None:
        """Free everything that the program still holds."""
        for block in self.blocks.values():
            self.arena.give(block)
        self.blocks.clear()

    def settle(self, x: Var, location: Buffer | Scalar) -> None:
        """A statement's result is here; one of rank 0 goes into a register."""
        if isinstance(location, Buffer) and not x.ndim:
            nest = Nest(self, [])
            location = Scalar(nest.load(location, ()).value)
        self.locations[x] = location

    def hand_over(self, x: Var, location: Buffer | Scalar) -> None:
        """x has the value found here; copied, if x has to lie somewhere else."""
        self.locations[x] = location
        if x in self.targets:
            target = self.targets[x]
            self.copy(x, target)
            self.locations[x] = target

    # What statements use.

    def scalar(self, x: Atom) -> Value:
        """A variable of rank 0 in a register, at this place."""
        value = Nest(self, []).value(x, ()).value
        if isinstance(x, Var):
            self.locations.setdefault(x, Scalar(value))
        return value

    def is_literal(self, x: Atom) -> bool:
        return isinstance(x, Literal)

    def buffer_if_stored(self, x: Atom) -> Buffer | None:
        """Where x lies in memory, row-major, if it does."""
        location = self.locations.get(x) if isinstance(x, Var) else None
        if isinstance(location, Buffer) and location.given_strides is None:
            return location
        return None

    def buffer(self, x: Atom) -> Buffer:
        """x in memory; computed or copied there if it is not."""
        found = self.buffer_if_stored(x)
        if found is None:
            found = self.scratch(x.type)
            self.copy(x, found)
        return found

    def copy(self, x: Atom, target: Buffer) -> None:
        """Compute or copy x into a buffer of its shape."""
        if x.type.size:
            Kernel(self, x.shape, [Store(x, target)]).emit()

    def owned_copy(self, x: Atom, out: Var) -> Buffer:
        """A buffer for `out` that starts as x: x's own where nobody reads x afterwards."""
        number = self.plan.steps.index(self.current)
        if (
            isinstance(x, Var) and x in self.blocks and out not in self.targets
            and x in self.frees.get(number, ())
            and x not in self.plan.behind(self.makers[out].inputs[1:])
        ):
            self.blocks[out] = self.blocks.pop(x)
            location = self.locations[x]
            assert isinstance(location, Buffer)
            return location
        result = self.allocate(out)
        self.copy(x, result)
        return result

    def permuted_copy(self, x: Atom, order: Sequence[int]) -> Buffer:
        """x in memory with its axes in another order."""
        source = self.buffer(x)
        shape = tuple(x.shape[a] for a in order)
        view = Buffer(
            source.pointer, shape, x.dtype, tuple(source.strides[a] for a in order)
        )
        stand_in = Var(x.type.with_shape(shape))
        self.locations[stand_in] = view
        result = self.scratch(stand_in.type)
        self.copy(stand_in, result)
        del self.locations[stand_in]
        return result

    def put(self, nest: Nest, buffer: Buffer, index: Indices, x: Emitted) -> None:
        """Store one element."""
        nest.store(buffer, index, x)

    def repeat(self, count: int, body: Callable[[Value], None]) -> None:
        """body(i) for i in 0 .. count - 1."""
        loop = Loop(count)
        nest = Nest(self, [loop])
        nest.run(lambda: body(loop.base if nest.loops else constant(I64, 0)))  # type: ignore[arg-type]

    def stack_integers(self, numbers: Sequence[int]) -> Value:
        """An array of C ints on the stack."""
        place = self.fn.alloca(I32, len(numbers))
        for i, n in enumerate(numbers):
            self.fn.store(constant(I32, n), self.fn.offset(place, i, I32))
        return place

    def stack_byte(self, letter: str) -> Value:
        place = self.fn.alloca(I8)
        self.fn.store(constant(I8, ord(letter)), place)
        return place

    def stack_float(self, dtype: np.dtype, number: float) -> Value:
        place = self.fn.alloca(register_type(dtype))
        self.fn.store(constant(register_type(dtype), number), place)
        return place

    def inner(self, jaxpr: Jaxpr, locations: Sequence[Buffer | Scalar]) -> Program:
        """A program for a held jaxpr, in the same function and workspace."""
        return Program(self.fn, self.target, self.arena, jaxpr, locations, log=self.log)


__all__ = ["Arena", "PTR", "Program"]

"""The loop program: a planned jaxpr, step by step, inside a function under construction.

A `Program` knows where each variable is (a buffer, a register, or nowhere yet: computed in place),
hands out memory, and runs the steps of its plan. Loops and branches run programs of their own for
the jaxprs they hold, inside the same native function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from math import prod
from typing import Any

import numpy as np

from tracejit.backends.native.arena import Area, Arena, Block, replaceable
from tracejit.backends.native.elementwise import literal, memory_type, register_type
from tracejit.backends.native.emit import I8, I32, I64, Function, Value, constant
from tracejit.backends.native.halo import Halo
from tracejit.backends.native.index import Loop
from tracejit.backends.native.kernel import Accumulate, Kernel, Store, result_location
from tracejit.backends.native.leaving import Exit
from tracejit.backends.native.lowering import rule_of
from tracejit.backends.native.nest import Buffer, Nest, Scalar
from tracejit.backends.native.parts import cut, emit_part
from tracejit.backends.native.pieces import run_in_pieces
from tracejit.backends.native.plan import Plan, Step
from tracejit.backends.native.regions import Region, with_regions
from tracejit.backends.native.small import (
    Registers,
    SmallKernel,
    SmallNest,
    read_from_memory,
    unrolled,
)
from tracejit.backends.native.summary import Summary
from tracejit.backends.native.tapes import Tapes
from tracejit.backends.native.target import Features
from tracejit.backends.native.tiles import emit_region
from tracejit.backends.native.updates import put_off_updates, updated
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import PART_OF, ArrayType, array_type
from tracejit.ops.ranges import Range, limits_of

#: Where a variable is: in memory, or in a register (one number for all its elements).
Location = Buffer | Scalar


def inverse_order(order: Sequence[int]) -> list[int]:
    """Where each axis has gone."""
    return sorted(range(len(order)), key=order.__getitem__)


class Program:
    """Emits one jaxpr. `locations` says where variables are; `targets` where outputs have to go.

    within: for a held jaxpr, the step of the whole program that it is a part of. threads: how many
    may share the loops of the program, an i64; None where there is one. exit: how the program is
    left before its end. tapes: their memory. callbacks: the variables with the addresses of
    trampolines (callbacks.py). ready: results whose targets hold all that the operand given has and
    that the result does not change. meant: final values, and the inputs in whose memory they end.
    """

    def __init__(
        self, fn: Function, target: Features, arena: Arena, jaxpr: Jaxpr,
        summary: Summary, within: int | None = None,
    ):
        self.fn = fn
        self.target = target
        self.arena = arena
        self.jaxpr = jaxpr
        self.plan = Plan(jaxpr)
        self.plan.steps = put_off_updates(self.plan)
        self.plan.steps = with_regions(self.plan)
        self.makers = self.plan.makers
        self.locations: dict[Any, Location] = {}
        self.registers: dict[Var, Registers] = {}
        self.kept: set[int] = set()  # numbers of results that are left in registers
        self.targets: dict[Var, Buffer] = {}
        self.haloed: set[Atom] = set()  # that lie with their halo around them
        self.ready: dict[Var, Var] = {}
        self.meant: dict[Var, Var] = {}
        self.blocks: dict[Var, list[Block]] = {}
        self.temporaries: list[Block] = []
        self.summary = summary
        self.within = within
        self.threads: Value | None = None
        self.exit = Exit(fn)
        self.tapes = Tapes(fn)
        self.callbacks: Mapping[Equation, str] = {}
        self.bounds: Mapping[Var, Range] = {}  # of integers
        self.number = 0
        self._find_last_reads()

    # Running the plan.

    def emit(self, targets: Sequence[Buffer | None] | None = None) -> list[Location]:
        """Emit all steps; returns where outputs are: output i in targets[i], if that is given."""
        targets = targets or [None] * len(self.jaxpr.outvars)
        for y, target in zip(self.jaxpr.outvars, targets, strict=True):
            if target is not None and y in self.makers:
                self.targets.setdefault(y, target)  # type: ignore[arg-type]
        if self.within is None:
            self._lend(targets)
        self.weights = self.plan.weights()
        runs = cut(self.weights)
        outs = [y for i, y in enumerate(self.jaxpr.outvars) if i not in self.kept]
        self.in_memory = read_from_memory(self.plan, outs) if len(runs) == 1 else set(self.makers)
        for run in runs:
            if len(runs) == 1:
                self.run_steps(run)
            else:
                emit_part(self, run)
        return [
            None if i in self.kept else self._deliver(y, t)  # type: ignore[misc]
            for i, (y, t) in enumerate(zip(self.jaxpr.outvars, targets, strict=True))
        ]

    def run_steps(self, numbers: range) -> None:
        """Emit some steps in the current function."""
        for self.number in numbers:
            step = self.plan.steps[self.number]
            self.summary.enter(self, step)
            self._run(step)
            self._release(self.temporaries)
            for x in self.dying.get(self.number, ()):
                self._release(self.blocks.pop(x, []))
            self.summary.leave()

    def _lend(self, targets: Sequence[Buffer | None]) -> None:
        """Outputs of the whole program lend their memory until the step that writes them."""
        steps = self.plan.steps
        written = {v: n for n, step in enumerate(steps) for v in self.plan.results(step)}
        for y, target in zip(self.jaxpr.outvars, targets, strict=True):
            if target is not None:
                until = len(steps)
                if isinstance(y, Var) and self.targets.get(y) is target:
                    until = self._place_forerunner(y, target, written)
                self.arena.lend(target.pointer, y.type.size * target.lane.bytes, until)

    def _place_forerunner(self, y: Var, target: Buffer, written: Mapping[Var, int]) -> int:
        """Let what y replaces, element by element, lie where y will; the step that writes there."""
        number = written[y]
        step = self.plan.steps[number]
        if y not in step.stores or isinstance(step, Region):
            return number
        dying = [
            x for x in self.dying.get(number, ())
            if x in written and x not in self.targets and x not in self.plan.halos
            and x in self.plan.steps[written[x]].stores
            and not isinstance(self.plan.steps[written[x]], Region)
        ]  # fmt: skip
        x = replaceable(self.plan, step, dying).get(y)
        if x is None or x.type != y.type:
            return number
        self.targets[x] = target
        return written[x]

    def _deliver(self, y: Atom, target: Buffer | None) -> Location:
        if target is None:
            return Scalar(self.scalar(y)) if not y.ndim else self._located(y)
        if self.locations.get(y) is not target:
            self.copy(y, target)
        return target

    def _located(self, y: Atom) -> Location:
        if isinstance(y, Literal):
            return Scalar(literal(y))
        return self.locations[y] if y in self.locations else self.buffer(y)

    def _find_last_reads(self) -> None:
        """last: the number of the last step that reads a variable; dying: by number of a step, the
        stored variables that no later step reads."""
        self.last: dict[Var, int] = {}
        for number, step in enumerate(self.plan.steps):
            for x in (*self.plan.results(step), *self.plan.reads(step)):
                self.last[x] = number
        for x in self.plan.behind(self.jaxpr.outvars):
            self.last[x] = len(self.plan.steps)
        self.dying: dict[int, list[Var]] = {}
        for x, number in self.last.items():
            if x in self.plan.stored:
                self.dying.setdefault(number, []).append(x)

    def _run(self, step: Step) -> None:
        if step.statement is not None:
            self.summary.statement(step.statement.primitive.name)
            rule_of(step.statement).emit(self, step.statement)
        elif step.scalars:
            for v in step.scalars:
                self.scalar(v)
        elif isinstance(step, Region):
            emit_region(self, step)
        else:
            self._run_kernel(step)

    def _run_kernel(self, step: Step) -> None:
        outer = unrolled(self.plan, step)
        stores = self._places(step) if outer is None else []
        sums = []
        for eqn in step.sums:
            rule, (out,) = rule_of(eqn), eqn.outvars
            buffer = self.room(out) if outer == 0 else self.allocate(out) if out.ndim else None
            sums.append(Accumulate(eqn, rule, rule.reduced(eqn), buffer))
        kernel: Any
        if outer is None:
            kernel = Kernel(self, step.space, [*stores, *sums])
        else:
            room = {v: self.room(v) for v in step.stores}
            kernel = SmallKernel(self, step.space, room, sums, outer)
            stores = [Store(v, buffer) for v, buffer in room.items() if buffer is not None]
        work = self.plan.effort(step, prod(step.space))
        if outer is not None or not run_in_pieces(self, kernel, work):
            kernel.emit()
            self.summary.kernel(kernel)
        for store in stores:
            self.locations[store.var] = store.buffer
        for s in sums:
            (out,) = s.eqn.outvars
            if s.buffer is not None or not out.ndim:
                self.locations[out] = result_location(s)

    def room(self, x: Var) -> Buffer | None:
        """Memory for what is left in registers, if something reads it in memory."""
        return self.allocate(x) if x.ndim and x in self.in_memory else None

    # Memory.

    def _places(self, step: Step) -> list[Store]:
        """The stores of a kernel: into outputs, in place of what dies, or into new memory."""
        dying = [
            x for x in self.dying.get(self.number, ())
            if len(self.blocks.get(x, ())) == 1 and self.buffer_if_stored(x)
        ]  # fmt: skip
        heirs = replaceable(self.plan, step, dying, self.meant)
        stores = []
        for v in step.stores:
            old = {heirs[v]} if v in heirs else set()
            buffer = self.buffer_if_stored(heirs[v]) if v in heirs else None
            if v in self.ready:
                buffer, old = self.targets[v], {self.ready[v]}
            elif buffer is None or not self.inherit(v, heirs[v]):
                buffer, old = self.allocate(v), set()
            else:
                buffer = buffer.reshaped(v.shape)
            stores.append(Store(v, buffer, old))
        return stores

    def allocate(self, x: Var) -> Buffer:
        """Memory for a variable: where it has to go, or a piece of the workspace."""
        if x in self.targets:
            return self.targets[x]
        if x in self.plan.halos:
            return self._with_halo(x)
        return self.scratch(x.type, x)

    def _with_halo(self, x: Var) -> Buffer:
        """Memory for a variable with its halo, which is filled."""
        halo = self.plan.halos[x]
        around = self.scratch(x.type.with_shape(halo.around(x.shape)), x)
        for start, extents in halo.slabs(x.shape):
            fill = Literal(halo.fill, x.type.with_shape(extents))
            self.copy(fill, around.window(self.fn, start, extents))
        inside = around.window(self.fn, halo.low, x.shape)
        self.haloed.add(x)
        return inside

    def has_halo(self, x: Atom, asked: Halo) -> bool:
        """Whether x lies with a halo around it that is enough."""
        return x in self.haloed and self.plan.halos[x].covers(asked)  # type: ignore[index]

    def scratch(self, type: ArrayType, owner: Var | None = None) -> Buffer:
        """A block of memory; freed with its owner, or else when the current step is done."""
        block = self.arena.take(type.size * memory_type(type.dtype).bytes, self._until(owner))
        blocks = self.temporaries if owner is None else self.blocks.setdefault(owner, [])
        blocks.append(block)
        self.summary.took(self, block, type, owner)
        return Buffer(block.pointer(self.fn), type.shape, type.dtype)

    def _until(self, owner: Var | None) -> int:
        """The last step of the whole program that a variable, or this step, is needed for."""
        if self.within is not None:
            return self.within
        return self.number if owner is None else self.last[owner]

    def own(self, x: Var, place: Buffer) -> None:
        """x, an input, lies in memory that is the program's once nothing reads x any more."""
        if x in self.last:
            nbytes = x.type.size * place.lane.bytes
            block = Block(Area(place.pointer, nbytes), 0, nbytes)
            self.blocks[x] = [block]
            self.dying.setdefault(self.last[x], []).append(x)
            self.summary.took(self, block, x.type, x)

    def inherit(self, v: Var, x: Var) -> bool:
        """Give v the memory of x, which dies with this step, if it may stay there."""
        blocks = self.blocks.get(x, [])
        if v in self.targets or not blocks or x not in self.dying.get(self.number, ()):
            return False
        if not all(self.arena.keeps(block, self._until(v)) for block in blocks):
            return False
        self.blocks[v] = self.blocks.pop(x)
        self.summary.inherited(self, v, x, blocks)
        return True

    def _release(self, blocks: list[Block]) -> None:
        for block in blocks:
            self.summary.freed(block)
            block.free()
        blocks.clear()

    def release_all(self) -> None:
        """Free everything that the program still holds."""
        for blocks in self.blocks.values():
            self._release(blocks)
        self._release(self.temporaries)

    def settle(self, x: Var, location: Location) -> None:
        """A statement's result is here; one of rank 0 goes into a register."""
        if isinstance(location, Buffer) and not x.ndim:
            nest = Nest(self, [])
            location = Scalar(nest.load(location, ()).value)
        self.locations[x] = location

    def hand_over(self, x: Var, location: Location) -> None:
        """x, which owns this location, has its value there; copied, if it has to lie elsewhere."""
        self.locations[x] = location
        if x in self.targets and location is not self.targets[x]:
            self.copy(x, self.targets[x])
            self.locations[x] = self.targets[x]
            self._release(self.blocks.pop(x, []))

    def assign(self, x: Var, y: Atom) -> None:
        """x is y: the same register, or a copy."""
        if self.ready.get(x) is y:
            self.locations[x] = self.targets[x]
            return
        if not x.ndim:
            self.locations[x] = Scalar(self.scalar(y))
            return
        buffer = self.allocate(x)
        self.copy(y, buffer)
        self.locations[x] = buffer

    # What statements use.

    def scalar(self, x: Atom) -> Value:
        """A variable of rank 0 in a register, at this place."""
        value = SmallNest(self, []).value(x, ()).value
        if isinstance(x, Var):
            self.locations.setdefault(x, Scalar(value))
        return value

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

    def copy(self, x: Atom, target: Buffer, old: Set[Var] = frozenset()) -> None:
        """Compute or copy x into a buffer of its shape; old: what lies there, see `Store`."""
        if not x.ndim:
            nest = Nest(self, [])
            nest.store(target, (), nest.value(x, ()))
        elif x.type.size:
            kernel = Kernel(self, x.shape, [Store(x, target, old)])
            kernel.emit()
            self.summary.kernel(kernel, copy=True)

    def owned_copy(self, x: Atom, out: Var, around: Halo | None = None) -> Buffer:
        """A buffer for `out` that starts as x: x's own where nobody reads x afterwards.

        around: the part of it that has to; the rest will be overwritten.
        """
        if self.ready.get(out) is x:
            return self.targets[out]
        if (out, x) in updated(self.plan, self.makers[out]):
            found = self.take_over(out, x)
            if found is not None:
                return found
        location, result = self.locations.get(x), self.allocate(out)
        if around is None or not (isinstance(location, Buffer) or isinstance(x, Literal)):
            self.copy(x, result)
            return result
        for start, extents in around.slabs(around.inside(x.shape)):
            slab = result.window(self.fn, start, extents)
            if isinstance(location, Buffer):
                self.move(location.window(self.fn, start, extents), slab)
            else:
                self.copy(Literal(x.value, x.type.with_shape(extents)), slab)  # type: ignore
        return result

    def take_over(self, out: Var, x: Atom) -> Buffer | None:
        """The memory of x, from now on that of `out`; None where x has none, or is read later."""
        location = self.locations.get(x)
        if isinstance(location, Buffer) and self.inherit(out, x):  # type: ignore[arg-type]
            return location
        return None

    def lies_ready(self, out: Var, x: Var, target: Buffer) -> None:
        """`out` goes into a target that holds what it has from x, which is read nowhere else."""
        self.targets[out], self.ready[out] = target, x

    @contextmanager
    def nothing_dies(self) -> Iterator[None]:
        """Whatever is emitted here leaves all variables as they are."""
        dying, self.dying = self.dying, {}
        yield
        self.dying = dying

    def move(self, source: Buffer, target: Buffer) -> None:
        """Copy memory to memory."""
        stand_in = Var(array_type(source.dtype, source.shape))
        self.locations[stand_in] = source
        self.copy(stand_in, target)
        del self.locations[stand_in]

    def permuted_copy(self, x: Atom, order: Sequence[int]) -> Buffer:
        """x in memory with its axes in another order."""
        result = self.scratch(x.type.with_shape(tuple(x.shape[a] for a in order)))
        self.copy(x, result.permuted(inverse_order(order)))
        return result

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
        """A number on the stack, complex if the dtype is."""
        part = register_type(PART_OF.get(dtype, dtype))
        numbers = [number, 0.0] if dtype in PART_OF else [number]
        place = self.fn.alloca(part, len(numbers))
        for i, x in enumerate(numbers):
            self.fn.store(constant(part, x), self.fn.offset(place, i, part))
        return place

    def note_range(self, value: Value, v: Var) -> None:
        """The value is a number of the range that v has."""
        if v.dtype.kind == "i":
            low, high = self.bounds.get(v) or limits_of(v.dtype)
            self.fn.module.ranges.note(value, low, high)

    def inner(self, jaxpr: Jaxpr) -> Program:
        """A program for a held jaxpr, in the same function and workspace."""
        within = self.number if self.within is None else self.within
        inner = Program(self.fn, self.target, self.arena, jaxpr, self.summary, within)
        inner.threads, inner.exit, inner.tapes = self.threads, self.exit, self.tapes
        inner.callbacks, inner.bounds = self.callbacks, self.bounds
        return inner

    def place(self, locations: Sequence[Location | None]) -> Program:
        """The program, its inputs being there, or in its registers."""
        pairs = zip(self.jaxpr.invars, locations, strict=True)
        self.locations.update((x, location) for x, location in pairs if location is not None)
        return self

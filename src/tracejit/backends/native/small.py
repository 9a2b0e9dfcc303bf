"""Kernels over a few points: straight-line code, with arrays in registers.

    t: f64[3,3] = dot(f, p)        t's rows: three registers of 4 lanes
    s: f64[3,3] = dot(t, g)        an element of t is a lane, spread; memory is not touched
    u: f64[3]   = reduce_sum(s)    ...

All axes but one are unrolled, so that each index is a constant; the last axis that no sum takes
away runs over the lanes of one vector. What such a kernel makes stays in registers, row by row, for
the kernels of the same program behind it: rows are read as they are, elements extracted, columns
shuffled together. It is written to memory only where something else than a small kernel reads it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import memory_type, register_type
from tracejit.backends.native.emit import Function, Value, constant, lanes_constant
from tracejit.backends.native.index import ORIGIN, Emitted, Index, Loop, along, constant_index
from tracejit.backends.native.lowering import Reader, Statement
from tracejit.backends.native.nest import Buffer, Indices, Nest
from tracejit.backends.native.sums import Accumulate
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.types import strides_of
from tracejit.ops.indexing import dynamic_slice, gather
from tracejit.ops.structure import pad

#: The largest extent of an axis: lanes of a vector, or copies of the code.
EXTENT = 8
#: The points of the largest space: a product of 6 x 6 matrices.
POINTS = 216
#: Instructions, about, in the code of one kernel.
LENGTH = 400


class Registers:
    """A small array in registers: for each element, in row-major order, a value and the lane."""

    def __init__(self) -> None:
        self.places: dict[int, tuple[Value, int]] = {}

    def put(self, first: int, step: int, count: int, value: Value) -> None:
        """Lanes 0 .. count - 1 of the value are elements first, first + step, ..."""
        for lane in range(count):
            self.places[first + step * lane] = value, lane

    def element(self, fn: Function, at: int) -> Value:
        """One element, as a number."""
        value, lane = self.places.get(at) or next(iter(self.places.values()))
        return fn.extract(value, lane)

    def vector(self, fn: Function, first: int, step: int, count: int, lanes: int) -> Value:
        """Elements first, first + step, ... in the lanes; behind `count` of them, anything."""
        if lanes == 1:
            return self.element(fn, first)
        sources: dict[Value, dict[int, int]] = {}
        for i in range(count):
            if first + step * i in self.places:  # others are lanes that a mask hides
                value, lane = self.places[first + step * i]
                sources.setdefault(value, {})[i] = lane
        result: Value | None = None
        for source, lanes_of in sources.items():
            result = _merged(fn, result, source, lanes_of, lanes)
        return result or constant(self.element(fn, first).type.vector(lanes), 0)


def _merged(
    fn: Function, result: Value | None, source: Value, lanes_of: dict[int, int], lanes: int
) -> Value:
    """The result with lane i taken from lane lanes_of[i] of the source."""
    if source.type.lanes == 1:
        into = result or constant(source.type.vector(lanes), 0)
        for i in lanes_of:
            into = fn.insert(into, source, i)
        return into
    in_place = source.type.lanes == lanes and all(i == lane for i, lane in lanes_of.items())
    if not in_place:
        spare = next(iter(lanes_of.values()))
        source = fn.shuffle(source, None, [lanes_of.get(i, spare) for i in range(lanes)])
    if result is None:
        return source
    picks = [lanes + i if i in lanes_of else i for i in range(lanes)]
    return fn.shuffle(result, source, picks)


class SmallNest(Nest):
    """A nest without loops that repeat: arrays in registers are read from there."""

    def value(self, x: Any, index: Indices) -> Emitted:
        rows = None if isinstance(x, Literal) else self.program.registers.get(x)
        if rows is None:
            return super().value(x, index)
        offset = self.offset(strides_of(x.shape), index)
        if offset.dynamic is not None:
            assert x in self.program.locations or x not in self.program.plan.stored, x
            return super().value(x, index)
        step = sum(n for loop, n in offset.terms if loop is self.vector)
        key = ("register", x, offset.const, step)
        found = self.memo.get(key)
        if found is None:
            found = self._read(rows, offset.const, step)
            self.memo[key] = found
            self.levels[found.depth].keys.append(key)
        return found

    def _read(self, rows: Registers, first: int, step: int) -> Emitted:
        if not step:
            return Emitted(rows.element(self.fn, first), self.depth, None)
        assert self.vector is not None
        value = rows.vector(self.fn, first, step, self.vector.extent, self.lanes)
        return Emitted(value, self.depth, self.chain)

    def _is_pending(self, x: Any, index: Indices) -> bool:
        return x not in self.program.registers and super()._is_pending(x, index)


class SmallKernel:
    """Statements over a small space; `program.registers` has their results when it is emitted.

    With `outer` axes in front that are loops, it is unrolled inside of these (small products of
    many matrices), and what it makes is in memory only.
    """

    def __init__(
        self, program: Any, space: tuple[int, ...], stores: Mapping[Var, Buffer | None],
        sums: Sequence[Accumulate] = (), outer: int = 0,
    ):  # fmt: skip
        self.program, self.space, self.outer = program, space, outer
        self.stores, self.sums = stores, sums
        self.axis = _lane_axis(space, [s.reduced for s in sums], outer)
        lanes = 1 if self.axis is None else _power_of_two(space[self.axis])
        self.loops = {a: Loop(space[a]) for a in range(outer)}
        if self.axis is not None:
            self.loops[self.axis] = Loop(space[self.axis], vector=True)
        self.nest = SmallNest(program, list(self.loops.values()), lanes=lanes)

    def describe(self) -> str:
        """One line for the log: the space and the statements."""
        work = [f"store {v.type}" for v in self.stores]
        work += [f"{s.eqn.primitive.name} -> {s.eqn.outvars[0].type}" for s in self.sums]
        inner = self.space[self.outer :]
        return f"{self.space}, {inner} unrolled by {self.nest.lanes}: {'; '.join(work)}"

    def emit(self) -> None:
        """Emit the code; results of rank 0 are in `Accumulate.result`."""
        if not self.outer:
            for x in self._awkward():
                hold(self.program, x)
        self.nest.run(self._body if not self.outer else self._body_of_loop)

    def _awkward(self) -> list[Var]:
        """The arrays that are read several times and computed on the way, or read across."""
        found = []
        for s in self.sums:
            often = s.rule.spread(s.eqn)
            for x, axes in s.rule.operands(s.eqn):
                if x not in often or isinstance(x, Literal) or not x.ndim:
                    continue
                location = self.program.locations.get(x)
                across = self.axis in axes and axes[-1] != self.axis
                awkward = across if isinstance(location, Buffer) else location is None
                awkward = awkward and x not in self.program.registers
                if awkward and 0 < x.shape[-1] <= EXTENT:
                    found.append(x)
        return found

    def _body_of_loop(self) -> None:
        """The body, with registers for operands that hold for one iteration; those of whole arrays
        can't be read at an index that a loop makes."""
        before = self.program.registers
        self.program.registers = {x: found for x, found in before.items() if not x.ndim}
        for x in self._awkward():
            location = self.program.locations.get(x)
            if isinstance(location, Buffer):
                self.program.registers[x] = self._rows(location)
        self._body()
        self.program.registers = before

    def _rows(self, buffer: Buffer) -> Registers:
        """The matrix of this iteration, row by row."""
        nest, fn, count = self.nest, self.nest.fn, buffer.shape[-1]
        lanes, rows = _power_of_two(count), Registers()
        type, mask = memory_type(buffer.dtype, lanes), register_type(np.dtype(bool), lanes)
        there = lanes_constant(mask, [lane < count for lane in range(lanes)])
        outside = tuple(along(self.loops[a]) for a in range(self.outer))
        for at in itertools.product(*map(range, buffer.shape[self.outer : -1])):
            index = (*outside, *map(constant_index, at), ORIGIN)
            offset = nest.offset(buffer.strides, index)
            address = fn.offset(buffer.pointer, nest.split(offset)[0].value, type)
            whole = count == lanes
            row = fn.load(type, address) if whole else fn.masked_load(type, address, there)
            rows.put(offset.const, 1, count, nest.from_memory(row, buffer.dtype))
        return rows

    def _body(self) -> None:
        nest = self.nest
        nest.chain = 0 if nest.vector else None
        results = {v: Registers() for v in self.stores}
        totals: dict[tuple[Accumulate, tuple[int, ...]], Value] = {}
        for place in self._places():
            index = self._index(place, range(len(place)))
            for v, buffer in self.stores.items():
                located = v in self.program.locations or v in self.program.registers
                found = (nest.value if located else nest.computed)(v, index)
                self._keep(v, buffer, index, found, results[v])
            for s in self.sums:
                key = s, tuple(n for a, n in enumerate(place) if a not in s.reduced)
                totals[key] = self._accumulated(s, index, totals.get(key))
        for s in self.sums:
            self._finish(s, {at: total for (t, at), total in totals.items() if t is s})
        self.program.registers.update(results)
        nest.chain = None

    def _places(self) -> Iterator[tuple[int, ...]]:
        """The points, once for all of those that share a vector."""
        extents = [1 if a in self.loops else n for a, n in enumerate(self.space)]
        return itertools.product(*map(range, extents))

    def _index(self, place: tuple[int, ...], axes: Sequence[int]) -> Indices:
        """The index of a place in these axes of the space."""
        return tuple(
            along(self.loops[a]) if a in self.loops else constant_index(n)
            for a, n in zip(axes, place, strict=True)
        )

    def _accumulated(self, s: Accumulate, index: Indices, total: Value | None) -> Value:
        nest = self.nest
        if total is None:
            total = constant(register_type(s.dtype, nest.lanes), s.rule.identity(s.dtype))
        parts = s.rule.element(nest, s.eqn, index)
        values = [nest.fn.splat(x.value, nest.lanes) for x in parts]
        return s.rule.combine(nest.fn, s.dtype, total, *values)

    def _finish(self, s: Accumulate, totals: dict[tuple[int, ...], Value]) -> None:
        out = s.eqn.outvars[0]
        result = Registers()
        for at, total in totals.items():
            index = self._index(at, [a for a in range(len(self.space)) if a not in s.reduced])
            if self.axis in s.reduced:
                total = self._across(s, total)
            if not out.ndim:
                s.result = total
                return
            found = Emitted(total, self.nest.depth, self.nest.chain)
            self._keep(out, s.buffer, index, found, result)
        self.program.registers[out] = result

    def _across(self, s: Accumulate, total: Value) -> Value:
        """The lanes together, from the halves on."""
        fn, lanes = self.nest.fn, total.type.lanes
        for mask in self.nest.masks.values():
            total = fn.select(mask, total, fn.like(total, s.rule.identity(s.dtype)))
        while lanes > 1:
            lanes //= 2
            upper = fn.shuffle(total, None, list(range(lanes, 2 * lanes)))
            lower = fn.shuffle(total, None, list(range(lanes)))
            if lanes == 1:
                lower, upper = fn.extract(total, 0), fn.extract(total, 1)
            total = s.rule.merge(fn, s.dtype, lower, upper)
        return total

    def _keep(
        self, x: Var, buffer: Buffer | None, index: Indices, found: Emitted, into: Registers
    ) -> None:
        """In registers, and in memory if there is room for it."""
        nest = self.nest
        offset: Index = nest.offset(strides_of(x.shape), index)
        step = sum(n for loop, n in offset.terms if loop.vector)
        count = nest.vector.extent if step and nest.vector else 1
        value = nest.fn.splat(found.value, nest.lanes) if step else found.value
        into.put(offset.const, step, count, value)
        if buffer is not None:
            nest.store(buffer, index, Emitted(value, found.depth, found.chain))


def hold(program: Any, x: Var) -> None:
    """Take a small array into registers."""
    SmallKernel(program, x.shape, {x: None}).emit()


@dataclass(frozen=True, slots=True)
class SmallStatement(Statement):
    """A statement on small arrays, which it finds by `held` and leaves by `leave`."""


def held(program: Any, x: Any) -> Registers:
    """The registers of a small array; it is computed or loaded into them if need be."""
    if x not in program.registers:
        if isinstance(x, Literal):
            number, found = constant(register_type(x.dtype), x.value), Registers()
            for at in range(x.type.size):
                found.put(at, 1, 1, number)
            return found
        hold(program, x)
    return program.registers[x]


def leave(program: Any, x: Var, registers: Registers) -> None:
    """A statement's result; it is stored if something reads it in memory."""
    program.registers[x] = registers
    buffer = program.room(x)
    if buffer is not None:
        SmallKernel(program, x.shape, {x: buffer}).emit()
        program.locations[x] = buffer


#: Elements of the largest array that a loop carries in registers.
CARRIED = 64


def carried_in_registers(plan: Any, pairs: Mapping[int, tuple[Var, Atom]]) -> set[int]:
    """Which arrays a loop may carry in registers, by their numbers among the results of the body.

    pairs: for each of them, what the body reads and what it makes of it. It has to be small kernels
    that read the one and make the other.
    """
    made = {
        v for step in plan.steps if unrolled(plan, step) == 0 for v in plan.results(step)
    }  # fmt: skip
    found = {
        i for i, (before, after) in pairs.items()
        if after in made and 0 < before.type.size <= CARRIED and before.shape[-1] <= EXTENT
    }  # fmt: skip
    others = [y for i, y in enumerate(plan.jaxpr.outvars) if i not in found]
    stored = read_from_memory(plan, others) if found else set()
    return {i for i in found if pairs[i][0] not in stored}


def to_rows(fn: Function, registers: Registers, shape: tuple[int, ...]) -> list[Value]:
    """An array as a vector for each row."""
    count = shape[-1]
    lanes = _power_of_two(count)
    return [
        registers.vector(fn, first, 1, count, lanes)
        for first in range(0, math.prod(shape), count)
    ]


def from_rows(rows: Sequence[Value], shape: tuple[int, ...]) -> Registers:
    """The array with these rows."""
    result = Registers()
    for i, row in enumerate(rows):
        result.put(i * shape[-1], 1, shape[-1], row)
    return result


def _lane_axis(
    space: tuple[int, ...], reduced: Sequence[tuple[int, ...]], outer: int = 0
) -> int | None:
    """The last axis that no sum takes away, else the last one; of those that have an extent."""
    wide = [a for a, n in enumerate(space) if n > 1 and a >= outer]
    kept = [a for a in wide if not any(a in axes for axes in reduced)]
    return max(kept or wide, default=None)


def _power_of_two(n: int) -> int:
    """The smallest power of two that is not below n."""
    return 1 << max(0, n - 1).bit_length()


def unrolled(plan: Any, step: Any) -> int | None:
    """None for a step that is no small kernel; else the number of axes in front that are loops.

    0: its space is small. More: sums, all of them small products for each index of those axes.
    """
    if step.statement is not None:
        return 0 if isinstance(plan.rules[step.statement], SmallStatement) else None
    if not step.space or 0 in step.space or any(v.dtype.kind == "c" for v in step.stores):
        return None
    if _fits(plan, step, 0):
        return 0
    (outer, *others) = {len(eqn.params.get("batch", ((),))[0]) for eqn in step.sums} or {0}
    if step.stores or others or not outer:
        return None
    for eqn in step.sums:
        operands = plan.rules[eqn].operands(eqn)
        if any(axes[:outer] != tuple(range(outer)) for _, axes in operands):
            return None
        if all(step.space[a] == 1 for a in range(outer, eqn.outvars[0].ndim)):
            return None
    return outer if _fits(plan, step, outer) else None


def _fits(plan: Any, step: Any, outer: int) -> bool:
    """Whether unrolled code for what is behind the `outer` axes is short."""
    space = step.space[outer:]
    if max(space, default=0) > EXTENT or math.prod(space) > POINTS:
        return False
    axis = _lane_axis(step.space, [plan.rules[eqn].reduced(eqn) for eqn in step.sums], outer)
    copies = math.prod(n for a, n in enumerate(space, outer) if a != axis)
    cost = sum(plan.costs.get(v, 1) for v in step.stores)
    for eqn in step.sums:
        cost += 1 + sum(plan.costs[x] for x in eqn.inputs if _in_place(plan, x))
    return copies * cost <= LENGTH


def _in_place(plan: Any, x: Any) -> bool:
    return isinstance(x, Var) and x in plan.makers and x not in plan.stored


def read_from_memory(plan: Any, outs: Sequence[Atom]) -> set[Var]:
    """The variables that something else than a small kernel reads; `outs` leave the program."""
    found = set(plan.behind(outs))
    for step in plan.steps:
        if not step.scalars and unrolled(plan, step) != 0:
            found |= plan.reads(step)
    for eqn in plan.jaxpr.equations:
        rule = plan.rules[eqn]
        if isinstance(rule, Reader):
            found.update(x for i in rule.stored(eqn) if isinstance(x := eqn.inputs[i], Var))
        dilated = eqn.primitive is pad and any(eqn.params["interior"])
        if dilated or eqn.primitive in (dynamic_slice, gather):  # at an index known at run time
            found |= plan.behind(eqn.inputs)
    return found

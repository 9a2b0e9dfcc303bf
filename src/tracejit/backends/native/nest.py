"""One nest: what is read, computed and stored at each point of an index space.

Structure costs nothing here: `value(x, index)` asks for an element, and reshape, slice, broadcast,
permute, pad and their like answer by rewriting the index until a buffer or a computation is
reached. Every value is emitted once, in the outermost loop where all it depends on is known, so
invariant code is hoisted without a pass: see `loops.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.backends.native.complex import load_pairs, store_pairs
from tracejit.backends.native.elementwise import (
    STAGES,
    TWINS,
    literal,
    memory_type,
    register_type,
)
from tracejit.backends.native.emit import I64, Function, Type, Value, constant, lanes_constant
from tracejit.backends.native.index import ORIGIN, Emitted, Index, Loop, along
from tracejit.backends.native.loops import Loops
from tracejit.backends.native.lowering import Pointwise, Reader, rule_of
from tracejit.backends.native.ranges import number
from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.types import INT64, strides_of
from tracejit.ops.elementwise import select
from tracejit.ops.structure import pad

Indices = tuple[Index, ...]


@dataclass(slots=True, eq=False)
class Buffer:
    """An array in memory, row-major, from a pointer.

    base: of an array of which only a tile of rows is there at a time, what an index leaves out.
    """

    pointer: Value
    shape: tuple[int, ...]
    dtype: np.dtype
    given_strides: tuple[int, ...] | None = None
    base: Index = ORIGIN

    @property
    def strides(self) -> tuple[int, ...]:
        """In elements; row-major, unless the buffer is a view of another."""
        return strides_of(self.shape) if self.given_strides is None else self.given_strides

    @property
    def contiguous(self) -> int:
        """The axis along which elements lie side by side: the last, unless strides were given."""
        strides = self.given_strides
        if strides is None:
            return len(self.shape) - 1
        return min(range(len(strides)), key=lambda a: (strides[a], -a))

    @property
    def lane(self) -> Type:
        """The type of an element in memory."""
        return memory_type(self.dtype)

    def reshaped(self, shape: tuple[int, ...]) -> Buffer:
        """The same elements in another shape."""
        assert self.given_strides is None
        return Buffer(self.pointer, shape, self.dtype, None, self.base)

    def permuted(self, order: Sequence[int]) -> Buffer:
        """The same memory with the axes in another order."""
        shape, strides = (tuple(x[a] for a in order) for x in (self.shape, self.strides))
        return Buffer(self.pointer, shape, self.dtype, strides)

    def window(self, fn: Function, start: Sequence[int], shape: tuple[int, ...]) -> Buffer:
        """A part of the buffer, as a buffer."""
        at = sum(i * s for i, s in zip(start, self.strides, strict=True))
        return Buffer(fn.offset(self.pointer, at, self.lane), shape, self.dtype, self.strides)


@dataclass(slots=True, eq=False)
class Scalar:
    """A value of rank 0 in a register."""

    value: Value


@dataclass(frozen=True, slots=True)
class Address:
    """Where an element lies: `shift` elements behind a pointer.

    In the vector loop this is the element of lane 0; that of the next lane lies `stride` elements
    further, or each lane's at its own number of elements, `places`: so do complex ones, always.
    """

    pointer: Emitted
    shift: int
    stride: int
    places: Value | None = None

    @property
    def is_vector(self) -> bool:
        return self.stride != 0 or (self.places is not None and self.places.type.lanes > 1)

    def of(self, fn: Function, type: Type) -> Value:
        """The address as a pointer."""
        return fn.step(self.pointer.value, constant(I64, self.shift), type)


class Nest(Loops):
    """Values at the points of an index space. `loops` run from the outside to the inside."""

    def __init__(self, program: Any, loops: Sequence[Loop], *, lanes: int = 1, chains: int = 1):
        super().__init__(program.fn, loops, lanes=lanes, chains=chains)
        self.program = program
        self.predicate: Emitted | None = None
        self.holds: Callable[[Atom, Indices], bool] = lambda mask, index: False
        self.spans: dict[Any, tuple[int, int]] = {}  # of sums of counters, by their terms

    # Values.

    def index_of(self, loops: Sequence[Loop]) -> Indices:
        return tuple(map(along, loops))

    def here(self, index: Indices) -> Indices:
        """An index, with numbers for the counters of loops that are unrolled altogether."""
        if self.unrolled is None:
            return index
        return tuple(i.fixed(self.vector) for i in index)

    def value(self, x: Atom, index: Indices) -> Emitted:
        """The element of x at an index."""
        if isinstance(x, Literal):
            return Emitted(literal(x), 0, None)
        location = self.program.locations.get(x)
        if location is not None:
            if isinstance(location, Scalar):
                return Emitted(location.value, 0, None)
            return self.load(location, index)
        return self.computed(x, index)

    def computed(self, x: Any, index: Indices) -> Emitted:
        """The element of a variable that is computed in place, once for each index.

        What is pointwise behind it has the same index and is emitted first: long chains need
        no deep recursion.
        """
        pending = [x]
        while True:
            y = pending[-1]
            result = self.recall(y, index)
            if result is None:
                eqn = self.program.makers[y]
                rule = rule_of(eqn)
                side = self._side(eqn, index) if eqn.primitive is select else 0
                if side:
                    result = self.value(eqn.inputs[side], index)
                    self.remember((y, index), result, self.predicate)
                elif isinstance(rule, Pointwise):
                    missing = [z for z in eqn.inputs if self._is_pending(z, index)]
                    if missing:
                        pending += missing
                        continue
                result = result or self._compute(y, eqn, rule, index)
            pending.pop()
            if not pending:
                return result

    def _side(self, eqn: Any, index: Indices) -> int:
        """Which operand a select chooses wherever the loops run; 0 where that is not known."""
        mask = eqn.inputs[0]
        if self.holds(mask, index):
            return 1
        maker = self.program.makers.get(mask) if self.spans else None
        if maker is not None and maker.primitive is pad:
            chosen = self.value(mask, index).value
            if chosen.is_constant:
                return 1 if number(chosen) else 2
        return 0

    def span(self, index: Index) -> tuple[int, int] | None:
        """Between which numbers an index lies, if that is known."""
        found = self.spans.get(index.terms) if index.dynamic is None else None
        return None if found is None else (found[0] + index.const, found[1] + index.const)

    def recall(self, x: Any, index: Indices) -> Emitted | None:
        """The element, if it has been emitted and holds here."""
        return (
            self.memo.get((x, index, None, None))
            or self.memo.get((x, index, self.chain, None))
            or (self.predicate and self.memo.get((x, index, self.chain, self.predicate)))
        )

    def _is_pending(self, x: Atom, index: Indices) -> bool:
        """Whether x is pointwise, computed in place, and not emitted yet."""
        if isinstance(x, Literal) or x in self.program.locations:
            return False
        if not isinstance(rule_of(self.program.makers[x]), Pointwise):
            return False
        return self.recall(x, index) is None

    def _compute(self, x: Any, eqn: Any, rule: Any, index: Indices) -> Emitted:
        predicate = self.predicate
        if isinstance(rule, Reader):
            result = rule.read(self, eqn, index)
        else:
            assert isinstance(rule, Pointwise), f"{eqn.primitive.name} is not computed in place"
            operands = [self.value(y, index) for y in eqn.inputs]
            twin = self.program.plan.twins.get(eqn)
            row = rule.row if twin is None else TWINS[eqn.primitive][1]
            outs = self.apply(row, eqn, operands)
            if isinstance(outs, tuple):
                names = eqn.outvars if twin is None else (x, twin)
                for var, out in zip(names, outs, strict=True):
                    self.remember((var, index), out, predicate)
                return outs[names.index(x)]
            result = outs
        self.remember((x, index), result, predicate)
        if not index and result.depth == 0:
            self.program.locations[x] = Scalar(result.value)
        return result

    def remember(self, what: tuple[Any, Indices], result: Emitted, predicate: Any) -> None:
        key = (*what, result.chain, predicate if result.chain is not None else None)
        self.memo[key] = result
        self.levels[result.depth].keys.append(key)

    def apply(self, row: Callable[..., Any], eqn: Any, operands: Sequence[Emitted]) -> Any:
        """A pointwise row on operands of whatever depth and lanes they are."""
        depth, chain, lanes = self.meet(operands)
        dtype = eqn.inputs[0].dtype if eqn.inputs else None
        if eqn.primitive in STAGES and dtype is not None and dtype.kind == "f":
            first = operands[0]
            if (first.depth, first.value.type.lanes) != (depth, lanes):
                return self._in_stages(eqn, *operands)

        def emit() -> Any:
            values = [self.fn.splat(x.value, lanes) for x in operands]
            return row(self.fn, dtype, *values, **eqn.params)

        out = self.hoisted(depth, emit)
        if isinstance(out, tuple):
            return tuple(Emitted(y, depth, chain) for y in out)
        return Emitted(out, depth, chain)

    def _in_stages(self, eqn: Any, x: Emitted, y: Emitted) -> Emitted:
        """A function of which the first part is done where x is known."""
        begin, end = STAGES[eqn.primitive]
        key = ("begun", eqn.primitive, x.value.text)
        begun: Any = self.memo.get(key)
        if begun is None:
            values: Any = self.hoisted(x.depth, lambda: begin(self.fn, x.value))  # type: ignore
            begun = self.memo[key] = [Emitted(v, x.depth, x.chain) for v in values]  # type: ignore
            self.levels[x.depth].keys.append(key)
        return self.combine(lambda *vs: end(self.fn, vs[:-1], vs[-1]), *begun, y)

    def meet(self, operands: Sequence[Emitted]) -> tuple[int, int | None, int]:
        """Depth, chain and lanes of what is computed from operands."""
        depth, chain, lanes = 0, None, 1
        for x in operands:
            depth = max(depth, x.depth)
            chain = x.chain if x.chain is not None else chain
            lanes = max(lanes, x.value.type.lanes)
        return depth, chain, lanes

    def combine(self, emit: Callable[..., Value], *operands: Emitted) -> Emitted:
        """Emit a function of values where all of them are known."""
        depth, chain, lanes = self.meet(operands)
        value = self.hoisted(
            depth, lambda: emit(*[self.fn.splat(x.value, lanes) for x in operands])
        )
        return Emitted(value, depth, chain)

    # Indices as numbers.

    def position(self, index: Index) -> Emitted:
        """An index as an i64; a vector of them where it runs with the vector loop."""
        scalar, stride = self.split(index)
        if not stride:
            return scalar
        steps = Emitted(self.lane_steps(stride), self.depth_of_vector, None)
        return self.combine(self.fn.add, Emitted(scalar.value, scalar.depth, self.chain), steps)

    @property
    def depth_of_vector(self) -> int:
        return self.vector.depth if self.vector else 0

    def split(self, index: Index) -> tuple[Emitted, int]:
        """The index for lane 0, and how much it grows from lane to lane (0: the same for all).

        A run-time part that differs by lane comes back as a vector, with growth 0.
        """
        stride, const = self._growth(index)
        key = ("offset", index.terms, const, index.dynamic)
        found = self.memo.get(key)
        if found is None:
            found, rest = self._sum(index)
            if rest + const:
                found = self.combine(lambda x: self.fn.add(x, self.fn.like(x, rest + const)), found)
            self.memo[key] = found
            self.levels[found.depth].keys.append(key)
        if found.value.type.lanes > 1 and stride:
            step = Emitted(self.lane_steps(stride), found.depth, None)
            found = self.combine(self.fn.add, found, step)
            stride = 0
        if stride and self.chain is not None:
            found = Emitted(found.value, found.depth, self.chain)
        return found, stride

    def _growth(self, index: Index) -> tuple[int, int]:
        """How much an index grows from lane to lane; its constant part, in this chain."""
        if self.vector is not None and self.lanes > 1:
            for loop, n in index.terms:
                if loop is self.vector:
                    return n, index.const + n * self.lanes * (self.chain or 0)
        return 0, index.const

    def _sum(self, index: Index) -> tuple[Emitted, int]:
        """The counters and the run-time part of an index; what counters that are numbers add."""
        fn, const = self.fn, 0
        total: Emitted | None = index.dynamic
        for loop, n in sorted(index.terms, key=lambda t: t[0].depth):
            const += n * loop.shift
            if loop.base.is_constant:  # type: ignore[union-attr]
                const += n * loop.number
                continue
            at = Emitted(loop.base, loop.depth, None)  # type: ignore[arg-type]
            step = at if n == 1 else self.combine(lambda x, n=n: fn.mul(x, fn.like(x, n)), at)
            total = step if total is None else self.combine(fn.add, total, step)
        depth = max([loop.depth for loop, _ in index.terms], default=0)
        if total is None:
            return Emitted(constant(I64, 0), depth, None), const
        return Emitted(total.value, max(total.depth, depth), total.chain), const

    def offset(self, strides: Sequence[int], index: Indices) -> Index:
        """The offset in elements of an index into strides; run-time parts are summed in code."""
        total = ORIGIN
        for i, stride in zip(index, strides, strict=True):
            if i.dynamic is None:
                total = total + i.scale(stride)
                continue
            total = self.plus(total, self.scaled(i, stride))
        return total

    def place(self, buffer: Buffer, index: Indices) -> Index:
        """The offset of an element from the buffer's pointer."""
        return self.offset(buffer.strides, index) + buffer.base

    def plus(self, i: Index, j: Index) -> Index:
        """The sum of two indices; run-time parts are added in code."""
        if i.dynamic is None or j.dynamic is None:
            return i + j
        total = self.combine(self.fn.add, i.dynamic, j.dynamic)
        rest = Index(i.terms, i.const) + Index(j.terms, j.const)
        return Index(rest.terms, rest.const, total)

    def scaled(self, i: Index, n: int) -> Index:
        """n times an index; a run-time part is multiplied in code."""
        if i.dynamic is None or n == 1:
            return i.scale(n)
        part = self.combine(lambda x: self.fn.mul(x, self.fn.like(x, n)), i.dynamic)
        rest = Index(i.terms, i.const).scale(n)
        return Index(rest.terms, rest.const, part)

    def dynamic(self, x: Emitted) -> Index:
        """A computed integer as an index."""
        return Index((), 0, x)

    # Memory.

    def mask(self) -> Value | None:
        """The lanes that exist and may be read: the tail's mask and the predicate's."""
        tail = None if self.chain is None else self.masks.get(self.chain)
        if self.predicate is None:
            return tail
        predicate = self.fn.splat(self.predicate.value, self.lanes)
        return predicate if tail is None else self.fn.and_(predicate, tail)

    def address(self, buffer: Buffer, offset: Index) -> Address:
        """Where the element at an offset lies. Elements that are a number apart share a pointer."""
        dynamic = offset.dynamic
        apart = dynamic is not None and dynamic.value.type.lanes > 1
        if apart or buffer.dtype.kind == "c":
            at, stride = self.split(offset)
            return Address(Emitted(buffer.pointer, at.depth, None), 0, stride, at.value)
        stride, const = self._growth(offset)
        key = ("pointer", buffer, offset.terms, dynamic)
        found: Any = self.memo.get(key)
        if found is None:
            total, rest = self._sum(offset)
            base = self.combine(lambda i: self.fn.step(buffer.pointer, i, buffer.lane), total)
            found = base, rest
            self.memo[key] = found  # type: ignore[assignment]
            self.levels[base.depth].keys.append(key)
        base, rest = found
        return Address(base, rest + const, stride)

    def load(self, buffer: Buffer, index: Indices) -> Emitted:
        """The element (a vector, in the vector loop) of a buffer."""
        offset = self.place(buffer, index)
        at = self.address(buffer, offset)
        predicate = self.predicate if at.is_vector else None
        key = ("load", buffer, offset, self.chain if at.is_vector else None, predicate)
        found = self.memo.get(key) or self.memo.get((*key[:4], None))
        if found:
            return found
        depth = max(at.pointer.depth, self.depth_of_vector if at.stride else 0)
        if predicate is not None:
            depth = max(depth, predicate.depth)
        value = self.hoisted(depth, lambda: self.read(buffer, at))
        result = Emitted(value, depth, self.chain if at.is_vector else None)
        self.memo[key] = result
        self.levels[depth].keys.append(key)
        return result

    def read(self, buffer: Buffer, at: Address) -> Value:
        """Load what is at an address, here and now."""
        fn = self.fn
        if buffer.dtype.kind == "c":
            register = register_type(buffer.dtype, self.lanes if at.is_vector else 1)
            mask = self.mask() if at.is_vector else None
            assert at.places is not None
            return load_pairs(self, buffer.pointer, register, at.places, at.stride, mask)
        if not at.is_vector:
            scalar = memory_type(buffer.dtype)
            return self.from_memory(fn.load(scalar, at.of(fn, scalar)), buffer.dtype)
        type = memory_type(buffer.dtype, self.lanes)
        mask = self.mask()
        address = at.of(fn, type)
        if at.places is not None:
            value = fn.gather(type, address, at.places, mask)
        elif at.stride != 1:
            value = fn.gather(type, address, self.lane_steps(at.stride), mask)
        else:
            value = fn.load(type, address) if mask is None else fn.masked_load(type, address, mask)
        return self.from_memory(value, buffer.dtype)

    def store(self, buffer: Buffer, index: Indices, x: Emitted) -> None:
        """Store at an index, at the current depth."""
        fn = self.fn
        at = self.address(buffer, self.place(buffer, index))
        if buffer.dtype.kind == "c":
            mask, lanes = (self.mask(), self.lanes) if at.is_vector else (None, 1)
            assert at.places is not None
            store_pairs(self, buffer.pointer, x.value, at.places, at.stride, mask, lanes)
            return
        value = self.to_memory(x.value, buffer.dtype)
        if not at.is_vector:
            assert value.type.lanes == 1, "a vector is stored where the index runs with its lanes"
            fn.store(value, at.of(fn, value.type))
            return
        value, mask = fn.splat(value, self.lanes), self.mask()
        address = at.of(fn, value.type)
        if at.places is not None:
            fn.scatter(value, address, at.places, mask)
        elif at.stride != 1:
            fn.scatter(value, address, self.lane_steps(at.stride), mask)
        elif mask is None:
            fn.store(value, address)
        else:
            fn.masked_store(value, address, mask)

    def lane_steps(self, stride: int) -> Value:
        """0, stride, 2 stride, ... in the lanes."""
        steps: list[float | int | bool] = [stride * lane for lane in range(self.lanes)]
        return lanes_constant(I64.vector(self.lanes), steps)

    def from_memory(self, value: Value, dtype: np.dtype) -> Value:
        if dtype.kind != "b":
            return value
        return self.fn.truncate(value, register_type(dtype, value.type.lanes))

    def to_memory(self, value: Value, dtype: np.dtype) -> Value:
        if dtype.kind != "b":
            return value
        return self.fn.zext(value, memory_type(dtype, value.type.lanes))

    def integer(self, x: Emitted, dtype: np.dtype) -> Emitted:
        """An integer of any dtype as an i64; what is larger becomes the largest."""
        fn = self.fn
        if dtype == INT64:
            return x
        if dtype.itemsize == 8:
            return self.combine(
                lambda v: fn.select(fn.less(v, fn.like(v, 0)), fn.like(v, 2**63 - 1), v), x
            )
        widen = fn.sext if dtype.kind == "i" else fn.zext
        return self.combine(lambda v: widen(v, I64.vector(v.type.lanes)), x)

    def clamped(self, x: Emitted, limit: int, *, least: int = 0) -> Emitted:
        """An i64 moved into least .. limit."""
        fn = self.fn

        def emit(v: Value) -> Value:
            low = fn.select(fn.less(v, fn.like(v, least)), fn.like(v, least), v)
            inside = fn.select(fn.greater(low, fn.like(v, limit)), fn.like(v, limit), low)
            if before := fn.module.ranges.of(v):
                low_end, high_end = (min(max(n, least), limit) for n in before)
                fn.module.ranges.note(inside, low_end, high_end)
            return inside

        return self.combine(emit, x)

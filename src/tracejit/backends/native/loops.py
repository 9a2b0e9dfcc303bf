"""The loops of a nest, as code: counters, carried values, the vector loop and its tail, hoisting.

Every value is emitted once, in the outermost loop where all it depends on is known: an `Emitted`
value knows its depth, and `hoisted` appends to that depth's block, which is closed but not yet
rendered.

One loop may be the vector loop: its body works on `lanes` elements at once, in `chains` independent
copies that hide latency: or in one, where the body is long, and the copies' sums take turns in it.
The iterations that do not fill a whole step come behind the loop, once, the last vector under a
mask; or, where the body is long and few lanes would be idle, all run under masks in one loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import register_type
from tracejit.backends.native.emit import I64, Block, Function, Phi, Value, constant, lanes_constant
from tracejit.backends.native.index import Emitted, Loop


@dataclass(slots=True)
class Level:
    """A depth of the nest: where code goes that belongs there, and what has been emitted."""

    exit: Block | None = None
    keys: list[Any] = field(default_factory=list)


class Loops:
    """Loops from the outside to the inside, and what has been emitted at each depth of them."""

    def __init__(
        self, fn: Function, loops: Sequence[Loop], *, lanes: int = 1, chains: int = 1
    ):
        self.fn = fn
        self.loops = [loop for loop in loops if loop.extent != 1]
        for depth, loop in enumerate(self.loops):
            loop.depth = depth + 1
        self.lanes = lanes
        self.chains = chains
        self.vector = next((loop for loop in self.loops if loop.vector), None)
        self.unrolled = next((loop for loop in self.loops if loop.copies > 1), None)
        self.copy = 0
        self.levels = [Level() for _ in range(len(self.loops) + 1)]
        self.depth = 0
        self.chain: int | None = None
        self.active: list[int] = [0]
        self.masks: dict[int, Value] = {}  # of chains of which not all lanes exist
        self.masked = False
        self.in_turns = False  # the chains of a vector loop inside of all others
        self.few = False  # of computed ends: so few turns that all are run under masks
        self.memo: dict[Any, Emitted] = {}
        self.carried: dict[Any, Value] = {}

    def run(
        self,
        body: Callable[[], None],
        *,
        enter: Callable[[int], None] = lambda depth: None,
        leave: Callable[[int], None] = lambda depth: None,
    ) -> None:
        """Emit the nest. `enter` and `leave` are called around the loop at each depth."""
        self.body, self.on_enter, self.on_leave = body, enter, leave
        self._descend(0)

    def _descend(self, depth: int) -> None:
        self.on_enter(depth)
        if depth == len(self.loops):
            self.body()
        elif self.loops[depth].ends is not None:
            self._between(depth, self.loops[depth])
        elif self.loops[depth].vector:
            self._vector_loop(depth)
        else:
            loop = self.loops[depth]
            whole = loop.extent - loop.extent % loop.copies
            loop.unrolling = loop.copies > 1
            self._counted(depth, loop, 0, whole, loop.copies)
            if whole < loop.extent:
                loop.unrolling = False
                self._counted(depth, loop, whole, loop.extent, 1)
        self.on_leave(depth)

    def _vector_loop(self, depth: int) -> None:
        loop = self.loops[depth]
        if self.in_turns and self.chains > 1 and depth == len(self.loops) - 1:
            self._vectors_in_turn(depth, loop)
            return
        step = self.lanes * self.chains
        whole, rest = divmod(loop.extent, step)
        self.active, self.masks = list(range(self.chains)), {}
        idle = step - rest  # lanes that the last turn would have for nothing
        if self.masked and whole and rest and 8 * idle <= loop.extent:
            self._counted(depth, loop, 0, loop.extent, step)
            self.active, self.masks = [0], {}
            return
        if whole:
            self._counted(depth, loop, 0, whole * step, step)
        if rest:
            vectors, short = divmod(rest, self.lanes)
            self.active = list(range(vectors + bool(short)))
            if short:
                self.masks = {vectors: self._first_lanes(short)}
            self._counted(depth, loop, whole * step, loop.extent, loop.extent)
        self.active, self.masks = [0], {}

    def _vectors_in_turn(self, depth: int, loop: Loop) -> None:
        """One vector an iteration: the body is emitted once, and the chains take turns."""
        whole, rest = divmod(loop.extent, self.lanes)
        under_mask = self.masked and rest and 8 * (self.lanes - rest) <= loop.extent
        stop = loop.extent if under_mask else whole * self.lanes
        self.active = [0]
        if stop:
            self._counted(depth, loop, 0, stop, self.lanes, turns=True)
        turns = -(-stop // self.lanes)
        if stop < loop.extent:
            self.masks = {0: self._first_lanes(rest)}
            self._counted(depth, loop, stop, loop.extent, loop.extent, turns=True)
            turns += 1
        self.masks = {}
        for _ in range(-turns % self.chains):
            self._turn()

    def _turn(self) -> None:
        """Chain 0 is what chain 1 was, and the last is what chain 0 was."""
        before = dict(self.carried)
        for what, chain, copy in before:
            self.carried[what, chain, copy] = before[what, (chain + 1) % self.chains, copy]

    def _first_lanes(self, count: int) -> Value:
        """The mask of so many lanes."""
        exists: list[float | int | bool] = [i < count for i in range(self.lanes)]
        return lanes_constant(register_type(np.dtype(bool), self.lanes), exists)

    def _between(self, depth: int, loop: Loop) -> None:
        """A loop whose ends are computed: as many whole turns as there are, then vector by vector,
        the last one under a mask."""
        assert loop.ends is not None
        start, stop = loop.ends()
        if not loop.vector:
            self._while_below(depth, loop, start, stop, 1)
            return
        step = self.lanes * self.chains
        self.active, self.masks = list(range(self.chains)), {}
        if not self.few:
            last = self.fn.sub(stop, constant(I64, step - 1))
            start = self._while_below(depth, loop, start, last, step)
        self.active = [0]
        self._while_below(depth, loop, start, stop, self.lanes, masked=True)
        self.masks = {}

    def _while_below(
        self, depth: int, loop: Loop, start: Value, stop: Value, step: int, *, masked: bool = False
    ) -> Value:
        """The loop from start on, as long as its counter is below stop; the counter behind it."""
        fn, level = self.fn, self.levels[depth]
        inside, after = fn.block("loop"), fn.block("done")
        level.exit = before = fn.here
        fn.branch_if(fn.less(start, stop), inside, after)
        fn.at(inside)
        counter = fn.phi(I64)
        counter.add(start, before)
        loop.phis, loop.base = [counter], counter.value
        begun = dict(self.carried)
        carried = self._carry(loop, before)
        if masked:
            self.masks = self._masks(loop, stop)
        self._once(depth, loop, counter.value, 0)
        following = fn.add(counter.value, constant(I64, step))
        for key, phi in carried.items():
            phi.add(self.carried[key], fn.here)
        counter.add(following, fn.here)
        latch, entry = fn.here, level.exit
        fn.branch_if(fn.less(following, stop), inside, after)
        fn.at(after)
        end = fn.phi(I64)
        merged = [(end, start, following)]
        for key, value in begun.items():
            phi = fn.phi(value.type)
            merged.append((phi, value, self.carried[key]))
            self.carried[key] = phi.value
        for phi, first, last in merged:
            phi.add(first, entry)
            phi.add(last, latch)
        level.exit = None
        return end.value

    def _masks(self, loop: Loop, stop: Value) -> dict[int, Value]:
        """For each active chain, the lanes that are within the vector loop."""
        fn, lanes = self.fn, self.lanes
        assert loop.base is not None
        left = fn.splat(fn.sub(stop, loop.base), lanes)
        masks = {}
        for chain in self.active:
            steps: list[float | int | bool] = [chain * lanes + i for i in range(lanes)]
            masks[chain] = fn.less(lanes_constant(I64.vector(lanes), steps), left)
        return masks

    def _counted(
        self, depth: int, loop: Loop, start: int, stop: int, step: int, *, turns: bool = False
    ) -> None:
        """The loop from start to stop; where there is one iteration, its body goes where we are."""
        fn, level = self.fn, self.levels[depth]
        level.exit = before = fn.here
        loop.phis, loop.base, carried = [], constant(I64, start), {}
        repeats = start + step < stop
        if repeats:
            inside = fn.block("loop")
            fn.branch(inside)
            fn.at(inside)
            counter = fn.phi(I64)
            counter.add(constant(I64, start), before)
            loop.phis.append(counter)
            loop.base = counter.value
            carried = self._carry(loop, before)
            if loop.vector and self.masked and (stop - start) % step:
                self.masks = self._masks(loop, constant(I64, stop))
        base = loop.base
        for copy in range(loop.copies if loop.unrolling else 1):
            self._once(depth, loop, base, copy)
        if turns:
            self._turn()
        if repeats:
            following = fn.add(base, constant(I64, step))
            counter.add(following, fn.here)
            for key, phi in carried.items():
                phi.add(self.carried[key], fn.here)
            again = fn.less(following, constant(I64, stop))
            after = fn.block("done")
            fn.branch_if(again, inside, after)
            fn.at(after)
        level.exit = None

    def _once(self, depth: int, loop: Loop, base: Value, copy: int) -> None:
        """The body of a loop, or one copy of it: at the index base + copy."""
        if loop.unrolling:
            self.copy = copy
            if base.is_constant:
                loop.base = constant(I64, int(base.text) + copy)
            else:
                loop.shift = copy
        self.depth = depth + 1
        self._descend(depth + 1)
        self.depth = depth
        for key in self.levels[depth + 1].keys:
            self.memo.pop(key, None)
        self.levels[depth + 1].keys.clear()
        if loop.unrolling:
            self.copy, loop.shift = 0, 0

    def _carry(self, loop: Loop, before: Block) -> dict[Any, Phi]:
        phis = {}
        for key, value in self.carried.items():
            phi = self.fn.phi(value.type)
            phi.add(value, before)
            loop.phis.append(phi)
            phis[key] = phi
        for key, phi in phis.items():
            self.carried[key] = phi.value
        return phis

    def hoisted(self, depth: int, emit: Callable[[], Value]) -> Value:
        """Emit code in the block of an outer depth."""
        if depth == self.depth:
            return emit()
        fn, before, inner = self.fn, self.fn.here, self.depth
        block = self.levels[depth].exit
        assert block is not None and depth < inner
        terminator, block.terminator = block.terminator, ""
        fn.at(block)
        self.depth = depth
        result = emit()
        self.depth = inner
        fn.here.terminator = terminator
        if fn.here is not block:
            fn.arrives_from(terminator, block, fn.here)
            self._moved(block, fn.here)
        if before is not block:
            fn.at(before)
        return result

    def _moved(self, block: Block, end: Block) -> None:
        """What was to go to the end of a block goes to another one behind it from now on."""
        for level, loop in zip(self.levels, self.loops, strict=False):
            if level.exit is block:
                level.exit = end
                for phi in loop.phis:
                    phi.repoint(block, end)

"""Large kernels in pieces, for several threads: each takes some of the rows.

    s = reduce_sum(f(x))  over 1 000 000     ->     parallel i in 0 .. 31:
                                                        part[i] = sum of f over 31 250 of them
                                                    s = sum of part

A piece writes its own rows. What is summed over the rows gets a place for each piece, and these are
added up afterwards. The pieces are the same for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tracejit.backends.native.effort import LONG
from tracejit.backends.native.emit import I64, Function, Value, constant
from tracejit.backends.native.index import Emitted, Loop, Rows
from tracejit.backends.native.kernel import Kernel, fill
from tracejit.backends.native.lowering import Axes, Reduction
from tracejit.backends.native.nest import Buffer, Indices, Nest
from tracejit.backends.native.parallel import parallel
from tracejit.backends.native.sums import Accumulate
from tracejit.ir.atoms import Var
from tracejit.ir.graph import Equation
from tracejit.ir.types import array_type

#: Pieces of a kernel: at most, so that up to a dozen threads end at about the same time; and the
#: effort of one at least, about 25 us, beside which the 20 ns are nothing that it takes to get it.
MOST, LEAST = 32, LONG // 4
#: Bytes that the parts of all sums may take.
PARTS = 1 << 20
#: Rows of a piece come in such numbers where there are many, so that vectors are whole.
EVEN = 64


@dataclass(frozen=True, slots=True)
class Pieces:
    """`count` pieces of so many rows, along an axis; `rest` rows are left."""

    axis: int
    rows: int
    count: int
    rest: int


def pieces_worth(work: int) -> int:
    """How many pieces so much work is worth; 0 where it stays whole."""
    return min(MOST, work // LEAST) if work >= LONG else 0


def pieces_of(
    space: Sequence[int], work: int, sums: Sequence[Accumulate] = (),
    limited: Set[int] = frozenset(),
) -> Pieces | None:  # fmt: skip
    """How to cut a space along a long axis, an outer one if there are several, if the parts of its
    sums are small then; None where that is not worth it. work: the effort for all of it. limited:
    axes of which only what lies between limits is run, which no one knows ahead.
    """
    most = pieces_worth(work)
    if not most:
        return None
    apart = [MOST * sum(_bytes(s) for s in sums if a in s.reduced) for a in range(len(space))]
    fitting = [a for a, nbytes in enumerate(apart) if nbytes <= PARTS and a not in limited]
    if not fitting:
        return None
    longest = max(space[a] for a in fitting)
    axis = next(a for a in fitting if 2 * space[a] >= longest)
    extent = space[axis]
    rows = -(-extent // most)
    if rows >= 2 * EVEN:
        rows -= rows % EVEN
    count = extent // rows
    return Pieces(axis, rows, count, extent - rows * count) if count > 1 else None


def run_in_pieces(program: Any, kernel: Kernel, work: int) -> bool:
    """Emit a kernel in pieces, if that is worth it and there may be threads."""
    if program.threads is None:
        return False
    pieces = pieces_of(kernel.space, work, kernel.sums, {x.axis for x in kernel.limits()})
    if pieces is None:
        return False
    axis, rows, count, rest = pieces.axis, pieces.rows, pieces.count, pieces.rest
    totals = Totals(program, count + (rest > 0), [s for s in kernel.sums if axis in s.reduced])
    origin = Loop(kernel.space[axis], depth=0)

    def run(i: Value, extent: int) -> None:
        origin.base = program.fn.mul(i, constant(I64, rows))
        places = totals.places(i)
        sums = [replace(s, buffer=places.get(s, s.buffer)) for s in kernel.sums]
        piece = Kernel(
            program, kernel.space, [*kernel.stores, *sums], Rows(axis, origin, extent)
        )
        piece.emit()
        program.summary.kernel(piece)

    parallel(program, count, lambda i: run(i, rows))
    if rest:
        run(constant(I64, count), rest)
    totals.add_up()
    return True


class Totals:
    """Reductions of which each iteration of a loop makes a part, and the parts in memory."""

    def __init__(self, program: Any, count: int, sums: Sequence[Accumulate]):
        self.program = program
        self.count = count
        self.parts = {s: program.scratch(_stacked(s, count).type) for s in sums}

    def places(self, i: Value) -> dict[Accumulate, Buffer]:
        """Where iteration i adds up, with nothing in it yet."""
        fn, found = self.program.fn, {}
        for s, parts in self.parts.items():
            shape = parts.shape[1:]
            at = fn.mul(i, constant(I64, int(np.prod(shape))))
            found[s] = Buffer(fn.offset(parts.pointer, at, parts.lane), shape, parts.dtype)
            fill(self.program, replace(s, buffer=found[s]))
        return found

    def add_up(self) -> None:
        """The parts together, in the buffers or the results of the reductions."""
        for s, parts in self.parts.items():
            add_parts(self.program, s, parts, self.count)


def add_parts(program: Any, s: Accumulate, parts: Buffer, count: int) -> None:
    """Reduce so many parts of a reduction's result, one behind the other, to the result."""
    x = _stacked(s, count)
    program.locations[x] = parts
    total = Accumulate(s.eqn._replace(inputs=(x,)), _OfParts(s.rule), (0,), s.buffer)
    Kernel(program, x.shape, [total]).emit()
    s.result = total.result
    del program.locations[x]


def _bytes(s: Accumulate) -> int:
    out = s.eqn.outvars[0]
    return out.type.size * out.dtype.itemsize


def _stacked(s: Accumulate, count: int) -> Var:
    """A variable for as many results of a reduction."""
    out = s.eqn.outvars[0]
    return Var(array_type(out.dtype, (count, *out.shape)))


class _OfParts(Reduction):
    """Finished parts of a reduction, over their first axis."""

    def __init__(self, rule: Reduction):
        self.rule = rule

    def operands(self, eqn: Equation) -> list[tuple[Any, Axes]]:
        return [(eqn.inputs[0], tuple(range(eqn.inputs[0].ndim)))]

    def element(self, nest: Nest, eqn: Equation, index: Indices) -> tuple[Emitted, ...]:
        return (nest.value(eqn.inputs[0], index),)

    def combine(self, b: Function, dtype: np.dtype, total: Value, *element: Value) -> Value:
        return self.rule.merge(b, dtype, total, *element)

    def identity(self, dtype: np.dtype) -> Any:
        return self.rule.identity(dtype)

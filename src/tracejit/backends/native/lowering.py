"""The kinds of lowering, and the one table of the native backend.

    Pointwise(row)     values in, value out: composed freely inside kernels
    Reader(read)       an index of the result becomes indices of the operands: no copy is ever made
    Reduction          a kernel over the operand's space that accumulates
    Statement(emit)    code of its own: scatter, sort, loops, library calls

`kernel.py` composes pointwise rows and readers into one loop nest per group of statements.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tracejit.backends.table import LoweringTable
from tracejit.errors import MissingLoweringError
from tracejit.ir.graph import Equation

Axes = tuple[int | None, ...]


@dataclass(frozen=True, slots=True)
class Pointwise:
    """row(b, dtype of operand 0, *values, **params) -> value (or a tuple of them)."""

    row: Callable[..., Any]
    cost: int = 1


@dataclass(frozen=True, slots=True)
class Reader:
    """read(nest, eqn, index) -> Emitted: the element of the result at an index.

    axes(eqn, axes) -> [(operand, its axes)]: how the axes of a kernel's space, given for each axis
    of the result, run along the axes of the operands (None: not evenly). stored(eqn): positions of
    the operands that have to lie in memory. spreads(eqn): elements are read more than once.
    moved(eqn): axes of the result along which element i is not element i of the operand, although
    both are equally long. flat(eqn): the operand is read as a run of memory.
    """

    read: Callable[..., Any]
    axes: Callable[..., list[tuple[Any, Axes]]]
    stored: Callable[..., tuple[int, ...]] = lambda eqn: ()
    spreads: Callable[..., bool] = lambda eqn: False
    moved: Callable[..., tuple[int, ...]] = lambda eqn: ()
    flat: Callable[..., bool] = lambda eqn: False


class Reduction:
    """Accumulates over some axes of a space. Subclasses say which, and how."""

    def space(self, eqn: Equation) -> tuple[int, ...]:
        """The extents of all loops."""
        raise NotImplementedError

    def reduced(self, eqn: Equation) -> tuple[int, ...]:
        """The axes of the space that go away; the others are those of the result, in order."""
        raise NotImplementedError

    def operands(self, eqn: Equation) -> list[tuple[Any, Axes]]:
        """What is read, and along which axes of the space."""
        raise NotImplementedError

    def element(self, nest: Any, eqn: Equation, index: Any) -> tuple[Any, ...]:
        """What is accumulated at a point of the space."""
        raise NotImplementedError

    def combine(self, b: Any, dtype: Any, total: Any, *element: Any) -> Any:
        """The total with one more element."""
        raise NotImplementedError

    def merge(self, b: Any, dtype: Any, x: Any, y: Any) -> Any:
        """Two totals into one."""
        return self.combine(b, dtype, x, y)

    def identity(self, dtype: Any) -> Any:
        """The total of nothing."""
        raise NotImplementedError

    def spread(self, eqn: Equation) -> tuple[Any, ...]:
        """Operands of which an element is read at several points."""
        return ()

    def aligned(self, eqn: Equation) -> bool:
        """Whether the space is the operand's own, so that it can be computed in place."""
        return True


@dataclass(frozen=True, slots=True)
class Rowwise:
    """How a statement of one result takes part in a region, some rows at a time.

    space(eqn): the extents of its loops; () where it can't. operands(eqn): what it reads at each
    point, and along which axes of the space. begin(program, eqn) -> the buffer of the result,
    before the first row; for sums over the rows only. run(program, eqn, buffer, rows). kept(eqn,
    axis): the axis of the result that runs along the rows, if these run along this axis of the
    space; None for sums over them. reads_before(eqn): what begin reads.
    """

    space: Callable[[Equation], tuple[int, ...]]
    operands: Callable[[Equation], list[tuple[Any, Axes]]]
    begin: Callable[..., Any]
    run: Callable[..., None]
    kept: Callable[[Equation, int], int | None] = lambda eqn, axis: None
    reads_before: Callable[[Equation], tuple[Any, ...]] = lambda eqn: ()


@dataclass(frozen=True, slots=True)
class Statement:
    """emit(program, eqn): computes all results and stores their locations.

    updates(eqn): positions of results, each with that of the operand that it is an update of: the
    result may lie where the operand lay, see `Program.owned_copy`.
    """

    emit: Callable[..., None]
    #: positions of array operands read by plain address, which have to lie in memory
    stored: Callable[..., tuple[int, ...]] = lambda eqn: tuple(range(len(eqn.inputs)))
    updates: Callable[..., dict[int, int]] = lambda eqn: {}
    by_rows: Rowwise | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """choose(eqn) -> one of the other kinds, by size or type; reason(eqn) says why that one."""

    choose: Callable[[Equation], Any]
    reason: Callable[[Equation], str] = lambda eqn: ""


def rule_of(eqn: Equation) -> Any:
    """The lowering of an equation; MissingLoweringError if its primitive has none."""
    try:
        rule = LOWERINGS[eqn.primitive]
    except MissingLoweringError as error:
        raise error.at(str(eqn.provenance) or None) from None
    return rule.choose(eqn) if isinstance(rule, Choice) else rule


def reason_of(eqn: Equation) -> str:
    """Why an equation has the lowering that it has; empty where there is but one."""
    rule = LOWERINGS[eqn.primitive]
    return rule.reason(eqn) if isinstance(rule, Choice) else ""


LOWERINGS: LoweringTable[Any] = LoweringTable("native")

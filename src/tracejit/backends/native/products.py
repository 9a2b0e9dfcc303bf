"""Products of matrices by BLAS: whole, in pieces for several threads, or a tile of rows at a time.

BLAS is column-major: row-major C = A B is C' = B' A' there, so the operands change places. A matrix
lies row by row or column by column; each is the transpose of the other.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.backends.native.blas import library_pointer, one_thread
from tracejit.backends.native.elementwise import memory_type
from tracejit.backends.native.emit import I32, I64, VOID, Value, constant
from tracejit.backends.native.index import ORIGIN, Index, Rows
from tracejit.backends.native.lowering import LOWERINGS, Axes
from tracejit.backends.native.nest import Buffer, Nest
from tracejit.backends.native.parallel import parallel
from tracejit.backends.native.pieces import add_parts, pieces_of, pieces_worth
from tracejit.backends.native.sums import Accumulate
from tracejit.ir.atoms import Literal
from tracejit.ir.graph import Equation
from tracejit.ir.types import array_type
from tracejit.ops.contraction import free_axes
from tracejit.ops.structure import reduce_sum

#: The dtypes that BLAS has, and how the names of its functions begin.
PREFIX = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}
#: Multiplications that BLAS does while a nest does one.
MULTIPLICATIONS = 2
#: A result is thin if the sum for each element is so many times longer than its longer axis.
THIN = 8
#: Elements of the operand without rows that each tile of rows needs again: so many stay near.
SMALL = 1 << 11


@dataclass(frozen=True, slots=True)
class Matrix:
    """In memory; the steps, in elements, from row to row and from column to column."""

    pointer: Value
    dtype: np.dtype
    steps: tuple[int, int]

    @property
    def turned(self) -> Matrix:
        """The transpose."""
        return Matrix(self.pointer, self.dtype, (self.steps[1], self.steps[0]))


def gemm(
    program: Any, a: Matrix, b: Matrix, c: Matrix, shape: tuple[int, int, int], *,
    adds: bool = False,
) -> None:  # fmt: skip
    """c = a b, or c += a b; shape: the rows and columns of c, and what is contracted."""
    rows, columns, depth = shape
    if c.steps[1] != 1:
        gemm(program, b.turned, a.turned, c.turned, (columns, rows, depth), adds=adds)
        return
    fn, dtype = program.fn, a.dtype
    by_rows = [m.steps[1] == 1 and m.steps[0] >= n for m, n in ((b, columns), (a, depth))]
    gaps = [m.steps[0] if flat else m.steps[1] for m, flat in zip((b, a), by_rows, strict=True)]
    sizes = program.stack_integers([columns, rows, depth, *gaps, c.steps[0]])
    m, n, k, b_gap, a_gap, c_gap = (fn.offset(sizes, i, I32) for i in range(6))
    b_flag, a_flag = (program.stack_byte("N" if flat else "T") for flat in by_rows)
    one, before = (program.stack_float(dtype, x) for x in (1.0, 1.0 if adds else 0.0))
    fn.call_pointer(library_pointer(fn, f"{PREFIX[dtype.name]}gemm"), VOID, [
        b_flag, a_flag, m, n, k, one, b.pointer, b_gap, a.pointer, a_gap, before, c.pointer, c_gap,
    ])  # fmt: skip


# Whole products.


def product(program: Any, eqn: Equation) -> None:
    """Emit a dot, whatever its axes are."""
    x, y = eqn.inputs
    (out,) = eqn.outvars
    (cx, cy), (bx, by) = eqn.params["contract"], eqn.params["batch"]
    fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
    count = math.prod(x.shape[a] for a in bx)
    rows = math.prod(x.shape[a] for a in fx)
    columns = math.prod(y.shape[a] for a in fy)
    depth = math.prod(x.shape[a] for a in cx)
    left, by_column = _lying(program, x, (*bx, *fx, *cx), (*bx, *cx, *fx))
    right, by_row = _lying(program, y, (*by, *fy, *cy), (*by, *cy, *fy))
    result = program.allocate(out)
    a = Matrix(left.pointer, left.dtype, (1, rows) if by_column else (depth, 1))
    b = Matrix(right.pointer, right.dtype, (columns, 1) if by_row else (1, depth))
    c = Matrix(result.pointer, result.dtype, (columns, 1))
    work, shape = count * rows * columns * depth // MULTIPLICATIONS, (rows, columns, depth)
    with one_thread(program.fn):
        if count == 1:
            _in_pieces(program, eqn, (a, b, c), shape, work)
        else:
            steps = (rows * depth, columns * depth, rows * columns)

            def one(i: Value) -> None:
                left, right, to = (
                    _moved(program, matrix, step, i)
                    for matrix, step in zip((a, b, c), steps, strict=True)
                )
                gemm(program, left, right, to, shape)

            (parallel if pieces_worth(work) else type(program).repeat)(program, count, one)
    program.settle(out, result)


def _lying(program: Any, x: Any, wanted: Axes, other: Axes) -> tuple[Buffer, bool]:
    """x in memory in one of two orders of its axes, and whether it is the other one."""
    natural = tuple(range(x.ndim))
    if natural in (wanted, other):
        return program.buffer(x), natural != wanted
    return program.permuted_copy(x, other), True


def _moved(program: Any, matrix: Matrix, step: int, i: Value) -> Matrix:
    """The matrix that begins i steps behind."""
    fn = program.fn
    at = fn.mul(i, constant(I64, step))
    pointer = fn.offset(matrix.pointer, at, memory_type(matrix.dtype))
    return Matrix(pointer, matrix.dtype, matrix.steps)


def _in_pieces(
    program: Any, eqn: Equation, matrices: tuple[Matrix, Matrix, Matrix],
    shape: tuple[int, int, int], work: int,
) -> None:  # fmt: skip
    """One product; if that is worth it in pieces: of rows, of columns, or of long sums."""
    (a, b, c), (rows, columns, depth) = matrices, shape
    thin = depth >= THIN * max(rows, columns) and a.dtype.kind == "f"
    pieces = pieces_of((0, 0, depth) if thin else (rows, columns), work)
    if pieces is None or program.threads is None:
        gemm(program, a, b, c, shape)
        return
    axis, count = pieces.axis, pieces.count + (pieces.rest > 0)
    (out,) = eqn.outvars
    parts = program.scratch(array_type(out.dtype, (count, *out.shape) if axis == 2 else (0,)))
    apart = Matrix(parts.pointer, parts.dtype, (columns, 1))

    def piece(i: Value, extent: int) -> None:
        first = program.fn.mul(i, constant(I64, pieces.rows))
        left = _moved(program, a, (a.steps[0], 0, a.steps[1])[axis], first)
        right = _moved(program, b, (0, b.steps[1], b.steps[0])[axis], first)
        if axis == 2:
            to = _moved(program, apart, rows * columns, i)
        else:
            to = _moved(program, c, c.steps[axis], first)
        cut = (*shape[:axis], extent, *shape[axis + 1 :])
        gemm(program, left, right, to, cut)  # type: ignore[arg-type]

    parallel(program, pieces.count, lambda i: piece(i, pieces.rows))
    if pieces.rest:
        piece(constant(I64, pieces.count), pieces.rest)
    if axis == 2:
        result = Buffer(c.pointer, out.shape, out.dtype)
        add_parts(program, Accumulate(eqn, LOWERINGS[reduce_sum], (0,), result), parts, count)


# Some rows at a time, in a region.


def space(eqn: Equation) -> tuple[int, ...]:
    """Rows, columns and depth; () for products that do not go by rows."""
    x, y = eqn.inputs
    if x.ndim != 2 or y.ndim != 2 or any(eqn.params["batch"]):
        return ()
    if isinstance(x, Literal) or isinstance(y, Literal):
        return ()
    (cx,), (cy,) = eqn.params["contract"]
    extents = (x.shape[1 - cx], y.shape[1 - cy], x.shape[cx])
    return extents if math.prod(extents) // max(extents) <= SMALL else ()


def operands(eqn: Equation) -> list[tuple[Any, Axes]]:
    """Both, and where they run along the longest axis of the space: only that one may be rows."""
    extents = space(eqn)
    longest = extents.index(max(extents))
    return [
        (x, tuple(a if a == longest else None for a in axes))
        for x, axes in zip(eqn.inputs, _axes(eqn), strict=True)
    ]


def _axes(eqn: Equation) -> list[tuple[int, int]]:
    """The axes of the space that those of the operands are."""
    (cx,), (cy,) = eqn.params["contract"]
    return [(2, 0) if cx == 0 else (0, 2), (2, 1) if cy == 0 else (1, 2)]


def kept(eqn: Equation, axis: int) -> int | None:
    """The axis of the result that runs along the rows; None where they are summed over."""
    return axis if axis < 2 else None


def begin(program: Any, eqn: Equation) -> Buffer:
    """Zeros, which the rows add to."""
    (out,) = eqn.outvars
    result = program.allocate(out)
    program.copy(Literal(0, out.type), result)
    return result


def by_rows(program: Any, eqn: Equation, result: Buffer, rows: Rows) -> None:
    """The part of a product that some rows make."""
    (x, y), (x_axes, y_axes) = eqn.inputs, _axes(eqn)
    a, b = _tile(program, x, x_axes, (0, 2), rows), _tile(program, y, y_axes, (2, 1), rows)
    c = _tile_of(program, result, (0, 1), (0, 1), rows)
    with one_thread(program.fn):
        shape: Any = rows.shape(space(eqn))
        gemm(program, a, b, c, shape, adds=kept(eqn, rows.axis) is None)


def _tile(
    program: Any, x: Any, axes: tuple[int, int], order: tuple[int, int], rows: Rows
) -> Matrix:
    location = program.locations[x]
    if not isinstance(location, Buffer):
        location = program.buffer(x)
    return _tile_of(program, location, axes, order, rows)


def _tile_of(
    program: Any, buffer: Buffer, axes: tuple[int, int], order: tuple[int, int], rows: Rows
) -> Matrix:
    """The rows of a buffer whose axes are these of the space, as a matrix of axes in an order."""
    nest = Nest(program, [])
    index = tuple(Index(((rows.origin, 1),)) if a == rows.axis else ORIGIN for a in axes)
    at = nest.position(nest.place(buffer, index)).value
    steps = dict(zip(axes, buffer.strides, strict=True))
    pointer = program.fn.offset(buffer.pointer, at, buffer.lane)
    return Matrix(pointer, buffer.dtype, (steps[order[0]], steps[order[1]]))

"""Lowering of factorisations and triangular systems: straight-line code up to 8 x 8, then LAPACK.

Small matrices are worked on in registers, a row of lanes or element by element, so that in a loop
nothing of them goes through memory; stacks of small matrices are a loop around the same code.

LAPACK sees matrices turned over, as it counts along columns: the lower triangle here is the upper
one there, x with a x = b is x' with x' a' = b'. Only `lu` has to turn its matrix, to exchange rows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.backends.native.blas import library_pointer, one_thread
from tracejit.backends.native.elementwise import memory_type, register_type
from tracejit.backends.native.emit import I32, I64, VOID, Function, Value, constant, lanes_constant
from tracejit.backends.native.index import Emitted, Loop
from tracejit.backends.native.lowering import LOWERINGS, Choice, Statement
from tracejit.backends.native.nest import Buffer, Nest
from tracejit.backends.native.small import EXTENT, Registers, SmallStatement, held, leave
from tracejit.ir.graph import Equation
from tracejit.ir.types import INT32, PART_OF
from tracejit.ops import linalg as ops

#: The letters that the names of routines begin with.
LETTERS = {"float32": "s", "float64": "d", "complex64": "c", "complex128": "z"}

#: Code for matrices of one system: (function, equation, registers of operands) -> of results.
Algorithm = Callable[[Function, Equation, Sequence[Registers]], Sequence[Registers]]


def _lanes(n: int) -> int:
    return 1 << max(0, n - 1).bit_length()


# Small matrices


def _cholesky(fn: Function, eqn: Equation, operands: Sequence[Registers]) -> Sequence[Registers]:
    """By columns. A pivot that is not above 0 makes NaN of all that comes behind it, the last pivot
    among it; then everything is NaN."""
    (x,), n, type = operands, eqn.inputs[0].shape[-1], register_type(eqn.inputs[0].dtype)
    nan, one = constant(type, math.nan), constant(type, 1.0)
    low: dict[tuple[int, int], Value] = {}
    for j in range(n):
        for i in range(j, n):
            total = x.element(fn, i * n + j)
            for k in range(j):
                total = fn.fma(fn.neg(low[i, k]), low[j, k], total)
            if i == j:
                positive = fn.greater(total, constant(type, 0.0))
                low[j, j] = fn.select(positive, fn.sqrt(total), nan)
                inverse = fn.div(one, low[j, j])
            else:
                low[i, j] = fn.mul(total, inverse)
    bad, result = fn.is_nan(low[n - 1, n - 1]), Registers()
    for i in range(n):
        for j in range(n):
            value = fn.select(bad, nan, low[i, j]) if j <= i else constant(type, 0.0)
            result.put(i * n + j, 1, 1, value)
    return (result,)


def _triangular(fn: Function, eqn: Equation, operands: Sequence[Registers]) -> Sequence[Registers]:
    """Row by row, all columns of b in the lanes of a vector."""
    a, b = operands
    n, columns = eqn.inputs[1].shape[-2:]
    p, lanes = eqn.params, _lanes(columns)
    first_to_last = p["lower"] != p["transposed"]
    order = range(n) if first_to_last else range(n)[::-1]
    rows: dict[int, Value] = {}
    result = Registers()
    for i in order:
        row = b.vector(fn, i * columns, 1, columns, lanes)
        for j in rows:
            factor = a.element(fn, j * n + i if p["transposed"] else i * n + j)
            row = fn.fma(fn.splat(fn.neg(factor), lanes), rows[j], row)
        if not p["unit"]:
            pivot = a.element(fn, i * n + i)
            row = fn.mul(row, fn.splat(fn.div(fn.like(pivot, 1.0), pivot), lanes))
        rows[i] = row
        result.put(i * columns, 1, columns, row)
    return (result,)


def _lu(fn: Function, eqn: Equation, operands: Sequence[Registers]) -> Sequence[Registers]:
    """Rows are vectors, exchanged by selects."""
    (x,), n = operands, eqn.inputs[0].shape[-1]
    lanes = _lanes(n)
    rows = [x.vector(fn, i * n, 1, n, lanes) for i in range(n)]
    order, pivots = [constant(I32, i) for i in range(n)], []
    for k in range(n):
        place = _largest(fn, [fn.extract(row, k) for row in rows[k:]], k)
        pivots.append(place)
        _exchange(fn, rows, k, place)
        _exchange(fn, order, k, place)
        pivot = fn.extract(rows[k], k)
        nought = fn.like(pivot, 0.0)
        inverse = fn.select(
            fn.not_equal(pivot, nought), fn.div(fn.like(pivot, 1.0), pivot), nought
        )
        for i in range(k + 1, n):
            rows[i] = _eliminated(fn, rows[i], rows[k], k, inverse)
    results = [Registers(), Registers(), Registers()]
    for i in range(n):
        for registers, (first, count, value) in zip(
            results, ((i * n, n, rows[i]), (i, 1, pivots[i]), (i, 1, order[i])), strict=True
        ):
            registers.put(first, 1, count, value)
    return results


def _largest(fn: Function, candidates: Sequence[Value], first: int) -> Value:
    """The place of the largest size, counted from `first` on."""
    best, place = fn.abs(candidates[0]), constant(I32, first)
    for i, x in enumerate(candidates[1:], first + 1):
        ahead = fn.greater(fn.abs(x), best)
        best, place = fn.select(ahead, fn.abs(x), best), fn.select(ahead, constant(I32, i), place)
    return place


def _exchange(fn: Function, items: list[Value], k: int, place: Value) -> None:
    """Items k and `place`, which is not before k, change places."""
    old = items[k]
    for i in range(k + 1, len(items)):
        here = fn.equal(place, constant(I32, i))
        items[k], items[i] = fn.select(here, items[i], items[k]), fn.select(here, old, items[i])


def _eliminated(fn: Function, row: Value, by: Value, k: int, inverse: Value) -> Value:
    """A row without its element k, by subtraction of a multiple; the factor in its place."""
    lanes = row.type.lanes
    factor = fn.splat(fn.mul(fn.extract(row, k), inverse), lanes)
    behind = lanes_constant(row.type.mask, [lane > k for lane in range(lanes)])
    here = lanes_constant(row.type.mask, [lane == k for lane in range(lanes)])
    changed = fn.fma(fn.neg(factor), by, row)
    return fn.select(behind, changed, fn.select(here, factor, row))


def _in_registers(algorithm: Algorithm) -> SmallStatement:
    def emit(program: Any, eqn: Equation) -> None:
        operands = [held(program, x) for x in eqn.inputs]
        results = algorithm(program.fn, eqn, operands)
        for v, registers in zip(eqn.outvars, results, strict=True):
            leave(program, v, registers)

    return SmallStatement(emit)


def _for_each(algorithm: Algorithm) -> Statement:
    """A loop over the matrices of stacks."""

    def emit(program: Any, eqn: Equation) -> None:
        fn: Function = program.fn
        ranks = [len(x.shape) - eqn.inputs[0].ndim + 2 for x in (*eqn.inputs, *eqn.outvars)]
        sources = [program.buffer(x) for x in eqn.inputs]
        targets = [program.allocate(v) for v in eqn.outvars]
        places = [
            (buffer, buffer.shape[len(buffer.shape) - rank :])
            for buffer, rank in zip([*sources, *targets], ranks, strict=True)
        ]

        def body(i: Value) -> None:
            windows = [member(fn, buffer, shape, i) for buffer, shape in places]
            operands = [_load_rows(fn, w) for w in windows[: len(sources)]]
            results = algorithm(fn, eqn, operands)
            for window, registers in zip(windows[len(sources) :], results, strict=True):
                _store_rows(fn, window, registers)

        program.repeat(members(eqn), body)
        for v, target in zip(eqn.outvars, targets, strict=True):
            program.settle(v, target)

    return Statement(emit)


def members(eqn: Equation) -> int:
    """The number of matrices."""
    return math.prod(eqn.inputs[0].shape[:-2])


def member(fn: Function, buffer: Buffer, shape: tuple[int, ...], i: Value) -> Buffer:
    """Number i of a stack of arrays of the shape."""
    offset = fn.mul(i, constant(I64, math.prod(shape)))
    return Buffer(fn.offset(buffer.pointer, offset, buffer.lane), shape, buffer.dtype)


def _load_rows(fn: Function, matrix: Buffer) -> Registers:
    rows, columns = matrix.shape
    result, lanes = Registers(), _lanes(columns)
    type = memory_type(matrix.dtype, lanes)
    there = lanes_constant(type.mask, [lane < columns for lane in range(lanes)])
    for i in range(rows):
        address = fn.offset(matrix.pointer, i * columns, type)
        whole = lanes == columns
        row = fn.load(type, address) if whole else fn.masked_load(type, address, there)
        result.put(i * columns, 1, columns, row)
    return result


def _store_rows(fn: Function, array: Buffer, registers: Registers) -> None:
    """By whole rows, where they are vectors, else element by element."""
    columns = array.shape[-1]
    for first in range(0, math.prod(array.shape), columns):
        address = fn.offset(array.pointer, first, array.lane)
        if registers.places[first][0].type.lanes == 1:
            for i in range(columns):
                fn.store(registers.element(fn, first + i), fn.offset(address, i, array.lane))
            continue
        row = registers.vector(fn, first, 1, columns, lanes := _lanes(columns))
        there = lanes_constant(row.type.mask, [lane < columns for lane in range(lanes)])
        if lanes == columns:
            fn.store(row, address)
        else:
            fn.masked_store(row, address, there)


# LAPACK


def call_library(program: Any, name: str, dtype: np.dtype, args: Sequence[Any]) -> None:
    """Call a routine, its letter for the dtype left out; numbers and letters
    go by address, pointers as they are.
    """
    fn: Function = program.fn
    prefix = LETTERS[dtype.name]
    integers = program.stack_integers([n for n in args if isinstance(n, int)])
    passed, count = [], 0
    for x in args:
        if isinstance(x, int):
            x, count = fn.offset(integers, count, I32), count + 1
        elif isinstance(x, str):
            x = program.stack_byte(x)
        elif isinstance(x, float):
            x = program.stack_float(dtype, x)
        passed.append(x)
    fn.call_pointer(library_pointer(fn, prefix + name), VOID, passed)


def _large_cholesky(program: Any, eqn: Equation) -> None:
    (x,), (out,) = eqn.inputs, eqn.outvars
    fn, n = program.fn, x.shape[-1]
    result = program.allocate(out)
    program.copy(x, result)
    info = fn.alloca(I32)

    def factor(i: Value) -> None:
        matrix = member(fn, result, (n, n), i)
        call_library(program, "potrf", x.dtype, ["U", n, matrix.pointer, n, info])
        numbers = in_parts(matrix)
        last = fn.load(
            numbers.lane, fn.offset(numbers.pointer, math.prod(numbers.shape) - 1, numbers.lane)
        )
        failed = fn.not_equal(fn.load(I32, info), constant(I32, 0))
        finish_triangle(program, matrix, fn.or_(failed, fn.is_nan(last)))

    with one_thread(fn):
        program.repeat(members(eqn), factor)
    program.settle(out, result)


def in_parts(x: Buffer) -> Buffer:
    """The same memory, a complex number as two real ones."""
    part = PART_OF.get(x.dtype)
    return x if part is None else Buffer(x.pointer, (*x.shape, 2), part)


def finish_triangle(program: Any, matrix: Buffer, bad: Value, *, lower: bool = True) -> None:
    """0 above the diagonal (below it, unless `lower`); NaN in the rest if it is bad."""
    n, matrix = matrix.shape[0], in_parts(matrix)
    is_real = len(matrix.shape) == 2
    lanes = program.target.vector_bits // (8 * matrix.dtype.itemsize) if is_real else 1
    loops = [Loop(n), Loop(n, vector=is_real), *([] if is_real else [Loop(2)])]
    nest = Nest(program, loops, lanes=lanes)
    fn, index = nest.fn, nest.index_of(loops)

    def chosen(value: Value, row: Value, column: Value, bad: Value) -> Value:
        kept = fn.select(bad, fn.like(value, math.nan), value)
        inside = fn.less_equal(column, row) if lower else fn.less_equal(row, column)
        return fn.select(inside, kept, fn.like(value, 0.0))

    def body() -> None:
        nest.chain = 0  # there is one
        places = [nest.position(i) for i in index[:2]]
        value = nest.combine(chosen, nest.load(matrix, index), *places, Emitted(bad, 0, None))
        nest.store(matrix, index, value)
        nest.chain = None

    nest.run(body)


def _large_triangular(program: Any, eqn: Equation) -> None:
    (a, b), (out,), p = eqn.inputs, eqn.outvars, eqn.params
    fn, (n, columns) = program.fn, b.shape[-2:]
    left, result = program.buffer(a), program.allocate(out)
    program.copy(b, result)
    flags = [
        "R", "U" if p["lower"] else "L", "T" if p["transposed"] else "N", "U" if p["unit"] else "N",
    ]  # fmt: skip

    def solve(i: Value) -> None:
        matrix, x = member(fn, left, (n, n), i), member(fn, result, (n, columns), i)
        call_library(program, "trsm", b.dtype, [
            *flags, columns, n, 1.0, matrix.pointer, n, x.pointer, columns,
        ])  # fmt: skip

    with one_thread(fn):
        program.repeat(members(eqn), solve)
    program.settle(out, result)


def _large_lu(program: Any, eqn: Equation) -> None:
    (x,), n = eqn.inputs, eqn.inputs[0].shape[-1]
    fn: Function = program.fn
    turn = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    work = program.permuted_copy(x, turn)
    result, pivots, order = (program.allocate(v) for v in eqn.outvars)
    info = fn.alloca(I32)

    def factor(i: Value) -> None:
        matrix = member(fn, work, (n, n), i)
        swaps, rows = (member(fn, y, (n,), i) for y in (pivots, order))
        call_library(program, "getrf", x.dtype, [n, n, matrix.pointer, n, swaps.pointer, info])
        _follow(program, swaps, rows)

    with one_thread(fn):
        program.repeat(members(eqn), factor)
    program.move(work.permuted(turn), result)
    for v, location in zip(eqn.outvars, (result, pivots, order), strict=True):
        program.settle(v, location)


def _follow(program: Any, swaps: Buffer, rows: Buffer) -> None:
    """Count places from 0 instead of 1, and exchange the numbers of rows accordingly."""
    fn, (n,) = program.fn, swaps.shape

    def at(buffer: Buffer, i: Value) -> Value:
        return fn.offset(buffer.pointer, i, buffer.lane)

    def exchange(k: Value) -> None:
        place = fn.sub(fn.load(I32, at(swaps, k)), constant(I32, 1))
        fn.store(place, at(swaps, k))
        here, there = at(rows, k), at(rows, fn.sext(place, I64))
        first, second = fn.load(I32, here), fn.load(I32, there)
        fn.store(second, here)
        fn.store(first, there)

    assert swaps.dtype == INT32
    program.repeat(n, lambda k: fn.store(fn.truncate(k, I32), at(rows, k)))
    program.repeat(n, exchange)


def _nothing(program: Any, eqn: Equation) -> None:
    for v in eqn.outvars:
        program.settle(v, program.allocate(v))


#: What is empty.
NOTHING = Statement(_nothing, stored=lambda eqn: ())


def _choice(algorithm: Algorithm, large: Callable[..., None]) -> Choice:
    one, many, library = _in_registers(algorithm), _for_each(algorithm), Statement(large)

    def choose(eqn: Equation) -> Statement:
        x, last = eqn.inputs[0], eqn.inputs[-1]
        if not x.type.size or not last.type.size:
            return NOTHING
        if max(x.shape[-1], last.shape[-1]) > EXTENT or x.type.is_complex:
            return library
        return one if x.ndim == 2 else many

    reasons = {
        one: f"in registers: at most {EXTENT} x {EXTENT}", library: "by LAPACK", NOTHING: "empty",
        many: f"in registers, one after the other: at most {EXTENT} x {EXTENT}",
    }  # fmt: skip
    return Choice(choose, lambda eqn: reasons[choose(eqn)])


LOWERINGS.rows(
    __name__,
    {
        ops.cholesky: _choice(_cholesky, _large_cholesky),
        ops.triangular_solve: _choice(_triangular, _large_triangular),
        ops.lu: _choice(_lu, _large_lu),
    },
)

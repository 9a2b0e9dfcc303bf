"""Lowering of factors with orthonormal columns: LAPACK, matrix by matrix.

LAPACK counts along columns, so matrices are turned over before and after it: then it does to them
what NumPy has it do, and signs of vectors are NumPy's. What does not converge becomes NaN. The
sizes of LAPACK's workspaces are those of its documentation, and room for `_BLOCK` columns at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.backends.native.blas import one_thread
from tracejit.backends.native.callbacks import referred
from tracejit.backends.native.emit import I1, I32, Function, Value, constant
from tracejit.backends.native.linalg import (
    NOTHING,
    call_library,
    finish_triangle,
    in_parts,
    member,
    members,
)
from tracejit.backends.native.lowering import LOWERINGS, Choice, Statement
from tracejit.backends.native.nest import Buffer
from tracejit.ir.atoms import Atom
from tracejit.ir.graph import Equation
from tracejit.ir.types import INT32, PART_OF, array_type
from tracejit.ops import eigen
from tracejit.ops import orthogonal as ops

#: The columns that LAPACK works on at once, at most.
_BLOCK = 64


def _turn(rank: int) -> tuple[int, ...]:
    return (*range(rank - 2), rank - 1, rank - 2)


def _turned_room(program: Any, x: Atom) -> Buffer:
    """Memory for x with rows and columns exchanged."""
    return program.scratch(array_type(x.dtype, tuple(x.shape[a] for a in _turn(x.ndim))))


def _workspace(program: Any, dtype: np.dtype, numbers: int, integers: int = 1) -> Sequence[Any]:
    """LAPACK's room for numbers and for integers."""
    return (
        program.scratch(array_type(dtype, (numbers,))).pointer,
        program.scratch(array_type(INT32, (integers,))).pointer,
    )


def _spoil(program: Any, info: Value, values: Buffer, vectors: Sequence[Buffer]) -> None:
    """NaN everywhere, unless LAPACK, which left `info`, found values and none of them is NaN."""
    fn: Function = program.fn
    total = fn.alloca(values.lane)
    fn.store(constant(values.lane, 0.0), total)

    def add(i: Value) -> None:
        x = fn.load(values.lane, fn.offset(values.pointer, i, values.lane))
        fn.store(fn.add(fn.load(values.lane, total), x), total)

    program.repeat(values.shape[0], add)
    failed = fn.not_equal(fn.load(I32, info), constant(I32, 0))
    bad = fn.or_(failed, fn.is_nan(fn.load(values.lane, total)))
    for buffer in map(in_parts, (values, *vectors)):

        def mark(i: Value, buffer: Buffer = buffer) -> None:
            place = fn.offset(buffer.pointer, i, buffer.lane)
            x = fn.load(buffer.lane, place)
            fn.store(fn.select(bad, fn.like(x, float("nan")), x), place)

        program.repeat(int(np.prod(buffer.shape)), mark)


def _eigh(program: Any, eqn: Equation) -> None:
    (x,), n, vectors = eqn.inputs, eqn.inputs[0].shape[-1], eqn.params["vectors"]
    fn: Function = program.fn
    work = program.permuted_copy(x, _turn(x.ndim))
    results = [program.allocate(v) for v in eqn.outvars]
    name, numbers, integers = "syevd", 1 + 6 * n + 2 * n * n + _BLOCK * n, 3 + 5 * n
    room, iroom = _workspace(program, x.dtype, numbers, integers)
    real_room: list[Any] = []
    if x.type.is_complex:
        name, reals = "heevd", 1 + 5 * n + 2 * n * n
        real_room = [_workspace(program, PART_OF[x.dtype], reals)[0], reals]
    info = fn.alloca(I32)

    def factor(i: Value) -> None:
        matrix, values = member(fn, work, (n, n), i), member(fn, results[0], (n,), i)
        call_library(program, name, x.dtype, [
            "V" if vectors else "N", "L", n, matrix.pointer, n, values.pointer,
            room, numbers, *real_room, iroom, integers, info,
        ])  # fmt: skip
        _spoil(program, info, values, [matrix] if vectors else [])

    with one_thread(fn):
        program.repeat(members(eqn), factor)
    if vectors:
        program.move(work.permuted(_turn(x.ndim)), results[1])
    _settle(program, eqn, results)


def _svd(program: Any, eqn: Equation) -> None:
    (x,), (m, n) = eqn.inputs, eqn.inputs[0].shape[-2:]
    fn: Function = program.fn
    vectors, full, k = eqn.params["vectors"], eqn.params["full"], min(m, n)
    left, right = (m, n) if full else (k, k)
    work = program.permuted_copy(x, _turn(x.ndim))
    results = [program.allocate(v) for v in eqn.outvars]
    turned = [_turned_room(program, v) for v in eqn.outvars[::2]] if vectors else []
    numbers = 4 * k * k + 7 * k + max(m, n) + _BLOCK * (m + n)
    room, iroom = _workspace(program, x.dtype, numbers, 8 * k)
    real_room: list[Any] = []
    if x.type.is_complex:
        reals = 2 * k * (max(m, n) + 5 * k + 7)
        real_room = [_workspace(program, PART_OF[x.dtype], reals)[0]]
    info = fn.alloca(I32)

    def factor(i: Value) -> None:
        matrix = member(fn, work, (n, m), i)
        values = member(fn, results[1 if vectors else 0], (k,), i)
        u, vh = matrix, matrix  # not referenced without vectors
        if vectors:
            u, vh = member(fn, turned[0], (left, m), i), member(fn, turned[1], (n, right), i)
        call_library(program, "gesdd", x.dtype, [
            "N" if not vectors else "A" if full else "S", m, n, matrix.pointer, m, values.pointer,
            u.pointer, m, vh.pointer, right, room, numbers, *real_room, iroom, info,
        ])  # fmt: skip
        _spoil(program, info, values, [u, vh] if vectors else [])

    with one_thread(fn):
        program.repeat(members(eqn), factor)
    for source, target in zip(turned, results[::2], strict=False):
        program.move(source.permuted(_turn(x.ndim)), target)
    _settle(program, eqn, results)


def _qr(program: Any, eqn: Equation) -> None:
    (x,), (m, n) = eqn.inputs, eqn.inputs[0].shape[-2:]
    fn: Function = program.fn
    work = program.permuted_copy(x, _turn(x.ndim))
    q, r = results = [program.allocate(v) for v in eqn.outvars]
    scales = program.scratch(array_type(x.dtype, (members(eqn), n)))
    room, _ = _workspace(program, x.dtype, _BLOCK * n)
    info = fn.alloca(I32)

    def steps(name: str, *sizes: int) -> Callable[[Value], None]:
        def step(i: Value) -> None:
            matrix, scale = member(fn, work, (n, m), i), member(fn, scales, (n,), i)
            call_library(program, name, x.dtype, [
                *sizes, matrix.pointer, m, scale.pointer, room, _BLOCK * n, info,
            ])  # fmt: skip

        return step

    def finish(i: Value) -> None:
        finish_triangle(program, member(fn, r, (n, n), i), constant(I1, False), lower=False)

    with one_thread(fn):
        program.repeat(members(eqn), steps("geqrf", m, n))
        first = work.window(fn, (0,) * x.ndim, (*x.shape[:-2], n, n))
        program.move(first.permuted(_turn(x.ndim)), r)
        program.repeat(members(eqn), finish)
        program.repeat(members(eqn), steps("ungqr" if x.type.is_complex else "orgqr", m, n, n))
    program.move(work.permuted(_turn(x.ndim)), q)
    _settle(program, eqn, results)


def _settle(program: Any, eqn: Equation, results: Sequence[Buffer]) -> None:
    for v, location in zip(eqn.outvars, results, strict=True):
        program.settle(v, location)


def _by_lapack(emit: Callable[[Any, Equation], None]) -> Choice:
    statement = Statement(emit)

    def choose(eqn: Equation) -> Statement:
        return statement if eqn.inputs[0].type.size else NOTHING

    return Choice(choose, lambda eqn: "by LAPACK" if choose(eqn) is statement else "empty")


LOWERINGS.rows(
    __name__,
    {
        ops.eigh: _by_lapack(_eigh),
        ops.svd: _by_lapack(_svd),
        ops.qr: _by_lapack(_qr),
        eigen.eig: referred(eigen.eig),
    },
)

"""Lowering of sort: a stable bottom-up merge sort of rows, one function for each list of types.

Operands are merged together, compared by the first `keys` of them; NaN comes last, as in NumPy.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import memory_type
from tracejit.backends.native.emit import I1, I64, PTR, VOID, Function, Module, Value, constant
from tracejit.backends.native.lowering import LOWERINGS, Statement
from tracejit.backends.native.nest import Buffer
from tracejit.backends.native.program import inverse_order
from tracejit.ir.graph import Equation
from tracejit.ir.types import array_type
from tracejit.ops import reduction as ops


def _before(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """Whether x is sorted before y."""
    if dtype.kind == "b":
        return b.less(x, y, signed=False)
    smaller = b.less(x, y, signed=dtype.kind != "u")
    if dtype.kind != "f":
        return smaller
    return b.or_(smaller, b.and_(b.is_nan(y), b.not_(b.is_nan(x))))


def _precedes(
    b: Function, dtypes: Sequence[np.dtype], xs: Sequence[Value], ys: Sequence[Value]
) -> Value:
    """Lexicographic order by all the keys given."""
    result = constant(I1, False)
    for dtype, x, y in reversed(list(zip(dtypes, xs, ys, strict=True))):
        first, second = _before(b, dtype, x, y), _before(b, dtype, y, x)
        result = b.select(first, constant(I1, True), b.select(second, constant(I1, False), result))
    return result


def _smaller(b: Function, x: Value, y: Value) -> Value:
    return b.select(b.less(x, y), x, y)


def sort_function(module: Module, dtypes: tuple[np.dtype, ...], keys: int) -> str:
    """The name of a function (rows..., scratch rows..., n) that sorts rows in place."""
    name = f"sort.{keys}." + ".".join(d.str[1:] for d in dtypes)
    if name in module.defined:
        return name
    count = len(dtypes)
    b = module.function(name, VOID, [PTR] * (2 * count) + [I64], internal=True)
    rows, scratch, n = b.args[:count], b.args[count : 2 * count], b.args[-1]
    lanes = [memory_type(d) for d in dtypes]
    one, nought = constant(I64, 1), constant(I64, 0)
    entry = b.here
    passes, runs, merge, next_run, next_pass, end = (
        b.block(x) for x in ("pass", "run", "merge", "next.run", "next.pass", "end")
    )
    start_runs, start_merge = b.block("runs"), b.block("merges")
    b.branch(passes)

    b.at(passes)
    width = b.phi(I64)
    width.add(one, entry)
    sources, targets = [b.phi(PTR) for _ in rows], [b.phi(PTR) for _ in rows]
    for phi, x in zip([*sources, *targets], [*rows, *scratch], strict=True):
        phi.add(x, entry)
    b.branch_if(b.less(width.value, n), start_runs, end)

    b.at(start_runs)
    b.branch(runs)
    b.at(runs)
    low = b.phi(I64)
    low.add(nought, start_runs)
    middle = _smaller(b, b.add(low.value, width.value), n)
    high = _smaller(b, b.add(middle, width.value), n)
    b.branch_if(b.less(low.value, n), start_merge, next_pass)

    b.at(start_merge)
    b.branch(merge)
    b.at(merge)
    left, right, at = b.phi(I64), b.phi(I64), b.phi(I64)
    for phi, x in ((left, low.value), (right, middle), (at, low.value)):
        phi.add(x, start_merge)
    last = b.sub(n, one)
    safe_left, safe_right = _smaller(b, left.value, last), _smaller(b, right.value, last)
    xs = [b.load(t, b.offset(s.value, safe_left, t)) for s, t in zip(sources, lanes, strict=True)]
    ys = [b.load(t, b.offset(s.value, safe_right, t)) for s, t in zip(sources, lanes, strict=True)]
    overtakes = _precedes(b, dtypes[:keys], ys[:keys], xs[:keys])
    left_over = b.greater_equal(left.value, middle)
    right_over = b.greater_equal(right.value, high)
    take_right = b.or_(left_over, b.and_(b.not_(right_over), overtakes))
    for t, target, x, y in zip(lanes, targets, xs, ys, strict=True):
        b.store(b.select(take_right, y, x), b.offset(target.value, at.value, t))
    step = b.zext(take_right, I64)
    left.add(b.add(left.value, b.sub(one, step)), merge)
    right.add(b.add(right.value, step), merge)
    following = b.add(at.value, one)
    at.add(following, merge)
    b.branch_if(b.less(following, high), merge, next_run)

    b.at(next_run)
    low.add(high, next_run)
    b.branch(runs)

    b.at(next_pass)
    width.add(b.add(width.value, width.value), next_pass)
    for source, target in zip(sources, targets, strict=True):
        source.add(target.value, next_pass)
        target.add(source.value, next_pass)
    b.branch(passes)

    b.at(end)
    for row, source, t in zip(rows, sources, lanes, strict=True):
        nbytes = b.mul(n, constant(I64, t.bytes))
        b.call("llvm.memmove.p0.p0.i64", VOID, [row, source.value, nbytes, constant(I1, False)])
    b.ret()
    return name


def _sort(program: Any, eqn: Equation) -> None:
    """Rows along the axis are sorted where they lie in the result; rows that do not lie together
    are copied together first, and then to their places."""
    axis, keys = eqn.params["axis"], eqn.params["keys"]
    first = eqn.inputs[0]
    results = [program.allocate(v) for v in eqn.outvars]
    if first.type.size:
        order = (*(a for a in range(first.ndim) if a != axis), axis)
        if axis == first.ndim - 1:
            for x, result in zip(eqn.inputs, results, strict=True):
                program.copy(x, result)
            _sort_rows(program, results, keys)
        else:
            rows = [program.permuted_copy(x, order) for x in eqn.inputs]
            _sort_rows(program, rows, keys)
            for row, result in zip(rows, results, strict=True):
                program.move(row.permuted(inverse_order(order)), result)
    for v, result in zip(eqn.outvars, results, strict=True):
        program.settle(v, result)


def _sort_rows(program: Any, operands: Sequence[Buffer], keys: int) -> None:
    """Sort along the last axis, in place."""
    fn: Function = program.fn
    n = operands[0].shape[-1]
    scratch = [program.scratch(array_type(x.dtype, (n,))) for x in operands]
    name = sort_function(fn.module, tuple(x.dtype for x in operands), keys)

    def body(i: Value) -> None:
        offset = fn.mul(i, constant(I64, n))
        rows = [fn.offset(x.pointer, offset, x.lane) for x in operands]
        fn.call(name, VOID, [*rows, *(s.pointer for s in scratch), constant(I64, n)])

    program.repeat(math.prod(operands[0].shape) // n, body)


LOWERINGS.rows(__name__, {ops.sort: Statement(_sort)})


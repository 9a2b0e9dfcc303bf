"""Lowering of reductions, argmax and running reductions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import maximum, minimum, register_type
from tracejit.backends.native.emit import I64, Function, Value, constant
from tracejit.backends.native.index import ORIGIN, Emitted, Loop
from tracejit.backends.native.lowering import LOWERINGS, Axes, Reduction, Statement
from tracejit.backends.native.maths import MATHS
from tracejit.backends.native.nest import Buffer, Indices, Nest
from tracejit.ir.graph import Equation
from tracejit.ops import reduction as ops
from tracejit.ops import structure

Combine = Callable[[Function, np.dtype, Value, Value], Value]


def least(dtype: np.dtype) -> Any:
    """The identity of max."""
    return {"b": False, "f": -np.inf}.get(dtype.kind) if dtype.kind in "bf" else np.iinfo(dtype).min


def greatest(dtype: np.dtype) -> Any:
    """The identity of min."""
    return {"b": True, "f": np.inf}.get(dtype.kind) if dtype.kind in "bf" else np.iinfo(dtype).max


class Reduce(Reduction):
    """A reduction over `axes` of the operand."""

    def __init__(self, combine: Combine, identity: Callable[[np.dtype], Any]):
        self._combine = combine
        self._identity = identity

    def space(self, eqn: Equation) -> tuple[int, ...]:
        return eqn.inputs[0].shape

    def reduced(self, eqn: Equation) -> tuple[int, ...]:
        return eqn.params["axes"]

    def operands(self, eqn: Equation) -> list[tuple[Any, Axes]]:
        return [(eqn.inputs[0], tuple(range(eqn.inputs[0].ndim)))]

    def element(self, nest: Nest, eqn: Equation, index: Indices) -> tuple[Emitted, ...]:
        return (nest.value(eqn.inputs[0], index),)

    def combine(self, b: Function, dtype: np.dtype, total: Value, *element: Value) -> Value:
        return self._combine(b, dtype, total, *element)

    def identity(self, dtype: np.dtype) -> Any:
        return self._identity(dtype)


def _method(name: str) -> Combine:
    return lambda b, dtype, x, y: getattr(b, name)(x, y)


_ADD, _MUL = _method("add"), _method("mul")

LOWERINGS.rows(
    __name__,
    {
        structure.reduce_sum: Reduce(_ADD, lambda dtype: 0),
        ops.reduce_prod: Reduce(_MUL, lambda dtype: 1),
        ops.reduce_max: Reduce(maximum, least),
        ops.reduce_min: Reduce(minimum, greatest),
        ops.reduce_and: Reduce(_method("and_"), lambda dtype: True if dtype.kind == "b" else -1),
        ops.reduce_or: Reduce(_method("or_"), lambda dtype: 0),
        ops.reduce_xor: Reduce(_method("xor"), lambda dtype: 0),
    },
)

# argmax, argmin: the best so far and where it was.


def _line_nest(program: Any, shape: tuple[int, ...], axis: int) -> tuple[Nest, Indices, int]:
    """A nest whose inner loop runs along an axis, its index, and the depth around that loop."""
    loops = [Loop(n) for n in shape]
    outer = [loop for a, loop in enumerate(loops) if a != axis]
    nest = Nest(program, [*outer, loops[axis]])
    return nest, nest.index_of(loops), sum(loop.extent > 1 for loop in outer)


def _is_ahead(fn: Function, dtype: np.dtype, better: str, value: Value, best: Value) -> Value:
    """Whether a value takes the place of the best so far; the first NaN does, for good."""
    ahead = getattr(fn, better)(value, best, signed=dtype.kind in "if")
    if dtype.kind != "f":
        return ahead
    ahead = fn.or_(ahead, fn.is_nan(value))
    return fn.and_(ahead, fn.not_(fn.is_nan(best)))


def _argument(better: str) -> Statement:
    def emit(program: Any, eqn: Equation) -> None:
        (x,), (out,) = eqn.inputs, eqn.outvars
        axis, dtype = eqn.params["axis"], eqn.params["dtype"]
        result = program.allocate(out)
        if x.type.size:
            _argument_nest(program, x, axis, dtype, result)
        program.settle(out, result)

    def _argument_nest(program: Any, x: Any, axis: int, dtype: np.dtype, result: Buffer) -> None:
        nest, index, outside = _line_nest(program, x.shape, axis)
        fn, carried = nest.fn, nest.carried

        def enter(depth: int) -> None:
            if depth == outside:
                start = (*index[:axis], ORIGIN, *index[axis + 1 :])
                carried["best"] = nest.value(x, start).value
                carried["at"] = constant(I64, 0)

        def body() -> None:
            value, at = nest.value(x, index).value, nest.position(index[axis]).value
            ahead = _is_ahead(fn, x.dtype, better, value, carried["best"])
            carried["best"] = fn.select(ahead, value, carried["best"])
            carried["at"] = fn.select(ahead, at, carried["at"])

        def leave(depth: int) -> None:
            if depth == outside:
                carried.pop("best")
                at = fn.truncate(carried.pop("at"), register_type(dtype))
                where = (*index[:axis], *index[axis + 1 :])
                nest.store(result, where, Emitted(at, nest.depth, None))

        nest.run(body, enter=enter, leave=leave)

    return Statement(emit, stored=lambda eqn: ())


LOWERINGS.rows(__name__, {ops.argmax: _argument("greater"), ops.argmin: _argument("less")})

# Running reductions: the loop along the axis is inside, the total is carried.


def _log_add(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """log(exp(x) + exp(y)), from the larger, so that nothing overflows."""
    top = maximum(b, dtype, x, y)
    low = minimum(b, dtype, x, y)
    same = b.equal(top, low)  # both infinite, or simply equal
    gap = b.select(same, b.like(x, 0.0), b.sub(low, top))
    return b.add(top, MATHS["log1p"](b, MATHS["exp"](b, gap)))


def _running(combine: Combine, identity: Callable[[np.dtype], Any]) -> Statement:
    def emit(program: Any, eqn: Equation) -> None:
        (x,), (out,) = eqn.inputs, eqn.outvars
        result = program.allocate(out)
        if x.type.size:
            _running_nest(program, x, eqn.params["axis"], eqn.params["reverse"], result)
        program.settle(out, result)

    def _running_nest(program: Any, x: Any, axis: int, reverse: bool, result: Buffer) -> None:
        nest, index, outside = _line_nest(program, x.shape, axis)
        if reverse:
            turned = index[axis].scale(-1).shift(x.shape[axis] - 1)
            index = (*index[:axis], turned, *index[axis + 1 :])

        def enter(depth: int) -> None:
            if depth == outside:
                nest.carried["total"] = constant(register_type(x.dtype), identity(x.dtype))

        def body() -> None:
            value = nest.value(x, index).value
            total = combine(nest.fn, x.dtype, nest.carried["total"], value)
            nest.carried["total"] = total
            nest.store(result, index, Emitted(total, nest.depth, None))

        def leave(depth: int) -> None:
            if depth == outside:
                nest.carried.pop("total")

        nest.run(body, enter=enter, leave=leave)

    return Statement(emit, stored=lambda eqn: ())


LOWERINGS.rows(
    __name__,
    {
        ops.cumsum: _running(_ADD, lambda dtype: 0),
        ops.cumprod: _running(_MUL, lambda dtype: 1),
        ops.cummax: _running(maximum, least),
        ops.cummin: _running(minimum, greatest),
        ops.cumlogsumexp: _running(_log_add, lambda dtype: -np.inf),
    },
)

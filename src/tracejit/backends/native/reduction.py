"""Lowering of reductions, running reductions and sort."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.backends.native.elementwise import maximum, minimum, register_type
from tracejit.backends.native.emit import I64, Function, Value, constant
from tracejit.backends.native.index import Emitted, Loop
from tracejit.backends.native.lowering import LOWERINGS, Axes, Reduction, Statement
from tracejit.backends.native.maths import MATHS
from tracejit.backends.native.nest import Indices, Nest
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


def _argument(better: str) -> Statement:
    def emit(program: Any, eqn: Equation) -> None:
        (x,), (out,) = eqn.inputs, eqn.outvars
        axis, dtype = eqn.params["axis"], eqn.params["dtype"]
        result = program.allocate(out)
        loops = [Loop(n) for n in x.shape]
        order = [loop for a, loop in enumerate(loops) if a != axis] + [loops[axis]]
        nest = Nest(program, order)
        fn, index = nest.fn, nest.index_of(loops)
        outside = max([n.depth for n in order[:-1] if n.extent > 1], default=0)
        signed = x.dtype.kind in "if"

        def enter(depth: int) -> None:
            if depth == outside:
                start = tuple(i if a != axis else type(i)() for a, i in enumerate(index))
                nest.carried["best"] = nest.value(x, start).value
                nest.carried["at"] = constant(I64, 0)

        def body() -> None:
            value, at = nest.value(x, index).value, nest.position(index[axis]).value
            best = nest.carried["best"]
            if x.dtype.kind == "b":
                ahead = fn.and_(value, fn.not_(best)) if better == "greater" else fn.and_(
                    fn.not_(value), best)  # fmt: skip
            else:
                ahead = getattr(fn, better)(value, best, signed=signed)
            if x.dtype.kind == "f":
                ahead = fn.or_(ahead, fn.and_(fn.is_nan(value), fn.not_(fn.is_nan(best))))
                ahead = fn.and_(ahead, fn.not_(fn.is_nan(best)))
            nest.carried["best"] = fn.select(ahead, value, best)
            nest.carried["at"] = fn.select(ahead, at, nest.carried["at"])

        def leave(depth: int) -> None:
            if depth == outside:
                nest.carried.pop("best")
                at = fn.truncate(nest.carried.pop("at"), register_type(dtype))
                where = tuple(i for a, i in enumerate(index) if a != axis)
                nest.store(result, where, Emitted(at, nest.depth, None))

        nest.run(body, enter=enter, leave=leave)
        program.settle(out, result)

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
        axis, reverse = eqn.params["axis"], eqn.params["reverse"]
        result = program.allocate(out)
        if x.type.size:
            loops = [Loop(n) for n in x.shape]
            order = [loop for a, loop in enumerate(loops) if a != axis] + [loops[axis]]
            nest = Nest(program, order)
            index = list(nest.index_of(loops))
            if reverse:
                index[axis] = index[axis].scale(-1).shift(x.shape[axis] - 1)
            outside = max([n.depth for n in order[:-1] if n.extent > 1], default=0)

            def enter(depth: int) -> None:
                if depth == outside:
                    start = constant(register_type(x.dtype), identity(x.dtype))
                    nest.carried["total"] = start

            def body() -> None:
                value = nest.value(x, tuple(index)).value
                total = combine(nest.fn, x.dtype, nest.carried["total"], value)
                nest.carried["total"] = total
                nest.store(result, tuple(index), Emitted(total, nest.depth, None))

            def leave(depth: int) -> None:
                if depth == outside:
                    nest.carried.pop("total")

            nest.run(body, enter=enter, leave=leave)
        program.settle(out, result)

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

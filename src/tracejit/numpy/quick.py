"""The common calls, at a third of the cost: what long traces consist of.

`x + y`, `2.0 * x`, `x < y`, np.sin(x) of what is of the current trace, floats of one dtype and of
one shape or rank 0, and Python numbers; x[i, j] for ints that give a number. Anything else takes
the general way, which gives the same equations.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.current import stack
from tracejit.ir.graph import Equation
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import FLOATS, ArrayType, array_type
from tracejit.numpy.ufunc import Ufunc
from tracejit.ops import elementwise as ops
from tracejit.ops.structure import broadcast, reshape
from tracejit.ops.structure import slice as slice_primitive
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Trace, Tracer

Params = dict[str, Any]

_new = tuple.__new__  # past the constructor of named tuples

#: Literals that came up lately. Zeros are not kept: 0.0 == -0.0.
_literals: dict[tuple[Any, type, int], Literal] = {}
_REMEMBERED = 4096


def literal(number: float, type: ArrayType) -> Literal:
    """The literal of a number; mostly one that was there already."""
    key = number, number.__class__, id(type)
    known = _literals.get(key)
    if known is not None and known.type is type:
        return known
    if len(_literals) >= _REMEMBERED:
        _literals.clear()
    made = Literal(number, type)
    if number:
        _literals[key] = made
    return made


def _bound(
    trace: Trace, primitive: Primitive, inputs: tuple[Atom, ...], type: ArrayType, params: Params
) -> Tracer:
    """An equation of one result, three calls below the user's code, or more."""
    var = Var(type)
    fields = primitive, inputs, params, (var,), user_frame(4)
    trace.equations.append(_new(Equation, fields))
    return Tracer(trace, var)


def quick_unary(primitive: Primitive, x: Any) -> Tracer | None:
    """The result for a float; None where the general way is to be taken."""
    if x.__class__ is Tracer:
        trace, atom = x.owner, x.atom
        sinks, type = stack.sinks, atom.type
        if type.dtype in FLOATS and sinks and sinks[-1] is trace:
            return _bound(trace, primitive, (atom,), primitive.result_type(type, 1), {})
    return None


def quick_binary(primitive: Primitive, x: Any, y: Any) -> Tracer | None:
    """The result for floats of one dtype, or one and a number; None for the general way."""
    known = x if x.__class__ is Tracer else y
    if known.__class__ is not Tracer:
        return None
    trace, type, sinks = known.owner, known.atom.type, stack.sinks
    if type.dtype not in FLOATS or not sinks or sinks[-1] is not trace:
        return None
    if x.__class__ is not Tracer:
        if x.__class__ is not float and x.__class__ is not int:
            return None
        inputs: tuple[Atom, Atom] = literal(x, type), y.atom
    elif y.__class__ is not Tracer:
        if y.__class__ is not float and y.__class__ is not int:
            return None
        inputs = x.atom, literal(y, type)
    elif y.owner is not trace:
        return None
    elif y.atom.type is type:
        inputs = x.atom, y.atom
    else:
        return _of_number_and_array(trace, primitive, x.atom, y.atom)
    return _bound(trace, primitive, inputs, primitive.result_type(type, 2), {})


def _of_number_and_array(trace: Trace, primitive: Primitive, x: Atom, y: Atom) -> Tracer | None:
    """One of the operands is of rank 0."""
    number, array = (y, x) if x.type.shape else (x, y)
    type = array.type
    if number.type.shape or not type.shape or number.type.dtype is not type.dtype:
        return None
    if number.__class__ is Literal:
        many: Atom = Literal(number.value, type)  # type: ignore[attr-defined]
    else:
        many = _bound(trace, broadcast, (number,), type, {"shape": type.shape, "dims": ()}).atom
    inputs = (x, many) if number is y else (many, y)
    return _bound(trace, primitive, inputs, primitive.result_type(type, 2), {})


def quick_element(x: Any, index: Any) -> Tracer | None:
    """x[i] or x[i, j, ...] for ints, if that is a number; None for the general way."""
    sinks = stack.sinks
    if x.__class__ is not Tracer or not sinks or sinks[-1] is not x.owner:
        return None
    places = index if index.__class__ is tuple else (index,)
    type = x.atom.type
    shape = type.shape
    if len(places) != len(shape):
        return None
    start = []
    for i, n in zip(places, shape, strict=True):
        if i.__class__ is not int or not -n <= i < n:
            return None
        start.append(i if i >= 0 else i + n)
    if type.size == 1 or x.atom.__class__ is Literal:
        return None
    ones = (1,) * len(start)
    params = {"start": tuple(start), "limit": tuple([i + 1 for i in start]), "stride": ones}
    window = _bound(x.owner, slice_primitive, (x.atom,), type.with_shape(ones), params)
    number = array_type(type.dtype)
    return _bound(x.owner, reshape, (window.atom,), number, {"shape": ()})


def _operator(primitive: Primitive, general: Callable[..., Any], swap: bool = False) -> Any:
    """A binary operator. Of Python numbers alone the result stays one, as in the general way."""
    stays = primitive not in _ANSWERS

    def operator(x: Tracer, y: Any) -> Any:
        result = quick_binary(primitive, y, x) if swap else quick_binary(primitive, x, y)
        if result is None:
            return general(x, y)
        if x.weak and stays and (y.__class__ is not Tracer or y.weak):
            result.weak = True
        return result

    return operator


#: What gives bools.
_ANSWERS = frozenset({ops.eq, ops.ne, ops.lt, ops.le, ops.gt, ops.ge})


def lend(operators: Mapping[str, Ufunc]) -> None:
    """Give tracers the short way: `operators` says what the methods __name__ compute."""
    for name, ours in operators.items():
        primitive = getattr(ours.body, "floats", None)
        for swap in (False, True):
            method = f"__{'r' * swap}{name}__"
            if primitive is not None and hasattr(Tracer, method):
                general = getattr(Tracer, method)
                setattr(Tracer, method, _operator(primitive, general, swap))
    Tracer.__getitem__ = _getitem(Tracer.__getitem__)  # type: ignore
    Tracer.__array_ufunc__ = _array_ufunc(Tracer.__array_ufunc__)  # type: ignore[method-assign]


def _getitem(general: Callable[..., Any]) -> Callable[..., Any]:
    def getitem(x: Tracer, index: Any) -> Any:
        found = quick_element(x, index)
        return general(x, index) if found is None else found

    return getitem


def _array_ufunc(general: Callable[..., Any]) -> Callable[..., Any]:
    table: dict[Any, Primitive] = {
        getattr(np, name): ours.body.floats  # type: ignore[attr-defined]
        for name, ours in Ufunc.registry.items()
        if hasattr(ours.body, "floats")
    }

    def array_ufunc(self: Tracer, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        primitive = table.get(ufunc)
        if primitive is not None and not options and method == "__call__":
            short = quick_unary if len(inputs) == 1 else quick_binary
            result = short(primitive, *inputs)
            if result is not None:
                return result
        return general(self, ufunc, method, *inputs, **options)

    return array_ufunc

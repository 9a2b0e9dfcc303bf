"""What tracers answer to: Python's operators, NumPy's methods and protocols."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable
from math import inf
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np

from tracejit.errors import UnsupportedError
from tracejit.ir.types import BOOL, FLOAT64
from tracejit.numpy import (
    choosing,
    contraction,
    creation,
    indexing,
    mutation,
    quick,
    reductions,
    shaping,
    sorting,
    ufuncs,
)
from tracejit.numpy.arrays import (
    TRACERS,
    Array,
    convert,
    copied,
    fault,
    reshape_to,
    shape_argument,
    value,
    write,
)
from tracejit.numpy.promotion import is_weak
from tracejit.numpy.sparse import or_sparse
from tracejit.numpy.ufunc import Ufunc
from tracejit.numpy.windows import access, functions, writing
from tracejit.numpy.windows.affine import affine
from tracejit.numpy.windows.proofs import is_zero_once
from tracejit.numpy.windows.windowed import Windowed
from tracejit.trace.tracer import Tracer, current_trace

#: NumPy's function -> ours; filled by the package when all of its names are there.
FUNCTIONS: dict[Any, Callable[..., Any]] = {}


# Operators


def _is_operand(x: Any) -> bool:
    if isinstance(x, Windowed):
        return False  # it has operators of its own
    return isinstance(x, (Tracer, int, float, complex, list)) or hasattr(x, "__array__")


def _operator(body: Callable[..., Any], swap: bool = False) -> Callable[..., Any]:
    """x op y as NumPy has it for numbers: the result of Python numbers alone stays weak."""

    def apply(x: Any, *rest: Any) -> Any:
        if rest and not isinstance(rest[0], (Tracer, int, float, complex)):
            if not _is_operand(rest[0]):
                return NotImplemented
            rest = (value(rest[0]),)
        result = body(*rest, x) if swap else body(x, *rest)
        if x.weak and type(result) in TRACERS and result.dtype != BOOL and all(map(is_weak, rest)):
            result.weak = True
        return copied(result) if result is x else result

    return apply


def _in_place_operator(
    function: Ufunc, body: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """x op= y: written into x, an array, by NumPy's rule of what dtypes that allows.

    A number (rank 0) is a value, of which x becomes another one.
    """
    operator, name = _operator(body or function.body), f"{function.__name__} in place"

    def apply(x: Any, y: Any) -> Any:
        result = operator(x, y)
        return result if result is NotImplemented or not x.ndim else write(x, result, name)

    return apply


def _power(x: Any, y: Any, modulo: None = None) -> Array:
    """x ** y; of two Python integers a float where the exponent may be negative, as in Python."""
    if is_weak(x) and is_weak(y) and isinstance(y, Tracer) and y.dtype.kind in "iu":
        low, high = affine(y).range
        if -inf < low < 0:
            x, y = (convert(value(z), FLOAT64) for z in (x, y))
        elif high < inf and not isinstance(x, Tracer) and abs(x) ** high >= 2**63:
            y.differs_each_round("a power that no int64 holds")
    return ufuncs.power.body(x, y)


def _not_of_lists(times: Callable[..., Any]) -> Callable[..., Any]:
    """x * y, but for [a, b] * 3, which Python does."""

    def apply(x: Any, y: Any) -> Any:
        if type(y) is list and x.weak and not x.ndim and x.dtype.kind in "iu":
            return NotImplemented
        return times(x, y)

    return apply


def _of_numbers(divide: Callable[..., Any]) -> Callable[..., Any]:
    """x / y, which of two Python integers is an error where y is zero: in some round of a loop
    that is traced once, which has to come to it."""

    def apply(x: Any, y: Any) -> Any:
        if is_weak(x) and is_weak(y) and isinstance(y, Tracer) and y.dtype.kind in "iu":
            trace = current_trace()
            if trace is not None and is_zero_once(y):
                trace.beyond = "division by zero"
        return divide(x, y)

    return apply


_BINARY = {
    "add": ufuncs.add, "sub": ufuncs.subtract, "mul": ufuncs.multiply,
    "truediv": ufuncs.divide, "floordiv": ufuncs.floor_divide, "mod": ufuncs.remainder,
    "divmod": ufuncs.divmod, "pow": ufuncs.power, "matmul": contraction.matmul,
    "and": ufuncs.bitwise_and, "or": ufuncs.bitwise_or, "xor": ufuncs.bitwise_xor,
    "lshift": ufuncs.left_shift, "rshift": ufuncs.right_shift,
}  # fmt: skip
_COMPARING = {
    "eq": ufuncs.equal, "ne": ufuncs.not_equal, "lt": ufuncs.less,
    "le": ufuncs.less_equal, "gt": ufuncs.greater, "ge": ufuncs.greater_equal,
}  # fmt: skip
_UNARY = {
    "neg": ufuncs.negative, "pos": ufuncs.positive, "abs": ufuncs.absolute,
    "invert": ufuncs.invert, "floor": ufuncs.floor, "ceil": ufuncs.ceil, "trunc": ufuncs.trunc,
}  # fmt: skip


def _round(x: Tracer, ndigits: int | None = None) -> Array:
    return choosing.round(x, ndigits or 0)


# Methods


def _reshape(x: Tracer, *shape: Any, order: str = "C", copy: bool | None = None) -> Array:
    target = shape[0] if len(shape) == 1 else shape_argument(shape)
    return shaping.reshape(x, target, order, copy=copy)


def _transpose(x: Tracer, *axes: Any) -> Array:
    if len(axes) == 1 and (axes[0] is None or isinstance(axes[0], (tuple, list))):
        return shaping.transpose(x, axes[0])
    return shaping.transpose(x, axes or None)


def _astype(
    x: Tracer, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True,
    copy: bool = True,
) -> Array:  # fmt: skip
    return creation.astype(x, dtype, copy=copy)


def _flatten(x: Tracer, order: str = "C") -> Array:
    return copied(shaping.ravel(x, order))


def _compress(x: Tracer, condition: Any, axis: int | None = None, out: Array = None) -> Array:
    return indexing.compress(condition, x, axis, out)


def _clip(x: Tracer, min: Any = None, max: Any = None, out: Array = None, **limits: Any) -> Array:
    return choosing.clip(x, min, max, out, **limits)


_METHODS = {
    name: getattr(room, name)
    for room, names in (
        (reductions, "all any argmax argmin cumprod cumsum max mean min prod ptp std sum var"),
        (shaping, "ravel repeat squeeze swapaxes"),
        (choosing, "nonzero round"),
        (indexing, "take"),
        (contraction, "diagonal dot trace"),
        (ufuncs, "conj conjugate"),
        (sorting, "argsort searchsorted"),
    )
    for name in names.split()
} | {
    "reshape": _reshape, "transpose": _transpose, "astype": _astype, "compress": _compress,
    "clip": _clip, "flatten": _flatten, "copy": copied,
    "fill": mutation.fill, "sort": mutation.sort, "partition": mutation.partition,
    "put": mutation.put, "resize": mutation.resize, "itemset": mutation.itemset,
}  # fmt: skip


_PROPERTIES = {
    "T": shaping.transpose, "mT": shaping.matrix_transpose, "at": writing.At,
    "flat": shaping.flat, "real": choosing.real, "imag": choosing.imag,
}  # fmt: skip


# Protocols


def ufunc(ufunc: Any, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.<ufunc>(...) or np.<ufunc>.<method>(...) with a tracer among the operands."""
    if any(type(x) is Windowed for x in inputs):
        return NotImplemented  # windows answer
    if not hasattr(np, ufunc.__name__):
        return _special(ufunc.__name__, method, inputs, kwargs)
    ours = Ufunc.registry.get(ufunc.__name__)
    if ours is None:
        raise _unknown(ufunc.__name__)
    if method != "__call__" and "out" in kwargs:
        (kwargs["out"],) = kwargs["out"]
    return getattr(ours, method)(*inputs, **kwargs)


def _special(name: str, method: str, inputs: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """A ufunc that is not NumPy's: one of scipy.special by its name."""
    module = importlib.import_module("tracejit.scipy.special")  # it is made of this package
    ours = getattr(module, name) if name in module.__all__ else None
    if ours is None or method != "__call__" or kwargs:
        raise fault(
            UnsupportedError, f"the ufunc {name} has no counterpart for traced values",
            "of SciPy's there are those in dir(tracejit.scipy.special)",
        )  # fmt: skip
    return ours(*inputs)


def function(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """np.<function>(...) with a tracer among the arguments."""
    if any(type(x) is Windowed for x in args):
        return NotImplemented
    ours = FUNCTIONS.get(func)
    if ours is None:
        raise _unknown(func.__name__, getattr(func, "__module__", "numpy") or "numpy")
    return ours(*args, **kwargs)


def _unknown(name: str, module: str = "numpy") -> Exception:
    what = f"{module}.{name} has no counterpart for traced values"
    return fault(
        UnsupportedError, what, "compute it outside; docs/numpy.md says what there is"
    )


def answer_for(module: ModuleType, rooms: Iterable[ModuleType]) -> None:
    """Answer NumPy's functions by those of the same names in our rooms."""
    for room in rooms:
        for name in room.__all__:
            theirs = getattr(module, name, None)
            if callable(theirs) and hasattr(theirs, "__wrapped__"):
                FUNCTIONS[theirs] = getattr(room, name)


def namespace() -> ModuleType:
    """The Array API's name for `tracejit.numpy`."""
    return sys.modules[__name__.rpartition(".")[0]]


def _divisions() -> dict[str, Any]:
    """The operators that divide."""
    table: dict[str, Any] = {}
    for name in ("truediv", "floordiv", "mod", "divmod"):
        body = _of_numbers(_BINARY[name].body)
        table |= {f"__{name}__": _operator(body), f"__r{name}__": _operator(body, swap=True)}
    return table


def lend() -> None:
    """Give tracers their operators, methods and protocols."""
    table: dict[str, Any] = {f"__{k}__": _operator(v.body) for k, v in _BINARY.items()}
    table |= {f"__r{k}__": _operator(v.body, swap=True) for k, v in _BINARY.items()}
    table |= {f"__{k}__": _operator(v.body) for k, v in (_COMPARING | _UNARY).items()}
    table |= {f"__i{k}__": _in_place_operator(v) for k, v in _BINARY.items()}
    table["__matmul__"] = or_sparse(table["__matmul__"])
    table["__rmatmul__"] = or_sparse(table["__rmatmul__"], swap=True)
    table |= {
        "__round__": _round, "__getitem__": access.getitem, "__setitem__": writing.setitem,
        "__mul__": _not_of_lists(table["__mul__"]), "__rmul__": _not_of_lists(table["__rmul__"]),
        "__rpow__": _operator(_power, swap=True),
        **_divisions(),
        "__pow__": _operator(_power), "__ipow__": _in_place_operator(ufuncs.power, _power),
        "ufunc": ufunc, "function": function, "namespace": namespace,
        "reshape_to": reshape_to, "set_shape": shaping.set_shape,
    }  # fmt: skip
    functions.lend()
    Tracer.operators = SimpleNamespace(**table, **_METHODS, **_PROPERTIES)
    quick.lend(_BINARY | _COMPARING)


lend()

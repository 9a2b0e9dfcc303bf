"""The doubles of NumPy's and Python's names that traced code sees: see `tracejit.trace.world`."""

from __future__ import annotations

import builtins
import functools
import operator
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from tracejit.control import rolled_while  # noqa: F401  (answers what `while` asks)
from tracejit.control.rolled_for import Rolled
from tracejit.ir.types import FLOAT0, FLOAT64, INT64
from tracejit.numpy import choosing, creation, seeming
from tracejit.numpy.arrays import convert, splat
from tracejit.numpy.windows.proofs import known_truth, range_of
from tracejit.ops import elementwise, structure
from tracejit.trace import world
from tracejit.trace.bytecode import feeds_for, iterates
from tracejit.trace.retrace import WRITES
from tracejit.trace.tracer import Tracer, bind, current_trace, is_traced


def _numpys(name: str, ours: Callable[..., Any]) -> Callable[..., Any]:
    """NumPy's function of that name outside of traces, `ours` within."""
    theirs = getattr(np, name)

    @functools.wraps(theirs, updated=())
    def double(*args: Any, **kwargs: Any) -> Any:
        is_theirs = current_trace() is None or any(map(_is_no_number, (kwargs.get("dtype"), *args)))
        return (theirs if is_theirs else ours)(*args, **kwargs)

    return double


def _is_no_number(x: Any) -> bool:
    """Whether an argument is a dtype of arrays that are never traced: of objects, or float0."""
    return x is object or (isinstance(x, np.dtype) and x == FLOAT0)


# Arrays that are written to.


def _zeros(shape: Any, dtype: Any = float, order: Any = "C", **_: Any) -> Any:
    return creation.zeros(shape, FLOAT64 if dtype is None else dtype)


def _ones(shape: Any, dtype: Any = None, order: Any = "C", **_: Any) -> Any:
    return creation.ones(shape, FLOAT64 if dtype is None else dtype)


def _full(shape: Any, fill_value: Any, dtype: Any = None, order: Any = "C", **_: Any) -> Any:
    if dtype is None and not is_traced(fill_value):
        dtype = np.asarray(fill_value).dtype
    return creation.full(shape, fill_value, dtype)


def _eye(
    N: int, M: int | None = None, k: int = 0, dtype: Any = float, order: Any = "C", **_: Any
) -> Any:
    trace = current_trace()
    assert trace is not None
    shape = (operator.index(N), operator.index(N if M is None else M))
    params = {"dtype": INT64, "shape": shape}
    row, column = (
        Tracer(trace, trace.emit(structure.iota, (), {**params, "axis": axis})[0])
        for axis in (0, 1)
    )
    ones = bind(elementwise.eq, bind(elementwise.add, row, splat(k, INT64, shape)), column)
    return convert(ones, np.dtype(FLOAT64 if dtype is None else dtype))


def _known(name: str) -> Callable[..., Any]:
    """An array of known numbers: NumPy's own, unless the function writes traced values into one."""
    theirs, ours = getattr(np, name), getattr(creation, name)

    def known(*args: Any, **kwargs: Any) -> Any:
        trace = current_trace()
        assert trace is not None
        if is_traced(*args) or _holds_traced(args):
            return ours(*args, **kwargs)
        made = theirs(*args, **kwargs)
        if WRITES not in trace.root.unrolled:
            return made
        return Tracer(trace, trace.lift(made))

    return known


def _holds_traced(args: tuple[Any, ...]) -> bool:
    """Whether there are traced values in a nested sequence."""
    pending = [x for x in args[:1] if isinstance(x, (list, tuple))]
    while pending:
        for x in pending.pop():
            if isinstance(x, Tracer):
                return True
            if isinstance(x, (list, tuple)):
                pending.append(x)
    return False


class _ArrayType(type):
    """`np.ndarray`: makes arrays; traced values are its instances."""

    def __instancecheck__(cls, x: Any) -> bool:
        is_number = isinstance(x, Tracer) and not x.ndim and x.weak
        return isinstance(x, (np.ndarray, Tracer)) and not is_number

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, (np.ndarray, Tracer))

    def __call__(cls, shape: Any, dtype: Any = float, *args: Any, **kwargs: Any) -> Any:
        if current_trace() is None or args or kwargs:
            return np.ndarray(shape, dtype, *args, **kwargs)
        return _zeros(shape, dtype)

    def __getattr__(cls, name: str) -> Any:
        return getattr(np.ndarray, name)


class ndarray(metaclass=_ArrayType):
    """The double of `np.ndarray`."""


class Namespace(ModuleType):
    """The double of the module numpy: NumPy's names, but for those that make arrays."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def __dir__(self) -> list[str]:
        return dir(np)


# Python's own.


def _better(name: str, wins: Callable[[Any, Any], Any]) -> Callable[..., Any]:
    """max or min: of traced values as Python would find it, comparing one after the other."""
    theirs = getattr(builtins, name)

    @functools.wraps(theirs)
    def double(*args: Any, **kwargs: Any) -> Any:
        if current_trace() is None or kwargs:
            return theirs(*args, **kwargs)
        values = list(args[0]) if len(args) == 1 else args
        if not is_traced(*values) or any(np.ndim(x) for x in values):
            return theirs(values)
        best = values[0]
        for x in values[1:]:
            best = choosing.where(wins(x, best), x, best)
        return best

    return double


class _RangeType(type):
    """`range`: what a `for` statement runs over may be traced once."""

    def __instancecheck__(cls, x: Any) -> bool:
        return isinstance(x, builtins.range)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, builtins.range)

    def __call__(cls, *args: Any) -> Any:
        return rolled_range(args, sys._getframe(1), always=False)

    def __getattr__(cls, name: str) -> Any:
        return getattr(builtins.range, name)


class range(metaclass=_RangeType):
    """The double of `range`."""


def rolled_range(args: tuple[Any, ...], frame: Any, *, always: bool) -> Any:
    """What a `for` statement in this frame runs over; a plain range for everything else."""
    trace = current_trace()
    if trace is None or trace.is_tape or not 0 < len(args) < 4:
        return builtins.range(*args)
    if not feeds_for(frame.f_code, frame.f_lasti) or (len(args) == 3 and is_traced(args[2])):
        return builtins.range(*args)
    start, stop = (0, args[0]) if len(args) == 1 else args[:2]
    step = operator.index(args[2]) if len(args) == 3 else 1
    bounds = [x if _is_traced_integer(x) else operator.index(x) for x in (start, stop)]
    if step == 0:
        return builtins.range(*args)
    return Rolled(bounds[0], bounds[1], step, always=always)


def _is_traced_integer(x: Any) -> bool:
    return isinstance(x, Tracer) and x.ndim == 0 and x.dtype.kind in "iu" and (
        x.owner.value_of(x.atom) is None
    )


def rows(x: Any, frame: Any) -> Any:
    """What iteration over a traced array gives: its rows, for a `for` statement perhaps one."""
    trace = current_trace()
    if trace is None or trace.is_tape or not iterates(frame.f_code, frame.f_lasti):
        return iter([x[i] for i in builtins.range(x.shape[0])])
    return Rolled(0, x.shape[0], element=lambda i: x[i])


def lend() -> None:
    """Register all doubles, and what traced values ask for."""
    doubles: dict[str, Any] = {
        "zeros": _zeros, "empty": _zeros, "ones": _ones, "full": _full, "eye": _eye,
        "identity": lambda n, dtype=None, **_: _eye(n, dtype=dtype),
        "zeros_like": creation.zeros_like, "ones_like": creation.ones_like,
        "empty_like": creation.empty_like, "full_like": creation.full_like,
        "array": _known("array"), "arange": _known("arange"), "linspace": _known("linspace"),
        "copy": _known("copy"), "asarray": _known("asarray"), "isscalar": seeming.isscalar,
    }  # fmt: skip
    namespace = Namespace("numpy", np.__doc__)
    for name, ours in doubles.items():
        double = _numpys(name, ours)
        setattr(namespace, name, double)
        world.register(getattr(np, name), double)
    namespace.ndarray = ndarray  # type: ignore[attr-defined]
    world.register(np, namespace)
    world.register_builtin("range", range)
    world.register_builtin("max", _better("max", lambda x, best: x > best))
    world.register_builtin("min", _better("min", lambda x, best: x < best))
    world.register_builtin("isinstance", seeming.isinstance_)
    world.register_builtin("hasattr", seeming.hasattr_)
    world.register_builtin("type", seeming.type_)
    Tracer.operators.known_truth = known_truth
    Tracer.operators.range_of = range_of
    Tracer.operators.rows = rows

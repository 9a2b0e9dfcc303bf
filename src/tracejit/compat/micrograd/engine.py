"""micrograd: numbers that remember what computed them.

    from tracejit.compat.micrograd.engine import Value
    a, b = Value(2.0), Value(-3.0)
    y = (a * b + 10.0).tanh()
    y.backward()                       a.grad, b.grad: of y
    f = y.compile(a, b)                the same computation as a native function of two numbers

`backward` walks over Python floats, as micrograd does: an operation costs a microsecond, which is
less than any program of single numbers takes to be made. What is to be fast is `compile`d: then the
operations are put together in the recording that all doors share (`graph.py`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from itertools import count
from typing import Any, NamedTuple

import numpy as np

from tracejit.api.jit import jit
from tracejit.compat.graph import Cell, Handle, cut, known
from tracejit.compat.recorder import Recorder
from tracejit.errors import ArgumentError
from tracejit.nn import relu
from tracejit.numpy import ufuncs
from tracejit.trace.provenance import user_frame

_RECORDER = Recorder("float64")
_serials = count()


class _Rule(NamedTuple):
    """An operation: as a function of arrays, of floats, and its derivatives as functions of the
    operands and the result."""

    function: Callable[..., Any]
    value: Callable[..., float]
    slopes: tuple[Callable[..., float], ...]

    def of(self, *xs: float) -> float:
        """The value: NumPy's where Python raises an error (1 / 0, log(-1), exp(1000))."""
        try:
            return self.value(*xs)
        except (ArithmeticError, ValueError):
            with np.errstate(all="ignore"):
                return float(self.function(*map(np.float64, xs)))

    def slope(self, place: int, *xs: float) -> float:
        """The derivative with respect to an operand; with infinities where Python raises errors."""
        try:
            return self.slopes[place](*xs)
        except (ArithmeticError, ValueError):
            with np.errstate(all="ignore"):
                return float(self.slopes[place](*map(np.float64, xs)))


def _by_exponent(x: float, y: float, z: float) -> float:
    """The derivative of z = x^y by y: z log x, and 0 at x = 0."""
    return z * math.log(x) if x > 0 else (0.0 if x == 0 else math.nan)


_ADD = _Rule(ufuncs.add, operator.add, (lambda x, y, z: 1.0, lambda x, y, z: 1.0))
_SUB = _Rule(ufuncs.subtract, operator.sub, (lambda x, y, z: 1.0, lambda x, y, z: -1.0))
_MUL = _Rule(ufuncs.multiply, operator.mul, (lambda x, y, z: y, lambda x, y, z: x))
_DIV = _Rule(ufuncs.divide, operator.truediv, (lambda x, y, z: 1.0 / y, lambda x, y, z: -z / y))
_POW = _Rule(
    ufuncs.power, math.pow, (lambda x, y, z: y * x ** (y - 1.0) if y else 0.0, _by_exponent)
)
_NEG = _Rule(ufuncs.negative, operator.neg, (lambda x, z: -1.0,))
_RELU = _Rule(relu, lambda x: x if x > 0 else 0.0 * x, (lambda x, z: 1.0 if x > 0 else 0.0,))
_TANH = _Rule(ufuncs.tanh, math.tanh, (lambda x, z: 1.0 - z * z,))
_EXP = _Rule(ufuncs.exp, math.exp, (lambda x, z: z,))
_LOG = _Rule(ufuncs.log, math.log, (lambda x, z: 1.0 / x,))


class _Recorded(Handle):
    """A cell of the recording as an operand."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell):
        self.cell = cell


class Value(Handle):
    """A number. data: its value, which may be set; grad: what `backward` has added up.

    _prev: the values that it was computed from, _op: by which operation, for eyes and drawings.
    """

    __slots__ = (
        "__weakref__", "_cell", "_children", "_data", "_op", "_operands", "_rule", "_serial",
        "grad", "label",
    )  # fmt: skip

    def __init__(
        self, data: Any, _children: Iterable[Value] = (), _op: str = "", label: str = ""
    ):
        self.data = data
        self.grad: Any = 0.0
        self._children, self._op, self.label = _children, _op, label
        self._rule: _Rule | None = None
        self._operands: tuple[Any, ...] = ()
        self._serial = next(_serials)

    @property
    def data(self) -> Any:
        """The number."""
        return self._data

    @data.setter
    def data(self, number: Any) -> None:
        try:
            self._data = float(number)
        except (TypeError, ValueError):
            raise ArgumentError(
                f"a Value is one number, not {number!r}", where=user_frame(),
                hint="arrays are at home in tracejit itself, and in tracejit.compat.torch",
            ) from None  # fmt: skip
        self._cell: Cell | None = None

    @property
    def _prev(self) -> set[Value]:
        return {*self._children, *[x for x in self._operands if isinstance(x, Value)]}

    @property
    def cell(self) -> Cell:  # type: ignore[override]
        """The number in the recording, with what computed it: the same until `data` is set."""
        if self._cell is None:
            kept = {x: x._cell for x in self._behind() if x._cell is not None}
            for x, cell in self._recorded(kept).items():
                x._cell = cell
        assert self._cell is not None
        return self._cell

    def _recorded(self, cells: dict[Value, Cell]) -> dict[Value, Cell]:
        """The recording of this value, and of all behind it; with `cells` for those that have
        one."""
        for x in self._behind():
            if x in cells:
                continue
            if x._rule is None:
                cells[x] = known(x._data, needs=True)
            else:
                given = [_Recorded(cells[y]) if isinstance(y, Value) else y for y in x._operands]
                cells[x] = _RECORDER.perform(x._rule.function, given)
        return cells

    def _behind(self) -> list[Value]:
        """The values that this one was computed from, and itself, the first ones first."""
        seen = {self}
        pending = [self]
        while pending:
            for x in pending.pop()._operands:
                if isinstance(x, Value) and x not in seen:
                    seen.add(x)
                    pending.append(x)
        return sorted(seen, key=lambda x: x._serial)

    def backward(self) -> None:
        """Add the derivatives of this value to `grad` of the values it was computed from; its own
        is 1. What a value of derivative 0 was computed from gets nothing from it, not even NaN."""
        slopes = {self: 1.0}
        for y in reversed(self._behind()):
            slope = slopes.get(y, 0.0)
            rule = y._rule
            if rule is None or not slope:
                continue
            operands = y._operands
            xs = [x._data if isinstance(x, Value) else x for x in operands]
            for i, x in enumerate(operands):
                if isinstance(x, Value):
                    slopes[x] = slopes.get(x, 0.0) + slope * rule.slope(i, *xs, y._data)
        for x, slope in slopes.items():
            x.grad += slope
        self.grad = 1.0

    def compile(self, *inputs: Value) -> Any:
        """The computation as a jitted function of `inputs` (of all leaves, in the order in which
        they were made, unless said); what else it reads is a constant."""
        leaves = inputs or [x for x in self._behind() if x._rule is None]
        cells = self._recorded({})
        sources = [cells[x] if x in cells else known(x._data) for x in leaves]
        return jit(cut([cells[self]], sources).function())

    def relu(self) -> Value:
        """max(x, 0)."""
        return _made(_RELU, "ReLU", self)

    def tanh(self) -> Value:
        """The hyperbolic tangent."""
        return _made(_TANH, "tanh", self)

    def exp(self) -> Value:
        """The exponential."""
        return _made(_EXP, "exp", self)

    def log(self) -> Value:
        """The natural logarithm."""
        return _made(_LOG, "log", self)

    def sigmoid(self) -> Value:
        """1 / (1 + exp(-x))."""
        return 1.0 / (1.0 + (-self).exp())

    def __add__(self, other: Any) -> Value:
        return _made(_ADD, "+", self, other)

    def __radd__(self, other: Any) -> Value:
        return _made(_ADD, "+", other, self)

    def __sub__(self, other: Any) -> Value:
        return _made(_SUB, "-", self, other)

    def __rsub__(self, other: Any) -> Value:
        return _made(_SUB, "-", other, self)

    def __mul__(self, other: Any) -> Value:
        return _made(_MUL, "*", self, other)

    def __rmul__(self, other: Any) -> Value:
        return _made(_MUL, "*", other, self)

    def __truediv__(self, other: Any) -> Value:
        return _made(_DIV, "/", self, other)

    def __rtruediv__(self, other: Any) -> Value:
        return _made(_DIV, "/", other, self)

    def __pow__(self, other: Any) -> Value:
        return _made(_POW, f"**{other}", self, other)

    def __rpow__(self, other: Any) -> Value:
        return _made(_POW, "**", other, self)

    def __neg__(self) -> Value:
        return _made(_NEG, "neg", self)

    def __lt__(self, other: Any) -> bool:
        return bool(self._data < _number(other))

    def __le__(self, other: Any) -> bool:
        return bool(self._data <= _number(other))

    def __gt__(self, other: Any) -> bool:
        return bool(self._data > _number(other))

    def __ge__(self, other: Any) -> bool:
        return bool(self._data >= _number(other))

    def __float__(self) -> float:
        return float(self._data)

    def __repr__(self) -> str:
        return f"Value(data={self._data}, grad={self.grad})"


def _number(x: Any) -> Any:
    return x._data if isinstance(x, Value) else x


def _made(rule: _Rule, op: str, *operands: Any) -> Value:
    """The value of an operation."""
    xs: list[float] = []
    for x in operands:
        if isinstance(x, Value):
            xs.append(x._data)
        elif isinstance(x, (int, float, np.generic)):
            xs.append(float(x))
        else:
            raise ArgumentError(
                f"{op!r} of a Value takes Values and numbers, not {type(x).__name__}",
                where=user_frame(),
            )
    y = Value(rule.of(*xs), (), op)
    y._rule, y._operands = rule, operands
    return y

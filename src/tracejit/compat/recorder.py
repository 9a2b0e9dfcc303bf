"""Calls of NumPy's functions on handles, recorded as operations: see `graph.py`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Hashable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.compat.graph import REMEMBERED, Cell, Handle, Operation, known, values_of
from tracejit.config import config
from tracejit.ir.types import type_of
from tracejit.numpy import ufuncs
from tracejit.runtime.arguments import name_of
from tracejit.runtime.values import returned
from tracejit.trace.stage import stage
from tracejit.trace.tracer import Tracer, current_trace

_needs = operator.attrgetter("needs")
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class _Given(Handle):
    """An operand. weak: whether it is a Python number, to whose dtype nothing gives way."""

    __slots__ = ("cell", "weak")

    def __init__(self, cell: Cell, weak: bool = False):
        self.cell, self.weak = cell, weak


#: Operations whose numbers become operands when they come with more values than `LITERALS`.
ARITHMETIC = frozenset((ufuncs.add, ufuncs.subtract, ufuncs.multiply, ufuncs.divide))
LITERALS = 8


class Recorder:
    """Performs operations for a door. default_float: what Python floats and creation give there."""

    def __init__(self, default_float: str = "float64"):
        self._operations: dict[Hashable, Operation] = {}
        self._numbers: dict[Hashable, int] = {}
        self.default(default_float)

    def default(self, default_float: str) -> None:
        """Have Python floats be of another dtype from now on."""
        self.default_float = default_float
        self._operations.clear()

    def perform(
        self, fun: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any] = _NOTHING,
        *, record: bool | None = None,
    ) -> Any:  # fmt: skip
        """fun(*args, **kwargs) for arguments that hold handles: a cell, or a tree of cells.

        fun: a function of arrays, the same object for the same meaning: it is traced once for each
        kind of arguments. record: whether derivatives may be asked for; None: if an operand needs
        it. What is not recorded is computed at once. With a tracer among the arguments, as inside
        of `jit`, the function itself is called, on the values of the handles.
        """
        kind: list[Any] = [fun]
        operands: Any = []
        for x in args:
            _take(x, kind, operands)
        for name, x in kwargs.items():
            kind.append(name)
            _take(x, kind, operands)
        for x in operands:
            if x.__class__ is not Cell:
                named = {k: _put(y, values_of) for k, y in kwargs.items()}
                return fun(*_put(args, values_of), **named)
        key: Hashable = tuple(kind)  # types by id: an operation that is remembered keeps its own
        operation = self._operations.get(key)
        if operation is None and fun in ARITHMETIC and len(operands) == 1 and len(args) == 2:
            key, args, operands = self._loosened(key, fun, args, operands)
            operation = self._operations.get(key)
        if operation is None:
            operation = self._trace(fun, args, kwargs, operands)
            if len(self._operations) >= REMEMBERED:
                self._operations.clear()
            self._operations[key] = operation
        if record is None:
            record = any(map(_needs, operands))
        return operation.apply(operands, record)

    def once(self, fun: Callable[..., Any], args: Sequence[Any]) -> tuple[Operation, list[Cell]]:
        """The operation of fun(*args), and its operands, for a function that is not called again:
        it is traced, and not remembered."""
        operands: list[Any] = []
        for x in args:
            _take(x, [], operands)
        operation = self._trace(fun, args, _NOTHING, operands)
        operation.passing = True
        return operation, operands

    def _loosened(
        self, key: Hashable, fun: Callable[..., Any], args: Sequence[Any], operands: Sequence[Cell]
    ) -> tuple[Hashable, Sequence[Any], Sequence[Cell]]:
        """The kind of a call with a number that comes with ever new values: there the number is an
        operand, so that programs with it are the same program."""
        place = int(not isinstance(args[1], Handle))
        number, (cell,) = args[place], operands
        if number.__class__ not in (int, float):
            return key, args, operands
        loose = fun, place, number.__class__, id(cell.type)
        count = self._numbers[loose] = self._numbers.get(loose, 0) + 1
        if count <= LITERALS:
            return key, args, operands
        value = np.asarray(number)
        pair = [_Given(cell), _Given(Cell(type_of(value), value), weak=True)]
        given = pair if place else pair[::-1]
        return loose, given, [x.cell for x in given]

    def _trace(
        self, fun: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any],
        operands: Sequence[Cell],
    ) -> Operation:  # fmt: skip
        """The operation of a call, for such operands."""
        out_trees: list[tree.TreeDef] = []
        name = name_of(fun)

        def flat(*tracers: Tracer) -> list[Any]:
            supply = iter(tracers)
            positional = _put(args, lambda _: next(supply))
            named = {k: _put(x, lambda _: next(supply)) for k, x in kwargs.items()}
            leaves, out_tree = tree.flatten(fun(*positional, **named))
            out_trees.append(out_tree)
            here = current_trace()
            return [returned(y, here, lambda: f"a result of {name}") for y in leaves]

        with config.override(default_float=self.default_float):
            weak = [x.__class__ is _Given and x.weak for x in args] if len(args) == 2 else []
            types = [cell.type for cell in operands]
            staged = stage(flat, types, weak=weak if any(weak) else None, name=name)
        return Operation(name, staged.jaxpr, out_trees[-1], staged.captured)


def _take(x: Any, kind: list[Any], operands: list[Any]) -> None:
    """Add an argument to the kind of a call, and what it holds to the operands."""
    if isinstance(x, Handle):
        cell = x.cell
        kind.append(id(cell.type))
        operands.append(cell)
    elif x.__class__ is int:
        kind.append(int)
        kind.append(x)
    elif isinstance(x, (np.ndarray, np.generic)):
        cell = known(x)
        kind.append(id(cell.type))
        operands.append(cell)
    elif isinstance(x, Tracer):
        operands.append(x)
    elif isinstance(x, (tuple, list)):
        kind.append(x.__class__)
        kind.append(len(x))
        for item in x:
            _take(item, kind, operands)
    elif isinstance(x, slice):
        kind.append((slice, x.start, x.stop, x.step))
    else:
        kind.append(x.__class__)
        kind.append(x if x or x.__class__ is not float else repr(x))  # 0.0 == -0.0


def _put(x: Any, give: Callable[[Any], Any]) -> Any:
    """The argument with something else for its operands, in the order of `_take`."""
    if isinstance(x, (Handle, np.ndarray, np.generic, Tracer)):
        return give(x)
    if isinstance(x, (tuple, list)):
        items = [_put(item, give) for item in x]
        return x.__class__(*items) if hasattr(x, "_fields") else x.__class__(items)
    return x

"""Variable: a tensor that can be given another value. Tapes watch it when it is read."""

from __future__ import annotations

from typing import Any

from tracejit.api import linear_maps
from tracejit.compat.graph import Cell, known
from tracejit.compat.tensorflow import indexing
from tracejit.compat.tensorflow.state import STATE
from tracejit.compat.tensorflow.tensor import Tensor, Value, binary, call, convert
from tracejit.errors import DTypeError, ShapeError
from tracejit.numpy import creation, ufuncs
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer

__all__ = ["Variable"]


class Variable(Value):
    """tf.Variable(initial_value): its shape and dtype stay; `assign` gives it another value.

    initial_value: a tensor, an array or numbers, or a function without arguments that gives one.
    trainable: whether tapes watch it, and optimizers are given it.
    """

    __slots__ = ("__weakref__", "_cell", "name", "trainable")

    def __init__(
        self, initial_value: Any, trainable: bool = True, name: str | None = None,
        dtype: Any = None, shape: Any = None,
    ):  # fmt: skip
        given = initial_value() if callable(initial_value) else initial_value
        tensor = convert(given, dtype)
        self.trainable = trainable
        self.name = f"{name or 'Variable'}:0"
        self._cell = known(tensor.cell.value, needs=trainable)

    @property
    def cell(self) -> Cell:  # type: ignore[override]
        """The value of now; whoever asks for it reads the variable."""
        cell = self._cell
        if self.trainable:
            for tape in STATE.tapes:
                if tape.watches_variables:
                    tape.read(self, cell)
        if STATE.tracing is not None:
            STATE.tracing.read(self, cell)
        return cell

    @property
    def _type(self) -> Any:
        held: Any = self._cell
        return held.aval if isinstance(held, Tracer) else held.type

    def __repr__(self) -> str:
        value = self._cell.value
        shown = repr(value) if value.ndim else str(value[()])
        return (
            f"<tf.Variable '{self.name}' shape={self.shape} dtype={self.dtype.name}, numpy={shown}>"
        )

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return Part(self, index, part.cell)

    def scatter_nd_update(self, indices: Any, updates: Any, name: str | None = None) -> Variable:
        """Give the slices at rows of indices other values."""
        return self.assign(call(indexing.scatter_update, self, indices, convert(updates)))

    def scatter_nd_add(self, indices: Any, updates: Any, name: str | None = None) -> Variable:
        """Add to the slices at rows of indices."""
        return self.assign(call(indexing.scatter_add, self, indices, convert(updates)))

    def value(self) -> Tensor:
        """The value of now, as a tensor."""
        return Tensor(self.cell)

    read_value = value

    def initialized_value(self) -> Tensor:
        return Tensor(self.cell)

    def assign(self, value: Any, use_locking: bool = False, name: str | None = None,
               read_value: bool = True) -> Variable:  # fmt: skip
        """Give it a value of its shape and dtype; no derivative goes through. Returns itself.

        Raises ShapeError and DTypeError where the value has others.
        """
        tensor = convert(value, dtype_hint=self.dtype)
        have, mine = tensor.cell.type, self._cell.type
        if have.shape != mine.shape:
            raise ShapeError(
                f"Cannot assign value to variable '{self.name}': Shape mismatch. The variable shape"
                f" {mine.shape}, and the assigned value shape {have.shape} are incompatible.",
                where=user_frame(),
            )
        if have.dtype != mine.dtype:
            raise DTypeError(
                f"variable '{self.name}' is {mine.dtype}, and the value is {have.dtype}",
                where=user_frame(), hint="tf.cast(x, dtype) converts it",
            )  # fmt: skip
        if STATE.tracing is not None:
            STATE.tracing.write(self, call(linear_maps.stop_gradient, tensor).cell)
        else:
            self._cell = Cell(have, tensor.cell.value, needs=self.trainable)
        return self

    def assign_add(self, delta: Any, use_locking: bool = False, name: str | None = None,
                   read_value: bool = True) -> Variable:  # fmt: skip
        """Add to the value."""
        return self.assign(binary(ufuncs.add, self, delta))

    def assign_sub(self, delta: Any, use_locking: bool = False, name: str | None = None,
                   read_value: bool = True) -> Variable:  # fmt: skip
        """Subtract from the value."""
        return self.assign(binary(ufuncs.subtract, self, delta))


class Part(Tensor):
    """What an index gives of a variable: a tensor, to which that part can be assigned."""

    __slots__ = ("_index", "_variable")

    def __init__(self, variable: Variable, index: Any, cell: Any):
        super().__init__(cell)
        self._variable, self._index = variable, index

    def assign(self, value: Any, name: str | None = None) -> Variable:
        """Give this part of the variable another value; no derivative goes through."""
        variable = self._variable
        new = convert(value, dtype_hint=variable.dtype)
        return variable.assign(call(_with_part, variable, _fixed(self._index), new))

    def assign_add(self, delta: Any, name: str | None = None) -> Variable:
        """Add to this part of the variable."""
        return self.assign(binary(ufuncs.add, self, delta))

    def assign_sub(self, delta: Any, name: str | None = None) -> Variable:
        """Subtract from this part of the variable."""
        return self.assign(binary(ufuncs.subtract, self, delta))


def _fixed(index: Any) -> Any:
    """An index of numbers, slices and masks, as arrays have it."""
    parts = [x.numpy() if isinstance(x, Value) else x
             for x in (index if isinstance(index, tuple) else (index,))]  # fmt: skip
    return tuple(parts)


def _with_part(x: Any, index: Any, value: Any) -> Any:
    result = creation.array(x)
    result[index] = value
    return result

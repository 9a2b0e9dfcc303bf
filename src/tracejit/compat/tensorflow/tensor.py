"""Tensor: an array that tapes record. `convert` makes one, `call` computes with them.

A tensor holds a cell of the recording, or, inside of a trace (`jit`, `custom_gradient`), a traced
value. Numbers without a dtype are float32 and int32.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tracejit.compat.graph import Cell, Handle, known
from tracejit.compat.tensorflow import compositions
from tracejit.compat.tensorflow.dtypes import DType, TensorShape, as_dtype, numpy_dtype
from tracejit.compat.tensorflow.state import RECORDER, STATE
from tracejit.errors import DTypeError
from tracejit.numpy import choosing, contraction, creation, ufuncs
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer, current_trace

__all__ = ["Tensor", "call", "constant", "convert"]


class Value(Handle):
    """What tensors and variables have in common: TensorFlow's operators and attributes."""

    __slots__ = ()
    __array_priority__ = 100

    @property
    def shape(self) -> TensorShape:
        return TensorShape(self._type.shape)

    @property
    def dtype(self) -> DType:
        return as_dtype(self._type.dtype)

    @property
    def ndim(self) -> int:
        return len(self._type.shape)

    @property
    def _type(self) -> Any:
        held = self.cell
        return held.aval if isinstance(held, Tracer) else held.type

    def __hash__(self) -> int:
        raise TypeError(
            f"{type(self).__name__} is unhashable. Instead, use tensor.ref() as the key."
        )

    def get_shape(self) -> TensorShape:
        return self.shape

    def numpy(self) -> Any:
        """The number, or a copy of the array."""
        value = self._known("numpy()")
        return value.copy() if value.ndim else value[()]

    def _known(self, what: str) -> np.ndarray:
        """The array; under a trace there is none, and a `function` cannot be compiled."""
        held = self.cell
        if isinstance(held, Tracer):
            return np.asarray(held)  # says what to do
        if STATE.tracing is not None and STATE.tracing.depends(held):
            STATE.tracing.asked = what
        return held.value

    def _answer(self) -> np.ndarray:
        """The number that Python goes by; while a `function` is recorded, on one path of it."""
        held = self.cell
        if isinstance(held, Tracer):
            return np.asarray(held)  # says what to do
        return held.value if STATE.tracing is None else STATE.tracing.answer(held)

    def numbers(self) -> Any:
        """Whole numbers, nested as in the tensor, that belong to the program: a shape, an axis."""
        held = self.cell
        if not isinstance(held, Tracer) and self.ndim and self.dtype.is_integer:
            return [row.numbers() for row in self]
        return int(self) if self.dtype.is_integer else self.numpy().tolist()

    def ref(self) -> Reference:
        """What stands for this object, and not for its value, in sets and dicts."""
        return Reference(self)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self._known("its array"), dtype)

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """NumPy's functions element by element give tensors, all others arrays."""
        ours = ufuncs.Ufunc.registry.get(ufunc.__name__)
        if method != "__call__" or ours is None or kwargs:
            return getattr(ufunc, method)(*map(_array_of, inputs), **kwargs)
        first = next(x for x in inputs if isinstance(x, Value))
        return call(ours, *[_like(x, first, ufunc.__name__) for x in inputs])

    def __bool__(self) -> bool:
        if isinstance(self.cell, Tracer):
            return bool(self.cell)
        return bool(self._answer())

    def __float__(self) -> float:
        return float(self._known("float()"))

    def __int__(self) -> int:
        return int(self._answer())

    def __index__(self) -> int:
        return operator.index(self._answer()[()])

    def __format__(self, spec: str) -> str:
        return format(self.numpy(), spec) if spec else str(self)

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("Scalar tensor has no `len()`")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        if not self.ndim:
            raise TypeError("Cannot iterate over a scalar tensor.")
        return iter([self[i] for i in range(self.shape[0])])

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, Value) and index.dtype.is_bool:
            return call(operator.getitem, self, np.nonzero(index.numpy()))
        several = isinstance(index, tuple)
        parts = [_bounds(part) for part in (index if several else (index,))]
        return call(operator.getitem, self, tuple(parts) if several else parts[0])

    def numbered(self, name: str) -> Any:
        """The array, or the traced value, for tracejit's functions that get or return tensors."""
        return self.cell if isinstance(self.cell, Tracer) else self._known("its array")

    def __matmul__(self, other: Any) -> Any:
        return binary(contraction.matmul, self, other)

    def __rmatmul__(self, other: Any) -> Any:
        return binary(contraction.matmul, other, self)


def _array_of(x: Any) -> Any:
    return np.asarray(x) if isinstance(x, Value) else x


def _bounds(part: Any) -> Any:
    """A part of an index: the bounds of a slice are numbers."""
    if not isinstance(part, slice):
        return part
    bounds = (part.start, part.stop, part.step)
    return slice(*[operator.index(n) if isinstance(n, Value) else n for n in bounds])


class Reference:
    """A tensor or variable by identity: `x.ref()`."""

    def __init__(self, x: Value):
        self._x = x

    def deref(self) -> Value:
        return self._x

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Reference) and self._x is other._x

    def __hash__(self) -> int:
        return id(self._x)


class Tensor(Value):
    """An array. Made by `constant`, and by every operation; it does not change."""

    __slots__ = ("__weakref__", "cell")

    def __init__(self, cell: Any):
        self.cell = cell

    def __repr__(self) -> str:
        if isinstance(self.cell, Tracer):
            return f"<tf.Tensor: shape={self.shape}, dtype={self.dtype.name}>"
        shown = f"shape={self.shape}, dtype={self.dtype.name}, numpy={_shown(self.cell.value)}"
        return f"<tf.Tensor: {shown}>"

    def __str__(self) -> str:
        if isinstance(self.cell, Tracer):
            return repr(self)
        return f"tf.Tensor({self.cell.value[()]!s}, shape={self.shape}, dtype={self.dtype.name})"


def _shown(array: np.ndarray) -> str:
    return repr(array) if array.ndim else str(array[()])


# Computing


def call(fun: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """fun, a function of arrays, of tensors: a tensor, or a tree of them. Tapes record it."""
    if current_trace() is not None:
        return wrap(fun(*bare(args), **{name: bare(x) for name, x in kwargs.items()}))
    if STATE.tracing is not None:
        record: bool | None = True
    else:
        record = None if STATE.tapes else False
    return wrap(RECORDER.perform(fun, args, kwargs, record=record))


def wrap(x: Any) -> Any:
    """The tensors of cells, traced values and arrays, in their trees."""
    if isinstance(x, Cell):
        return Tensor(x)
    if isinstance(x, (tuple, list)):
        items = [wrap(y) for y in x]
        return x.__class__(items) if x.__class__ in (tuple, list) else x.__class__(*items)
    return Tensor(x if isinstance(x, Tracer) else known(x))


def bare(x: Any) -> Any:
    """The traced values and arrays of tensors, in their trees."""
    if isinstance(x, Value):
        return x.cell if isinstance(x.cell, Tracer) else x.cell.value
    return x.__class__([bare(y) for y in x]) if x.__class__ in (tuple, list) else x


def convert(value: Any, dtype: Any = None, dtype_hint: Any = None, name: str | None = None) -> Any:
    """tf.convert_to_tensor: a tensor as it is, arrays with their dtype, Python numbers as float32
    and int32 unless `dtype` (or `dtype_hint`, where it can be) says another.

    Raises DTypeError where a tensor has another dtype, or numbers do not fit `dtype`.
    """
    wanted = None if dtype is None else numpy_dtype(dtype)
    if isinstance(value, Value):
        if wanted is not None and value.dtype.numpy_dtype != wanted:
            raise DTypeError(
                f"Tensor conversion requested dtype {wanted.name} for Tensor with dtype "
                f"{value.dtype.name}", where=user_frame(), hint="tf.cast(x, dtype) converts",
            )  # fmt: skip
        return value if isinstance(value, Tensor) else Tensor(value.cell)
    if isinstance(value, Tracer):
        return Tensor(value if wanted is None else creation.astype(value, wanted))
    if isinstance(value, (list, tuple)) and _holds_tensors(value):
        return call(creation.array, list(value))
    if wanted is None and dtype_hint is not None and _goes_into(value, numpy_dtype(dtype_hint)):
        wanted = numpy_dtype(dtype_hint)
    return Tensor(known(_array(value, wanted)))


def _array(value: Any, wanted: np.dtype | None) -> np.ndarray:
    """An array of a number, or of nested lists."""
    array = np.asarray(value)
    given = array.dtype
    if not isinstance(value, (np.ndarray, np.generic)) and wanted is None:
        given = {"f": np.dtype("float32"), "i": np.dtype("int32")}.get(given.kind, given)
        if array.size and given.kind == "i" and np.any(array != array.astype(given)):
            raise DTypeError(f"{value} does not fit int32", where=user_frame(),
                             hint="give a dtype: tf.int64")  # fmt: skip
    if (
        wanted is not None
        and given.kind == "f"
        and wanted.kind in "iub"
        and not hasattr(value, "__array__")
    ):
        raise DTypeError(
            f"Cannot convert {value} to EagerTensor of dtype {wanted.name}", where=user_frame(),
            hint="tf.cast(x, tf.float32) makes the tensor a float one",
        )  # fmt: skip
    dtype = given if wanted is None else wanted
    as_dtype(dtype)
    return array.astype(dtype)


def _goes_into(value: Any, dtype: np.dtype) -> bool:
    """Whether a value can have a dtype that is not insisted on."""
    kinds = {"b": "b", "i": "iuf", "u": "iuf", "f": "f"}
    return dtype.kind in kinds.get(np.asarray(value).dtype.kind, "")


def _holds_tensors(x: Any) -> bool:
    return any(
        isinstance(y, (Value, Tracer)) or (isinstance(y, (list, tuple)) and _holds_tensors(y))
        for y in x
    )


def constant(value: Any, dtype: Any = None, shape: Any = None, name: str = "Const") -> Tensor:
    """tf.constant: a tensor of a number, an array or nested lists; `shape` fills or reshapes."""
    tensor = convert(value, dtype)
    if shape is None or tensor.shape == tuple(shape):
        return tensor  # type: ignore[no-any-return]
    array = tensor.numpy()
    whole = np.full(shape, array) if np.size(array) == 1 else np.reshape(array, shape)
    return Tensor(known(whole))


def binary(fun: Callable[..., Any], x: Any, y: Any) -> Any:
    """fun(x, y), one of them a tensor, of which the other takes the dtype.

    Raises DTypeError for two tensors of different dtypes, as TensorFlow does.
    """
    if isinstance(x, Value):
        return call(fun, x, _like(y, x, fun.__name__))
    return call(fun, _like(x, y, fun.__name__), y)


def _like(y: Any, x: Value, what: str) -> Any:
    """An operand as x has them: tensors unchanged, numbers of its dtype."""
    if isinstance(y, Value):
        if y._type.dtype != x._type.dtype:
            raise DTypeError(
                f"cannot compute {what} of a {x.dtype.name} tensor and a {y.dtype.name} tensor",
                where=user_frame(), hint="tf.cast(x, dtype) converts one of them",
            )  # fmt: skip
        return y
    kind = x._type.dtype.kind
    if y.__class__ is float and kind in "iu":
        raise DTypeError(
            f"Cannot convert {y} to EagerTensor of dtype {x.dtype.name}", where=user_frame(),
            hint="tf.cast(x, tf.float32) makes the tensor a float one",
        )  # fmt: skip
    if y.__class__ in (int, float, bool) or isinstance(y, Tracer):
        return y
    return convert(y, dtype_hint=x.dtype)


def _operator(fun: Callable[..., Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def forward(self: Value, other: Any) -> Any:
        return NotImplemented if other is None else binary(fun, self, other)

    def reflected(self: Value, other: Any) -> Any:
        return binary(fun, other, self)

    return forward, reflected


def _unary(fun: Callable[..., Any]) -> Callable[..., Any]:
    return lambda self: call(fun, self)


_fun: Any
for _name, _fun in {
    "add": ufuncs.add, "sub": ufuncs.subtract, "mul": ufuncs.multiply,
    "truediv": compositions.divide, "floordiv": ufuncs.floor_divide, "mod": ufuncs.remainder,
    "pow": ufuncs.power, "and": ufuncs.bitwise_and, "or": ufuncs.bitwise_or,
    "xor": ufuncs.bitwise_xor,
}.items():  # fmt: skip
    _forward, _reflected = _operator(_fun)
    setattr(Value, f"__{_name}__", _forward)
    setattr(Value, f"__r{_name}__", _reflected)
for _name, _fun in {
    "lt": ufuncs.less, "le": ufuncs.less_equal, "gt": ufuncs.greater, "ge": ufuncs.greater_equal,
    "eq": ufuncs.equal, "ne": ufuncs.not_equal,
}.items():  # fmt: skip
    setattr(Value, f"__{_name}__", _operator(_fun)[0])
for _name, _fun in {
    "neg": ufuncs.negative, "abs": ufuncs.absolute, "invert": ufuncs.invert,
    "pos": ufuncs.positive, "round": choosing.round,
}.items():  # fmt: skip
    setattr(Value, f"__{_name}__", _unary(_fun))

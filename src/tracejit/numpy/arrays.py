"""Operands of the NumPy functions: what they are, and how they are made to fit each other.

An operand is a tracer, an ndarray, a NumPy scalar or a Python number. Primitives want one dtype and
one shape; `unify` gives them that with as few equations as there can be: none where types agree,
and a scalar becomes a literal of the right type. What is known (no tracer among the operands) is
computed by NumPy at once.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from inspect import Parameter, signature
from typing import Any, TypeVar

import numpy as np

from tracejit.errors import (
    ArgumentError,
    AxisError,
    DTypeError,
    ShapeError,
    TracejitError,
    UnsupportedError,
    did_you_mean,
)
from tracejit.ir.atoms import Literal
from tracejit.ir.types import BOOL, Shape, array_type, has_dtype
from tracejit.numpy.promotion import defaulted, dtype_of, result_dtype, unknown_dtype
from tracejit.ops import elementwise, structure
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import (
    Tracer,
    bind,
    current_trace,
    is_traced,
    leaked,
    literal_of,
    trace_what_is_written,
    twin,
)
from tracejit.trace.view import View

Array = Any  # a tracer, or what NumPy has: an ndarray or a scalar
ArrayLike = Any  # ... or a Python number, or nested sequences of all these
DTypeLike = Any
Axis = int | tuple[int, ...] | None


def fault(error: type[TracejitError], what: str, hint: str | None = None) -> TracejitError:
    """An error at the user's line."""
    return error(what, where=user_frame(), hint=hint)


def nearest(name: str, names: Iterable[str]) -> str:
    """The name that a misspelt one may have meant, as a hint."""
    hint = did_you_mean(name, names)
    return hint if hint.startswith("did you mean") else "dir() lists its names"


def write(
    out: Any, result: Any, name: str, casting: str = "same_kind", where: ArrayLike = True
) -> Array:
    """Write a result into the array that the user gave for it, where a mask holds; that array."""
    if isinstance(out, np.ndarray) and not is_traced(result, where):
        np.copyto(out, result, casting=casting, where=where)  # type: ignore[arg-type]
        return out
    if not isinstance(out, Tracer):
        raise not_traced(out, name)
    result = operand(result)
    check_cast(dtype_of(result), out, name, casting)
    for part, what in ((result, "gives"), (operand(where), "has where= of")):
        if common_shape([part, out]) != out.shape:
            raise fault(
                ShapeError, f"{name} {what} shape {shape_of(part)}, which cannot be written into "
                f"an array of shape {out.shape}"
            )  # fmt: skip
    new = fit(result, out.dtype, out.shape, traced=True)
    if where is not True:
        mask = fit(operand(where), BOOL, out.shape, traced=True)
        new = bind(elementwise.select, mask, new, out)
    out.assign(new)
    return out


def check_cast(dtype: np.dtype, out: Tracer, name: str, casting: str = "same_kind") -> None:
    """DTypeError where a result of this dtype is not to be written into an array."""
    if not np.can_cast(dtype, out.dtype, casting):  # type: ignore[arg-type]
        raise fault(
            DTypeError, f"{name} gives {dtype}, which cannot be written into an array of "
            f"{out.dtype} (casting rule {casting!r})",
            "make the array one of floats, or write x[...] = values, which converts",
        )  # fmt: skip


def not_traced(out: Any, name: str) -> UnsupportedError:
    """The error of a traced value that is written into an array that is not traced."""
    if isinstance(out, np.ndarray):
        trace_what_is_written()
    shown = f"an ndarray {out.shape}" if isinstance(out, np.ndarray) else type(out).__name__
    return UnsupportedError(
        f"{name} writes a traced value into {shown}, which is not traced", where=user_frame(),
        hint="the number is not known yet, and its derivative would be lost: use the result (a = a "
        "+ x makes a new array), or make the array with tracejit.numpy.zeros",
    )  # fmt: skip


F = TypeVar("F", bound=Callable[..., Any])


def takes_out(function: F) -> F:
    """A function with `out` among its parameters, which it leaves to this: the result is written
    into the array that is given for it."""
    name = function.__name__
    parameters = signature(function).parameters
    by_position = parameters["out"].kind is Parameter.POSITIONAL_OR_KEYWORD
    place = list(parameters).index("out") if by_position else sys.maxsize

    @wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        if len(args) > place:
            out, args = args[place], (*args[:place], None, *args[place + 1 :])
        else:
            out = options.pop("out", None)
        result = function(*args, **options)
        return result if out is None else write(out, result, name)

    return call  # type: ignore[return-value]


# What the user gives


def operand(x: ArrayLike) -> Any:
    """A tracer, an array, a NumPy scalar or a Python number, whatever the user gave."""
    if isinstance(x, (Tracer, np.ndarray, np.generic, int, float, complex)):
        return x
    if isinstance(x, (list, tuple)):
        return from_sequence(x)
    if x is None or isinstance(x, (str, bytes, dict, set)):
        raise fault(ArgumentError, f"an array was expected, not {type(x).__name__} {x!r}")
    return np.asarray(x)


def from_sequence(xs: Sequence[Any]) -> Array:
    """The array of nested sequences: by NumPy, or stacked where they hold tracers."""
    if not _holds_tracer(xs):
        array = np.asarray(xs)
        if not has_dtype(array.dtype):
            raise unknown_dtype(array.dtype)
        return array.astype(defaulted(array.dtype), copy=False)
    parts = [operand(x) for x in xs]
    shapes = {shape_of(x) for x in parts}
    if len(shapes) > 1:
        raise fault(ShapeError, f"the parts of an array differ in shape: {sorted(shapes)}")
    dtype, (shape,) = result_dtype(*parts), shapes
    rows = [reshape_to(fit(x, dtype, shape, traced=True), (1, *shape)) for x in parts]
    return bind(structure.concatenate, *rows, axis=0) if len(rows) > 1 else rows[0]


def _holds_tracer(xs: Sequence[Any]) -> bool:
    return any(
        isinstance(x, Tracer) or (isinstance(x, (list, tuple)) and _holds_tracer(x)) for x in xs
    )


def shape_of(x: Any) -> Shape:
    """The shape of an operand."""
    return x.shape if isinstance(x, (Tracer, np.ndarray, Literal)) else ()


def value(x: ArrayLike, dtype: np.dtype | None = None) -> Array:
    """x as a result: a tracer that is not weak, an ndarray or a NumPy scalar; of the dtype."""
    x = operand(x)
    dtype = dtype_of(x) if dtype is None else dtype
    if isinstance(x, Tracer):
        same = twin(x) if x.weak else x
        return convert(same, dtype)
    if isinstance(x, np.ndarray):
        return convert(x, dtype)
    return dtype.type(x)


def copied(x: Array) -> Array:
    """An array of its own: what is written to it is not written to x."""
    return twin(x) if isinstance(x, Tracer) else np.array(x)[()]


def size_argument(n: Any, name: str) -> int:
    """A size or count, which has to be known: an int."""
    try:
        return operator.index(n)
    except TracejitError:
        raise
    except TypeError:
        raise fault(ArgumentError, f"{name} must be an int, not {n!r}") from None


def shape_argument(shape: Any) -> Shape:
    """A shape from an int or a sequence of ints."""
    if isinstance(shape, Iterable) and not (isinstance(shape, Tracer) and not shape.shape):
        return tuple([size_argument(n, "each size of a shape") for n in shape])
    return (size_argument(shape, "a shape"),)


# Axes


def one_axis(axis: Any, ndim: int) -> int:
    """An axis counted from 0."""
    axis = size_argument(axis, "an axis")
    if not -ndim <= axis < ndim:
        raise fault(AxisError, f"axis {axis} does not exist in an array of rank {ndim}")
    return axis + ndim if axis < 0 else axis


def some_axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """Axes counted from 0, ascending: all of them for None."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, (tuple, list)):
        return (one_axis(axis, ndim),)
    axes = tuple(sorted(one_axis(a, ndim) for a in axis))
    if len(set(axes)) != len(axes):
        raise fault(AxisError, f"an axis is named twice in {tuple(axis)}")
    return axes


# Fitting


def lifted(x: Any) -> Tracer:
    """An array as a value of the current trace, so that what is done to it is recorded."""
    if isinstance(x, Tracer) and x.owner is current_trace():
        return x
    trace = current_trace()
    if trace is None:
        raise leaked(x)
    atom = x if isinstance(x, Literal) else trace.lift(x)
    return Tracer(trace, atom)


def splat(number: Any, dtype: np.dtype, shape: Shape) -> Literal:
    """A number in an array of any shape; an integer that the dtype cannot hold is an error."""
    if dtype.kind in "iu" and not isinstance(number, np.generic):
        np.array(number, dtype)  # an OverflowError, as in NumPy
    plain = number.item() if isinstance(number, (np.generic, np.ndarray)) else number
    return Literal(plain, array_type(dtype, shape))


def full_of(number: Any, dtype: np.dtype, shape: Shape) -> Array:
    """A constant array: a literal while tracing, else an ndarray."""
    trace = current_trace()
    if trace is None:
        return np.full(shape, number, dtype)
    return Tracer(trace, splat(number, dtype, shape))


def convert(x: Any, dtype: np.dtype) -> Any:
    """x in another dtype; itself if it has it already."""
    if isinstance(x, (Tracer, np.ndarray, np.generic)):
        if x.dtype == dtype:
            return x
        literal = literal_of(x)
        if literal is not None:
            known = elementwise.convert.evaluate(np.asarray(literal.value, x.dtype), dtype=dtype)[0]
            return Tracer(x.owner, splat(known, dtype, x.shape))  # type: ignore[union-attr]
        return bind(elementwise.convert, x, dtype=dtype)
    return dtype.type(x)


def reshape_to(x: Any, shape: Shape) -> Any:
    """x in another shape; itself if it has it already."""
    if isinstance(x, Literal):
        return Literal(x.value, x.type.with_shape(shape))
    if shape_of(x) == shape:
        return x
    literal = literal_of(x)
    if literal is not None:
        return Tracer(x.owner, Literal(literal.value, x.aval.with_shape(shape)))
    return bind(structure.reshape, x, shape=shape)


def spread(x: Any, shape: Shape, dims: tuple[int, ...]) -> Any:
    """x with its axes at `dims` of a shape, repeated along the others."""
    literal = literal_of(x)
    if literal is not None:
        return Tracer(x.owner, Literal(literal.value, x.aval.with_shape(shape)))
    return x if shape_of(x) == shape else bind(structure.broadcast, x, shape=shape, dims=dims)


def stretch(x: Any, shape: Shape) -> Any:
    """x repeated along new leading axes and axes of length 1, to a shape known to fit."""
    before = shape_of(x)
    if before == shape:
        return x
    if isinstance(x, np.ndarray):
        return np.broadcast_to(x, shape)
    lead = len(shape) - len(before)
    kept = tuple(a for a, n in enumerate(before) if n == shape[a + lead])
    x = reshape_to(x, tuple(before[a] for a in kept))
    return spread(x, shape, tuple(a + lead for a in kept))


def fit(x: Any, dtype: np.dtype, shape: Shape, *, traced: bool) -> Any:
    """x in a dtype and a shape, known to be possible: something that `bind` takes."""
    if not isinstance(x, Tracer):
        if not isinstance(x, np.ndarray) or not x.ndim:
            return splat(int(x) if dtype.kind in "iu" else x, dtype, shape)
        if traced and (x.dtype != dtype or x.shape != shape):
            x = lifted(x)
    return stretch(convert(x, dtype), shape)


def plain(x: Any) -> Array:
    """What `fit` gave as an array: literals filled in."""
    return full_of(x.value, x.dtype, x.shape) if isinstance(x, Literal) else x


def common_shape(xs: Iterable[Any]) -> Shape:
    """The shape to which operands broadcast."""
    shapes = {shape_of(x) for x in xs}
    shapes.discard(())
    if len(shapes) <= 1:
        return shapes.pop() if shapes else ()
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        listed = " and ".join(str(shape_of(x)) for x in xs)
        raise fault(
            ShapeError, f"shapes {listed} do not broadcast to a common shape",
            "from the last axis on, sizes must be equal or 1; x[:, None] puts an axis in",
        ) from None  # fmt: skip


def unify(xs: Sequence[Any], dtype: np.dtype | None = None) -> list[Any]:
    """Operands in one dtype (their common one) and one shape."""
    dtype = result_dtype(*xs) if dtype is None else dtype
    shape = common_shape(xs)
    traced = is_traced(*xs)
    return [fit(x, dtype, shape, traced=traced) for x in xs]


#: The classes of traced values.
TRACERS = (Tracer, View)


def matched(x: Any, y: Any) -> tuple[Any, Any] | None:
    """Two operands that fit as they are: the common cases, at a fraction of the cost of `unify`.

    Tracers of one type (no bools), or a tracer of floats and a Python number.
    """
    if type(x) in TRACERS:
        type_ = x.atom.type
        if type(y) in TRACERS:
            return (x, y) if y.atom.type is type_ and type_.dtype is not BOOL else None
        return (x, Literal(y, type_)) if type_.is_inexact and type(y) in (float, int) else None
    if type(y) in TRACERS and type(x) in (float, int) and y.atom.type.is_inexact:
        return Literal(x, y.atom.type), y
    return None


def known_number(x: Any) -> Any:
    """The Python number of a scalar that is known while tracing, else None."""
    if isinstance(x, Tracer):
        return x.atom.value if isinstance(x.atom, Literal) and not x.shape else None
    if isinstance(x, (np.ndarray, np.generic)):
        return x.item() if not x.shape else None
    return x



"""jax.lax: thin functions over the primitives, with JAX's names and order of arguments.

They do not promote: operands have one dtype, except that Python numbers take that of the others.
Shapes broadcast as in NumPy, which is more than JAX allows. Control flow is at the end.
"""

from __future__ import annotations

import builtins
import enum
import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.associative import associative_scan
from tracejit.control.branching import cond, switch
from tracejit.control.looping import fori_loop, map, scan, while_loop
from tracejit.errors import ArgumentError, DTypeError, ShapeError, UnsupportedError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import BOOL, INT32, INT64, array_type
from tracejit.numpy import contraction, creation, indexing, shaping, sorting, ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    DTypeLike,
    convert,
    fault,
    full_of,
    nearest,
    one_axis,
    operand,
    plain,
    reshape_to,
    shape_argument,
    shape_of,
    size_argument,
    splat,
    spread,
    unify,
    value,
)
from tracejit.numpy.promotion import as_dtype, dtype_of, is_weak
from tracejit.numpy.reductions import reduce_with
from tracejit.numpy.shaping import concatenate as concatenate_arrays
from tracejit.ops import elementwise as ops
from tracejit.ops import indexing as places
from tracejit.ops import reduction, special, structure
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import stage
from tracejit.trace.tracer import Tracer, bind, current_trace

slice_object = builtins.slice  # the name `slice` is JAX's function


# Element by element


def _same_dtype(name: str, xs: Sequence[Any]) -> list[Any]:
    """Operands in one shape and dtype; dtypes of arrays have to agree."""
    dtypes = {dtype_of(x) for x in xs if not is_weak(x)}
    if len(dtypes) > 1:
        raise fault(
            DTypeError, f"lax.{name}: dtypes differ, {', '.join(sorted(d.name for d in dtypes))}",
            "lax does not promote: use lax.convert_element_type, or tracejit.numpy",
        )  # fmt: skip
    return unify(xs)


def _elementwise(name: str, primitive: Primitive, arity: int = 1) -> Callable[..., Array]:
    """The function that binds a primitive on operands of one dtype."""

    def function(*xs: ArrayLike, accuracy: None = None) -> Array:
        if len(xs) != arity:
            raise fault(ArgumentError, f"lax.{name} takes {arity} operands, got {len(xs)}")
        return bind(primitive, *_same_dtype(name, [operand(x) for x in xs]))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{primitive.__doc__ or primitive.name} Element by element."
    return function


abs, neg = _elementwise("abs", ops.abs), _elementwise("neg", ops.neg)
sign, floor = _elementwise("sign", ops.sign), _elementwise("floor", ops.floor)
ceil, square = _elementwise("ceil", ops.ceil), _elementwise("square", ops.square)
sqrt, rsqrt = _elementwise("sqrt", ops.sqrt), _elementwise("rsqrt", ops.rsqrt)
cbrt, exp = _elementwise("cbrt", ops.cbrt), _elementwise("exp", ops.exp)
exp2, expm1 = _elementwise("exp2", ops.exp2), _elementwise("expm1", ops.expm1)
log, log1p = _elementwise("log", ops.log), _elementwise("log1p", ops.log1p)
logistic, tanh = _elementwise("logistic", ops.logistic), _elementwise("tanh", ops.tanh)
sin, cos, tan = (_elementwise(p.name, p) for p in (ops.sin, ops.cos, ops.tan))
asin, acos, atan = (_elementwise(p.name, p) for p in (ops.asin, ops.acos, ops.atan))
sinh, cosh = _elementwise("sinh", ops.sinh), _elementwise("cosh", ops.cosh)
asinh, acosh, atanh = (_elementwise(p.name, p) for p in (ops.asinh, ops.acosh, ops.atanh))
is_finite, bitwise_not = _elementwise("is_finite", ops.is_finite), _elementwise("not", ops.not_)
population_count = _elementwise("population_count", ops.population_count)
clz = _elementwise("clz", ops.clz)
erf, erfc = _elementwise("erf", special.erf), _elementwise("erfc", special.erfc)
erf_inv, lgamma = _elementwise("erf_inv", special.erfinv), _elementwise("lgamma", special.lgamma)
digamma = _elementwise("digamma", special.digamma)

add, sub = _elementwise("add", ops.add, 2), _elementwise("sub", ops.sub, 2)
mul, div = _elementwise("mul", ops.mul, 2), _elementwise("div", ops.div, 2)
rem, max = _elementwise("rem", ops.rem, 2), _elementwise("max", ops.max, 2)
min, atan2 = _elementwise("min", ops.min, 2), _elementwise("atan2", ops.atan2, 2)
nextafter = _elementwise("nextafter", ops.nextafter, 2)
eq, ne = _elementwise("eq", ops.eq, 2), _elementwise("ne", ops.ne, 2)
lt, le = _elementwise("lt", ops.lt, 2), _elementwise("le", ops.le, 2)
gt, ge = _elementwise("gt", ops.gt, 2), _elementwise("ge", ops.ge, 2)
bitwise_and, bitwise_or = (_elementwise(p.name, p, 2) for p in (ops.and_, ops.or_))
bitwise_xor = _elementwise("bitwise_xor", ops.xor, 2)
shift_left = _elementwise("shift_left", ops.shift_left, 2)
shift_right_logical = _elementwise("shift_right_logical", ops.shift_right_logical, 2)
shift_right_arithmetic = _elementwise("shift_right_arithmetic", ops.shift_right_arithmetic, 2)


def stop_gradient(x: Any) -> Any:
    """x, an array or a tree of arrays, as a constant for derivatives."""
    return tree.map(lambda leaf: bind(ops.stop_gradient, value(leaf)), x)


def pow(x: ArrayLike, y: ArrayLike) -> Array:
    """x to the y, which is of the dtype of x, or an integer."""
    base, exponent = operand(x), operand(y)
    if dtype_of(exponent).kind in "iu" and dtype_of(base).kind == "f":
        return ufuncs.power(value(base), exponent)
    return bind(ops.pow, *_same_dtype("pow", (base, exponent)))


def integer_pow(x: ArrayLike, y: int) -> Array:
    """x to the y, a Python int."""
    return bind(ops.integer_pow, value(x), n=size_argument(y, "the exponent"))


def reciprocal(x: ArrayLike) -> Array:
    """1 / x."""
    return ufuncs.reciprocal(x)


def polygamma(m: ArrayLike, x: ArrayLike) -> Array:
    """The m-th derivative of digamma; m is a known whole number."""
    order = int(m)
    return digamma(x) if order == 0 else bind(special.polygamma, value(x), n=order)


class RoundingMethod(enum.IntEnum):
    """What becomes of a number in the middle between two whole ones."""

    AWAY_FROM_ZERO = 0
    TO_NEAREST_EVEN = 1


def round(
    x: ArrayLike, rounding_method: RoundingMethod = RoundingMethod.AWAY_FROM_ZERO
) -> Array:
    """The nearest whole number."""
    x = value(x)
    if rounding_method == RoundingMethod.TO_NEAREST_EVEN:
        return bind(ops.round_even, x)
    whole = bind(ops.trunc, x)
    rest = ufuncs.absolute(ufuncs.subtract(x, whole))
    return add(whole, select(ufuncs.greater_equal(rest, 0.5), sign(x), _zeros_like(x)))


def _zeros_like(x: Array) -> Array:
    """Zeros of the type of x."""
    return full_of(0, x.dtype, x.shape)


def clamp(min: ArrayLike, x: ArrayLike, max: ArrayLike) -> Array:
    """x, but at least min and at most max; there and beyond its derivative is 0, as in JAX."""
    low, y, high = (plain(z) for z in _same_dtype("clamp", [operand(z) for z in (min, x, max)]))
    return select(ufuncs.less_equal(y, low), low, select(ufuncs.greater_equal(y, high), high, y))


def select(pred: ArrayLike, on_true: ArrayLike, on_false: ArrayLike) -> Array:
    """on_true where pred holds, else on_false."""
    x, y = _same_dtype("select", (operand(on_true), operand(on_false)))
    condition = value(pred)
    shape = np.broadcast_shapes(shape_of(condition), shape_of(x))
    return bind(
        ops.select, shaping.broadcast_to(condition, shape),
        *(shaping.broadcast_to(plain(z), shape) for z in (x, y)),
    )  # fmt: skip


def select_n(which: ArrayLike, *cases: ArrayLike) -> Array:
    """cases[which], element by element; which is bool or integer."""
    which = value(which)
    if which.dtype == BOOL:
        if len(cases) != 2:
            raise fault(ArgumentError, f"select_n of a bool takes two cases, got {len(cases)}")
        return select(which, cases[1], cases[0])
    result = value(cases[-1])
    for index in reversed(builtins.range(len(cases) - 1)):
        result = select(ufuncs.less_equal(which, index), cases[index], result)
    return result


def convert_element_type(operand: ArrayLike, new_dtype: DTypeLike) -> Array:
    """The operand in another dtype."""
    return creation.astype(operand, new_dtype)


def bitcast_convert_type(operand: ArrayLike, new_dtype: DTypeLike) -> Array:
    """The bits of the operand as a dtype of the same width."""
    return bind(ops.bitcast, value(operand), dtype=as_dtype(new_dtype))


# Creation


def full(shape: Any, fill_value: ArrayLike, dtype: DTypeLike = None) -> Array:
    """One number in a shape."""
    return creation.full(shape, fill_value, dtype)


def full_like(
    x: ArrayLike, fill_value: ArrayLike, dtype: DTypeLike = None, shape: Any = None
) -> Array:
    """One number in the shape and dtype of x."""
    return creation.full_like(x, fill_value, dtype, shape=shape)


def broadcasted_iota(dtype: DTypeLike, shape: Any, dimension: int) -> Array:
    """0, 1, 2, ... along one axis of a shape. While tracing it is computed, not stored."""
    params: dict[str, Any] = {
        "dtype": as_dtype(dtype), "shape": shape_argument(shape), "axis": int(dimension)
    }  # fmt: skip
    trace = current_trace()
    if trace is None:
        return bind(structure.iota, **params)
    trace.provenance = user_frame()
    (out,) = trace.emit(structure.iota, (), params)
    return Tracer(trace, out)


def iota(dtype: DTypeLike, size: int) -> Array:
    """0, 1, 2, ..., size - 1."""
    return broadcasted_iota(dtype, (size,), 0)


# Shapes


def broadcast(operand: ArrayLike, sizes: Sequence[int]) -> Array:
    """The operand repeated along new leading axes."""
    x = value(operand)
    return shaping.broadcast_to(x, (*sizes, *x.shape))


def broadcast_in_dim(
    operand: ArrayLike, shape: Any, broadcast_dimensions: Sequence[int]
) -> Array:
    """Axis i of the operand as axis broadcast_dimensions[i] of a shape; length 1 is repeated."""
    x, target = value(operand), shape_argument(shape)
    dims = tuple(_ints(broadcast_dimensions))
    fits = len(dims) == x.ndim and all(
        n in (1, target[d]) for n, d in zip(x.shape, dims, strict=True)
    )
    if not fits:
        raise fault(ShapeError, f"broadcast_in_dim: {x.shape} at {dims} does not fit {target}")
    kept = [i for i, d in enumerate(dims) if x.shape[i] == target[d]]
    x = reshape_to(x, tuple(x.shape[i] for i in kept))
    return spread(x, target, tuple(dims[i] for i in kept))


def _ints(xs: Sequence[Any]) -> list[int]:
    """Known whole numbers as ints."""
    return [operator.index(x) for x in xs]


def reshape(
    operand: ArrayLike, new_sizes: Any, dimensions: Sequence[int] | None = None
) -> Array:
    """The same elements in another shape; `dimensions` permutes the axes first."""
    x = operand if dimensions is None else shaping.transpose(operand, dimensions)
    return shaping.reshape(x, new_sizes)


def transpose(operand: ArrayLike, permutation: Sequence[int]) -> Array:
    """Axis i of the result is axis permutation[i] of the operand."""
    return shaping.transpose(operand, _ints(permutation))


def expand_dims(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """With new axes of length 1 at these places of the result."""
    return shaping.expand_dims(array, tuple(dimensions))


def squeeze(array: ArrayLike, dimensions: Sequence[int]) -> Array:
    """Without these axes of length 1."""
    return shaping.squeeze(array, tuple(dimensions))


def collapse(operand: ArrayLike, start_dimension: int, stop_dimension: int | None = None) -> Array:
    """Several axes as one."""
    x = value(operand)
    stop = x.ndim if stop_dimension is None else stop_dimension
    middle = math.prod(x.shape[start_dimension:stop])
    return reshape_to(x, (*x.shape[:start_dimension], middle, *x.shape[stop:]))


def concatenate(operands: Sequence[ArrayLike], dimension: int) -> Array:
    """Arrays one behind the other along an axis."""
    return concatenate_arrays(operands, dimension)


def split(operand: ArrayLike, sizes: Sequence[int], axis: int = 0) -> list[Array]:
    """Parts of these sizes along an axis."""
    return shaping.array_split(operand, [int(n) for n in np.cumsum(sizes)[:-1]], axis)


def rev(operand: ArrayLike, dimensions: Sequence[int]) -> Array:
    """The order of elements turned round along axes."""
    return shaping.flip(operand, tuple(dimensions))


def pad(
    operand: ArrayLike, padding_value: ArrayLike, padding_config: Sequence[tuple[int, int, int]]
) -> Array:
    """(low, high, interior) for each axis: fills around and between; negative ones cut away."""
    x = value(operand)
    fill = value(padding_value, x.dtype)
    low, high, interior = (tuple(_ints(p)) for p in zip(*padding_config, strict=True))
    if builtins.min(interior, default=0) < 0 or len(low) != x.ndim:
        raise fault(ArgumentError, f"pad: {padding_config} does not fit shape {x.shape}")
    around: list[Any] = [tuple(builtins.max(n, 0) for n in side) for side in (low, high)]
    if any(n > 0 for n in (*low, *high, *interior)):
        x = bind(structure.pad, x, fill, low=around[0], high=around[1], interior=interior)
    cuts = [
        slice_object(-builtins.min(a, 0), n + builtins.min(b, 0))
        for a, b, n in zip(low, high, x.shape, strict=True)
    ]
    return indexing.getitem(x, tuple(cuts))


# Windows


def slice(
    operand: ArrayLike, start_indices: Sequence[int], limit_indices: Sequence[int],
    strides: Sequence[int] | None = None,
) -> Array:  # fmt: skip
    """operand[start:limit:stride] along each axis."""
    x = value(operand)
    steps = (1,) * x.ndim if strides is None else strides
    start, limit, stride = (tuple(_ints(v)) for v in (start_indices, limit_indices, steps))
    return bind(structure.slice, x, start=start, limit=limit, stride=stride)


def slice_in_dim(
    operand: ArrayLike, start_index: int | None, limit_index: int | None, stride: int = 1,
    axis: int = 0,
) -> Array:  # fmt: skip
    """operand[start:limit:stride] along one axis."""
    x = value(operand)
    axis = one_axis(axis, x.ndim)
    part = slice_object(start_index, limit_index, stride)
    return indexing.getitem(x, (slice_object(None),) * axis + (part,))


def index_in_dim(
    operand: ArrayLike, index: int, axis: int = 0, keepdims: bool = True
) -> Array:
    """operand[index] along an axis, which stays unless said."""
    x = value(operand)
    axis = one_axis(axis, x.ndim)
    y = indexing.getitem(x, (slice_object(None),) * axis + (int(index),))
    return shaping.expand_dims(y, axis) if keepdims else y


def _starts(x: Array, starts: Any) -> list[Any]:
    """Starts as the primitives take them: negative ones count from the end."""
    given = [starts[i] for i in range(len(starts))]
    if len(given) != x.ndim:
        raise fault(ShapeError, f"{len(given)} starts for an array of rank {x.ndim}")
    results: list[Any] = []
    for start, n in zip(given, x.shape, strict=True):
        start = operand(start)
        if isinstance(start, Tracer):
            results.append(indexing.wrapped(start, n))
        else:
            at = int(start)
            results.append(splat(at + n if at < 0 else at, INT64, ()))
    return results


def dynamic_slice(operand: ArrayLike, start_indices: Any, slice_sizes: Sequence[int]) -> Array:
    """A window of known sizes at computed starts, moved so that it fits."""
    x = value(operand)
    sizes = shape_argument(slice_sizes)
    return bind(places.dynamic_slice, x, *_starts(x, start_indices), sizes=sizes)


def dynamic_update_slice(operand: ArrayLike, update: ArrayLike, start_indices: Any) -> Array:
    """The operand with a window at computed starts overwritten."""
    x = value(operand)
    new = value(update, x.dtype)
    return bind(places.dynamic_update_slice, x, new, *_starts(x, start_indices))


def _one_start(x: Array, start: Any, axis: int) -> list[Any]:
    starts: list[Any] = [0] * x.ndim
    starts[axis] = start
    return starts


def dynamic_slice_in_dim(
    operand: ArrayLike, start_index: ArrayLike, slice_size: int, axis: int = 0
) -> Array:
    """A window of known size at a computed start along one axis."""
    x = value(operand)
    axis = one_axis(axis, x.ndim)
    sizes = [*x.shape]
    sizes[axis] = slice_size
    return dynamic_slice(x, _one_start(x, start_index, axis), sizes)


def dynamic_index_in_dim(
    operand: ArrayLike, index: ArrayLike, axis: int = 0, keepdims: bool = True
) -> Array:
    """operand[index] along an axis, which stays unless said; the index is computed."""
    x = value(operand)
    y = dynamic_slice_in_dim(x, index, 1, axis)
    return y if keepdims else shaping.squeeze(y, one_axis(axis, x.ndim))


def dynamic_update_slice_in_dim(
    operand: ArrayLike, update: ArrayLike, start_index: ArrayLike, axis: int
) -> Array:
    """The operand with a window at a computed start along one axis overwritten."""
    x = value(operand)
    return dynamic_update_slice(x, update, _one_start(x, start_index, one_axis(axis, x.ndim)))


def dynamic_update_index_in_dim(
    operand: ArrayLike, update: ArrayLike, index: ArrayLike, axis: int
) -> Array:
    """The operand with what is at a computed index of an axis overwritten."""
    x, new = value(operand), value(update)
    axis = one_axis(axis, x.ndim)
    if new.ndim != x.ndim:
        new = shaping.expand_dims(new, axis)
    return dynamic_update_slice_in_dim(x, new, index, axis)


def index_take(src: ArrayLike, idxs: Sequence[ArrayLike], axes: Sequence[int]) -> Array:
    """The elements at indices along several axes at once."""
    x = value(src)
    index: list[Any] = [slice_object(None)] * x.ndim
    for i, axis in zip(idxs, axes, strict=True):
        index[one_axis(axis, x.ndim)] = i
    return indexing.getitem(x, tuple(index))


# Products


def dot(
    lhs: ArrayLike, rhs: ArrayLike, *, dimension_numbers: Any = None, precision: Any = None,
    preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """The product of vectors and matrices; with dimension numbers, dot_general."""
    if dimension_numbers is not None:
        return dot_general(lhs, rhs, dimension_numbers, precision, preferred_element_type)
    result = contraction.dot(lhs, rhs)
    return _preferred(result, preferred_element_type)


def _preferred(x: Array, dtype: DTypeLike) -> Array:
    return x if dtype is None else convert(x, as_dtype(dtype))


def dot_general(
    lhs: ArrayLike, rhs: ArrayLike, dimension_numbers: Any, precision: Any = None,
    preferred_element_type: DTypeLike = None,
) -> Array:  # fmt: skip
    """Sums of products: ((contracted axes), (batch axes)), for both; batch, lhs's, rhs's axes."""
    over, batch = dimension_numbers
    result = contraction.contract(value(lhs), value(rhs), over, batch, "dot_general")
    return _preferred(result, preferred_element_type)


def batch_matmul(lhs: ArrayLike, rhs: ArrayLike, precision: Any = None) -> Array:
    """Products of matrices in the last two axes."""
    return contraction.matmul(lhs, rhs)


# Reductions


def _reducing(name: str, primitive: Primitive) -> Callable[..., Array]:
    def function(operand: ArrayLike, axes: Sequence[int]) -> Array:
        x = value(operand)
        return reduce_with(primitive, x, tuple(sorted(one_axis(a, x.ndim) for a in axes)), False)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} over axes, in the dtype of the operand."
    return function


def _running(name: str, primitive: Primitive) -> Callable[..., Array]:
    def function(operand: ArrayLike, axis: int = 0, reverse: bool = False) -> Array:
        x = value(operand)
        return bind(primitive, x, axis=one_axis(axis, x.ndim), reverse=bool(reverse))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name} along an axis; from its end if `reverse`."
    return function


reduce_sum = _reducing("reduce_sum", structure.reduce_sum)
reduce_prod = _reducing("reduce_prod", reduction.reduce_prod)
reduce_max = _reducing("reduce_max", reduction.reduce_max)
reduce_min = _reducing("reduce_min", reduction.reduce_min)
reduce_and = _reducing("reduce_and", reduction.reduce_and)
reduce_or = _reducing("reduce_or", reduction.reduce_or)
reduce_xor = _reducing("reduce_xor", reduction.reduce_xor)
cumsum, cumprod = _running("cumsum", reduction.cumsum), _running("cumprod", reduction.cumprod)
cummax, cummin = _running("cummax", reduction.cummax), _running("cummin", reduction.cummin)
cumlogsumexp = _running("cumlogsumexp", reduction.cumlogsumexp)

#: The reduction that a function of two numbers makes, by the one primitive that it binds.
_REDUCTIONS = {
    ops.add: structure.reduce_sum, ops.mul: reduction.reduce_prod, ops.max: reduction.reduce_max,
    ops.min: reduction.reduce_min, ops.and_: reduction.reduce_and, ops.or_: reduction.reduce_or,
    ops.xor: reduction.reduce_xor,
}  # fmt: skip


def reduce(
    operands: ArrayLike, init_values: ArrayLike, computation: Callable[[Any, Any], Any],
    dimensions: Sequence[int],
) -> Array:  # fmt: skip
    """A reduction by lax.add, mul, max, min or a bitwise function of two numbers."""
    x = value(operands)
    number = array_type(x.dtype)
    equations = stage(lambda a, b: [computation(a, b)], [number, number]).jaxpr.equations
    found = _REDUCTIONS.get(equations[0].primitive) if len(equations) == 1 else None
    if found is None:
        raise fault(
            UnsupportedError, "lax.reduce knows add, mul, max, min, and, or and xor",
            "loop with lax.scan for another computation",
        )  # fmt: skip
    y = reduce_with(found, x, tuple(sorted(one_axis(a, x.ndim) for a in dimensions)), False)
    return value(computation(y, value(init_values, x.dtype)))


def _extremum(name: str, primitive: Primitive) -> Callable[..., Array]:
    def function(operand: ArrayLike, axis: int, index_dtype: DTypeLike) -> Array:
        x = value(operand)
        return bind(primitive, x, axis=one_axis(axis, x.ndim), dtype=as_dtype(index_dtype))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{name}: the index of the first one along an axis."
    return function


argmax = _extremum("argmax", reduction.argmax)
argmin = _extremum("argmin", reduction.argmin)


# Sorting


def sort(
    operand: Any, dimension: int = -1, is_stable: bool = True, num_keys: int = 1
) -> Any:
    """One array, or several by the first `num_keys` of them, in ascending order; NaN last."""
    if isinstance(operand, (tuple, list)):
        xs = [value(x) for x in operand]
        return bind(reduction.sort, *xs, axis=one_axis(dimension, xs[0].ndim), keys=num_keys)
    return sorting.sort(operand, dimension)


def sort_key_val(
    keys: ArrayLike, values: ArrayLike, dimension: int = -1, is_stable: bool = True
) -> tuple[Array, Array]:
    """Keys in ascending order, and the values that go with them."""
    return tuple(sort((keys, values), dimension))  # type: ignore[return-value]


def top_k(operand: ArrayLike, k: int, *, axis: int = -1) -> tuple[Array, Array]:
    """The k largest elements along an axis, the largest first, and their indices."""
    x = value(operand)
    at = one_axis(axis, x.ndim)
    if not 0 <= k <= x.shape[at]:
        raise fault(ArgumentError, f"top_k: {k} of the {x.shape[at]} elements along axis {at}")
    order = shaping.part(sorting.argsort(x, at, descending=True), at, 0, k)
    return indexing.take_along_axis(x, order, at), convert(order, INT32)


_CONTROL = (associative_scan, cond, fori_loop, map, scan, switch, while_loop)

__all__ = sorted(
    [control.__name__ for control in _CONTROL]
    + [
        name
        for name, found in globals().items()
        if getattr(found, "__module__", None) == __name__ and not name.startswith("_")
    ]
)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.lax has no {name!r}; {nearest(name, __all__)}")

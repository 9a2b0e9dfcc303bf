"""Functions element by element: they bind a primitive on operands of one dtype."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.errors import ArgumentError, DTypeError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import BOOL, COMPLEX, COMPLEX_OF, INEXACT
from tracejit.numpy import creation, shaping, ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    DTypeLike,
    fault,
    full_of,
    operand,
    plain,
    shape_of,
    size_argument,
    unify,
    value,
)
from tracejit.numpy.promotion import as_dtype, dtype_of, is_weak
from tracejit.ops import complex as parts
from tracejit.ops import elementwise as ops
from tracejit.ops import special
from tracejit.trace.tracer import bind

__all__ = [
    "RoundingMethod", "abs", "acos", "acosh", "add", "asin", "asinh", "atan", "atan2", "atanh",
    "bessel_i0e", "bessel_i1e", "bitcast_convert_type", "bitwise_and", "bitwise_not",
    "bitwise_or", "bitwise_xor", "cbrt", "ceil", "clamp", "clz", "complex", "conj",
    "convert_element_type", "cos", "cosh", "digamma", "div", "eq", "erf", "erf_inv", "erfc",
    "exp", "exp2", "expm1", "floor", "ge", "gt", "imag", "integer_pow", "is_finite", "le",
    "lgamma", "log", "log1p", "logistic", "lt", "max", "min", "mul", "ne", "neg", "nextafter",
    "polygamma", "population_count", "pow", "real", "reciprocal", "rem", "round", "rsqrt",
    "select", "select_n", "shift_left", "shift_right_arithmetic", "shift_right_logical", "sign",
    "sin", "sinh", "sqrt", "square", "stop_gradient", "sub", "tan", "tanh",
]  # fmt: skip

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
bessel_i0e = _elementwise("bessel_i0e", special.i0e)
bessel_i1e = _elementwise("bessel_i1e", special.i1e)
real, imag = _elementwise("real", parts.real), _elementwise("imag", parts.imag)

add, sub = _elementwise("add", ops.add, 2), _elementwise("sub", ops.sub, 2)
div = _elementwise("div", ops.div, 2)
rem, atan2 = _elementwise("rem", ops.rem, 2), _elementwise("atan2", ops.atan2, 2)
nextafter = _elementwise("nextafter", ops.nextafter, 2)
eq, ne = _elementwise("eq", ops.eq, 2), _elementwise("ne", ops.ne, 2)
lt, le = _elementwise("lt", ops.lt, 2), _elementwise("le", ops.le, 2)
gt, ge = _elementwise("gt", ops.gt, 2), _elementwise("ge", ops.ge, 2)
bitwise_and, bitwise_or = (_elementwise(p.name, p, 2) for p in (ops.and_, ops.or_))
bitwise_xor = _elementwise("bitwise_xor", ops.xor, 2)
shift_left = _elementwise("shift_left", ops.shift_left, 2)
shift_right_logical = _elementwise("shift_right_logical", ops.shift_right_logical, 2)
shift_right_arithmetic = _elementwise("shift_right_arithmetic", ops.shift_right_arithmetic, 2)


complex = _elementwise("complex", parts.complex, 2)


def conj(x: ArrayLike, input_dtype: DTypeLike = None) -> Array:
    """The conjugate; of a float the complex number with that real part."""
    x = value(x)
    if x.dtype in COMPLEX_OF:
        return value(x, COMPLEX_OF[x.dtype])
    return bind(parts.conj, x)


def _extremum(name: str, primitive: Primitive, first: Callable[..., Array]) -> Callable[..., Array]:
    """Of complex numbers that of the real parts, or of the imaginary ones where those are equal."""

    def function(x: ArrayLike, y: ArrayLike) -> Array:
        x, y = _same_dtype(name, (operand(x), operand(y)))
        if x.dtype not in COMPLEX:
            return bind(primitive, x, y)
        (x_real, y_real), (x_imag, y_imag) = (
            (bind(part, x), bind(part, y)) for part in (parts.real, parts.imag)
        )
        tied = ufuncs.logical_and(ufuncs.equal(x_real, y_real), first(x_imag, y_imag))
        ahead = ufuncs.logical_or(first(x_real, y_real), tied)
        x, y = plain(x), plain(y)
        return select(ufuncs.logical_or(ahead, ufuncs.isnan(x)), x, y)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{primitive.__doc__} Element by element."
    return function


max = _extremum("max", ops.max, ufuncs.greater)
min = _extremum("min", ops.min, ufuncs.less)


def mul(x: ArrayLike, y: ArrayLike, *, out_dtype: DTypeLike = None) -> Array:
    """The product, element by element; in another dtype where said, operands converted first."""
    if out_dtype is None:
        return bind(ops.mul, *_same_dtype("mul", (operand(x), operand(y))))
    dtype = as_dtype(out_dtype)
    return bind(ops.mul, *unify([value(x, dtype), value(y, dtype)]))


def stop_gradient(x: Any) -> Any:
    """x, an array or a tree of arrays, as a constant for derivatives."""
    return tree.map(lambda leaf: bind(ops.stop_gradient, value(leaf)), x)


def pow(x: ArrayLike, y: ArrayLike) -> Array:
    """x to the y, which is of the dtype of x, or an integer."""
    base, exponent = operand(x), operand(y)
    if dtype_of(exponent).kind in "iu" and dtype_of(base) in INEXACT:
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
    for index in reversed(range(len(cases) - 1)):
        result = select(ufuncs.less_equal(which, index), cases[index], result)
    return result


def convert_element_type(operand: ArrayLike, new_dtype: DTypeLike) -> Array:
    """The operand in another dtype."""
    return creation.astype(operand, new_dtype)


def bitcast_convert_type(operand: ArrayLike, new_dtype: DTypeLike) -> Array:
    """The bits of the operand as a dtype of the same width."""
    return bind(ops.bitcast, value(operand), dtype=as_dtype(new_dtype))

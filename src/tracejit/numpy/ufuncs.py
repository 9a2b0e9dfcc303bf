"""NumPy's element by element functions: rows that say how operands meet and what is bound."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, DTypeError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import (
    BOOL,
    COMPLEX,
    COMPLEX128,
    FLOAT32,
    FLOAT64,
    FLOATS,
    HALVES,
    INEXACT,
    INT32,
    INT64,
    SIGNED,
    finfo,
)
from tracejit.numpy.arrays import (
    Array,
    convert,
    fault,
    full_of,
    known_number,
    matched,
    shape_of,
    splat,
    unify,
    value,
)
from tracejit.numpy.kinds import (
    Body,
    binds_floats,
    comparing,
    of_bits,
    of_float,
    of_float_or_identity,
    of_floats,
    of_number,
    of_numbers,
    of_truth,
    refuse_complex,
    to_float,
    to_real,
)
from tracejit.numpy.promotion import (
    dtype_of,
    is_weak,
    quotient_dtype,
    result_dtype,
    result_float,
)
from tracejit.numpy.ufunc import Ufunc
from tracejit.ops import complex as parts
from tracejit.ops import elementwise as ops
from tracejit.trace.tracer import Tracer, bind

__all__ = [
    "abs", "absolute", "acos", "acosh", "add", "arccos", "arccosh", "arcsin", "arcsinh",
    "arctan", "arctan2", "arctanh", "asin", "asinh", "atan", "atan2", "atanh", "bitwise_and",
    "bitwise_count", "bitwise_invert", "bitwise_left_shift", "bitwise_not", "bitwise_or",
    "bitwise_right_shift", "bitwise_xor", "cbrt", "ceil", "conj", "conjugate", "copysign",
    "cos", "cosh", "deg2rad", "degrees", "divide", "divmod", "equal", "exp", "exp2", "expm1",
    "fabs", "float_power", "floor", "floor_divide", "fmax", "fmin", "fmod", "frexp", "greater",
    "greater_equal", "heaviside", "hypot", "invert", "isfinite", "isinf", "isnan", "ldexp",
    "left_shift", "less", "less_equal", "log", "log1p", "log2", "log10", "logaddexp",
    "logaddexp2", "logical_and", "logical_not", "logical_or", "logical_xor", "maximum",
    "minimum", "mod", "modf", "multiply", "negative", "nextafter", "not_equal", "positive",
    "pow", "power", "rad2deg", "radians", "reciprocal", "remainder", "right_shift", "rint",
    "sign", "signbit", "sin", "sinh", "spacing", "sqrt", "square", "subtract", "tan", "tanh",
    "true_divide", "trunc",
]  # fmt: skip


def _unary(name: str, body: Body, doc: str, nout: int = 1) -> Ufunc:
    return Ufunc(name, body, 1, doc, nout)


def _binary(name: str, body: Body, doc: str, nout: int = 1) -> Ufunc:
    return Ufunc(name, body, 2, doc, nout)


# Arithmetic

add = _binary("add", of_numbers(ops.add, "add", ops.or_), "x + y; of bools, or.")
subtract = _binary("subtract", of_numbers(ops.sub, "subtract"), "x - y.")
multiply = _binary("multiply", of_numbers(ops.mul, "multiply", ops.and_), "x * y; of bools, and.")
negative = _unary("negative", of_number(ops.neg, "negative"), "-x.")
positive = _unary("positive", value, "x itself.")


def _divide(x: Any, y: Any) -> Array:
    if (found := matched(x, y)) and dtype_of(found[0]) in INEXACT:
        return bind(ops.div, *found)
    return bind(ops.div, *unify((x, y), quotient_dtype(x, y)))


divide = _binary(
    "divide", binds_floats(ops.div, _divide), "x / y, the true quotient: integers are converted."
)
true_divide = divide


def _apart(x: Any, y: Any) -> Array:
    """Whether the signs of two operands differ (a remainder x, a divisor y that may be known)."""
    dtype = dtype_of(x)
    if dtype.kind == "u":
        return full_of(False, BOOL, shape_of(x))
    nothing = splat(0, dtype, shape_of(x))
    return bind(ops.xor, bind(ops.lt, x, nothing), bind(ops.lt, y, nothing))


def _needs_shift(rest: Any, y: Any) -> Array:
    """Where a truncated quotient is above the floored one: a rest whose sign is not that of y."""
    nonzero = bind(ops.ne, rest, splat(0, dtype_of(rest), shape_of(rest)))
    return bind(ops.and_, nonzero, _apart(rest, y))


def _divisor(x: Any, y: Any) -> tuple[Any, Any, np.dtype]:
    dtype = result_dtype(x, y)
    dtype = np.dtype(np.int8) if dtype == BOOL else dtype
    x, y = unify((x, y), dtype)
    return x, y, dtype


def _floor_divide(x: Any, y: Any) -> Array:
    """The quotient rounded down; for an integer y of 0 it is 0, as in NumPy."""
    x, y, dtype = _divisor(x, y)
    rest = bind(ops.rem, x, y)
    if dtype in FLOATS:
        quotient = bind(ops.round_even, bind(ops.div, bind(ops.sub, x, rest), y))
    else:
        quotient = bind(ops.div, x, y)
    if dtype.kind != "u":
        one = splat(1, dtype, shape_of(quotient))
        lower = bind(ops.sub, quotient, one)
        quotient = bind(ops.select, _needs_shift(rest, y), lower, quotient)
    if _known_nonzero(y):
        return quotient
    zero = splat(0, dtype, shape_of(quotient))
    by_zero = bind(ops.div, x, y) if dtype in FLOATS else zero
    return bind(ops.select, _is_zero(y), by_zero, quotient)


def _is_zero(x: Any) -> Array:
    return bind(ops.eq, x, splat(0, dtype_of(x), shape_of(x)))


def _known_nonzero(y: Any) -> bool:
    atom = y.atom if isinstance(y, Tracer) else y
    return getattr(atom, "value", 0) != 0


def _remainder(x: Any, y: Any) -> Array:
    """x - y floor(x / y), with the sign of y; for an integer y of 0 it is 0."""
    x, y, dtype = _divisor(x, y)
    rest = bind(ops.rem, x, y)
    if dtype.kind != "u":
        rest = bind(ops.select, _needs_shift(rest, y), bind(ops.add, rest, y), rest)
    if dtype in FLOATS or _known_nonzero(y):
        return rest
    return bind(ops.select, _is_zero(y), splat(0, dtype, shape_of(rest)), rest)


def _fmod(x: Any, y: Any) -> Array:
    x, y, dtype = _divisor(x, y)
    rest = bind(ops.rem, x, y)
    if dtype in FLOATS or _known_nonzero(y):
        return rest
    return bind(ops.select, _is_zero(y), splat(0, dtype, shape_of(rest)), rest)


floor_divide = _binary("floor_divide", _floor_divide, "x // y: the quotient rounded down.")
remainder = _binary("remainder", _remainder, "x % y: what floor_divide leaves, with y's sign.")
mod = remainder
fmod = _binary("fmod", _fmod, "What a truncated division leaves, with the sign of x.")
divmod = _binary(
    "divmod", lambda x, y: (_floor_divide(x, y), _remainder(x, y)), "(x // y, x % y).", nout=2
)

# Powers and roots

#: Whole exponents up to here become multiplications; beyond, pow is the more accurate.
_LARGEST_INTEGER_POWER = 64


def _power(x: Any, y: Any) -> Array:
    """x ** y. A known whole exponent becomes `integer_pow`, and a known 0.5 sqrt, as in NumPy."""
    dtype = result_dtype(x, y)
    if dtype == BOOL:
        dtype = np.dtype(np.int8)
    exponent = known_number(y)
    if exponent is not None:
        if dtype in INEXACT and exponent == 0.5 and isinstance(exponent, float):
            return bind(ops.sqrt, value(x, dtype))
        if dtype not in INEXACT and exponent < 0:
            raise fault(
                ArgumentError, "integers to negative integer powers are not defined",
                "convert one of them: x.astype(float)",
            )  # fmt: skip
        whole = not isinstance(exponent, complex) and math.isfinite(exponent)
        whole = whole and exponent == int(exponent)
        if whole and -_LARGEST_INTEGER_POWER <= exponent <= _LARGEST_INTEGER_POWER:
            n = int(exponent)
            base = value(x, dtype)
            return base if n == 1 else bind(ops.integer_pow, base, n=n)
    return bind(ops.pow, *unify((x, y), dtype))


def _float_power(x: Any, y: Any) -> Array:
    dtype = COMPLEX128 if {dtype_of(x), dtype_of(y)} & COMPLEX else FLOAT64
    return _power(value(x, dtype), y if is_weak(y) else value(y, dtype))


def _square(x: Any) -> Array:
    x = value(x)
    return bind(ops.square, convert(x, np.dtype(np.int8)) if dtype_of(x) == BOOL else x)


def _reciprocal(x: Any) -> Array:
    x = value(x)
    return bind(ops.div, splat(1, x.dtype, shape_of(x)), x)


power = _binary("power", _power, "x ** y.")
pow = power
float_power = _binary("float_power", _float_power, "x ** y in float64, or complex128.")
square = _unary("square", binds_floats(ops.square, _square), "x * x.")
sqrt = _unary("sqrt", of_float(ops.sqrt), "The square root; NaN below 0.")
cbrt = _unary("cbrt", of_float(ops.cbrt), "The cube root.")
reciprocal = _unary("reciprocal", _reciprocal, "1 / x, truncated for integers.")

# Sizes, signs, rounding


def _absolute(x: Any) -> Array:
    x = value(x)
    return x if x.dtype.kind in "bu" else bind(ops.abs, x)


def _sign(x: Any) -> Array:
    if dtype_of(x) == BOOL:
        raise fault(DTypeError, "sign of bools is not defined")
    return bind(ops.sign, value(x))


def _copysign(x: Any, y: Any) -> Array:
    x, y = unify((x, y), result_float(x, y))
    differ = bind(ops.ne, bind(ops.sign_bit, x), bind(ops.sign_bit, y))
    return bind(ops.select, differ, bind(ops.neg, x), x)


def _heaviside(x: Any, y: Any) -> Array:
    x, y = unify((x, y), result_float(x, y))
    nothing, one = (splat(n, dtype_of(x), shape_of(x)) for n in (0, 1))
    step = bind(ops.select, bind(ops.lt, x, nothing), nothing, one)
    nan_too = bind(ops.select, bind(ops.ne, x, x), x, step)
    return bind(ops.select, bind(ops.eq, x, nothing), y, nan_too)


def _spacing(x: Any) -> Array:
    x = to_real(x, "spacing")
    size = bind(ops.abs, x)
    gap = bind(ops.sub, bind(ops.nextafter, size, splat(math.inf, x.dtype, x.shape)), size)
    return _copysign(gap, x)


def _modf(x: Any) -> tuple[Array, Array]:
    """The fraction and the whole part, both with the sign of x."""
    x = to_real(x, "modf")
    whole = bind(ops.trunc, x)
    infinite = bind(ops.eq, bind(ops.abs, x), splat(math.inf, x.dtype, x.shape))
    rest = bind(ops.select, infinite, splat(0, x.dtype, x.shape), bind(ops.sub, x, whole))
    return _copysign(rest, x), whole


def _rint(x: Any) -> Array:
    x = to_float(x)
    if x.dtype not in COMPLEX:
        return bind(ops.round_even, x)
    both = [bind(ops.round_even, bind(part, x)) for part in (parts.real, parts.imag)]
    return bind(parts.complex, *both)


absolute = _unary("absolute", _absolute, "|x|; its derivative at 0 is 0.")
abs = absolute
fabs = _unary(
    "fabs", binds_floats(ops.abs, lambda x: bind(ops.abs, to_real(x, "fabs"))), "|x|, in floats."
)
sign = _unary("sign", _sign, "-1, 0 or 1 by the sign of x; x / |x| of a complex number.")
signbit = _unary("signbit", of_float(ops.sign_bit), "Whether the sign bit is set.")
copysign = _binary("copysign", _copysign, "The size of x with the sign of y.")
heaviside = _binary("heaviside", _heaviside, "0 below 0, 1 above, y at 0.")
floor = _unary("floor", of_float_or_identity(ops.floor), "The largest whole number up to x.")
ceil = _unary("ceil", of_float_or_identity(ops.ceil), "The smallest whole number from x on.")
trunc = _unary("trunc", of_float_or_identity(ops.trunc), "x rounded toward 0.")
rint = _unary(
    "rint", binds_floats(ops.round_even, _rint), "x rounded to the nearest, ties to even."
)
nextafter = _binary("nextafter", of_floats(ops.nextafter), "The float next to x toward y.")
spacing = _unary("spacing", _spacing, "The distance to the next float away from 0.")
modf = _unary("modf", _modf, "The fraction and the whole part of x.", nout=2)

# Larger and smaller


def _ignoring_nan(primitive: Primitive) -> Body:
    """As maximum or minimum, but NaN loses to a number."""

    def body(x: Any, y: Any) -> Array:
        dtype = result_dtype(x, y)
        x, y = unify((x, y), dtype)
        best = bind(primitive, x, y)
        if dtype not in FLOATS:
            return best
        best = bind(ops.select, bind(ops.ne, x, x), y, best)
        return bind(ops.select, bind(ops.ne, y, y), x, best)

    return body


maximum = _binary(
    "maximum", of_numbers(ops.max, "maximum", ops.or_), "The larger operand; NaN if either is."
)
minimum = _binary(
    "minimum", of_numbers(ops.min, "minimum", ops.and_), "The smaller operand; NaN if either is."
)
fmax = _binary("fmax", _ignoring_nan(ops.max), "The larger operand, NaN ignored.")
fmin = _binary("fmin", _ignoring_nan(ops.min), "The smaller operand, NaN ignored.")

# Exponentials and logarithms


def _logaddexp(x: Any, y: Any) -> Array:
    """log(exp(x) + exp(y)) = h + softplus(l - h) for the higher h and the lower l.

    Chosen by `select`, so that derivatives of every order are right at x = y too. Where h is
    infinite, the difference may be NaN: there the result is max(x, y).
    """
    x, y = unify((x, y), result_float(x, y))
    first = bind(ops.ge, x, y)
    high, low = bind(ops.select, first, x, y), bind(ops.select, first, y, x)
    total = bind(ops.add, high, bind(ops.softplus, bind(ops.sub, low, high)))
    return bind(ops.select, bind(ops.is_finite, high), total, bind(ops.max, x, y))


def _logaddexp2(x: Any, y: Any) -> Array:
    """Of halves in float32, as NumPy: a product by log(2) would be rounded."""
    dtype = result_float(x, y)
    wide = FLOAT32 if dtype in HALVES else dtype
    x, y = (multiply.body(value(z, wide), math.log(2)) for z in (x, y))
    return convert(_divide(_logaddexp(x, y), math.log(2)), dtype)


exp = _unary("exp", of_float(ops.exp), "e to the x.")
exp2 = _unary("exp2", of_float(ops.exp2), "2 to the x.")
expm1 = _unary("expm1", of_float(ops.expm1), "exp(x) - 1, accurate near 0.")
log = _unary("log", of_float(ops.log), "The natural logarithm.")
log2 = _unary("log2", of_float(ops.log2), "The logarithm to base 2.")
log10 = _unary("log10", of_float(ops.log10), "The logarithm to base 10.")
log1p = _unary("log1p", of_float(ops.log1p), "log(1 + x), accurate near 0.")
logaddexp = _binary("logaddexp", _logaddexp, "log(exp(x) + exp(y)), without overflow.")
logaddexp2 = _binary("logaddexp2", _logaddexp2, "log2(2**x + 2**y), without overflow.")

# Trigonometric and hyperbolic functions


def _scaled(factor: float, name: str) -> Body:
    def body(x: Any) -> Array:
        x = to_real(x, name)
        return bind(ops.mul, x, splat(factor, x.dtype, x.shape))

    return body


def _hypot(x: Any, y: Any) -> Array:
    """sqrt(x x + y y), scaled by the larger so that it cannot overflow; derivative 0 at (0, 0)."""
    refuse_complex("hypot", x, y)
    x, y = (bind(ops.abs, z) for z in unify((x, y), result_float(x, y)))
    dtype, shape = dtype_of(x), shape_of(x)
    nothing, one, inf = (splat(n, dtype, shape) for n in (0, 1, math.inf))
    scale = bind(ops.stop_gradient, bind(ops.max, x, y))
    usable = bind(ops.and_, bind(ops.is_finite, scale), bind(ops.gt, scale, nothing))
    scale = bind(ops.select, usable, scale, one)
    x_squared, y_squared = (bind(ops.square, bind(ops.div, z, scale)) for z in (x, y))
    squares = bind(ops.add, x_squared, y_squared)
    at_zero = bind(ops.eq, squares, nothing)
    root = bind(ops.sqrt, bind(ops.select, at_zero, one, squares))
    result = bind(ops.select, at_zero, nothing, bind(ops.mul, scale, root))
    infinite = bind(ops.or_, bind(ops.eq, x, inf), bind(ops.eq, y, inf))
    return bind(ops.select, infinite, inf, result)


sin = _unary("sin", of_float(ops.sin), "The sine of x in radians.")
cos = _unary("cos", of_float(ops.cos), "The cosine of x in radians.")
tan = _unary("tan", of_float(ops.tan), "The tangent of x in radians.")
arcsin = _unary("arcsin", of_float(ops.asin), "The inverse sine, -pi/2 to pi/2.")
arccos = _unary("arccos", of_float(ops.acos), "The inverse cosine, 0 to pi.")
arctan = _unary("arctan", of_float(ops.atan), "The inverse tangent, -pi/2 to pi/2.")
arctan2 = _binary("arctan2", of_floats(ops.atan2), "The angle of the point (y, x), -pi to pi.")
hypot = _binary("hypot", _hypot, "sqrt(x**2 + y**2), without overflow.")
sinh = _unary("sinh", of_float(ops.sinh), "The hyperbolic sine.")
cosh = _unary("cosh", of_float(ops.cosh), "The hyperbolic cosine.")
tanh = _unary("tanh", of_float(ops.tanh), "The hyperbolic tangent.")
arcsinh = _unary("arcsinh", of_float(ops.asinh), "The inverse hyperbolic sine.")
arccosh = _unary("arccosh", of_float(ops.acosh), "The inverse hyperbolic cosine.")
arctanh = _unary("arctanh", of_float(ops.atanh), "The inverse hyperbolic tangent.")
degrees = _unary("degrees", _scaled(180 / math.pi, "degrees"), "Radians as degrees.")
radians = _unary("radians", _scaled(math.pi / 180, "radians"), "Degrees as radians.")
rad2deg = _unary("rad2deg", _scaled(180 / math.pi, "rad2deg"), "Radians as degrees.")
deg2rad = _unary("deg2rad", _scaled(math.pi / 180, "deg2rad"), "Degrees as radians.")
asin, acos, atan, atan2 = arcsin, arccos, arctan, arctan2
asinh, acosh, atanh = arcsinh, arccosh, arctanh

# Comparison and logic


def _isfinite(x: Any) -> Array:
    if dtype_of(x) not in INEXACT:
        return full_of(True, BOOL, shape_of(x))
    return bind(ops.is_finite, value(x))


def _isnan(x: Any) -> Array:
    if dtype_of(x) not in INEXACT:
        return full_of(False, BOOL, shape_of(x))
    x = value(x)
    return bind(ops.ne, x, x)


def _isinf(x: Any) -> Array:
    if dtype_of(x) not in INEXACT:
        return full_of(False, BOOL, shape_of(x))
    x = bind(ops.abs, value(x))  # of a complex number: inf if a part is
    return bind(ops.eq, x, splat(math.inf, x.dtype, x.shape))


equal = _binary("equal", comparing(ops.eq), "x == y.")
not_equal = _binary("not_equal", comparing(ops.ne), "x != y.")
less = _binary("less", comparing(ops.lt), "x < y.")
less_equal = _binary("less_equal", comparing(ops.le), "x <= y.")
greater = _binary("greater", comparing(ops.gt), "x > y.")
greater_equal = _binary("greater_equal", comparing(ops.ge), "x >= y.")
isfinite = _unary("isfinite", _isfinite, "Whether x is a number and not infinite.")
isnan = _unary("isnan", _isnan, "Whether x is NaN.")
isinf = _unary("isinf", _isinf, "Whether x is infinite.")
logical_and = _binary("logical_and", of_truth(ops.and_), "Whether both are not 0.")
logical_or = _binary("logical_or", of_truth(ops.or_), "Whether either is not 0.")
logical_xor = _binary("logical_xor", of_truth(ops.xor), "Whether one alone is not 0.")
logical_not = _unary("logical_not", of_truth(ops.not_), "Whether x is 0.")

# Bits


def _shift_right(x: Any, y: Any) -> Array:
    dtype = result_dtype(x, y)
    if dtype == BOOL:
        dtype = np.dtype(np.int8)
    signed = dtype in SIGNED
    arithmetic = ops.shift_right_arithmetic if signed else ops.shift_right_logical
    return of_bits(arithmetic, "right_shift")(value(x, dtype), value(y, dtype))


def _shift_left(x: Any, y: Any) -> Array:
    dtype = result_dtype(x, y)
    if dtype == BOOL:
        x, y = value(x, np.dtype(np.int8)), value(y, np.dtype(np.int8))
    return of_bits(ops.shift_left, "left_shift")(x, y)


def _bitwise_count(x: Any) -> Array:
    """The bits set in |x|, as uint8."""
    x = _absolute(x)
    if x.dtype == BOOL:
        return convert(x, np.dtype(np.uint8))
    if x.dtype in INEXACT:
        raise fault(DTypeError, f"bitwise_count takes integers, not {x.dtype}")
    return convert(bind(ops.population_count, x), np.dtype(np.uint8))


bitwise_and = _binary("bitwise_and", of_bits(ops.and_, "bitwise_and"), "x & y.")
bitwise_or = _binary("bitwise_or", of_bits(ops.or_, "bitwise_or"), "x | y.")
bitwise_xor = _binary("bitwise_xor", of_bits(ops.xor, "bitwise_xor"), "x ^ y.")
invert = _unary("invert", of_bits(ops.not_, "invert"), "~x.")
bitwise_not = bitwise_invert = invert
left_shift = _binary("left_shift", _shift_left, "x << y.")
right_shift = _binary("right_shift", _shift_right, "x >> y.")
bitwise_left_shift, bitwise_right_shift = left_shift, right_shift
bitwise_count = _unary("bitwise_count", _bitwise_count, "The number of bits set in |x|.")

# Parts of floats


def _ldexp(x: Any, n: Any) -> Array:
    """x 2**n, in two steps, so that neither factor overflows where the result does not."""
    if dtype_of(n) in INEXACT:
        raise fault(DTypeError, "ldexp: the exponent must be an integer")
    dtype = to_real(x, "ldexp").dtype
    x, n = unify((value(x, dtype), value(n, dtype)), dtype)
    half = bind(ops.trunc, bind(ops.mul, n, splat(0.5, dtype, shape_of(n))))
    first, second = bind(ops.exp2, half), bind(ops.exp2, bind(ops.sub, n, half))
    return bind(ops.mul, bind(ops.mul, x, first), second)


#: By dtype: the integers as wide, the bits of the fraction, the mask and bias of the exponent.
_FIELDS = {FLOAT64: (INT64, 52, 2047, 1022), FLOAT32: (INT32, 23, 255, 126)}


def _frexp(x: Any) -> tuple[Array, Array]:
    """(m, e) with x = m 2**e and 1/2 <= |m| < 1: e from the bits of x, scaled if subnormal."""
    x = to_real(x, "frexp")
    dtype, shape = x.dtype, x.shape
    if dtype in HALVES:
        mantissa, exponent = _frexp(convert(x, FLOAT32))
        return convert(mantissa, dtype), exponent
    bits, width, mask, bias = _FIELDS[dtype]
    tiny = bind(ops.lt, bind(ops.abs, x), splat(finfo(dtype).tiny, dtype, shape))
    scaled = bind(ops.mul, x, splat(2.0**60, dtype, shape))
    raised = bind(ops.bitcast, bind(ops.select, tiny, scaled, x), dtype=bits)
    field = bind(ops.shift_right_logical, raised, splat(width, bits, shape))
    field = bind(ops.and_, field, splat(mask, bits, shape))
    exponent = subtract(convert(field, INT32), bias)
    exponent = bind(ops.select, tiny, subtract(exponent, 60), exponent)
    plain = bind(ops.and_, bind(ops.is_finite, x), not_equal(x, 0))
    exponent = bind(ops.select, plain, exponent, splat(0, INT32, shape))
    mantissa = bind(ops.select, plain, _ldexp(x, negative(exponent)), x)
    return mantissa, exponent


def _conjugate(x: Any) -> Array:
    x = value(x)
    return bind(parts.conj, x) if x.dtype in COMPLEX else x


ldexp = _binary("ldexp", _ldexp, "x times 2 to the n, for an integer n.")
frexp = _unary("frexp", _frexp, "The mantissa, 1/2 to 1, and the exponent of 2.", nout=2)
conjugate = _unary("conjugate", _conjugate, "x - iy of x + iy; a real number itself.")
conj = conjugate

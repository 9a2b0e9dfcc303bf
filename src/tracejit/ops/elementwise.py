"""Operations element by element: arithmetic, powers, exponentials, trigonometry, comparison, bits.

x, y: operands, of one type. z or y: the result. Conventions at kinks follow JAX: the derivative of
abs at 0 is 0, a tie of max or min gives half to each side, sign and floor have derivative 0. All of
them: docs/numerics.md.
"""

from __future__ import annotations

import builtins
import math
from typing import Any

import numpy as np

from tracejit.errors import DTypeError, ShapeError
from tracejit.ir.atoms import Arithmetic, Atom, Literal, is_zero, ones, zero
from tracejit.ir.primitive import (
    POINTWISE,
    ZERO,
    Derivatives,
    Primitive,
    Unknown,
    accept,
    binary,
    elementwise,
    linear,
    predicate,
    unary,
)
from tracejit.ir.types import (
    ALL,
    BITS,
    BOOL,
    COMPLEX,
    FLOATS,
    INEXACT,
    INTEGERS,
    NUMBERS,
    ORDERED,
    PART_OF,
    REALS,
    UNSIGNED,
    ArrayType,
    finfo,
    tangent_type,
)
from tracejit.ops.complex import complex as complex_of
from tracejit.ops.complex import conj, real

Cotangents = tuple[Atom | None, ...]

# Arithmetic.


def _add_jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom]:
    s, t = tangents
    return (t if is_zero(s) else s if is_zero(t) else add(s, t),)


def _add_transpose(cts: Any, inputs: Any) -> Cotangents:
    (ct,) = cts
    return tuple(ct if isinstance(x, Unknown) else None for x in inputs)


add = elementwise(
    "add", arity=2, accepts=NUMBERS, evaluate=np.add,
    jvp=_add_jvp, transpose=_add_transpose,
)  # fmt: skip


def _sub_jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom]:
    s, t = tangents
    return (s if is_zero(t) else neg(t) if is_zero(s) else sub(s, t),)


def _sub_transpose(cts: Any, inputs: Any) -> Cotangents:
    (ct,), (x, y) = cts, inputs
    return (ct if isinstance(x, Unknown) else None, neg(ct) if isinstance(y, Unknown) else None)


sub = elementwise(
    "sub", arity=2, accepts=NUMBERS, evaluate=np.subtract,
    jvp=_sub_jvp, transpose=_sub_transpose,
)  # fmt: skip


def _mul_transpose(cts: Any, inputs: Any) -> Cotangents:
    """Bilinear: one of the two is linear, the other known."""
    (ct,), (x, y) = cts, inputs
    return (mul(ct, y), None) if isinstance(x, Unknown) else (None, mul(ct, x))


mul = binary(
    "mul", accepts=NUMBERS, evaluate=np.multiply,
    derivatives=(lambda x, y, z: y, lambda x, y, z: x),
    transpose=_mul_transpose, scales=True,
)  # fmt: skip


def _div_value(x: Any, y: Any) -> Any:
    """True quotient of floats; integers are truncated toward zero (x // 0 is -1, as in XLA)."""
    if np.result_type(x) in INEXACT:
        return np.divide(x, y)
    safe = np.where(np.equal(y, 0), np.asarray(1, np.result_type(y)), y)
    quotient = np.floor_divide(x, safe)
    inexact = (quotient * safe != x) & ((x < 0) != (safe < 0))
    return np.where(np.equal(y, 0), -np.ones_like(x), quotient + inexact.astype(quotient.dtype))


div: Primitive = binary(
    "div", accepts=NUMBERS, evaluate=_div_value,
    derivatives=(lambda x, y, z: 1.0 / y, lambda x, y, z: -(z / y)),
    transpose=lambda cts, inputs: (div(cts[0], inputs[1]), None), scales=True,
    doc="x / y: the true quotient of floats, truncated toward zero for integers.",
)  # fmt: skip


def _rem_value(x: Any, y: Any) -> Any:
    if np.result_type(x).kind == "f":
        return np.fmod(x, y)
    return np.where(np.equal(y, 0), x, np.fmod(x, np.where(np.equal(y, 0), 1, y)))


rem = binary(
    "rem", accepts=REALS, evaluate=_rem_value,
    derivatives=(lambda x, y, z: ones(x.type), lambda x, y, z: -trunc(x / y)),
    doc="The remainder with the sign of x (C's fmod); x itself for an integer y of 0.",
)  # fmt: skip

neg: Primitive = elementwise(
    "neg", arity=1, accepts=NUMBERS, evaluate=np.negative,
    jvp=lambda primals, tangents, outs: (neg(tangents[0]),),
    transpose=lambda cts, inputs: (neg(cts[0]),),
)  # fmt: skip


def _abs_typing(x: ArrayType) -> tuple[ArrayType, ...]:
    accept("abs", (x,), NUMBERS)
    return (x.with_dtype(PART_OF.get(x.dtype, x.dtype)),)


def _abs_jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom]:
    """Of a complex number, Re(t conj(x)) / |x|, and 0 at 0."""
    (x,), (t,), (y,) = primals, tangents, outs
    if is_zero(t) or not y.type.is_inexact:
        return (zero(tangent_type(y.type)),)
    if not x.type.is_complex:
        return (sign(x) * t,)
    return (real(t * conj(sign(x))),)


abs = Primitive(
    "abs", typing=_abs_typing, evaluate=np.abs, jvp=_abs_jvp, batch=POINTWISE,
    doc="The distance from 0; of a complex number, its modulus.",
)  # fmt: skip


def _sign_jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom]:
    """Of complex numbers, i z Im(t conj(z)) / |x| with z = x / |x|: it moves the angle; 0 at 0."""
    (x,), (t,), (z,) = primals, tangents, outs
    if is_zero(t) or not x.type.is_complex:
        return (zero(tangent_type(z.type)),)
    size = abs(x)
    null = eq(size, zero(size.type))
    rate = select(null, zero(size.type), 1.0 / select(null, ones(size.type), size))
    across = t - z * complex_of(real(t * conj(z)), zero(size.type))
    return (across * complex_of(rate, zero(size.type)),)


sign: Primitive = elementwise(
    "sign", arity=1, accepts=NUMBERS, evaluate=np.sign, jvp=_sign_jvp,
    doc="-1, 0 or 1; of a complex number x / |x|, and 0 at 0.",
)  # fmt: skip
floor = unary("floor", accepts=FLOATS, evaluate=np.floor, derivative=None)
ceil = unary("ceil", accepts=FLOATS, evaluate=np.ceil, derivative=None)
trunc: Primitive = unary("trunc", accepts=FLOATS, evaluate=np.trunc, derivative=None)
round_even = unary("round_even", accepts=FLOATS, evaluate=np.rint, derivative=None)
square = unary("square", accepts=NUMBERS, evaluate=np.square, derivative=lambda x, y: 2.0 * x)


def _larger_share(x: Atom, y: Atom, z: Atom) -> Atom:
    """1 where x > y, 1/2 at a tie, 0 below."""
    return select(gt(x, y), ones(x.type), select(eq(x, y), Literal(0.5, x.type), zero(x.type)))


max = binary(
    "max", accepts=ORDERED, evaluate=np.maximum,
    derivatives=(_larger_share, lambda x, y, z: _larger_share(y, x, z)),
    doc="The larger operand; NaN if either is.",
)  # fmt: skip
min = binary(
    "min", accepts=ORDERED, evaluate=np.minimum,
    derivatives=(lambda x, y, z: _larger_share(y, x, z), _larger_share),
    doc="The smaller operand; NaN if either is.",
)  # fmt: skip

# Powers and roots.


def _integer_pow_derivative(x: Atom, y: Atom, *, n: int) -> Atom:
    if n == 0:
        return zero(x.type)
    if n == 1:
        return ones(x.type)
    power = x if n == 2 else integer_pow(x, n=n - 1)
    return float(n) * power


def _integer_pow_typing(x: ArrayType, *, n: int) -> tuple[ArrayType, ...]:
    accept("integer_pow", (x,), NUMBERS)
    if n < 0 and not x.is_inexact:
        raise DTypeError(
            f"integer_pow: {x} to the power of {n} has no integer value",
            hint="convert the base to a float with astype",
        )
    return (x,)


def _integer_pow_value(x: Any, *, n: int) -> Any:
    """Integers wrap around, whatever the size of n."""
    if x.dtype in INEXACT:
        power = np.power(x, np.asarray(builtins.abs(n), x.dtype))
        return power if n >= 0 else 1 / power
    exponent = np.asarray(n, np.uint64 if x.dtype in UNSIGNED else np.int64)
    return np.power(x, exponent).astype(x.dtype)


integer_pow = Primitive(
    "integer_pow", typing=_integer_pow_typing, evaluate=_integer_pow_value,
    jvp=Derivatives((_integer_pow_derivative,)), batch=POINTWISE,
    doc="x ** n for an integer n known while tracing.",
)  # fmt: skip


def _pow_wrt_base(x: Atom, y: Atom, z: Atom) -> Atom:
    """y x^(y-1), and 0 where y = 0, also at x = 0, where 1 / x is infinite."""
    if x.type.is_complex:
        is_null = eq(y, zero(y.type))
        return y * pow(x, select(is_null, ones(y.type), y - 1.0))
    least = Literal(float(finfo(x.dtype).tiny), x.type)
    endless = and_(eq(y, zero(y.type)), lt(abs(x), least))
    return y * pow(x, select(endless, ones(y.type), y) - 1.0)


def _pow_wrt_exponent(x: Atom, y: Atom, z: Atom) -> Atom:
    """x^y log x, and 0 where x = 0 (the limit for y > 0)."""
    at_zero = eq(x, zero(x.type))
    return select(at_zero, zero(x.type), log(select(at_zero, ones(x.type), x)) * z)


pow = binary(
    "pow", accepts=NUMBERS, evaluate=np.power,
    derivatives=(_pow_wrt_base, _pow_wrt_exponent),
)  # fmt: skip
sqrt = unary("sqrt", accepts=INEXACT, evaluate=np.sqrt, derivative=lambda x, y: 0.5 / y)
rsqrt = unary(
    "rsqrt", accepts=INEXACT, evaluate=lambda x: 1 / np.sqrt(x),
    derivative=lambda x, y: -0.5 * (y / x),
)  # fmt: skip
cbrt = unary(
    "cbrt", accepts=FLOATS, evaluate=np.cbrt, derivative=lambda x, y: 1.0 / (3.0 * (y * y))
)

# Exponentials and logarithms.


def _logistic_value(x: Any) -> Any:
    """1 / (1 + exp(-x)), computed from exp(-|x|), which cannot overflow."""
    if x.dtype in COMPLEX:
        left = x.real < 0
        small = np.exp(np.where(left, x, -x))
        return np.where(left, small, 1) / (1 + small)
    small = np.exp(-np.abs(x))
    return np.where(x >= 0, 1 / (1 + small), small / (1 + small)).astype(x.dtype)


LN2 = math.log(2.0)

exp = unary("exp", accepts=INEXACT, evaluate=np.exp, derivative=lambda x, y: y)
exp2 = unary("exp2", accepts=INEXACT, evaluate=np.exp2, derivative=lambda x, y: LN2 * y)
expm1 = unary("expm1", accepts=INEXACT, evaluate=np.expm1, derivative=lambda x, y: y + 1.0)
log = unary("log", accepts=INEXACT, evaluate=np.log, derivative=lambda x, y: 1.0 / x)
log2 = unary("log2", accepts=INEXACT, evaluate=np.log2, derivative=lambda x, y: (1 / LN2) / x)
log10 = unary(
    "log10", accepts=INEXACT, evaluate=np.log10, derivative=lambda x, y: (1 / math.log(10.0)) / x
)
log1p = unary("log1p", accepts=INEXACT, evaluate=np.log1p, derivative=lambda x, y: 1.0 / (1.0 + x))
logistic = unary(
    "logistic", accepts=INEXACT, evaluate=_logistic_value, derivative=lambda x, y: y * (1.0 - y),
    doc="1 / (1 + exp(-x)), without overflow.",
)  # fmt: skip
softplus = unary(
    "softplus", accepts=FLOATS,
    evaluate=lambda x: np.logaddexp(np.zeros((), x.dtype), x),
    derivative=lambda x, y: logistic(x),
    doc="log(1 + exp(x)), without overflow: accuracy that a composition does not reach.",
)  # fmt: skip

# Trigonometric and hyperbolic functions.

sin = unary("sin", accepts=INEXACT, evaluate=np.sin, derivative=lambda x, y: cos(x))
cos: Primitive = unary("cos", accepts=INEXACT, evaluate=np.cos, derivative=lambda x, y: -sin(x))
tan = unary("tan", accepts=INEXACT, evaluate=np.tan, derivative=lambda x, y: 1.0 + y * y)
asin = unary(
    "asin", accepts=INEXACT, evaluate=np.arcsin,
    derivative=lambda x, y: rsqrt((1.0 - x) * (1.0 + x)),
)  # fmt: skip
acos = unary(
    "acos", accepts=INEXACT, evaluate=np.arccos,
    derivative=lambda x, y: -rsqrt((1.0 - x) * (1.0 + x)),
)  # fmt: skip
atan = unary(
    "atan", accepts=INEXACT, evaluate=np.arctan, derivative=lambda x, y: 1.0 / (1.0 + x * x)
)


def _square_distance(x: Atom, y: Atom) -> Atom:
    """x^2 + y^2, and 1 at the origin: what is divided by it is 0 there, and stays 0."""
    square = x * x + y * y
    return select(eq(square, zero(x.type)), ones(x.type), square)


atan2 = binary(
    "atan2", accepts=FLOATS, evaluate=np.arctan2,
    derivatives=(
        lambda x, y, z: y / _square_distance(x, y), lambda x, y, z: -(x / _square_distance(x, y))
    ),
    doc="The angle of the point with ordinate x and abscissa y.",
)  # fmt: skip
sinh = unary("sinh", accepts=INEXACT, evaluate=np.sinh, derivative=lambda x, y: cosh(x))
cosh: Primitive = unary("cosh", accepts=INEXACT, evaluate=np.cosh, derivative=lambda x, y: sinh(x))
tanh = unary(
    "tanh", accepts=INEXACT, evaluate=np.tanh, derivative=lambda x, y: (1.0 - y) * (1.0 + y)
)
asinh = unary(
    "asinh", accepts=INEXACT, evaluate=np.arcsinh, derivative=lambda x, y: rsqrt(x * x + 1.0)
)
acosh = unary(
    "acosh", accepts=INEXACT, evaluate=np.arccosh,
    derivative=lambda x, y: (
        rsqrt(x - 1.0) * rsqrt(x + 1.0) if x.type.is_complex else rsqrt((x - 1.0) * (x + 1.0))
    ),
)  # fmt: skip
atanh = unary(
    "atanh", accepts=INEXACT, evaluate=np.arctanh,
    derivative=lambda x, y: 1.0 / ((1.0 - x) * (1.0 + x)),
)  # fmt: skip

# Comparison and classification: bool results.

eq = predicate("eq", arity=2, accepts=ALL, evaluate=np.equal)
ne = predicate("ne", arity=2, accepts=ALL, evaluate=np.not_equal)
lt = predicate("lt", arity=2, accepts=ORDERED, evaluate=np.less)
le = predicate("le", arity=2, accepts=ORDERED, evaluate=np.less_equal)
gt = predicate("gt", arity=2, accepts=ORDERED, evaluate=np.greater)
ge = predicate("ge", arity=2, accepts=ORDERED, evaluate=np.greater_equal)
is_finite = predicate("is_finite", arity=1, accepts=INEXACT, evaluate=np.isfinite)
sign_bit = predicate("sign_bit", arity=1, accepts=FLOATS, evaluate=np.signbit)

# Bits. Booleans count as one bit.

and_ = binary("and", accepts=BITS, evaluate=np.bitwise_and, derivatives=None)
or_ = binary("or", accepts=BITS, evaluate=np.bitwise_or, derivatives=None)
xor = binary("xor", accepts=BITS, evaluate=np.bitwise_xor, derivatives=None)
not_ = unary("not", accepts=BITS, evaluate=np.invert, derivative=None)


def _unsigned(x: Any) -> Any:
    return x.view(np.dtype(f"u{x.dtype.itemsize}"))


def _shift(x: Any, n: Any, shifted: Any, beyond: Any) -> Any:
    """What NumPy leaves open: shifts by a negative count, or by all the bits and more."""
    return np.where((n >= 0) & (n < 8 * x.dtype.itemsize), shifted, beyond).astype(x.dtype)


def _shift_count(x: Any, n: Any) -> Any:
    return np.clip(n, 0, 8 * x.dtype.itemsize - 1).astype(x.dtype)


shift_left = binary(
    "shift_left", accepts=INTEGERS, derivatives=None,
    evaluate=lambda x, n: _shift(x, n, np.left_shift(x, _shift_count(x, n)), 0),
    doc="x << n; 0 for a count outside 0 .. bits - 1.",
)  # fmt: skip
shift_right_logical = binary(
    "shift_right_logical", accepts=INTEGERS, derivatives=None,
    evaluate=lambda x, n: _shift(
        x, n, np.right_shift(_unsigned(x), _unsigned(_shift_count(x, n))).view(x.dtype), 0
    ),
    doc="x >> n with zeros from the left; 0 for a count outside 0 .. bits - 1.",
)  # fmt: skip
shift_right_arithmetic = binary(
    "shift_right_arithmetic", accepts=INTEGERS, derivatives=None,
    evaluate=lambda x, n: _shift(
        x, n, np.right_shift(x, _shift_count(x, n)), np.where(x < 0, ~np.zeros_like(x), 0)
    ),
    doc="x >> n with copies of the sign; all sign for a count outside 0 .. bits - 1.",
)  # fmt: skip
population_count = unary(
    "population_count", accepts=INTEGERS, derivative=None,
    evaluate=lambda x: np.bitwise_count(_unsigned(x)).astype(x.dtype),
    doc="The number of bits that are set.",
)  # fmt: skip


def _clz_value(x: Any) -> Any:
    """Leading zeros: the width less the bit length, which frexp of each half gives exactly."""
    bits = 8 * x.dtype.itemsize
    wide = _unsigned(x).astype(np.uint64)
    high, low = (wide >> np.uint64(32)), wide & np.uint64(0xFFFFFFFF)
    length = np.where(
        high > 0, 32 + np.frexp(high.astype(np.float64))[1], np.frexp(low.astype(np.float64))[1]
    )
    return (bits - length).astype(x.dtype)


clz = unary(
    "clz", accepts=INTEGERS, derivative=None, evaluate=_clz_value,
    doc="The number of leading zero bits.",
)  # fmt: skip
nextafter = binary(
    "nextafter", accepts=FLOATS, evaluate=np.nextafter, derivatives=None,
    doc="The float next to x in the direction of y.",
)  # fmt: skip

# Choice and conversion.


def _select_typing(condition: ArrayType, x: ArrayType, y: ArrayType) -> tuple[ArrayType, ...]:
    accept("select", (x, y), ALL)
    if condition.dtype != BOOL:
        raise DTypeError(f"select: the condition must be bool, got {condition}")
    if condition.shape != x.shape:
        raise ShapeError(f"select: condition {condition} and branches {x} differ in shape")
    return (x,)


def _select_transpose(cts: Any, inputs: Any) -> Cotangents:
    (ct,), (condition, x, y) = cts, inputs
    nothing = zero(ct.type)
    return (
        None,
        select(condition, ct, nothing) if isinstance(x, Unknown) else None,
        select(condition, nothing, ct) if isinstance(y, Unknown) else None,
    )


select = linear(
    "select", operands=(1, 2), typing=_select_typing, evaluate=np.where,
    transpose=_select_transpose, batch=POINTWISE, masks=True,
    doc="x where the condition holds, else y.",
)  # fmt: skip


def _keep_zeros_typing(product: ArrayType, *guards: ArrayType) -> tuple[ArrayType, ...]:
    accept("keep_zeros", (product, *guards), INEXACT)
    return (product,)


def _keep_zeros_value(product: Any, *guards: Any) -> Any:
    spoilt = np.isnan(product)
    for guard in guards:
        spoilt = spoilt & (guard == 0)
    return np.where(spoilt, np.zeros_like(product), product)


def _keep_zeros_jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom]:
    """The product's tangent is spoilt where the cotangent is 0 and does not change."""
    t, *moving = tangents
    if is_zero(t):
        return (t,)
    return (keep_zeros(t, *primals[1:], *[g for g in moving if not is_zero(g)]),)


keep_zeros = Primitive(
    "keep_zeros", typing=_keep_zeros_typing, evaluate=_keep_zeros_value, jvp=_keep_zeros_jvp,
    transpose=lambda cts, inputs: (cts[0], *[None] * (len(inputs) - 1)),
    batch=POINTWISE, masks=True,
    doc="""The product, but 0 where it is NaN and all guards are 0.

    Behind a `select` the cotangent (the guard) of the untaken side is 0, and must stay so where the
    derivative it is multiplied by is inf or NaN. Zeros that meet no NaN are left alone: a cotangent
    that happens to be 0 on the taken side still has derivatives.
    """,
)  # fmt: skip


def _convert_jvp(primals: Any, tangents: Any, outs: Any, *, dtype: np.dtype) -> tuple[Atom]:
    (t,), (y,) = tangents, outs
    if not (t.type.is_inexact and y.type.is_inexact) or is_zero(t):
        return (zero(tangent_type(y.type)),)
    return (convert(t, dtype=dtype),)


def _convert_value(x: Any, *, dtype: np.dtype) -> Any:
    known = np.asarray(x)
    return (known.real if known.dtype in COMPLEX and dtype not in COMPLEX else known).astype(dtype)


def _convert_typing(x: ArrayType, *, dtype: np.dtype) -> tuple[ArrayType, ...]:
    if dtype not in ALL or x.dtype not in ALL:
        raise DTypeError(f"convert: no conversion from {x} to {dtype}")
    return (x.with_dtype(dtype),)


convert: Primitive = Primitive(
    "convert", typing=_convert_typing,
    evaluate=_convert_value, jvp=_convert_jvp,
    transpose=lambda cts, inputs, *, dtype: (convert(cts[0], dtype=inputs[0].type.dtype),),
    batch=POINTWISE,
    doc="astype: floats to integers toward zero, complex numbers to their real part.",
)  # fmt: skip


def _bitcast_typing(x: ArrayType, *, dtype: np.dtype) -> tuple[ArrayType, ...]:
    if x.dtype not in REALS or dtype not in REALS:
        raise DTypeError(f"bitcast: no bits of {x} as {dtype}")
    if x.dtype.itemsize != dtype.itemsize:
        raise DTypeError(f"bitcast: {x} and {dtype} differ in width")
    return (x.with_dtype(dtype),)


bitcast = Primitive(
    "bitcast", typing=_bitcast_typing,
    evaluate=lambda x, *, dtype: np.asarray(x).view(dtype),
    jvp=ZERO, batch=POINTWISE,
    doc="The same bits as another dtype of the same width.",
)  # fmt: skip

stop_gradient = unary(
    "stop_gradient", accepts=ALL, evaluate=lambda x: x, derivative=None,
    doc="x, with derivative 0.",
)  # fmt: skip

Atom.arithmetic = Arithmetic(add=add, sub=sub, mul=mul, div=div, neg=neg, lt=lt, gt=gt)

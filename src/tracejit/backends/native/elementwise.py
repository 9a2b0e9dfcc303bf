"""Lowering element by element: values in, value out, of any number of lanes.

A row takes the builder, the operands' dtype and the operands. Vectors and loops are not its
business. Booleans are i1 in registers (and bytes in memory).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tracejit.backends.native.emit import (
    Function,
    Type,
    Value,
    constant,
    lanes_constant,
    vector_type,
)
from tracejit.backends.native.halves import from_float, to_float
from tracejit.backends.native.lowering import LOWERINGS, Pointwise
from tracejit.backends.native.maths import MATHS, integer_power, polygamma, sincos
from tracejit.backends.native.maths.powers import pow_begin, pow_end
from tracejit.ir.atoms import Literal
from tracejit.ir.types import FLOAT16, FLOAT32, FLOAT64, HALVES
from tracejit.ops import elementwise as ops
from tracejit.ops import special

Row = Callable[..., Any]

_LANES = {
    "float32": "float", "float64": "double", "bool": "i1",
    "complex64": "float", "complex128": "double",
}  # fmt: skip


@cache
def register_type(dtype: np.dtype, lanes: int = 1) -> Type:
    """The type of a value in a register: of a complex one two lanes, see `complex.py`."""
    if dtype.kind == "c":
        lanes *= 2
    return vector_type(_LANES.get(dtype.name) or f"i{8 * dtype.itemsize}", lanes)


@cache
def memory_type(dtype: np.dtype, lanes: int = 1) -> Type:
    """The type of a value in memory."""
    if dtype.kind == "c":
        return vector_type("{ %s, %s }" % (2 * (_LANES[dtype.name],)), 1)
    return vector_type("i8", lanes) if dtype.name == "bool" else register_type(dtype, lanes)


def literal(x: Literal) -> Value:
    """The number of a literal in a register."""
    type = register_type(x.dtype)
    if x.dtype.kind == "c":
        return lanes_constant(type, [x.value.real, x.value.imag])
    return constant(type, x.value)


def is_signed(dtype: np.dtype) -> bool:
    """Whether integers of the dtype have a sign."""
    return dtype.kind == "i"


# Arithmetic.


def _div(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """x / y. Integers: toward zero, all ones for y = 0, and the lowest number / -1 is itself."""
    if dtype.kind == "f":
        return b.div(x, y)
    nought = b.equal(y, b.like(y, 0))
    safe = b.select(nought, b.like(y, 1), y)
    if not is_signed(dtype):
        return b.select(nought, b.like(y, -1), b.udiv(x, safe))
    minus = b.equal(y, b.like(y, -1))
    quotient = b.sdiv(x, b.select(minus, b.like(y, 1), safe))
    return b.select(nought, b.like(y, -1), b.select(minus, b.neg(x), quotient))


def _rem(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    if dtype.kind == "f":
        return MATHS["fmod"](b, x, y)
    nought = b.equal(y, b.like(y, 0))
    safe = b.select(nought, b.like(y, 1), y)
    if not is_signed(dtype):
        return b.select(nought, x, b.urem(x, safe))
    minus = b.equal(y, b.like(y, -1))
    rest = b.srem(x, b.select(minus, b.like(y, 1), safe))
    return b.select(nought, x, rest)


def _sign(b: Function, dtype: np.dtype, x: Value) -> Value:
    nothing, one = b.like(x, 0), b.like(x, 1)
    if dtype.kind == "u":
        return b.select(b.equal(x, nothing), nothing, one)
    signed = b.select(b.greater(x, nothing), one, b.select(b.less(x, nothing), b.like(x, -1), x))
    return signed


def maximum(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """The larger; NaN if either is."""
    if dtype.kind == "b":
        return b.or_(x, y)
    bigger = b.select(b.greater(x, y, signed=is_signed(dtype)), x, y)
    return b.select(b.is_nan(x), x, bigger) if dtype.kind == "f" else bigger


def minimum(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """The smaller; NaN if either is."""
    if dtype.kind == "b":
        return b.and_(x, y)
    smaller = b.select(b.less(x, y, signed=is_signed(dtype)), x, y)
    return b.select(b.is_nan(x), x, smaller) if dtype.kind == "f" else smaller


def _square(b: Function, dtype: np.dtype, x: Value) -> Value:
    return b.mul(x, x)


def _integer_pow(b: Function, dtype: np.dtype, x: Value, *, n: int) -> Value:
    if dtype.kind == "f":
        return integer_power(b, x, n)
    if n < 0:
        return _div(b, dtype, b.like(x, 1), _integer_pow(b, dtype, x, n=-n))
    result = None
    while n:
        if n & 1:
            result = x if result is None else b.mul(result, x)
        n >>= 1
        x = b.mul(x, x) if n else x
    return b.like(x, 1) if result is None else result


def _pow(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    if dtype.kind == "f":
        return MATHS["pow"](b, x, y)
    # By squaring, bit by bit of the exponent; a negative exponent gives 0, as a quotient would.
    result, one, n = b.like(x, 1), b.like(y, 1), y
    for bit in range(x.type.bits - (1 if is_signed(dtype) else 0)):
        odd = b.equal(b.and_(n, one), one)
        result = b.select(odd, b.mul(result, x), result)
        n = b.lshr(n, one)
        if bit < x.type.bits - 1:
            x = b.mul(x, x)
    if is_signed(dtype):
        result = b.select(b.less(y, b.like(y, 0)), b.like(y, 0), result)
    return result


# Comparison, bits, conversion.


def _compare(name: str) -> Row:
    def row(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
        if name in ("equal", "not_equal"):
            return getattr(b, name)(x, y)
        return getattr(b, name)(x, y, signed=is_signed(dtype))

    return row


def _is_finite(b: Function, dtype: np.dtype, x: Value) -> Value:
    return b.less(b.abs(x), b.like(x, float("inf")))


def _shift(name: str) -> Row:
    def row(b: Function, dtype: np.dtype, x: Value, n: Value) -> Value:
        bits = x.type.bits
        inside = b.less(n, b.like(n, bits), signed=False)
        arithmetic = name == "ashr" and is_signed(dtype)
        shifted = getattr(b, "lshr" if name == "ashr" and not arithmetic else name)(
            x, b.select(inside, n, b.like(n, 0))
        )
        beyond = b.ashr(x, b.like(x, bits - 1)) if arithmetic else b.like(x, 0)
        return b.select(inside, shifted, beyond)

    return row


def _clz(b: Function, dtype: np.dtype, x: Value) -> Value:
    return b.call(f"llvm.ctlz.{x.type.suffix}", x.type, [x, constant(vector_type("i1", 1), 0)])


def _nextafter(b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
    """One step in the order of the bits, which for floats of one sign is that of the numbers."""
    bits = b.bits_of(x)
    one, nothing = b.like(bits, 1), b.like(x, 0.0)
    up = b.less(x, y)
    away = b.equal(up, b.greater(x, nothing))  # away from zero: the magnitude grows
    stepped = b.bitcast(b.select(away, b.add(bits, one), b.sub(bits, one)), x.type)
    smallest = b.copysign(b.bitcast(one, x.type), y)
    result = b.select(b.equal(x, nothing), smallest, stepped)
    result = b.select(b.equal(x, y), y, result)
    return b.select(b.is_nan(x), x, b.select(b.is_nan(y), y, result))


def _keep_zeros(b: Function, dtype: np.dtype, product: Value, *guards: Value) -> Value:
    spoilt = b.is_nan(product)
    for guard in guards:
        spoilt = b.and_(spoilt, b.equal(guard, b.like(guard, 0)))
    return b.select(spoilt, b.like(product, 0), product)


def convert(b: Function, source: np.dtype, x: Value, *, dtype: np.dtype) -> Value:
    """astype. Floats to integers: toward zero, clamped to the range, NaN to 0. Halves go by way of
    float32, but float16 from float64 (see halves.py)."""
    to = register_type(dtype, x.type.lanes)
    if source == dtype:
        return x
    if source in HALVES:
        return convert(b, FLOAT32, to_float(b, source, x), dtype=dtype)
    if dtype in HALVES:
        at_once = source == FLOAT32 or (source == FLOAT64 and dtype == FLOAT16)
        return from_float(b, dtype, x if at_once else convert(b, source, x, dtype=FLOAT32))
    if dtype.kind == "b":
        return b.not_equal(x, b.like(x, 0))
    if source.kind == "f":
        if dtype.kind == "f":
            return b.fpext(x, to) if dtype.itemsize > source.itemsize else b.fptrunc(x, to)
        return b.saturating(x, to, signed=is_signed(dtype))
    if dtype.kind == "f":
        return b.sitofp(x, to) if is_signed(source) else b.uitofp(x, to)
    if dtype.itemsize < source.itemsize and source.kind != "b":
        return b.truncate(x, to)
    if dtype.itemsize == source.itemsize and source.kind != "b":
        return x
    return b.sext(x, to) if is_signed(source) else b.zext(x, to)


def _bitcast(b: Function, source: np.dtype, x: Value, *, dtype: np.dtype) -> Value:
    if dtype.kind == "b" or source.kind == "b":
        return convert(b, source, x, dtype=dtype)
    return b.bitcast(x, register_type(dtype, x.type.lanes))


def _method(name: str) -> Row:
    return lambda b, dtype, *xs: getattr(b, name)(*xs)


def _maths(name: str) -> Row:
    return lambda b, dtype, *xs, **params: MATHS[name](b, *xs, **params)


def _abs(b: Function, dtype: np.dtype, x: Value) -> Value:
    return x if dtype.kind == "u" else b.abs(x)


_ROWS: dict[Any, Row] = (
    {getattr(ops, name): _method(name) for name in ("add", "sub", "mul", "neg")}
    | {getattr(ops, name): _method(name) for name in ("floor", "ceil", "round_even", "sqrt")}
    | {getattr(ops, name): _method(name) for name in ("and_", "or_", "xor", "not_")}
    | {getattr(ops, name): _maths(name) for name in (
        "rsqrt cbrt exp exp2 expm1 log log2 log10 log1p logistic softplus sin cos tan asin acos "
        "atan atan2 sinh cosh tanh asinh acosh atanh"
    ).split()}
    | {getattr(special, name): _maths(name) for name in (
        "erf erfc erfinv lgamma digamma i0e i1e"
    ).split()}
    | {
        ops.trunc: _method("trunc_to_integer"),
        special.polygamma: lambda b, dtype, x, *, n: polygamma(b, n, x),
        ops.div: _div, ops.rem: _rem, ops.abs: _abs, ops.sign: _sign, ops.square: _square,
        ops.max: maximum, ops.min: minimum, ops.integer_pow: _integer_pow, ops.pow: _pow,
        ops.eq: _compare("equal"), ops.ne: _compare("not_equal"),
        ops.lt: _compare("less"), ops.le: _compare("less_equal"),
        ops.gt: _compare("greater"), ops.ge: _compare("greater_equal"),
        ops.is_finite: _is_finite,
        ops.sign_bit: lambda b, dtype, x: b.less(b.bits_of(x), b.like(b.bits_of(x), 0)),
        ops.shift_left: _shift("shl"), ops.shift_right_logical: _shift("lshr"),
        ops.shift_right_arithmetic: _shift("ashr"),
        ops.population_count: lambda b, dtype, x: b.intrinsic("ctpop", x),
        ops.clz: _clz, ops.nextafter: _nextafter,
        ops.select: lambda b, dtype, condition, x, y: b.select(condition, x, y),
        ops.keep_zeros: _keep_zeros,
        ops.convert: convert, ops.bitcast: _bitcast,
        ops.stop_gradient: lambda b, dtype, x: x,
    }
)  # fmt: skip

#: Rough cost of one element, in multiplications; 1 where not named. Decides what is recomputed.
_COSTS: dict[Any, int] = (
    {getattr(ops, n): 12 for n in "exp exp2 log log2 log10 logistic sqrt rsqrt div rem".split()}
    | {getattr(ops, n): 20 for n in "expm1 log1p sin cos tan tanh sinh cosh cbrt softplus".split()}
    | {getattr(ops, n): 30 for n in "asin acos atan atan2 asinh acosh atanh pow".split()}
    | {getattr(special, n): 40 for n in (
        "erf erfc erfinv lgamma digamma polygamma i0e i1e"
    ).split()}
)

LOWERINGS.rows(__name__, {op: Pointwise(row, _COSTS.get(op, 1)) for op, row in _ROWS.items()})

#: Functions of x and y of which a part needs x alone, and is done where x is known: (that part, to
#: a list of values; the rest, from these and y).
STAGES: dict[Any, tuple[Callable[..., list[Value]], Callable[..., Value]]] = {
    ops.pow: (pow_begin, pow_end),
}

#: Pairs that cost little more together than one of them: (the other, a row for both in this order).
TWINS: dict[Any, tuple[Any, Row]] = {
    ops.sin: (ops.cos, lambda b, dtype, x: sincos(b, x)),
    ops.cos: (ops.sin, lambda b, dtype, x: sincos(b, x)[::-1]),
}

"""How the operands of an elementwise function meet: kinds of bodies for `Ufunc`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import DTypeError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import BITS, BOOL, COMPLEX, FLOAT64, INEXACT
from tracejit.numpy.arrays import (
    Array,
    fault,
    matched,
    unify,
    value,
)
from tracejit.numpy.promotion import (
    dtype_of,
    float_dtype,
    result_dtype,
    result_float,
)
from tracejit.ops import elementwise as ops
from tracejit.trace.tracer import bind

Body = Callable[..., Any]


def binds_floats(primitive: Primitive, body: Body) -> Body:
    """Say what a body binds, and no more, for floats of one type: for the short way (`quick`)."""
    body.floats = primitive  # type: ignore[attr-defined]
    return body


def to_float(x: Any) -> Array:
    """x in the float dtype that sin or sqrt compute in."""
    return value(x, float_dtype(dtype_of(x)))


def refuse_complex(name: str, *xs: Any) -> None:
    """DTypeError for complex operands of a function of real numbers."""
    for x in xs:
        if dtype_of(x) in COMPLEX:
            hint = "take the parts, x.real and x.imag, or the size, abs(x)"
            raise fault(DTypeError, f"{name} of complex numbers is not defined", hint)


def to_real(x: Any, name: str) -> Array:
    """As `to_float`, of what is no complex number."""
    refuse_complex(name, x)
    return to_float(x)


def of_float(primitive: Primitive) -> Body:
    """Compute in floats: integers are converted."""
    return binds_floats(primitive, lambda x: bind(primitive, to_float(x)))


def of_floats(primitive: Primitive) -> Body:
    """Compute in floats, of two operands."""
    return binds_floats(
        primitive, lambda x, y: bind(primitive, *unify((x, y), result_float(x, y)))
    )


def of_number(primitive: Primitive, name: str) -> Body:
    """Compute in the dtype of the operand; NumPy refuses bools."""

    def body(x: Any) -> Array:
        if dtype_of(x) == BOOL:
            raise fault(DTypeError, f"{name} of bools is not defined", "use np.logical_not, or ~x")
        return bind(primitive, value(x))

    return binds_floats(primitive, body)


def of_numbers(primitive: Primitive, name: str, bools: Primitive | None = None) -> Body:
    """Compute in the common dtype; `bools` is what bools do instead."""

    def body(x: Any, y: Any) -> Array:
        if found := matched(x, y):
            return bind(primitive, *found)
        dtype = result_dtype(x, y)
        if dtype == BOOL:
            if bools is None:
                raise fault(
                    DTypeError, f"{name} of bools is not defined", "use np.logical_xor, or x ^ y"
                )
            return bind(bools, *unify((x, y), dtype))
        return bind(primitive, *unify((x, y), dtype))

    return binds_floats(primitive, body)


def comparing(primitive: Primitive) -> Body:
    """Compare in the common dtype; a Python int may lie outside that of the other operand."""

    def body(x: Any, y: Any) -> Array:
        if found := matched(x, y):
            return bind(primitive, *found)
        dtype = result_dtype(x, y)
        if dtype.kind in "iu" and any(_outside(z, dtype) for z in (x, y)):
            dtype = FLOAT64
        return bind(primitive, *unify((x, y), dtype))

    return binds_floats(primitive, body)


def _outside(x: Any, dtype: np.dtype) -> bool:
    if not isinstance(x, int):
        return False
    limits = np.iinfo(dtype)
    return not limits.min <= x <= limits.max


def of_truth(primitive: Primitive) -> Body:
    """Compute in bools: what is not zero is true."""
    return lambda *xs: bind(primitive, *unify([truth(x) for x in xs], BOOL))


def truth(x: Any) -> Array:
    """x != 0, or x itself if it is bool."""
    return value(x) if dtype_of(x) == BOOL else comparing(ops.ne)(x, 0)


def of_bits(primitive: Primitive, name: str) -> Body:
    """Compute in integers or bools."""

    def body(*xs: Any) -> Array:
        dtype = result_dtype(*xs)
        if dtype not in BITS:
            raise fault(DTypeError, f"{name} takes integers or bools, not {dtype}")
        return bind(primitive, *unify(xs, dtype))

    return body


def of_float_or_identity(primitive: Primitive) -> Body:
    """Rounding: integers and bools are round already."""
    return lambda x: bind(primitive, value(x)) if dtype_of(x) in INEXACT else value(x)



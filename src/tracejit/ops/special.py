"""Special functions: the error function, the gamma function and Bessel's, with their kin.

SciPy has their values; it is loaded when one is first evaluated.
"""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

from tracejit.errors import ArgumentError
from tracejit.ir.atoms import Atom, Literal, ones, zero
from tracejit.ir.primitive import POINTWISE, Derivatives, Primitive, accept, unary
from tracejit.ir.types import FLOATS, ArrayType
from tracejit.ops.elementwise import eq, exp, select, sign

TWO_OVER_ROOT_PI = 2.0 / math.sqrt(math.pi)
HALF_ROOT_PI = math.sqrt(math.pi) / 2.0


@functools.cache
def _scipy_special() -> Any:
    return importlib.import_module("scipy.special")


erf = unary(
    "erf", accepts=FLOATS, evaluate=lambda x: _scipy_special().erf(x),
    derivative=lambda x, y: TWO_OVER_ROOT_PI * exp(-(x * x)),
)  # fmt: skip
erfc = unary(
    "erfc", accepts=FLOATS, evaluate=lambda x: _scipy_special().erfc(x),
    derivative=lambda x, y: -TWO_OVER_ROOT_PI * exp(-(x * x)),
    doc="1 - erf(x), accurate where that is small.",
)  # fmt: skip
erfinv = unary(
    "erfinv", accepts=FLOATS, evaluate=lambda x: _scipy_special().erfinv(x),
    derivative=lambda x, y: HALF_ROOT_PI * exp(y * y),
    doc="The inverse of erf, on (-1, 1).",
)  # fmt: skip
lgamma = unary(
    "lgamma", accepts=FLOATS, evaluate=lambda x: _scipy_special().gammaln(x),
    derivative=lambda x, y: digamma(x),
    doc="log |gamma(x)|.",
)  # fmt: skip
digamma: Primitive = unary(
    "digamma", accepts=FLOATS, evaluate=lambda x: _scipy_special().psi(x),
    derivative=lambda x, y: polygamma(x, n=1),
    doc="The derivative of lgamma.",
)  # fmt: skip


def _polygamma_typing(x: ArrayType, *, n: int) -> tuple[ArrayType, ...]:
    accept("polygamma", (x,), FLOATS)
    if n < 1:
        raise ArgumentError(f"polygamma: the order is at least 1, got {n}", hint="0 is digamma")
    return (x,)


def _polygamma_derivative(x: Atom, y: Atom, *, n: int) -> Atom:
    return polygamma(x, n=n + 1)


polygamma: Primitive = Primitive(
    "polygamma", typing=_polygamma_typing,
    evaluate=lambda x, *, n: _scipy_special().polygamma(n, x).astype(x.dtype),
    jvp=Derivatives((_polygamma_derivative,)), batch=POINTWISE,
    doc="The n-th derivative of digamma.",
)  # fmt: skip


def _i1e_derivative(x: Atom, y: Atom) -> Atom:
    """I_1' = I_0 - I_1 / x, and 1/2 of it at 0."""
    at_zero = eq(x, zero(x.type))
    quotient = y / select(at_zero, ones(x.type), x)
    return i0e(x) - select(at_zero, Literal(0.5, x.type), quotient) - sign(x) * y


i0e = unary(
    "i0e", accepts=FLOATS, evaluate=lambda x: _scipy_special().i0e(x),
    derivative=lambda x, y: i1e(x) - sign(x) * y,
    doc="The modified Bessel function I_0(x) times e^-|x|.",
)  # fmt: skip
i1e: Primitive = unary(
    "i1e", accepts=FLOATS, evaluate=lambda x: _scipy_special().i1e(x),
    derivative=_i1e_derivative,
    doc="The modified Bessel function I_1(x) times e^-|x|.",
)  # fmt: skip

"""Elementary and special functions as vector code, emitted inline.

    y = MATHS["exp"](b, x)          # b: the Function under construction, x: float or double

Every function takes values of any lane count, the same for one lane and for sixteen, and adds its
instructions to the current block. No library is called and, on the common path, no memory read.
Functions with a rare slow path (huge angles, negative arguments of lgamma, quotients of fmod above
2^52) branch to a cold block, and `zeta` loops: `b.here` may be another block afterwards.

`module.has_fma = False` says that the target has no fused multiply-add; then products that must be
exact are split, and the errors may be a fifth larger.

ULPS states the largest error of each function, in units in the last place of the exact result,
over its whole range; tests/unit/test_native_maths.py holds them to it against mpmath, and
docs/accuracy.md to saying the same.
"""

from __future__ import annotations

from collections.abc import Callable

from tracejit.backends.native.emit import Value
from tracejit.backends.native.maths.bessel import i0e, i1e
from tracejit.backends.native.maths.error import erf, erfc, erfinv
from tracejit.backends.native.maths.exponential import exp, exp2, expm1, logistic, tanh
from tracejit.backends.native.maths.gamma import digamma, lgamma
from tracejit.backends.native.maths.hyperbolic import (
    acosh,
    asinh,
    atanh,
    cosh,
    sinh,
    softplus,
)
from tracejit.backends.native.maths.inverse_trigonometric import acos, asin, atan, atan2
from tracejit.backends.native.maths.logarithm import log, log1p, log2, log10
from tracejit.backends.native.maths.powers import cbrt, integer_power, pow, rsqrt, sqrt
from tracejit.backends.native.maths.remainder import fmod
from tracejit.backends.native.maths.trigonometric import cos, sin, sincos, tan
from tracejit.backends.native.maths.zeta import polygamma, zeta

__all__ = ["MATHS", "ULPS", "integer_power", "polygamma", "sincos"]

MATHS: dict[str, Callable[..., Value]] = {
    "acos": acos,
    "acosh": acosh,
    "asin": asin,
    "asinh": asinh,
    "atan": atan,
    "atan2": atan2,
    "atanh": atanh,
    "cbrt": cbrt,
    "cos": cos,
    "cosh": cosh,
    "digamma": digamma,
    "erf": erf,
    "erfc": erfc,
    "erfinv": erfinv,
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "fmod": fmod,
    "i0e": i0e,
    "i1e": i1e,
    "lgamma": lgamma,
    "log": log,
    "log10": log10,
    "log1p": log1p,
    "log2": log2,
    "logistic": logistic,
    "pow": pow,
    "rsqrt": rsqrt,
    "sin": sin,
    "sinh": sinh,
    "softplus": softplus,
    "sqrt": sqrt,
    "tan": tan,
    "tanh": tanh,
    "zeta": zeta,
}

# Largest errors for double and for float. Those of digamma and lgamma are in units of the last
# place of 1 where the result is smaller than that, and belong to negative arguments (above 0 they
# are 2 and 2.5). Where float has 0.51 (pow 0.55) it is computed in double.
ULPS: dict[str, tuple[float, float]] = {
    "acos": (1.3, 1.3),
    "acosh": (1.8, 1.8),
    "asin": (1.4, 1.4),
    "asinh": (1.5, 1.5),
    "atan": (2.0, 2.0),
    "atan2": (2.0, 2.0),
    "atanh": (1.4, 1.4),
    "cbrt": (0.51, 0.51),
    "cos": (0.9, 1.0),
    "cosh": (1.1, 1.7),
    "digamma": (6.0, 0.51),
    "erf": (1.5, 1.3),
    "erfc": (1.4, 1.3),
    "erfinv": (2.0, 0.51),
    "exp": (1.0, 1.0),
    "exp2": (1.0, 1.0),
    "expm1": (1.0, 1.0),
    "fmod": (0.0, 0.0),
    "i0e": (4.0, 0.51),
    "i1e": (4.0, 0.51),
    "lgamma": (7.0, 0.51),
    "log": (1.0, 1.0),
    "log10": (1.2, 1.2),
    "log1p": (1.0, 1.0),
    "log2": (1.4, 1.4),
    "logistic": (1.6, 1.6),
    "pow": (1.0, 0.55),
    "rsqrt": (1.5, 1.5),
    "sin": (0.9, 1.0),
    "sinh": (1.5, 1.4),
    "softplus": (1.8, 1.8),
    "sqrt": (0.5, 0.5),
    "tan": (1.3, 1.3),
    "tanh": (0.9, 0.9),
    "zeta": (8.0, 0.51),
}

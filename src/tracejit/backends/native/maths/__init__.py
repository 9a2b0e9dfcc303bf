"""Elementary and special functions as vector code, emitted inline.

    y = MATHS["exp"](b, x)          # b: the Function under construction, x: float or double

Every function takes values of any lane count and adds its instructions to the current block; the
functions named in SLOW_PATHS also add a branch to a rarely taken block, so that `b.here` may be
another block afterwards. No tables in memory, no library calls.

ULPS states the largest error of each, in units in the last place of the exact result, over the
whole range (tests/unit/test_native_maths.py measures it).
"""

from __future__ import annotations

from collections.abc import Callable

from tracejit.backends.native.emit import Value
from tracejit.backends.native.maths.error import erf, erfc, erfinv
from tracejit.backends.native.maths.exponential import exp, exp2, expm1, logistic, tanh
from tracejit.backends.native.maths.gamma import digamma, lgamma
from tracejit.backends.native.maths.hyperbolic import (
    acosh, asinh, atanh, cosh, sinh, softplus,
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

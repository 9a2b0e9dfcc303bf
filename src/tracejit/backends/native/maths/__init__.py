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
from tracejit.backends.native.maths.error import erf, erfc
from tracejit.backends.native.maths.exponential import exp, exp2, expm1, logistic, tanh
from tracejit.backends.native.maths.gamma import digamma, lgamma
from tracejit.backends.native.maths.logarithm import log, log1p, log2, log10
from tracejit.backends.native.maths.powers import integer_power, pow, rsqrt, sqrt
from tracejit.backends.native.maths.trigonometric import cos, sin, sincos, tan

__all__ = ["MATHS", "integer_power", "sincos"]

MATHS: dict[str, Callable[..., Value]] = {
    "cos": cos,
    "digamma": digamma,
    "erf": erf,
    "erfc": erfc,
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "lgamma": lgamma,
    "log": log,
    "log10": log10,
    "log1p": log1p,
    "log2": log2,
    "logistic": logistic,
    "pow": pow,
    "rsqrt": rsqrt,
    "sin": sin,
    "sqrt": sqrt,
    "tan": tan,
    "tanh": tanh,
}

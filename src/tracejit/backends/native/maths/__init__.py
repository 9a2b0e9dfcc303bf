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
from tracejit.backends.native.maths.exponential import exp, exp2, expm1, logistic, tanh
from tracejit.backends.native.maths.logarithm import log, log1p, log2, log10

MATHS: dict[str, Callable[..., Value]] = {
    "exp": exp,
    "exp2": exp2,
    "expm1": expm1,
    "log": log,
    "log10": log10,
    "log1p": log1p,
    "log2": log2,
    "logistic": logistic,
    "tanh": tanh,
}

"""scipy.special on arrays and traced values: the error and gamma functions, entropies, normals."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from tracejit.errors import ArgumentError
from tracejit.ir.primitive import Primitive
from tracejit.nn import log_softmax, softmax
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    fault,
    known_number,
    nearest,
    operand,
    plain,
    unify,
)
from tracejit.numpy.choosing import where
from tracejit.numpy.kinds import to_float
from tracejit.numpy.promotion import result_float
from tracejit.numpy.reductions import logsumexp
from tracejit.ops import elementwise as ops
from tracejit.ops import special
from tracejit.trace.tracer import bind

__all__ = [
    "beta",
    "betaln",
    "binom",
    "digamma",
    "entr",
    "erf",
    "erfc",
    "erfinv",
    "exp2",
    "expit",
    "expm1",
    "factorial",
    "gamma",
    "gammaln",
    "gammasgn",
    "i0",
    "i0e",
    "i1",
    "i1e",
    "kl_div",
    "log1p",
    "log_expit",
    "log_ndtr",
    "log_softmax",
    "loggamma",
    "logit",
    "logsumexp",
    "multigammaln",
    "ndtr",
        "poch",
    "polygamma",
    "psi",
    "rel_entr",
    "softmax",
    "softplus",
    "xlog1py",
    "xlogy",
]  # fmt: skip

exp2, expm1, log1p = ufuncs.exp2, ufuncs.expm1, ufuncs.log1p


def _unary(name: str, primitive: Primitive, doc: str) -> Callable[[ArrayLike], Array]:
    def function(x: ArrayLike, /) -> Array:
        return bind(primitive, to_float(operand(x)))

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


erf = _unary("erf", special.erf, "The error function.")
erfc = _unary("erfc", special.erfc, "1 - erf(x), accurate where that is small.")
erfinv = _unary("erfinv", special.erfinv, "The inverse of erf.")
gammaln = _unary("gammaln", special.lgamma, "log |gamma(x)|.")
digamma = _unary("digamma", special.digamma, "The derivative of log gamma(x).")
expit = _unary("expit", ops.logistic, "1 / (1 + exp(-x)).")
softplus = _unary("softplus", ops.softplus, "log(1 + exp(x)).")
i0e = _unary("i0e", special.i0e, "The modified Bessel function I_0(x) times exp(-|x|).")
i1e = _unary("i1e", special.i1e, "The modified Bessel function I_1(x) times exp(-|x|).")
psi, loggamma = digamma, gammaln


def i0(x: ArrayLike, /) -> Array:
    """The modified Bessel function of the first kind, of order 0."""
    return ufuncs.multiply(i0e(x), ufuncs.exp(ufuncs.absolute(x)))


def i1(x: ArrayLike, /) -> Array:
    """The modified Bessel function of the first kind, of order 1."""
    return ufuncs.multiply(i1e(x), ufuncs.exp(ufuncs.absolute(x)))


def logit(x: ArrayLike, /) -> Array:
    """log(x / (1 - x)), the inverse of expit."""
    x = to_float(operand(x))
    return ufuncs.subtract(ufuncs.log(x), ufuncs.log1p(ufuncs.negative(x)))


def log_expit(x: ArrayLike, /) -> Array:
    """log(expit(x)) = -softplus(-x)."""
    return ufuncs.negative(softplus(ufuncs.negative(to_float(operand(x)))))


def polygamma(n: ArrayLike, x: ArrayLike) -> Array:
    """The n-th derivative of digamma; n is a whole number that is known."""
    order = known_number(operand(n))
    if order is None or order != int(order) or order < 0:
        raise fault(ArgumentError, f"polygamma: the order is a known whole number, not {n!r}")
    if order == 0:
        return digamma(x)
    return bind(special.polygamma, to_float(operand(x)), n=int(order))


# Gamma and beta


def gammasgn(x: ArrayLike, /) -> Array:
    """The sign of gamma(x): below 0 it changes at each whole number, where it is NaN."""
    x = to_float(operand(x))
    whole = ufuncs.floor(x)
    odd = ufuncs.not_equal(ufuncs.remainder(whole, 2), 0)
    sign = where(odd, -1.0, 1.0)
    pole = ufuncs.equal(whole, x)
    below = where(pole, math.nan, sign)
    at_zero = ufuncs.copysign(1.0, x)
    return where(ufuncs.greater(x, 0), 1.0, where(ufuncs.equal(x, 0), at_zero, below))


def gamma(x: ArrayLike, /) -> Array:
    """The gamma function, as its sign times exp(gammaln(x))."""
    return ufuncs.multiply(gammasgn(x), ufuncs.exp(gammaln(x)))


def factorial(n: ArrayLike, exact: bool = False) -> Array:
    """gamma(n + 1); 0 for negative n."""
    if exact:
        raise fault(ArgumentError, "factorial: exact=True is for known ints: use math.factorial")
    n = to_float(operand(n))
    below = ufuncs.less(n, 0)
    return where(below, 0.0, ufuncs.exp(gammaln(ufuncs.add(where(below, 0.0, n), 1))))


def betaln(a: ArrayLike, b: ArrayLike, /) -> Array:
    """log |beta(a, b)|."""
    a, b = operand(a), operand(b)
    return ufuncs.subtract(ufuncs.add(gammaln(a), gammaln(b)), gammaln(ufuncs.add(a, b)))


def beta(a: ArrayLike, b: ArrayLike, /) -> Array:
    """gamma(a) gamma(b) / gamma(a + b)."""
    sign = ufuncs.multiply(gammasgn(a), ufuncs.multiply(gammasgn(b), gammasgn(ufuncs.add(a, b))))
    return ufuncs.multiply(sign, ufuncs.exp(betaln(a, b)))


def binom(n: ArrayLike, k: ArrayLike, /) -> Array:
    """n over k, for real numbers n >= k >= 0."""
    n, k = to_float(operand(n)), to_float(operand(k))
    rest = ufuncs.add(ufuncs.subtract(n, k), 1)
    logs = ufuncs.subtract(gammaln(ufuncs.add(n, 1)), gammaln(ufuncs.add(k, 1)))
    return ufuncs.exp(ufuncs.subtract(logs, gammaln(rest)))


def poch(z: ArrayLike, m: ArrayLike, /) -> Array:
    """gamma(z + m) / gamma(z)."""
    top = ufuncs.add(operand(z), operand(m))
    sign = ufuncs.multiply(gammasgn(top), gammasgn(z))
    return ufuncs.multiply(sign, ufuncs.exp(ufuncs.subtract(gammaln(top), gammaln(z))))


def multigammaln(a: ArrayLike, d: int) -> Array:
    """log of the multivariate gamma function of dimension d."""
    a, total = to_float(operand(a)), d * (d - 1) / 4 * math.log(math.pi)
    for j in range(d):
        total = ufuncs.add(total, gammaln(ufuncs.subtract(a, j / 2)))
    return total


# Entropies. The derivatives are those of the values, NaN-safe at 0.


def _pair(x: ArrayLike, y: ArrayLike) -> list[Any]:
    given = (operand(x), operand(y))
    return [plain(z) for z in unify(given, result_float(*given))]


def xlogy(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x log(y), 0 where x is 0; its derivative there is log(y), and 0 where y has no logarithm."""
    x, y = _pair(x, y)
    return ufuncs.multiply(x, ufuncs.log(_filled(x, y, 0.0)))


def _filled(x: Array, y: Array, end: float) -> Array:
    """y, but end + 1 where x is 0 and y is a number outside of (end, inf)."""
    inside = ufuncs.logical_and(ufuncs.greater(y, end), ufuncs.less(y, math.inf))
    beyond = ufuncs.logical_not(ufuncs.logical_or(inside, ufuncs.isnan(y)))
    return where(ufuncs.logical_and(ufuncs.equal(x, 0), beyond), end + 1.0, y)


def xlog1py(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x log(1 + y), 0 where x is 0; its derivative there as that of `xlogy`."""
    x, y = _pair(x, y)
    return ufuncs.multiply(x, ufuncs.log1p(_filled(x, y, -1.0)))


def entr(x: ArrayLike, /) -> Array:
    """-x log(x), 0 at 0, -inf below."""
    x = to_float(operand(x))
    inside = ufuncs.greater(x, 0)
    safe = where(inside, x, 1.0)
    value = ufuncs.negative(ufuncs.multiply(safe, ufuncs.log(safe)))
    outside = where(ufuncs.equal(x, 0), 0.0, where(ufuncs.isnan(x), math.nan, -math.inf))
    return where(inside, value, outside)


def rel_entr(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x log(x / y) for positive x and y, 0 at x = 0, inf elsewhere."""
    x, y = _pair(x, y)
    positive = ufuncs.logical_and(ufuncs.greater(x, 0), ufuncs.greater(y, 0))
    at_zero = ufuncs.logical_and(ufuncs.equal(x, 0), ufuncs.greater_equal(y, 0))
    top, bottom = where(positive, x, 1.0), where(positive, y, 1.0)
    value = ufuncs.multiply(top, ufuncs.log(ufuncs.divide(top, bottom)))
    unknown = ufuncs.logical_or(ufuncs.isnan(x), ufuncs.isnan(y))
    outside = where(at_zero, 0.0, where(unknown, math.nan, math.inf))
    return where(positive, value, outside)


def kl_div(x: ArrayLike, y: ArrayLike, /) -> Array:
    """x log(x / y) - x + y, as rel_entr."""
    x, y = _pair(x, y)
    return ufuncs.add(ufuncs.subtract(rel_entr(x, y), x), y)


# The standard normal


def ndtr(x: ArrayLike, /) -> Array:
    """Its distribution function."""
    x = to_float(operand(x))
    return ufuncs.multiply(erfc(ufuncs.multiply(x, -math.sqrt(0.5))), 0.5)


def log_ndtr(x: ArrayLike, /) -> Array:
    """log of its distribution function; below -10 by an asymptotic series.

    log ndtr(x) = -x^2/2 - log(-x) - log(2 pi)/2 + log(1 - 1/x^2 + 3/x^4 - 15/x^6 + ...)
    (Abramowitz and Stegun 26.2.12).
    """
    x = to_float(operand(x))
    far = ufuncs.less(x, -10.0)
    near = ufuncs.log1p(ufuncs.negative(ndtr(ufuncs.negative(where(far, 0.0, x)))))
    below = ufuncs.log(ndtr(where(ufuncs.logical_or(far, ufuncs.greater(x, 0)), 0.0, x)))
    z = where(far, x, -10.0)
    inverse = ufuncs.reciprocal(ufuncs.square(z))
    series: Any = 0.0
    for n in range(_TERMS, 0, -1):
        series = ufuncs.multiply(ufuncs.multiply(inverse, -(2 * n - 1)), ufuncs.add(1.0, series))
    tail = ufuncs.subtract(ufuncs.log1p(series), ufuncs.log(ufuncs.negative(z)))
    tail = ufuncs.subtract(tail, ufuncs.add(ufuncs.multiply(ufuncs.square(z), 0.5), _HALF_LOG_2PI))
    return where(far, tail, where(ufuncs.greater(x, 0), near, below))


_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
_TERMS = 10  # at x = -10 the eleventh term is below 1e-13 of the sum


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.scipy.special has no {name!r}; {nearest(name, __all__)}")

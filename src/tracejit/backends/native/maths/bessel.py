"""i0e and i1e: the modified Bessel functions of the first kind, times e^-|x|.

Up to 8 their series in z = x^2 / 4, all of whose terms are positive:

    I_0(x) = sum_k z^k / k!^2        I_1(x) = x / 2 sum_k z^k / (k! (k + 1)!)

Beyond it sqrt(x) e^-x I_n(x) is a polynomial in 16 / x - 1, which maps [8, inf) to (-1, 1].
"""

from __future__ import annotations

import math

from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.maths.core import fma, in_double, like, polynomial, square
from tracejit.backends.native.maths.exponential import exp_of_negative

LIMIT = 8.0
TERMS = 24  # what is left out is below 2^-60 of the sum at the limit
SERIES_0 = tuple(1 / math.factorial(k) ** 2 for k in range(TERMS))
SERIES_1 = tuple(1 / (math.factorial(k) * math.factorial(k + 1)) for k in range(TERMS))
# Chebyshev's interpolation of sqrt(x) e^-x I_n(x); error 2^-57.
FAR_0 = (
    0.4021765094450081, 0.0033605519836678614, 0.0001362160743919305, 1.1143033790932038e-05,
    1.4838475658279249e-06, 2.9735985885673923e-07, 8.872219737904054e-08, 3.932584334552952e-08,
    2.1548377974791598e-08, 7.554691881248808e-09, -6.747657956107524e-09,
    -1.340891754008974e-08, -5.404771567579958e-09, 7.552583062123384e-09,
    7.430464650325426e-09, -3.505966530879332e-09, -5.95356943826489e-09, 1.5200816953924232e-09,
    3.6379546359011143e-09, -5.715843864202709e-10, -1.618980683624682e-09,
    1.5279202694981569e-10, 4.577087631643623e-10, -2.0260604287413626e-11,
    -6.067631570603006e-11,
)
FAR_1 = (
    0.38939845902587233, -0.009749577193235737, -0.00021923576383388928, -1.5038547200567216e-05,
    -1.8349101326980946e-06, -3.483855761044295e-07, -1.0001288294864884e-07,
    -4.312917729178349e-08, -2.337392820814264e-08, -8.427766093735185e-09, 6.734464815301592e-09,
    1.4034238782067183e-08, 5.974437608040264e-09, -7.64239413436356e-09,
    -7.888351507862078e-09, 3.4262341490077958e-09, 6.242741219786445e-09,
    -1.4387250533041013e-09, -3.794670896208339e-09, 5.295625441161261e-10,
    1.6848984479705146e-09, -1.4011625179770627e-10, -4.758818838703853e-10,
    1.8515118828852956e-11, 6.305965197150057e-11,
)  # fmt: skip


def _parts(
    b: Function, x: Value, series: tuple[float, ...], far: tuple[float, ...]
) -> tuple[Value, Value, Value]:
    """|x|, the series times e^-|x|, and what holds beyond the limit."""
    a = b.abs(x)
    near = b.mul(
        polynomial(b, b.mul(square(b, a), like(x, 0.25)), series), exp_of_negative(b, b.neg(a))
    )
    t = fma(b, b.div(like(x, 1.0), a), like(x, 2 * LIMIT), like(x, -1.0))
    return a, near, b.div(polynomial(b, t, far), b.sqrt(a))


@in_double
def i0e(b: Function, x: Value) -> Value:
    """e^-|x| I_0(x)."""
    a, near, far = _parts(b, x, SERIES_0, FAR_0)
    return b.select(b.less_equal(a, like(x, LIMIT)), near, far)


@in_double
def i1e(b: Function, x: Value) -> Value:
    """e^-|x| I_1(x), which has the sign of x."""
    a, near, far = _parts(b, x, SERIES_1, FAR_1)
    near = b.mul(b.mul(a, like(x, 0.5)), near)
    return b.copysign(b.select(b.less_equal(a, like(x, LIMIT)), near, far), x)

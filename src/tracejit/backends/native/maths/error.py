"""erf, erfc, erfinv.

Near 0 erf is a polynomial; elsewhere erfc(x) is e^(-x^2) times a polynomial in (x - k) / (x + k),
which maps [0, inf) to [-1, 1), over a linear function of x.
"""

from __future__ import annotations

import math

from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.maths.core import (
    INF,
    at_least,
    at_most,
    exact_fma,
    fast_two_sum,
    fma,
    in_double,
    like,
    polynomial,
    square,
    two_product,
)
from tracejit.backends.native.maths.exponential import exp_of_negative, pair_for_negative
from tracejit.backends.native.maths.logarithm import log

# erf(x) / x - 1 in x^2, |x| <= 1; error 2^-56 and 2^-29.
ERF = {
    "double": (
        0.1283791670955126, -0.3761263890318352, 0.11283791670944186, -0.02686617064311159,
        0.005223977606119188, -0.0008548325929337023, 0.00012055293577288876,
        -1.4924712304917228e-05, 1.644713155934667e-06, -1.6206313348468577e-07,
        1.3710977406346843e-08, -7.779460876179546e-10,
    ),
    "float": (
        0.1283791670955126, -0.3761262595653534, 0.1128358542919159, -0.026853812858462334,
        0.005188328213989735, -0.000801019836217165, 7.853877468733117e-05,
    ),
}
# (1 + 2 x) e^(x^2) erfc(x) in t = (x - K) / (x + K), x from 0.45 to where erfc underflows: all
# between 1 and 1.3, so that the first coefficient, a pair, is most of it. Error 2^-57 and 2^-29.
K = 3.75
ERFC = {
    "double": (
        1.2375126308378275, -0.14024059858554694, 0.0035854154854662403, 0.0822767384901416,
        -0.10880393014187872, 0.09230432116057373, -0.05869339858604833, 0.028362277414683706,
        -0.009746579608433222, 0.0017556259007383984, 0.00029371407614732026,
        -0.00029015439092790554, 5.164702098882556e-05, 2.238547703603593e-05,
        -1.1437395350451172e-05, -9.766600692415768e-07, 1.7375006747390847e-06,
        -5.240311641709892e-08, -2.40096860057936e-07, 1.888163508673067e-08,
        2.449965112379343e-08, -1.7211324011271816e-09,
    ),
    "float": (
        1.2375125885009766, -0.14024056494235992, 0.003585530212149024, 0.08227521181106567,
        -0.1088077649474144, 0.09232509881258011, -0.05864383280277252, 0.02826598472893238,
        -0.010017547756433487, 0.0018324954435229301, 0.0008241129689849913,
    ),
}  # fmt: skip
ERFC_LOW = {"double": 9.90652209284992e-17, "float": 4.1675026096754664e-08}
# (x + 2) e^(x^2) erfc(x) in t = (x - 2) / (x + 2), for erf, 1 <= x <= 6.1 (4); error 2^-55 and
# 2^-27 of erf.
ERF_TAIL = {
    "double": (
        1.0215827052420234, -0.6871606844137946, 0.27947209255557764, -0.03644223151881538,
        -0.021510661897195454, 0.00647918631379764, 0.0030906195305234496,
        -0.0008373145376403248, -0.000663367845034282, 3.365473181788098e-05,
        0.00014607940728909258, 4.5452415013168374e-05,
    ),
    "float": (
        1.0215829610824585, -0.687160849571228, 0.279381662607193, -0.03741007670760155,
        -0.025416109710931778,
    ),
}
# First approximations of erfinv(x) with w = -log(1 - x^2): erfinv(x) / x in w - 5/2 for w <= 5, and
# in sqrt(w) - 33/8 above; error 2^-27.
INVERSE_CENTRE = (
    1.5014093592806845, 0.24664028614886144, -0.004177386790195261, -0.0012527418802769279,
    0.00021834444780798344, -4.963344280819417e-06, -3.4627069336372546e-06,
    4.661696190664091e-07, 2.3232817722614248e-08, -8.790969860458258e-09,
)
INVERSE_TAIL = (
    3.9659885059224727, 1.0097696130852636, 0.0009621910233887348, -0.000722831364679992,
    0.0002573824109600562, -9.058516014472355e-05, 3.5968600519327616e-05,
    -1.2018092648143268e-05, 8.622966104500544e-06, -8.886103201441417e-06,
    3.5089853945562723e-06, 2.2994879187871645e-07, -4.1841026159702757e-07,
    6.354385884772324e-08,
)
# Beyond it erf is 1, and erfc is 0.
ERF_LIMIT = {"double": 6.1, "float": 4.0}
ERFC_LIMIT = {"double": 27.5, "float": 10.5}


def scaled_erfc(b: Function, x: Value) -> tuple[Value, Value]:
    """e^(x^2) erfc(x) for x from 0.45 to ERFC_LIMIT, rounded, and what the rounding lost."""
    lane = x.type.lane
    one, doubled = like(x, 1.0), b.add(x, x)
    d, d_low = fast_two_sum(b, at_least(b, doubled, one), at_most(b, doubled, one))
    below, above = b.sub(x, like(x, K)), b.add(x, like(x, K))
    # One division for both quotients; the second step makes t good to its last place.
    both = b.div(one, b.mul(d, above))
    reciprocal, inverse = b.mul(both, above), b.mul(both, d)
    t = b.mul(below, inverse)
    t = fma(b, exact_fma(b, b.neg(t), above, below), inverse, t)
    first, *rest = ERFC[lane]
    v, v_low = fast_two_sum(b, like(x, first), b.mul(t, polynomial(b, t, rest)))
    quotient = b.mul(v, reciprocal)
    minus = b.neg(quotient)
    residual = b.add(exact_fma(b, minus, d, v), b.add(v_low, like(x, ERFC_LOW[lane])))
    return quotient, b.mul(fma(b, minus, d_low, residual), reciprocal)


def erf_near_zero(b: Function, x: Value, z: Value) -> Value:
    """erf x for |x| <= 1; z = x^2."""
    return fma(b, x, polynomial(b, z, ERF[x.type.lane]), x)


def erf(b: Function, x: Value) -> Value:
    """The error function."""
    lane, one = x.type.lane, like(x, 1.0)
    a = at_most(b, b.abs(x), ERF_LIMIT[lane])
    z = square(b, a)
    near = erf_near_zero(b, a, z)
    reciprocal = b.div(one, b.add(a, like(x, 2.0)))
    t = fma(b, reciprocal, like(x, -4.0), one)
    tail = b.mul(polynomial(b, t, ERF_TAIL[lane]), reciprocal)
    far = fma(b, b.neg(tail), exp_of_negative(b, b.neg(z)), one)
    return b.copysign(b.select(b.less(a, one), near, far), x)


def erfc(b: Function, x: Value) -> Value:
    """1 - erf(x), with its own relative precision down to the subnormals."""
    lane, one, half = x.type.lane, like(x, 1.0), like(x, 0.5)
    magnitude = b.abs(x)
    a = at_most(b, at_least(b, magnitude, half), ERFC_LIMIT[lane])
    z, z_low = two_product(b, a, a)
    (p, p_low), s, c = pair_for_negative(b, b.neg(z), b.neg(z_low))
    w, w_low = scaled_erfc(b, a)
    y, low = two_product(b, p, w)
    y = b.add(y, fma(b, p, w_low, fma(b, p_low, w, low)))
    y = b.mul(b.mul(y, s), like(x, c))
    y = b.select(b.less(x, like(x, 0.0)), b.sub(like(x, 2.0), y), y)
    # 1 - x - (erf x - x), whose first part is exact as a pair.
    near, near_low = fast_two_sum(b, one, b.neg(x))
    rest = b.mul(x, polynomial(b, square(b, x), ERF[lane]))
    near = b.add(near, b.sub(near_low, rest))
    return b.select(b.less(magnitude, half), near, y)


@in_double
def erfinv(b: Function, x: Value) -> Value:
    """The inverse of erf: inf at 1, NaN beyond.

    A first approximation y and one step of Halley's: with u = (erf(y) - |x|) / erf'(y), y becomes
    y - u / (1 + y u). For y > 1 the difference is taken as that of 1 - |x| and erfc(y).
    """
    a, one = b.abs(x), like(x, 1.0)
    w = b.neg(log(b, exact_fma(b, b.neg(a), a, one)))
    centre = polynomial(b, b.sub(w, like(x, 2.5)), INVERSE_CENTRE)
    tail = polynomial(b, b.sub(b.sqrt(w), like(x, 4.125)), INVERSE_TAIL)
    y = b.mul(a, b.select(b.less(w, like(x, 5.0)), centre, tail))
    z = square(b, y)
    density = exp_of_negative(b, b.neg(z))
    # erf y - a as (y - a) + y (erf y / y - 1), whose first part is exact.
    near = b.div(fma(b, y, polynomial(b, z, ERF["double"]), b.sub(y, a)), density)
    scaled, scaled_low = scaled_erfc(b, y)
    far = b.sub(b.sub(b.div(b.sub(one, a), density), scaled), scaled_low)
    u = b.mul(b.select(b.less(y, one), near, far), like(x, math.sqrt(math.pi) / 2))
    # 1 / (1 + y u) to first order: u is below 2^-20.
    y = fma(b, b.neg(u), fma(b, b.neg(y), u, one), y)
    return b.copysign(b.select(b.equal(a, one), like(x, INF), y), x)

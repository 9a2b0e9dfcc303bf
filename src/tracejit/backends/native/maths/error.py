"""erf, erfc, erfinv.

Near 0 erf is a polynomial; elsewhere erfc(x) = e^(-x^2) V(t) / (x + 2) with a polynomial V in
t = (x - 2) / (x + 2), which maps [0, inf) to [-1, 1).
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
from tracejit.backends.native.maths.exponential import exp_of_negative, parts_for_negative
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
# (x + 2) e^(x^2) erfc(x) in t, 0 <= x <= 27.5; error 2^-54.
ERFC = (
    1.021582705242023, -0.6871606844138106, 0.279472092556049, -0.03644223150686942,
    -0.021510661889132764, 0.006479185067317276, 0.0030906120507106414, -0.0008372960543941627,
    -0.0006630733998741622, 3.437135277577079e-05, 0.00014446996660398627, 3.414940772809784e-05,
    -2.16924626320955e-05, -1.612286355476007e-05, -1.13786164884327e-06, 3.6483949240544137e-06,
    2.0299949148812146e-06, -4.312140432980851e-09, -6.157841710947434e-07,
    -3.2059722329279863e-07, 4.4623236949766573e-08, 1.1229401576718237e-07,
    2.4739800031218962e-08, -1.4994680159480614e-08, -6.00179145841375e-09,
)
# The same for erf, 1 <= x <= 6.1 (4); error 2^-55 and 2^-27 of erf.
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
ERFC_LIMIT = 27.5


def scaled_erfc(b: Function, x: Value) -> Value:
    """e^(x^2) erfc(x) for 0 <= x <= 27.5."""
    one, two = like(x, 1.0), like(x, 2.0)
    large, small = at_least(b, x, two), at_most(b, x, two)
    d, d_low = fast_two_sum(b, large, small)
    reciprocal = b.div(one, d)
    t = b.mul(b.sub(x, two), reciprocal)
    # What t (x + 2) lacks of x - 2, that is x - 2 (1 + t) - t x, corrects t to its last place.
    missing = exact_fma(b, b.neg(t), x, fma(b, b.add(t, one), like(x, -2.0), x))
    t = fma(b, missing, reciprocal, t)
    first, *rest = ERFC
    product, product_low = two_product(b, t, polynomial(b, t, rest))
    v, v_low = fast_two_sum(b, like(x, first), product)
    quotient = b.mul(v, reciprocal)
    minus = b.neg(quotient)
    residual = b.add(exact_fma(b, minus, d, v), b.add(v_low, product_low))
    residual = fma(b, minus, d_low, residual)
    return fma(b, residual, reciprocal, quotient)


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


@in_double
def erfc(b: Function, x: Value) -> Value:
    """1 - erf(x), with its own relative precision down to the subnormals."""
    a = at_most(b, b.abs(x), ERFC_LIMIT)
    z, z_low = two_product(b, a, a)
    p, s, c = parts_for_negative(b, b.neg(z), b.neg(z_low))
    y = b.mul(b.mul(b.mul(p, scaled_erfc(b, a)), s), like(x, c))
    return b.select(b.less(x, like(x, 0.0)), b.sub(like(x, 2.0), y), y)


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
    near = b.div(b.sub(erf_near_zero(b, y, z), a), density)
    far = b.sub(b.div(b.sub(one, a), density), scaled_erfc(b, y))
    u = b.mul(b.select(b.less(y, one), near, far), like(x, math.sqrt(math.pi) / 2))
    # 1 / (1 + y u) to first order: u is below 2^-20.
    y = fma(b, b.neg(u), fma(b, b.neg(y), u, one), y)
    return b.copysign(b.select(b.equal(a, one), like(x, INF), y), x)

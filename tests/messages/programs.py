"""Programs of users who make a mistake, on the line that is marked."""

from __future__ import annotations

import math

import numpy as np

import tracejit as tj

KEPT: list = []


def call(f, *args, **kwargs):
    return f(*args, **kwargs)  # here


# ---- traced values as numbers


def branches(x):
    if x > 0:  # here
        return x
    return -x


def loops(x):
    while x < 10:  # here
        x = x * 2
    return x


def combines(x):
    return x * (x > 0 and x < 1)  # here


def converts(x):
    return np.sin(float(x))  # here


def counts(x):
    return sum(x * i for i in range(x))  # here


def takes_the_array(x):
    return np.sum(np.asfortranarray(x))  # here


def calls_math(x):
    return math.gamma(x)  # here


def keeps(x):
    KEPT.append(x * 2)
    return x


def uses_what_was_kept(x):
    return x + KEPT[-1]  # here


# ---- shapes, dtypes, values of other kinds


def multiplies_shapes(x):
    return np.sum(np.ones((3, 4)) @ (x * np.ones(3)))  # here


def adds_shapes(x):
    return np.sum(x * np.ones(3) + np.ones(4))  # here


def sums_over_no_axis(x):
    return np.sum(x * np.ones(3), axis=1)  # here


def shifts_floats(x):
    return x << 2  # here


def returns_text(x):
    return {"y": x, "note": "yes"}


def uses_long_double(x):
    return np.sum(x * np.ones(2, np.longdouble))  # here


def lacks_a_lowering(x):
    return np.arctan2(x, 2.0) ** 2  # here


# ---- derivatives


def square(x):
    return x * x


def pair(x):
    return x, x


def nothing(x):
    KEPT.append(None)


def integer(x):
    return np.argmax(x * np.ones(3))


def scaled(params, n):
    return params["w"] * n


def with_notes(x):
    return x, {"n": 3}


def transposes_sine(x):
    return tj.linear_transpose(np.sin, x)(x)  # here


# ---- arguments


def power(x, n):
    return x**n


def product(x, y):
    return x * y

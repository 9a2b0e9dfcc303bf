"""Student's t distribution of df degrees of freedom."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.compat.autograd.scipy.stats.cumulative import distribution_function, of_scipy
from tracejit.numpy.arrays import Array, ArrayLike
from tracejit.scipy import special

__all__ = ["cdf", "logcdf", "logpdf", "pdf"]


def logpdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """log Gamma((df+1)/2) - log Gamma(df/2) - log(df pi)/2 - (df+1)/2 log(1 + z^2/df) - log scale,
    where z = (x - loc) / scale."""
    z = (x - loc) / scale
    half = 0.5 * np.add(df, 1.0)
    norm = special.gammaln(half) - special.gammaln(0.5 * df) - 0.5 * np.log(df * math.pi)
    return norm - half * np.log1p(z * z / df) - np.log(scale)


def pdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """The density."""
    return np.exp(logpdf(x, df, loc, scale))


#: The probability of less than x.
cdf = distribution_function("t", pdf)


def logcdf(x: ArrayLike, df: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """The logarithm of the probability of less than x."""
    return np.log(cdf(x, df, loc, scale))


def __getattr__(name: str) -> Any:
    return of_scipy("t", name)

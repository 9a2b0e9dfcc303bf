"""The chi-squared distribution of df degrees of freedom: a gamma distribution of x / 2."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.compat.autograd.scipy.stats import gamma
from tracejit.compat.autograd.scipy.stats.cumulative import distribution_function, of_scipy
from tracejit.numpy.arrays import Array, ArrayLike

__all__ = ["cdf", "logpdf", "pdf"]


def logpdf(x: ArrayLike, df: ArrayLike) -> Array:
    """The logarithm of the density."""
    return gamma.logpdf(np.divide(x, 2.0), np.divide(df, 2.0)) - math.log(2.0)


def pdf(x: ArrayLike, df: ArrayLike) -> Array:
    """The density."""
    return np.exp(logpdf(x, df))


#: The probability of less than x.
cdf = distribution_function("chi2", pdf)


def __getattr__(name: str) -> Any:
    return of_scipy("chi2", name)

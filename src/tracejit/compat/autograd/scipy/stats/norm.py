"""The normal distribution."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.compat.autograd.scipy.stats.cumulative import of_scipy
from tracejit.numpy.arrays import Array, ArrayLike
from tracejit.scipy import special

__all__ = ["cdf", "logcdf", "logpdf", "logsf", "pdf", "sf"]


def logpdf(x: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """-z^2/2 - log(scale sqrt(2 pi)), where z = (x - loc) / scale."""
    z = (x - loc) / scale
    return -0.5 * z * z - np.log(scale) - 0.5 * math.log(2 * math.pi)


def pdf(x: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """The density."""
    return np.exp(logpdf(x, loc, scale))


def cdf(x: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """The probability of less than x."""
    return special.ndtr((x - loc) / scale)


def logcdf(x: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """The logarithm of the probability of less than x."""
    return special.log_ndtr((x - loc) / scale)


def sf(x: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """The probability of more than x."""
    return special.ndtr((loc - x) / scale)


def logsf(x: ArrayLike, loc: ArrayLike = 0.0, scale: ArrayLike = 1.0) -> Array:
    """The logarithm of the probability of more than x."""
    return special.log_ndtr((loc - x) / scale)


def __getattr__(name: str) -> Any:
    return of_scipy("norm", name)

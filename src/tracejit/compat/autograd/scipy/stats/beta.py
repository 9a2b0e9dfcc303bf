"""The beta distribution, for 0 <= x <= 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.autograd.scipy.stats.cumulative import distribution_function, of_scipy
from tracejit.numpy.arrays import Array, ArrayLike
from tracejit.scipy import special

__all__ = ["cdf", "logpdf", "pdf"]


def logpdf(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> Array:
    """(a - 1) log x + (b - 1) log(1 - x) - log B(a, b)."""
    outside = np.logical_or(np.less(x, 0), np.greater(x, 1))
    inside = np.where(outside, 0.5, x)
    heads = special.xlogy(np.subtract(a, 1.0), inside)
    tails = special.xlog1py(np.subtract(b, 1.0), -inside)
    return np.where(outside, -np.inf, heads + tails - special.betaln(a, b))


def pdf(x: ArrayLike, a: ArrayLike, b: ArrayLike) -> Array:
    """The density."""
    return np.exp(logpdf(x, a, b))


#: The probability of less than x.
cdf = distribution_function("beta", pdf)


def __getattr__(name: str) -> Any:
    return of_scipy("beta", name)

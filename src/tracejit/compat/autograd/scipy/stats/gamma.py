"""The gamma distribution of shape a, for x > 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.autograd.scipy.stats.cumulative import distribution_function, of_scipy
from tracejit.numpy.arrays import Array, ArrayLike
from tracejit.scipy import special

__all__ = ["cdf", "logpdf", "pdf"]


def logpdf(x: ArrayLike, a: ArrayLike) -> Array:
    """(a - 1) log x - x - log Gamma(a)."""
    inside = np.where(np.less(x, 0), 1.0, x)
    density = special.xlogy(np.subtract(a, 1.0), inside) - inside - special.gammaln(a)
    return np.where(np.less(x, 0), -np.inf, density)


def pdf(x: ArrayLike, a: ArrayLike) -> Array:
    """The density."""
    return np.exp(logpdf(x, a))


#: The probability of less than x.
cdf = distribution_function("gamma", pdf)


def __getattr__(name: str) -> Any:
    return of_scipy("gamma", name)

"""The Poisson distribution of mean mu, at whole numbers k."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.autograd.scipy.stats.cumulative import distribution_function, of_scipy
from tracejit.numpy.arrays import Array, ArrayLike
from tracejit.scipy import special

__all__ = ["cdf", "logpmf", "pmf"]


def logpmf(k: ArrayLike, mu: ArrayLike) -> Array:
    """k log mu - mu - log k!."""
    return special.xlogy(k, mu) - mu - special.gammaln(np.add(k, 1.0))


def pmf(k: ArrayLike, mu: ArrayLike) -> Array:
    """The probability."""
    return np.exp(logpmf(k, mu))


#: Of k or less; the derivative with respect to mu is -pmf(k).
cdf = distribution_function("poisson", pmf, argnum=1, sign=-1.0)


def __getattr__(name: str) -> Any:
    return of_scipy("poisson", name)

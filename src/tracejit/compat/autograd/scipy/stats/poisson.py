"""The Poisson distribution of mean mu, at whole numbers k."""

from __future__ import annotations

import numpy as np

from tracejit.numpy.arrays import Array, ArrayLike
from tracejit.scipy import special

__all__ = ["logpmf", "pmf"]


def logpmf(k: ArrayLike, mu: ArrayLike) -> Array:
    """k log mu - mu - log k!."""
    return special.xlogy(k, mu) - mu - special.gammaln(np.add(k, 1.0))


def pmf(k: ArrayLike, mu: ArrayLike) -> Array:
    """The probability."""
    return np.exp(logpmf(k, mu))

"""The Dirichlet distribution of concentrations alpha, at x that add up to 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.autograd.scipy.stats.cumulative import of_scipy
from tracejit.numpy.arrays import Array, ArrayLike
from tracejit.scipy import special

__all__ = ["logpdf", "pdf"]


def logpdf(x: ArrayLike, alpha: ArrayLike) -> Array:
    """sum (alpha - 1) log x - log B(alpha); the axis of classes is the first one of x."""
    alpha = np.asarray(alpha, float) if isinstance(alpha, (list, tuple)) else alpha
    norm = np.sum(special.gammaln(alpha)) - special.gammaln(np.sum(alpha))
    return np.sum(special.xlogy(np.transpose(alpha - 1.0), np.transpose(x)), axis=-1) - norm


def pdf(x: ArrayLike, alpha: ArrayLike) -> Array:
    """The density."""
    return np.exp(logpdf(x, alpha))


def __getattr__(name: str) -> Any:
    return of_scipy("dirichlet", name)

"""The normal distribution of vectors, in the last axis of x."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.compat.autograd.scipy.stats.cumulative import of_scipy
from tracejit.numpy.arrays import Array, ArrayLike

__all__ = ["entropy", "logpdf", "pdf"]


def logpdf(x: ArrayLike, mean: ArrayLike, cov: ArrayLike) -> Array:
    """-(r' C^-1 r + log det C + n log 2 pi) / 2, where r = x - mean; cov is positive definite."""
    factor = np.linalg.cholesky(cov)
    r = x - mean
    white = np.linalg.solve(factor, np.transpose(np.atleast_2d(r)))
    squares = np.reshape(np.sum(white * white, axis=0), np.shape(r)[:-1])
    return -0.5 * squares - _log_volume(factor)


def pdf(x: ArrayLike, mean: ArrayLike, cov: ArrayLike) -> Array:
    """The density."""
    return np.exp(logpdf(x, mean, cov))


def entropy(mean: ArrayLike, cov: ArrayLike) -> Array:
    """(n + log det C + n log 2 pi) / 2."""
    return 0.5 * np.shape(cov)[0] + _log_volume(np.linalg.cholesky(cov))


def _log_volume(factor: Array) -> Array:
    """log sqrt(det(2 pi C)), of the Cholesky factor of C."""
    half = 0.5 * factor.shape[0] * math.log(2 * math.pi)
    return np.sum(np.log(np.diagonal(factor))) + half


def __getattr__(name: str) -> Any:
    return of_scipy("multivariate_normal", name)

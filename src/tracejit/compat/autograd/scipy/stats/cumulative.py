"""Distribution functions by SciPy, whose derivative with respect to x is the density.

Those with respect to the parameters of the distribution are not there, as in autograd.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from tracejit.compat.autograd.extend import Primitive, defjvp, primitive

__all__ = ["distribution_function", "of_scipy"]


def of_scipy(distribution: str, name: str) -> Any:
    """What a distribution of scipy.stats has beside: `rvs`, `ppf` ..., for known numbers."""
    return getattr(getattr(import_module("scipy.stats"), distribution), name)


def distribution_function(
    name: str, density: Callable[..., Any], argnum: int = 0, sign: float = 1.0
) -> Primitive:
    """`cdf` of scipy.stats's distribution `name`, which is called back; the derivative with respect
    to the argument `argnum` is `sign` times the density."""

    @primitive
    def cdf(*args: Any) -> Any:
        return of_scipy(name, "cdf")(*args)

    defjvp(cdf, lambda t, ans, *args: t * (sign * density(*args)), argnums=[argnum])
    return cdf

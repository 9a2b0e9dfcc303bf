"""autograd.scipy: special functions, factorisations, and the densities of distributions."""

from __future__ import annotations

from tracejit.compat.autograd.scipy import linalg, special, stats

__all__ = ["linalg", "special", "stats"]

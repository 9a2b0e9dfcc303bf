"""scipy's functions on arrays and traced values, as far as primitives reach: special, linalg."""

from __future__ import annotations

from tracejit.scipy import linalg, special

__all__ = ["linalg", "special"]

"""scipy's functions on arrays and traced values, as far as the primitives reach: `special`."""

from __future__ import annotations

from tracejit.scipy import special

__all__ = ["special"]

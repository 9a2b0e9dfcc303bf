"""The eager backend: NumPy, equation by equation. Simple, and the reference for the others."""

from __future__ import annotations

from tracejit.backends.eager.run import BACKEND

__all__ = ["BACKEND"]

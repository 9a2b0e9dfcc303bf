"""numpy.linalg: traced values are answered through NumPy's own protocol."""

from __future__ import annotations

from numpy.linalg import *  # noqa: F403

"""numpy.random: traced values are answered through NumPy's own protocol."""

from __future__ import annotations

from numpy.random import *  # noqa: F403

"""numpy.fft: traced values are answered through NumPy's own protocol."""

from __future__ import annotations

from numpy.fft import *  # noqa: F403

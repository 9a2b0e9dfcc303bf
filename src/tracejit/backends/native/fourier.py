"""Lowering of Fourier transforms: by NumPy."""

from __future__ import annotations

from tracejit.backends.native.callbacks import referred
from tracejit.backends.native.lowering import LOWERINGS
from tracejit.ops import fourier as ops

LOWERINGS.rows(__name__, {ops.fft: referred(ops.fft)})

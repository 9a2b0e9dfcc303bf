"""NumPy: its own functions on known arrays, and tracejit's on traced values."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.compat.autograd.numpy import fft, linalg, random
from tracejit.trace.world import double_of

__all__ = ["fft", "linalg", "random"]


def __getattr__(name: str) -> Any:
    return getattr(double_of(np), name)


def __dir__() -> list[str]:
    return dir(np)

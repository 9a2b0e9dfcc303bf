"""numpy.linalg: traced values are answered by NumPy's own protocol; lists of them are arrays."""

from __future__ import annotations

from typing import Any

from numpy import linalg

from tracejit.compat.autograd.numpy.joining import joining


def __getattr__(name: str) -> Any:
    found = getattr(linalg, name)
    plain = name.startswith("_") or isinstance(found, type) or not callable(found)
    return found if plain else joining(found)


def __dir__() -> list[str]:
    return dir(linalg)

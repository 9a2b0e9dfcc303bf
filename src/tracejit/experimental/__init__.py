"""jax.experimental, as far as there is a name here that JAX keeps there."""

from __future__ import annotations

from typing import Any

from tracejit.control.effects import io_callback
from tracejit.errors import did_you_mean
from tracejit.experimental import jet

__all__ = ["io_callback", "jet"]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.experimental has no {name!r}; {did_you_mean(name, __all__)}")

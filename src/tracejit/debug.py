"""jax.debug: what a compiled program prints, and whom it calls back, while it runs."""

from __future__ import annotations

from typing import Any

from tracejit.control.effects import debug_callback as callback
from tracejit.control.effects import debug_print as print
from tracejit.errors import did_you_mean

__all__ = ["callback", "print"]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.debug has no {name!r}; {did_you_mean(name, __all__)}")

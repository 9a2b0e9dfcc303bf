"""`torch.nn.functional`: the rows of this package, each a function of tensors."""

from __future__ import annotations

from typing import Any

from tracejit.compat.torch.functions import FUNCTIONS
from tracejit.compat.torch.nn import activations, attention, criteria, windows  # noqa: F401 - rows
from tracejit.compat.torch.nn.table import PUBLIC
from tracejit.errors import did_you_mean

PUBLIC.update({name: FUNCTIONS[name] for name in ("cosine_similarity", "cdist")})
__all__ = sorted(PUBLIC)
globals().update(PUBLIC)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"torch.nn.functional has no {name!r} here; {did_you_mean(name, __all__)}")

"""`torch.nn`: parameters, modules, losses."""

# ruff: noqa: F401 - a namespace
from __future__ import annotations

from typing import Any

from tracejit.compat.torch.nn import (
    containers,
    functional,
    init,
    layers,
    losses,
    modules,
    recurrent,
    spatial,
    transformer,
    utils,
)
from tracejit.compat.torch.nn.containers import *  # noqa: F403
from tracejit.compat.torch.nn.layers import *  # noqa: F403
from tracejit.compat.torch.nn.losses import *  # noqa: F403
from tracejit.compat.torch.nn.modules import *  # noqa: F403
from tracejit.compat.torch.nn.recurrent import *  # noqa: F403
from tracejit.compat.torch.nn.spatial import *  # noqa: F403
from tracejit.compat.torch.nn.transformer import *  # noqa: F403
from tracejit.errors import did_you_mean

_PARTS = (containers, layers, losses, modules, recurrent, spatial, transformer)
__all__ = sorted(
    {"functional", "init", "utils"} | {name for part in _PARTS for name in part.__all__}
)


def __getattr__(name: str) -> Any:
    raise AttributeError(f"torch.nn has no {name!r} here; {did_you_mean(name, __all__)}")

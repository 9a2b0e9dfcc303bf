"""`torch.nn`: parameters, modules, losses."""

# ruff: noqa: F401 - a namespace
from __future__ import annotations

from tracejit.compat.torch.nn import functional, init, layers, losses, modules, utils
from tracejit.compat.torch.nn.layers import *  # noqa: F403
from tracejit.compat.torch.nn.losses import *  # noqa: F403
from tracejit.compat.torch.nn.modules import *  # noqa: F403

__all__ = sorted(
    ["functional", "init", "utils", *layers.__all__, *losses.__all__, *modules.__all__]
)

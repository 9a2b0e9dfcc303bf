"""`torch.optim`."""

# ruff: noqa: F401 - a namespace
from __future__ import annotations

from tracejit.compat.torch.optim import algorithms, lr_scheduler
from tracejit.compat.torch.optim.algorithms import *  # noqa: F403
from tracejit.compat.torch.optim.lbfgs import LBFGS

__all__ = sorted([*algorithms.__all__, "LBFGS", "lr_scheduler"])

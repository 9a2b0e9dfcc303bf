"""`torch.optim`: optimisers, and schedules for their learning rates."""

from __future__ import annotations

from typing import Any

from tracejit.compat.torch.optim import lr_scheduler
from tracejit.compat.torch.optim.adaptive import Adam, Adamax, AdamW, NAdam, RAdam
from tracejit.compat.torch.optim.algorithms import ASGD, SGD, Adadelta, Adagrad, RMSprop, Rprop
from tracejit.compat.torch.optim.base import Optimizer
from tracejit.compat.torch.optim.lbfgs import LBFGS
from tracejit.errors import did_you_mean

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer",
    "RAdam", "RMSprop", "Rprop", "lr_scheduler",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    raise AttributeError(f"torch.optim has no {name!r} here; {did_you_mean(name, __all__)}")

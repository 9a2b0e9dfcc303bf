"""Checkpointing, under the names of `jax.ad_checkpoint`."""

from __future__ import annotations

from tracejit.api.checkpointing import (
    checkpoint,
    checkpoint_policies,
    print_saved_residuals,
    remat,
    saved_residuals,
)
from tracejit.control.checkpointing import checkpoint_name

__all__ = [
    "checkpoint", "checkpoint_name", "checkpoint_policies", "print_saved_residuals", "remat",
    "saved_residuals",
]  # fmt: skip

"""autograd.misc: containers as vectors, and optimizers."""

from __future__ import annotations

from tracejit.compat.autograd.misc import optimizers
from tracejit.compat.autograd.misc.flatten import flatten

__all__ = ["flatten", "optimizers"]

"""autograd.misc: containers as vectors, optimizers, fixed points."""

from __future__ import annotations

from tracejit.compat.autograd.misc import fixed_points, optimizers
from tracejit.compat.autograd.misc.flatten import flatten
from tracejit.compat.autograd.misc.tracers import const_graph

__all__ = ["const_graph", "fixed_points", "flatten", "optimizers"]

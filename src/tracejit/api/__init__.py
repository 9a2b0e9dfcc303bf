"""The door: what users call. jit, derivatives, vmap, and the views of what they make.

Reading order: recording (a function at a point), gradients, linear_maps (jvp, vjp, linearize),
jacobians, batching, jit, finals, inspect.
"""

from __future__ import annotations

from tracejit.numpy import operators  # noqa: F401  lends tracers their operators

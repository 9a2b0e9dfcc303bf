"""The xla backend: a jaxpr through jax.lax inside jax.jit, for CPU, GPU and TPU.

The only room that imports jax, and only its public names. A primitive has one row in `LOWERINGS`, a
function of jax arrays, in the file of its family; `lower` walks a jaxpr with them, `run` compiles.
"""

from __future__ import annotations

from tracejit.backends.xla import (
    callbacks,
    contraction,
    control,
    elementwise,
    fourier,
    indexing,
    linalg,
    orthogonal,
    random,
    reduction,
    special,
    structure,
)
from tracejit.backends.xla.run import BACKEND
from tracejit.backends.xla.table import LOWERINGS

#: The files that fill the table.
FAMILIES = (
    elementwise, structure, reduction, contraction, indexing, linalg, orthogonal, special, random,
    fourier, control, callbacks,
)  # fmt: skip

__all__ = ["BACKEND", "FAMILIES", "LOWERINGS"]

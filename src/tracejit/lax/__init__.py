"""jax.lax: thin functions over the primitives, with JAX's names and order of arguments.

They do not promote: operands have one dtype, except that Python numbers take that of the others.
Shapes broadcast as in NumPy, which is more than JAX allows.
"""

from __future__ import annotations

from typing import Any

from tracejit.control.associative import associative_scan
from tracejit.control.branching import cond, switch
from tracejit.control.looping import fori_loop, map, scan, while_loop
from tracejit.control.solving import custom_linear_solve, custom_root
from tracejit.lax import (  # noqa: F401
    convolution,
    elementwise,
    fourier,
    linalg,
    pooling,
    reductions,
    scattering,
    shapes,
    windows,
)
from tracejit.lax.convolution import *  # noqa: F403
from tracejit.lax.elementwise import *  # noqa: F403
from tracejit.lax.fourier import *  # noqa: F403
from tracejit.lax.pooling import *  # noqa: F403
from tracejit.lax.reductions import *  # noqa: F403
from tracejit.lax.scattering import *  # noqa: F403
from tracejit.lax.shapes import *  # noqa: F403
from tracejit.lax.windows import *  # noqa: F403
from tracejit.numpy.arrays import nearest

_CONTROL = (
    associative_scan, cond, custom_linear_solve, custom_root, fori_loop, map, scan, switch,
    while_loop,
)  # fmt: skip

__all__ = sorted(
    [
        *(function.__name__ for function in _CONTROL),
        *convolution.__all__, *elementwise.__all__, *fourier.__all__, *pooling.__all__,
        *reductions.__all__, *scattering.__all__, *shapes.__all__, *windows.__all__, "linalg",
    ]
)  # fmt: skip


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.lax has no {name!r}; {nearest(name, __all__)}")

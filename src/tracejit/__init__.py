"""NumPy functions, traced, differentiated on a typed IR, and compiled to native code.

    import numpy as np
    import tracejit as tj

    @tj.jit
    @tj.value_and_grad
    def loss(w, X, y):
        return np.mean(np.logaddexp(0.0, -y * (X @ w)))

The names are JAX's, the semantics NumPy's: float64 unless `tj.config.update("default_float",
"float32")`, ndarrays in and out. Modules below that are not needed here load on first use.
"""

from __future__ import annotations

import importlib
from typing import Any

from tracejit import errors, numpy, tree
from tracejit.api.arrays import Array, block_until_ready, device_get, device_put
from tracejit.api.batching import vmap
from tracejit.api.gradients import grad, value_and_grad
from tracejit.api.inspect import ShapeDtypeStruct, eval_shape, make_jaxpr, stages
from tracejit.api.jacobians import hessian, jacfwd, jacobian, jacrev
from tracejit.api.jit import disable_jit, jit
from tracejit.api.linear_maps import jvp, linear_transpose, linearize, stop_gradient, vjp
from tracejit.config import config
from tracejit.errors import did_you_mean
from tracejit.ir.types import FLOAT0 as float0

__version__ = "0.1.0"

__all__ = [
    "Array",
    "ShapeDtypeStruct",
    "block_until_ready",
    "config",
    "device_get",
    "device_put",
    "disable_jit",
    "errors",
    "eval_shape",
    "float0",
    "grad",
    "hessian",
    "jacfwd",
    "jacobian",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "linear_transpose",
    "linearize",
    "make_jaxpr",
    "nn",
    "numpy",
    "random",
    "scipy",
    "stages",
    "stop_gradient",
    "tree",
    "tree_util",
    "value_and_grad",
    "vjp",
    "vmap",
]

_ON_FIRST_USE = ("lax", "nn", "random", "scipy", "tree_util")


def __getattr__(name: str) -> Any:
    if name in _ON_FIRST_USE:
        return importlib.import_module(f"tracejit.{name}")
    raise AttributeError(f"tracejit has no {name!r}; {did_you_mean(name, __all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

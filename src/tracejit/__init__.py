"""NumPy functions, traced, differentiated on a typed IR, and compiled to native code.

    import numpy as np
    import tracejit as tj

    @tj.jit
    @tj.value_and_grad
    def loss(w, X, y):
        return np.mean(np.logaddexp(0.0, -y * (X @ w)))

The names are JAX's, the semantics NumPy's: float64 unless `tj.config.update("default_float",
"float32")`, ndarrays in and out. Everything loads on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from tracejit import errors, tree
from tracejit.config import config
from tracejit.errors import did_you_mean

if TYPE_CHECKING:
    from tracejit.api.arrays import Array, block_until_ready, device_get, device_put, float0
    from tracejit.api.batching import vmap
    from tracejit.api.checkpointing import (
        checkpoint,
        checkpoint_policies,
        print_saved_residuals,
        remat,
        saved_residuals,
    )
    from tracejit.api.compare import compare
    from tracejit.api.custom import closure_convert, custom_gradient, custom_jvp, custom_vjp
    from tracejit.api.effects import check, pure_callback
    from tracejit.api.finals import with_finals
    from tracejit.api.gradients import grad, value_and_grad
    from tracejit.api.inspect import ShapeDtypeStruct, eval_shape, explain, make_jaxpr, stages
    from tracejit.api.jacobians import hessian, hvp, jacfwd, jacobian, jacrev
    from tracejit.api.jit import debug_infs, debug_nans, disable_jit, jit
    from tracejit.api.linear_maps import jvp, linear_transpose, linearize, stop_gradient, vjp
    from tracejit.api.loops import range
    from tracejit.api.sparse import (
        hessian_sparsity,
        jacobian_sparsity,
        sparse_hessian,
        sparse_jacobian,
    )
    from tracejit.api.sparse_arrays import SparseArray

__version__ = "0.1.0"

__all__ = [
    "Array",
    "ShapeDtypeStruct",
    "SparseArray",
    "ad_checkpoint",
    "block_until_ready",
    "check",
    "checkpoint",
    "checkpoint_policies",
    "closure_convert",
    "compare",
    "compat",
    "config",
    "custom_batching",
    "custom_derivatives",
    "custom_gradient",
    "custom_jvp",
    "custom_vjp",
    "debug",
    "debug_infs",
    "debug_nans",
    "device_get",
    "device_put",
    "disable_jit",
    "errors",
    "eval_shape",
    "experimental",
    "explain",
    "extend",
    "float0",
    "grad",
    "hessian",
    "hessian_sparsity",
    "hvp",
    "implicit",
    "jacfwd",
    "jacobian",
    "jacobian_sparsity",
    "jacrev",
    "jit",
    "jvp",
    "lax",
    "linear_transpose",
    "linearize",
    "make_jaxpr",
    "nn",
    "numpy",
    "optim",
    "print_saved_residuals",
    "pure_callback",
    "random",
    "range",
    "remat",
    "saved_residuals",
    "scipy",
    "sparse_hessian",
    "sparse_jacobian",
    "stages",
    "stop_gradient",
    "test_util",
    "tree",
    "tree_util",
    "value_and_grad",
    "vjp",
    "vmap",
    "with_finals",
]

_MODULES = (
    "ad_checkpoint", "compat", "custom_batching", "custom_derivatives", "debug", "experimental",
    "extend", "implicit", "lax", "nn", "numpy", "optim", "random", "scipy", "test_util",
    "tree_util",
)  # fmt: skip

# Where the other names come from.
_HOMES = {
    "arrays": ("Array", "block_until_ready", "device_get", "device_put", "float0"),
    "batching": ("vmap",),
    "checkpointing": (
        "checkpoint", "checkpoint_policies", "print_saved_residuals", "remat", "saved_residuals",
    ),
    "compare": ("compare",),
    "custom": ("closure_convert", "custom_gradient", "custom_jvp", "custom_vjp"),
    "effects": ("check", "pure_callback"),
    "finals": ("with_finals",),
    "gradients": ("grad", "value_and_grad"),
    "inspect": ("ShapeDtypeStruct", "eval_shape", "explain", "make_jaxpr", "stages"),
    "jacobians": ("hessian", "hvp", "jacfwd", "jacobian", "jacrev"),
    "jit": ("debug_infs", "debug_nans", "disable_jit", "jit"),
    "loops": ("range",),
    "sparse": ("hessian_sparsity", "jacobian_sparsity", "sparse_hessian", "sparse_jacobian"),
    "sparse_arrays": ("SparseArray",),
    "linear_maps": ("jvp", "linear_transpose", "linearize", "stop_gradient", "vjp"),
}
_HOME_OF = {name: f"tracejit.api.{home}" for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"tracejit.{name}")
    if name not in _HOME_OF:
        raise AttributeError(f"tracejit has no {name!r}; {did_you_mean(name, __all__)}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value  # the next time Python finds it without us
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""The names of HIPS autograd: `from tracejit.compat.autograd import grad, numpy as np`.

Each derivative is that of `tracejit`, so these functions nest with its own, and with `jit`. What
differs from autograd is said in docs/coming_from_autograd.md.
"""

from __future__ import annotations

from tracejit.compat.autograd import builtins, extend, misc, numpy, scipy, test_util
from tracejit.compat.autograd.builtins import dict, isinstance, list, tuple
from tracejit.compat.autograd.differential_operators import (
    checkpoint,
    deriv,
    elementwise_grad,
    grad,
    grad_and_aux,
    grad_named,
    hessian,
    hessian_tensor_product,
    hessian_vector_product,
    holomorphic_grad,
    jacobian,
    make_ggnvp,
    make_hvp,
    make_jvp,
    make_jvp_reversemode,
    make_vjp,
    multigrad_dict,
    tensor_jacobian_product,
    value_and_grad,
    vector_jacobian_product,
)
from tracejit.compat.autograd.extend import primitive

__all__ = [
    "builtins", "checkpoint", "deriv", "dict", "elementwise_grad", "extend", "grad", "grad_and_aux",
    "grad_named", "hessian", "hessian_tensor_product", "hessian_vector_product",
    "holomorphic_grad", "isinstance", "jacobian", "list", "make_ggnvp", "make_hvp", "make_jvp",
    "make_jvp_reversemode", "make_vjp", "misc", "multigrad_dict", "numpy", "primitive", "scipy",
    "tensor_jacobian_product", "test_util", "tuple", "value_and_grad", "vector_jacobian_product",
]  # fmt: skip

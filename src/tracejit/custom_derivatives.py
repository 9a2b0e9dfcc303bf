"""Derivatives that the user gives, under the names of `jax.custom_derivatives`."""

from __future__ import annotations

from tracejit.api.custom import (
    CustomVJPPrimal,
    SymbolicZero,
    closure_convert,
    custom_gradient,
    custom_jvp,
    custom_vjp,
)

__all__ = [
    "CustomVJPPrimal", "SymbolicZero", "closure_convert", "custom_gradient", "custom_jvp",
    "custom_vjp",
]  # fmt: skip

"""Derivatives that the user gives, under the names of `jax.custom_derivatives`."""

from __future__ import annotations

from typing import Any

from tracejit import tree
from tracejit.api.custom import (
    CustomVJPPrimal,
    SymbolicZero,
    closure_convert,
    custom_gradient,
    custom_jvp,
    custom_vjp,
)
from tracejit.api.linear_maps import zeros
from tracejit.control.linear_call import linear_call
from tracejit.runtime.values import abstract

__all__ = [
    "CustomVJPPrimal", "SymbolicZero", "closure_convert", "custom_gradient", "custom_jvp",
    "custom_vjp", "custom_vjp_primal_tree_values", "linear_call", "zero_from_primal",
]  # fmt: skip


def custom_vjp_primal_tree_values(values: Any) -> Any:
    """The tree of values, from what a forward pass gets where symbolic zeros are asked for: each
    `CustomVJPPrimal` gives way to its value."""

    def is_primal(x: Any) -> bool:
        return isinstance(x, CustomVJPPrimal)

    return tree.map(lambda x: x.value if is_primal(x) else x, values, is_leaf=is_primal)


def zero_from_primal(value: Any, symbolic_zeros: bool = False) -> Any:
    """The zero tangent of a tree of values: arrays (float0 for integers), or `SymbolicZero`s."""

    def nothing(x: Any) -> Any:
        type = abstract(x, lambda: "a leaf of zero_from_primal")
        return SymbolicZero(type) if symbolic_zeros else zeros(type)

    return tree.map(nothing, value)

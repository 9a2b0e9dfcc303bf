"""What rules of users get and give: symbolic zeros, and the checks of everything that they return.

Results have the structure, shapes and dtypes of what they stand for. Python numbers give way; all
else is an error that names the rule, and is found where the rule is.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.staging import leaf_type, show
from tracejit.errors import ArgumentError, DTypeError, ShapeError, TreeError
from tracejit.ir.atoms import zero
from tracejit.ir.types import FLOAT0, ArrayType, has_dtype, tangent_type
from tracejit.ops.elementwise import convert
from tracejit.trace.provenance import function_place
from tracejit.trace.stage import is_weak
from tracejit.trace.tracer import Tracer, bind, current_trace

Function = Callable[..., Any]


class SymbolicZero:
    """A (co)tangent that is known to be zero, for rules that asked for symbolic zeros.

    It has the shape and dtype of one, and no values; `instantiate` makes the array.
    """

    def __init__(self, type: ArrayType):
        self.aval = tangent_type(type)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.aval.shape

    @property
    def dtype(self) -> np.dtype:
        return self.aval.dtype

    @property
    def ndim(self) -> int:
        return self.aval.ndim

    @property
    def size(self) -> int:
        return self.aval.size

    def instantiate(self) -> np.ndarray:
        """Zeros, as an array."""
        return np.zeros(self.shape, self.dtype)

    def __repr__(self) -> str:
        return f"SymbolicZero({self.aval})"


@dataclass(frozen=True, slots=True)
class CustomVJPPrimal:
    """What the forward pass gets for an argument where symbolic zeros are asked for: the value,
    and whether it is differentiated."""

    value: Any
    perturbed: bool


def fitting(x: Any, type: ArrayType, what: str, rule: Function) -> Any:
    """A leaf of a rule's result, which has to be of a type; Python numbers take its dtype."""
    if isinstance(x, SymbolicZero) and x.shape == type.shape:
        return zero_tracer(type)
    if isinstance(x, SymbolicZero):
        raise ShapeError(
            f"{what} is {x!r}, and {type} is expected", where=function_place(rule),
            hint="Consider just returning a None here",
        )  # fmt: skip
    leaf = x if isinstance(x, Tracer) else np.asarray(x)
    if not isinstance(x, Tracer) and not has_dtype(leaf.dtype):
        raise DTypeError(f"{what} is {x!r}, and {type} is expected", where=function_place(rule))
    have = leaf_type(leaf)
    if have.shape != type.shape:
        raise ShapeError(
            f"{what} has shape and dtype {have}, and {type} is expected", where=function_place(rule)
        )
    if have.dtype == type.dtype:
        return leaf
    if is_weak(x) and np.can_cast(have.dtype, type.dtype, "same_kind"):
        return bind(convert, leaf, dtype=type.dtype)
    raise DTypeError(
        f"{what} has shape and dtype {have}, and {type} is expected", where=function_place(rule),
        hint=f"convert it with astype(np.{type.dtype})" if type.is_inexact else None,
    )  # fmt: skip


def zero_tracer(type: ArrayType) -> Any:
    """The zero of a float type in the current trace, known to be one."""
    trace = current_trace()
    assert trace is not None
    return Tracer(trace, zero(type))


def no_tangent(type: ArrayType, symbolic: bool) -> Any:
    """What a rule gets for a (co)tangent that is zero: an array, or a symbolic zero."""
    if symbolic:
        return SymbolicZero(type)
    return zero_tracer(type) if type.is_inexact else np.zeros(type.shape, FLOAT0)


def ask(rule: Function, what: str, takes: str, *args: Any) -> Any:
    """What a rule returns; ArgumentError where it does not take so many arguments.

    takes: what they are.
    """
    try:
        inspect.signature(rule, follow_wrapped=False).bind(*args)
    except TypeError as error:
        raise ArgumentError(
            f"{what} is called with {takes}: {error}", where=function_place(rule),
            hint="arguments of nondiff_argnums come before those",
        ) from None  # fmt: skip
    except ValueError:  # no signature
        pass
    return rule(*args)


def pair(out: Any, rule: Function, what: str, of: str) -> tuple[Any, Any]:
    """The two results of a rule; TreeError (a TypeError) for anything else."""
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TreeError(
            f"{what} must produce a pair (list or tuple of length two) {of}", hint=f"got {out!r}",
            where=function_place(rule),
        )  # fmt: skip
    return out[0], out[1]


def matching(ct: Any, structure: tree.TreeDef, what: str, bwd: Function) -> list[Any]:
    """The leaves of a cotangent; None, for a whole tree or in it, where it is zero."""
    leaves, prefix = tree.flatten(ct, is_leaf=lambda x: x is None)
    leaf = tree.structure(0)
    try:
        parts = tree.flatten_up_to(prefix, structure.unflatten([0] * structure.num_leaves))
        parts = [tree.structure(part) for part in parts]
        if any(x is not None and part != leaf for x, part in zip(leaves, parts, strict=True)):
            raise TreeError("a leaf for a container")
    except TreeError:
        raise TreeError(
            f"{what} has another container (pytree) structure than the argument",
            where=function_place(bwd),
            hint=f"the argument:  {show(structure)}\nthe cotangent: {show(tree.structure(ct))}",
        ) from None
    return [
        y for x, part in zip(leaves, parts, strict=True)
        for y in ([x] if x is not None else [None] * part.num_leaves)
    ]  # fmt: skip

"""cond and switch: the user's functions, one of which runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.config import config
from tracejit.control.cond import cond as cond_primitive
from tracejit.control.staging import (
    Body,
    answer,
    as_dtype,
    as_leaves,
    check_functions,
    close,
    join,
    leaf_type,
    scalar,
    show,
    stage_body,
)
from tracejit.errors import ArgumentError, DTypeError, ShapeError, TreeError
from tracejit.ir.types import BOOL, INT32, INT64, ArrayType
from tracejit.ops.elementwise import ne
from tracejit.trace.provenance import function_place, user_frame
from tracejit.trace.stage import is_weak, value_of
from tracejit.trace.tracer import bind

_NOTHING: Any = object()


def cond(
    pred: Any,
    true_fun: Callable[..., Any],
    false_fun: Callable[..., Any],
    *operands: Any,
    operand: Any = _NOTHING,
) -> Any:
    """`true_fun(*operands)` if `pred` holds, else `false_fun(*operands)`; only one of them runs.

    pred: a scalar, bool or number. The functions take and return pytrees; results agree in
    structure, shapes and dtypes. `operand` is another way to give the one operand.
    A predicate whose value is known decides at once, and the other function is not looked at.
    Under `vmap` with a predicate for each member both run if they are short, and `select` chooses;
    else, or where one may not end, each member takes its branch.
    """
    if operand is not _NOTHING:
        operands = (*operands, operand)
    check_functions("cond", true_fun, false_fun)
    pred = scalar(pred, "the predicate of cond")
    known = answer(bool, pred) if config.disable_jit else value_of(pred)
    if known is not None:
        return (true_fun if known else false_fun)(*operands)
    if pred.dtype != BOOL:
        pred = bind(ne, pred, np.zeros((), pred.dtype))
    return _branch("cond", as_dtype(pred, INT32), (false_fun, true_fun), operands)


def switch(
    index: Any, branches: Sequence[Callable[..., Any]], *operands: Any, operand: Any = _NOTHING
) -> Any:
    """`branches[index](*operands)`, the index being clamped into range.

    index: an integer scalar. Functions and results are as those of `cond`.
    """
    branches = tuple(branches)
    if operand is not _NOTHING:
        operands = (*operands, operand)
    if not branches:
        raise ArgumentError("switch needs at least one branch", where=user_frame())
    check_functions("switch", *branches)
    index = scalar(index, "the index of switch")
    if index.dtype.kind not in "iu":
        raise DTypeError(
            f"the index of switch must be an integer, got {index.dtype}", where=user_frame()
        )
    known = answer(int, index) if config.disable_jit else value_of(index)
    if known is not None:
        return branches[min(max(int(known), 0), len(branches) - 1)](*operands)
    if len(branches) == 1:
        return branches[0](*operands)
    index = index if index.dtype == INT32 else as_dtype(index, INT64)
    return _branch("switch", index, branches, operands)


def _branch(
    name: str, index: Any, funs: Sequence[Callable[..., Any]], operands: tuple[Any, ...]
) -> Any:
    """Stage all functions and bind the primitive."""
    xs, structure = tree.flatten(operands)
    leaves = as_leaves(xs, structure, "operands")
    types, weak = [*map(leaf_type, leaves)], [*map(is_weak, xs)]
    bodies = [stage_body(fun, structure, types, weak, name) for fun in funs]
    results = _agreed(name, bodies)
    captured, branches = close([body.returning(results) for body in bodies])
    outs = bind(cond_primitive, index, *captured, *leaves, branches=tuple(branches))
    return bodies[0].structure.unflatten(outs)


def _agreed(name: str, bodies: Sequence[Body]) -> list[ArrayType]:
    """The types of the results, which all branches share; Python numbers give way."""
    first, *others = bodies
    types = [*zip(first.types, first.weak, strict=True)]
    for body in others:
        if body.structure != first.structure:
            raise TreeError(
                f"{name}: two branches return different structures",
                where=function_place(body.fun),
                hint=f"one: {show(first.structure)}\nother: {show(body.structure)}",
            )
        for place, (before, after) in enumerate(
            zip(types, zip(body.types, body.weak, strict=True), strict=True)
        ):
            joined = join(*before, *after)
            if joined is None:
                path = tree.paths(first.structure, "result")[place]
                kind = ShapeError if before[0].shape != after[0].shape else DTypeError
                raise kind(
                    f"{name}: {path} is {before[0]} in one branch and {after[0]} in another",
                    where=function_place(body.fun),
                    hint="return the same shapes and dtypes from all branches",
                )
            types[place] = joined
    return [type for type, _ in types]

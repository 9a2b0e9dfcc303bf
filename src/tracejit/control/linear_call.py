"""linear_call: a linear function whose transpose is given, too.

    linear_call[jaxpr=f, back=t](*residuals, *xs)     f(residuals, xs), linear in xs
    its transpose:  linear_call[jaxpr=t, back=f](*residuals, *cts)

So the two take each other's place, however often they are turned round. Once the last transform is
behind it, the equation only stands for its jaxpr.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit import tree
from tracejit.control.bodies import (
    check_operands,
    divide,
    nonzero_mask,
    pick,
    spread,
    zero_tangents,
)
from tracejit.control.staging import (
    Body,
    as_leaves,
    check_functions,
    close,
    leaf_type,
    show,
    stage_body,
)
from tracejit.errors import DTypeError, MissingRuleError, ShapeError, TreeError
from tracejit.ir.atoms import Atom, is_zero
from tracejit.ir.current import current
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import Primitive, Unknown
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import evaluate, inline
from tracejit.ops.structure import batch_all
from tracejit.trace.provenance import function_place, user_frame
from tracejit.trace.stage import is_weak
from tracejit.trace.tracer import bind
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward

Atoms = Sequence[Atom]


def _typing(
    *types: ArrayType, jaxpr: Jaxpr, back: Jaxpr, num_residuals: int, name: str
) -> tuple[ArrayType, ...]:
    check_operands(name or "linear_call", jaxpr, types)
    return jaxpr.out_types


def _jvp(
    primals: Atoms, tangents: Atoms, outs: Atoms, *, jaxpr: Jaxpr, num_residuals: int, **rest: Any
) -> Atoms:
    """The same map of the tangents, and what the residuals change of it."""
    residuals, _ = divide(primals, num_residuals)
    of_residuals, ts = divide(tangents, num_residuals)
    moved: Atoms = zero_tangents(jaxpr.out_types)
    if not all(map(is_zero, ts)):
        moved = linear.bind(*residuals, *ts, jaxpr=jaxpr, num_residuals=num_residuals, **rest)
    mask = (*nonzero_mask(of_residuals), *(False,) * len(ts))
    if not any(mask):
        return moved
    pushed, live = forward.jvp(jaxpr, mask)
    made = inline(pushed, [*primals, *pick(tangents, mask)])[len(live) :]
    changed = spread(made, live, zero_tangents(jaxpr.out_types))
    return [_sum(a, b) for a, b in zip(moved, changed, strict=True)]


def _sum(a: Atom, b: Atom) -> Atom:
    if is_zero(a) or is_zero(b):
        return b if is_zero(a) else a
    return a + b


def _transpose(
    cts: Atoms, inputs: Sequence[Any], *, jaxpr: Jaxpr, back: Jaxpr, num_residuals: int, name: str
) -> Sequence[Atom | None]:
    residuals = inputs[:num_residuals]
    if any(isinstance(x, Unknown) for x in residuals):
        raise MissingRuleError(
            f"{name} is not linear in its residuals", where=current().provenance,
            hint="what it is linear in belongs into linear_args",
        )  # fmt: skip
    turned = linear.bind(
        *residuals, *cts, jaxpr=back, back=jaxpr, num_residuals=num_residuals, name=name
    )
    return [*[None] * num_residuals, *turned]


def _batch(
    size: int, inputs: Atoms, batched: Sequence[bool], *, jaxpr: Jaxpr, back: Jaxpr,
    num_residuals: int, name: str,
) -> Atoms:  # fmt: skip
    """All linear operands have the batch, and so have all results."""
    residuals, xs = divide(inputs, num_residuals)
    known, moving = divide(batched, num_residuals)
    many = [
        batching.batch(body, size, (*known, *(True,) * count), (True,) * len(body.outvars))[0]
        for body, count in ((jaxpr, len(xs)), (back, len(jaxpr.outvars)))
    ]
    return linear.bind(
        *residuals, *batch_all(size, xs, moving), jaxpr=many[0], back=many[1],
        num_residuals=num_residuals, name=name,
    )  # fmt: skip


linear: Primitive = Primitive(
    "linear_call", typing=_typing, evaluate=lambda *xs, jaxpr, **_: evaluate(jaxpr, *xs),
    jvp=_jvp, transpose=_transpose, batch=_batch, single=False, defaults={"name": ""},
    doc="A linear map and its transpose, as jaxprs that share their first operands.",
)  # fmt: skip


def linear_call(
    fun: Callable[..., Any], fun_transpose: Callable[..., Any], residual_args: Any, linear_args: Any
) -> Any:
    """`fun(residual_args, linear_args)`, as `jax.custom_derivatives.linear_call`.

    fun:           linear in its second argument; takes and returns trees of floats there.
    fun_transpose: `fun_transpose(residual_args, ct)` is its transpose: takes a tree like fun's
                   result, returns one like `linear_args`. It stands for reverse mode, and fun for
                   the transpose of that.

    Both modes of derivatives, of any order, are those of a linear function; what fun makes of the
    residuals has derivatives in both modes as well.
    """
    check_functions("linear_call", fun, fun_transpose)
    known, known_tree = tree.flatten(residual_args)
    given, linear_tree = tree.flatten(linear_args)
    residuals = as_leaves(known, known_tree, "residual_args")
    xs = as_leaves(given, linear_tree, "linear_args")
    types, weak = [*map(leaf_type, xs)], tuple(map(is_weak, known))
    name = getattr(fun, "__name__", "linear_call")
    ahead = _staged(fun, known_tree, linear_tree, residuals, types, weak, name)
    back = _staged(fun_transpose, known_tree, ahead.structure, residuals, ahead.types, weak, name)
    back = _like(back, linear_tree, types, fun_transpose)
    for t in (*types, *ahead.types):
        if not t.is_inexact:
            raise DTypeError(
                f"linear_call of {name}: linear_args or its result hold {t}, and linear maps are "
                "those of floats", where=user_frame(),
                hint="what is no float belongs into residual_args",
            )  # fmt: skip
    captured, (jaxpr, turned) = close([ahead, back])
    outs = bind(
        linear, *captured, *residuals, *xs, jaxpr=jaxpr, back=turned,
        num_residuals=len(captured) + len(residuals), name=name,
    )  # fmt: skip
    return ahead.structure.unflatten(outs)


def _staged(
    fun: Callable[..., Any], known: tree.TreeDef, moving: tree.TreeDef, residuals: Sequence[Any],
    types: Sequence[ArrayType], weak: Sequence[bool], name: str,
) -> Body:  # fmt: skip
    """A function of residuals and of values of these types."""
    whole = tree.structure((_filled(known), _filled(moving)))
    every = [*map(leaf_type, residuals), *types]
    body = stage_body(fun, whole, every, [*weak, *[False] * len(types)], name)
    return body.returning(body.types)


def _filled(structure: tree.TreeDef) -> Any:
    return structure.unflatten([0] * structure.num_leaves)


def _like(
    body: Body, structure: tree.TreeDef, types: Sequence[ArrayType], fun: Callable[..., Any]
) -> Body:
    """The body, whose results have to look like `linear_args`."""
    if body.structure != structure:
        raise TreeError(
            "linear_call: fun_transpose returns another structure than linear_args have",
            where=function_place(fun),
            hint=f"linear_args: {show(structure)}\nreturned:    {show(body.structure)}",
        )
    for wanted, found in zip(types, body.types, strict=True):
        if wanted.shape != found.shape:
            raise ShapeError(
                f"linear_call: fun_transpose returns {found} where linear_args have {wanted}",
                where=function_place(fun),
            )
    return body.returning(types)

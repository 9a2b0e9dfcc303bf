"""From the user's functions on pytrees to bodies on flat arrays, with the types in agreement.

A carry goes in and comes out as one type. Python numbers give way, as they do in NumPy: an initial
0 becomes a float if the body makes a float of it, and a body may return 0.0 for a float32 carry.
Everything else that differs is an error, which names the leaf, both types and the function.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np

from tracejit import tree
from tracejit.config import config
from tracejit.control.bodies import divide
from tracejit.errors import (
    ArgumentError,
    DTypeError,
    ShapeError,
    TracedBranchError,
    TracedConversionError,
    TracejitError,
    TreeError,
)
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import BOOL, COMPLEX_OF, INEXACT, INT64, ArrayType, has_dtype, type_of
from tracejit.ir.walk import inline
from tracejit.ops.elementwise import convert
from tracejit.trace.provenance import function_place, user_frame
from tracejit.trace.stage import is_weak, stage
from tracejit.trace.tracer import Tracer, bind

Leaves = list[Any]

#: A Python number that stands for each kind of weak value in NumPy's promotion.
_NUMBERS = {"b": False, "i": 0, "f": 0.0, "c": 0j}


@dataclass(frozen=True, slots=True)
class Body:
    """A user's function, staged: the captured values are the first inputs of its jaxpr.

    types, weak, structure: of its results; a weak one is a Python number, its dtype gives way.
    """

    fun: Callable[..., Any]
    jaxpr: Jaxpr
    captured: tuple[Any, ...]
    types: tuple[ArrayType, ...]
    weak: tuple[bool, ...]
    structure: tree.TreeDef

    def returning(self, types: Sequence[ArrayType]) -> Body:
        """The same with the results converted to the dtypes of `types`."""
        if self.jaxpr.out_types == tuple(types):
            return self
        with building() as builder:
            invars = [Var(t) for t in self.jaxpr.in_types]
            outs = inline(self.jaxpr, invars)
            results = [_converted(y, t) for y, t in zip(outs, types, strict=True)]
        jaxpr = builder.finish(invars, results)
        weak = (False,) * len(types)
        return Body(self.fun, jaxpr, self.captured, tuple(types), weak, self.structure)


def _converted(y: Atom, type: ArrayType) -> Atom:
    if y.dtype == type.dtype:
        return y
    if isinstance(y, Literal):
        return Literal(y.value, y.type.with_dtype(type.dtype))
    return convert(y, dtype=type.dtype)


def stage_body(
    fun: Callable[..., Any], structure: tree.TreeDef, types: Sequence[ArrayType],
    weak: Sequence[bool], name: str,
) -> Body:  # fmt: skip
    """Stage `fun(*args)`, where `structure` is that of the tuple of its arguments."""
    found = []

    def flat(*leaves: Any) -> Leaves:
        outs, out_structure = tree.flatten(fun(*structure.unflatten(leaves)))
        found.append(out_structure)
        return outs

    staged = stage(flat, types, weak=weak, name=name)
    results = [
        type.with_dtype(weak_dtype(type.dtype)) if w else type
        for type, w in zip(staged.jaxpr.out_types, staged.weak, strict=True)
    ]
    return Body(fun, staged.jaxpr, staged.captured, tuple(results), staged.weak, found[0])


# Leaves.


def weak_dtype(dtype: np.dtype) -> np.dtype:
    """The dtype of a Python number of that kind."""
    floating = np.dtype(config.default_float)
    whole = COMPLEX_OF[floating]
    return {"b": BOOL, "i": INT64, "f": floating, "c": whole}.get(dtype.kind, dtype)


def check_functions(name: str, *funs: Any) -> None:
    """Raise unless all can be called."""
    for fun in funs:
        if not callable(fun):
            raise ArgumentError(
                f"{name} takes a function, not {type(fun).__name__} {fun!r}", where=user_frame()
            )


def as_leaf(x: Any, where: str) -> Any:
    """A tracer, or the array for what else is in a pytree; `where` names it for the error."""
    if isinstance(x, Tracer):
        return x
    array = np.asarray(x)
    if not has_dtype(array.dtype):
        raise DTypeError(
            f"{where} is {x!r}, which is no array of a dtype that tracejit knows",
            where=user_frame(),
            hint="the leaves of operands are arrays and numbers; capture anything else instead",
        )
    return array.astype(weak_dtype(array.dtype)) if is_weak(x) else array


def as_leaves(xs: Sequence[Any], structure: tree.TreeDef, name: str) -> Leaves:
    """All leaves of an operand called `name`."""
    paths = tree.paths(structure, name)
    return [as_leaf(x, path) for x, path in zip(xs, paths, strict=True)]


def leaf_type(x: Any) -> ArrayType:
    """The type of a tracer or array."""
    return x.aval if isinstance(x, Tracer) else type_of(x)


def as_dtype(x: Any, dtype: np.dtype) -> Any:
    """A leaf in a dtype."""
    return x if x.dtype == dtype else bind(convert, x, dtype=dtype)


# Agreement.


def join(a: ArrayType, weak_a: bool, b: ArrayType, weak_b: bool) -> tuple[ArrayType, bool] | None:
    """The type that both can have, and whether it is still weak; None if there is none."""
    if a.shape != b.shape:
        return None
    if a.dtype == b.dtype:
        return a, weak_a and weak_b
    if weak_a and weak_b:
        return a.with_dtype(np.result_type(a.dtype, b.dtype)), True
    if weak_a:
        return a.with_dtype(_promoted(a.dtype, b.dtype)), False
    if weak_b and _promoted(b.dtype, a.dtype) == a.dtype:
        return a, False
    return None


def _promoted(weak: np.dtype, strong: np.dtype) -> np.dtype:
    """What NumPy makes of a Python number and an array."""
    kind = weak.kind
    promoted = np.result_type(_NUMBERS[kind], strong)
    return promoted if strong in INEXACT or kind not in "fc" else weak_dtype(promoted)


@dataclass(frozen=True, slots=True)
class Carry:
    """A carry on its way into a loop: leaves and, for each, its type and whether it is weak."""

    leaves: Leaves
    types: tuple[ArrayType, ...]
    weak: tuple[bool, ...]
    structure: tree.TreeDef

    @classmethod
    def of(cls, init: Any) -> Carry:
        """The carry that starts as `init`."""
        xs, structure = tree.flatten(init)
        leaves = as_leaves(xs, structure, "init")
        types = tuple(map(leaf_type, leaves))
        return cls(leaves, types, tuple(map(is_weak, xs)), structure)


def settle(
    stage_with: Callable[[Carry], Body], carry: Carry, structure_of: Callable[[Body], tree.TreeDef],
    name: str,
) -> tuple[Body, Carry]:  # fmt: skip
    """Stage a body until its carry goes in as it comes out; carries are its first results.

    Leaves that are Python numbers take the type that the body gives them; the body is staged again
    with it, at most once for each kind of number.
    """
    while True:
        body = stage_with(carry)
        out = structure_of(body)
        if out != carry.structure:
            _structures_differ(name, body.fun, carry.structure, out)
        n = len(carry.leaves)
        joined = [
            join(*pair)
            for pair in zip(carry.types, carry.weak, body.types[:n], body.weak[:n], strict=True)
        ]
        for place, agreed in enumerate(joined):
            if agreed is None:
                _types_differ(name, carry, body, place)
        types = tuple(agreed[0] for agreed in joined if agreed)
        weak = tuple(agreed[1] for agreed in joined if agreed)
        if types == carry.types:
            return body.returning((*types, *body.types[n:])), carry
        leaves = [as_dtype(x, t.dtype) for x, t in zip(carry.leaves, types, strict=True)]
        carry = Carry(leaves, types, weak, carry.structure)


def _structures_differ(
    name: str, fun: Callable[..., Any], before: tree.TreeDef, after: tree.TreeDef
) -> NoReturn:
    raise TreeError(
        f"{name}: the carry has another structure behind the body",
        where=function_place(fun),
        hint=f"in:  {show(before)}\nout: {show(after)}",
    )


def _types_differ(name: str, carry: Carry, body: Body, place: int) -> NoReturn:
    before, after = carry.types[place], body.types[place]
    path = tree.paths(carry.structure, "carry")[place]
    if before.shape != after.shape:
        kind: type[TracejitError] = ShapeError
        hint = f"start with shape {after.shape}, or keep shape {before.shape} in the body"
    else:
        kind = DTypeError
        hint = (
            f"start with an array of {after.dtype}, or convert what the body returns with "
            f"astype(np.{before.dtype})"
        )
    raise kind(
        f"{name}: {path} is {before} before the body and {after} behind it",
        where=function_place(body.fun), hint=hint,
    )  # fmt: skip


def show(structure: tree.TreeDef) -> str:
    """A structure as one would write the tree, with * for a leaf."""
    return repr(structure).removeprefix("TreeDef(").removesuffix(")")


# Several functions for one operation.


def close(bodies: Iterable[Body]) -> tuple[Leaves, list[Jaxpr]]:
    """What the bodies capture, each value once, and their jaxprs with all of that in front."""
    bodies = list(bodies)
    values: dict[int, Any] = {}
    for body in bodies:
        values.update((_identity(x), x) for x in body.captured)
    jaxprs = []
    for body in bodies:
        own, args = divide(body.jaxpr.invars, len(body.captured))
        names = dict(zip(map(_identity, body.captured), own, strict=True))
        shared = [names.get(key) or Var(leaf_type(x)) for key, x in values.items()]
        jaxprs.append(Jaxpr((*shared, *args), body.jaxpr.equations, body.jaxpr.outvars))
    return [*values.values()], jaxprs


def _identity(x: Any) -> int:
    """Equal for two tracers of one value."""
    return id(x.atom) if isinstance(x, Tracer) else id(x)


def answer(kind: type[bool] | type[int], x: Any) -> bool | int | None:
    """bool(x) or int(x), as Python asks for it; None where x has no number now."""
    try:
        return kind(x)
    except (TracedBranchError, TracedConversionError):
        return None


def scalar(x: Any, what: str) -> Any:
    """A leaf of rank 0; anything else is an ArgumentError that says `what` it should be."""
    if isinstance(x, Tracer) or np.isscalar(x) or isinstance(x, (np.ndarray, np.generic)):
        leaf = as_leaf(x, what)
        if leaf.ndim == 0:
            return leaf
        raise ShapeError(f"{what} must be a scalar, got {leaf_type(leaf)}", where=user_frame())
    raise ArgumentError(f"{what} must be a scalar, got {x!r}", where=user_frame())

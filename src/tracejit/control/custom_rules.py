"""The rules that users give, as jaxprs: traced at the types of use, when they are first needed.

A `Use` is one call of a function with rules: the function as a jaxpr, the structures and types of
what goes in and comes out, and the rules, which become jaxprs of the same operands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.control.bodies import divide, spread
from tracejit.control.custom_closure import (
    closed_over,
    ignoring,
    not_found,
    self_contained,
    standing_for,
)
from tracejit.control.staging import Body, as_leaves, leaf_type, show, weak_dtype
from tracejit.errors import (
    DTypeError,
    LeakedTracerError,
    ShapeError,
    TracedBranchError,
    TracedConversionError,
    TreeError,
)
from tracejit.ir.atoms import is_zero, zero
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import FLOAT0, ArrayType, tangent_type
from tracejit.ir.walk import evaluate
from tracejit.ops.elementwise import convert
from tracejit.trace.provenance import function_place
from tracejit.trace.stage import is_weak, recorded, stage, value_of
from tracejit.trace.tracer import Tracer, bind, current_trace
from tracejit.transforms.jvp import Mask

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


class Use:
    """One call: `fun` on trees of tracers and arrays.

    consts: what fun and its rules close over, in the order of the first operands. numbers: the
    operands' values, where a tape knows them; then `if` and `range` in rules know them, too.
    """

    def __init__(self, fun: Function, args: tuple[Any, ...], rules: Sequence[Any], name: str):
        self.fun, self.name = fun, name
        given, self.structure = tree.flatten(args)
        self.leaves = as_leaves(given, self.structure, f"the arguments of {name}")
        self.types = tuple(map(leaf_type, self.leaves))
        self.weak = tuple(map(is_weak, given))
        trace = current_trace()
        tells = trace is not None and trace.values is not None and trace.decider is None
        values = [recorded(x) for x in self.leaves] if tells else None
        self.body = self._stage(values)
        self.closed = closed_over(*rules)
        self.consts = [*self.body.captured, *self.closed]
        self.const_types = [leaf_type(x) for x in self.consts]
        self.jaxpr = ignoring(
            self.body.jaxpr, [leaf_type(x) for x in self.closed], len(self.body.captured)
        )
        self.numbers = [value_of(x) for x in self.operands] if tells else None

    @property
    def operands(self) -> list[Any]:
        return [*self.consts, *self.leaves]

    def _stage(self, values: Sequence[Any] | None) -> Body:
        found = []

        def flat(*leaves: Any) -> list[Any]:
            outs, structure = tree.flatten(self.fun(*self.structure.unflatten(leaves)))
            found.append(structure)
            return outs

        staged = stage(flat, self.types, values=values, weak=self.weak, name=self.name)
        types = [
            t.with_dtype(weak_dtype(t.dtype)) if w else t
            for t, w in zip(staged.jaxpr.out_types, staged.weak, strict=True)
        ]
        body = Body(
            self.fun, staged.jaxpr, staged.captured, staged.jaxpr.out_types, staged.weak, found[0]
        )
        return body.returning(types)

    @property
    def out_types(self) -> tuple[ArrayType, ...]:
        return self.body.types

    @property
    def out_structure(self) -> tree.TreeDef:
        return self.body.structure

    def stage(
        self, rule: Function, flat: Function, more: Sequence[ArrayType], *, primals: bool = True,
        numbers: Sequence[Any] | None = None,
    ) -> Jaxpr:  # fmt: skip
        """The jaxpr of `flat`, which calls `rule`: of the constants, the arguments (if `primals`),
        and operands of the types `more`. numbers: of the first of them, where a tape knows them."""
        own = self.types if primals else ()
        types = [*self.const_types, *own, *more]
        values = None
        if numbers is not None:
            values = [*numbers, *[None] * (len(types) - len(numbers))]
        weak = [*[False] * len(self.consts), *(self.weak if primals else ()), *[False] * len(more)]

        def opened(*leaves: Any) -> Any:
            consts, rest = divide(leaves, len(self.consts))
            with standing_for(self.consts, consts):
                return [copy(y) if isinstance(y, Tracer) else y for y in flat(*rest)]

        try:
            staged = stage(opened, types, values=values, weak=weak, name=self.name)
        except LeakedTracerError as error:
            raise not_found("value", rule, self.name) from error
        return self_contained(staged, rule, self.name)

    def primal_leaves(self, out: Any, rule: Function, what: str) -> list[Any]:
        """The leaves of a rule's results, which have to look like the function's."""
        leaves, structure = tree.flatten(out)
        if structure != self.out_structure:
            raise TreeError(
                f"{what} of {self.name} must produce a primal output with a container (pytree) "
                "structure matching that of the function", where=function_place(rule),
                hint=f"the function: {show(self.out_structure)}\nthe rule:     {show(structure)}",
            )  # fmt: skip
        paths = tree.paths(structure, "the primal output")
        return [
            fitting(x, t, f"{what} of {self.name}: {path}", rule)
            for x, t, path in zip(leaves, self.out_types, paths, strict=True)
        ]


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
        hint=f"convert it with astype(np.{type.dtype})" if type.is_float else None,
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
    return zero_tracer(type) if type.is_float else np.zeros(type.shape, FLOAT0)


def pair(out: Any, rule: Function, what: str, of: str) -> tuple[Any, Any]:
    """The two results of a rule; TreeError (a TypeError) for anything else."""
    if not isinstance(out, (tuple, list)) or len(out) != 2:
        raise TreeError(
            f"{what} must produce a pair (list or tuple of length two) {of}", hint=f"got {out!r}",
            where=function_place(rule),
        )  # fmt: skip
    return out[0], out[1]


# custom_jvp


class JvpByUser:
    """rule(primals, tangents) -> (results, their tangents), on trees: see custom.JvpRule."""

    def __init__(self, use: Use, rule: Function, symbolic: bool):
        self.use, self.rule, self.symbolic = use, rule, symbolic
        self._known: dict[Mask, tuple[Jaxpr, Mask]] = {}
        self.__qualname__ = f"jvp of {use.name}"

    def jvp(self, nonzero: Mask) -> tuple[Jaxpr, Mask]:
        if nonzero not in self._known:
            self._known[nonzero] = self._staged(nonzero)
        return self._known[nonzero]

    def _staged(self, nonzero: Mask) -> tuple[Jaxpr, Mask]:
        use = self.use

        def flat(*leaves: Any) -> list[Any]:
            xs, live = divide(leaves, len(use.types))
            nothing = [no_tangent(t, self.symbolic) for t in use.types]
            ts = spread(live, nonzero, nothing)
            return self._call(use.structure.unflatten(xs), use.structure.unflatten(ts))

        moving = [t for t, on in zip(use.types, nonzero, strict=True) if on]
        jaxpr = use.stage(self.rule, flat, moving, numbers=use.numbers)
        count = len(use.out_types)
        outs, ts = divide(jaxpr.outvars, count)
        floats = iter(ts)
        live = tuple(t.is_float and not is_zero(next(floats)) for t in use.out_types)
        kept = (*outs, *[t for t in ts if not is_zero(t)])
        return Jaxpr(jaxpr.invars, jaxpr.equations, kept), live

    def _call(self, primals: Any, tangents: Any) -> list[Any]:
        """The leaves of the results, and of the tangents of floats among them."""
        use, rule = self.use, self.rule
        what = f"Custom JVP rule of {use.name}"
        out = rule(tuple(primals), tuple(tangents))
        y, t = pair(out, rule, what, "representing primal and tangent outputs")
        outs = use.primal_leaves(y, rule, "Custom JVP rule")
        ts, structure = tree.flatten(t)
        if structure != use.out_structure:
            raise TreeError(
                f"{what} must produce primal and tangent outputs with equal container (pytree) "
                "structures", where=function_place(rule),
                hint=f"primal:  {show(use.out_structure)}\ntangent: {show(structure)}",
            )  # fmt: skip
        paths = tree.paths(structure, "the tangent output")
        return outs + [
            fitting(x, type, f"{what}: {path}", rule)
            for x, type, path in zip(ts, use.out_types, paths, strict=True)
            if type.is_float
        ]


# custom_vjp


class VjpByUser:
    """fwd(*args) -> (results, residuals) and bwd(residuals, cotangents) -> cotangents of the
    arguments, on trees: see custom.VjpRule."""

    def __init__(self, use: Use, fwd: Function, bwd: Function, symbolic: bool):
        self.use, self.fwd, self.bwd, self.symbolic = use, fwd, bwd, symbolic
        self._known: dict[Mask, tuple[Jaxpr, BackwardByUser]] = {}
        self.__qualname__ = f"vjp of {use.name}"

    def forward(self, nonzero: Mask) -> tuple[Jaxpr, BackwardByUser]:
        if nonzero not in self._known:
            self._known[nonzero] = self._staged(nonzero)
        return self._known[nonzero]

    def _staged(self, nonzero: Mask) -> tuple[Jaxpr, BackwardByUser]:
        use, found = self.use, []

        def flat(*leaves: Any) -> list[Any]:
            given: Sequence[Any] = leaves
            if self.symbolic:
                given = [CustomVJPPrimal(x, on) for x, on in zip(leaves, nonzero, strict=True)]
            out = self.fwd(*use.structure.unflatten(given))
            y, kept = pair(
                out, self.fwd, f"Custom VJP fwd rule of {use.name}",
                "where the first element represents the primal output (equal to that of the "
                "function) and the second element the residuals",
            )  # fmt: skip
            residuals, structure = tree.flatten(kept)
            found.append(structure)
            outs = use.primal_leaves(y, self.fwd, "Custom VJP fwd rule")
            return outs + as_leaves(residuals, structure, f"residuals of {use.name}")

        jaxpr = use.stage(self.fwd, flat, (), numbers=use.numbers)
        consts = jaxpr.invars[: len(use.consts)]
        outs, residuals = divide(jaxpr.outvars, len(use.out_types))
        known = Jaxpr(jaxpr.invars, jaxpr.equations, tuple(residuals))
        backward = BackwardByUser(self, found[0], known, nonzero)
        return Jaxpr(jaxpr.invars, jaxpr.equations, (*outs, *consts, *residuals)), backward


class BackwardByUser:
    """The backward pass behind a forward pass: see custom.Backward.

    made: makes the residuals, whose numbers a tape knows if the rule asks for them.
    """

    def __init__(self, rule: VjpByUser, structure: tree.TreeDef, made: Jaxpr, nonzero: Mask):
        self.rule, self.structure, self.made, self.nonzero = rule, structure, made, nonzero
        self.types = made.out_types
        self._known: dict[Mask, Jaxpr] = {}
        self.__qualname__ = rule.__qualname__

    def pull(self, arrives: Mask) -> Jaxpr:
        if arrives not in self._known:
            self._known[arrives] = self._staged(arrives)
        return self._known[arrives]

    def _staged(self, arrives: Mask) -> Jaxpr:
        use, symbolic = self.rule.use, self.rule.symbolic
        supply = iter(arrives)
        live = tuple(t.is_float and next(supply) for t in use.out_types)

        def flat(*leaves: Any) -> list[Any]:
            residuals, given = divide(leaves, len(self.types))
            cts = spread(given, live, [no_tangent(t, symbolic) for t in use.out_types])
            kept = self.structure.unflatten(residuals)
            return self._leaves(self.rule.bwd(kept, use.out_structure.unflatten(cts)))

        moving = [t for t, on in zip(use.out_types, live, strict=True) if on]
        types = [*self.types, *moving]
        try:
            return use.stage(self.rule.bwd, flat, types, primals=False)
        except (TracedBranchError, TracedConversionError):
            if use.numbers is None or any(x is None for x in use.numbers):
                raise
        numbers = [*use.numbers[: len(use.consts)], *evaluate(self.made, *use.numbers)]
        return use.stage(self.rule.bwd, flat, types, primals=False, numbers=numbers)

    def _leaves(self, out: Any) -> list[Any]:
        """A cotangent for each argument that had a tangent, from what the rule returned."""
        use, bwd = self.rule.use, self.rule.bwd
        what = f"Custom VJP bwd rule of {use.name}"
        arguments = use.structure.children
        if not isinstance(out, (tuple, list)) or len(out) != len(arguments):
            count = f"of length {len(out)}" if isinstance(out, (tuple, list)) else f"{out!r}"
            raise TreeError(
                f"{what} must produce a tuple with a cotangent for each of its {len(arguments)} "
                f"arguments, and produced one {count}", where=function_place(bwd),
                hint="return (ct,) for one argument; None stands for zeros",
            )  # fmt: skip
        cts: list[Any] = []
        for i, (ct, structure) in enumerate(zip(out, arguments, strict=True)):
            cts += _matching(ct, structure, f"{what}: the cotangent of argument {i}", bwd)
        return [
            zero_tracer(type) if ct is None else fitting(ct, type, f"{what}: a cotangent", bwd)
            for ct, type, on in zip(cts, use.types, self.nonzero, strict=True)
            if on
        ]


def _matching(ct: Any, structure: tree.TreeDef, what: str, bwd: Function) -> list[Any]:
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

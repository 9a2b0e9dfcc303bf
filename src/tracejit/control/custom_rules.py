"""The rules that users give, as jaxprs: traced at the types of use, when they are first needed.

A `Use` is one call of a function with rules: the function as a jaxpr, the structures and types of
what goes in and comes out, and the rules, which become jaxprs of the same operands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass
from typing import Any, Concatenate, ParamSpec, TypeVar

from tracejit import tree
from tracejit.control.bodies import divide, spread
from tracejit.control.custom import OfOneCall
from tracejit.control.custom_closure import (
    closed_over,
    ignoring,
    not_found,
    self_contained,
    standing_for,
)
from tracejit.control.custom_values import (
    CustomVJPPrimal,
    Function,
    ask,
    fitting,
    matching,
    no_tangent,
    pair,
    zero_tracer,
)
from tracejit.control.staging import Body, as_leaves, leaf_type, show, weak_dtype
from tracejit.errors import (
    LeakedTracerError,
    TracedBranchError,
    TracedConversionError,
    TreeError,
    UnsupportedError,
)
from tracejit.ir.atoms import is_zero
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import evaluate
from tracejit.trace.provenance import function_place
from tracejit.trace.stage import is_weak, recorded, stage, value_of
from tracejit.trace.tracer import Tracer, current_trace
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import loops

S = TypeVar("S")
P = ParamSpec("P")
R = TypeVar("R")


def staged_once(method: Callable[Concatenate[S, P], R]) -> Callable[Concatenate[S, P], R]:
    """A method that stages a rule: once for each key, for as long as its object lives."""
    name = f"_{method.__name__}_made"

    @functools.wraps(method)
    def known(self: S, *key: P.args, **none: P.kwargs) -> R:
        made = self.__dict__.setdefault(name, {})
        full = (loops.get(), *key)
        if full not in made:
            made[full] = method(self, *key, **none)
        return made[full]

    return known


@dataclass(frozen=True)
class Fixed:
    """The arguments of a call that its rules get as they are, and where they stand, in order."""

    places: tuple[int, ...] = ()
    values: tuple[Any, ...] = ()

    def among(self, rest: Sequence[Any]) -> list[Any]:
        """All arguments of the call, in order."""
        whole = list(rest)
        for i, x in zip(self.places, self.values, strict=True):
            whole.insert(i, x)
        return whole


class Use:
    """One call: `fun` on trees of tracers and arrays, `fixed` among them.

    consts: what fun and its rules close over, in the order of the first operands. numbers: the
    operands' values, where a tape knows them; then `if` and `range` in rules know them, too.
    """

    def __init__(
        self, fun: Function, args: tuple[Any, ...], rules: Sequence[Any], name: str,
        fixed: Fixed = Fixed(),
    ):  # fmt: skip
        self.fun, self.name, self.fixed = fun, name, fixed
        given, self.structure = tree.flatten(args)
        self.leaves = as_leaves(given, self.structure, f"the arguments of {name}")
        self.types = tuple(map(leaf_type, self.leaves))
        self.weak = tuple(map(is_weak, given))
        trace = current_trace()
        tells = trace is not None and trace.values is not None and trace.decider is None
        values = [recorded(x) for x in self.leaves] if tells else None
        self.body = self._stage(values)
        self.closed = closed_over(*rules, fixed.values)
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
            before = [x.atom for x in leaves]
            args = self.fixed.among(self.structure.unflatten(leaves))
            outs, structure = tree.flatten(self.fun(*args))
            if any(x.atom is not atom for x, atom in zip(leaves, before, strict=True)):
                raise self._assigns()
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

    def _assigns(self) -> UnsupportedError:
        return UnsupportedError(
            f"{self.name} assigns to one of its arguments, and has rules of its own: they know "
            "nothing of what becomes of its arguments", where=function_place(self.fun),
            hint="work on a copy: x = x.copy()",
        )  # fmt: skip

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


# custom_jvp


class JvpByUser(OfOneCall):
    """rule(primals, tangents) -> (results, their tangents), on trees: see custom.JvpRule."""

    def __init__(self, use: Use, rule: Function, symbolic: bool):
        self.use, self.rule, self.symbolic = use, rule, symbolic
        self.__qualname__ = f"jvp of {use.name}"

    @staged_once
    def jvp(self, nonzero: Mask) -> tuple[Jaxpr, Mask]:
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
        live = tuple(t.is_inexact and not is_zero(next(floats)) for t in use.out_types)
        kept = (*outs, *[t for t in ts if not is_zero(t)])
        return Jaxpr(jaxpr.invars, jaxpr.equations, kept), live

    def _call(self, primals: Any, tangents: Any) -> list[Any]:
        """The leaves of the results, and of the tangents of floats among them."""
        use, rule = self.use, self.rule
        what = f"Custom JVP rule of {use.name}"
        takes = "(primals, tangents)"
        out = ask(rule, what, takes, *use.fixed.values, tuple(primals), tuple(tangents))
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
            if type.is_inexact
        ]


# custom_vjp


class VjpByUser(OfOneCall):
    """fwd(*args) -> (results, residuals) and bwd(residuals, cotangents) -> cotangents of the
    arguments, on trees: see custom.VjpRule."""

    def __init__(self, use: Use, fwd: Function, bwd: Function, symbolic: bool):
        self.use, self.fwd, self.bwd, self.symbolic = use, fwd, bwd, symbolic
        self.__qualname__ = f"vjp of {use.name}"

    @staged_once
    def forward(self, nonzero: Mask) -> tuple[Jaxpr, BackwardByUser]:
        use, found = self.use, []

        def flat(*leaves: Any) -> list[Any]:
            given: Sequence[Any] = leaves
            if self.symbolic:
                given = [CustomVJPPrimal(x, on) for x, on in zip(leaves, nonzero, strict=True)]
            what = f"Custom VJP fwd rule of {use.name}"
            args = use.fixed.among(use.structure.unflatten(given))
            out = ask(self.fwd, what, f"the arguments of {use.name}", *args)
            y, kept = pair(
                out, self.fwd, what,
                "where the first element represents the primal output (equal to that of the "
                "function) and the second element the residuals",
            )  # fmt: skip
            residuals, structure = tree.flatten(kept)
            found.append(structure)
            outs = use.primal_leaves(y, self.fwd, "Custom VJP fwd rule")
            return outs + as_leaves(residuals, structure, f"a residual of {use.name}")

        jaxpr = use.stage(self.fwd, flat, (), numbers=use.numbers)
        consts = jaxpr.invars[: len(use.consts)]
        outs, residuals = divide(jaxpr.outvars, len(use.out_types))
        known = Jaxpr(jaxpr.invars, jaxpr.equations, tuple(residuals))
        backward = BackwardByUser(self, found[0], known, nonzero)
        return Jaxpr(jaxpr.invars, jaxpr.equations, (*outs, *consts, *residuals)), backward


class BackwardByUser(OfOneCall):
    """The backward pass behind a forward pass: see custom.Backward.

    made: makes the residuals, whose numbers a tape knows if the rule asks for them.
    """

    def __init__(self, rule: VjpByUser, structure: tree.TreeDef, made: Jaxpr, nonzero: Mask):
        self.rule, self.structure, self.made, self.nonzero = rule, structure, made, nonzero
        self.types = made.out_types
        self.__qualname__ = rule.__qualname__

    @staged_once
    def pull(self, arrives: Mask) -> Jaxpr:
        use, symbolic = self.rule.use, self.rule.symbolic
        supply = iter(arrives)
        live = tuple(t.is_inexact and next(supply) for t in use.out_types)

        def flat(*leaves: Any) -> list[Any]:
            residuals, given = divide(leaves, len(self.types))
            cts = spread(given, live, [no_tangent(t, symbolic) for t in use.out_types])
            return self._call(self.structure.unflatten(residuals), use.out_structure.unflatten(cts))

        moving = [t for t, on in zip(use.out_types, live, strict=True) if on]
        types = [*self.types, *moving]
        try:
            return use.stage(self.rule.bwd, flat, types, primals=False)
        except (TracedBranchError, TracedConversionError):
            if use.numbers is None or any(x is None for x in use.numbers):
                raise
        numbers = [*use.numbers[: len(use.consts)], *evaluate(self.made, *use.numbers)]
        return use.stage(self.rule.bwd, flat, types, primals=False, numbers=numbers)

    def _call(self, residuals: Any, ct: Any) -> list[Any]:
        """What the rule returns: a cotangent for each argument that had a tangent."""
        use, bwd = self.rule.use, self.rule.bwd
        what = f"Custom VJP bwd rule of {use.name}"
        out = ask(bwd, what, "(residuals, cotangents)", *use.fixed.values, residuals, ct)
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
            cts += matching(ct, structure, f"{what}: the cotangent of argument {i}", bwd)
        return [
            zero_tracer(type) if ct is None else fitting(ct, type, f"{what}: a cotangent", bwd)
            for ct, type, on in zip(cts, use.types, self.nonzero, strict=True)
            if on
        ]

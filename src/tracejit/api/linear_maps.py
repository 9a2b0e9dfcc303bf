"""Derivatives as linear maps: jvp, vjp, linearize, linear_transpose, and stop_gradient.

Integers and bools have tangents of dtype float0, a type without values, as in JAX.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api.recording import Recording, record
from tracejit.control.bodies import keep_outputs
from tracejit.errors import ArgumentError, DTypeError, ShapeError, TreeError
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import FLOAT0, INTEGERS, ArrayType, tangent_type
from tracejit.ops import elementwise
from tracejit.runtime.arguments import check_callable, name_of
from tracejit.runtime.report import report
from tracejit.runtime.run import run
from tracejit.runtime.values import abstract, canonical, is_number, returned, type_of_value
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import is_weak, stage
from tracejit.trace.tracer import Tracer, bind, current_trace
from tracejit.transforms.gradient import adjoint
from tracejit.transforms.jvp import jvp as push_forward
from tracejit.transforms.linearize import Split
from tracejit.transforms.linearize import linearize as linearized
from tracejit.transforms.transpose import transpose


def jvp(
    fun: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: bool = False,
) -> Any:
    """(fun(*primals), its derivative in the direction of `tangents`), as `jax.jvp`.

    tangents: for each primal, a tree of its structure, shapes and dtypes (float0 for integers).
    With `has_aux`, fun returns (result, auxiliary data), and a third element is returned.
    """
    check_callable(fun, "jvp")
    for name, given in (("primals", primals), ("tangents", tangents)):
        if not isinstance(given, (tuple, list)):
            raise ArgumentError(
                f"jvp: {name} must be a tuple or a list of arguments, not "
                f"{type(given).__name__}", where=user_frame(), hint="jvp(f, (x,), (t,))",
            )  # fmt: skip
    tape = record(fun, tuple(primals), has_aux=has_aux)
    ts = fitting(tape.in_tree, tangents, tape.in_types, "a tangent of jvp")
    wanted = tuple(t.is_inexact for t in tape.out_types)
    wanted += (False,) * (len(tape.jaxpr.outvars) - len(wanted))
    forward, live = push_forward(tape.jaxpr, tape.floats, wanted)
    report("traced", tape.jaxpr)
    report("jvp", forward)
    results = run(forward, [*tape.inputs, *ts], tape.name)
    count = len(tape.jaxpr.outvars)
    outs, auxiliary = _outputs(tape, results[:count])
    derivative = _tree_of(tape.out_tree, tape.out_types, live, results[count:])
    return (outs, derivative, auxiliary) if has_aux else (outs, derivative)


def linearize(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(fun(*primals), f_jvp): the derivative at this point as a function of tangents.

    With `has_aux`, fun returns (result, auxiliary data), and a third element is returned.
    """
    check_callable(fun, "linearize")
    tape = record(fun, primals, has_aux=has_aux)
    parts = _linearized(tape)
    outs, auxiliary, residuals = _known(tape, parts)
    push = _PushForward(
        tape.name, _of_result(parts, tape).linear, tape.in_tree, tape.in_types, tape.out_tree,
        tape.out_types, parts.unknown[: len(tape.out_types)],
    )  # fmt: skip
    f_jvp = tree.Partial(push, residuals)
    return (outs, f_jvp, auxiliary) if has_aux else (outs, f_jvp)


def vjp(fun: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(fun(*primals), f_vjp): f_vjp takes a cotangent of the result's structure, and returns a
    tuple with a cotangent for each primal.

    With `has_aux`, fun returns (result, auxiliary data), and a third element is returned.
    """
    check_callable(fun, "vjp")
    tape = record(fun, primals, has_aux=has_aux)
    parts = _linearized(tape)
    outs, auxiliary, residuals = _known(tape, parts)
    back = adjoint(_of_result(parts, tape))
    report("transposed", back)
    pull = _PullBack(
        tape.name, back, tape.in_tree, tape.in_types, tape.out_tree,
        tape.out_types, parts.unknown[: len(tape.out_types)],
    )  # fmt: skip
    f_vjp = tree.Partial(pull, residuals)
    return (outs, f_vjp, auxiliary) if has_aux else (outs, f_vjp)


def linear_transpose(fun: Callable[..., Any], *primals: Any) -> Callable[[Any], Any]:
    """The transpose of a linear function: takes a cotangent of the result, returns a tuple with a
    cotangent for each primal.

    primals: arrays, or anything with shape and dtype; only these count. All of them and of the
    results are floats, or all are integers: DTypeError. Raises MissingRuleError for an operation
    that is not linear.
    """
    check_callable(fun, "linear_transpose")
    leaves, in_tree = tree.flatten(primals)
    types = tuple([abstract(x, lambda: "an argument of linear_transpose") for x in leaves])
    structure: list[tree.TreeDef] = []

    def flat(*tracers: Tracer) -> list[Any]:
        outs, out_tree = tree.flatten(fun(*in_tree.unflatten(tracers)))
        structure.append(out_tree)
        return [returned(y, current_trace(), lambda: f"a result of {name_of(fun)}") for y in outs]

    staged = stage(flat, types, weak=list(map(is_weak, leaves)), name=name_of(fun))
    known = (False,) * len(staged.captured)
    every = (*types, *staged.jaxpr.out_types)
    if not all(t.is_inexact for t in every) and not all(t.dtype in INTEGERS for t in every):
        raise DTypeError(
            f"linear_transpose takes functions of floats to floats, or of integers to integers: "
            f"{name_of(fun)} takes {', '.join(map(str, types))} and gives "
            f"{', '.join(map(str, staged.jaxpr.out_types))}", where=user_frame(),
        )  # fmt: skip
    back = transpose(staged.jaxpr, known + (True,) * len(types))
    outs = staged.jaxpr.out_types
    pull = _Transposed(name_of(fun), back, in_tree, types, structure[0], outs, (True,) * len(outs))
    return tree.Partial(pull, list(staged.captured))


@dataclass(frozen=True, slots=True, eq=False)
class _LinearMap:
    """A linear jaxpr (residuals first) between trees; `live` marks the outputs that it has."""

    name: str
    jaxpr: Jaxpr
    in_tree: tree.TreeDef
    in_types: tuple[ArrayType, ...]
    out_tree: tree.TreeDef
    out_types: tuple[ArrayType, ...]
    live: tuple[bool, ...]


class _PushForward(_LinearMap):
    """Tangents of the arguments to those of the result."""

    def __call__(self, residuals: Sequence[Any], *tangents: Any) -> Any:
        ts = fitting(self.in_tree, tangents, self.in_types, f"a tangent of {self.name}")
        return _tree_of(
            self.out_tree,
            self.out_types,
            self.live,
            run(self.jaxpr, [*residuals, *ts], self.name),
        )


class _PullBack(_LinearMap):
    """The cotangent of the result to those of the arguments."""

    def __call__(self, residuals: Sequence[Any], *cotangents: Any) -> Any:
        what, cotangent = f"the cotangent of {self.name}", self._only(cotangents)
        given = fitting(self.out_tree, cotangent, self.out_types, what)
        floats = [live for live, t in zip(self.live, self.out_types, strict=True) if t.is_inexact]
        cts = [ct for ct, live in zip(given, floats, strict=True) if live]
        results = run(self.jaxpr, [*residuals, *cts], self.name)
        mask = tuple(t.is_inexact for t in self.in_types)
        return _tree_of(self.in_tree, self.in_types, mask, results)

    def _only(self, cotangents: Sequence[Any]) -> Any:
        if len(cotangents) != 1:
            raise ArgumentError(
                f"what pulls back through {self.name} takes one argument, a cotangent like its "
                f"result, and got {len(cotangents)}", where=user_frame(),
                hint="several results have one cotangent, a tuple",
            )  # fmt: skip
        return cotangents[0]


class _Transposed(_PullBack):
    """The transpose of a map that is linear in all its arguments, which may be integers."""

    def __call__(self, residuals: Sequence[Any], *cotangents: Any) -> Any:
        what, cotangent = f"the cotangent of {self.name}", self._only(cotangents)
        given = fitting(self.out_tree, cotangent, self.out_types, what, integers=True)
        return self.in_tree.unflatten(run(self.jaxpr, [*residuals, *given], self.name))


def _linearized(tape: Recording) -> Split:
    """The linearization, reported."""
    parts = linearized(tape.jaxpr, tape.floats)
    report("traced", tape.jaxpr)
    report("linearized: known", parts.known)
    report("linearized: linear", parts.linear)
    return parts


def _known(tape: Recording, parts: Split) -> tuple[Any, Any, list[Any]]:
    """The results, the auxiliary data and the residuals of a linearization."""
    results = run(parts.known, tape.inputs, tape.name)
    count = len(tape.jaxpr.outvars)
    return (*_outputs(tape, results[:count]), results[count:])


def _of_result(parts: Split, tape: Recording) -> Split:
    """A linearization without the tangents of auxiliary data."""
    mine = sum(parts.unknown[: len(tape.out_types)])
    keep = tuple(i < mine for i in range(len(parts.linear.outvars)))
    linear = keep_outputs(parts.linear, keep)
    return Split(parts.known, linear, parts.unknown, parts.residuals)


def _outputs(tape: Recording, results: Sequence[Any]) -> tuple[Any, Any]:
    """The result and the auxiliary data, from the outputs of the recording."""
    count = tape.out_tree.num_leaves
    return tape.out_tree.unflatten(results[:count]), tape.aux.fill(results[count:])


def _tree_of(
    treedef: tree.TreeDef, types: Sequence[ArrayType], live: Sequence[bool], values: Sequence[Any]
) -> Any:
    """The tree of tangents of which those marked `live` are given, and the others are zero."""
    supply: Iterator[Any] = iter(values)
    return treedef.unflatten(
        [next(supply) if here else zeros(t) for here, t in zip(live, types, strict=False)]
    )


def zeros(type: ArrayType) -> Any:
    """The zero tangent of a type: an array, a scalar for rank 0, float0 for what is no float."""
    return np.zeros(type.shape, tangent_type(type).dtype)[() if type.is_inexact else ...]


def fitting(
    treedef: tree.TreeDef, given: Any, types: Sequence[ArrayType], what: str,
    integers: bool = False,
) -> list[Any]:  # fmt: skip
    """The leaves of (co)tangents for the floats among `types`, or for `integers`, too, checked."""
    given = tuple(given) if treedef.kind == "tuple" and isinstance(given, list) else given
    leaves, found = tree.flatten(given)
    if found != treedef:
        raise TreeError(
            f"{what} has another structure than its value: {tree.show(found)} for "
            f"{tree.show(treedef)}", where=user_frame(),
        )  # fmt: skip
    names = tree.paths(treedef)
    fitting = []
    for x, t, name in zip(leaves, types, names, strict=True):
        where = f"{what}{f' at {name}' if name else ''}"
        if t.is_inexact or integers:
            fitting.append(_fitting_leaf(x, t, where))
        elif getattr(x, "dtype", None) != FLOAT0 or np.shape(x) != t.shape:
            raise DTypeError(
                f"{where} is for an {t}, so it must have dtype float0", where=user_frame(),
                hint=f"np.zeros({t.shape}, tracejit.float0)",
            )  # fmt: skip
    return fitting


def _fitting_leaf(x: Any, type: ArrayType, what: str) -> Any:
    """A (co)tangent of this type; a Python number takes the dtype."""
    if is_number(x) and np.can_cast(np.asarray(x).dtype, type.dtype, "same_kind"):
        value: Any = type.dtype.type(x)
    elif isinstance(x, Tracer) and x.weak and x.dtype != type.dtype:
        value = bind(elementwise.convert, x, dtype=type.dtype)
    else:
        value = canonical(x, lambda: what)
    have = type_of_value(value)
    if have.shape != type.shape:
        raise ShapeError(f"{what} is {have}, and should be {type}", where=user_frame())
    if have.dtype != type.dtype:
        raise DTypeError(
            f"{what} is {have}, and should be {type}", where=user_frame(),
            hint="convert it with astype",
        )  # fmt: skip
    return value


def stop_gradient(x: Any) -> Any:
    """The same values, which count as constants when differentiated; takes any tree."""
    return tree.map(
        lambda leaf: bind(elementwise.stop_gradient, leaf) if isinstance(leaf, Tracer) else leaf, x
    )

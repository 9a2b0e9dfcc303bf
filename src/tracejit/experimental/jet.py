"""Taylor mode: derivatives of any order along a path, in one pass, as `jax.experimental.jet`."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.api.linear_maps import fitting, zeros
from tracejit.api.recording import record
from tracejit.errors import ArgumentError
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.walk import inline
from tracejit.runtime.arguments import check_callable
from tracejit.runtime.report import report
from tracejit.runtime.run import run
from tracejit.series import RULES
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer
from tracejit.transforms.jet import divided, scaled
from tracejit.transforms.jet import jet as on_series
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import remembered

__all__ = ["jet"]

_ARRAYS = (np.ndarray, Tracer)


def jet(
    fun: Callable[..., Any],
    primals: Sequence[Any],
    series: Sequence[Sequence[Any]],
    factorial_scaled: bool = True,
) -> tuple[Any, Any]:
    """(fun(x(0)), its derivatives along the path x(t)), as `jax.experimental.jet.jet`.

    primals: the arguments, x(0). series: for each of them a sequence (or an array) of its
    derivatives by t, all of one length, the order: the first, the second and so on, each like the
    argument. The second result has the structure of fun's result, with the list of its derivatives
    at each leaf.
    factorial_scaled=False: the k-th term, in and out, is the coefficient of t^k instead, which is
    the derivative over k!.

    Beyond JAX, arguments may be trees, custom rules count, and loops of any length have series.
    Raises ArgumentError, TreeError, ShapeError or DTypeError for terms that do not fit.
    """
    check_callable(fun, "jet")
    if isinstance(series, (tuple, list)):
        series = [list(s) if isinstance(s, _ARRAYS) and s.ndim else s for s in series]
    order = _order(primals, series)
    tape = record(fun, tuple(primals))
    columns = [
        fitting(tape.in_tree, tuple(s[k] for s in series), tape.in_types, f"term {k} of jet")
        for k in range(order)
    ]
    terms = [column[i] for i in range(sum(tape.floats)) for column in columns]
    program, live = _derivatives(tape.jaxpr, order, tape.floats, bool(factorial_scaled))
    report("traced", tape.jaxpr)
    report("jet", program)
    outs = run(program, [*tape.inputs, *terms], tape.name)
    count = len(tape.out_types)
    behind, lists = iter(outs[len(tape.jaxpr.outvars) :]), []
    for t, moves in zip(tape.out_types, live, strict=False):
        lists.append([next(behind) if moves else zeros(t) for _ in range(order)])
    return tape.out_tree.unflatten(outs[:count]), tape.out_tree.unflatten(lists)


def _order(primals: Any, series: Any) -> int:
    for name, given in (("primals", primals), ("series", series)):
        if not isinstance(given, (tuple, list)):
            raise ArgumentError(
                f"jet: {name} must be a tuple or a list with an entry for each argument, not "
                f"{type(given).__name__}", where=user_frame(), hint="jet(f, (x,), ((x1, x2),))",
            )  # fmt: skip
    if len(primals) != len(series) or not primals:
        raise ArgumentError(
            f"jet: {len(primals)} primals and {len(series)} series; it takes a series for each "
            "primal, of which there is one at least", where=user_frame(),
        )  # fmt: skip
    for s in series:
        if not isinstance(s, (tuple, list)):
            raise ArgumentError(
                f"jet: the series of an argument is a sequence of terms, not {type(s).__name__}",
                where=user_frame(), hint="jet(f, (x,), ((x1, x2),))",
            )  # fmt: skip
    lengths = [len(s) for s in series]
    if len({*lengths}) > 1:
        raise ArgumentError(
            f"jet: the series of the arguments have different lengths, {lengths}",
            where=user_frame(), hint="fill the shorter ones up with zeros",
        )  # fmt: skip
    return lengths[0]


@remembered
def _derivatives(jaxpr: Jaxpr, order: int, floats: Mask, factorials: bool) -> tuple[Jaxpr, Mask]:
    """The jaxpr on series; its coefficients are derivatives, if factorials are wanted."""
    body, live = on_series(jaxpr, order, tuple(order * m for m in floats), RULES)
    if not factorials:
        return body, live
    count, ahead = len(jaxpr.invars), len(jaxpr.outvars)
    with building() as builder:
        invars = [Var(t) for t in body.in_types]
        terms: list[Atom] = [
            divided(x, math.factorial(i % order + 1)) for i, x in enumerate(invars[count:])
        ]
        outs = inline(body, [*invars[:count], *terms])
        behind = [scaled(y, math.factorial(i % order + 1)) for i, y in enumerate(outs[ahead:])]
    return builder.finish(invars, [*outs[:ahead], *behind]), live

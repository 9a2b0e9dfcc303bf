"""Values defined by equations: they are computed in any way, and differentiated by the equation.

    linear_solve    x with A x = b      dx = A^-1 (db - dA x),   b' = A^-T x'
    root            x with f(x) = 0     dx = -(df/dx)^-1 df

Both hold what they need as jaxprs that share their first operands, the constants: A or f, how the
equation is solved, how its linearization is. No derivative looks into a solver.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.control.bodies import (
    check_operands,
    check_types,
    divide,
    nonzero_mask,
    spread,
    zero_tangents,
)
from tracejit.errors import MissingRuleError
from tracejit.ir.atoms import Atom, is_zero
from tracejit.ir.current import current
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive, Unknown
from tracejit.ir.types import ArrayType
from tracejit.ir.walk import evaluate, inline
from tracejit.ops.structure import batch_all
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms import transpose
from tracejit.transforms.jvp import Mask

Atoms = Sequence[Atom]


def _tangents_of(jaxpr: Jaxpr, consts: Atoms, x: Atoms, t_consts: Atoms) -> list[Atom]:
    """The tangents of a jaxpr's results for those of its constants, x being fixed."""
    nonzero = (*nonzero_mask(t_consts), *(False,) * len(x))
    nothing = zero_tangents(jaxpr.out_types)
    if not any(nonzero):
        return nothing
    pushed, live = forward.jvp(jaxpr, nonzero)
    outs = inline(pushed, [*consts, *x, *[t for t in t_consts if not is_zero(t)]])
    return spread(outs[len(live) :], live, nothing)


def _all_batched(jaxpr: Jaxpr, size: int, consts: Mask) -> Jaxpr:
    """A jaxpr for a batch of all that is no constant, and of the constants that have one."""
    rest = (True,) * (len(jaxpr.invars) - len(consts))
    return batching.batch(jaxpr, size, (*consts, *rest), (True,) * len(jaxpr.outvars))[0]


# linear_solve


def _solve_typing(
    *types: ArrayType, matvec: Jaxpr, solves: tuple[Jaxpr, ...], num_consts: int, symmetric: bool
) -> tuple[ArrayType, ...]:
    _, b = divide(types, num_consts)
    for held in (matvec, *solves):
        check_operands("linear_solve", held, types)
        check_types("linear_solve: a result", held.out_types[: len(b)], b)
    return solves[0].out_types


def _solve_jvp(
    primals: Atoms, tangents: Atoms, *, num_consts: int, **params: Any
) -> tuple[Atoms, Atoms]:
    params["num_consts"] = num_consts
    (consts, b), (t_consts, t_b) = (divide(xs, num_consts) for xs in (primals, tangents))
    outs = linear_solve.bind(*primals, **params)
    x, aux = divide(outs, len(b))
    pushed = _tangents_of(params["matvec"], consts, x, t_consts)
    right = [_minus(t, s) for t, s in zip(t_b, pushed, strict=True)]
    t_aux = zero_tangents([y.type for y in aux])
    if all(map(is_zero, right)):
        return outs, [*zero_tangents([y.type for y in x]), *t_aux]
    return outs, [*linear_solve.bind(*consts, *right, **params)[: len(b)], *t_aux]


def _minus(t: Atom, s: Atom) -> Atom:
    if is_zero(s):
        return t
    return -s if is_zero(t) else t - s


def _solve_transpose(
    cts: Atoms, inputs: Sequence[Any], *, matvec: Jaxpr, solves: tuple[Jaxpr, ...],
    num_consts: int, symmetric: bool,
) -> Sequence[Atom | None]:  # fmt: skip
    consts, b = divide(inputs, num_consts)
    if len(solves) == 1:
        raise MissingRuleError(
            "custom_linear_solve cannot go backwards without a transpose_solve",
            where=current().provenance,
            hint="give transpose_solve(vecmat, b), or symmetric=True where A is its transpose",
        )
    linear = (*(False,) * num_consts, *(True,) * len(b))
    turned = matvec if symmetric else transpose.transpose(matvec, linear)
    outs = linear_solve.bind(
        *consts, *cts[: len(b)], matvec=turned, solves=solves[::-1], num_consts=num_consts,
        symmetric=symmetric,
    )  # fmt: skip
    back = [ct if isinstance(x, Unknown) else None for ct, x in zip(outs, b, strict=False)]
    return [*[None] * num_consts, *back]


def _solve_batch(
    size: int, inputs: Atoms, batched: Sequence[bool], *, matvec: Jaxpr,
    solves: tuple[Jaxpr, ...], num_consts: int, symmetric: bool,
) -> Atoms:  # fmt: skip
    consts, b = divide(inputs, num_consts)
    mask, of_b = tuple(batched[:num_consts]), batched[num_consts:]
    return linear_solve.bind(
        *consts, *batch_all(size, b, of_b), matvec=_all_batched(matvec, size, mask),
        solves=tuple([_all_batched(solve, size, mask) for solve in solves]),
        num_consts=num_consts, symmetric=symmetric,
    )  # fmt: skip


linear_solve: Primitive = Primitive(
    "linear_solve", typing=_solve_typing,
    evaluate=lambda *xs, solves, **params: evaluate(solves[0], *xs),
    jvp=Joint(_solve_jvp), transpose=_solve_transpose, batch=_solve_batch, single=False,
    doc="(*consts, *b) -> (*x, *aux) with matvec(*consts, *x) = b, by the first of `solves`; the "
    "second one, if there is one, solves with the transpose.",
)  # fmt: skip


# root


def _root_typing(
    *types: ArrayType, residual: Jaxpr, solve: Jaxpr, tangent: Jaxpr, num_consts: int
) -> tuple[ArrayType, ...]:
    consts, x = divide(types, num_consts)
    check_operands("root", residual, types)
    check_operands("root", solve, types)
    check_operands("root", tangent, (*consts, *x, *residual.out_types))
    check_types("root: a result", solve.out_types[: len(x)], x)
    return solve.out_types


def _root_jvp(
    primals: Atoms, tangents: Atoms, *, num_consts: int, **params: Any
) -> tuple[Atoms, Atoms]:
    (consts, guess), (t_consts, _) = (divide(xs, num_consts) for xs in (primals, tangents))
    outs = root.bind(*primals, num_consts=num_consts, **params)
    x, aux = divide(outs, len(guess))
    moved = _tangents_of(params["residual"], consts, x, t_consts)
    ts = zero_tangents([y.type for y in outs])
    if all(map(is_zero, moved)):
        return outs, ts
    right = [t if is_zero(t) else -t for t in moved]
    return outs, [*inline(params["tangent"], [*consts, *x, *right]), *ts[len(x) :]]


def _root_batch(
    size: int, inputs: Atoms, batched: Sequence[bool], *, num_consts: int, **params: Jaxpr
) -> Atoms:
    consts, guess = divide(inputs, num_consts)
    mask, of_guess = tuple(batched[:num_consts]), batched[num_consts:]
    held = {name: _all_batched(jaxpr, size, mask) for name, jaxpr in params.items()}
    return root.bind(*consts, *batch_all(size, guess, of_guess), num_consts=num_consts, **held)


root: Primitive = Primitive(
    "root", typing=_root_typing,
    evaluate=lambda *xs, solve, **params: evaluate(solve, *xs),
    jvp=Joint(_root_jvp), batch=_root_batch, single=False,
    doc="(*consts, *guess) -> (*x, *aux) with residual(*consts, *x) = 0, by `solve`; tangent("
    "*consts, *x, *y) solves (d residual / d x) v = y.",
)  # fmt: skip


#: For operations that only stand for a body they hold, once no transform is to come: that body.
STANDS_FOR: dict[Primitive, Callable[[Equation], Jaxpr]] = {
    linear_solve: lambda eqn: eqn.params["solves"][0],
    root: lambda eqn: eqn.params["solve"],
}

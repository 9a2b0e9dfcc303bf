"""Series through operations that hold jaxprs: their bodies on series, coefficients beside values.

A carry of a loop has all coefficients, or none: the masks grow to a fixpoint, as in forward mode.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

from tracejit.control.bodies import divide, fixpoint
from tracejit.control.call import call
from tracejit.control.cond import cond
from tracejit.control.loop import while_
from tracejit.control.remat import checkpoint
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Var, zero
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import tangent_type
from tracejit.transforms.jet import Coefficients, Rule, Series, Use, Whole, jet
from tracejit.transforms.jvp import Mask

Columns = Sequence[Coefficients]
Grow = Callable[[Mask], tuple[Jaxpr, Mask]]


def _mask(inputs: Sequence[Series]) -> Mask:
    return tuple(x.varies for x in inputs)


def _behind(inputs: Sequence[Series], mask: Mask, order: int) -> list[Atom]:
    """Coefficients 1 .. order of those in the mask."""
    return [x[k] for x, m in zip(inputs, mask, strict=True) if m for k in range(1, order + 1)]


def _on_series(use: Use, body: Jaxpr, order: int, mask: Mask, wanted: Mask) -> tuple[Jaxpr, Mask]:
    return jet(body, order, tuple(order * m for m in mask), use.rules, wanted)


def _columns(
    values: Sequence[Atom], behind: Sequence[Atom], live: Mask, order: int
) -> list[Coefficients]:
    """For each result its coefficients, those 1 .. order from `behind` for the live ones."""
    columns: list[Coefficients] = []
    at = 0
    for y, many in zip(values, live, strict=True):
        if many:
            columns.append([y, *behind[at : at + order]])
            at += order
        else:
            columns.append([y, *[zero(tangent_type(y.type))] * order])
    return columns


def _call(use: Use, order: int) -> Columns:
    inner = use.params["jaxpr"]
    mask = _mask(use.inputs)
    body, live = _on_series(use, inner, order, mask, (False,) * len(inner.outvars))
    operands = [*[x[0] for x in use.inputs], *_behind(use.inputs, mask, order)]
    outs = use.primitive.bind(*operands, **use.params | {"jaxpr": body})
    return _columns(outs[: len(live)], outs[len(live) :], live, order)


def _cond(use: Use, order: int) -> Columns:
    index, *operands = use.inputs
    mask = _mask(operands)
    branches = use.params["branches"]
    nothing = (False,) * len(branches[0].outvars)
    lives = [_on_series(use, branch, order, mask, nothing)[1] for branch in branches]
    live = reduce(lambda a, b: tuple(x or y for x, y in zip(a, b, strict=True)), lives)
    bodies = tuple(_on_series(use, branch, order, mask, live)[0] for branch in branches)
    inputs = [index[0], *[x[0] for x in operands], *_behind(operands, mask, order)]
    outs = cond.bind(*inputs, branches=bodies)
    return _columns(outs[: len(live)], outs[len(live) :], live, order)


def _grown(grow: Grow, start: Mask) -> tuple[Mask, Jaxpr, Mask]:
    """The carries that have coefficients, the body with them, and which of its results do."""
    carry = fixpoint(start, lambda mask: grow(mask)[1][: len(mask)])
    return (carry, *grow(carry))


def _scan(use: Use, order: int) -> Columns:
    params = dict(use.params)
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    body = params.pop("jaxpr")
    consts, init, xs = divide(use.inputs, num_consts, num_carry)
    num_ys = len(body.outvars) - num_carry
    in_consts, in_xs = _mask(consts), _mask(xs)

    def grow(carry: Mask) -> tuple[Jaxpr, Mask]:
        wanted = (*carry, *(False,) * num_ys)
        return _on_series(use, body, order, (*in_consts, *carry, *in_xs), wanted)

    carry, wide, live = _grown(grow, _mask(init))
    counts = [order * sum(mask) for mask in (in_consts, carry, in_xs)]
    v_consts, v_carry, v_xs, t_consts, t_carry, t_xs = divide(
        wide.invars, num_consts, num_carry, len(xs), *counts[:2]
    )
    after, rows, t_after, t_rows = divide(wide.outvars, num_carry, num_ys, counts[1])
    operands: list[Atom] = []
    for part, mask in ((consts, in_consts), (init, carry), (xs, in_xs)):
        operands += [*[x[0] for x in part], *_behind(part, mask, order)]
    params["num_consts"], params["num_carry"] = num_consts + counts[0], num_carry + counts[1]
    invars = (*v_consts, *t_consts, *v_carry, *t_carry, *v_xs, *t_xs)
    ordered = Jaxpr(invars, wide.equations, (*after, *t_after, *rows, *t_rows))
    outs = scan.bind(*operands, jaxpr=ordered, **params)
    final, t_final, ys, t_ys = divide(outs, num_carry, counts[1], num_ys)
    return _columns((*final, *ys), (*t_final, *t_ys), live, order)


def _while(use: Use, order: int) -> Columns:
    test, body = use.params["cond"], use.params["body"]
    num_test, num_consts = use.params["num_cond_consts"], use.params["num_body_consts"]
    tested, consts, init = divide(use.inputs, num_test, num_consts)
    num_carry, in_consts = len(init), _mask(consts)
    num_ys = len(body.outvars) - num_carry

    def grow(carry: Mask) -> tuple[Jaxpr, Mask]:
        wanted = (*carry, *(False,) * num_ys)
        return _on_series(use, body, order, (*in_consts, *carry), wanted)

    carry, wide, live = _grown(grow, _mask(init))
    counts = [order * sum(mask) for mask in (in_consts, carry)]
    v_consts, v_carry, t_consts, t_carry = divide(wide.invars, num_consts, num_carry, counts[0])
    after, rows, t_after, t_rows = divide(wide.outvars, num_carry, num_ys, counts[1])
    operands = [x[0] for x in tested]
    for part, mask in ((consts, in_consts), (init, carry)):
        operands += [*[x[0] for x in part], *_behind(part, mask, order)]
    invars = (*v_consts, *t_consts, *v_carry, *t_carry)
    ignored = tuple(Var(v.type) for v in t_carry)
    outs = while_.bind(
        *operands, cond=Jaxpr((*test.invars, *ignored), test.equations, test.outvars),
        body=Jaxpr(invars, wide.equations, (*after, *t_after, *rows, *t_rows)),
        num_cond_consts=num_test, num_body_consts=num_consts + counts[0],
    )  # fmt: skip
    final, t_final, ys, t_ys = divide(outs, num_carry, counts[1], num_ys)
    return _columns((*final, *ys), (*t_final, *t_ys), live, order)


ROWS: dict[Primitive, Rule] = {
    call: Whole(_call),
    checkpoint: Whole(_call),
    cond: Whole(_cond),
    scan: Whole(_scan),
    while_: Whole(_while),
}

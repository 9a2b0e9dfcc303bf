"""Series of what is sorted."""

from __future__ import annotations

from collections.abc import Callable

from tracejit.ir.atoms import is_zero, zero
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import INT64, tangent_type
from tracejit.ops.reduction import sort, take_along
from tracejit.ops.structure import iota
from tracejit.transforms.jet import Coefficient, Coefficients, Rule, Use


def _sort(use: Use) -> Callable[[int], Coefficients]:
    """All coefficients move as the values do."""
    axis, xs = use.params["axis"], use.inputs
    places = iota(dtype=INT64, shape=xs[0].type.shape, axis=axis)
    *values, order = sort(*[x[0] for x in xs], places, **use.params)

    def step(k: int) -> Coefficients:
        if k == 0:
            return values
        return [
            zero(tangent_type(x.type)) if is_zero(x[k]) else take_along(x[k], order, axis)
            for x in xs
        ]

    return step


ROWS: dict[Primitive, Rule] = {sort: Coefficient(_sort)}

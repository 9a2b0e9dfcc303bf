"""Rewrites of reductions over one element, over splats, and over what was repeated."""

from __future__ import annotations

from typing import Any

from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.graph import Equation
from tracejit.ir.types import without_axes
from tracejit.ops.reduction import (
    cumlogsumexp,
    cummax,
    cummin,
    cumprod,
    cumsum,
    reduce_and,
    reduce_max,
    reduce_min,
    reduce_or,
    reduce_prod,
    reduce_xor,
)
from tracejit.ops.structure import broadcast, reduce_sum, reshape
from tracejit.passes.rules.structure import drop_repeats
from tracejit.passes.rules.table import always, literal, over

Axes = tuple[int, ...]

#: f(x, x) = x.
IDEMPOTENT = (reduce_max, reduce_min, reduce_and, reduce_or)


@always(reduce_sum, reduce_prod, reduce_max, reduce_min, reduce_and, reduce_or, reduce_xor)
def _reduce_one(x: Atom, *, axes: Axes) -> Atom | None:
    """Over axes of one element, or over none."""
    if any(x.shape[a] != 1 for a in axes):
        return None
    return reshape(x, shape=without_axes(x.shape, axes))


@always(cumsum, cumprod, cummax, cummin, cumlogsumexp)
def _run_along_one(x: Atom, *, axis: int, **rest: Any) -> Atom | None:
    """Along an axis of one element, or of none."""
    return x if x.shape[axis] <= 1 else None


def _reduce_equals(x: Literal, *, axes: Axes) -> Atom | None:
    """The extremum of equal numbers; of none it is the identity, left to evaluation."""
    if any(x.shape[a] == 0 for a in axes):
        return None
    return Literal(x.value, x.type.with_shape(without_axes(x.shape, axes)))


def _reduce_repeated(inner: Equation, x: Atom, *, axes: Axes) -> Atom | None:
    """The extremum over axes along which x is repeated: x, not repeated along them."""
    dims, (source,) = inner.params["dims"], inner.inputs
    if not set(axes).isdisjoint(dims) or any(x.shape[a] == 0 for a in axes):
        return None
    return drop_repeats(source, x.shape, dims, axes)


for primitive in IDEMPOTENT:
    literal(primitive)(_reduce_equals)
    over(primitive, broadcast)(_reduce_repeated)

"""Rules of what moves values, sums and products of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.control.remat import barrier
from tracejit.ir.atoms import Atom, Literal, ones, zero
from tracejit.ir.types import PART_OF
from tracejit.ops import contraction, indexing, reduction, structure
from tracejit.ops.elementwise import select, stop_gradient
from tracejit.passes.pairs.arithmetic import multiply
from tracejit.passes.pairs.table import (
    LEFT,
    Pair,
    Value,
    flat,
    is_nought,
    joined,
    of_real,
    part_by_part,
    rule,
)

part_by_part(
    structure.broadcast, structure.reshape, structure.permute, structure.reverse, structure.slice,
    structure.pad, structure.concatenate, structure.reduce_sum, reduction.cumsum,
    indexing.gather, indexing.dynamic_slice, indexing.dynamic_update_slice,
    indexing.scatter, indexing.scatter_add, select, stop_gradient, barrier,
)  # fmt: skip


@rule(structure.iota)
def _iota(*, dtype: np.dtype, **params: Any) -> Pair:
    return of_real(structure.iota(dtype=PART_OF[dtype], **params))


#: Multiplications from which a product of matrices is left to BLAS, as it is.
PRODUCT = 1 << 17


def _is_large(x: Pair, y: Pair, contract: Any, batch: Any) -> bool:
    """Whether these are large matrices, and neither of them is real."""
    if any(map(is_nought, (*x, *y))):
        return False
    depth, count = (math.prod(x.type.shape[a] for a in axes[0]) for axes in (contract, batch))
    if depth * count == 0:
        return False
    rows, columns = (z.type.size // (depth * count) for z in (x, y))
    return min(rows, columns, depth) >= 4 and rows * columns * depth >= PRODUCT


@rule(contraction.dot)
def _dot(x: Pair, y: Pair, **params: Any) -> Pair | None:
    """Four real products; two where an operand is real; large ones are left as they are."""
    if _is_large(x, y, **params):
        return LEFT

    def times(a: Atom, b: Atom) -> Atom | None:
        return None if is_nought(a) or is_nought(b) else contraction.dot(a, b, **params)

    def nothing() -> Literal:
        return zero(contraction.dot.result_types((x.re, y.re), params)[0])

    re, less = times(x.re, y.re), times(x.im, y.im)
    im, more = times(x.re, y.im), times(x.im, y.re)
    if less is not None:
        re = -less if re is None else re - less
    if more is not None:
        im = more if im is None else im + more
    return Pair(nothing() if re is None else re, nothing() if im is None else im)


def _both(z: Pair, move: Any) -> Pair:
    return Pair(move(z.re, 0), move(z.im, 1))


@rule(reduction.reduce_prod)
def _product(z: Pair, *, axes: tuple[int, ...]) -> Pair:
    """Halves are multiplied, and their halves, until one element is left."""
    kept = tuple(a for a in range(z.re.ndim) if a not in axes)
    shape = tuple(z.type.shape[a] for a in kept)
    n, last = math.prod(z.type.shape[a] for a in axes), len(kept)
    if n == 0:
        type = z.type.with_shape(shape)
        return Pair(ones(type), zero(type))
    order = (*kept, *sorted(axes))
    z = _both(z, lambda x, _: structure.reshape(
        structure.permute(x, order=order), shape=(*shape, n)
    ))  # fmt: skip
    while n > 1:
        half, odd = n // 2, n % 2
        product = multiply(_part(z, last, 0, half), _part(z, last, half, 2 * half))
        if odd:
            rest = _part(z, last, n - 1, n)
            product = Pair(*[
                structure.concatenate(p, r, axis=last) for p, r in zip(product, rest, strict=True)
            ])  # fmt: skip
        z, n = product, half + odd
    return _both(z, lambda x, _: structure.reshape(x, shape=shape))


def _part(z: Pair, axis: int, start: int, stop: int) -> Pair:
    """Elements start .. stop along an axis."""
    ndim = z.re.ndim
    low, high = [0] * ndim, list(z.type.shape)
    low[axis], high[axis] = start, stop
    where: dict[str, Any] = {"start": tuple(low), "limit": tuple(high), "stride": (1,) * ndim}
    return _both(z, lambda x, _: structure.slice(x, **where))


@rule(reduction.cumprod)
def _running_product(z: Pair, *, axis: int, reverse: bool) -> Pair:
    """Step j multiplies by what is 2^j places before."""
    n, distance = z.type.shape[axis], 1
    while distance < n:
        where: dict[str, Any] = {"axis": axis, "reverse": reverse, "distance": distance}
        before = _both(z, lambda x, i, where=where: reduction.previous(x, fill=1 - i, **where))
        z, distance = multiply(z, before), 2 * distance
    return z


@rule(reduction.sort)
def _sort(*operands: Value, axis: int, keys: int) -> list[Value]:
    """What is sorted along may be complex; keys are not."""
    flags = [isinstance(x, Pair) for x in operands]
    return joined(reduction.sort.bind(*flat(operands), axis=axis, keys=keys), flags)

"""dot and its relatives on windows.

    x[:k] @ y[:k]        reduce_sum(select(mask, x * y, 0))
    A[:, :k] @ x[:k]     dot(select(mask, A, 0), select(mask, x, 0))

Both operands of the latter are masked: 0 times what lies outside may be NaN. So they are on axes
that are not summed over, which are windows of the result: the derivative sums over those.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError, UnsupportedError
from tracejit.ir.types import BOOL
from tracejit.numpy import contraction, reductions, ufuncs
from tracejit.numpy.arrays import fault, one_axis, operand, reshape_to
from tracejit.numpy.windows.alignment import aligned, common_extent, extents_of, full_of
from tracejit.numpy.windows.elementwise import of_arrays
from tracejit.numpy.windows.windowed import Windowed, filled, windowed
from tracejit.ops import structure
from tracejit.trace.tracer import bind

Axes = Sequence[int]


def contract(x: Any, y: Any, over: tuple[Axes, Axes], name: str = "dot") -> Any:
    """Sums of products over axes: the free axes of x, then those of y."""
    extents = [list(extents_of(z)) for z in (x, y)]
    for a, b in zip(*over, strict=True):
        extents[0][a] = extents[1][b] = common_extent([(x, a), (y, b)], stretches=False)
    x, y = (aligned(z, tuple(e)) for z, e in zip((x, y), extents, strict=True))
    if any(extents[0]) and len(extents[0]) == len(extents[1]) == len(over[0]) == 1:
        return _of_vectors(x, y)
    free = [
        e for z, axes in zip((x, y), over, strict=True)
        for a, e in enumerate(extents_of(z)) if a not in axes
    ]  # fmt: skip
    return windowed(contraction.contract(filled(x, 0), filled(y, 0), over, name=name), free)


def _of_vectors(x: Any, y: Any) -> Any:
    product = of_arrays(ufuncs.multiply)(x, y)
    if product.dtype == BOOL:
        return reductions.any(filled(product, False))
    return bind(structure.reduce_sum, filled(product, 0), axes=(0,))


def dot(a: Any, b: Any, out: None = None) -> Any:
    """The last axis of a by the second to last of b (its only one); numbers multiply."""
    x, y = _operand(a), _operand(b)
    if not _rank(x) or not _rank(y):
        return of_arrays(ufuncs.multiply)(x, y)
    return contract(x, y, ((_rank(x) - 1,), (max(_rank(y) - 2, 0),)))


def matmul(a: Any, b: Any) -> Any:
    """The product of matrices and vectors."""
    x, y = _operand(a), _operand(b)
    if not 0 < _rank(x) <= 2 or not 0 < _rank(y) <= 2:
        raise fault(UnsupportedError, "matmul of windows takes vectors and matrices")
    return contract(x, y, ((_rank(x) - 1,), (max(_rank(y) - 2, 0),)), "matmul")


def inner(a: Any, b: Any) -> Any:
    """The last axis of a by the last of b; numbers multiply."""
    x, y = _operand(a), _operand(b)
    if not _rank(x) or not _rank(y):
        return of_arrays(ufuncs.multiply)(x, y)
    return contract(x, y, ((_rank(x) - 1,), (_rank(y) - 1,)), "inner")


def vdot(a: Any, b: Any) -> Any:
    """The sum of the products of all elements."""
    x, y = _operand(a), _operand(b)
    if _rank(x) != _rank(y):
        raise fault(ShapeError, f"vdot of windows of {_rank(x)} and {_rank(y)} axes")
    axes = tuple(range(_rank(x)))
    return contract(x, y, (axes, axes), "vdot")


def outer(a: Any, b: Any, out: None = None, *, of: Any = ufuncs.multiply) -> Any:
    """a[i] b[j], or another function of both, for all elements of both."""
    x, y = _operand(a), _operand(b)
    if (_rank(x), _rank(y)) != (1, 1):
        raise fault(UnsupportedError, "outer of windows takes vectors")
    return of_arrays(of)(_column(x), y)


def tensordot(a: Any, b: Any, axes: Any = 2) -> Any:
    """Sums of products over the last axes of a and the first of b, or over axes named for both."""
    x, y = _operand(a), _operand(b)
    if isinstance(axes, (int, np.integer)):
        over: Any = (range(_rank(x) - axes, _rank(x)), range(axes))
    else:
        over = [i if isinstance(i, (tuple, list)) else (i,) for i in axes]
    first, second = (
        tuple(one_axis(i, _rank(z)) for i in o) for o, z in zip(over, (x, y), strict=True)
    )
    if len(first) != len(second):
        raise fault(ArgumentError, f"tensordot: axes {axes} differ in number")
    return contract(x, y, (first, second), "tensordot")


def _operand(x: Any) -> Any:
    return x if isinstance(x, Windowed) else operand(x)


def _rank(x: Any) -> int:
    return len(extents_of(x))


def _column(x: Any) -> Any:
    """A vector along a first axis, and a second one of length 1."""
    full = reshape_to(full_of(x), (full_of(x).shape[0], 1))
    return windowed(full, (*extents_of(x), None))

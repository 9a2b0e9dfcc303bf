"""dot: products summed over paired axes, its own adjoint in each operand.

Matrix product, batched matrix product, inner and outer product, tensordot and most of einsum are
one `dot` with different axes. The result's axes are, in this order: the batch axes, the free axes
of x, the free axes of y; free are those neither contracted nor batch, in ascending order.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.errors import DTypeError, ShapeError
from tracejit.ir.atoms import Atom, is_zero, zero
from tracejit.ir.primitive import Primitive, Unknown
from tracejit.ir.types import NUMBERS, ArrayType, Shape, tangent_type
from tracejit.ops.structure import (
    Axes,
    Cotangents,
    check_axes,
    inverse_order,
    move_axis,
    permute,
    shifted,
)

AxisPair = tuple[Axes, Axes]


def free_axes(ndim: int, contract: Axes, batch: Axes) -> Axes:
    """The axes that are neither contracted nor batch."""
    return tuple(a for a in range(ndim) if a not in contract and a not in batch)


def _pick(shape: Shape, axes: Axes) -> Shape:
    return tuple(shape[a] for a in axes)


def _dot_typing(
    x: ArrayType, y: ArrayType, *, contract: AxisPair, batch: AxisPair
) -> tuple[ArrayType, ...]:
    if x.dtype != y.dtype:
        raise DTypeError(
            f"dot: operands differ in dtype, {x} and {y}", hint="convert one of them with astype"
        )
    if x.dtype not in NUMBERS:
        raise DTypeError(f"dot does not accept {x}")
    for operand, summed, paired in zip((x, y), contract, batch, strict=True):
        check_axes("dot", (*paired, *summed), operand.ndim)
    for what, (left, right) in (("contract", contract), ("batch", batch)):
        if _pick(x.shape, left) != _pick(y.shape, right):
            raise ShapeError(
                f"dot: {what} axes {left} of {x} and {right} of {y} differ in length or number"
            )
    rows = free_axes(x.ndim, contract[0], batch[0])
    columns = free_axes(y.ndim, contract[1], batch[1])
    shape = _pick(x.shape, batch[0]) + _pick(x.shape, rows) + _pick(y.shape, columns)
    return (x.with_shape(shape),)


def _dot_value(x: Any, y: Any, *, contract: AxisPair, batch: AxisPair) -> Any:
    """As a stack of matrix products: (batch, rows, summed) @ (batch, summed, columns)."""
    rows = free_axes(np.ndim(x), contract[0], batch[0])
    columns = free_axes(np.ndim(y), contract[1], batch[1])
    shapes = [np.shape(x), np.shape(y)]
    stack = _pick(shapes[0], batch[0])
    m, n = _pick(shapes[0], rows), _pick(shapes[1], columns)
    k = math.prod(_pick(shapes[0], contract[0]))
    left = np.transpose(x, (*batch[0], *rows, *contract[0])).reshape((*stack, math.prod(m), k))
    right = np.transpose(y, (*batch[1], *contract[1], *columns)).reshape((*stack, k, math.prod(n)))
    return np.matmul(left, right).reshape((*stack, *m, *n))


def _dot_jvp(
    primals: Any, tangents: Any, outs: Any, *, contract: AxisPair, batch: AxisPair
) -> tuple[Atom]:
    """d(x . y) = dx . y + x . dy."""
    (x, y), (s, t), (z,) = primals, tangents, outs
    if not z.type.is_inexact or (is_zero(s) and is_zero(t)):
        return (zero(tangent_type(z.type)),)
    pairs = [(a, b) for a, b, tangent in ((s, y, s), (x, t, t)) if not is_zero(tangent)]
    terms: list[Atom] = [dot(a, b, contract=contract, batch=batch) for a, b in pairs]
    return (terms[0] if len(terms) == 1 else terms[0] + terms[1],)


def _dot_transpose(
    cts: Any, inputs: Any, *, contract: AxisPair, batch: AxisPair
) -> Cotangents:
    (ct,), (x, y) = cts, inputs
    if isinstance(x, Unknown):
        return (_wrt_left(ct, x.type, y, contract, batch), None)
    return (None, _wrt_right(ct, x, y.type, contract, batch))


def _wrt_left(ct: Atom, x: ArrayType, y: Atom, contract: AxisPair, batch: AxisPair) -> Atom:
    """ct . y over y's free axes (ct @ y.T): yields x's axes as batch, free, then contracted ones.

    The contracted ones come in the order that y has them.
    """
    rows = free_axes(x.ndim, contract[0], batch[0])
    columns = free_axes(y.ndim, contract[1], batch[1])
    stack = tuple(range(len(batch[0])))
    result = dot(
        ct, y, batch=(stack, batch[1]),
        contract=(tuple(range(ct.ndim - len(columns), ct.ndim)), columns),
    )  # fmt: skip
    summed = tuple(a for _, a in sorted(zip(contract[1], contract[0], strict=True)))
    return _into_order(result, (*batch[0], *rows, *summed))


def _wrt_right(ct: Atom, x: Atom, y: ArrayType, contract: AxisPair, batch: AxisPair) -> Atom:
    """x . ct over x's free axes (x.T @ ct): yields y's axes as batch, contracted, free."""
    rows = free_axes(x.ndim, contract[0], batch[0])
    columns = free_axes(y.ndim, contract[1], batch[1])
    stack = tuple(range(len(batch[0])))
    result = dot(
        x, ct, batch=(batch[0], stack),
        contract=(rows, tuple(range(len(stack), len(stack) + len(rows)))),
    )  # fmt: skip
    summed = tuple(a for _, a in sorted(zip(contract[0], contract[1], strict=True)))
    return _into_order(result, (*batch[1], *summed, *columns))


def _into_order(x: Atom, axes: Axes) -> Atom:
    """x, whose axis i is to become axis axes[i]."""
    return x if axes == tuple(range(x.ndim)) else permute(x, order=inverse_order(axes))


def _dot_batch(
    size: int, inputs: Any, batched: Any, *, contract: AxisPair, batch: AxisPair
) -> tuple[Atom]:
    """One more batch axis if both have it, else one more free axis, which goes to the front."""
    x, y = inputs
    contract, batch = _shifted_where(contract, batched), _shifted_where(batch, batched)
    if all(batched):
        batch = ((0, *batch[0]), (0, *batch[1]))
        return (dot(x, y, contract=contract, batch=batch),)
    result = dot(x, y, contract=contract, batch=batch)
    rows = len(free_axes(x.ndim, contract[0], batch[0]))
    place = len(batch[0]) + (0 if batched[0] else rows)
    return (move_axis(result, place, 0),)


def _shifted_where(pair: AxisPair, batched: Any) -> AxisPair:
    x, y = (shifted(axes) if b else axes for axes, b in zip(pair, batched, strict=True))
    return x, y


dot = Primitive(
    "dot", typing=_dot_typing, evaluate=_dot_value, jvp=_dot_jvp,
    transpose=_dot_transpose, batch=_dot_batch,
    doc="Products summed over `contract`, for each index of `batch`: pairs of axes of x and of y.",
)  # fmt: skip

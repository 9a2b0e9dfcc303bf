"""Lowering of dot: loops with fma for vectors and small matrices, BLAS for large ones.

The space of a dot is (batch, free of x, free of y, contracted).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tracejit.backends.native import products
from tracejit.backends.native.emit import Function, Value
from tracejit.backends.native.index import Emitted
from tracejit.backends.native.lowering import (
    LOWERINGS,
    Axes,
    Choice,
    Reduction,
    Rowwise,
    Statement,
)
from tracejit.backends.native.nest import Indices, Nest
from tracejit.ir.graph import Equation
from tracejit.ops import contraction as ops
from tracejit.ops.contraction import free_axes

Places = tuple[int, ...]
#: Multiplications from which a call of BLAS (about 0.3 us) costs less than our loops lose.
BLAS_FROM = 20_000


class Dot(Reduction):
    """sum over the contracted axes of x times y."""

    def _parts(self, eqn: Equation) -> tuple[Places, Places]:
        """For x and for y, the axis of the space that each of their axes is."""
        x, y = eqn.inputs
        (cx, cy), (bx, by) = eqn.params["contract"], eqn.params["batch"]
        fx, fy = free_axes(x.ndim, cx, bx), free_axes(y.ndim, cy, by)
        nb, nx = len(bx), len(fx)
        last = nb + nx + len(fy)
        of_x = {a: i for i, a in enumerate(bx)} | {a: nb + i for i, a in enumerate(fx)}
        of_x |= {a: last + i for i, a in enumerate(cx)}
        of_y = {a: i for i, a in enumerate(by)} | {a: nb + nx + i for i, a in enumerate(fy)}
        of_y |= {a: last + i for i, a in enumerate(cy)}
        return tuple(of_x[a] for a in range(x.ndim)), tuple(of_y[a] for a in range(y.ndim))

    def space(self, eqn: Equation) -> tuple[int, ...]:
        x, _ = eqn.inputs
        return eqn.outvars[0].shape + tuple(x.shape[a] for a in eqn.params["contract"][0])

    def reduced(self, eqn: Equation) -> tuple[int, ...]:
        kept = eqn.outvars[0].ndim
        return tuple(range(kept, kept + len(eqn.params["contract"][0])))

    def operands(self, eqn: Equation) -> list[tuple[Any, Axes]]:
        of_x, of_y = self._parts(eqn)
        return [(eqn.inputs[0], of_x), (eqn.inputs[1], of_y)]

    def element(self, nest: Nest, eqn: Equation, index: Indices) -> tuple[Emitted, ...]:
        of_x, of_y = self._parts(eqn)
        x, y = eqn.inputs
        return (
            nest.value(x, tuple(index[a] for a in of_x)),
            nest.value(y, tuple(index[a] for a in of_y)),
        )

    def combine(self, b: Function, dtype: np.dtype, total: Value, *element: Value) -> Value:
        x, y = element
        return b.fma(x, y, total) if dtype.kind == "f" else b.add(b.mul(x, y), total)

    def merge(self, b: Function, dtype: np.dtype, x: Value, y: Value) -> Value:
        return b.add(x, y)

    def identity(self, dtype: np.dtype) -> Any:
        return 0

    def spread(self, eqn: Equation) -> tuple[Any, ...]:
        total = math.prod(self.space(eqn))
        return tuple(x for x in eqn.inputs if x.type.size < total)

    def aligned(self, eqn: Equation) -> bool:
        return False


def _is_large(eqn: Equation) -> bool:
    """A product of matrices that BLAS does faster than loops."""
    x, y = eqn.inputs
    if x.dtype.name not in products.PREFIX or not eqn.outvars[0].type.size:
        return False
    (cx, _), (bx, _) = eqn.params["contract"], eqn.params["batch"]
    depth = math.prod(x.shape[a] for a in cx)
    batch = math.prod(x.shape[a] for a in bx)
    if depth == 0 or batch == 0:
        return False
    rows, columns = x.type.size // (depth * batch), y.type.size // (depth * batch)
    return min(rows, columns, depth) >= 4 and rows * columns * depth >= BLAS_FROM


_LOOPS = Dot()
_BLAS = Statement(
    products.product,
    by_rows=Rowwise(
        products.space, products.operands, products.begin, products.by_rows, kept=products.kept
    ),
)


#: What a pass has left complex.
_COMPLEX = Statement(products.product)


def _choose(eqn: Equation) -> Any:
    if eqn.inputs[0].type.is_complex:
        return _COMPLEX
    return _BLAS if _is_large(eqn) else _LOOPS


def _reason(eqn: Equation) -> str:
    """Why a product is left to BLAS, or not."""
    count = math.prod(_LOOPS.space(eqn))
    if eqn.inputs[0].type.is_complex or _is_large(eqn):
        return f"by BLAS: {count:,} multiplications"
    if count < BLAS_FROM:
        return f"{count:,} multiplications, fewer than BLAS is worth"
    return "no product of matrices, so not by BLAS"


LOWERINGS.rows(__name__, {ops.dot: Choice(_choose, _reason)})

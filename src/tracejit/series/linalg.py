"""Series of solutions of a(t) x(t) = b(t): one matrix, a_0, for all coefficients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.ir.atoms import Atom, is_zero
from tracejit.ir.primitive import Primitive
from tracejit.ops import linalg as ops
from tracejit.ops.elementwise import ge, gt, le, lt
from tracejit.transforms.jet import Coefficient, Coefficients, Rule, Use, convolution

Step = Callable[[int], Coefficients]


def _system(read: Callable[..., Atom]) -> Callable[[Use], Step]:
    """a_0 x_k = b_k - sum of a_i x_(k-i) for i >= 1; `read`: what of a coefficient counts."""

    def start(use: Use) -> Step:
        (a, b), (x,) = use.inputs, use.outs

        def product(c: Atom, y: Atom) -> Atom:
            return ops.matrix_product(read(c, **use.params), y)

        def step(k: int) -> Coefficients:
            if k == 0:
                return use.value()
            rest = convolution(product, a, x, [(i, k - i) for i in range(1, k + 1)], b.type)
            right = b[k] if is_zero(rest) else -rest if is_zero(b[k]) else b[k] - rest
            return [right] if is_zero(right) else use.bind(a[0], right)

        return step

    return start


def _matrix(c: Atom, *, transposed: bool) -> Atom:
    return ops.matrix_transpose(c) if transposed else c


def _triangle(c: Atom, *, lower: bool, transposed: bool, unit: bool) -> Atom:
    """What is read of a triangular matrix: one side, without the diagonal where it counts as 1."""
    inside = {(True, False): ge, (True, True): gt, (False, False): le, (False, True): lt}
    return _matrix(ops.part_where(c, inside[lower, unit]), transposed=transposed)


_ROWS: dict[Any, Callable[[Use], Step]] = {
    ops.solve: _system(_matrix),
    ops.triangular_solve: _system(_triangle),
}
ROWS: dict[Primitive, Rule] = {p: Coefficient(start) for p, start in _ROWS.items()}

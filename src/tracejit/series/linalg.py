"""Series of solutions of a(t) x(t) = b(t): one matrix, a_0, for all coefficients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.ir.atoms import Atom, is_zero
from tracejit.ir.primitive import Primitive
from tracejit.ops import linalg as ops
from tracejit.ops.contraction import dot
from tracejit.ops.elementwise import ge, gt, le, lt
from tracejit.transforms.jet import Coefficient, Coefficients, Rule, Use, convolution

Step = Callable[[int], Coefficients]


def _system(read: Callable[..., Atom]) -> Callable[[Use], Step]:
    """a_0 x_k = b_k - sum of a_i x_(k-i) for i >= 1; `read`: what of a coefficient counts."""

    def start(use: Use) -> Step:
        (a, b), (x,) = use.inputs, use.outs
        rows = len(a.type.shape) - 2
        summed = rows if use.params["transposed"] else rows + 1
        stack = tuple(range(rows))

        def product(c: Atom, y: Atom) -> Atom:
            matrix = read(c, **use.params)
            return dot(matrix, y, contract=((summed,), (rows,)), batch=(stack, stack))

        def step(k: int) -> Coefficients:
            if k == 0:
                return use.value()
            rest = convolution(product, a, x, [(i, k - i) for i in range(1, k + 1)], b.type)
            right = b[k] if is_zero(rest) else -rest if is_zero(b[k]) else b[k] - rest
            return [right] if is_zero(right) else use.bind(a[0], right)

        return step

    return start


def _triangle(c: Atom, *, lower: bool, transposed: bool, unit: bool) -> Atom:
    """What is read of a triangular matrix: one side, without the diagonal where it counts as 1."""
    strictly, with_diagonal = (gt, ge) if lower else (lt, le)
    return ops.part_where(c, strictly if unit else with_diagonal)


_ROWS: dict[Any, Callable[[Use], Step]] = {
    ops.solve: _system(lambda c, *, transposed: c),
    ops.triangular_solve: _system(_triangle),
}
ROWS: dict[Primitive, Rule] = {p: Coefficient(start) for p, start in _ROWS.items()}

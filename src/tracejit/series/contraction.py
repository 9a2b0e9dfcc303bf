"""Series of products: [x . y]_k = sum of x_i . y_(k-i)."""

from __future__ import annotations

from collections.abc import Callable

from tracejit.ir.atoms import Atom
from tracejit.ir.primitive import Primitive
from tracejit.ops.contraction import dot
from tracejit.transforms.jet import Coefficient, Coefficients, Rule, Use, convolution


def _dot(use: Use) -> Callable[[int], Coefficients]:
    (x, y), (z,) = use.inputs, use.outs

    def product(a: Atom, b: Atom) -> Atom:
        return dot(a, b, **use.params)

    def step(k: int) -> Coefficients:
        if k == 0:
            return use.value()
        return [convolution(product, x, y, [(i, k - i) for i in range(k + 1)], z.type)]

    return step


ROWS: dict[Primitive, Rule] = {dot: Coefficient(_dot)}

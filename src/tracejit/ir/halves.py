"""Floats of 16 bits are stored, not computed with.

An operation on halves (float16, bfloat16) converts its operands to float32, which is exact,
computes there, and rounds the results, once:

    z: f16[n] = mul(x, y)      means      z = f16(f32(x) * f32(y))
    s: f16[] = reduce_sum(x)              s = f16(sum of f32(x))

That is what NumPy does element by element. For sums, products of matrices and running sums it is
better: nothing is rounded, and nothing overflows, on the way. Operations that move elements
(`MOVES`), or hold programs that say themselves what is done, take halves as they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tracejit.ir.types import FLOAT32, HALVES

#: What computes nothing with the elements, or knows how to take them.
MOVES = frozenset(
    "broadcast reshape permute reverse slice pad concatenate iota gather scatter dynamic_slice "
    "dynamic_update_slice select convert bitcast stop_gradient nextafter barrier name constant "
    "callback pure_callback guard".split()
)


def computes(name: str, params: Mapping[str, Any]) -> bool:
    """Whether the operation of this name does arithmetic on its operands."""
    return name not in MOVES and not any(_is_program(value) for value in params.values())


def _is_program(value: Any) -> bool:
    first = value[0] if isinstance(value, tuple) and value else value
    return hasattr(first, "equations")


def has_halves(xs: Sequence[Any]) -> bool:
    """Whether an array, type or atom among them is of halves."""
    for x in xs:  # noqa: SIM110  a generator takes three times as long
        if getattr(x, "dtype", None) in HALVES:
            return True
    return False


def widened(xs: Sequence[Any]) -> list[Any]:
    """The arrays, those of halves as float32."""
    return [np.asarray(x).astype(FLOAT32) if has_halves((x,)) else x for x in xs]

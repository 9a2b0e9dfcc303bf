"""jax.lax.linalg: what factorises, and what solves triangular systems, of stacks of matrices."""

from __future__ import annotations

from typing import Any

from tracejit.numpy import linalg
from tracejit.numpy.arrays import Array, ArrayLike, nearest, value
from tracejit.numpy.shaping import matrix_transpose
from tracejit.numpy.ufuncs import conjugate
from tracejit.ops import linalg as ops
from tracejit.trace.tracer import bind

__all__ = ["cholesky", "lu", "triangular_solve"]


def cholesky(x: ArrayLike, *, symmetrize_input: bool = True) -> Array:
    """The lower factor, of the symmetric part or of the lower triangle; NaN where there is none."""
    return linalg.cholesky(x) if symmetrize_input else bind(ops.cholesky, value(x))


def lu(x: ArrayLike) -> tuple[Array, Array, Array]:
    """The factors in one matrix, the row each was exchanged with, and the order of rows."""
    return linalg.factors(x, "lu")


def triangular_solve(
    a: ArrayLike, b: ArrayLike, *, left_side: bool = False, lower: bool = False,
    transpose_a: bool = False, conjugate_a: bool = False, unit_diagonal: bool = False,
) -> Array:  # fmt: skip
    """The x with a x = b, or x a = b unless left_side, where a may be transposed and conjugated."""
    if conjugate_a:
        a = conjugate(a)
    if not left_side:
        x = triangular_solve(
            a, matrix_transpose(value(b)), left_side=True, lower=lower,
            transpose_a=not transpose_a, unit_diagonal=unit_diagonal,
        )  # fmt: skip
        return matrix_transpose(x)
    return linalg.system(
        ops.triangular_solve, a, b, "triangular_solve", lower=bool(lower),
        transposed=bool(transpose_a), unit=bool(unit_diagonal),
    )  # fmt: skip


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.lax.linalg has no {name!r}; {nearest(name, __all__)}")

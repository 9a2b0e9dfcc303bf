"""scipy.linalg on arrays and traced values: factors, and systems that are solved with them.

Only one triangle is read where SciPy reads one. Nothing is overwritten and nothing is checked, so
those arguments are left out; numbers never raise: see `tracejit.numpy.linalg`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.control.looping import fori_loop
from tracejit.errors import ArgumentError, UnsupportedError
from tracejit.numpy import linalg
from tracejit.numpy.arrays import Array, ArrayLike, fault, nearest, value
from tracejit.numpy.indexing import take
from tracejit.numpy.linalg import det, inv
from tracejit.numpy.orthogonal import adjoint
from tracejit.numpy.ufuncs import conjugate
from tracejit.numpy.updates import At
from tracejit.ops import linalg as ops
from tracejit.trace.tracer import bind

__all__ = [
    "cho_factor", "cho_solve", "cholesky", "det", "inv", "lu_factor", "lu_solve", "solve",
    "solve_triangular",
]  # fmt: skip


def cholesky(a: ArrayLike, lower: bool = False) -> Array:
    """The upper u with u* u = a, of whose upper triangle; or the lower l with l l* = a."""
    x = value(a)
    return bind(ops.cholesky, x) if lower else adjoint(bind(ops.cholesky, adjoint(x)))


def cho_factor(a: ArrayLike, lower: bool = False) -> tuple[Array, bool]:
    """What `cho_solve` takes: the factor, and whether it is the lower one."""
    return cholesky(a, lower), lower


def cho_solve(c_and_lower: tuple[ArrayLike, bool], b: ArrayLike) -> Array:
    """The x with a x = b, from the factor of a."""
    factor, lower = c_and_lower
    y = solve_triangular(factor, b, trans=0 if lower else 2, lower=lower)
    return solve_triangular(factor, y, trans=2 if lower else 0, lower=lower)


def solve_triangular(
    a: ArrayLike, b: ArrayLike, trans: int | str = 0, lower: bool = False,
    unit_diagonal: bool = False,
) -> Array:  # fmt: skip
    """The x with a x = b, a' x = b if trans is 1 or "T", or a* x = b if it is 2 or "C"; one
    triangle of a is read."""
    return linalg.system(
        ops.triangular_solve, conjugate(a) if trans in (2, "C") else a, b, "solve_triangular",
        lower=bool(lower), transposed=_turned(trans), unit=bool(unit_diagonal),
    )  # fmt: skip


def _turned(trans: int | str) -> bool:
    if trans not in (0, 1, 2, "N", "T", "C"):
        raise fault(ArgumentError, f"trans is 0, 1, 2, 'N', 'T' or 'C', not {trans!r}")
    return trans not in (0, "N")


def solve(a: ArrayLike, b: ArrayLike, lower: bool = False, assume_a: str = "gen") -> Array:
    """The x with a x = b; by Cholesky where assume_a is "pos"."""
    if assume_a == "pos":
        return cho_solve(cho_factor(a, lower), b)
    if assume_a not in ("gen", "sym", "her"):
        raise fault(
            UnsupportedError, f"solve: assume_a={assume_a!r} has no method of its own",
            "assume_a='gen' solves every system, 'pos' those of positive definite matrices",
        )  # fmt: skip
    return linalg.solve(a, b)


def lu_factor(a: ArrayLike) -> tuple[Array, Array]:
    """What `lu_solve` takes: the factors in one matrix, and the row each was exchanged with."""
    low_up, pivots, _ = linalg.factors(a, "lu_factor")
    return low_up, pivots


def lu_solve(lu_and_piv: tuple[ArrayLike, ArrayLike], b: ArrayLike, trans: int = 0) -> Array:
    """The x with a x = b, a' x = b if trans is 1, or a* x = b if it is 2, from the factors of one
    matrix a."""
    low_up, pivots = map(value, lu_and_piv)
    x = value(b)
    if low_up.ndim != 2:
        raise fault(
            UnsupportedError, f"lu_solve takes the factors of one matrix, got shape {low_up.shape}",
            "solve(a, b) takes stacks; so does vmap of lu_solve",
        )  # fmt: skip
    order = _order(pivots)
    for first in (True, False):
        if first and not _turned(trans):
            x = take(x, order, axis=0)
        lower = first != _turned(trans)
        x = solve_triangular(low_up, x, trans, lower, unit_diagonal=lower)
    return At(np.zeros(x.shape, x.dtype))[order].set(x) if _turned(trans) else x


def _order(pivots: Array) -> Array:
    """The order of rows that exchanges lead to."""

    def exchange(k: Any, order: Array) -> Array:
        place = take(pivots, k)
        here, there = take(order, k), take(order, place)
        return At(At(order)[k].set(there))[place].set(here)

    n = pivots.shape[0]
    return fori_loop(0, n, exchange, np.arange(n, dtype=pivots.dtype))


def __getattr__(name: str) -> Any:
    raise AttributeError(f"tracejit.scipy.linalg has no {name!r}; {nearest(name, __all__)}")

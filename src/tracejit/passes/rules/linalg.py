"""Rewrites of what is computed by a factorisation: it is there once for all that needs it (cse)."""

from __future__ import annotations

from tracejit.ir.atoms import Atom
from tracejit.ops.linalg import log_abs_det, log_of_diagonal, lu, solve, solved
from tracejit.ops.orthogonal import pinv, pinv_by_svd
from tracejit.passes.rules.table import always


@always(solve)
def _by_factors(a: Atom, b: Atom, *, transposed: bool) -> Atom:
    factors, _, permutation = lu(a)
    return solved(factors, permutation, b, transposed)


@always(log_abs_det)
def _of_factors(a: Atom) -> Atom:
    return log_of_diagonal(lu(a)[0])


@always(pinv)
def _of_singular_values(x: Atom, *, rcond: float) -> Atom:
    return pinv_by_svd(x, rcond=rcond)

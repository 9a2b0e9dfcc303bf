"""Products of sparse matrices with traced arrays.

    A @ x      A one of SciPy's sparse matrices, whose places are constants, x traced

They become what one would write by hand: the elements of x at the columns, times the entries, added
up in the rows. So a product costs what its entries cost, and so do its derivatives.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import ShapeError
from tracejit.numpy import shaping, ufuncs
from tracejit.numpy.arrays import Array, value
from tracejit.ops import indexing
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import bind


def is_sparse(x: Any) -> bool:
    """Whether x is a sparse matrix: one of SciPy's, or what can be made one (it has `tocoo`)."""
    return hasattr(x, "tocoo")


def sparse_product(
    rows: np.ndarray, columns: np.ndarray, data: Array, shape: tuple[int, int], x: Array
) -> Array:
    """A @ x: (m,) or (m, k), where A of shape (m, n) has these entries, and x is (n,) or (n, k).

    Raises ShapeError where A and x do not fit.
    """
    if x.ndim not in (1, 2) or x.shape[0] != shape[1]:
        raise ShapeError(
            f"a sparse matrix of shape {shape} @ an array of shape {x.shape}", where=user_frame(),
            hint=f"the array's shape has to be ({shape[1]},) or ({shape[1]}, k)",
        )  # fmt: skip
    taken = bind(indexing.gather, x, _places(columns), axes=(0,), batch=0)
    factors = shaping.reshape(data, (-1, *[1] * (x.ndim - 1)))
    terms = ufuncs.multiply(factors, taken)
    nothing = np.zeros((shape[0], *x.shape[1:]), terms.dtype)
    return bind(indexing.scatter_add, nothing, _places(rows), terms, axes=(0,), batch=0)


def _places(numbers: np.ndarray) -> np.ndarray:
    """Row or column numbers as index vectors."""
    return np.asarray(numbers)[:, None]


def sparse_matmul(sparse: Any, x: Any) -> Array:
    """sparse @ x for one of SciPy's matrices."""
    entries = sparse.tocoo()
    return sparse_product(entries.row, entries.col, entries.data, entries.shape, value(x))


def matmul_sparse(x: Any, sparse: Any) -> Array:
    """x @ sparse for one of SciPy's matrices."""
    turned = sparse_matmul(sparse.transpose(), shaping.transpose(value(x)))
    return shaping.transpose(turned)


def or_sparse(matmul: Callable[..., Any], swap: bool = False) -> Callable[..., Any]:
    """The operator @ of tracers, for a sparse operand, too; swap: as the right one."""

    def apply(x: Any, y: Any) -> Any:
        if is_sparse(y):
            return sparse_matmul(y, x) if swap else matmul_sparse(x, y)
        return matmul(x, y)

    return apply

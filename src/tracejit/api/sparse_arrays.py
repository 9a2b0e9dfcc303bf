"""SparseArray: the entries of a sparse matrix, and where they are.

The entries are a leaf of the pytree, the places belong to its structure: so a jitted function that
returns one computes the entries alone, and one that takes one is compiled for its places.
"""

from __future__ import annotations

import copy
import functools
import importlib
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.numpy.arrays import value
from tracejit.numpy.sparse import is_sparse, sparse_product
from tracejit.ops.indexing import scatter_add
from tracejit.passes.sparsity.sets import Pattern
from tracejit.runtime.values import type_of_value
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import bind

FORMATS = ("csr", "csc", "coo")


class Places:
    """Where the entries of a sparse matrix are, in a format's order; equal if all of it is.

    rows, columns: of each entry. indices, indptr: as SciPy has them (csr, csc), None for coo.
    """

    def __init__(self, pattern: Pattern, format: str):
        self.shape, self.format = pattern.shape, format
        small = max(*pattern.shape, len(pattern.indices)) <= np.iinfo(np.int32).max
        dtype = np.int32 if small else np.int64
        #: The number, in row-major order, of each entry in this format's.
        self.order = np.arange(len(pattern.indices))
        rows, columns, self.indices, self.indptr = pattern.rows, pattern.indices, None, None
        if format == "csc":
            self.order = np.argsort(columns, kind="stable")
        self.rows = rows[self.order].astype(dtype)
        self.columns = columns[self.order].astype(dtype)
        if format == "csr":
            self.indices, self.indptr = self.columns, pattern.indptr.astype(dtype)
        elif format == "csc":
            counts = np.bincount(columns, minlength=pattern.shape[1])
            self.indices = self.rows
            self.indptr = np.concatenate([[0], np.cumsum(counts)]).astype(dtype)
        for array in (self.rows, self.columns, self.indices, self.indptr):
            if array is not None:
                array.setflags(write=False)

    @functools.cached_property
    def _empty(self) -> Any:
        """SciPy's array with these places, whose entries do not matter."""
        make = getattr(importlib.import_module("scipy.sparse"), f"{self.format}_array")
        data = np.zeros(len(self.rows), bool)
        if self.format == "coo":
            return make((data, (self.rows, self.columns)), shape=self.shape)
        result = make((data, self.indices, self.indptr), shape=self.shape)
        result.has_sorted_indices = result.has_canonical_format = True
        return result

    def filled(self, data: np.ndarray) -> Any:
        """SciPy's array with these entries, and places of its own: it can be changed in place."""
        result = copy.copy(self._empty)  # its attributes; its constructor would check them again
        result.data = data
        if self.indices is None or self.indptr is None:
            result.coords = (self.rows.copy(), self.columns.copy())
        else:
            result.indices, result.indptr = self.indices.copy(), self.indptr.copy()
        return result

    def __eq__(self, other: object) -> bool:
        if self is other or not isinstance(other, Places):
            return self is other
        return (
            (self.shape, self.format) == (other.shape, other.format)
            and np.array_equal(self.rows, other.rows)
            and np.array_equal(self.columns, other.columns)
        )

    def __hash__(self) -> int:
        return hash((self.shape, self.format, len(self.rows)))


@tree.register_pytree_node_class
class SparseArray:
    """A sparse matrix: `data` (nnz,), its entries, and where they are, which is constant.

    Attributes: shape, format ("csr", "csc" or "coo"), dtype, nnz; row and col of each entry; for
    csr and csc also indices and indptr, as SciPy has them. `data` may be traced.
    """

    __slots__ = ("_places", "data")

    def __init__(self, data: Any, places: Places):
        self.data = data
        self._places = places

    @property
    def shape(self) -> tuple[int, int]:
        return self._places.shape

    @property
    def format(self) -> str:
        return self._places.format

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def nnz(self) -> int:
        """The number of entries that are kept, zeros among them included."""
        return len(self._places.rows)

    @property
    def row(self) -> np.ndarray:
        return self._places.rows

    @property
    def col(self) -> np.ndarray:
        return self._places.columns

    @property
    def indices(self) -> np.ndarray:
        return self._compressed(self._places.indices)

    @property
    def indptr(self) -> np.ndarray:
        return self._compressed(self._places.indptr)

    def _compressed(self, array: np.ndarray | None) -> np.ndarray:
        if array is None:
            raise ArgumentError(
                "a sparse array in coo format has row and col, no indices and indptr",
                where=user_frame(), hint='format="csr" or format="csc"',
            )  # fmt: skip
        return array

    def toarray(self) -> Any:
        """The dense matrix, an array of `shape`."""
        nothing = np.zeros(self.shape, type_of_value(self.data).dtype)
        if not self.nnz:
            return nothing
        places = np.stack([self.row, self.col], axis=1)
        return bind(scatter_add, nothing, places, self.data, axes=(0, 1), batch=0)

    def __matmul__(self, x: Any) -> Any:
        """The matrix times an array (n,) or (n, k), NumPy's or traced."""
        return sparse_product(self.row, self.col, self.data, self.shape, _dense(x))

    def __rmatmul__(self, x: Any) -> Any:
        """An array (m,) or (k, m) times the matrix."""
        turned = sparse_product(
            self.col, self.row, self.data, self.shape[::-1], np.transpose(_dense(x))
        )
        return np.transpose(turned)

    __array_ufunc__ = None  # so that arrays leave `array @ self` to it

    def to_scipy(self) -> Any:
        """The same as scipy.sparse's csr_array, csc_array or coo_array; not for traced data."""
        return self._places.filled(np.asarray(self.data))

    def tree_flatten(self) -> tuple[tuple[Any], Places]:
        return (self.data,), self._places

    @classmethod
    def tree_unflatten(cls, places: Places, children: tuple[Any]) -> SparseArray:
        return cls(children[0], places)

    def __repr__(self) -> str:
        return f"SparseArray({self.format}, shape={self.shape}, nnz={self.nnz}, data={self.data!r})"


def _dense(x: Any) -> Any:
    """A factor that is no sparse matrix itself."""
    if isinstance(x, SparseArray) or is_sparse(x):
        raise ArgumentError(
            "two sparse matrices are not multiplied here", where=user_frame(),
            hint="outside of what is compiled SciPy does it: matrix.to_scipy() @ other",
        )  # fmt: skip
    return value(x)


def check_format(format: str, what: str) -> str:
    """The format, if it is one."""
    if format not in FORMATS:
        raise ArgumentError(
            f"{what}: there is no format {format!r}", where=user_frame(),
            hint=did_you_mean(str(format), FORMATS),
        )  # fmt: skip
    return format

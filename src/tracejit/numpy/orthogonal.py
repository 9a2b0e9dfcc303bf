"""numpy.linalg: eigenvalues, singular values, QR, and what is made of them.

Results are NumPy's, signs of vectors included. Where NumPy raises LinAlgError for a decomposition
that does not converge (NaN among the elements), there is NaN. Derivatives at repeated values:
docs/numerics.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tracejit.errors import ArgumentError, ShapeError, UnsupportedError
from tracejit.ir.types import finfo
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import Array, ArrayLike, fault, value
from tracejit.numpy.contraction import matmul
from tracejit.numpy.promotion import quotient_dtype
from tracejit.numpy.reductions import max as max_over
from tracejit.numpy.reductions import sum as sum_over
from tracejit.numpy.shaping import broadcast_to, concatenate, expand_dims, matrix_transpose
from tracejit.ops import eigen
from tracejit.ops import orthogonal as ops
from tracejit.trace.tracer import bind

__all__ = [
    "eig", "eigh", "eigvals", "eigvalsh", "lstsq", "matrix_rank", "pinv", "qr", "svd", "svdvals",
]  # fmt: skip


class EighResult(NamedTuple):
    """Eigenvalues, ascending, and eigenvectors: column i belongs to value i."""

    eigenvalues: Array
    eigenvectors: Array


class SVDResult(NamedTuple):
    """The factors of u @ diag(s) @ vh."""

    U: Array
    S: Array
    Vh: Array


class QRResult(NamedTuple):
    """The factors of q @ r."""

    Q: Array
    R: Array


def floats(x: ArrayLike) -> Array:
    """x in floats or complex numbers; integers of any size in the default floats."""
    x = value(x)
    return value(x, quotient_dtype(x))


def matrices(x: ArrayLike, name: str) -> Array:
    """Matrices of floats in the last two axes."""
    x = floats(x)
    if x.ndim < 2:
        raise fault(ShapeError, f"{name} takes matrices in the last two axes, got shape {x.shape}")
    return x


def square(x: ArrayLike, name: str) -> Array:
    """Square matrices of floats in the last two axes."""
    x = floats(x)
    if x.ndim < 2 or x.shape[-1] != x.shape[-2]:
        raise fault(
            ShapeError, f"{name} takes square matrices in the last two axes, got shape {x.shape}"
        )
    return x


def adjoint(x: Array) -> Array:
    """The conjugates of the transposes of matrices."""
    return ufuncs.conjugate(matrix_transpose(x))


def squared_size(x: Array) -> Array:
    """x conj(x), a real number."""
    if not np.issubdtype(x.dtype, np.complexfloating):
        return ufuncs.square(x)
    return ufuncs.add(ufuncs.square(x.real), ufuncs.square(x.imag))


# Eigenvalues


def hermitian(x: Array) -> Array:
    """The Hermitian part (symmetric, if real): what is above the diagonal counts as much as what
    is below."""
    return ufuncs.multiply(ufuncs.add(x, adjoint(x)), 0.5)


def _hermitian(a: ArrayLike, name: str, uplo: str) -> Array:
    if str(uplo).upper() not in ("L", "U"):
        raise fault(ArgumentError, f"{name}: UPLO is 'L' or 'U', not {uplo!r}")
    return hermitian(square(a, name))


def eigh(a: ArrayLike, UPLO: str = "L") -> EighResult:
    """Eigenvalues, ascending, and eigenvectors of the Hermitian part of a. For such a UPLO, the
    triangle that NumPy reads, makes no difference; it is the derivative that needs both.
    """
    return EighResult(*bind(ops.eigh, _hermitian(a, "eigh", UPLO), vectors=True))


def eigvalsh(a: ArrayLike, UPLO: str = "L") -> Array:
    """The eigenvalues of the Hermitian part of a, ascending."""
    return _first(bind(ops.eigh, _hermitian(a, "eigvalsh", UPLO), vectors=False))


def _first(results: Any) -> Array:
    (y,) = results
    return y


class EigResult(NamedTuple):
    """Eigenvalues, and eigenvectors: column i belongs to value i."""

    eigenvalues: Array
    eigenvectors: Array


def eig(a: ArrayLike) -> EigResult:
    """Eigenvalues and eigenvectors of any square matrices: always complex, since whether they are
    real depends on the numbers."""
    return EigResult(*bind(eigen.eig, square(a, "eig"), vectors=True))


def eigvals(a: ArrayLike) -> Array:
    """The eigenvalues of any square matrices: always complex."""
    return _first(bind(eigen.eig, square(a, "eigvals"), vectors=False))


# Singular values


def svd(
    a: ArrayLike, full_matrices: bool = True, compute_uv: bool = True, hermitian: bool = False
) -> Any:
    """u, s, vh with a = u @ diag(s) @ vh and s descending, or s alone. Derivatives of the vectors
    need full_matrices=False, unless a is square. `hermitian` makes no difference to what it is.
    """
    x = matrices(a, "svd")
    if not compute_uv:
        return svdvals(x)
    m, n = x.shape[-2:]
    u, s, vh = bind(ops.svd, x, vectors=True, full=bool(full_matrices) and 0 < m != n > 0)
    if full_matrices and 0 in (m, n):
        u, vh = (broadcast_to(np.eye(k, dtype=x.dtype), (*x.shape[:-2], k, k)) for k in (m, n))
    return SVDResult(u, s, vh)


def svdvals(x: ArrayLike, /) -> Array:
    """The singular values, descending."""
    return _first(bind(ops.svd, matrices(x, "svdvals"), vectors=False, full=False))


def qr(a: ArrayLike, mode: str = "reduced") -> Any:
    """q, r with a = q @ r, or r alone (mode "r"); "complete" for matrices no taller than wide.

    Of a wide matrix q and the first columns of r come from its first columns.
    """
    x = matrices(a, "qr")
    m, n = x.shape[-2:]
    if mode not in ("reduced", "complete", "r") or (mode == "complete" and m > n):
        raise fault(
            UnsupportedError, f"qr of {m} x {n} matrices with mode={mode!r} is not there",
            "modes are 'reduced' and 'r', and 'complete' for matrices no taller than wide",
        )  # fmt: skip
    q, r = bind(ops.qr, x[..., :m])
    if n > m:
        r = concatenate([r, matmul(adjoint(q), x[..., m:])], axis=-1)
    return r if mode == "r" else QRResult(q, r)


# Made of them


def pinv(a: ArrayLike, rcond: Any = None, hermitian: bool = False, *, rtol: Any = None) -> Array:
    """The Moore-Penrose inverse. Singular values up to rcond (1e-15; a number that is known) times
    the largest count as 0; the derivative is the one for matrices of the same rank.
    """
    given = rtol if rcond is None else rcond
    try:
        limit = 1e-15 if given is None else float(given)
    except TypeError:
        raise fault(ArgumentError, f"pinv: rcond is a known number, not {given!r}") from None
    return bind(ops.pinv, matrices(a, "pinv"), rcond=limit)


def _rank_limit(s: Array, shape: tuple[int, ...]) -> Array:
    """What NumPy counts as 0 among singular values."""
    return max_over(s, -1) * (max(shape[-2:]) * float(finfo(s.dtype).eps))


def matrix_rank(
    A: ArrayLike, tol: ArrayLike = None, hermitian: bool = False, *, rtol: ArrayLike = None
) -> Array:
    """How many singular values are above tol, or above rtol times the largest."""
    x = floats(A)
    if x.ndim < 2:
        return value(ufuncs.greater(max_over(ufuncs.absolute(x), initial=0), 0), np.dtype(int))
    s = svdvals(x)
    if not s.shape[-1]:
        return sum_over(value(ufuncs.greater(s, 0), np.dtype(int)), -1)
    if tol is None:
        tol = _rank_limit(s, x.shape) if rtol is None else max_over(s, -1) * value(rtol)
    above = ufuncs.greater(s, expand_dims(value(tol), -1))
    return sum_over(value(above, np.dtype(int)), -1)


def lstsq(a: ArrayLike, b: ArrayLike, rcond: float | None = None) -> tuple[Array, ...]:
    """x of least length among those that minimise |b - a x|, the sums of squares of what remains,
    the rank of a, its singular values.

    rcond: as in `pinv`; None is eps times the larger side of a. Sums come for every a with more
    rows than columns, while NumPy has none where the rank is less: a rank is traced, a shape not.
    """
    x, y = matrices(a, "lstsq"), floats(b)
    if x.ndim != 2 or y.ndim not in (1, 2) or y.shape[0] != x.shape[0]:
        raise fault(ShapeError, f"lstsq: shapes {x.shape} and {y.shape} do not fit")
    m, n = x.shape
    limit = max(m, n) * float(finfo(x.dtype).eps) if rcond is None else float(rcond)
    solution = matmul(pinv(x, max(limit, 0.0)), y)
    s = svdvals(x)
    counts = ufuncs.greater(s, max_over(s, -1, initial=0) * limit)
    rank = sum_over(value(counts, np.dtype("int32")), -1, dtype=np.int32)
    squares = squared_size(ufuncs.subtract(y, matmul(x, solution)))
    remains = sum_over(squares, 0, keepdims=y.ndim == 1)
    return solution, remains if m > n else remains[:0], rank, s

"""Factors with orthonormal columns, of the matrices in the last two axes of a stack.

    eigh(x)     w, v        x = v diag(w) v*,  w ascending;  only the lower triangle of x is read
    svd(x)      u, s, v*    x = u diag(s) v*,  s descending
    qr(x)       q, r        x = q r,  for matrices with at least as many rows as columns
    pinv(x)     y           the Moore-Penrose inverse, by svd

Derivatives, where m* is the conjugate of the transpose, d is v* dx v, p is u* dx v, and p = a + b
its Hermitian and skew part (of real matrices the symmetric and the skew one):

    dw = Re diag(d), dv = v (f . d)                with f_ij = 1 / (w_j - w_i)
    ds = Re diag(p), du = u k + (dx v - u p) / s   with k_ij = a_ij/(s_j - s_i) + b_ij/(s_j + s_i),
                     dv = v k + (dx* u - v p*) / s with - instead of that +
    q* dq = o,       dr = (m - o) r                with m = q* dx r^-1,
                                                   o = low(m) - low(m)* + i Im diag(m)
    dy = -y dx y + y y* dx* (1 - x y) + (1 - y x) dx* y* y

Where the values repeat (or are 0), the vectors are not unique, and do not depend on x smoothly:
what would be divided by 0 counts as 0. So nothing is inf or NaN there, and what does not turn with
the vectors (sums over functions of the values, u v* of svd) has its derivative. The skew part of p
is divided by a sum, which the gradient of the nuclear norm needs at repeated values. See the Note.

Machine code cannot raise: a decomposition that does not converge is NaN. The reference computes
the values alone as beside vectors, so that a value does not depend on whether it is differentiated;
machine code takes LAPACK's faster way.

Note: matrix functions. y = v g(w) v* has a derivative at repeated values, but none that passes
through (w, v): dy would be g'(w) dx there, and off the diagonal of a block of equal values neither
dw nor dv knows g'. By the convention above that part is 0.
The formulas: Giles, An extended collection of matrix derivative results (2008); for pinv Golub and
Pereyra (1973).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import DTypeError, MissingRuleError, ShapeError
from tracejit.ir.atoms import Atom, Literal, is_zero, ones, zero
from tracejit.ir.current import current
from tracejit.ir.primitive import Joint, Primitive
from tracejit.ir.types import INEXACT, PART_OF, ArrayType, array_type, finfo, type_of
from tracejit.ops.elementwise import abs, convert, eq, gt, le, neg, select
from tracejit.ops.linalg import (
    adjoint,
    conjugate,
    each_matrix,
    hermitian,
    identity,
    is_empty,
    matrix_product,
    matrix_transpose,
    order_of,
    part_where,
    real_part,
    routine,
    triangular_solve,
)
from tracejit.ops.reduction import reduce_max
from tracejit.ops.structure import broadcast, reduce_sum

#: Values count as equal that differ by so many roundings of the largest, times the order.
TIE = 10.0

# Parts of the rules


def _matrix(name: str, x: ArrayType) -> tuple[int, int]:
    """The rows and columns of matrices of floats or complex numbers."""
    if x.dtype not in INEXACT:
        raise DTypeError(f"{name} does not accept {x}", hint="convert it to floats with astype")
    if len(x.shape) < 2:
        raise ShapeError(f"{name} takes matrices in the last two axes, got {x}")
    return x.shape[-2], x.shape[-1]


def _diagonal(x: Atom) -> Atom:
    """The real part of the diagonal."""
    return real_part(reduce_sum(part_where(x, eq), axes=(x.ndim - 1,)))


def _scaled(x: Atom, factors: Atom) -> Atom:
    """x times real factors."""
    return x * (convert(factors, dtype=x.dtype) if x.type.is_complex else factors)


def _along(w: Atom, axis: int) -> Atom:
    """Square matrices of which each row (axis 1), or each column (axis 0), is w."""
    *stack, n = w.shape
    kept = (*range(len(stack)), len(stack) + axis)
    return broadcast(w, shape=(*stack, n, n), dims=kept)


def _columns(w: Atom, rows: int) -> Atom:
    """So many rows, each of them w."""
    *stack, n = w.shape
    return broadcast(w, shape=(*stack, rows, n), dims=(*range(len(stack)), len(stack) + 1))


def _inverse(d: Atom, values: Atom) -> Atom:
    """1 / d, and 0 where d is within rounding of 0, as seen from the values d is made of."""
    if not d.type.size:
        return d
    n = values.shape[-1]
    eps = float(finfo(values.dtype).eps)
    largest = reduce_max(abs(values), axes=(values.ndim - 1,))
    tie = largest * Literal(TIE * n * eps, largest.type)
    tie = broadcast(tie, shape=d.shape, dims=tuple(range(values.ndim - 1)))
    near = le(abs(d), tie)
    return select(near, zero(d.type), 1.0 / select(near, ones(d.type), d))


def inverse_differences(w: Atom) -> Atom:
    """1 / (w_j - w_i); 0 where they are equal."""
    return _inverse(_along(w, 1) - _along(w, 0), w)


def _evaluated(
    typing: Callable[..., tuple[ArrayType, ...]], fun: Callable[..., tuple[Any, ...]]
) -> Callable[..., tuple[Any, ...]]:
    """A function of one matrix and parameters, on stacks; nothing of what is empty."""

    def evaluate(x: Any, **params: Any) -> tuple[Any, ...]:
        if is_empty(x):
            return tuple(np.zeros(t.shape, t.dtype) for t in typing(type_of(x), **params))
        return each_matrix(lambda a: fun(a, **params), x)

    return evaluate


def _converged(info: int, values: Any, *results: Any) -> tuple[Any, ...]:
    """The results, all NaN unless LAPACK found values and none of them is NaN."""
    if info == 0 and not np.isnan(values).any():
        return results
    return tuple(np.full_like(y, np.nan) for y in results)


def _of_stack(primitive: str) -> Callable[..., Any]:
    return lambda size, inputs, batched, **params: Primitive.registry[primitive].bind(
        *inputs, **params
    )


# eigh


def _eigh_typing(x: ArrayType, *, vectors: bool) -> tuple[ArrayType, ...]:
    order_of("eigh", x)
    values = array_type(PART_OF.get(x.dtype, x.dtype), x.shape[:-1])
    return (values, x) if vectors else (values,)


def _eigh_matrix(x: Any, *, vectors: bool) -> tuple[Any, ...]:
    name = "heevd" if x.dtype.kind == "c" else "syevd"
    w, v, info = routine("lapack", name, x.dtype)(x, lower=1)
    return _converged(info, w, w, v)[: 1 + vectors]


def _eigh_jvp(primals: Any, tangents: Any, *, vectors: bool) -> Any:
    (x,), (t,) = primals, tangents
    w, v = eigh(x, vectors=True)
    if is_zero(t):
        outs = (w, v)[: 1 + vectors]
        return outs, tuple(zero(y.type) for y in outs)
    half = matrix_product(hermitian(t), v)
    if not vectors:
        return (w,), (real_part(reduce_sum(conjugate(v) * half, axes=(v.ndim - 2,))),)
    d = matrix_product(adjoint(v), half)
    return (w, v), (_diagonal(d), matrix_product(v, _scaled(d, inverse_differences(w))))


eigh: Primitive = Primitive(
    "eigh", typing=_eigh_typing, evaluate=_evaluated(_eigh_typing, _eigh_matrix),
    jvp=Joint(_eigh_jvp), single=False, defaults={"vectors": True}, batch=_of_stack("eigh"),
    doc="Eigenvalues, ascending, and with `vectors` eigenvectors (columns) of symmetric or "
    "Hermitian matrices.",
)  # fmt: skip

# svd


def _svd_typing(x: ArrayType, *, vectors: bool, full: bool) -> tuple[ArrayType, ...]:
    m, n = _matrix("svd", x)
    k, stack = min(m, n), x.shape[:-2]
    shapes = ((m, m if full else k), (k,), (n if full else k, n))
    types = [array_type(x.dtype, (*stack, *s)) for s in shapes]
    types[1] = types[1].with_dtype(PART_OF.get(x.dtype, x.dtype))
    return tuple(types if vectors else types[1:2])


def _svd_matrix(x: Any, *, vectors: bool, full: bool) -> tuple[Any, ...]:
    gesdd = routine("lapack", "gesdd", x.dtype)
    u, s, vh, info = gesdd(x, full_matrices=int(full))
    results = _converged(info, s, u, s, vh)
    return results if vectors else results[1:2]


def _svd_jvp(primals: Any, tangents: Any, *, vectors: bool, full: bool) -> Any:
    (x,), (t,) = primals, tangents
    m, n = x.shape[-2:]
    if is_zero(t):
        outs = svd(x, vectors=vectors, full=full)
        return outs, tuple(zero(y.type) for y in outs)
    if vectors and full and m != n:
        raise MissingRuleError(
            f"svd with full_matrices=True has no derivative for {m} x {n} matrices: the vectors "
            "beyond the singular values are any that are orthogonal to the others",
            where=current().provenance,
            hint="np.linalg.svd(x, full_matrices=False)",
        )
    u, s, vh = svd(x, vectors=True, full=False)
    v = adjoint(vh)
    onto_v = matrix_product(t, v)
    p = matrix_product(adjoint(u), onto_v)
    if not vectors:
        return (s,), (_diagonal(p),)
    du, dvh = _turns(s, p, u, vh)
    if m > n:
        du = du + _scaled(onto_v - matrix_product(u, p), _columns(_inverse(s, s), m))
    if n > m:
        beyond = matrix_product(adjoint(t), u) - matrix_product(v, adjoint(p))
        dvh = dvh + adjoint(_scaled(beyond, _columns(_inverse(s, s), n)))
    return (u, s, vh), (du, _diagonal(p), dvh)


def _turns(s: Atom, p: Atom, u: Atom, vh: Atom) -> tuple[Atom, Atom]:
    """How the singular vectors turn among each other: the changes of u and of v'."""
    symmetric = _scaled((p + adjoint(p)) * 0.5, inverse_differences(s))
    skew = _scaled((p - adjoint(p)) * 0.5, _inverse(_along(s, 1) + _along(s, 0), s))
    return matrix_product(u, symmetric + skew), neg(matrix_product(symmetric - skew, vh))


svd: Primitive = Primitive(
    "svd", typing=_svd_typing, evaluate=_evaluated(_svd_typing, _svd_matrix), jvp=Joint(_svd_jvp),
    single=False, defaults={"vectors": True, "full": False}, batch=_of_stack("svd"),
    doc="u, the singular values, descending, and v*; without `vectors` the values alone. `full`: "
    "u and v* are square.",
)  # fmt: skip

# qr


def _qr_typing(x: ArrayType) -> tuple[ArrayType, ...]:
    m, n = _matrix("qr", x)
    if m < n:
        raise ShapeError(f"qr takes matrices with at least as many rows as columns, got {x}")
    return (x, array_type(x.dtype, (*x.shape[:-2], n, n)))


def _qr_matrix(x: Any) -> tuple[Any, ...]:
    factors, tau, _, _ = routine("lapack", "geqrf", x.dtype)(x)
    name = "ungqr" if x.dtype.kind == "c" else "orgqr"
    q, _, _ = routine("lapack", name, x.dtype)(factors, tau)
    return q, np.triu(factors[: x.shape[1]])


def _qr_jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom, ...]:
    (t,), (q, r) = tangents, outs
    if is_zero(t):
        return zero(q.type), zero(r.type)
    y = triangular_solve(r, matrix_transpose(t), lower=False, transposed=True, unit=False)
    y = matrix_transpose(y)
    m = matrix_product(adjoint(q), y)
    low = part_where(m, gt)
    rest = m - (low - adjoint(low))
    if m.type.is_complex:  # the diagonal of r is real
        diagonal = part_where(m, eq)
        rest = rest - (diagonal - conjugate(diagonal)) * 0.5
    return y - matrix_product(q, rest), matrix_product(rest, r)


qr: Primitive = Primitive(
    "qr", typing=_qr_typing, evaluate=_evaluated(_qr_typing, _qr_matrix), jvp=_qr_jvp,
    single=False, batch=_of_stack("qr"),
    doc="Orthonormal columns q, and upper triangles r; matrices with linearly dependent columns "
    "have no derivative.",
)  # fmt: skip

# pinv: what fold makes of it


def pinv_by_svd(x: Atom, *, rcond: float) -> Atom:
    """v diag(1 / s) u*, without the s that are not above rcond times the largest."""
    if not x.type.size:
        return zero(_pinv_typing(x.type, rcond=rcond)[0])
    u, s, vh = svd(x, vectors=True, full=False)
    largest = reduce_max(s, axes=(s.ndim - 1,)) * Literal(rcond, s.type.with_shape(s.shape[:-1]))
    limit = broadcast(largest, shape=s.shape, dims=tuple(range(s.ndim - 1)))
    small = le(s, limit)
    inverses = select(small, zero(s.type), 1.0 / select(small, ones(s.type), s))
    return matrix_product(_scaled(adjoint(vh), _columns(inverses, x.shape[-1])), adjoint(u))


def _pinv_typing(x: ArrayType, *, rcond: float) -> tuple[ArrayType, ...]:
    m, n = _matrix("pinv", x)
    return (x.with_shape((*x.shape[:-2], n, m)),)


def _pinv_matrix(x: Any, *, rcond: float) -> tuple[Any]:
    u, s, vh = _svd_matrix(x, vectors=True, full=False)
    with np.errstate(all="ignore"):
        inverses = np.where(s <= s.dtype.type(rcond) * s[0], 0, 1 / s).astype(s.dtype)
    return ((vh.conj().T * inverses) @ u.conj().T,)


def _pinv_jvp(primals: Any, tangents: Any, outs: Any, *, rcond: float) -> tuple[Atom]:
    """The formula of Golub and Pereyra, where the rank does not change."""
    (x,), (t,), (y,) = primals, tangents, outs
    if is_zero(t):
        return (zero(y.type),)
    times, turned = matrix_product, adjoint
    m, n = x.shape[-2:]
    change = neg(times(y, times(t, y)))
    yx, xy = times(y, x), times(x, y)
    rows = times(times(y, turned(y)), times(turned(t), identity(xy.type) - xy))
    columns = times(times(identity(yx.type) - yx, turned(t)), times(turned(y), y))
    return (change + rows + columns,)


pinv: Primitive = Primitive(
    "pinv", typing=_pinv_typing, jvp=_pinv_jvp, batch=_of_stack("pinv"),
    evaluate=lambda x, *, rcond: _evaluated(_pinv_typing, _pinv_matrix)(x, rcond=rcond)[0],
    doc="The Moore-Penrose inverse; singular values up to `rcond` times the largest count as 0.",
)  # fmt: skip

"""Eigenvalues and eigenvectors of any square matrices, in the last two axes of a stack.

    eig(x)      w, v     x v = v diag(w): complex, in LAPACK's order

Derivatives, with m = v^-1 dx v and f_ij = 1 / (w_j - w_i):

    dw = diag(m),  dv = v (f . m), less what would change the length of a column or turn it

since LAPACK gives each vector length 1 and makes its largest component real (for the first part
Boeddeker et al., On the computation of complex-valued gradients, 2017). Values that come together
have no derivative there; what would be divided by 0 counts as 0. What does not converge is NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.atoms import Atom, is_zero, zero
from tracejit.ir.primitive import Joint, Primitive
from tracejit.ir.types import COMPLEX_OF, ArrayType, array_type
from tracejit.ops.complex import complex, conj, imag, real
from tracejit.ops.elementwise import abs, convert, eq, select
from tracejit.ops.linalg import each_matrix, is_empty, matrix_product, order_of, part_where, solve
from tracejit.ops.orthogonal import inverse_differences
from tracejit.ops.reduction import reduce_max
from tracejit.ops.structure import broadcast, reduce_sum


def _typing(x: ArrayType, *, vectors: bool) -> tuple[ArrayType, ...]:
    order_of("eig", x)
    dtype = COMPLEX_OF.get(x.dtype, x.dtype)
    values = array_type(dtype, x.shape[:-1])
    return (values, x.with_dtype(dtype)) if vectors else (values,)


def _value(x: Any, *, vectors: bool) -> tuple[Any, ...]:
    types = _typing(ArrayType(x.dtype, x.shape), vectors=vectors)
    if is_empty(x):
        return tuple(np.zeros(t.shape, t.dtype) for t in types)
    found = each_matrix(_of_matrix, x)[: 1 + vectors]
    return tuple(y.astype(t.dtype) for y, t in zip(found, types, strict=True))


def _of_matrix(x: Any) -> tuple[Any, Any]:
    try:
        return tuple(np.linalg.eig(x))  # type: ignore[return-value]
    except np.linalg.LinAlgError:  # also of NaN and infinities
        return np.full(len(x), np.nan, x.dtype), np.full_like(x, np.nan)


def _jvp(primals: Any, tangents: Any, *, vectors: bool) -> Any:
    (x,), (t,) = primals, tangents
    w, v = eig(x, vectors=True)
    outs = (w, v)[: 1 + vectors]
    if is_zero(t):
        return outs, tuple(zero(y.type) for y in outs)
    t = t if t.type.is_complex else convert(t, dtype=v.dtype)
    m = solve(v, matrix_product(t, v), transposed=False)
    dw = reduce_sum(part_where(m, eq), axes=(m.ndim - 1,))
    if not vectors:
        return outs, (dw,)
    dv = matrix_product(v, inverse_differences(w) * m)
    return outs, (dw, dv - v * _column_rates(v, dv))


def _column_rates(v: Atom, dv: Atom) -> Atom:
    """What dv says of the logarithm of each column's length, and i times of its angle: the turn of
    its largest component, which has to stay real."""
    rows = (v.ndim - 2,)
    length = reduce_sum(real(conj(v) * dv), axes=rows)
    size = abs(v)
    largest = eq(size, _spread(reduce_max(size, axes=rows), v))
    none = zero(size.type)
    shares = reduce_sum(convert(largest, dtype=size.dtype), axes=rows)
    turns = reduce_sum(select(largest, imag(dv / v), none), axes=rows) / shares
    return complex(_spread(length, v), _spread(turns, v))


def _spread(x: Atom, like: Atom) -> Atom:
    """One number for each column, in all rows."""
    kept = (*range(like.ndim - 2), like.ndim - 1)
    return broadcast(x, shape=like.shape, dims=kept)


eig: Primitive = Primitive(
    "eig", typing=_typing, evaluate=_value, jvp=Joint(_jvp), single=False,
    defaults={"vectors": True},
    batch=lambda size, inputs, batched, *, vectors: eig.bind(inputs[0], vectors=vectors),
    doc="Eigenvalues, and with `vectors` eigenvectors (columns), of any matrices; complex.",
)  # fmt: skip

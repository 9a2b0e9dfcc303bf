"""Triangular systems and factorisations, of the matrices in the last two axes of a stack.

    cholesky(x)              the lower l with  l l* = x;  only the lower triangle of x is read
    lu(x)                    unit lower l and upper u, in one matrix, with  l u = x[permutation]
    triangular_solve(a, b)   x with  a x = b  or  a' x = b;  only one triangle of a is read
    solve(a, b)              the same for any a, by lu
    log_abs_det(a)           log |det a|, by lu

Their derivatives, where m' is the transpose, m* its conjugate, `low` takes what is below the
diagonal, and `half` the lower triangle with half of the diagonal:

    l l* = x        dl = l half(l^-1 dx l*^-1)
    l u = x[p]      dl = l low(m),  du = (m - low(m)) u     with  m = l^-1 dx[p] u^-1
    a x = b         dx = a^-1 (db - da x)
    log |det a|     Re tr(a^-1 da)

The last two are not taken through the factors, only computed with them: one factorisation serves a
value and its gradient. Machine code cannot raise: where x is not positive definite the lower
triangle of its factor is NaN, and a system with a singular matrix has what division by 0 gives.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tracejit.errors import DTypeError, ShapeError
from tracejit.ir.atoms import Atom, is_zero, zero
from tracejit.ir.primitive import Joint, Primitive
from tracejit.ir.types import INEXACT, INT32, PART_OF, ArrayType, array_type, tangent_type
from tracejit.ops.complex import conj, real
from tracejit.ops.contraction import dot
from tracejit.ops.elementwise import abs, convert, eq, ge, gt, le, log, lt, neg, select
from tracejit.ops.indexing import gather, scatter_add
from tracejit.ops.structure import (
    Cotangents,
    batch_all,
    iota,
    move_axis,
    permute,
    reduce_sum,
    reshape,
)

# Parts of matrices, as atoms


def matrix_transpose(x: Atom) -> Atom:
    """The last two axes exchanged."""
    return permute(x, order=(*range(x.ndim - 2), x.ndim - 1, x.ndim - 2))


def adjoint(x: Atom) -> Atom:
    """The conjugates of transposes."""
    return matrix_transpose(conjugate(x))


def conjugate(x: Atom) -> Atom:
    """The conjugate; real numbers themselves."""
    return conj(x) if x.type.is_complex else x


def real_part(x: Atom) -> Atom:
    """The real part; real numbers themselves."""
    return real(x) if x.type.is_complex else x


def hermitian(x: Atom) -> Atom:
    """The Hermitian matrices (symmetric, if real) of which x has the lower triangles."""
    whole = part_where(x, ge) + adjoint(part_where(x, gt))
    if not x.type.is_complex:
        return whole
    diagonal = part_where(x, eq)
    return whole - (diagonal - conj(diagonal)) * 0.5


def matrix_product(x: Atom, y: Atom) -> Atom:
    """The products of two stacks of matrices."""
    stack = tuple(range(x.ndim - 2))
    return dot(x, y, contract=((x.ndim - 1,), (x.ndim - 2,)), batch=(stack, stack))


def _where(x: ArrayType, compare: Callable[..., Atom]) -> Atom:
    """Whether the row and the column compare like this, for each place in matrices like x."""
    row, column = (iota(dtype=INT32, shape=x.shape, axis=len(x.shape) - k) for k in (2, 1))
    return compare(row, column)


def part_where(x: Atom, compare: Callable[..., Atom]) -> Atom:
    """x where the row and the column compare like this, else 0."""
    return select(_where(x.type, compare), x, zero(x.type))


def _half(x: Atom) -> Atom:
    """The lower triangle, the diagonal times 1/2."""
    return part_where(x, gt) + part_where(x, eq) * 0.5


def identity(type: ArrayType) -> Atom:
    """A stack of identity matrices."""
    return convert(_where(type, eq), dtype=type.dtype)


# Values


@cache
def _library(name: str) -> Any:
    return importlib.import_module(f"scipy.linalg.{name}")


def routine(library: str, name: str, dtype: np.dtype) -> Any:
    """The LAPACK or BLAS function for a dtype."""
    return getattr(_library(library), {"f": "s", "d": "d", "F": "c", "D": "z"}[dtype.char] + name)


def each_matrix(fun: Callable[..., Any], *stacks: Any) -> Any:
    """A function of matrices on each member of stacks; a tuple of stacks."""
    stack = np.shape(stacks[0])[:-2]
    if 0 in np.shape(stacks[0]) or 0 in np.shape(stacks[-1]):
        stacks = tuple(np.ones((*stack, *np.shape(x)[-2:]), np.asarray(x).dtype) for x in stacks)
    results = [fun(*[x[at] for x in stacks]) for at in np.ndindex(stack)]
    return tuple(
        np.ascontiguousarray(np.reshape(parts, (*stack, *np.shape(parts[0]))))
        for parts in zip(*results, strict=True)
    )


def order_of(name: str, x: ArrayType) -> int:
    """The order of matrices that have to be square, of floats or complex numbers."""
    if x.dtype not in INEXACT:
        raise DTypeError(f"{name} does not accept {x}", hint="convert it to floats with astype")
    if len(x.shape) < 2 or x.shape[-1] != x.shape[-2]:
        raise ShapeError(f"{name} takes square matrices in the last two axes, got {x}")
    return x.shape[-1]


def _system(name: str, a: ArrayType, b: ArrayType) -> tuple[ArrayType, ...]:
    """The type of x in a x = b."""
    n = order_of(name, a)
    if a.dtype != b.dtype:
        raise DTypeError(f"{name}: operands differ in dtype, {a} and {b}")
    if len(b.shape) != len(a.shape) or b.shape[:-1] != (*a.shape[:-2], n):
        raise ShapeError(f"{name}: {a} and {b} do not fit: for each matrix, b has {n} rows")
    return (b,)


def is_empty(*arrays: Any) -> bool:
    """Whether one of the arrays has no elements."""
    return any(np.size(x) == 0 for x in arrays)


# triangular_solve


def _triangular_value(a: Any, b: Any, *, lower: bool, transposed: bool, unit: bool) -> Any:
    if is_empty(a, b):
        return np.zeros_like(b)
    trsm = routine("blas", "trsm", b.dtype)
    flags = {"lower": lower, "trans_a": transposed, "diag": unit}
    return each_matrix(lambda a, b: (trsm(1.0, a, b, **flags),), a, b)[0]


#: How rows and columns compare in the triangle that is read, by `lower` and `unit`.
_INSIDE = {(True, False): ge, (True, True): gt, (False, False): le, (False, True): lt}


def _triangular_jvp(
    primals: Any, tangents: Any, outs: Any, *, lower: bool, transposed: bool, unit: bool
) -> tuple[Atom]:
    (a, _), (s, t), (x,) = primals, tangents, outs
    if not is_zero(s):
        part = part_where(s, _INSIDE[lower, unit])
        change = neg(matrix_product(matrix_transpose(part) if transposed else part, x))
        t = change if is_zero(t) else t + change
    if is_zero(t):
        return (zero(x.type),)
    return (triangular_solve(a, t, lower=lower, transposed=transposed, unit=unit),)


def _triangular_transpose(
    cts: Any, inputs: Any, *, lower: bool, transposed: bool, unit: bool
) -> Cotangents:
    a = inputs[0]
    ct = triangular_solve(a, cts[0], lower=lower, transposed=not transposed, unit=unit)
    return (None, ct)


def _system_batch(name: str) -> Callable[..., Any]:
    def rule(size: int, inputs: Any, batched: Any, **params: Any) -> Any:
        """A batch of b alone is more columns; of a, more matrices."""
        primitive = Primitive.registry[name]
        a, b = inputs
        if batched[0]:
            return primitive.bind(*batch_all(size, inputs, batched), **params)
        b = move_axis(b, 0, b.ndim - 1)
        x = primitive(a, reshape(b, shape=(*b.shape[:-2], b.shape[-2] * size)), **params)
        return (move_axis(reshape(x, shape=b.shape), b.ndim - 1, 0),)

    return rule


triangular_solve: Primitive = Primitive(
    "triangular_solve", jvp=_triangular_jvp, transpose=_triangular_transpose,
    typing=lambda a, b, **params: _system("triangular_solve", a, b),
    evaluate=_triangular_value, batch=_system_batch("triangular_solve"),
    doc="x with a x = b, or a' x = b if `transposed`; a is `lower` or upper, `unit`: 1 on its "
    "diagonal, which is not read then.",
)  # fmt: skip

# cholesky


def _cholesky_matrix(x: Any) -> tuple[Any]:
    factor, info = routine("lapack", "potrf", x.dtype)(x, lower=1, clean=1)
    bad = info != 0 or np.isnan(factor).any()
    return (np.tril(np.full_like(factor, np.nan)) if bad else factor,)


def _cholesky_value(x: Any) -> Any:
    return np.zeros_like(x) if is_empty(x) else each_matrix(_cholesky_matrix, x)[0]


def _cholesky_typing(x: ArrayType) -> tuple[ArrayType, ...]:
    order_of("cholesky", x)
    return (x,)


def _cholesky_jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom]:
    (t,), (low,) = tangents, outs
    if is_zero(t):
        return (zero(low.type),)
    y = triangular_solve(low, hermitian(t), lower=True, transposed=False, unit=False)
    y = triangular_solve(low, adjoint(y), lower=True, transposed=False, unit=False)
    return (matrix_product(low, _half(y)),)


cholesky: Primitive = Primitive(
    "cholesky", typing=_cholesky_typing, evaluate=_cholesky_value, jvp=_cholesky_jvp,
    batch=lambda size, inputs, batched: cholesky.bind(*inputs),
    doc="The lower factor of positive definite matrices; of others, NaN in the lower triangle.",
)  # fmt: skip

# lu


def _lu_typing(x: ArrayType) -> tuple[ArrayType, ...]:
    order_of("lu", x)
    rows = array_type(INT32, x.shape[:-1])
    return (x, rows, rows)


def _lu_matrix(x: Any) -> tuple[Any, Any, Any]:
    factors, pivots, _ = routine("lapack", "getrf", x.dtype)(x)
    permutation = np.arange(len(x), dtype=np.int32)
    for k, pivot in enumerate(pivots):
        permutation[[k, pivot]] = permutation[[pivot, k]]
    return factors, pivots.astype(np.int32), permutation


def _lu_value(x: Any) -> Any:
    if is_empty(x):
        rows = np.zeros(x.shape[:-1], np.int32)
        return np.zeros_like(x), rows, rows
    return each_matrix(_lu_matrix, x)


def _places(permutation: Atom) -> Atom:
    return reshape(permutation, shape=(*permutation.shape, 1))


def _rows(x: Atom, permutation: Atom) -> Atom:
    """The rows of matrices in another order."""
    stack = x.ndim - 2
    return gather(x, _places(permutation), axes=(stack,), batch=stack)


def _rows_back(y: Atom, permutation: Atom) -> Atom:
    """The x whose rows in that order are y."""
    stack = y.ndim - 2
    return scatter_add(zero(y.type), _places(permutation), y, axes=(stack,), batch=stack)


def _lu_jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom, ...]:
    (t,), (factors, pivots, permutation) = tangents, outs
    fixed = tuple(zero(tangent_type(y.type)) for y in (pivots, permutation))
    if is_zero(t):
        return (zero(factors.type), *fixed)
    m = triangular_solve(factors, _rows(t, permutation), lower=True, transposed=False, unit=True)
    m = triangular_solve(factors, matrix_transpose(m), lower=False, transposed=True, unit=False)
    m = matrix_transpose(m)
    low = part_where(m, gt)
    lower, upper = part_where(factors, gt), part_where(factors, le)
    change = low + matrix_product(lower, low) + matrix_product(m - low, upper)
    return (change, *fixed)


lu: Primitive = Primitive(
    "lu", typing=_lu_typing, evaluate=_lu_value, jvp=_lu_jvp, single=False,
    batch=lambda size, inputs, batched: lu.bind(*inputs),
    doc="Factors of square matrices in one (l below the diagonal, where it has 1), the row that "
    "each was exchanged with, and the rows in their new order. A pivot of 0 is divided by nothing.",
)  # fmt: skip

# solve and log_abs_det: what fold makes of them, and their derivatives


def solved(factors: Atom, permutation: Atom, b: Atom, transposed: bool) -> Atom:
    """x with a x = b, or a' x = b, from the factors of a."""

    def step(b: Atom, *, lower: bool) -> Atom:
        return triangular_solve(factors, b, lower=lower, transposed=transposed, unit=lower)

    if not transposed:
        return step(step(_rows(b, permutation), lower=True), lower=False)
    return _rows_back(step(step(b, lower=False), lower=True), permutation)


def _solve_value(a: Any, b: Any, *, transposed: bool) -> Any:
    if is_empty(a, b):
        return np.zeros_like(b)
    factors, _, permutation = _lu_value(a)
    order = permutation[..., None]
    if not transposed:
        b = np.take_along_axis(b, order, axis=-2)
    for lower in (not transposed, transposed):
        b = _triangular_value(factors, b, lower=lower, transposed=transposed, unit=lower)
    if transposed:
        b = np.take_along_axis(b, np.argsort(order, axis=-2), axis=-2)
    return b


def _solve_jvp(primals: Any, tangents: Any, *, transposed: bool) -> Any:
    (a, b), (s, t) = primals, tangents
    factors, _, permutation = lu(a)
    x = solved(factors, permutation, b, transposed)
    if not is_zero(s):
        change = neg(matrix_product(matrix_transpose(s) if transposed else s, x))
        t = change if is_zero(t) else t + change
    if is_zero(t):
        return (x,), (zero(x.type),)
    return (x,), (solved(factors, permutation, t, transposed),)


solve: Primitive = Primitive(
    "solve", jvp=Joint(_solve_jvp), evaluate=_solve_value, batch=_system_batch("solve"),
    typing=lambda a, b, *, transposed: _system("solve", a, b),
    transpose=lambda cts, inputs, *, transposed: (
        None, solve(inputs[0], cts[0], transposed=not transposed)
    ),
    doc="x with a x = b, or a' x = b if `transposed`.",
)  # fmt: skip


def log_of_diagonal(factors: Atom) -> Atom:
    """log |det a| from the factors of a."""
    diagonal = reduce_sum(part_where(factors, eq), axes=(factors.ndim - 1,))
    return reduce_sum(log(abs(diagonal)), axes=(factors.ndim - 2,))


def _log_abs_det_value(a: Any) -> Any:
    factors = _lu_value(a)[0]
    return np.sum(np.log(np.abs(np.diagonal(factors, axis1=-2, axis2=-1))), axis=-1)


def _log_abs_det_jvp(primals: Any, tangents: Any) -> Any:
    (a,), (t,) = primals, tangents
    factors, _, permutation = lu(a)
    y = log_of_diagonal(factors)
    if is_zero(t):
        return (y,), (zero(y.type),)
    slope = solved(factors, permutation, identity(a.type), transposed=True)
    return (y,), (real_part(reduce_sum(slope * t, axes=(a.ndim - 2, a.ndim - 1))),)


def _log_abs_det_typing(a: ArrayType) -> tuple[ArrayType, ...]:
    order_of("log_abs_det", a)
    return (array_type(PART_OF.get(a.dtype, a.dtype), a.shape[:-2]),)


log_abs_det: Primitive = Primitive(
    "log_abs_det", typing=_log_abs_det_typing, evaluate=_log_abs_det_value,
    jvp=Joint(_log_abs_det_jvp),
    batch=lambda size, inputs, batched: log_abs_det.bind(*inputs),
    doc="The logarithm of the size of the determinant; -inf for singular matrices.",
)  # fmt: skip

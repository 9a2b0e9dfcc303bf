"""The rule of the discrete Fourier transform: rows of complex numbers are transformed as a whole,
of lengths that there is code for; of others, by transforms of such lengths.

    n = a b, long       points as a matrix of a rows: transforms of columns, factors w^(j k),
                        transforms of rows, read by columns (Bailey, FFTs in external memory, 1990)
    with a large prime  a convolution with e^(i pi j^2 / n), by transforms of a power of 2
                        (Bluestein, 1970)
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from tracejit.ir.atoms import Atom, Literal, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Equation
from tracejit.ir.types import INT64, PART_OF
from tracejit.ops import complex as parts
from tracejit.ops import elementwise as ops
from tracejit.ops.fourier import fft
from tracejit.ops.linalg import matrix_transpose
from tracejit.ops.structure import (
    broadcast,
    concatenate,
    iota,
    pad,
    permute,
    reshape,
    reverse,
    slice,
)
from tracejit.passes.pairs.table import HELD, Value

#: Rows that there is code for have at most so many points, and no prime factor above this one.
LONGEST, PRIME = 1 << 13, 13


@cache
def radices_of(n: int) -> tuple[int, ...]:
    """Radices whose product is n, powers of 2 first; () where there is no code for such rows.

    As many fours as there can be, and an eight or a two for what is left of the twos.
    """
    if n == 1:
        return (1,)
    twos = (n & -n).bit_length() - 1
    rest, odd = n >> twos, list[int]()
    for prime in range(3, PRIME + 1, 2):
        while rest % prime == 0:
            odd.append(prime)
            rest //= prime
    radices = [4] * (twos // 2)
    if twos % 2:
        radices = [8, *radices[1:]] if radices else [2]
    return (*radices, *odd[::-1]) if rest == 1 and n <= LONGEST else ()


def _fourier(splitter: Any, eqn: Equation, values: list[Value]) -> list[Value]:
    x, kind, lengths = splitter.whole(eqn.inputs[0]), eqn.params["kind"], eqn.params["lengths"]
    if all(map(radices_of, lengths)):
        return [fft(x, kind=kind, lengths=lengths)]
    v = Var(x.type)
    with building() as builder:
        y = _by_axes(v, kind, lengths)
    program = builder.finish([v], [y])
    splitter.env[v] = values[0]
    splitter.run(program)
    return [splitter.env[y] if isinstance(y, Var) else splitter.value(y)]


def _by_axes(x: Atom, kind: str, lengths: tuple[int, ...]) -> Atom:
    """One axis after the other, each a complex transform."""
    n, inverse = lengths[-1], kind in ("ifft", "irfft")
    if kind == "rfft":
        x = parts.complex(x, zero(x.type))
    for i, length in enumerate(lengths[:-1]):
        axis = x.ndim - len(lengths) + i
        x = _turned(_row(_turned(x, axis), length, inverse), axis)
    if kind == "irfft":
        x = _mirrored(x, n)
    x = _row(x, n, inverse)
    if kind == "rfft":
        return _cut(x, 0, n // 2 + 1)
    return parts.real(x) if kind == "irfft" else x


def _turned(x: Atom, axis: int) -> Atom:
    """An axis exchanged with the last one."""
    order = list(range(x.ndim))
    order[axis], order[-1] = order[-1], order[axis]
    return permute(x, order=tuple(order))


def _row(x: Atom, n: int, inverse: bool) -> Atom:
    """A complex transform of the last axis, of any length."""
    if radices_of(n):
        return fft(x, kind="ifft" if inverse else "fft", lengths=(n,))
    if inverse:
        return parts.conj(_row(parts.conj(x), n, False)) * complex(1 / n)
    rows = _divisor(n)
    return _of_matrix(x, rows, n // rows) if rows > 1 else _convolved(x, n)


@cache
def _divisor(n: int) -> int:
    """The largest divisor with code, not above the root of n where it can be; 1 if the other factor
    would come to nothing."""
    found = [d for d in range(2, math.isqrt(n) + 1) if n % d == 0 and radices_of(d)]
    largest = max(found, default=1)
    return largest if _is_smooth(n) else 1


def _is_smooth(n: int) -> bool:
    for prime in range(2, PRIME + 1):
        while n % prime == 0:
            n //= prime
    return n == 1


def _of_matrix(x: Atom, rows: int, columns: int) -> Atom:
    """Point j is element (j // columns, j % columns)."""
    stack, n = x.shape[:-1], rows * columns
    x = reshape(x, shape=(*stack, rows, columns))
    x = matrix_transpose(_row(matrix_transpose(x), rows, False))
    last = x.ndim - 1
    k, j = (iota(dtype=INT64, shape=x.shape, axis=axis) for axis in (last - 1, last))
    x = x * _roots(ops.mul(k, j), n, x.dtype)
    x = matrix_transpose(_row(x, columns, False))
    return reshape(x, shape=(*stack, n))


def _roots(k: Atom, n: int, dtype: np.dtype) -> Atom:
    """e^(-2 pi i k / n) for integers k."""
    angle = ops.convert(k, dtype=PART_OF[dtype]) * (-2 * math.pi / n)
    return parts.complex(ops.cos(angle), ops.sin(angle))


def _convolved(x: Atom, n: int) -> Atom:
    """y_k = c_k sum_j (x_j c_j) conj(c_(k-j)), c_j = e^(-i pi j^2 / n)."""
    length, last = 1 << (2 * n - 2).bit_length(), x.ndim - 1
    j = iota(dtype=INT64, shape=x.shape, axis=last)
    squares = ops.rem(ops.mul(j, j), Literal(2 * n, j.type))
    chirp = _roots(squares, 2 * n, x.dtype)
    ahead = parts.conj(chirp)
    gap = zero(x.type.with_shape((*x.shape[:-1], length - 2 * n + 1)))
    filling = _filled(gap)
    around = concatenate(ahead, filling, reverse(_cut(ahead, 1, n), axes=(last,)), axis=last)
    padded = _extended(x * chirp, length)
    product = _row(padded, length, False) * _row(around, length, False)
    return _cut(_row(product, length, True), 0, n) * chirp


def _filled(x: Literal) -> Atom:
    """Zeros in memory."""
    return broadcast(zero(x.type.with_shape(())), shape=x.shape, dims=())


def _extended(x: Atom, n: int) -> Atom:
    """Zeros behind the last axis, up to n elements."""
    none = (0,) * x.ndim
    high = (*none[1:], n - x.shape[-1])
    return pad(x, zero(x.type.with_shape(())), low=none, high=high, interior=none)


def _cut(x: Atom, start: int, stop: int) -> Atom:
    """Elements start .. stop of the last axis."""
    lead = x.ndim - 1
    return slice(
        x, start=(0,) * lead + (start,), limit=(*x.shape[:-1], stop), stride=(1,) * x.ndim
    )


def _mirrored(x: Atom, n: int) -> Atom:
    """All n points of which the first n // 2 + 1 are given; where conjugates meet they are real."""
    last = x.ndim - 1
    behind = parts.conj(reverse(_cut(x, 1, (n + 1) // 2), axes=(last,)))
    x = concatenate(x, behind, axis=last)
    place = iota(dtype=INT64, shape=x.shape, axis=last)
    alone = ops.eq(place, Literal(0, place.type))
    if n % 2 == 0:
        alone = ops.or_(alone, ops.eq(place, Literal(n // 2, place.type)))
    flat = parts.complex(parts.real(x), zero(x.type.with_dtype(PART_OF[x.dtype])))
    return ops.select(alone, flat, x)


HELD[fft] = _fourier

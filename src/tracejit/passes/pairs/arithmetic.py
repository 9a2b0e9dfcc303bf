"""Rules of arithmetic, comparison, choice and conversion."""

from __future__ import annotations

import numpy as np

from tracejit.ir.atoms import Atom, ones, zero
from tracejit.ir.types import COMPLEX, PART_OF
from tracejit.ops import complex as parts
from tracejit.ops import elementwise as ops
from tracejit.passes.pairs.table import (
    Pair,
    Value,
    is_nought,
    limits,
    number,
    of_real,
    part_by_part,
    rule,
)

part_by_part(ops.add, ops.sub, ops.neg)

# Parts


@rule(parts.real)
def _real(z: Pair) -> Atom:
    return z.re


@rule(parts.imag)
def _imag(z: Pair) -> Atom:
    return z.im


@rule(parts.conj)
def conj(z: Pair) -> Pair:
    """x - iy."""
    return Pair(z.re, z.im if is_nought(z.im) and str(z.im.value)[0] == "-" else -z.im)  # type: ignore[attr-defined]


@rule(parts.complex)
def _complex(x: Atom, y: Atom) -> Pair:
    return Pair(x, y)


@rule(ops.convert)
def _convert(x: Value, *, dtype: np.dtype) -> Value:
    if dtype not in COMPLEX:
        return ops.convert(x.re, dtype=dtype)  # type: ignore[union-attr]
    part = PART_OF[dtype]
    if isinstance(x, Pair):
        return Pair(ops.convert(x.re, dtype=part), ops.convert(x.im, dtype=part))
    return of_real(ops.convert(x, dtype=part))


# Products and quotients


def _times(x: Atom, y: Atom) -> Atom | None:
    """A product of parts; None if one of them is 0."""
    return None if is_nought(x) or is_nought(y) else x * y


@rule(ops.mul)
def multiply(z: Pair, w: Pair) -> Pair:
    """(x + iy) (u + iv) = xu - yv + i (xv + yu)."""
    re, less = _times(z.re, w.re), _times(z.im, w.im)
    im, more = _times(z.re, w.im), _times(z.im, w.re)
    if less is not None:
        re = -less if re is None else re - less
    if more is not None:
        im = more if im is None else im + more
    nothing = zero(z.type)
    return Pair(nothing if re is None else re, nothing if im is None else im)


@rule(ops.square)
def square(z: Pair) -> Pair:
    """z z."""
    return multiply(z, z)


@rule(ops.div)
def divide(z: Pair, w: Pair) -> Pair:
    """z / w, scaled by the larger part of w, as in NumPy (Smith, 1962)."""
    if is_nought(w.im):
        return Pair(z.re / w.re, z.im / w.re)
    wide = ops.ge(ops.abs(w.re), ops.abs(w.im))
    large, small = ops.select(wide, w.re, w.im), ops.select(wide, w.im, w.re)
    null = ops.eq(large, zero(large.type))
    ratio = small / ops.select(null, ones(large.type), large)
    scale = 1.0 / ops.select(null, ops.abs(large), large + small * ratio)
    x, y = z
    if is_nought(y):
        re = ops.select(wide, x, x * ratio)
        im = ops.select(wide, -(x * ratio), -x)
    else:
        re = ops.select(wide, x + y * ratio, x * ratio + y)
        im = ops.select(wide, y - x * ratio, y * ratio - x)
    return Pair(re * scale, im * scale)


@rule(ops.keep_zeros)
def _keep_zeros(product: Pair, *guards: Pair) -> Pair:
    x, y = product
    spoilt = ops.or_(ops.ne(x, x), ops.ne(y, y))
    for guard in guards:
        spoilt = ops.and_(spoilt, _is_null(guard))
    return Pair(*[ops.select(spoilt, zero(part.type), part) for part in product])


def _is_null(z: Pair) -> Atom:
    nothing = zero(z.type)
    return ops.and_(ops.eq(z.re, nothing), ops.eq(z.im, nothing))


# Size


def scale_of(z: Pair) -> tuple[Atom, Atom, Atom]:
    """A power of 2^2 by which the parts are multiplied before they are squared, so that their sum
    does not overflow or lose what counts; whether it is small, and whether it is large (else 1).

    The scale is 2^(-5e/8) for what is above 2^(e/2), and 2^(3e/4) below 2^(-e/2), e the largest
    exponent of the dtype, rounded to multiples of 8.
    """
    e = limits(z).maxexp
    size = ops.max(ops.abs(z.re), ops.abs(z.im))
    half = 2.0 ** (e // 2 - 4)
    large, small = ops.gt(size, number(half, z)), ops.lt(size, number(1 / half, z))
    low, high = scales(z)
    scale = ops.select(large, number(low, z), ops.select(small, number(high, z), ones(z.type)))
    return scale, large, small


def scales(z: Pair) -> tuple[float, float]:
    """The scale for large numbers, and that for small ones."""
    e = limits(z).maxexp
    return 2.0 ** -(5 * e // 64 * 8), 2.0 ** (3 * e // 32 * 8)


def chosen(large: Atom, small: Atom, of_large: float, of_small: float, like: Pair) -> Atom:
    """A number for what is large, one for what is small, and 1 for the rest."""
    rest = ops.select(small, number(of_small, like), ones(like.type))
    return ops.select(large, number(of_large, like), rest)


@rule(ops.abs)
def size(z: Pair) -> Atom:
    """sqrt(x x + y y); inf where a part is infinite."""
    if is_nought(z.im):
        return ops.abs(z.re)
    if is_nought(z.re):
        return ops.abs(z.im)
    scale, large, small = scale_of(z)
    low, high = scales(z)
    x, y = z.re * scale, z.im * scale
    root = ops.sqrt(x * x + y * y) * chosen(large, small, 1 / low, 1 / high, z)
    return ops.select(has_infinity(z), number(np.inf, z), root)


def has_infinity(z: Pair) -> Atom:
    """Whether a part is infinite."""
    inf = number(np.inf, z)
    return ops.or_(ops.eq(ops.abs(z.re), inf), ops.eq(ops.abs(z.im), inf))


@rule(ops.sign)
def _sign(z: Pair) -> Pair:
    """z / |z|; 0 at 0, and +-1 or +-i where one of the parts is infinite."""
    null, nothing = _is_null(z), zero(z.type)
    length = ops.select(null, ones(z.type), size(z))
    endless = ops.and_(has_infinity(z), ops.or_(ops.is_finite(z.re), ops.is_finite(z.im)))
    far = directions(z)
    return Pair(*[
        ops.select(null, nothing, ops.select(endless, end, part / length))
        for part, end in zip(z, far, strict=True)
    ])  # fmt: skip


def directions(z: Pair) -> Pair:
    """Where infinite numbers lie: parts +-1 for those that are infinite, 0 for the others."""
    inf, less = number(np.inf, z), number(-np.inf, z)
    one, nothing = ones(z.type), zero(z.type)
    ends = [
        ops.select(ops.eq(part, inf), one, ops.select(ops.eq(part, less), -one, part * nothing))
        for part in z
    ]
    return Pair(*ends)


# Comparison


@rule(ops.eq)
def _eq(z: Pair, w: Pair) -> Atom:
    return ops.and_(ops.eq(z.re, w.re), ops.eq(z.im, w.im))


@rule(ops.ne)
def _ne(z: Pair, w: Pair) -> Atom:
    return ops.or_(ops.ne(z.re, w.re), ops.ne(z.im, w.im))


@rule(ops.is_finite)
def _is_finite(z: Pair) -> Atom:
    return ops.and_(ops.is_finite(z.re), ops.is_finite(z.im))

"""Rows of `ops/orthogonal.py`: matrices with values far from each other and from 0."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType
from tracejit.ops import eigen
from tracejit.ops import orthogonal as ops
from tracejit.testing.domains import Arg, Domain
from tracejit.testing.samples import Sample


def _basis(rng: np.random.Generator, type: ArrayType, shape: tuple[int, ...]) -> Any:
    """Orthogonal matrices; unitary ones of complex numbers."""
    if 0 in shape:
        return np.zeros(shape)
    x = rng.normal(size=shape)
    return np.linalg.qr(x + 1j * rng.normal(size=shape) if type.is_complex else x)[0]


def _adjoint(x: Any) -> Any:
    return np.conj(np.swapaxes(x, -1, -2))


def _values(rng: np.random.Generator, n: int) -> Any:
    """1, 2, 3 and so on, about."""
    return 1.0 + np.arange(n) + rng.uniform(-0.2, 0.2, n)


def _symmetric(rng: np.random.Generator, type: ArrayType) -> Any:
    """With values apart; the diagonal is not the largest of anything."""
    n = type.shape[-1]
    v = _basis(rng, type, type.shape)
    return (v * (_values(rng, n) - n / 2 - 0.25)) @ _adjoint(v)


def _apart(rng: np.random.Generator, type: ArrayType) -> Any:
    """Singular values apart, and away from 0."""
    *stack, m, n = type.shape
    k = min(m, n)
    u, v = (_basis(rng, type, (*stack, size, size))[..., :k] for size in (m, n))
    return (u * _values(rng, k)) @ _adjoint(v)


symmetric, apart = Domain(_symmetric), Domain(_apart)


def _row(primitive: Primitive, arg: Arg, smooth: bool = True, **params: Any) -> Sample:
    return Sample(primitive, (arg,), params, ulps=256, scale=64.0, rtol=1e-6, smooth=smooth)


_SQUARE = ("f64[1,1]", "f64[2,2]", "f64[5,5]", "f64[3,4,4]", "f32[4,4]", "f64[0,0]")
_TALL = ("f64[1,1]", "f64[4,4]", "f64[6,3]", "f64[2,5,2]", "f32[5,3]", "f64[3,0]", "f64[20,12]")
_COMPLEX = ("c128[4,4]", "c64[3,3]", "c128[2,5,3]", "c128[2,4]")
_WIDE = ("f64[2,5]", "f64[3,2,4]", "f64[0,3]")

ROWS: tuple[Sample, ...] = (
    *[_row(ops.eigh, symmetric(type), vectors=True) for type in _SQUARE],
    *[_row(ops.eigh, symmetric(type), vectors=False) for type in (*_SQUARE[2:], "f64[12,12]")],
    # In large ones signs turn from one matrix to the next: quotients of differences say nothing.
    _row(ops.eigh, symmetric("f64[24,24]"), smooth=False, vectors=True),
    *[_row(ops.svd, apart(type), vectors=True, full=False) for type in (*_TALL, *_WIDE)],
    *[_row(ops.svd, apart(type), vectors=False, full=False) for type in (*_TALL[1:5], *_WIDE)],
    _row(ops.svd, apart("f64[4,4]"), vectors=True, full=True),
    _row(ops.svd, apart("f64[3,2]"), smooth=False, vectors=True, full=True),
    *[_row(ops.qr, apart(type)) for type in _TALL],
    *[_row(ops.pinv, apart(type), rcond=1e-15) for type in (*_TALL, *_WIDE)],
    # Phases of complex vectors are each library's own.
    *[_row(ops.eigh, symmetric(type), vectors=False) for type in _COMPLEX[:2]],
    *[_row(ops.svd, apart(type), vectors=False, full=False) for type in _COMPLEX],
    *[_row(ops.pinv, apart(type), rcond=1e-15) for type in _COMPLEX],
    *[_row(ops.qr, apart(type)) for type in _COMPLEX[:3]],
    *[
        _row(eigen.eig, apart(type), vectors=vectors)
        for type in ("f64[1,1]", "f64[3,3]", "c128[4,4]", "f64[2,3,3]", "f64[0,0]")
        for vectors in (True, False)
    ],
    _row(eigen.eig, apart("f32[3,3]"), vectors=False),
)

"""Rows of `ops/linalg.py`: matrices far from singular. Numbers cancel, so ulps are of a sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType
from tracejit.ops import linalg as ops
from tracejit.testing.domains import Arg, Domain
from tracejit.testing.samples import Sample


def _random(rng: np.random.Generator, type: ArrayType) -> Any:
    x = rng.uniform(-1, 1, type.shape)
    return x + 1j * rng.uniform(-1, 1, type.shape) if type.is_complex else x


def _definite(rng: np.random.Generator, type: ArrayType) -> Any:
    """x x* + 1, and anything above the diagonal."""
    x, n = _random(rng, type), type.shape[-1]
    return x @ np.conj(np.swapaxes(x, -1, -2)) + np.eye(n) + np.triu(_random(rng, type), 1)


def _dominant(rng: np.random.Generator, type: ArrayType) -> Any:
    """The largest of each column far from the others, and not on the diagonal: rows move."""
    n = type.shape[-1]
    return np.roll(_random(rng, type) + 2.0 * n * np.eye(n), 1, axis=-2)


def _triangle(rng: np.random.Generator, type: ArrayType) -> Any:
    """Both triangles, so that reading the wrong one is seen; a diagonal far from 0."""
    return 0.5 * _random(rng, type) + 1.5 * np.eye(type.shape[-1])


definite, dominant, triangle = Domain(_definite), Domain(_dominant), Domain(_triangle)
anything = Domain(_random)


def _row(primitive: Primitive, *args: Arg, **params: Any) -> Sample:
    return Sample(primitive, args, params, ulps=64, scale=16.0, rtol=1e-6)


def _system(a: str, b: str, lower: bool, transposed: bool = False, unit: bool = False) -> Sample:
    return _row(
        ops.triangular_solve, triangle(a), anything(b),
        lower=lower, transposed=transposed, unit=unit,
    )  # fmt: skip


def _solve(a: str, b: str, transposed: bool = False) -> Sample:
    return _row(ops.solve, dominant(a), anything(b), transposed=transposed)


_COMPLEX = ("c128[3,3]", "c128[2,9,9]", "c64[2,2]")
_STACKS = ("f64[1,1]", "f64[3,3]", "f64[6,6]", "f64[5,3,3]", "f64[2,2,4,4]", "f32[4,4]")
_LARGE = ("f64[13,13]", "f64[40,40]", "f64[3,17,17]", "f32[20,20]")
_EMPTY = ("f64[0,0]", "f64[0,3,3]")

ROWS: tuple[Sample, ...] = (
    *[_row(ops.cholesky, definite(type)) for type in (*_STACKS, *_LARGE, *_EMPTY, *_COMPLEX)],
    *[
        _system("f64[4,4]", "f64[4,3]", lower, transposed, unit)
        for lower in (True, False) for transposed in (True, False) for unit in (True, False)
    ],
    *[
        _system("f64[19,19]", "f64[19,5]", lower, transposed)
        for lower in (True, False) for transposed in (True, False)
    ],
    _system("f64[19,19]", "f64[19,1]", True, True, True),
    _system("f64[3,5,5]", "f64[3,5,2]", True),
    _system("f64[2,2,3,3]", "f64[2,2,3,1]", False, True),
    _system("f64[2,12,12]", "f64[2,12,4]", False),
    _system("f64[1,1]", "f64[1,4]", True),
    _system("f32[6,6]", "f32[6,1]", True),
    _system("f64[3,3]", "f64[3,0]", True),
    _system("f64[0,0]", "f64[0,3]", False),
    *[_row(ops.lu, dominant(type)) for type in (*_STACKS, *_LARGE, *_EMPTY, *_COMPLEX)],
    _solve("f64[3,3]", "f64[3,1]"),
    _solve("f64[3,3]", "f64[3,4]", True),
    _solve("f64[4,3,3]", "f64[4,3,2]"),
    _solve("f64[4,3,3]", "f64[4,3,2]", True),
    _solve("f64[16,16]", "f64[16,3]"),
    _solve("f64[16,16]", "f64[16,1]", True),
    _solve("f32[5,5]", "f32[5,2]"),
    _solve("f64[2,2]", "f64[2,0]"),
    _solve("c128[3,3]", "c128[3,2]"),
    _solve("c128[2,4,4]", "c128[2,4,1]", True),
    _system("c128[4,4]", "c128[4,3]", True),
    _system("c128[2,4,4]", "c128[2,4,3]", False, True, True),
    *[
        _row(ops.log_abs_det, dominant(type))
        for type in (
            "f64[1,1]", "f64[3,3]", "f64[12,12]", "f64[4,3,3]", "f32[3,3]", "f64[0,0]", "c128[3,3]",
        )
    ],
)  # fmt: skip

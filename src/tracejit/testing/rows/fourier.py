"""Rows of `ops/fourier.py`: lengths even and odd, prime and not, over one axis and several."""

from __future__ import annotations

import numpy as np

from tracejit.ir.types import ArrayType
from tracejit.ops import fourier as ops
from tracejit.testing.domains import Domain
from tracejit.testing.samples import Sample


def _numbers(rng: np.random.Generator, type: ArrayType) -> np.ndarray:
    parts = rng.uniform(-1, 1, (2, *type.shape))
    return parts[0] + 1j * parts[1] if type.is_complex else parts[0]


numbers = Domain(_numbers)


def _row(kind: str, type: str, *lengths: int) -> Sample:
    params = {"kind": kind, "lengths": lengths}
    return Sample(ops.fft, (numbers(type),), params, ulps=32, scale=32.0, rtol=1e-6)


ROWS: tuple[Sample, ...] = (
    *[_row(kind, f"c128[{n}]", n) for kind in ("fft", "ifft") for n in (1, 2, 5, 8, 12)],
    _row("fft", "c128[2,3,4]", 3, 4),
    _row("ifft", "c128[3,4]", 4),
    _row("fft", "c64[6]", 6),
    _row("fft", "c128[2,2,3,2,2]", 2, 2, 3, 2, 2),
    *[_row("rfft", f"f64[{n}]", n) for n in (1, 2, 7, 8)],
    _row("rfft", "f64[3,4,6]", 4, 6),
    _row("rfft", "f32[5]", 5),
    *[_row("irfft", f"c128[{n // 2 + 1}]", n) for n in (1, 2, 7, 8)],
    _row("irfft", "c128[2,3,4]", 3, 6),
    _row("irfft", "c64[3]", 4),
)  # fmt: skip

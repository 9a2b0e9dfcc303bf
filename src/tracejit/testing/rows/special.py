"""Rows of `ops/special.py`."""

from __future__ import annotations

from collections.abc import Iterator

from tracejit.ops import special as ops
from tracejit.testing.domains import exactly, positive, reals
from tracejit.testing.rows.elementwise import SHAPES, unary_rows
from tracejit.testing.samples import Sample


def _gamma_rows() -> Iterator[Sample]:
    """Poles and zeros near by, where relative accuracy is hard: units of 1."""
    for primitive in (ops.lgamma, ops.digamma):
        for type in SHAPES:
            yield Sample(primitive, (positive()(type),), ulps=16, scale=1.0)
        wide = exactly([1e-8, 0.01, 0.5, 1.0, 1.5, 2.5, 9.5, 30.25, 170.0, 1e4, 1e10], "f64")
        yield Sample(primitive, (wide,), ulps=16, scale=1.0, smooth=False, note="wide")
        negative = exactly([-0.5, -1.5, -2.25, -10.75, -0.01], "f64")
        yield Sample(primitive, (negative,), ulps=64, scale=1.0, smooth=False, note="negative")
    for n in (1, 2, 3):
        for type in SHAPES:
            yield Sample(ops.polygamma, (positive()(type),), {"n": n}, ulps=64)


ROWS: tuple[Sample, ...] = (
    *unary_rows(ops.erf, reals(-2, 2), 4),
    *unary_rows(ops.erfc, reals(-2, 2), 8),
    *unary_rows(ops.erfinv, reals(-0.8, 0.8), 64),
    *unary_rows(ops.i0e, reals(-12, 12), 16),
    *unary_rows(ops.i1e, reals(-12, 12), 16),
    *_gamma_rows(),
)

"""Rows of `ops/random.py`."""

from __future__ import annotations

from tracejit.ops import random as ops
from tracejit.testing.domains import bits
from tracejit.testing.samples import Sample

ROWS: tuple[Sample, ...] = tuple(
    Sample(ops.threefry2x32, (bits()(type),) * 4, ulps=0)
    for type in ("u32[]", "u32[7]", "u32[2,3]", "u32[0]")
)

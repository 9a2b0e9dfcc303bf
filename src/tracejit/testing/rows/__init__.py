"""The rows of the primitives of the language, by family, in files named like those of `ops/`."""

from __future__ import annotations

from tracejit.testing.rows import (
    callback,
    complex,
    contraction,
    control,
    custom,
    elementwise,
    fourier,
    indexing,
    linalg,
    orthogonal,
    random,
    reduction,
    special,
    structure,
)
from tracejit.testing.samples import Sample

#: Every row of every primitive.
SAMPLES: tuple[Sample, ...] = (
    *elementwise.ROWS,
    *special.ROWS,
    *structure.ROWS,
    *reduction.ROWS,
    *contraction.ROWS,
    *indexing.ROWS,
    *linalg.ROWS,
    *orthogonal.ROWS,
    *random.ROWS,
    *control.ROWS,
    *custom.ROWS,
    *callback.ROWS,
    *complex.ROWS,
    *fourier.ROWS,
)

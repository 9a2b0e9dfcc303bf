"""Laws for primitives, ours and yours.

    from tracejit.testing import Sample, check_all, positive
    check_all(Sample(my_primitive, (positive()("f64[7]"),)))

domains: what to draw operands from. samples: a row of operands. laws: what has to hold for it.
rows: the rows of the primitives that tracejit brings.
"""

from __future__ import annotations

from tracejit.testing.domains import (
    Arg,
    Domain,
    away_from,
    bits,
    booleans,
    distinct,
    exactly,
    integers,
    positive,
    read_type,
    reals,
    special_values,
    splat,
)
from tracejit.testing.laws import (
    check_all,
    check_backends,
    check_batch,
    check_gradients,
    check_jvp,
    check_linearize,
    check_second_order,
    check_text,
    check_third_order,
    check_transpose,
    check_typing,
)
from tracejit.testing.primitives import check_primitive
from tracejit.testing.rows import SAMPLES
from tracejit.testing.samples import Sample

__all__ = [
    "SAMPLES",
    "Arg",
    "Domain",
    "Sample",
    "away_from",
    "bits",
    "booleans",
    "check_all",
    "check_backends",
    "check_batch",
    "check_gradients",
    "check_jvp",
    "check_linearize",
    "check_primitive",
    "check_second_order",
    "check_text",
    "check_third_order",
    "check_transpose",
    "check_typing",
    "distinct",
    "exactly",
    "integers",
    "positive",
    "read_type",
    "reals",
    "special_values",
    "splat",
]

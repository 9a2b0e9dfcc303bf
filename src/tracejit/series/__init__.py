"""Rules of operations on power series, by family: what `transforms.jet` takes for a table.

Only those that differ from what a primitive's derivative gives: products and quotients, which that
derivative is written in; sine and cosine, which need each other; powers; sorting; systems of
equations, which are factored once; and operations that hold jaxprs.
"""

from __future__ import annotations

from tracejit.series import contraction, control, elementwise, linalg, reduction
from tracejit.transforms.jet import Rules

RULES = Rules(elementwise.ROWS | reduction.ROWS | contraction.ROWS | linalg.ROWS | control.ROWS)

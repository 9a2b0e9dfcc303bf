"""The compiler, as lists. Each pass says at its top what it needs and what it leaves."""

from __future__ import annotations

from tracejit.passes.cse import cse
from tracejit.passes.dce import dce
from tracejit.passes.factor import factor
from tracejit.passes.fold import fold
from tracejit.passes.hoist import hoist
from tracejit.passes.inline import inline
from tracejit.passes.join import join
from tracejit.passes.matrices import matrices
from tracejit.passes.pack import pack
from tracejit.passes.pairs.split import pairs
from tracejit.passes.pipeline import Pipeline
from tracejit.passes.totals import totals
from tracejit.passes.widen import widen

#: What every backend begins with, and none has to clean up after.
SIMPLIFY = Pipeline(
    "simplify",
    [
        inline,  # the others see one body
        fold,    # before cse: it brings equal terms into one form
        cse,     # before dce: it leaves unread what it merged
        dce,     # last: so does fold, and transforms leave unread primal results
    ],
)  # fmt: skip

#: Behind it, for machines that compute with float32, but not with floats of 16 bits.
NO_HALVES = Pipeline("no halves", [widen, fold, cse, dce])

#: Behind that, for machines without complex numbers.
PARTS = Pipeline("parts", [pairs, fold, cse, dce])

#: Behind these, for machines with vectors.
VECTORS = Pipeline(
    "vectors",
    [
        totals,  # before hoist: it looks for sums as fold leaves them
        matrices,  # before hoist: it looks for counters as they are made
        hoist,   # before dce: it leaves constants of loops unread
        factor,  # before dce: it leaves products unread
        join,    # before pack: what is put together is then stacked
        dce,     # join leaves pads unread
        pack,
    ],
)  # fmt: skip

"""Results are views of operands, and can be written to, where they are in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy_cases
import pytest

import tracejit.numpy  # noqa: F401  lends tracers their operators
from tracejit.errors import ArgumentError
from tracejit.ir.types import type_of
from tracejit.runtime.write_back import share_memory
from tracejit.trace.stage import stage
from tracejit.trace.tracer import Tracer


def aliases(result: Any, x: Any, shares: Callable[[Any, Any], bool]) -> list[tuple[bool, bool]]:
    """For each array of a result, whether it is a view of x, and whether it can be written to."""
    parts = result if isinstance(result, (tuple, list)) else [result]
    arrays = [y for y in parts if getattr(y, "ndim", 0)]
    return [(shares(y, x), is_writeable(y)) for y in arrays]


def is_writeable(y: Any) -> bool:
    if not isinstance(y, Tracer):
        return y.flags.writeable
    try:
        y[...] = y + 0
    except ArgumentError:
        return False
    return True


def may_differ(name: str) -> bool:
    """A view here, and a copy or a view that is read-only there, or the other way round."""
    return name in {
        *("broadcast_arrays", "meshgrid", "diag", "diagonal", "einsum", "asarray", "array"),
        "imag",
    }


@pytest.mark.parametrize("name", sorted({case.name for case in numpy_cases.cases()}))
def test_results_share_memory_where_those_of_numpy_do(name: str) -> None:
    """With the first operand; so that nothing is written to an array that should not be."""
    for case in numpy_cases.cases():
        first = np.asarray(case.operands[0]) if case.operands else np.zeros(())
        if case.name != name or may_differ(name) or not case.by_protocol or not first.ndim:
            continue
        rest = case.operands[1:]
        with np.errstate(all="ignore"):
            own = first.copy()
            theirs = aliases(case.call(np, own, *rest), own, np.shares_memory)
        found: list[Any] = []

        def flat(
            x: Any, case: Any = case, rest: Any = rest, found: list[Any] = found
        ) -> list[Any]:
            found += aliases(case.call(np, x, *rest), x, share_memory)
            return []

        stage(flat, [type_of(first)])
        assert found == theirs, (name, found, theirs)

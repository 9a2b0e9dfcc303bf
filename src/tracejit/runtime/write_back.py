"""What a call assigns to: the arrays that get the final values of arguments when it returns.

Nothing is written before the whole call has been computed, and nothing is computed before it is
known that all can be written: an exception leaves the arguments as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError
from tracejit.runtime.values import Name
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Tracer
from tracejit.trace.view import root_of


def writable(
    given: Sequence[Any], assigned: Sequence[int], name: Callable[[int], Name], *, traced: bool
) -> None:
    """ArgumentError unless the leaves `assigned` of a call can be written to, each an array that
    shares memory with no other leaf. `name(i)` is what messages call leaf i. traced: the values
    are."""
    for i in assigned:
        fault = _fault(given, i, name, traced)
        if fault is not None:
            what, hint = fault
            raise ArgumentError(f"{name(i)()} is assigned to, and {what}", where=user_frame(),
                                hint=hint)  # fmt: skip


def _fault(
    given: Sequence[Any], i: int, name: Callable[[int], Name], traced: bool
) -> tuple[str, str] | None:
    """What is wrong with a leaf that is written to, and what to do."""
    x = given[i]
    if traced and not isinstance(x, Tracer):
        return "is not traced, as other values are", (
            "the numbers are not known yet: let the function that is traced take the array, too, "
            "or make it with tracejit.numpy.zeros"
        )
    if not isinstance(x, (Tracer, np.ndarray)):
        return f"is of type {type(x).__name__}", "pass an ndarray, np.array(x)"
    if isinstance(x, np.ndarray):
        if not x.flags.writeable:
            return "is read-only", "pass a copy, x.copy()"
        if x.size and any(s == 0 and n > 1 for s, n in zip(x.strides, x.shape, strict=True)):
            return "has elements that share memory", "pass a copy, x.copy()"
    for j, y in enumerate(given):
        if j != i and share_memory(x, y):
            return f"shares memory with {name(j)()}", "pass a copy of one of the two, x.copy()"
    return None


def share_memory(x: Any, y: Any) -> bool:
    """Whether what is written to x may be seen in y: both traced, or both arrays."""
    if isinstance(x, Tracer):
        return root_of(x) is root_of(y)
    if not isinstance(y, np.ndarray) or not np.may_share_memory(x, y):
        return False
    try:
        return np.shares_memory(x, y, max_work=10_000)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def write_back(given: Sequence[Any], assigned: Sequence[int], finals: Sequence[Any]) -> None:
    """Write final values into the leaves that were assigned to, which are `writable`."""
    for i, value in zip(assigned, finals, strict=True):
        x = given[i]
        if isinstance(x, Tracer):
            x.assign(value)
        else:
            np.copyto(x, value, casting="same_kind")

"""Known arrays that are indexed by traced numbers: `weights[i]`, with weights from outside.

ndarray's own `__getitem__` asks for a number. So while a function is traced, the arrays that its
variables name are lent as `Table`s: ndarrays on the same memory, which trace what is read of them
at a traced index. What is computed of them is a plain ndarray again, and views are Tables.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tracejit.trace.tracer import Tracer, current_trace


class Table(np.ndarray):
    """An ndarray that can be read at traced indices. source: the array that it stands for; None of
    a view. known: what was in it when it was read last."""

    source: np.ndarray | None = None
    known: np.ndarray | None = None

    def __getitem__(self, index: Any) -> Any:
        trace = current_trace()
        if trace is None or not _is_traced_integer(index):
            return super().__getitem__(index)
        here = np.asarray(self)
        if self.known is None or self.known.tobytes() != here.tobytes():
            self.known = here.copy()
        return Tracer(trace, trace.lift(self.known))[index]  # type: ignore[index]

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return array[()] if return_scalar else np.asarray(array)

    def __reduce__(self) -> Any:
        return np.asarray(self).__reduce__()


def _is_traced_integer(index: Any) -> bool:
    """Whether there is a traced number among the parts of an index."""
    parts = index if isinstance(index, tuple) else (index,)
    for part in parts:
        bounds = (part.start, part.stop) if isinstance(part, slice) else (part,)
        if any(isinstance(x, Tracer) for x in bounds):
            return True
    return False


def is_lendable(x: Any) -> bool:
    """Whether it is an array of numbers that someone may index."""
    return type(x) is np.ndarray and x.ndim > 0 and x.dtype.kind in "biufc"


def lent(x: np.ndarray) -> Table:
    """The Table that stands for an array."""
    table = x.view(Table)
    table.source = x
    return table


def plain(x: Any) -> Any:
    """The array that a Table stands for; all else as it is."""
    return x.source if type(x) is Table and x.source is not None else x

"""`tracejit.range`: a loop that is traced once, or an error."""

from __future__ import annotations

import sys
from typing import Any

from tracejit.numpy.world import rolled_range


def range(*args: Any) -> Any:
    """`range(stop)`, `range(start, stop)` or `range(start, stop, step)`, of a loop traced once.

        for i in tj.range(n):
            x = x + a[i]

    In a traced function the body of a `for` statement over it runs on a traced index, and becomes
    one `scan`, or a `while` if a bound is traced; the built-in `range` does the same where it can
    and where it pays, and unrolls the loop where it cannot. Here what cannot be traced once is an
    UnsupportedError that says why. The bounds are integers, traced or not; the step is known.

    Outside of traced functions, and where no `for` statement runs over it, it is the built-in one.
    """
    return rolled_range(args, sys._getframe(1), always=True)

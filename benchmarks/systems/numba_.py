"""numba: the gradient that a patient person writes, compiled with fastmath."""

from __future__ import annotations

from typing import Any

import numba

from benchmarks.case import Case
from benchmarks.systems import NotOffered, Ready


def prepare(case: Case, size: str, args: tuple[Any, ...]) -> Ready:
    if case.numba is None:
        raise NotOffered
    return Ready(numba.njit(fastmath=True)(case.numba), args)

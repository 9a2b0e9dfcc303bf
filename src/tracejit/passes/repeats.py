"""Where a straight line of equations repeats itself: periods of a sequence of numbers.

A period is found by windows: the hash of WINDOW numbers in a row, for all places at once, and the
distance to where the same window was before. In a part that repeats, that distance is the period
at most places. All of it is linear in the length, but for one sort.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

#: Lengths of the windows: a short one finds short loops, a long one sees past loops in loops.
WINDOWS = (16, 128, 1024)
#: How many of the most frequent distances are tried, for each window.
TRIED = 4

_BASE = 0x9E3779B97F4A7C15  # odd, so that it has an inverse modulo 2^64
_INVERSE = pow(_BASE, -1, 1 << 64)


class Run(NamedTuple):
    """Numbers [start, stop) of which each is what it was `period` before, the first ones apart."""

    start: int
    stop: int
    period: int

    @property
    def length(self) -> int:
        return self.stop - self.start

    @property
    def rounds(self) -> int:
        return self.length // self.period


def find_runs(numbers: np.ndarray, rounds: int, length: int) -> list[Run]:
    """Parts of the sequence that repeat for so many rounds and numbers, in order; none overlap.

    Where several periods fit, the longest part counts, and of equal ones the shortest period.
    """
    if len(numbers) < max(length, rounds):
        return []
    candidates: list[Run] = []
    for period in _periods(numbers, len(numbers) // rounds):
        parts = stretches(numbers[period:] == numbers[:-period])
        candidates += [
            Run(a, b + period, period) for a, b in parts if b - a >= (rounds - 1) * period
        ]
    found: list[Run] = []
    taken = np.zeros(len(numbers), bool)
    for run in sorted(candidates, key=lambda run: (-run.length, run.period)):
        for start, stop in stretches(~taken[run.start : run.stop]):
            free = Run(run.start + start, run.start + stop, run.period)
            if free.rounds >= rounds and free.length >= length:
                found.append(free)
                taken[free.start : free.stop] = True
    return sorted(found)


def stretches(holds: np.ndarray) -> Iterator[tuple[int, int]]:
    """The maximal parts [start, stop) of a row of bools in which all hold."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]])))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _periods(numbers: np.ndarray, most: int) -> list[int]:
    """Distances, up to `most`, at which many windows come again."""
    found: dict[int, None] = {}
    for width in WINDOWS:
        if 2 * width > len(numbers) or len(found) == 1:
            break
        hashes = _window_hashes(numbers, width)
        order = np.argsort(hashes, kind="stable")
        again = np.flatnonzero(np.diff(hashes[order]) == 0)
        distances, counts = np.unique(order[again + 1] - order[again], return_counts=True)
        often = np.argsort(-counts, kind="stable")[:TRIED]
        found.update((int(d), None) for d in distances[often] if d <= most)
    return [*found]


def _window_hashes(numbers: np.ndarray, width: int) -> np.ndarray:
    """A number for each window, equal for equal windows: a polynomial modulo 2^64."""
    n = len(numbers)
    spread = (numbers.astype(np.uint64) + np.uint64(1)) * np.uint64(0xD1B54A32D192ED03)
    spread ^= spread >> np.uint64(29)
    sums = np.concatenate([[np.uint64(0)], np.cumsum(spread * _powers(_BASE, n), dtype=np.uint64)])
    return (sums[width:] - sums[:-width]) * _powers(_INVERSE, n - width + 1)


def _powers(base: int, count: int) -> np.ndarray:
    factors = np.full(count, base, np.uint64)
    factors[0] = 1
    return np.cumprod(factors, dtype=np.uint64)

"""The line search of L-BFGS: a step that fulfils the strong Wolfe conditions.

Nocedal and Wright, algorithms 3.5 (a bracket) and 3.6 (zoom), (3.59) for the minimum of a cubic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

#: How many evaluations there are at most, and the constants of the two conditions.
STEPS, DECREASE, CURVATURE = 25, 1e-4, 0.9


class Point(NamedTuple):
    """A place on the line: how far, the loss, its slope along the line, its gradient."""

    t: float
    value: float
    slope: float
    gradient: np.ndarray


def _least(a: Point, b: Point, bounds: tuple[float, float]) -> float:
    """Where the cubic through two places with these slopes is least, within bounds."""
    a, b = (a, b) if a.t <= b.t else (b, a)
    low, high = bounds
    d1 = a.slope + b.slope - 3 * (a.value - b.value) / (a.t - b.t)
    square = d1 * d1 - a.slope * b.slope
    if square < 0:
        return (low + high) / 2
    d2 = math.sqrt(square)
    place = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return min(max(place, low), high)


def searched(
    at: Callable[[float], Point], origin: Point, t: float, reach: float, change: float
) -> tuple[Point, int]:
    """(the place found, how many were looked at). reach: the greatest part of the direction."""

    def rises(x: Point) -> bool:
        return x.value > origin.value + DECREASE * x.t * origin.slope

    def flat(x: Point) -> bool:
        return abs(x.slope) <= -CURVATURE * origin.slope

    before, now = origin, at(t)
    count = 1
    for k in range(STEPS):
        if rises(now) or (k > 1 and now.value >= before.value):
            break
        if flat(now):
            return now, count
        if now.slope >= 0:
            break
        bounds = now.t + 0.01 * (now.t - before.t), now.t * 10
        before, now = now, at(_least(before, now, bounds))
        count += 1
    else:
        before = origin
    return _zoomed(at, rises, flat, [before, now], reach, change, count)


def _zoomed(
    at: Callable[[float], Point], rises: Callable[[Point], bool], flat: Callable[[Point], bool],
    ends: list[Point], reach: float, change: float, count: int,
) -> tuple[Point, int]:  # fmt: skip
    """A good place between two, of which the better one is kept."""
    stuck = False
    low, high = sorted(ends, key=lambda x: x.value)
    while count <= STEPS and abs(high.t - low.t) * reach >= change:
        left, right = sorted((low.t, high.t))
        t = _least(low, high, (left, right))
        margin = 0.1 * (right - left)
        near = min(right - t, t - left) < margin
        if near and (stuck or t >= right or t <= left):
            t = right - margin if abs(t - right) < abs(t - left) else left + margin
            near = False
        stuck = near
        now = at(t)
        count += 1
        if rises(now) or now.value >= low.value:
            high = now
            low, high = (low, high) if low.value <= high.value else (high, low)
            continue
        if flat(now):
            return now, count
        if now.slope * (high.t - low.t) >= 0:
            high = low
        low = now
    return low, count

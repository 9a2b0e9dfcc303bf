"""Discrete Fourier transforms of a few points, as straight-line code: the butterflies of an FFT.

A point is a pair of values, its real and its imaginary part. Radices are 2, 3, 4, 5, 8, and odd
primes up to 13: y_k = sum_j x_j w^(j k) with w = e^(-2 pi i / r). Of an odd radix, points j and
r - j are added and subtracted first, since their factors are conjugates (Winograd's and Rader's
forms save few operations at these sizes).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from tracejit.backends.native.emit import Function, Value


class Point(NamedTuple):
    """A complex number in registers."""

    re: Value
    im: Value


def add(b: Function, x: Point, y: Point) -> Point:
    """x + y."""
    return Point(b.add(x.re, y.re), b.add(x.im, y.im))


def sub(b: Function, x: Point, y: Point) -> Point:
    """x - y."""
    return Point(b.sub(x.re, y.re), b.sub(x.im, y.im))


def times(b: Function, x: Point, re: Value, im: Value) -> Point:
    """The product with a number of which both parts are known only when it runs."""
    return Point(
        b.fma(x.re, re, b.neg(b.mul(x.im, im))), b.fma(x.re, im, b.mul(x.im, re))
    )


def turned(b: Function, x: Point) -> Point:
    """-i x."""
    return Point(x.im, b.neg(x.re))


def butterfly(b: Function, xs: Sequence[Point]) -> list[Point]:
    """The transform of so many points."""
    if len(xs) == 1:
        return list(xs)
    if len(xs) == 2:
        return [add(b, *xs), sub(b, *xs)]
    return _halved(b, xs) if len(xs) % 2 == 0 else _odd(b, xs)


def _halved(b: Function, xs: Sequence[Point]) -> list[Point]:
    """Of the points with even and with odd numbers, put together with factors w^k."""
    n = len(xs)
    even, odd = butterfly(b, xs[::2]), butterfly(b, xs[1::2])
    first, second = [], []
    for k, (x, y) in enumerate(zip(even, odd, strict=True)):
        y = _by_root(b, y, k, n)
        first.append(add(b, x, y))
        second.append(sub(b, x, y))
    return first + second


def _by_root(b: Function, x: Point, k: int, n: int) -> Point:
    """x e^(-2 pi i k / n) for 0 <= k < n / 2."""
    if k == 0:
        return x
    if 4 * k == n:
        return turned(b, x)
    if 8 * k in (n, 3 * n):  # (1 - i) / sqrt 2, or (-1 - i) / sqrt 2
        root = b.like(x.re, math.sqrt(0.5))
        total, rest = b.mul(b.add(x.im, x.re), root), b.mul(b.sub(x.im, x.re), root)
        return Point(total, rest) if 8 * k == n else Point(rest, b.neg(total))
    angle = -2 * math.pi * k / n
    return times(b, x, b.like(x.re, math.cos(angle)), b.like(x.re, math.sin(angle)))


def _odd(b: Function, xs: Sequence[Point]) -> list[Point]:
    """Sums and differences of points j and r - j: cosines times those, sines times these."""
    n, half = len(xs), len(xs) // 2
    sums = [add(b, xs[j], xs[n - j]) for j in range(1, half + 1)]
    differences = [sub(b, xs[j], xs[n - j]) for j in range(1, half + 1)]
    first = xs[0]
    for x in sums:
        first = add(b, first, x)
    ahead, behind = [], []
    for k in range(1, half + 1):
        even, odd = xs[0], None
        for j, (s, d) in enumerate(zip(sums, differences, strict=True), 1):
            angle = 2 * math.pi * (j * k % n) / n
            cosine, sine = b.like(s.re, math.cos(angle)), b.like(s.re, math.sin(angle))
            even = Point(b.fma(s.re, cosine, even.re), b.fma(s.im, cosine, even.im))
            odd = (
                Point(b.mul(d.re, sine), b.mul(d.im, sine)) if odd is None
                else Point(b.fma(d.re, sine, odd.re), b.fma(d.im, sine, odd.im))
            )  # fmt: skip
        assert odd is not None
        across = turned(b, odd)
        ahead.append(add(b, even, across))
        behind.append(sub(b, even, across))
    return [first, *ahead, *behind[::-1]]

"""Comparing arrays: near to a relative tolerance, or within units in the last place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.types import INEXACT, finfo


def assert_close(
    law: str, what: object, results: Sequence[Any], expected: Sequence[Any], *, rtol: float
) -> None:
    """Each result is near what is expected, relative to its largest element and to 1."""
    for place, (result, value) in enumerate(zip(results, expected, strict=True)):
        y, z = np.asarray(result), np.asarray(value)
        assert y.shape == z.shape, f"{law}: {what}: shape {y.shape} instead of {z.shape}"
        if y.size == 0:
            continue
        if y.dtype not in INEXACT:
            assert np.array_equal(y, z), f"{law}: {what}: result {place} is\n{y}\ninstead of\n{z}"
            continue
        bound = rtol * max(1.0, float(np.max(np.abs(z), initial=0.0, where=np.isfinite(z))))
        with np.errstate(all="ignore"):
            off = np.abs(y - z)
        wrong = ~(_same(y, z) | (off <= bound))
        assert not wrong.any(), (
            f"{law}: {what}: result {place} is\n{y}\ninstead of\n{z}\n"
            f"off by {np.nanmax(off[wrong], initial=0.0):.2g}, allowed {bound:.2g}"
        )


def assert_ulps(
    law: str,
    what: object,
    results: Sequence[Any],
    expected: Sequence[Any],
    *,
    ulps: int,
    scale: float = 0.0,
    flush: bool = False,
) -> None:
    """Each result has the type of what is expected, and differs by no more than `ulps` units.

    NaN equals NaN, zeros of both signs are equal. Where terms cancel, units are those of `scale`.
    With `flush`, subnormal numbers equal zero.
    """
    for place, (result, value) in enumerate(zip(results, expected, strict=True)):
        y, z = np.asarray(result), np.asarray(value)
        assert (y.dtype, y.shape) == (z.dtype, z.shape), (
            f"{law}: {what}: result {place} is {y.dtype}{y.shape} instead of {z.dtype}{z.shape}"
        )
        wrong = ~_same(y, z)
        if y.dtype in INEXACT and flush:
            tiny = finfo(y.dtype).tiny
            wrong &= ~((np.abs(y) <= tiny) & (np.abs(z) <= tiny))
        if y.dtype in INEXACT and ulps:
            wrong &= ~(_distance(y, z, scale) <= ulps)
        if wrong.any():
            first = tuple(int(i) for i in np.argwhere(wrong)[0])
            raise AssertionError(
                f"{law}: {what}: result {place} at {first} is {y[first]!r} instead of "
                f"{z[first]!r}; {np.count_nonzero(wrong)} of {y.size} are wrong"
                + (f", by {_worst(y, z, wrong, scale):.4g} ulps" if y.dtype in INEXACT else "")
            )


def _same(y: np.ndarray, z: np.ndarray) -> np.ndarray:
    if y.dtype not in INEXACT:
        return y == z
    return (y == z) | (np.isnan(y) & np.isnan(z))


def _distance(y: np.ndarray, z: np.ndarray, scale: float) -> np.ndarray:
    """|y - z| in units in the last place of |z| or of scale, the larger; inf from inf to others."""
    with np.errstate(all="ignore"):
        size = np.abs(z)
        unit = np.spacing(np.maximum(size, size.dtype.type(scale)))
        distance = np.abs(y.astype(np.promote_types(y.dtype, np.longdouble)) - z) / unit
    return np.where(np.isfinite(y) & np.isfinite(z), distance, np.inf)


def _worst(y: np.ndarray, z: np.ndarray, wrong: np.ndarray, scale: float) -> float:
    return float(np.max(_distance(y, z, scale)[wrong]))

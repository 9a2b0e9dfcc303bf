"""convolve, over some axes of arrays, summed over others."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError, ShapeError
from tracejit.trace.provenance import user_frame

__all__ = ["convolve"]

Axes = Sequence[Sequence[int]] | None


def convolve(
    A: Any, B: Any, axes: Axes = None, dot_axes: Axes = None, mode: str = "full"
) -> Any:
    """The convolution of A and B over pairs of axes, of shape (other axes of A, of B, *convolved).

    axes: (axes of A, axes of B) to convolve, all unless said. dot_axes: pairs to sum products over.
    mode: "full", "same" (as A), or "valid", where one array must be larger in all convolved axes.
    """
    if mode not in ("full", "same", "valid"):
        raise ArgumentError(f"mode {mode!r}: 'full', 'same' or 'valid'", where=user_frame())
    over = [[*range(x.ndim)] for x in (A, B)] if axes is None else [list(a) for a in axes]
    dotted = [[], []] if dot_axes is None else [list(a) for a in dot_axes]
    sizes = [(A.shape[i], B.shape[j]) for i, j in zip(*over, strict=True)]
    swapped = all(m <= n for m, n in sizes) and any(m < n for m, n in sizes)
    if mode == "valid" and not swapped and any(m < n for m, n in sizes):
        raise ShapeError(
            "convolve: one array must be larger along all convolved axes, and these are "
            f"{A.shape} and {B.shape}", where=user_frame(), hint="mode='full'",
        )  # fmt: skip
    if swapped:
        return _ordered(_windows(B, A, over[::-1], dotted[::-1], mode, sizes), A, B, over, dotted)
    return _windows(A, B, over, dotted, mode, sizes)


def _windows(
    A: Any, B: Any, over: list[list[int]], dotted: list[list[int]], mode: str,
    sizes: list[tuple[int, int]],
) -> Any:  # fmt: skip
    """Every window of A, of the size of B, times B from behind; of shape (A, B, windows).

    sizes: of the pairs as the user gave them, of which "same" takes the first.
    """
    letters = iter(ascii_letters)
    names_A: list[str] = [next(letters) for _ in range(A.ndim)]
    names_B: list[str] = [next(letters) for _ in range(B.ndim)]
    for i, j in zip(*dotted, strict=True):
        names_B[j] = names_A[i]
    places = []
    for (i, j), (first, _) in zip(zip(*over, strict=True), sizes, strict=True):
        m, n = A.shape[i], B.shape[j]
        before, count = {
            "full": (n - 1, m + n - 1), "valid": (0, m - n + 1),
            "same": (n - 1 - (m + n - 1 - first) // 2, first),
        }[mode]  # fmt: skip
        room = [(0, 0)] * A.ndim
        room[i] = (max(before, 0), max(count + n - 1 - before - m, 0))
        A = np.pad(A, room)
        rows = np.arange(count)[:, None] + np.arange(n) + max(-before, 0)
        places.append((i, rows, next(letters), next(letters)))
        names_B[j] = places[-1][3]
    for i, rows, window, element in sorted(places, key=lambda place: -place[0]):
        A = np.take(A, rows, axis=i)
        names_A[i] = window + element
    B = B[tuple([slice(None, None, -1) if j in over[1] else slice(None) for j in range(B.ndim)])]
    kept = [names_A[i] for i in range(len(names_A)) if i not in (*over[0], *dotted[0])]
    kept += [names_B[j] for j in range(B.ndim) if j not in (*over[1], *dotted[1])]
    result = "".join(kept) + "".join(window for _, _, window, _ in places)
    return np.einsum(f"{''.join(names_A)},{''.join(names_B)}->{result}", A, B)


def _ordered(
    y: Any, A: Any, B: Any, over: list[list[int]], dotted: list[list[int]]
) -> Any:  # fmt: skip
    """The other axes of A ahead of those of B, of a result in which they are behind."""
    m, n = (x.ndim - len(c) - len(d) for x, c, d in zip((A, B), over, dotted, strict=True))
    return np.transpose(y, [*range(n, n + m), *range(n), *range(n + m, y.ndim)])

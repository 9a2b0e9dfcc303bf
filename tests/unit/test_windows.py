"""Slices with traced bounds: every operation against NumPy, for every place of the window."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from windows_harness import for_each, mapped

N = 6
RNG = np.random.default_rng(0)
A = RNG.normal(size=(N, N))
B = RNG.normal(size=(N, N + 2))
X = RNG.normal(size=N)
Y = RNG.normal(size=N)
R = np.array([0, 2, 2, 3, 6, 6, 6])  # rows of a sparse matrix
C = np.array([1, 4, 0, 5, 2, 3])  # and its columns


def written(x: Any, index: Any, new: Any) -> Any:
    x[index] = new
    return x


def changed(x: Any, index: Any, by: Any) -> Any:
    x[index] += by
    return x


def through_a_name(x: Any, i: int) -> Any:
    part = x[:i]
    part *= 2.0
    x[0] = 7.0
    return x.sum() + part.sum()


#: Functions of a traced i and A, B, X, Y.
READS: dict[str, Callable[..., Any]] = {
    "sum": lambda i, a, b, x, y: x[:i].sum(),
    "np.sum": lambda i, a, b, x, y: np.sum(x[i:]),
    "row": lambda i, a, b, x, y: a[i, :i].sum(),
    "column": lambda i, a, b, x, y: a[i:, i].sum(),
    "dot": lambda i, a, b, x, y: a[i, :i] @ a[:i, i],
    "np.dot": lambda i, a, b, x, y: np.dot(a[i, i + 1 :], x[i + 1 :]),
    "dot of a square and a wide one": lambda i, a, b, x, y: b[i, :i] @ x[:i],
    "matrix by window": lambda i, a, b, x, y: a[:, :i] @ x[:i],
    "window by matrix": lambda i, a, b, x, y: x[:i] @ a[:i],
    "window of a matrix": lambda i, a, b, x, y: (x @ a[:, i:]).sum(),
    "matrix of windows": lambda i, a, b, x, y: (a[:i, :i] @ a[:i, i:]).sum(),
    "inner": lambda i, a, b, x, y: np.inner(x[:i], y[:i]),
    "vdot": lambda i, a, b, x, y: np.vdot(a[:i, i:], b[:i, i : i - 2 + 2 + N - i]),
    "outer": lambda i, a, b, x, y: np.outer(x[:i], y[i:]).sum(),
    "tensordot": lambda i, a, b, x, y: np.tensordot(a[:, :i], b[:i], 1).sum(),
    "shifted": lambda i, a, b, x, y: x[:i] @ y[N - i :],
    "shifted by one": lambda i, a, b, x, y: (x[: i // 2] * y[1 : i // 2 + 1]).sum(),
    "flipped": lambda i, a, b, x, y: np.dot(np.flip(x[:i]), y[:i]),
    "flipped by step": lambda i, a, b, x, y: x[:i][::-1] @ y[:i],
    "from the end": lambda i, a, b, x, y: (x[i::-1] * y[: i + 1]).sum(),
    "from before the start": lambda i, a, b, x, y: x[i - 1 :: -1].sum(),
    "both bounds from the end": lambda i, a, b, x, y: x[i : i - 3 : -1].sum(),
    "negative start": lambda i, a, b, x, y: x[-i:].sum(),
    "negative stop": lambda i, a, b, x, y: x[:-i].sum(),
    "start and stop": lambda i, a, b, x, y: x[i - 2 : i + 2].sum(),
    "beyond the end": lambda i, a, b, x, y: x[i : i + 4].sum(),
    "out of range": lambda i, a, b, x, y: x[i + 3 : 2 * i + 1].sum(),
    "empty": lambda i, a, b, x, y: x[i:i].sum(),
    "elementwise": lambda i, a, b, x, y: (np.exp(x[:i]) * 2.0 - y[:i] / 3.0).sum(),
    "broadcast": lambda i, a, b, x, y: (a[:i, i:] * x[i:] + y[:i, None]).sum(),
    "broadcast of a row": lambda i, a, b, x, y: (a[i, :i] * b[:, :i]).sum(),
    "prod": lambda i, a, b, x, y: x[:i].prod(),
    "max": lambda i, a, b, x, y: x[: i + 1].max(),
    "np.max": lambda i, a, b, x, y: np.max(a[: i + 1, i:], axis=1).sum(),
    "min": lambda i, a, b, x, y: x[i:].min(),
    "any": lambda i, a, b, x, y: (x[:i] > 0).any(),
    "all": lambda i, a, b, x, y: np.all(x[:i] > -1),
    "count_nonzero": lambda i, a, b, x, y: np.count_nonzero(x[:i] > 0),
    "argmax": lambda i, a, b, x, y: x[i:].argmax(),
    "argmin": lambda i, a, b, x, y: np.argmin(x[: i + 1]),
    "mean": lambda i, a, b, x, y: x[: i + 1].mean(),
    "mean of rows": lambda i, a, b, x, y: a[: i + 1].mean(axis=0),
    "mean within rows": lambda i, a, b, x, y: a[:, i:].mean(axis=1),
    "mean of nothing": lambda i, a, b, x, y: x[:i].mean(),
    "var": lambda i, a, b, x, y: np.var(x[: i + 1]),
    "var of rows": lambda i, a, b, x, y: np.var(a[: i + 1], axis=0),
    "std": lambda i, a, b, x, y: x[: i + 1].std(),
    "std, one less": lambda i, a, b, x, y: np.std(x[: i + 2], ddof=1),
    "ptp": lambda i, a, b, x, y: np.ptp(x[i:]),
    "sum of rows": lambda i, a, b, x, y: a[:i].sum(axis=0),
    "sum within rows": lambda i, a, b, x, y: np.sum(a[:i], axis=1).sum(),
    "keepdims": lambda i, a, b, x, y: (a[:i] - a[:i].sum(axis=1, keepdims=True)).sum(),
    "maximum": lambda i, a, b, x, y: np.maximum(x[:i], 0).sum(),
    "where": lambda i, a, b, x, y: np.where(x[:i] > 0, x[:i], y[:i]).sum(),
    "clip": lambda i, a, b, x, y: np.clip(x[:i], -0.5, 0.5).sum(),
    "clip method": lambda i, a, b, x, y: x[:i].clip(0).sum(),
    "cumsum": lambda i, a, b, x, y: (np.cumsum(x[i:]) * y[i:]).sum(),
    "cumprod": lambda i, a, b, x, y: x[:i].cumprod().sum(),
    "astype": lambda i, a, b, x, y: (x[:i] * 9).astype(int).sum(),
    "round": lambda i, a, b, x, y: np.round(x[:i], 1).sum(),
    "copy": lambda i, a, b, x, y: changed(x[:i].copy(), np.s_[:], 1.0).sum() + x.sum(),
    "T": lambda i, a, b, x, y: (a[:i].T @ y[:i]),
    "newaxis": lambda i, a, b, x, y: (x[:i, None] * y[None, :]).sum(0),
    "newaxis of a window": lambda i, a, b, x, y: (x[:i][:, None] + y[:i][None]).sum(),
    "reshape": lambda i, a, b, x, y: (x[:i].reshape(-1, 1) * y).sum(0),
    "size": lambda i, a, b, x, y: x[2:i].size,
    "shape": lambda i, a, b, x, y: a[i:, :i].shape[0] * 10 + a[i:, :i].shape[1],
    "first": lambda i, a, b, x, y: x[i:][0],
    "last": lambda i, a, b, x, y: x[: i + 1][-1],
    "numbered": lambda i, a, b, x, y: x[i:][(N - 1 - i) // 2],
    "listed": lambda i, a, b, x, y: x[i:][np.array([0, -1])],
    "part of a part": lambda i, a, b, x, y: x[i:][1:-1].sum(),
    "bound of a part": lambda i, a, b, x, y: x[i:][: i - 1].sum(),
    "part of rows": lambda i, a, b, x, y: a[i:][0, :i].sum(),
    "abs, power, neg": lambda i, a, b, x, y: (-np.abs(x[:i]) ** 1.5).sum(),
    "compared": lambda i, a, b, x, y: (x[:i] < y[:i]).sum(),
    "reflected": lambda i, a, b, x, y: (2.0 - x[:i] + (1.0 / (3.0 + x[:i]))).sum(),
    "array first": lambda i, a, b, x, y: (np.ones((1,)) * x[:i]).sum(),
    "known length": lambda i, a, b, x, y: x[i % 3 : i % 3 + 3] * y[:3] + y[i % 2 : i % 2 + 3],
    "block": lambda i, a, b, x, y: a[i % 3 : i % 3 + 2, i % 4 : i % 4 + 3],
    "block of a row": lambda i, a, b, x, y: a[i, i % 3 : i % 3 + 2],
    "block with steps": lambda i, a, b, x, y: x[i % 3 : i % 3 + 4 : 2],
    "block turned": lambda i, a, b, x, y: x[i % 3 + 3 : i % 3 : -1],
    "nested": lambda i, a, b, x, y: (a[i, :i] * (b[:, :i] @ x[:i])[2]).sum(),
    "multiply.reduce": lambda i, a, b, x, y: np.add.reduce(x[:i] ** 2),
}  # fmt: skip

WRITES: dict[str, Callable[..., Any]] = {
    "number": lambda i, a, b, x, y: written(x, np.s_[:i], 5.0),
    "row": lambda i, a, b, x, y: written(a, np.s_[i, :i], x[:i]),
    "column": lambda i, a, b, x, y: written(a, np.s_[i:, i], x[i:]),
    "row into column": lambda i, a, b, x, y: written(a, np.s_[i + 1 :, i], a[i, i + 1 :]),
    "part of a matrix": lambda i, a, b, x, y: written(a, np.s_[:i, i:], x[i:]),
    "all of a part": lambda i, a, b, x, y: (written(x[i:], np.s_[:], y[i:]), x)[1],
    "added": lambda i, a, b, x, y: changed(x, np.s_[:i], y[:i]),
    "added, shifted": lambda i, a, b, x, y: changed(x, np.s_[:i], 2 * np.flip(x[:i])),
    "from itself": lambda i, a, b, x, y: written(x, np.s_[1 : i // 2 + 1], x[: i // 2]),
    "turned": lambda i, a, b, x, y: written(x, np.s_[i::-1], y[: i + 1]),
    "block": lambda i, a, b, x, y: written(a, np.s_[i, i % 3 : i % 3 + 3], x[:3]),
    "added to a block": lambda i, a, b, x, y: changed(a, np.s_[i % 4 : i % 4 + 2, i], y[i % 3]),
    "known length": lambda i, a, b, x, y: written(x, np.s_[0:3], y[i % 3 : i % 3 + 3]),
    "broadcast": lambda i, a, b, x, y: changed(a, np.s_[:i], x),
    "outer product": lambda i, a, b, x, y: changed(a, np.s_[i:, i:], -np.outer(x[i:], y[i:])),
    "beside steps": lambda i, a, b, x, y: written(a, np.s_[::2, :i], 3.0),
    "with a new axis": lambda i, a, b, x, y: written(a, np.s_[None, i, :i], 3.0),
    "through a name": lambda i, a, b, x, y: through_a_name(x, i),
    "out": lambda i, a, b, x, y: (np.multiply(x[:i], 2.0, out=x[:i]), x)[1],
    "fill": lambda i, a, b, x, y: (x[i:].fill(2.0), x)[1],
    "part of a part": lambda i, a, b, x, y: (written(x[i:], np.s_[1:], 0.0), x)[1],
    "element of a part": lambda i, a, b, x, y: (written(x[i:], 0, 0.0), x)[1],
    "transposed": lambda i, a, b, x, y: (written(a[:i].T, np.s_[2], 0.0), a)[1],
    "dtype": lambda i, a, b, x, y: written((x * 5).astype(int), np.s_[:i], x[:i] * 9),
}  # fmt: skip

CASES = [*READS.items(), *WRITES.items()]


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("backend", ["eager", "native"])  # xla: see test_windows_programs.py
@pytest.mark.parametrize(("name", "function"), CASES, ids=[name for name, _ in CASES])
def test_as_numpy(name: str, function: Callable[..., Any], backend: str) -> None:
    expected = for_each(function, N, A, B, X, Y)
    got = mapped(function, N, A, B, X, Y, backend=backend)
    assert got.dtype == expected.dtype
    np.testing.assert_allclose(got, expected, rtol=1e-12, atol=1e-12)

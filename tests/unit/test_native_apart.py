"""Windows that lie apart: what is written is known behind the other, and written once."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native.apart import apart
from tracejit.backends.native.bounds import bounded
from tracejit.backends.native.counting import count
from tracejit.passes.cse import cse
from tracejit.passes.dce import dce
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close


def program(shift):
    """Changes places of an array in turn, one of them several times."""

    def fun(x, y):
        x, seen = x.copy(), np.zeros_like(x)
        for i in range(2, len(x) - 2):
            x[i] = x[i] + y[i]
            x[i - shift] = x[i - shift] + x[i] * y[i]
            seen[i] = x[i]
            x[i] = 0.5 * x[i] + x[i - 2]
        return x, seen

    return fun


@pytest.mark.parametrize("shift", [0, 1, 2, -1])
@pytest.mark.parametrize("n", [4, 5, 8, 300])
def test_is_the_same(shift, n, rng) -> None:
    """Also where a place is the same, and where one is moved inside."""
    x, y = rng.normal(size=n), rng.normal(size=n)
    fun = program(shift)
    loss = lambda x, y: sum(np.sum(np.sin(z)) for z in fun(x, y))
    for run in (fun, tj.grad(loss, argnums=(0, 1))):
        got, want = (tj.jit(run, backend=b)(x, y) for b in ("native", "eager"))
        assert_close(f"shift {shift}", n, got, want, rtol=1e-12)


def windows(shift) -> tuple[int, int]:
    """How many windows a round reads and writes, before and behind the pass."""
    x = np.zeros(300)
    counted, _ = count(SIMPLIFY(tj.make_jaxpr(program(shift))(x, x)), ())
    before = dce(cse(bounded(counted)))
    after = dce(apart(before))
    return tuple(str(p).count("dynamic_") for p in (before, after))  # type: ignore[return-value]


def test_what_is_written_is_known() -> None:
    """Where windows lie apart; not where they may meet."""
    before, after = windows(1)
    assert after < before
    x = np.arange(301.0)

    def meet(x):
        x, seen = x.copy(), np.zeros_like(x)
        for i in range(len(x)):
            x[i] = 1.0 + i
            x[len(x) - 1 - i] += 2.0
            seen[i] = x[i]
            x[i] *= 0.5
        return x, seen

    assert_close("meet", x.shape, tj.jit(meet)(x), meet(x), rtol=0.0)


def columns(w, u):
    """Sweeps down and up along the last axis of large arrays."""
    c, d = np.zeros_like(u), np.zeros_like(u)
    for k in range(1, u.shape[-1] - 1):
        g = 0.25 * (w[1:, :, k + 1] + w[:-1, :, k])
        c[:, :, k] = g
        b = 3.0 - g * c[:, :, k - 1]
        d[:, :, k] = u[:, :, k - 1] - g * (u[:, :, k + 1] - u[:, :, k])
        c[:, :, k] = c[:, :, k] / b
        d[:, :, k] = (d[:, :, k] - d[:, :, k - 1] * g) / b
    for k in range(u.shape[-1] - 2, -1, -1):
        d[:, :, k] = d[:, :, k] - c[:, :, k] * d[:, :, k + 1]
    return d


@pytest.mark.parametrize("shape", [(1, 1, 8), (3, 2, 30), (34, 36, 40)], ids=str)
def test_sweeps_over_columns(shape, rng) -> None:
    w, u, z = rng.random((shape[0] + 1, *shape[1:])), rng.random(shape), rng.random(shape)
    loss = lambda w, u: np.sum(columns(w, u) * z)
    got, want = (
        tj.jit(tj.grad(loss, argnums=(0, 1)), backend=b)(w, u)
        for b in ("native", "eager")
    )
    assert_close("columns", shape, got, want, rtol=1e-11)


def test_adjoints_of_sweeps_copy_nothing_whole(rng) -> None:
    """In no round of the way back; each place is read and written once."""
    w, u = rng.random((13, 12, 40)), rng.random((12, 12, 40))
    gradient = tj.grad(lambda w, u: np.sum(columns(w, u)), argnums=(0, 1))
    kernels = str(tj.stages(gradient)(w, u)["kernels"])
    back = kernels.split("statement scan")[-1].split("copy over (12, 12, 1)")
    assert len(back) > 3
    assert all("copy over (12, 12, 40)" not in part for part in back[1:-1])


def test_arrays_are_written_where_they_go(rng) -> None:
    """What is written, and read at once in the same place and in others, is not kept beside it."""
    x = rng.random((20, 30))

    def sweeps(x, y):
        for _ in range(40):
            y[1:-1, 1:-1] = x[1:-1, 1:-1] + x[1:-1, :-2] + x[2:, 1:-1]
            x[1:-1, 1:-1] = y[1:-1, 1:-1] - y[1:-1, 2:] - y[:-2, 1:-1]

    kernel = tj.jit(sweeps, backend="native")
    kernels = str(tj.stages(kernel)(x, x.copy())).split("// kernels")[1].split("// llvm")[0]
    assert "kernel over" not in kernels and kernels.count("copy over (18, 28)") == 2

"""What is padded runs apart for its core, where it asks nothing, and for the slabs around it."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native.borders import Core
from tracejit.backends.native.halo import Halo
from tracejit.testing.compare import assert_close

CROSS = [(1, 1), (0, 2), (2, 0)]


def shifted(x, widths):
    """The sum of x at several places, each time another multiple."""
    return sum((k + 1.0) * np.pad(x, w) for k, w in enumerate(widths))


def line(a, b):
    return a * 0.5 + shifted(b[1:-1], CROSS)


def plane(a, b):
    """A part is read, and so is what it is added to."""
    total = a + shifted(b[1:-1, 1:-1], [(1, 1), ((0, 2), (1, 1)), ((1, 1), (2, 0))])
    return total, total.at[1:-1, 1:-1].set(0.0) * 2.0


def far(a, b):
    """Borders of other widths on each side, a row alone, a column alone."""
    one = np.pad(b[:, 3:], ((0, 0), (1, 2))) + np.pad(b[2:, :], ((0, 2), (0, 0)))
    two = np.pad(b[:1, :], ((0, b.shape[0] - 1), (0, 0))) * a
    return one + two + np.pad(b[:, -1:], ((0, 0), (b.shape[1] - 1, 0)))


def box(a, b):
    return a + shifted(b[1:-1, 1:-1, 1:-1], [((0, 2), (1, 1), (1, 1)), ((1, 1), (1, 1), (2, 0)), 1])


def turned(a, b):
    """Through axes in another order, one more axis, and backwards."""
    part = np.pad(b.T[1:, :], ((0, 1), (0, 0))) + np.pad(b.T[:, 2:], ((0, 0), (1, 1)))
    wide = np.pad(b[::-1][:-1], ((1, 0), (0, 0)))[None]
    return a + part.T + wide[0]


def chosen(a, b):
    """A choice that the core decides, of numbers, integers and truths."""
    inside = np.pad(np.ones((a.shape[0] - 2, a.shape[1] - 2), bool), 1)
    count = np.pad((b[1:] > 0).astype(np.int32), ((0, 1), (0, 0)))
    truths = np.pad(b[2:] > a[2:], ((1, 1), (0, 0)))
    return np.where(inside, a, b) + np.where(inside, 1.0, a), count, truths


ROWS = [(9, 70), (70, 9), (23, 24), (24, 25), (64, 64), (3, 300), (300, 3)]
CASES = [
    *[(line, (n,)) for n in (511, 512, 515, 640, 20_001)],
    *[(f, shape) for f in (plane, far, turned, chosen) for shape in (*ROWS, (310, 330))],
    *[(box, shape) for shape in ((9, 9, 9), (10, 11, 12), (3, 20, 17), (20, 17, 3))],
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["f8", "f4"])
@pytest.mark.parametrize(("fun", "shape"), CASES, ids=lambda x: getattr(x, "__name__", str(x)))
def test_is_the_same(fun, shape, dtype, rng) -> None:
    a, b = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    native, eager = (tj.jit(fun, backend=name)(a, b) for name in ("native", "eager"))
    assert_close(fun.__name__, shape, native, eager, rtol=1e-13 if dtype == "f8" else 1e-5)


def test_the_core_asks_nothing(rng) -> None:
    """Its loops are whole vectors."""
    a = rng.normal(size=(64, 64))
    kernels = str(tj.stages(plane)(a, a)["kernels"])
    assert "[61 48 by" in kernels
    assert "statement dynamic_update_slice" in kernels


def test_what_is_padded_lies_as_it_is(rng) -> None:
    """No copy with a halo of what is there already."""
    a = rng.normal(size=(40, 40))
    fun = lambda a, b: plane(a, b)[0]
    assert str(tj.stages(fun)(a, a)["kernels"]).count("kernel over") == 1
    assert "copy over" not in str(tj.stages(fun)(a, a)["kernels"])


def test_small_spaces_are_left_whole(rng) -> None:
    a = rng.normal(size=(20, 20))
    assert "kernel over (20, 20), loops [20 20 by" in str(tj.stages(plane)(a, a)["kernels"])


def test_slabs_and_core_are_the_space() -> None:
    core = Core((10, 7, 5), Halo((1, 0, 2), (2, 3, 0)))
    count = np.zeros(core.space, int)
    part = core.inside
    count[tuple(map(slice, part.low, part.high))] += 1
    for start, extents in core.slabs:
        count[tuple(slice(a, a + n) for a, n in zip(start, extents, strict=True))] += 1
    assert (count == 1).all()


STEPS = 7


def diffused(a, b):
    for _ in range(STEPS):
        b[1:-1, 1:-1] = 0.2 * (a[1:-1, 1:-1] + a[2:, 1:-1] + a[:-2, 1:-1] + a[1:-1, :-2])
        a[1:-1, 1:-1] = 0.2 * (b[1:-1, 1:-1] + b[2:, 1:-1] + b[:-2, 1:-1] + b[1:-1, 2:])


def leaping(a, b):
    for _ in range(STEPS):
        a[1:, :] -= 0.5 * (b[1:, :] - b[:-1, :])
        b[:-1, :-1] -= 0.7 * (a[:-1, 1:] - a[:-1, :-1])
        a[0, :] = 1.0


def steepened(a, b):
    for _ in range(STEPS):
        c = a.copy()
        slope = c[1:-1, 1:-1] - c[1:-1, :-2]
        a[1:-1, 1:-1] = c[1:-1, 1:-1] - 0.1 * c[1:-1, 1:-1] * slope + b[2:, 2:]
        a[0, :] = 0.0
        a[:, -1] = a[:, -2]


@pytest.mark.parametrize("shape", [(3, 3), (5, 40), (24, 31), (70, 70), (180, 190)], ids=str)
@pytest.mark.parametrize("sweep", [diffused, leaping, steepened])
def test_gradients_of_sweeps(sweep, shape, rng) -> None:
    def loss(a, b, weights):
        a, b = a.copy(), b.copy()
        sweep(a, b)
        return np.sum(a * weights) + np.sum(np.sin(b))

    a, b, weights = (0.3 * rng.normal(size=shape) for _ in range(3))
    native, eager = (
        tj.jit(tj.value_and_grad(loss, argnums=(0, 1)), backend=name)(a, b, weights)
        for name in ("native", "eager")
    )
    assert_close(sweep.__name__, shape, native, eager, rtol=1e-11)


def test_the_adjoint_of_a_linear_step_keeps_nothing() -> None:
    """It writes two arrays, each where it lies; what was taken out comes back as it was."""

    def run(a, b):
        a, b = a.copy(), b.copy()
        for _ in range(60):
            a[1:-1, 1:-1] += 0.1 * (b[2:, 1:-1] + b[:-2, 1:-1] - 2.0 * b[1:-1, 1:-1])
            b[1:-1, 1:-1] += 0.1 * a[1:-1, 1:-1]
        return a + b

    gradient = tj.grad(lambda *x: np.sum(run(*x)), argnums=(0, 1))
    kernels = str(tj.stages(gradient)(np.ones((60, 64)), np.ones((60, 64)))["kernels"])
    assert kernels.split("statement scan")[1].count("kernel over") == 2

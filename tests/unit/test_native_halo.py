"""Arrays that are padded several times lie with their padding around them."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native.compile import NativeExecutable
from tracejit.backends.native.halo import Halo
from tracejit.backends.native.plan import Plan
from tracejit.ir.walk import evaluate
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close


def line(x):
    return x[2:] - 2.0 * x[1:-1] + 0.5 * x[:-2]


def plane(x):
    return 0.2 * (x[1:-1, 1:-1] + x[:-2, 1:-1] + x[2:, 1:-1] + x[1:-1, :-2] + x[1:-1, 2:])


def wide(x):
    """Two below, one above, in one axis of three; borders of other widths in the next."""
    return x[:, 2:-1, 3:] + x[:, :-3, 1:-2] * 2.0 - x[:, 3:, 2:-1] + x[:, 1:-2, :-3]


def filled(x):
    """Padded with another number than 0, and read as it is, too."""
    y = np.tanh(x)
    pads = [np.pad(y, (k, 3 - k), constant_values=2.5) for k in range(4)]
    return sum(pads) * 1.0, np.cumsum(y), y * 3.0


CASES = {"line": (line, (700,)), "plane": (plane, (19, 40)), "wide": (wide, (5, 12, 19))}


@pytest.mark.parametrize("name", CASES)
def test_adjoints_of_stencils(name, rng) -> None:
    stencil, shape = CASES[name]
    x = rng.normal(size=shape)
    jaxpr = SIMPLIFY(tj.make_jaxpr(tj.grad(lambda x: np.sum(np.sin(stencil(x)))))(x))
    run = NativeExecutable(jaxpr)
    assert any("halo" in reason for reason in reasons(jaxpr))
    assert_close(name, shape, run(x), evaluate(jaxpr, x), rtol=1e-13)


def reasons(jaxpr) -> list[str]:
    return list(Plan(jaxpr).stored.values())


def test_other_numbers_around(rng) -> None:
    x = rng.normal(size=600)
    got, want = (tj.jit(filled, backend=name)(x) for name in ("native", "eager"))
    assert_close("filled", x.shape, got, want, rtol=1e-13)


def test_in_a_loop(rng) -> None:
    def fun(x):
        def step(i, x):
            return x.at[1:-1, 1:-1].set(np.tanh(plane(x)))

        return np.sum(tj.lax.fori_loop(0, 4, step, x) ** 2)

    x = rng.normal(size=(31, 24))
    got, want = (tj.jit(tj.value_and_grad(fun), backend=b)(x) for b in ("native", "eager"))
    assert_close("loop", x.shape, got, want, rtol=1e-12)


def test_slabs_are_the_halo() -> None:
    halo = Halo((1, 0, 2), (2, 3, 0), 0.0)
    shape = (4, 2, 3)
    count = np.zeros(halo.around(shape), int)
    for start, extents in halo.slabs(shape):
        count[tuple(slice(a, a + n) for a, n in zip(start, extents, strict=True))] += 1
    assert halo.inside(count.shape) == shape
    inside = tuple(slice(a, a + n) for a, n in zip(halo.low, shape, strict=True))
    assert not count[inside].any()
    count[inside] = 1
    assert (count == 1).all()

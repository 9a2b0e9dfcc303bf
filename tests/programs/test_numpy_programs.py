"""Plain NumPy programs with loops and assignments, unmodified, under jit and under grad of it."""

from __future__ import annotations

import numpy as np
import numpy_factors
import numpy_mixed
import numpy_sweeps
import pytest
from benchmarks.npbench.checks import compared, doubled, quotient
from benchmarks.npbench.suite import (
    assigned,
    call,
    float_positions,
    loss_of,
    static_positions,
)
from numpy_registry import PROGRAMS

import tracejit as tj

FAMILIES = (numpy_factors, numpy_mixed, numpy_sweeps)

#: Those that go through every backend; the others go through the default one.
EVERYWHERE = ("levinson", "sparse_product", "check_sum", "smooth_line")


def made(name: str):
    known = PROGRAMS[name]
    return known, list(known.arguments(np.random.default_rng(3)))


def check_value(name: str, backend: str | None) -> None:
    known, args = made(name)
    want = call(known.function, args)
    function = tj.jit(known.function, static_argnums=static_positions(args), backend=backend)
    everything = sorted(want.arguments)
    for _ in range(2):
        got = call(function, args)
        difference = compared(got.all(everything), want.all(everything))
        assert difference == ""


def check_gradient(name: str, backend: str | None, monkeypatch) -> None:
    """Along a random direction, in float64."""
    known, args = made(name)
    floats = float_positions(args)
    if not floats:
        return
    changed = assigned(args, call(known.function, args))
    loss = loss_of(known.function, changed, np.sum)
    function = tj.jit(
        tj.value_and_grad(loss, argnums=tuple(floats)), static_argnums=static_positions(args),
        backend=backend,
    )  # fmt: skip
    before = [np.copy(x) for x in args]
    _, gradient = function(*args)
    assert all(np.array_equal(x, y) for x, y in zip(args, before, strict=True))
    for family in FAMILIES:
        monkeypatch.setattr(family.np, "float32", np.float64)
    args = doubled(args)
    rng = np.random.default_rng(5)
    tangents = {i: rng.standard_normal(args[i].shape) for i in floats if i not in known.steps}
    want, noise = quotient(loss, args, tangents)
    pairs = [(g, tangents[i]) for i, g in zip(floats, gradient, strict=True) if i in tangents]
    got = sum(float(np.sum(g * t)) for g, t in pairs)
    narrow = any(g.dtype == np.float32 for g, _ in pairs)
    assert got == pytest.approx(want, rel=1e-3 if narrow else 1e-5, abs=10 * noise + 1e-7)


@pytest.mark.parametrize("name", PROGRAMS)
def test_values(name: str) -> None:
    check_value(name, None)


@pytest.mark.parametrize("name", PROGRAMS)
def test_gradients(name: str, monkeypatch) -> None:
    check_gradient(name, None, monkeypatch)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_values_everywhere(name: str, backend: str) -> None:
    check_value(name, backend)


@pytest.mark.parametrize("name", EVERYWHERE)
def test_gradients_everywhere(name: str, backend: str, monkeypatch) -> None:
    check_gradient(name, backend, monkeypatch)


@pytest.mark.parametrize("name", ["orthogonalise", "levinson"])
def test_batches(name: str) -> None:
    """vmap of a program, and of its gradient, is each of its calls."""
    known, args = made(name)
    floats = float_positions(args)
    changed = assigned(args, call(known.function, args))
    loss = tj.value_and_grad(loss_of(known.function, changed, np.sum), argnums=tuple(floats))
    each = [
        [x * (1 + 0.02 * k) if i in floats else x for i, x in enumerate(args)] for k in range(3)
    ]
    fixed = {i: x for i, x in enumerate(args) if i not in floats}

    def of_arrays(*arrays):
        rest = iter(arrays)
        return loss(*[fixed[i] if i in fixed else next(rest) for i in range(len(args))])

    arrays = [np.stack([one[i] for one in each]) for i in floats]
    values, gradients = tj.jit(tj.vmap(of_arrays))(*arrays)
    alone = tj.jit(of_arrays)
    for k, one in enumerate(each):
        value, gradient = alone(*[x for i, x in enumerate(one) if i in floats])
        assert values[k] == pytest.approx(value, rel=1e-9)
        for x, y in zip(gradients, gradient, strict=True):
            assert np.allclose(x[k], y, rtol=1e-8, atol=1e-10)

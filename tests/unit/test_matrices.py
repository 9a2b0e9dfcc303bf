"""Loops of products of vectors become products of matrices, and stay what they are."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.passes import matrices

RNG = np.random.default_rng(7)


def normal(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape)


def gram(x, c):
    for i in range(c.shape[0]):
        c[i:, i] = c[i, i:] = x[:, i] @ x[:, i:] / 3.0
    return c


def upper_gram(x, c):
    for i in range(c.shape[0] - 1):
        c[i, i + 1 :] = 2.0 * (x[:, i + 1 :].T @ x[:, i])
    return c


def rank_k(x, c):
    for i in range(c.shape[0]):
        c[i, : i + 1] *= 0.5
        for k in range(x.shape[0]):
            c[i, : i + 1] += 2.0 * x[k, i] * x[k, : i + 1]
    return c


def rank_2k(x, c):
    y = np.cos(x)
    for i in range(c.shape[0]):
        for k in range(x.shape[0]):
            c[i, : i + 1] += x[k, i] * y[k, : i + 1] - y[k, i] * 3.0 * x[k, : i + 1]
    return c


def symmetric(x, c):
    m = x.shape[1]
    s = np.empty(m)
    b = x[: c.shape[0]] if x.shape[0] >= c.shape[0] else np.ones((c.shape[0], m))
    out = np.zeros_like(b)
    for i in range(c.shape[0]):
        for j in range(m):
            out[:i, j] += 2.0 * b[i, j] * c[i, :i]
            s[j] = b[:i, j] @ c[i, :i]
        out[i, :] += b[i, :] * c[i, i] + s
    return out


def below(x, c):
    """Later rounds begin further below."""
    out = np.zeros_like(c)
    for i in range(1, c.shape[0]):
        out[i - 1] += c[i:, i - 1] @ c[i:, :]
    return out


def three(x, c):
    out = np.zeros((x.shape[1], x.shape[1]))
    for i in range(x.shape[1]):
        for j in range(x.shape[1]):
            for k in range(x.shape[0]):
                out[i, j] += x[k, i] * x[k, j]
    return out


def outer_sums(x, c):
    out = np.zeros((x.shape[1], x.shape[1]))
    for row in x:
        out -= np.outer(row, np.tanh(row))
    return out


def rows_of_products(x, c):
    out = np.zeros((x.shape[0], c.shape[1]))
    for i in range(x.shape[0]):
        out[i, :] = np.sin(x[i, :] @ c) * i
    return out


def steps(x, c):
    """A state, whose products wait, or cannot."""
    state, sums = np.zeros(x.shape[1]), np.zeros_like(c)
    for i in range(x.shape[0]):
        state = np.tanh(0.5 * state + x[i] @ c)
        sums += np.outer(state, x[i])
    return sums + state


PROGRAMS = [
    gram, upper_gram, rank_k, rank_2k, symmetric, below, three, outer_sums, rows_of_products,
    steps,
]  # fmt: skip


def of(program):
    return lambda x, c: program(x, c.copy())


def dots_outside(f, *arguments) -> int:
    """Products that are in no loop: with two or more axes."""
    text = tj.stages(f)(*arguments)["matrices"]
    return sum(line.startswith("  %") and " = dot(" in line for line in text.splitlines())


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("shape", [(37, 40)])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_values_and_gradients(program, shape, dtype):
    x, c = normal(*shape).astype(dtype), normal(shape[1], shape[1]).astype(dtype)
    f = of(program)
    want = f(x, c)
    tol = 1e-9 if dtype == "float64" else 2e-3
    np.testing.assert_allclose(tj.jit(f)(x, c), want, rtol=tol, atol=tol * np.abs(want).max())
    if dtype == "float32":
        return
    weights = normal(*want.shape)
    g = tj.jit(tj.grad(lambda x, c: np.sum(weights * f(x, c)), argnums=(0, 1)))
    dx, dc = normal(*x.shape), normal(*c.shape)
    h = 1e-6
    slope = np.sum(weights * (f(x + h * dx, c + h * dc) - f(x - h * dx, c - h * dc))) / (2 * h)
    gx, gc = g(x, c)
    np.testing.assert_allclose(np.sum(gx * dx) + np.sum(gc * dc), slope, rtol=1e-5)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("n", [0, 1, 2, 33])
def test_odd_sizes(program, n):
    f = of(program)
    for x, c in (
        (normal(n, 34), normal(34, 34)), (normal(34, n), normal(n, n)), (normal(n, n), normal(n, n))
    ):
        if x.shape[1]:
            np.testing.assert_allclose(tj.jit(f)(x, c), f(x, c), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("program", PROGRAMS)
def test_turned_arguments(program):
    x, c, f = normal(41, 36)[::-1, ::-1], normal(36, 36).T[:, ::-1], of(program)
    np.testing.assert_allclose(tj.jit(f)(x, c), f(x, c), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("program", set(PROGRAMS) - {steps})
def test_a_product_for_all_rounds(program):
    arguments = normal(120, 48), normal(48, 48)
    assert dots_outside(of(program), *arguments) >= 1
    loss = lambda x, c: np.sum(np.sin(of(program)(x, c)))
    assert dots_outside(tj.grad(loss, argnums=(0, 1)), *arguments) >= 2


def test_products_with_a_state_wait_for_it():
    arguments = normal(50, 48), normal(48, 48)
    text = tj.stages(of(steps))(*arguments)["matrices"]
    assert text.index("dot(") < text.index("scan(") < text.rindex("dot(")


@pytest.mark.parametrize("program", PROGRAMS)
def test_what_is_not_read_is_not_finite(program, monkeypatch):
    """What lies on the other side of a diagonal does not matter."""
    x, c, f = normal(45, 40), normal(40, 40), of(program)

    def compiled():
        g = tj.jit(tj.grad(lambda x, c: np.sum(f(x, c)[20:, :3]), argnums=(0, 1)))
        value = tj.jit(lambda x, c: f(x, c))
        return lambda x, c: (value(x, c), *g(x, c))

    fast = compiled()
    fast(x, c)
    monkeypatch.setattr(matrices, "_may_gain", lambda eqn: False)
    loops = compiled()
    for bad in (np.nan, np.inf):
        for place in ((3, 30), (30, 3), (0, 0)):
            for k in range(2):
                pair = [x.copy(), c.copy()]
                pair[k][place] = bad
                for got, want in zip(fast(*pair), loops(*pair), strict=True):
                    np.testing.assert_array_equal(np.isfinite(got), np.isfinite(want))
                    good = np.isfinite(want)
                    np.testing.assert_allclose(got[good], want[good], rtol=1e-9, atol=1e-9)


def test_masks_of_the_user_hide_no_nan():
    """np.where is no window: 0 times NaN is NaN."""

    def f(x, c):
        out = np.zeros_like(c)
        for i in range(c.shape[0]):
            out[i, :] = x[:, i] @ np.where(np.arange(c.shape[1]) > i, x, 0.0)
        return out

    x, c = normal(40, 40), normal(40, 40)
    x[3, 39] = np.nan
    with np.errstate(all="ignore"):
        want = f(x, c)
    np.testing.assert_array_equal(np.isnan(tj.jit(f)(x, c)), np.isnan(want))


def test_what_decides_keeps_its_loop():
    """Where numbers decide what is computed, a NaN in between would not be seen."""

    def f(x, c):
        out, count = np.zeros_like(c), 0.0
        for i in range(c.shape[0]):
            for k in range(c.shape[1]):
                out[:i, k] += c[i, k] * x[i, :i]
            count += np.where(out[0, 0] > 0.5, 1.0, 0.0)
        return out + count

    x, c = normal(40, 40), normal(40, 40)
    np.testing.assert_allclose(tj.jit(f)(x, c.copy()), f(x, c.copy()), rtol=1e-9, atol=1e-9)
    c[20, 20] = np.nan
    np.testing.assert_allclose(tj.jit(f)(x, c.copy()), f(x, c.copy()), rtol=1e-9, atol=1e-9)


def test_an_array_that_is_read_is_not_changed_by_then():
    """Rows that later rounds read are those that earlier ones wrote."""

    def f(x, c):
        for i in range(1, c.shape[0]):
            c[i, :] += x[i, :i] @ c[:i, :] / 40.0
        return c

    x, c = normal(40, 40), normal(40, 40)
    np.testing.assert_allclose(tj.jit(f)(x, c.copy()), f(x, c.copy()), rtol=1e-9)


def test_small_loops_stay():
    x, c = normal(6, 5), normal(5, 5)
    stages = tj.stages(of(steps))(x, c)
    assert stages["matrices"] == stages["totals"]

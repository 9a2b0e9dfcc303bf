"""Kernels over a few points: arrays in registers, read by row, by column, by element."""

from __future__ import annotations

import numpy as np
import pytest
from native_guarded import program

import tracejit as tj
import tracejit.numpy as tnp
from tracejit import backends
from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.types import FLOAT32, FLOAT64, INT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import contraction, elementwise, structure
from tracejit.testing.compare import assert_close


def _product(x, y, contract=((1,), (0,))):
    return contraction.dot(x, y, contract=contract, batch=((), ()))


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32, INT64], ids=str)
@pytest.mark.parametrize("n", [1, 2, 3, 4, 5, 6])
def test_chains_of_products(n, dtype, rng) -> None:
    """Rows, columns and elements of what the kernel before left in registers."""

    def fun(x, y, v):
        a = _product(x, y)
        b = _product(a, y, ((1,), (1,)))
        c = _product(b, a, ((0,), (0,)))
        w = _product(c, v)
        back = structure.reverse(structure.permute(c, order=(1, 0)), axes=(0,))
        inner = _product(w, v, ((0,), (0,)))
        return [back, w, inner, structure.reduce_sum(b, axes=(0,)), _product(v, c, ((0,), (1,)))]

    types = [array_type(dtype, shape) for shape in ((n, n + 1), (n + 1, n + 1), (n,))]
    jaxpr = program(fun_of(fun, n), *types)
    arrays = [rng.integers(-3, 4, t.shape).astype(dtype) for t in types]
    run = NativeExecutable(jaxpr)
    assert_close("small", f"{n}", run(*arrays), evaluate(jaxpr, *arrays), rtol=0)


def fun_of(fun, n):
    """With a square matrix for x and one a row longer for y, as `fun` has it."""

    def wrapped(x, y, v):
        cut = structure.slice(x, start=(0, 0), limit=(n, n), stride=(1, 1))
        square = structure.slice(y, start=(1, 0), limit=(n + 1, n), stride=(1, 1))
        return fun(cut, square, v)

    return wrapped


def test_nothing_in_between_is_in_memory() -> None:
    """Only the result of a chain is stored."""
    t = array_type(FLOAT64, (3, 3))
    jaxpr = program(lambda x: [_product(_product(_product(x, x), x), x)], t)
    run = NativeExecutable(jaxpr)
    assert run.summary.stored == 0 and run.summary.workspace_bytes == 0
    assert run.summary.kernels == 3


def test_a_gather_reads_memory(rng) -> None:
    """What is read at an index that is not known lies in memory too."""

    def fun(x, i):
        y = x @ x
        z = y @ x
        turned = tj.lax.dynamic_slice(tnp.exp(z.T @ y)[::-1], i, (2, 2))
        same = tnp.take(y, [0, 0, 0], axis=0)
        return tnp.take(y, i, axis=0) @ z, z[i[0]] + y[i[1]], turned @ turned, same.sum(), y

    x, i = rng.normal(size=(4, 4)), np.array([2, 1])
    expected = tj.jit(fun, backend="eager")(x, i)
    for a, b in zip(tj.jit(fun)(x, i), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_masked_lanes(rng) -> None:
    """Pads and joined arrays ask for lanes that are not there."""

    def fun(x, y):
        z = x @ y
        pieces = tnp.concatenate([z, z.T[1:], x[:, ::-1]])
        return tnp.pad(z, ((1, 2), (0, 3))), pieces, tnp.roll(z, 1, axis=1), tnp.cumsum(z, axis=1)

    x, y = rng.normal(size=(2, 3, 3))
    expected = tj.jit(fun, backend="eager")(x, y)
    for a, b in zip(tj.jit(fun)(x, y), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_sums_ignore_lanes_that_are_not_there(rng) -> None:
    """Three elements in four lanes: the fourth is no part of a sum, whatever it holds."""
    t = array_type(FLOAT64, (3,))

    def fun(x):
        y = elementwise.exp(x)
        z = 1.0 / y
        tops = structure.reduce_sum(elementwise.log(y), axes=(0,))
        return [structure.reduce_sum(z, axes=(0,)), tops, _product(y, z, ((0,), (0,)))]

    jaxpr = program(fun, t)
    for x in (rng.normal(size=3), np.array([-np.inf, 0.0, 1.0]), np.array([np.nan, 0.0, 1.0])):
        with np.errstate(all="ignore"):
            expected = evaluate(jaxpr, x)
        assert_close("sum", "3 of 4", NativeExecutable(jaxpr)(x), expected, rtol=1e-14)


def test_filter_in_a_loop(rng) -> None:
    """A Kalman step inside a scan, with its gradient, as NumPy has it."""

    def loss(theta, ys, f, h):
        def step(carry, y):
            m, p, total = carry
            m, p = f @ m, f @ p @ f.T + tnp.exp(theta[0]) * tnp.eye(5)
            ph = p @ h
            s, v = h @ ph + tnp.exp(theta[1]), y - h @ m
            gain = ph / s
            p = p - gain[:, None] * ph[None, :]
            return (m + gain * v, p, total + tnp.log(s) + v * v / s), (m, p[0])

        start = (0.0 * h, tnp.eye(5) * 1.0, 0.0)
        (_, _, total), (ms, _) = tj.lax.scan(step, start, ys)
        return total + tnp.sum(ms**2)

    f = np.eye(5) + 0.1 * rng.normal(size=(5, 5))
    args = np.array([-1.0, 0.3]), rng.normal(size=12), f * 0.8, rng.normal(size=5)
    fun = tj.value_and_grad(loss, argnums=(0, 2))
    value, grads = tj.jit(fun)(*args)
    expected, slopes = tj.jit(fun, backend="eager")(*args)
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for a, b in zip(grads, slopes, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


BATCHED = {
    "nn": ((7, 3, 3), (7, 3, 3), ((2,), (1,)), ((0,), (0,))),
    "nt": ((9, 3, 4), (9, 5, 4), ((2,), (2,)), ((0,), (0,))),
    "tn": ((9, 4, 3), (9, 4, 6), ((1,), (1,)), ((0,), (0,))),
    "tt": ((9, 4, 3), (9, 5, 4), ((1,), (2,)), ((0,), (0,))),
    "vector": ((11, 4, 4), (11, 4), ((2,), (1,)), ((0,), (0,))),
    "outer": ((11, 4), (11, 3), ((), ()), ((0,), (0,))),
    "two": ((3, 10, 2, 5), (3, 10, 5, 2), ((3,), (2,)), ((0, 1), (0, 1))),
    "turned": ((3, 10, 2, 5), (10, 3, 5, 2), ((3,), (2,)), ((0, 1), (1, 0))),
    "behind": ((4, 4, 20), (4, 4, 20), ((1,), (0,)), ((2,), (2,))),
}


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32, INT64], ids=str)
@pytest.mark.parametrize("name", BATCHED)
def test_products_of_many(name, dtype, rng) -> None:
    """A loop over the batch around an unrolled product; operands lie in memory or are computed."""
    left, right, contract, batch = BATCHED[name]

    def fun(x, y):
        a = contraction.dot(x, y, contract=contract, batch=batch)
        return [a, contraction.dot(x * 2, elementwise.neg(y), contract=contract, batch=batch)]

    types = [array_type(dtype, shape) for shape in (left, right)]
    jaxpr = program(fun, *types)
    arrays = [rng.integers(-9, 9, t.shape).astype(dtype) for t in types]
    run = NativeExecutable(jaxpr)
    assert any("unrolled" in line for line in run.summary.lines) == (
        name not in ("turned", "behind")
    )
    assert_close("dot", name, run(*arrays), evaluate(jaxpr, *arrays), rtol=0)


@pytest.mark.parametrize("gap", [0, 1])
def test_what_was_read_before_an_update_is_not_read_again(gap, rng) -> None:
    """A slice of a carry, in registers, is padded behind the update of the carry in place."""

    def fun(x, ys):
        def step(x, y):
            piece = x[1:2, 1:] * 1.0
            padded = tj.lax.pad(piece, 0.0, [(1, 1, 0), (1 - gap, 0, gap)])
            x = tj.lax.dynamic_update_slice(x, tnp.zeros((1, 2)), (1, 1))
            return y + x + padded, piece.sum()

        return tj.lax.scan(step, x, ys)

    args = rng.normal(size=(3, 3)), rng.normal(size=(2, 3, 3))
    for a, b in zip(tj.jit(fun)(*args), tj.jit(fun, backend="eager")(*args), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_small_carries_are_registers() -> None:
    """Nothing of the recurrence is in memory but what it is multiplied with, and its result."""

    def fun(f, x):
        return tj.lax.fori_loop(0, 9, lambda _, x: f @ x + 0.5 * x, x)

    s = backends.load("native").compile(tj.jit(fun).trace(np.eye(3), np.eye(3))).summary
    assert s.stored == 0 and s.workspace_bytes == 0 and s.copies == 0


CARRIED = {
    "swapped": lambda a, b, y: ((b @ a, a + y), a),
    "handed on": lambda a, b, y: ((a * 2, a), b),
    "alike": lambda a, b, y: ((c := a @ b, c), c[0]),
    "constant": lambda a, b, y: ((a @ b + y, b), y),
    "written": lambda a, b, y: ((a.at[1, 1:].add(y), b @ a), a[2]),
    "sliced": lambda a, b, y: ((tj.lax.dynamic_slice(a, (y.astype(int), 0), (3, 3)), a.T), b),
    "in a branch": lambda a, b, y: (
        (tj.lax.cond(y > 0, lambda: a + b, lambda: a @ b), b * 0.9), a[0]
    ),
    "in a loop": lambda a, b, y: (
        (tj.lax.fori_loop(0, 3, lambda i, x: x @ b + a[i], a), b * 0.1), a[:, 1]
    ),
    "mask": lambda a, b, y: ((tnp.where(a > b, a, b * y), -b), a > b),
}  # fmt: skip


@pytest.mark.parametrize("length", [1, 2, 5])
@pytest.mark.parametrize("name", CARRIED)
def test_carries_of_every_kind(name, length, rng) -> None:
    """Value and gradient of loops over small arrays, as NumPy has them."""

    def loss(a, b, ys):
        step = lambda carry, y: CARRIED[name](*carry, y)
        (a, b), rows = tj.lax.scan(step, (a, b), ys)
        return tnp.sum(tnp.cos(a)) + tnp.sum(b * b) + tnp.sum(rows * 1.0), (a, b, rows)

    args = 0.5 * rng.normal(size=(3, 3)), 0.5 * rng.normal(size=(3, 3)), rng.normal(size=length)
    fun = tj.value_and_grad(loss, argnums=(0, 1, 2), has_aux=True)
    ours, expected = (tj.jit(fun, backend=name)(*args) for name in ("native", "eager"))
    ours, expected = map(tj.tree_util.tree_leaves, (ours, expected))
    for x, y in zip(ours, expected, strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("rows", [1, 3])
def test_products_of_many_read_what_small_kernels_made(rows, rng) -> None:
    """Where the batch is a loop, what is whole in registers is read from memory."""

    def fun(x, y):
        c = tnp.cos(x @ y)
        return c @ tnp.swapaxes(y, 1, 2), tnp.swapaxes(x, 1, 2) @ c, c

    def stepped(x, y):
        step = lambda c, i: (tnp.sin(c @ y) + fun(c, y)[2], tnp.sum(c) * i)
        return tj.lax.scan(step, x, tnp.arange(3.0))

    for function in (fun, stepped):
        args = rng.normal(size=(7, rows, 7)), rng.normal(size=(7, 7, 7))
        ours, expected = (tj.jit(function, backend=name)(*args) for name in ("native", "eager"))
        assert_close("batch", rows, ours, expected, rtol=1e-11)

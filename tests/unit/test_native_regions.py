"""Regions: kernels over the same rows, tile by tile, give what they give one after the other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import tracejit as tj
from tracejit.backends.native import compile as native
from tracejit.backends.native import contraction, pieces, regions
from tracejit.backends.native.compile import NativeExecutable
from tracejit.backends.native.plan import Plan
from tracejit.backends.native.regions import Region
from tracejit.ir.walk import evaluate
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close


@pytest.fixture
def short_tiles(monkeypatch):
    """Tiles of a few rows, in regions that save anything at all."""
    for name, value in {"WORTH": 1, "NEAR": 64, "FAR": 128, "FEW": 4, "MANY": 9}.items():
        monkeypatch.setattr(regions, name, value)


def program_of(fun: Callable[..., Any], *args: Any) -> Any:
    """The jaxpr that the backend gets."""
    return SIMPLIFY(tj.make_jaxpr(fun)(*args))


def logistic(w, x, y):
    return np.mean(np.logaddexp(0.0, -y * (x @ w)))


def columns(w, x, y):
    """The rows are the last axis."""
    return np.sum(np.tanh(np.tensordot(w, x, ([0], [1])) * y) ** 2)


def pairwise(a, b):
    return np.sum(np.log1p(np.sum(np.exp(-((a[:, None] - b[None, :]) ** 2)), axis=1)))


def softmax(w, x, c):
    z = x @ w
    top = np.max(z, axis=1, keepdims=True)
    return np.sum(np.log(np.sum(np.exp(z - top), axis=1)) - np.sum(z * c, axis=1))


def mixed(a, x):
    """Sums over all, over rows, over columns; a maximum, a count, an integer."""
    y = np.exp(np.sin(x * a))
    z = y / (1 + np.sum(y, axis=1, keepdims=True))
    best, many = np.max(z), np.sum(np.sum(z, axis=1) > 0.5)
    return best + np.sum(z * np.sum(z, axis=0)) + many


def batched(a, b):
    """Rows in the middle of three axes."""
    y = np.exp(np.sin(a))
    z = y * np.sum(y, axis=(0, 2), keepdims=True)
    return np.sum(np.cos(z) * b[:, None, None])


CASES: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "logistic": (logistic, [(5,), (37, 5), (37,)]),
    "even": (logistic, [(5,), (36, 5), (36,)]),
    "columns": (columns, [(5,), (41, 5), (41,)]),
    "pairwise": (pairwise, [(23,), (23,)]),
    "pairwise, two lengths": (pairwise, [(23,), (58,)]),
    "softmax": (softmax, [(4, 3), (29, 4), (29, 3)]),
    "mixed": (mixed, [(6,), (31, 6)]),
    "batched": (batched, [(3, 33, 2), (3,)]),
}


@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients(name, rng, short_tiles) -> None:
    fun, shapes = CASES[name]
    args = [rng.normal(size=shape) for shape in shapes]
    jaxpr = program_of(tj.value_and_grad(fun, argnums=(0, 1)), *args)
    run = NativeExecutable(jaxpr)
    assert any(line.startswith("region of") for line in run.summary.lines)
    assert_close(name, shapes, run(*args), evaluate(jaxpr, *args), rtol=1e-11)


def moved(x):
    """Elements of other rows: none of these readers joins the rows of y."""
    y = np.exp(np.sin(np.exp(x)))
    total = np.sum(y, axis=1)
    z = total[::-1] + np.pad(total, (1, 0))[:-1] + np.roll(total, 3)
    return np.sum(np.cos(z) * total), y[::-1] * total[:, None], np.sum(y * y[::-1])


def merged(x):
    """Rows and columns in one axis: read as a run of memory."""
    y = np.exp(np.sin(np.exp(x)))
    flat = np.reshape(y * np.sum(y, axis=1, keepdims=True), (-1,))
    return np.sum(flat * np.cumsum(flat)), np.sum(y.T.reshape(2, -1), axis=1)


def recut(x):
    """As many columns as there were rows: other elements in each."""
    y = np.exp(np.sin(np.exp(x)))
    turned = np.reshape(y, y.shape[::-1])
    return np.sum(y, axis=1), np.sum(np.tanh(turned), axis=0), np.sum(turned * y.T)


def chosen(x):
    """Rows at places that are only known at run time."""
    y = np.exp(np.sin(np.exp(x)))
    total = np.sum(y, axis=1)
    order = np.argsort(total)
    taken = np.take(total, order)
    return np.sum(taken * np.cumsum(total)), np.take(y, order, axis=0), np.cumsum(total)


@pytest.mark.parametrize("fun", [moved, merged, recut, chosen])
def test_other_rows(fun, rng, short_tiles) -> None:
    x = rng.normal(size=(34, 6))
    got, want = (tj.jit(fun, backend=name)(x) for name in ("native", "eager"))
    assert_close("rows", x.shape, got, want, rtol=1e-11)


def test_square_operands(rng, short_tiles) -> None:
    """Axes of equal length are told apart by what they mean, not by how long they are."""
    x = rng.normal(size=(24, 24))

    def fun(x):
        y = np.exp(np.sin(x))
        rows, cols = np.sum(y, axis=1), np.sum(y, axis=0)
        return np.sum((y * rows[:, None]) * cols[None, :]), np.sum(y.T * rows, axis=0), y @ rows

    jaxpr = program_of(fun, x)
    assert_close("square", x.shape, NativeExecutable(jaxpr)(x), evaluate(jaxpr, x), rtol=1e-11)


def test_what_nobody_else_reads_is_as_long_as_a_tile(rng) -> None:
    w, x, y = rng.normal(size=20), rng.normal(size=(50_000, 20)), rng.normal(size=50_000)
    jaxpr = program_of(tj.value_and_grad(logistic), w, x, y)
    run = NativeExecutable(jaxpr)
    assert run.summary.workspace_bytes < 10_000
    assert_close("logistic", x.shape, run(w, x, y), evaluate(jaxpr, w, x, y), rtol=1e-11)
    a = rng.normal(size=1000)
    jaxpr = program_of(tj.grad(pairwise, argnums=(0, 1)), a, a)
    run = NativeExecutable(jaxpr)
    assert run.summary.workspace_bytes < 1_000_000  # of 8 MB for 1000 x 1000
    assert_close("pairwise", a.shape, run(a, a), evaluate(jaxpr, a, a), rtol=1e-10)


def layers(w, x, v):
    """Two products by BLAS over the rows of x, forward and backward; one from the right."""
    h = np.tanh(x @ w)
    return np.sum(np.sin(h @ v)) + np.sum(np.cos(v.T @ h.T) ** 2)


@pytest.fixture
def all_by_blas(monkeypatch):
    """Products of small matrices, too."""
    monkeypatch.setattr(contraction, "BLAS_FROM", 1)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("rows", [64, 75])
def test_products_by_rows(rows, dtype, rng, short_tiles, all_by_blas) -> None:
    shapes = [(6, 7), (rows, 6), (7, 5)]
    args = [rng.normal(size=shape).astype(dtype) for shape in shapes]
    jaxpr = program_of(tj.value_and_grad(layers, argnums=(0, 1, 2)), *args)
    run = NativeExecutable(jaxpr)
    lines = "\n".join(run.summary.lines)
    assert "region of" in lines and run.summary.statements["dot"] >= 4
    rtol = 1e-11 if dtype == np.float64 else 2e-4
    assert_close("layers", shapes, run(*args), evaluate(jaxpr, *args), rtol=rtol)


def test_long_sums_of_any_rank(rng, monkeypatch, all_by_blas) -> None:
    """Products that are cut along their sums: of an array of rank 3, in a batch of one."""
    monkeypatch.setattr(pieces, "LONG", 1)
    monkeypatch.setattr(pieces, "LEAST", 100)
    monkeypatch.setattr(native, "LONG", 1)
    for left, right in [((2, 2, 999), (999, 5)), ((1, 3, 999), (1, 999, 2)), ((999,), (999, 2))]:
        args = [rng.normal(size=left), rng.normal(size=right)]
        jaxpr = program_of(np.matmul, *args)
        run = NativeExecutable(jaxpr)
        assert run.summary.loops_shared
        assert_close("cut", left, run(*args), evaluate(jaxpr, *args), rtol=1e-10)


def poisson(z, x, group):
    """Gather forward, scatter backward, by rows."""
    rate = z[:7][group] + x @ z[7:]
    return np.sum(np.exp(np.sin(rate)) - rate * np.sum(x, axis=1))


@pytest.mark.parametrize("name", ["logistic", "pairwise", "mixed", "layers", "poisson"])
def test_the_same_bits_for_any_number_of_threads(name, rng, monkeypatch) -> None:
    for module, constants in {
        regions: {"WORTH": 1, "NEAR": 64, "FAR": 128, "FEW": 4, "MANY": 9},
        pieces: {"LONG": 1, "LEAST": 100}, native: {"LONG": 1}, contraction: {"BLAS_FROM": 1},
    }.items():  # fmt: skip
        for constant, value in constants.items():
            monkeypatch.setattr(module, constant, value)
    others = {
        "layers": (layers, [(6, 7), (131, 6), (7, 5)]), "poisson": (poisson, [(10,), (131, 3)]),
    }  # fmt: skip
    fun, shapes = (CASES | others)[name]
    args = [rng.normal(size=shape) for shape in shapes]
    if name == "poisson":
        args.append(rng.integers(-1, 7, size=131))
    jaxpr = program_of(tj.value_and_grad(fun), *args)
    run, before = NativeExecutable(jaxpr), tj.config.threads
    assert run.summary.loops_shared
    found = set()
    for count in (1, 2, 3, 7, 2):
        tj.config.update("threads", count)
        found.add(b"".join(np.asarray(y).tobytes() for y in run(*args)))
    tj.config.update("threads", before)
    assert len(found) == 1
    assert_close(name, shapes, run(*args), evaluate(jaxpr, *args), rtol=1e-11)


def test_rows_that_lie_side_by_side_are_no_tiles(monkeypatch) -> None:
    """A tile of a few columns of a large array would fetch a piece of each row again and again."""
    monkeypatch.setattr(regions, "WORTH", 1)

    def fun(x):
        y = np.tanh(np.sin(np.tanh(np.cos(np.tanh(np.sin(x))))))
        return y[1:, 1:] - y[:-1, :-1]

    from_rows = program_of(fun, np.ones((60, 40, 100)))
    for cache in (1 << 20, 1 << 30):
        monkeypatch.setattr(regions, "CACHE", cache)
        found = [s for s in regions.with_regions(Plan(from_rows)) if isinstance(s, Region)]
        assert bool(found) == (cache == 1 << 30)


def found_in(fun: Callable[..., Any], *args: Any) -> list[Region]:
    steps = regions.with_regions(Plan(program_of(fun, *args)))
    return [step for step in steps if isinstance(step, Region)]


def test_a_square_matrix_is_read_along_its_rows_by_both_products(rng) -> None:
    """Each product has a nest of its own, tile by tile; alone, one that adds up rows as well."""
    A, x = rng.normal(size=(600, 600)), rng.normal(size=600)
    (both,) = found_in(lambda A, x: (A @ x, x @ A), A, x)
    assert len(both.members) == 2 and both.tile <= 128
    (alone,) = found_in(lambda A, x: x @ A, A, x)
    assert len(alone.members) == 1 and alone.tile <= regions.STREAMS
    assert not found_in(lambda A, x: A @ x, A, x)
    for fun in (lambda A, x: (A @ x, x @ A), lambda A, x: (x @ A, np.sum(A, 0))):
        for threads in (1, 2):
            got = tj.jit(fun, backend="native", threads=threads)(A, x)
            assert_close("products", threads, got, fun(A, x), rtol=1e-12)

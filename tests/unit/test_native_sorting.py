"""Sort: stable, lexicographic, NaN last, along any axis."""

from __future__ import annotations

import numpy as np
import pytest
from native_guarded import program

from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.types import INT32, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import elementwise, reduction, structure

DTYPES = [np.dtype(d) for d in ("?", "i1", "i4", "i8", "u1", "u8", "f4", "f8")]


def check(fun, *arrays) -> NativeExecutable:
    jaxpr = program(fun, *(array_type(x.dtype, x.shape) for x in arrays))
    run = NativeExecutable(jaxpr)
    for y, z in zip(run(*arrays), evaluate(jaxpr, *arrays), strict=True):
        np.testing.assert_array_equal(y, z)
    return run


def values(rng, dtype, shape) -> np.ndarray:
    if dtype.kind == "f":
        special = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0]
        x = rng.integers(-3, 4, shape).astype(dtype)
        return np.where(rng.random(shape) < 0.3, rng.choice(special, shape), x).astype(dtype)
    if dtype.kind == "b":
        return rng.random(shape) < 0.5
    info = np.iinfo(dtype)
    return rng.choice(np.array([info.min, info.max, 0, 1, 2, 3], dtype), shape)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_order_and_stability(dtype, rng) -> None:
    """The numbers carried along show the order of what is equal."""
    for n in (1, 2, 3, 7, 8, 33, 100):
        x, place = values(rng, dtype, n), np.arange(n, dtype=np.int32)
        check(lambda x, i: reduction.sort(x, i, axis=0, keys=1), x, place)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axes(axis, rng) -> None:
    for shape in ((3, 4, 5), (1, 7, 2), (6, 1, 1)):
        x = values(rng, np.dtype(float), shape)
        i = rng.integers(0, 99, shape).astype(np.int32)
        check(lambda x, i: reduction.sort(x, i, axis=axis, keys=1), x, i)


@pytest.mark.parametrize("keys", [1, 2, 3])
def test_several_keys(keys, rng) -> None:
    x, y = values(rng, np.dtype("f4"), 60), values(rng, np.dtype(bool), 60)
    z = values(rng, np.dtype("i1"), 60)
    check(lambda *xs: reduction.sort(*xs, axis=0, keys=keys), x, y, z)


def test_rows_that_lie_together_are_sorted_in_place(rng) -> None:
    """One copy, into the result; one row of scratch."""
    x = rng.normal(size=(50, 40))
    run = check(lambda x: reduction.sort(x, axis=1, keys=1), x)
    assert (run.summary.copies, run.summary.workspace_bytes) == (1, 320)


def test_sorted_work_is_read_in_place(rng) -> None:
    def fun(x):
        y, i = reduction.sort(
            elementwise.sin(x), structure.iota(dtype=INT32, shape=(31,), axis=0), axis=0, keys=1
        )
        z, _ = reduction.sort(i, y, axis=0, keys=1)
        return [structure.reverse(y, axes=(0,)), i, z]

    x = rng.integers(-5, 5, 31) * 1.0
    jaxpr = program(fun, array_type(x.dtype, x.shape))
    y, i, z = NativeExecutable(jaxpr)(x)
    order = np.argsort(np.sin(x), kind="stable")
    np.testing.assert_array_equal(i, order)
    np.testing.assert_allclose(y, np.sin(x)[order][::-1], rtol=1e-15)
    np.testing.assert_array_equal(z, np.arange(31))

"""With `threefry_partitionable` off, keys and draws are those of JAX with its flag off."""

from __future__ import annotations

import numpy as np
import pytest

jax = pytest.importorskip("jax")

import tracejit as tj  # noqa: E402
from tracejit import random  # noqa: E402


@pytest.fixture(autouse=True)
def before():
    flag = jax.config.jax_threefry_partitionable
    jax.config.update("jax_threefry_partitionable", False)
    with tj.config(threefry_partitionable=False, default_float="float32"):
        yield
    jax.config.update("jax_threefry_partitionable", flag)


@pytest.mark.parametrize("num", [1, 2, 3, 7, (2, 3), (0,)])
def test_split(num) -> None:
    theirs = jax.random.key_data(jax.random.split(jax.random.key(42), num))
    np.testing.assert_array_equal(random.split(random.key(42), num), theirs)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32"])
@pytest.mark.parametrize("shape", [(), (1,), (5,), (4, 3), (0,), (1001,)])
def test_bits(shape, dtype) -> None:
    theirs = jax.random.bits(jax.random.key(7), shape, dtype)
    np.testing.assert_array_equal(random.bits(random.key(7), shape, dtype), theirs)


@pytest.mark.parametrize("shape", [(), (3,), (2, 5)])
def test_bits_of_64(shape) -> None:
    with jax.enable_x64(True):
        theirs = jax.random.bits(jax.random.key(7), shape, "uint64")
    np.testing.assert_array_equal(random.bits(random.key(7), shape, "uint64"), theirs)


def test_draws_in_a_compiled_function() -> None:
    def draw(r, key):
        left, right = r.split(r.fold_in(key, 3))
        return r.normal(left, (5,)), r.uniform(right, (2, 2)), r.permutation(right, 6)

    compiled = tj.jit(lambda key: draw(random, key))(random.key(1))
    for mine, theirs in zip(compiled, draw(jax.random, jax.random.key(1)), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6)


def test_the_knob_retraces() -> None:
    split = tj.jit(random.split)
    old = split(random.key(0))
    with tj.config(threefry_partitionable=True):
        new = split(random.key(0))
    assert not np.array_equal(old, new)
    np.testing.assert_array_equal(split(random.key(0)), old)

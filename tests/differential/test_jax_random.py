"""The block cipher gives the bits of jax.random."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

import jax

from tracejit.ops.random import threefry2x32


@pytest.mark.parametrize("seed", [0, 1, 42, 2**31 - 1])
def test_bits_of_a_counter(seed):
    """With partitionable counters JAX enciphers (0, i), and takes both words xor each other."""
    with jax.threefry_partitionable(True):
        key = jax.random.key(seed, impl="threefry2x32")
        want = np.asarray(jax.random.bits(key, (1000,), "uint32"))
        k0, k1 = (np.full(1000, w) for w in np.asarray(jax.random.key_data(key)))
    zero, count = np.zeros(1000, np.uint32), np.arange(1000, dtype=np.uint32)
    x0, x1 = threefry2x32.evaluate(k0, k1, zero, count)
    np.testing.assert_array_equal(x0 ^ x1, want)

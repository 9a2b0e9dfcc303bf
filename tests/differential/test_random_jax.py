"""tracejit.random draws what jax.random draws, for the same keys, shapes and dtypes.

Bits, keys, integers, orders and uniform numbers are equal. Where a draw goes through a logarithm
or the inverse of erf, the two agree as far as XLA's own functions are exact: in float32 the tails
of its erf_inv have an error of some 1e-5, because 1 - x^2 is rounded there.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
import jax.random as theirs

import tracejit as tj
from tracejit import random as ours

SHAPES = [(), (0,), (7,), (5, 1, 7)]
LOGITS = np.random.default_rng(0).normal(size=(5, 7)).astype(np.float32)
BLOCK = np.arange(24).reshape(2, 3, 4)
P = np.array([0.1, 0.2, 0.3, 0.4], np.float32)


@pytest.fixture(params=[False, True], ids=["x32", "x64"], autouse=True)
def x64(request: pytest.FixtureRequest) -> Iterator[bool]:
    """Both modes of JAX, and ours that go with them."""
    default = "float64" if request.param else "float32"
    with (
        jax.enable_x64(request.param),
        jax.threefry_partitionable(True),
        tj.config(default_float=default),
    ):
        yield request.param


def draw(name: str, *args: object, seed: int = 42, **options: object) -> tuple:
    """The same draw by tracejit and by JAX."""
    got = getattr(ours, name)(ours.key(seed), *args, **options)
    want = getattr(theirs, name)(theirs.PRNGKey(seed), *args, **options)
    return np.asarray(got), np.asarray(want)


def assert_equal(got: np.ndarray, want: np.ndarray) -> None:
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", [0, 1, -1, 2**31, 2**32 - 1, 2**40 + 5, -(2**63), True])
def test_keys_of_seeds(seed):
    assert_equal(ours.PRNGKey(seed), np.asarray(theirs.PRNGKey(seed)))


@pytest.mark.parametrize("dtype", ["int8", "int32", "uint32", "int64", "uint8"])
def test_keys_of_seeds_of_a_dtype(dtype):
    seed = np.array(-3).astype(dtype)[()]
    assert_equal(ours.key(seed), np.asarray(theirs.PRNGKey(seed)))


@pytest.mark.parametrize("seed", [0, 42, 2**31 - 1])
def test_keys_of_keys(seed):
    for num in (1, 2, 5, (2, 3)):
        assert_equal(*draw("split", num, seed=seed))
    for data in (0, 7, 2**32 - 1, np.int8(-1)):
        assert_equal(*draw("fold_in", data, seed=seed))


@pytest.mark.parametrize("shape", SHAPES)
def test_bits_and_uniform_numbers_are_equal(shape):
    for seed in (0, 7, -1):
        assert_equal(*draw("bits", shape, seed=seed))
        assert_equal(*draw("uniform", shape, seed=seed))


def test_dtypes_named(x64):
    for dtype in ("uint8", "uint16", "uint32"):
        assert_equal(*draw("bits", (9,), dtype))
    assert_equal(*draw("uniform", (9,), "float32"))
    assert_equal(*draw("randint", (9,), 0, 5, "int32"))
    if x64:
        assert_equal(*draw("bits", (9,), "uint64"))
        assert_equal(*draw("uniform", (9,), "float64"))


BOUNDS = [(0, 100), (-5, 1000), (5, 5), (9, 3), (0, 127)]


@pytest.mark.parametrize("dtype", [None, "int8", "uint8", "int16", "uint16", "uint32", "uint64"])
def test_integers_are_equal(dtype, x64):
    if dtype == "uint64" and not x64:
        dtype = "int32"
    for low, high in BOUNDS:
        assert_equal(*draw("randint", (300,), low, high, dtype))


def test_integers_up_to_the_last_of_a_dtype():
    assert_equal(*draw("randint", (300,), 0, 256, "uint8"))
    assert_equal(*draw("randint", (300,), -(2**31), 2**31 - 1, "int32"))
    limits = np.array([0, -3, 7], np.int32), np.array([[9], [100]], np.int32)
    assert_equal(*draw("randint", (2, 3), *limits))


@pytest.mark.parametrize("n", [0, 2, 2000])
def test_orders_of_numbers_are_equal(n):
    assert_equal(*draw("permutation", n))


def test_orders_of_arrays_are_equal():
    x = BLOCK.astype(np.float32)
    for args in ((x,), (x, -2), (x, 2, True), (x[0] > 4,)):
        assert_equal(*draw("permutation", *args))


def test_choices_are_equal():
    x = BLOCK.astype(np.float32)
    for args in (
        (10, (4, 5)), (10, (2, 2), False), (x, (2, 2), False, None, 2), (4, (300,), True, P),
        (x, (3,), False, P, 2), (3, (0,)),
    ):  # fmt: skip
        got, want = draw("choice", *args)
        np.testing.assert_array_equal(got, want)


def test_categories_are_equal():
    for args in (
        (LOGITS,), (LOGITS, 0, (9, 7)), (LOGITS, 0, (2, 2, 7), False), (LOGITS[:1], 1, (4,)),
    ):  # fmt: skip
        got, want = draw("categorical", *args)
        np.testing.assert_array_equal(got, want)


def test_coins_are_equal():
    for args in ((), (0.3, (100,)), (P, (3, 4), "high")):
        assert_equal(*draw("bernoulli", *args))
    assert_equal(*draw("rademacher", (100,)))
    assert_equal(*draw("geometric", 0.1, (100,)))


#: name, arguments, tolerance in float32 and in float64.
REAL = [
    ("normal", (), 3e-5, 2e-13),
    ("truncated_normal", (-1.0, 2.0), 3e-5, 2e-13),
    ("maxwell", (), 3e-5, 2e-13),
    ("lognormal", (2.0,), 1e-4, 5e-13),
    ("exponential", (), 1e-6, 1e-13),
    ("gumbel", (), 1e-6, 1e-13),
    ("laplace", (), 1e-6, 1e-13),
    ("cauchy", (), 1e-5, 1e-13),
    ("logistic", (), 1e-6, 1e-13),
    ("pareto", (2.0,), 1e-6, 1e-13),
    ("rayleigh", (2.0,), 1e-6, 1e-13),
    ("weibull_min", (2.0, 1.5), 1e-6, 1e-13),
    ("triangular", (0.0, 0.3, 1.0), 1e-6, 1e-13),
]


@pytest.mark.parametrize("row", REAL, ids=lambda row: row[0])
def test_real_draws_agree(row, x64):
    name, args, *tolerances = row
    got, want = draw(name, *args, (3, 1000))
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    rtol = tolerances[x64]
    np.testing.assert_allclose(got, want, rtol=rtol, atol=rtol / 2)


def test_real_draws_between_bounds(x64):
    """XLA may contract the product and the sum, which leaves one rounding out."""
    got, want = draw("uniform", (3000,), minval=2.5, maxval=7.1)
    assert np.all(np.abs(got - want) <= np.spacing(want))
    got, want = draw("uniform", (2, 4), minval=P, maxval=2 * P)
    np.testing.assert_allclose(got, want, rtol=1e-6)


def test_gumbel_of_two_words(x64):
    got, want = draw("gumbel", (3000,), mode="high")
    np.testing.assert_allclose(got, want, rtol=1e-13, atol=1e-13 if x64 else 1e-6)

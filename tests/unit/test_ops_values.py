"""Values of the primitives whose NumPy value is more than one NumPy function."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tracejit.ops import contraction, elementwise, indexing, random, reduction

RNG = np.random.default_rng(7)


def test_integer_division_truncates_and_survives_zero() -> None:
    x, y = np.array([7, -7, 7, -7, 5, 0]), np.array([2, 2, -2, -2, 0, 0])
    assert elementwise.div.evaluate(x, y)[0].tolist() == [3, -3, -3, 3, -1, -1]
    assert elementwise.rem.evaluate(x, y)[0].tolist() == [1, -1, 1, -1, 5, 0]
    u = np.array([7, 5], np.uint8)
    assert elementwise.div.evaluate(u, np.array([2, 0], np.uint8))[0].tolist() == [3, 255]


@pytest.mark.parametrize("dtype", ["int8", "uint16", "int32", "uint64"])
def test_bits_agree_with_python(dtype: str) -> None:
    width = np.dtype(dtype).itemsize * 8
    x = np.frombuffer(RNG.bytes(20 * width // 8), dtype)
    unsigned = [int(v) & (2**width - 1) for v in x]
    assert elementwise.clz.evaluate(x)[0].tolist() == [width - v.bit_length() for v in unsigned]
    assert elementwise.population_count.evaluate(x)[0].tolist() == [v.bit_count() for v in unsigned]
    for count in (0, 1, width - 1, width, width + 1):
        n = np.full(20, count, dtype)
        logical = elementwise.shift_right_logical.evaluate(x, n)[0].view(f"u{width // 8}")
        assert logical.tolist() == [v >> count for v in unsigned]
        arithmetic = elementwise.shift_right_arithmetic.evaluate(x, n)[0]
        assert arithmetic.tolist() == [int(v) >> count for v in x]
        left = elementwise.shift_left.evaluate(x, n)[0].view(f"u{width // 8}")
        assert left.tolist() == [(v << count) % 2**width for v in unsigned]


def test_integer_pow_wraps_around() -> None:
    assert elementwise.integer_pow.evaluate(np.int8([2, 3]), n=200)[0].tolist() == [0, -95]
    (power,) = elementwise.integer_pow.evaluate(np.uint64([3]), n=41)
    assert power.tolist() == [3**41 % 2**64]


@pytest.mark.parametrize(
    ("contract", "batch", "subscripts"),
    [
        (((3, 2), (0, 3)), ((0,), (1,)), "bnkm,mbok->bno"),
        (((), ()), ((0,), (1,)), "bnkm,pbqr->bnkmpqr"),
        (((2,), (3,)), ((), ()), "bnkm,pcqk->bnmpcq"),
        (((3, 0), (0, 1)), ((2,), (3,)), "bnkm,mbqk->knq"),
    ],
)
def test_dot_is_einsum(contract: Any, batch: Any, subscripts: str) -> None:
    x, y = RNG.normal(size=(2, 3, 4, 5)), RNG.normal(size=(5, 2, 6, 4))
    (z,) = contraction.dot.evaluate(x, y, contract=contract, batch=batch)
    np.testing.assert_allclose(z, np.einsum(subscripts, x, y), rtol=1e-12)


INDICES = RNG.integers(-2, 7, size=(2, 9, 2))


def test_gather_clamps() -> None:
    x = RNG.normal(size=(2, 3, 4, 5))
    (y,) = indexing.gather.evaluate(x, INDICES, axes=(1, 3), batch=1)
    for b in range(2):
        for i, (row, column) in enumerate(np.clip(INDICES[b], 0, (2, 4))):
            assert np.array_equal(y[b, i], x[b, row, :, column])


@pytest.mark.parametrize(
    ("primitive", "combine"),
    [
        (indexing.scatter, lambda x, u: u),
        (indexing.scatter_add, np.add),
        (indexing.scatter_mul, np.multiply),
        (indexing.scatter_min, np.minimum),
        (indexing.scatter_max, np.maximum),
    ],
)
def test_scatters_write_in_order_and_drop(primitive: Any, combine: Any) -> None:
    x, updates = RNG.normal(size=(2, 3, 4, 5)), RNG.normal(size=(2, 9, 4))
    expected = x.copy()
    for b in range(2):
        for i, (row, column) in enumerate(INDICES[b]):
            if 0 <= row < 3 and 0 <= column < 5:
                place = expected[b, row, :, column]
                expected[b, row, :, column] = combine(place, updates[b, i])
    before = x.copy()
    (y,) = primitive.evaluate(x, INDICES, updates, axes=(1, 3), batch=1)
    np.testing.assert_allclose(y, expected, rtol=1e-14)
    assert np.array_equal(x, before)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint64", "int64"])
def test_index_dtypes_reach_to_their_ends(dtype: str) -> None:
    info = np.iinfo(dtype)
    x, places = np.arange(300.0), np.array([[info.min], [info.max]], dtype)
    (y,) = indexing.gather.evaluate(x, places, axes=(0,), batch=0)
    assert y.tolist() == [0.0, min(info.max, 299)]
    (z,) = indexing.scatter_add.evaluate(x, places, np.array([1000.0, 2000.0]), axes=(0,), batch=0)
    assert z.sum() == x.sum() + 1000.0 * (info.min == 0) + 2000.0 * (info.max < 300)


@pytest.mark.parametrize(("start", "first"), [(-5, 0), (0, 0), (3, 3), (9, 4)])
def test_windows_move_to_fit(start: int, first: int) -> None:
    x = np.arange(7.0)
    (y,) = indexing.dynamic_slice.evaluate(x, np.int64(start), sizes=(3,))
    assert y.tolist() == [first, first + 1, first + 2]
    (z,) = indexing.dynamic_update_slice.evaluate(x, np.full(3, -1.0), np.int64(start))
    assert np.flatnonzero(z == -1).tolist() == [first, first + 1, first + 2]


def test_reductions_of_nothing_are_identities() -> None:
    none = {"f8": np.zeros(0), "i1": np.zeros(0, np.int8), "u8": np.zeros(0, np.uint64)}
    assert reduction.reduce_max.evaluate(none["f8"], axes=(0,)) == (-np.inf,)
    assert reduction.reduce_min.evaluate(none["i1"], axes=(0,)) == (127,)
    assert reduction.reduce_max.evaluate(none["u8"], axes=(0,)) == (0,)
    assert reduction.reduce_prod.evaluate(none["f8"], axes=(0,)) == (1.0,)
    assert reduction.reduce_and.evaluate(none["i1"], axes=(0,)) == (-1,)
    assert reduction.reduce_and.evaluate(np.zeros(0, bool), axes=(0,)) == (True,)
    assert reduction.reduce_or.evaluate(np.zeros(0, bool), axes=(0,)) == (False,)


def test_sort_is_stable_with_nan_last() -> None:
    keys = np.array([3.0, np.nan, -0.0, 0.0, 1.0, np.nan, -np.inf])
    outs = reduction.sort.evaluate(keys, np.arange(7), axis=0, keys=1)
    assert outs[1].tolist() == [6, 2, 3, 4, 0, 1, 5]
    first, second = np.array([1, 0, 1, 0]), np.array([2.0, 5.0, 1.0, 4.0])
    outs = reduction.sort.evaluate(first, second, np.arange(4), axis=0, keys=2)
    assert outs[2].tolist() == [3, 1, 2, 0]


@pytest.mark.parametrize(
    ("key", "counter", "bits"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((2**32 - 1,) * 2, (2**32 - 1,) * 2, (0x1CB996FC, 0xBB002BE7)),
        ((0x13198A2E, 0x03707344), (0x243F6A88, 0x85A308D3), (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_threefry_has_its_authors_values(key: Any, counter: Any, bits: Any) -> None:
    """The known answers that come with the paper."""
    words = [np.array([w], np.uint32) for w in (*key, *counter)]
    outs = random.threefry2x32.evaluate(*words)
    assert tuple(int(y[0]) for y in outs) == bits

"""The rows of structure, reduction and contraction of the xla backend against the NumPy values."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

from xla_harness import agree, case

from tracejit.ir.types import ALL, BITS, FLOATS, ORDERED
from tracejit.ops import contraction, reduction
from tracejit.ops import structure as ops

#: One of each kind and both ends of the widths: each dtype costs seconds of compiling.
SOME = [np.dtype(name) for name in ("int8", "int64", "uint16", "uint64", "float32", "float64")]
SUMS = [ops.reduce_sum, reduction.reduce_prod, reduction.reduce_max, reduction.reduce_min]
RUNNING = [reduction.cumsum, reduction.cumprod, reduction.cummax, reduction.cummin]


def by_name(dtypes):
    return sorted(dtypes, key=str)


def block(dtype, *shape):
    """Numbers of both signs, in all dtypes, ties among them."""
    draw = np.random.default_rng(5)
    return draw.integers(-4, 5, shape).astype(dtype)


@pytest.mark.parametrize("dtype", by_name(ALL), ids=str)
def test_structure(dtype):
    x, row, empty = block(dtype, 3, 4), block(dtype, 4), block(dtype, 0, 4)
    fill = np.asarray(1, dtype)
    agree(
        case(ops.broadcast, row, shape=(2, 4, 3), dims=(1,)),
        case(ops.broadcast, fill, shape=(2, 0), dims=()),
        case(ops.reshape, x, shape=(2, 1, 6)), case(ops.reshape, empty, shape=(4, 0)),
        case(ops.permute, x, order=(1, 0)), case(ops.permute, fill, order=()),
        case(ops.reverse, x, axes=(0, 1)), case(ops.reverse, x, axes=()),
        case(ops.slice, x, start=(1, 0), limit=(3, 4), stride=(1, 3)),
        case(ops.slice, x, start=(2, 0), limit=(2, 4), stride=(1, 1)),
        case(ops.pad, x, fill, low=(1, 0), high=(0, 2), interior=(2, 0)),
        case(ops.pad, empty, fill, low=(1, 0), high=(1, 0), interior=(1, 1)),
        case(ops.concatenate, x, empty, x, axis=0), case(ops.concatenate, row, axis=0),
        case(ops.iota, dtype=dtype, shape=(2, 300), axis=1),
        case(ops.iota, dtype=dtype, shape=(0,), axis=0),
    )  # fmt: skip


@pytest.mark.parametrize("dtype", SOME, ids=str)
def test_reductions(dtype):
    x, empty = block(dtype, 3, 4, 2), block(dtype, 0, 3)
    agree(
        *[
            case(p, x, axes=axes)
            for p in SUMS
            for axes in ((), (1,), (0, 2), (0, 1, 2))
        ],
        *[
            case(p, empty, axes=(0,))
            for p in SUMS
        ],
        *[case(p, x, axis=a, reverse=r) for p in RUNNING for a in (0, 1) for r in (False, True)],
        *[case(p, empty, axis=0, reverse=True) for p in RUNNING],
    )  # fmt: skip


@pytest.mark.parametrize("dtype", by_name(BITS), ids=str)
def test_bitwise_reductions(dtype):
    x = np.random.default_rng(1).integers(0, 255, (4, 3)).astype(dtype)
    bitwise = (reduction.reduce_and, reduction.reduce_or, reduction.reduce_xor)
    agree(*[case(p, x, axes=axes) for p in bitwise for axes in ((0,), (0, 1), ())],
          *[case(p, block(dtype, 0, 2), axes=(0,)) for p in bitwise])  # fmt: skip


def test_extrema_of_bools():
    x = np.array([[True, False], [False, False]])
    agree(*[case(p, x, axes=(1,)) for p in SUMS[2:]],
          *[case(p, x, axes=(0, 1)) for p in SUMS[2:]])  # fmt: skip


@pytest.mark.parametrize("dtype", by_name(FLOATS), ids=str)
def test_extrema_take_nan(dtype):
    nan, inf = np.nan, np.inf
    x = np.array(
        [[1, nan, 3, nan], [-inf, -inf, -inf, -inf], [inf, 1, inf, 0], [nan, inf, 0, 0]], dtype
    )
    small = np.dtype("int8")
    agree(
        *[case(p, x, axes=(1,)) for p in SUMS[2:]],
        *[case(p, x, axis=a, dtype=small)
          for p in (reduction.argmax, reduction.argmin) for a in (0, 1)],
        *[case(p, x, axis=a, reverse=r) for p in RUNNING[2:]
          for a in (0, 1) for r in (False, True)],
        case(reduction.cumlogsumexp, x, axis=1, reverse=False, ulps=2),
        case(reduction.cumlogsumexp, x, axis=0, reverse=True, ulps=2),
    )  # fmt: skip


def test_the_first_of_many_nans_is_found():
    """Also where XLA splits the reduction."""
    draw = np.random.default_rng(2)
    x = draw.integers(0, 50, (7, 3000)).astype(float)
    x[:, draw.integers(500, 3000, 40)] = np.nan
    found = {"axis": 1, "dtype": np.dtype("int64")}
    agree(case(reduction.argmax, x, **found), case(reduction.argmin, x, **found),
          case(reduction.argmax, np.nan_to_num(x), **found))  # fmt: skip


@pytest.mark.parametrize("dtype", by_name(ORDERED), ids=str)
def test_the_first_of_equal_extrema_is_found(dtype):
    x = block(dtype, 3, 20)
    agree(*[
        case(p, x, axis=a, dtype=np.dtype(d))
        for p in (reduction.argmax, reduction.argmin) for a in (0, 1) for d in ("int32", "uint8")
    ])  # fmt: skip


def test_running_sums_of_random_floats():
    x = np.random.default_rng(0).normal(size=(3, 100))
    agree(*[
        case(p, np.abs(x), axis=1, reverse=r, ulps=100)
        for p in (*RUNNING[:2], reduction.cumlogsumexp) for r in (False, True)
    ])  # fmt: skip


@pytest.mark.parametrize("dtype", by_name(ORDERED), ids=str)
def test_sort_is_stable_and_lexicographic(dtype):
    x, places = block(dtype, 3, 40), np.tile(np.arange(40), (3, 1))
    y = block(np.float32, 40, 3).T.copy()
    agree(
        case(reduction.sort, x, axis=1, keys=1), case(reduction.sort, x, axis=0, keys=1),
        case(reduction.sort, x, places, axis=1, keys=1),
        case(reduction.sort, x, y, places, axis=1, keys=2),
        case(reduction.sort, block(dtype, 2, 0), axis=1, keys=1),
    )  # fmt: skip


def test_sort_puts_nan_last():
    x = np.array([np.nan, 1.0, -np.inf, -np.nan, np.inf, 0.0, -0.0, 0.0])
    agree(case(reduction.sort, x, np.arange(8), axis=0, keys=1))


@pytest.mark.parametrize("dtype", SOME, ids=str)
def test_dot(dtype):
    def dot(x, y, contract=((), ()), batch=((), ())):
        return case(contraction.dot, block(dtype, *x), block(dtype, *y),
                    contract=contract, batch=batch)  # fmt: skip

    agree(
        dot((3, 4), (4, 5), ((1,), (0,))), dot((4, 3), (5, 4), ((0,), (1,))),
        dot((4,), (4,), ((0,), (0,))), dot((3,), (2,)), dot((), ()),
        dot((2, 3, 4), (2, 4, 5), ((2,), (1,)), ((0,), (0,))),
        dot((3, 4, 2), (5, 2, 4, 3), ((0, 1), (3, 2)), ((2,), (1,))),
        dot((2, 3), (3, 2), batch=((0,), (1,))), dot((3, 0), (0, 2), ((1,), (0,))),
    )  # fmt: skip


def test_large_dots_keep_their_digits():
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(100, 300)), draw.normal(size=(300, 80))
    product = {"contract": ((1,), (0,)), "batch": ((), ())}
    agree(*[
        case(contraction.dot, abs(x).astype(d), abs(y).astype(d), ulps=20, **product)
        for d in ("f8", "f4")
    ])  # fmt: skip


def test_integer_rows_are_exact_beyond_32_bits():
    x = np.array([2**62, 3, -(2**61)])
    y, product = np.array([1, 2**40, 1]), {"contract": ((0,), (0,)), "batch": ((), ())}
    agree(case(ops.reduce_sum, x, axes=(0,)), case(reduction.cumsum, x, axis=0, reverse=False),
          case(contraction.dot, x, y, **product))  # fmt: skip

"""The rows of indexing and random of the xla backend against the NumPy values."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("jax")

import jax
from xla_harness import agree, case

from tracejit.backends.xla.indexing import scatter_last
from tracejit.ir.types import INTEGERS, NUMBERS, ORDERED
from tracejit.ops import indexing as ops
from tracejit.ops import random

#: shape of x, axes, batch, shape of the places *I
LAYOUTS = [
    ((5,), (0,), 0, (4,)), ((5,), (0,), 0, ()), ((4, 5), (0,), 0, (3,)), ((4, 5), (1,), 0, (2, 3)),
    ((4, 5), (0, 1), 0, (6,)), ((3, 4, 5), (0, 2), 0, (2, 2)), ((3, 4, 5), (1,), 1, (6,)),
    ((3, 4, 5), (2,), 2, (3,)), ((3, 4, 5, 2), (1, 3), 1, (2, 2)), ((3, 4), (), 0, (2,)),
    ((3, 4), (), 1, (2,)), ((3, 4), (), 2, ()), ((), (), 0, (2,)), ((3, 2), (1,), 1, (0,)),
]  # fmt: skip

SCATTERS = [ops.scatter, ops.scatter_add, ops.scatter_mul, ops.scatter_min, ops.scatter_max]


def by_name(dtypes):
    return sorted(dtypes, key=str)


def operands(layout, dtype=np.float64, index=np.int64, seed=0):
    """x, indices (some out of range), updates, and the parameters."""
    shape, axes, batch, places = layout
    draw = np.random.default_rng(seed)
    x = draw.integers(-9, 9, shape).astype(dtype)
    low, high = (0 if np.iinfo(index).min == 0 else -2), max((*shape, 1)) + 1
    indices = draw.integers(low, high, (*shape[:batch], *places, len(axes)), index)
    rest = [n for a, n in enumerate(shape) if a >= batch and a not in axes]
    updates = draw.integers(1, 9, (*shape[:batch], *places, *rest)).astype(dtype)
    return x, indices, updates, {"axes": axes, "batch": batch}


@pytest.mark.parametrize("index", ["int64", "uint8"])
def test_gather(index):
    cases = []
    for layout in LAYOUTS:
        x, indices, _, params = operands(layout, index=index)
        cases.append(case(ops.gather, x, indices, **params))
    agree(*cases)


@pytest.mark.parametrize("primitive", SCATTERS, ids=lambda p: p.name)
def test_scatters(primitive):
    cases = []
    for layout in LAYOUTS:
        *arrays, params = operands(layout)
        cases.append(case(primitive, *arrays, **params))
    agree(*cases)


@pytest.mark.parametrize("dtype", by_name(ORDERED), ids=str)
def test_dtypes_of_scatters_and_gather(dtype):
    x, indices, updates, params = operands(LAYOUTS[2], dtype)
    cases = [case(p, x, indices, updates, **params) for p in (ops.scatter, *SCATTERS[3:])]
    if dtype in NUMBERS:
        cases += [case(p, x, indices, updates, **params) for p in SCATTERS[1:3]]
    agree(case(ops.gather, x, indices, **params), *cases)


def test_extreme_indices():
    x, cases = np.arange(300.0), []
    for dtype in by_name(INTEGERS):
        info, where = np.iinfo(dtype), {"axes": (0,), "batch": 0}
        indices = np.array([[info.min], [info.max], [5]], dtype)
        cases.append(case(ops.gather, x, indices, **where))
        cases.append(case(ops.scatter_add, x, indices, np.ones(3), **where))
    agree(*cases)


def test_empty_operands():
    none = np.zeros((0, 3))
    where = {"axes": (0,), "batch": 0}
    agree(
        case(ops.gather, none, np.zeros((0, 1), int), **where),
        case(ops.scatter_add, none, np.zeros((2, 1), int), np.ones((2, 3)), **where),
        case(ops.scatter, none, np.zeros((2, 1), int), np.ones((2, 3)), **where),
        case(ops.gather, np.ones((3, 0)), np.zeros((2, 1), int), **where),
    )  # fmt: skip


def test_the_last_of_many_updates_wins():
    draw = np.random.default_rng(0)
    indices, updates = draw.integers(0, 40, (100_000, 1)), np.arange(100_000.0)
    agree(case(ops.scatter, np.zeros(37), indices, updates, axes=(0,), batch=0))


def test_the_last_wins_also_where_xla_writes_in_any_order():
    """`scatter_last` is for other machines, but its result is the same on any."""
    rows = [operands(layout) for layout in LAYOUTS]

    def run(arrays):
        return [scatter_last(*xs, **params) for xs, (*_, params) in zip(arrays, rows, strict=True)]

    with jax.enable_x64(True):
        results = jax.jit(run)([xs for *xs, _ in rows])
    for (*xs, params), y in zip(rows, results, strict=True):
        (z,) = ops.scatter.evaluate(*xs, **params)
        np.testing.assert_array_equal(np.asarray(y), z, err_msg=str(params))


def test_nan_spreads_through_scattered_extrema():
    x, indices = np.array([1.0, np.nan, 3.0]), np.array([[0], [1], [2], [2]])
    updates = np.array([np.nan, 0.0, 2.0, 9.0])
    agree(*[case(p, x, indices, updates, axes=(0,), batch=0) for p in SCATTERS[3:]])


@pytest.mark.parametrize(
    "dtype", [np.dtype(d) for d in ("int8", "uint8", "int64", "uint64")], ids=str
)
def test_windows_are_moved_to_fit(dtype):
    x = np.arange(20.0).reshape(4, 5)
    info = np.iinfo(dtype)
    ends = [dtype.type(n) for n in (info.min, 0, 1, 2, info.max)]
    starts = [(a, b) for a in ends for b in ends]
    agree(*[case(ops.dynamic_slice, x, *s, sizes=(2, 3)) for s in starts],
          *[case(ops.dynamic_update_slice, x, -np.ones((3, 2)), *s) for s in starts])  # fmt: skip


def test_windows_of_other_ranks():
    i, j = np.int32(-1), np.uint8(2)
    agree(
        case(ops.dynamic_slice, np.float64(3), sizes=()),
        case(ops.dynamic_update_slice, np.float64(3), np.float64(4)),
        case(ops.dynamic_slice, np.arange(6).reshape(2, 3), i, j, sizes=(0, 3)),
        case(ops.dynamic_update_slice, np.arange(4), np.zeros(0, int), j),
    )


def test_threefry():
    draw = np.random.default_rng(0)
    words = [draw.integers(0, 2**32, (3, 50), np.uint32) for _ in range(4)]
    agree(case(random.threefry2x32, *words),
          case(random.threefry2x32, *[np.uint32(n) for n in (0, 1, 2, 3)]))  # fmt: skip

"""Masks as the ends of loops: the same values, and only the rounds that they name."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from native_guarded import GuardedRun, check, program
from test_native_control import check as check_control

import tracejit as tj
import tracejit.numpy as tnp
from tracejit import lax
from tracejit.backends.native.bounds import bounded, bounds_of
from tracejit.backends.native.compile import NativeExecutable
from tracejit.backends.native.counting import count
from tracejit.backends.native.windows import Windows
from tracejit.ir.atoms import Literal
from tracejit.ir.types import FLOAT32, FLOAT64, INT32, INT64, array_type, type_of
from tracejit.ir.walk import evaluate
from tracejit.ops import elementwise as ops
from tracejit.ops import indexing, reduction
from tracejit.ops.structure import broadcast, iota, reduce_sum
from tracejit.passes.dce import dce
from tracejit.passes.fold import fold
from tracejit.trace.stage import stage

NUMBER = array_type(INT64)
#: Ends of windows in 0 .. 41: inside, at the ends, beyond them, the wrong way round.
ENDS = [(0, 0), (0, 1), (0, 41), (3, 20), (17, 17), (20, 3), (-5, 7), (33, 90), (40, 41), (41, 99),
        (-(2**63), 2**63 - 1), (2**63 - 1, -(2**63)), (1, 40)]  # fmt: skip


def window(shape, axis, low, high):
    """low <= index < high along an axis, as windows say it."""
    at = iota(dtype=INT64, shape=shape, axis=axis)
    low, high = (broadcast(x, shape=shape, dims=()) for x in (low, high))
    return ops.and_(ops.ge(at, low), ops.lt(at, high))


def like(x, number):
    return Literal(number, x.type)


def loops_of(fun, *types):
    """The lines of the summary that have a loop with computed ends."""
    lines = NativeExecutable(program(fun, *types)).summary.lines
    return [line for line in lines if "up to" in line]


@pytest.mark.parametrize("shape, axis", [((41,), 0), ((41, 3), 0), ((5, 41), 1), ((41, 41), 0)])
@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32])
def test_sums_and_stores_between_ends_on_guarded_memory(shape, axis, dtype):
    t = array_type(dtype, shape)
    rng = np.random.default_rng(0)

    def fun(x, y, low, high):
        inside = window(shape, axis, low, high)
        total = reduce_sum(ops.select(inside, ops.mul(x, y), like(x, 0.0)), axes=(axis,))
        most = reduction.reduce_max(ops.select(inside, x, like(x, -np.inf)), axes=(axis,))
        return total, most, ops.select(inside, ops.exp(x), y)

    x, y = (rng.normal(size=shape).astype(dtype) for _ in range(2))
    arguments = [(x, y, np.int64(low), np.int64(high)) for low, high in ENDS]
    check(GuardedRun(), "windows", program(fun, t, t, NUMBER, NUMBER), *arguments)
    assert loops_of(fun, t, t, NUMBER, NUMBER)


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge"])
@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("shift", [-2, 0, 3])
def test_every_comparison_ends_a_triangle(name, turned, shift):
    """Rows as long as their number says: a loop in a loop."""
    shape = (19, 23)
    t = array_type(FLOAT64, shape)

    def fun(x):
        i, j = (iota(dtype=INT64, shape=shape, axis=axis) for axis in (0, 1))
        i = ops.add(i, like(i, shift))
        mask = getattr(ops, name)(*((i, j) if turned else (j, i)))
        return (reduce_sum(ops.select(mask, x, like(x, 0.0)), axes=(1,)),)

    x = np.random.default_rng(1).normal(size=shape)
    check(GuardedRun(), name, program(fun, t), [x])
    assert loops_of(fun, t)


def test_what_is_outside_of_a_window_is_not_read():
    """Its NaN and its infinities are of no consequence, as with select; but a mask on one factor
    alone leaves them in."""
    t = array_type(FLOAT64, (40,))

    def masked(x, y, k):
        low = Literal(0, NUMBER)
        inside = window(t.shape, 0, low, k)
        zero = like(x, 0.0)
        product = reduce_sum(ops.select(inside, ops.mul(x, y), zero), axes=(0,))
        one = reduce_sum(ops.mul(ops.select(inside, x, zero), y), axes=(0,))
        return product, one

    x, y = np.ones(40), np.where(np.arange(40) < 30, 2.0, np.inf)
    run = NativeExecutable(program(masked, t, t, NUMBER))
    product, one = run(x, y, np.int64(10))
    assert product == 20.0 and np.isnan(one)


def test_a_window_of_a_row_is_updated_in_place():
    def fun(a, b):
        def row(i, a):
            inside = tnp.arange(a.shape[1]) < i
            return a.at[i].set(tnp.where(inside, a[i] + 2.0 * b[i], a[i]))

        return lax.fori_loop(0, a.shape[0], row, a)

    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 30, 33))
    expected = a + np.tril(np.ones((30, 33)), -1) * 2.0 * b
    f = tj.jit(fun)
    np.testing.assert_array_equal(f(a, b), expected)
    lines = str(tj.stages(fun)(a, b)["kernels"]).splitlines()
    assert sum("copy over (30, 33)" in line for line in lines) == 1  # what the loop starts with
    assert any("up to 33" in line for line in lines)


def cholesky(a):
    def row(i, a):
        def column(j, a):
            before = tnp.arange(a.shape[0]) < j
            a = a.at[i, j].add(-tnp.where(before, a[i] * a[j], 0.0).sum())
            return a.at[i, j].divide(a[j, j])

        a = lax.fori_loop(0, i, column, a)
        before = tnp.arange(a.shape[0]) < i
        a = a.at[i, i].add(-tnp.where(before, a[i] * a[i], 0.0).sum())
        return a.at[i, i].set(tnp.sqrt(a[i, i]))

    return lax.fori_loop(0, a.shape[0], row, a)


def test_cholesky_by_loops_updates_in_place_without_branches():
    m = np.random.default_rng(3).normal(size=(24, 24))
    a = m @ m.T + 24 * np.eye(24)
    np.testing.assert_allclose(np.tril(tj.jit(cholesky)(a)), np.linalg.cholesky(a), rtol=1e-12)
    summary = tj.stages(cholesky)(a)["kernels"]
    assert "scatter" not in str(summary) and str(summary).count("copy over (24, 24)") == 1


def test_values_nobody_chooses_are_not_computed():
    """A sum over rows, of which a select takes some columns alone."""
    shape = (20, 33)
    t, row = array_type(FLOAT64, shape), array_type(FLOAT64, (33,))

    def fun(x, old, k):
        total = reduce_sum(x, axes=(0,))
        inside = window((33,), 0, k, Literal(99, NUMBER))
        return (ops.select(inside, ops.sqrt(total), old),)

    rng = np.random.default_rng(4)
    x, old = rng.uniform(size=shape), rng.normal(size=33)
    check(GuardedRun(), "in vain", program(fun, t, row, NUMBER), [x, old, np.int64(7)])
    assert loops_of(fun, t, row, NUMBER)


def test_sums_of_nothing_are_what_they_start_with():
    """Columns that a mask leaves out: their sums are 0, whatever was in memory before."""
    shape = (20, 33)
    t = array_type(FLOAT64, shape)

    def fun(x, k):
        inside = window(shape, 1, Literal(3, NUMBER), k)
        total = reduce_sum(ops.select(inside, x, like(x, 0.0)), axes=(0,))
        return ops.exp(total), reduce_sum(ops.select(inside, x, like(x, 0.0)), axes=(1,))

    x = np.random.default_rng(6).normal(size=shape)
    check(GuardedRun(), "kept", program(fun, t, NUMBER), *[(x, np.int64(k)) for k in (0, 7, 50)])
    assert loops_of(lambda x, k: fun(x, k)[:1], t, NUMBER)


@pytest.mark.parametrize("start, stop", [*itertools.product([0, 3], [3, 17, 0])])
def test_counters_of_while_loops_stay_in_their_ranges(start, stop):
    """Indices of any sort, clamped and wrapped around where the counter leads there."""
    x = np.arange(12.0)

    def fun(x, n):
        def step(i, s):
            return s + x[i] - 0.5 * x[i - 4] + x.at[i].set(1.0)[0]

        return lax.fori_loop(start, n, step, 0.0)

    check_control(fun, x, np.int64(stop))


def test_bounds_say_what_comparisons_give():
    """The counter of ten rounds is no negative number, and less than ten."""
    def fun(x):
        return lax.fori_loop(0, 10, lambda i, s: s + tnp.where(i < 0, -1.0, x[i]), 0.0)

    staged = stage(lambda x: [fun(x)], [type_of(np.zeros(10))])
    jaxpr, _ = count(staged.jaxpr)
    after = bounded(jaxpr)
    assert "select" in str(jaxpr) and "select" not in str(after)
    assert (0, 9) in bounds_of(after).values()
    np.testing.assert_array_equal(evaluate(after, np.arange(10.0))[0], 45.0)


@pytest.mark.parametrize("numbers", [
    np.arange(5), np.arange(9, -1, -3), np.array([4, 4]), np.array([1, 2, 4]), np.array([7]),
    np.arange(4, dtype=np.int32), np.arange(4, dtype=np.int8), np.arange(6).reshape(2, 3),
    np.arange(4)[:, None], np.array([2**63 - 2, 2**63 - 1]), np.arange(0),
])  # fmt: skip
def test_constants_that_count_are_made_where_they_are_read(numbers):
    def fun(x):
        def step(c, k):
            return (c + k * numbers.sum() + numbers).astype(c.dtype), c

        return lax.scan(step, x, tnp.arange(3))

    check_control(fun, np.zeros(numbers.shape, numbers.dtype))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("dtype", [INT32, INT64])
def test_rows_that_count_are_counters(reverse, dtype):
    def fun(x):
        rows = tnp.arange(2, 20, 3).astype(dtype)

        def step(c, row):
            return c + x[row[0]] * row[1], row[0]

        return lax.scan(step, 0.0, (rows, rows * 2 - 1), reverse=reverse)

    check_control(fun, np.linspace(0.0, 1.0, 21))


def test_a_body_of_two_loops_is_given_the_ranges_of_both():
    """The one index is inside of the array, the other one far outside."""
    def fun(x, k):
        def body(i, s):
            return s + lax.dynamic_slice(x, (i,), (1,))[0]

        return lax.fori_loop(0, 5, body, 0.0), lax.fori_loop(k, k + 5, body, 0.0)

    check_control(fun, np.arange(5.0), np.int64(40))
    check_control(fun, np.arange(5.0), np.int64(-(2**62)))


def test_what_is_written_is_read_back_from_where_it_was_made():
    t, one = array_type(FLOAT64, (20,)), array_type(FLOAT64, (1,))

    def fun(x, u, i):
        a = indexing.dynamic_update_slice(x, u, i)
        b = indexing.dynamic_slice(a, i, sizes=(1,))
        c = indexing.dynamic_update_slice(a, ops.neg(b), i)
        return c, indexing.dynamic_slice(a, ops.neg(i), sizes=(1,))

    def twice(x, u, i):
        a = indexing.dynamic_update_slice(x, u, i)
        return (indexing.dynamic_update_slice(a, ops.neg(u), i),)

    after = str(fold(program(fun, t, one, NUMBER)))
    assert after.count("dynamic_slice") == 1  # at another place
    assert str(dce(fold(program(twice, t, one, NUMBER)))).count("dynamic_update_slice") == 1
    assert str(dce(fold(program(fun, t, one, NUMBER)))).count("dynamic_update_slice") == 2


def test_the_adjoint_of_a_recurrence_updates_in_place():
    """No pass over an array in a round, forward or backward."""
    def fun(a, b):
        def step(i, x):
            return x.at[i].set(b[i] - a[i] * x[i - 1] / (1.0 + a[i]))

        return (lax.fori_loop(1, a.shape[0], step, b) ** 2).sum()

    a, b = np.random.default_rng(5).uniform(size=(2, 50))
    gradient = tj.grad(fun, (0, 1))
    lines = str(tj.stages(gradient)(a, b)["kernels"]).splitlines()
    _, *loops = "\n".join(lines).split("statement scan")
    inside = [line for loop in loops for line in loop.splitlines() if "update_slice" not in line]
    whole = [line for line in inside if "(50,)" in line or "(49,)" in line]
    assert len(whole) <= 5, whole  # what the loops start with, and what is between them
    for x, y in zip(tj.jit(gradient)(a, b), gradient(a, b), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-12)


@pytest.mark.parametrize("name", ["lt", "le", "gt", "ge"])
@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize("side", [0, 1])
def test_a_sum_of_what_either_side_of_a_mask_takes(name, swapped, side):
    """Also the element at the number itself, which one of the sides has."""
    def fun(x, k):
        at, number = iota(dtype=INT64, shape=x.shape, axis=0), broadcast(k, shape=x.shape, dims=())
        mask = getattr(ops, name)(*((number, at) if swapped else (at, number)))
        nothing = like(x, 0.0)
        chosen = ops.select(mask, nothing, x) if side else ops.select(mask, x, nothing)
        return (reduce_sum(chosen, axes=(0,)),)

    jaxpr = program(fun, array_type(FLOAT64, (41,)), NUMBER)
    assert loops_of(fun, array_type(FLOAT64, (41,)), NUMBER)
    x = np.random.default_rng(6).uniform(1.0, 2.0, 41)
    arguments = [(x, np.int64(k)) for k in (-1, 0, 1, 7, 8, 39, 40, 41, 2**63 - 1, -(2**63))]
    check(GuardedRun(), "sides", jaxpr, *arguments)


@pytest.mark.parametrize("rounds", [6, 26])
def test_what_stays_on_both_sides_of_masks_in_a_chain(rounds):
    def fun(x, k):
        at, y = np.arange(100), x
        for _ in range(rounds):
            y = np.where(at < k, y + 0.5 * y, np.where(at < k + 3, y - x, y))
        return y, tj.grad(lambda x: np.sum(y * x))(x)

    x = np.random.default_rng(0).random(100)
    for k in (0, 3, 50, 98):
        for f in (fun, tj.grad(lambda x, k: np.sum(fun(x, k)[0]))):
            found, expected = (tj.jit(f, backend=b)(x, np.int64(k)) for b in ("native", "eager"))
            np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_each_value_is_asked_once_for_what_it_replaces(monkeypatch):
    """A chain in which each value is read twice has 2**n ways through it."""
    asked = []
    for name in ("_selected", "_sum"):
        ask = getattr(Windows, name)
        monkeypatch.setattr(Windows, name, lambda *a, ask=ask: asked.append(ask) or ask(*a))

    def fun(x, k):
        at, y = np.arange(100), x
        for _ in range(30):
            k = k + k
        for _ in range(30):
            y = np.where(at < k, y + y, np.where(at > k, y - x, y))
        return y

    x = np.ones(100)
    np.testing.assert_array_equal(tj.jit(fun)(x, np.int64(1)), fun(x, np.int64(1)))
    assert 60 < len(asked) < 5000


def test_a_product_with_elements_that_are_looked_up_runs_its_window_alone():
    """A row of a sparse matrix: the indices are computed where they are read."""

    def rows(starts, columns, values, x):
        def row(i, y):
            k = tnp.arange(values.shape[0])
            inside = (k >= starts[i]) & (k < starts[i + 1])
            found = x[tnp.where(inside, columns, 0)]
            return y.at[i].set(tnp.where(inside, values * found, 0.0).sum())

        return lax.fori_loop(0, starts.shape[0] - 1, row, tnp.zeros(starts.shape[0] - 1))

    rng = np.random.default_rng(0)
    starts = np.sort(rng.integers(0, 5000, 101))
    columns, values, x = rng.integers(0, 30, 5000), rng.normal(size=5000), rng.normal(size=30)
    expected = [
        values[a:b] @ x[columns[a:b]] for a, b in zip(starts[:-1], starts[1:], strict=True)
    ]
    np.testing.assert_allclose(tj.jit(rows)(starts, columns, values, x), expected, rtol=1e-12)
    kernels = tj.stages(rows)(starts, columns, values, x)["kernels"]
    assert "up to 5000" in kernels
    assert "[5000" not in kernels
    assert "region" not in kernels


def sparse_product(starts, columns, data, x):
    """Rows of a sparse matrix, each times x."""
    y = np.zeros(len(starts) - 1)
    for i in range(len(starts) - 1):
        y[i] = data[starts[i] : starts[i + 1]] @ x[columns[starts[i] : starts[i + 1]]]
    return y


@pytest.mark.parametrize("elements", [0, 30, 3000])
def test_gradients_of_sparse_rows_run_the_rows_alone(elements, rng) -> None:
    """The masks are made again of their limits; sums of updates run between them, too."""
    rows, size = 40, 50
    starts = np.sort(rng.integers(0, elements + 1, rows + 1)).astype(np.int32)
    columns = rng.integers(0, size, elements).astype(np.int32)
    data, x, ct = rng.normal(size=elements), rng.normal(size=size), rng.normal(size=rows)

    def loss(data, x, starts, columns):
        return np.sum(sparse_product(starts, columns, data, x) * ct)

    gradient = tj.jit(tj.grad(loss, argnums=(0, 1)), backend="native")
    of_data, of_x = gradient(data, x, starts, columns)
    want_data, want_x = np.zeros(elements), np.zeros(size)
    for i in range(rows):
        part = slice(starts[i], starts[i + 1])
        want_data[part] = ct[i] * x[columns[part]]
        np.add.at(want_x, columns[part], ct[i] * data[part])
    np.testing.assert_allclose(of_data, want_data, rtol=1e-12)
    np.testing.assert_allclose(of_x, want_x, rtol=1e-12, atol=1e-12)
    if elements == 3000:
        text = str(tj.explain(gradient)(data, x, starts, columns))
        assert "bool[40,3000]" not in text and "loops [3000 by 8" not in text


def test_loops_between_limits_are_not_cut_into_pieces(rng) -> None:
    """The pieces would run all of the rows."""

    def totals(x, ends):
        return np.stack([np.sum(np.where(np.arange(len(x)) < e, x, 0.0)) for e in ends])

    x, ends = rng.normal(size=400_000), np.array([3, 399_999, 0])
    fun = tj.jit(totals, backend="native", threads=2)
    np.testing.assert_allclose(fun(x, ends), totals(x, ends), rtol=1e-12)
    assert "loops [up to 400000" in str(tj.explain(fun)(x, ends))


def eliminated(A):
    """Triangular factors, a window of the whole array in each round."""
    for k in range(len(A) - 1):
        A[k + 1 :, k] /= A[k, k]
        A[k + 1 :, k + 1 :] -= np.outer(A[k + 1 :, k], A[k, k + 1 :])
    return A


@pytest.mark.parametrize("n", [1, 2, 17, 40])
def test_what_a_window_is_changed_by_is_read_before(n, rng) -> None:
    A = rng.random((n, n)) + n * np.eye(n)
    fun = tj.jit(lambda A: eliminated(A.copy()), backend="native")
    np.testing.assert_allclose(fun(A), eliminated(A.copy()), rtol=1e-12)
    if n == 40:
        assert "loops [up to 40 up to 40" in str(tj.explain(fun)(A))
    loss = lambda A: np.sum(np.sin(eliminated(A.copy())))
    got, want = (tj.jit(tj.grad(loss), backend=b)(A) for b in ("native", "eager"))
    np.testing.assert_allclose(got, want, rtol=1e-10, atol=1e-12)

"""Nests with several statements: sums over different axes, whatever the order of loops."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from native_guarded import numbers, program

from tracejit.backends.native.compile import NativeExecutable, emit_kernel
from tracejit.backends.native.nest import Nest
from tracejit.ir.parsing import parse
from tracejit.ir.types import FLOAT32, FLOAT64, INT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import elementwise, reduction, structure
from tracejit.testing.compare import assert_close

SHAPES = [(5,), (3, 4), (2, 37), (37, 2), (1, 9), (9, 1), (4, 3, 5), (2, 1, 33), (33, 2, 3)]


def subsets(n: int) -> list[tuple[int, ...]]:
    return [axes for k in range(n + 1) for axes in itertools.combinations(range(n), k)]


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32, INT64, np.dtype(np.int8)], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_all_sums_at_once(shape, dtype, rng) -> None:
    """Over every set of axes, in one nest, beside a store and a transpose."""

    def fun(x):
        y = elementwise.max(x * 3, x + 1)
        sums = [structure.reduce_sum(y, axes=axes) for axes in subsets(x.ndim)]
        tops = [reduction.reduce_max(x, axes=axes) for axes in subsets(x.ndim)]
        return [y, *sums, *tops]

    t = array_type(dtype, shape)
    jaxpr = program(fun, t)
    x = numbers(rng, t)
    rtol = 1e-5 if dtype == FLOAT32 else 1e-13
    run = NativeExecutable(jaxpr)
    assert run.summary.kernels <= 2
    assert_close("sums", shape, run(x), evaluate(jaxpr, x), rtol=rtol)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_each_sum_alone(shape, rng) -> None:
    t = array_type(FLOAT64, shape)
    x = numbers(rng, t)
    for axes in subsets(len(shape)):
        jaxpr = program(lambda x, a=axes: [structure.reduce_sum(elementwise.sin(x), axes=a)], t)
        assert_close("sum", axes, NativeExecutable(jaxpr)(x), evaluate(jaxpr, x), rtol=1e-13)


def test_the_same_bits_every_time(rng) -> None:
    x = rng.normal(size=100_003)
    jaxpr = program(lambda x: [structure.reduce_sum(x, axes=(0,))], array_type(FLOAT64, x.shape))
    run = NativeExecutable(jaxpr)
    assert len({float(run(x)[0]) for _ in range(5)}) == 1
    assert float(NativeExecutable(jaxpr)(x)[0]) == float(run(x)[0])


def test_work_is_done_where_it_is_known_first(rng) -> None:
    """exp of a row is outside of the loop over columns, and exp of a number outside of all."""

    def fun(x, v, s):
        rows = structure.broadcast(v * v, shape=x.shape, dims=(0,))
        number = structure.broadcast(elementwise.exp(s), shape=x.shape, dims=())
        return [x * rows + number]

    types = array_type(FLOAT64, (6, 32)), array_type(FLOAT64, (6,)), array_type(FLOAT64)
    jaxpr = program(fun, *types)
    text = str(emit_kernel(jaxpr, 0)[0])
    kernel = text[text.index("@kernel") :]
    entry = kernel[: kernel.index("loop.")]
    assert "fma.f64(" in entry  # of exp, one number
    arrays = [numbers(rng, t) for t in types]
    results = NativeExecutable(jaxpr)(*arrays)
    assert_close("hoist", jaxpr, results, evaluate(jaxpr, *arrays), rtol=1e-14)


def test_maxima_and_nan(rng) -> None:
    """NaN wins wherever it stands: in a lane, in a tail, alone."""
    for n in (1, 7, 8, 9, 31, 70):
        jaxpr = program(
            lambda x: [reduction.reduce_max(x, axes=(0,)), reduction.reduce_min(x, axes=(0,))],
            array_type(FLOAT64, (n,)),
        )
        run = NativeExecutable(jaxpr)
        for place in {0, n // 2, n - 1}:
            x = rng.normal(size=n)
            x[place] = np.nan
            assert np.isnan(run(x)).all()


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32, INT64, np.dtype(np.int8)], ids=str)
@pytest.mark.parametrize("shape", [(40, 5), (37, 8), (19, 3), (131, 2), (2, 67, 7)], ids=str)
def test_rows_that_are_finished_together(shape, dtype, rng) -> None:
    """Short rows, a block of them at a time; and long columns, in several sums at a time."""
    t = array_type(dtype, shape)
    x = numbers(rng, t)
    rtol = 1e-5 if dtype == FLOAT32 else 1e-13
    for op in (structure.reduce_sum, reduction.reduce_max, reduction.reduce_min):
        for axis in range(len(shape)):
            jaxpr = program(lambda x, op=op, axis=axis: [op(x, axes=(axis,))], t)
            want = evaluate(jaxpr, x)
            assert_close("rows", axis, NativeExecutable(jaxpr)(x), want, rtol=rtol)
            turned = program(
                lambda x, op=op, axis=axis: [op(structure.permute(x, order=ORDER[x.ndim]),
                                                axes=(axis,))], t)  # fmt: skip
            want = evaluate(turned, x)
            assert_close("turned", axis, NativeExecutable(turned)(x), want, rtol=rtol)


ORDER = {2: (1, 0), 3: (2, 0, 1)}


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (40, 3), (1, 70)], ids=str)
def test_powers_of_one_base(shape, dtype, rng) -> None:
    """What a power needs of its base is computed once for a row, with the same result."""
    bases = np.array([-2.5, -1.0, -0.0, 0.0, 0.5, 1.0, 3.0, np.inf, -np.inf, np.nan])
    powers = np.array([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 0.5, np.nan, np.inf, -np.inf, 7.5])
    x = rng.choice(bases, size=shape[0]).astype(dtype)
    y = rng.choice(powers, size=shape[1]).astype(dtype)
    types = [array_type(dtype, x.shape), array_type(dtype, y.shape)]
    spread = [lambda v, d=d: structure.broadcast(v, dims=(d,), shape=shape) for d in (0, 1)]
    jaxpr = program(lambda x, y: [elementwise.pow(spread[0](x), spread[1](y))], *types)
    whole = program(lambda x, y: [elementwise.pow(x, y)], *[array_type(dtype, shape)] * 2)
    full = [np.ascontiguousarray(np.broadcast_to(v, shape)) for v in (x[:, None], y)]
    (got,), (want,) = NativeExecutable(jaxpr)(x, y), NativeExecutable(whole)(*full)
    np.testing.assert_array_equal(got, want)
    with np.errstate(all="ignore"):
        assert_close("pow", shape, [got], [np.power(*full)], rtol=1e-6)


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32], ids=str)
@pytest.mark.parametrize("n", [3, 8, 17, 33, 64, 100, 1001])
def test_long_bodies_run_under_masks(n, dtype, rng) -> None:
    """Stores and sums of all kinds, in a loop whose last turn is not full."""

    def fun(x):
        y = elementwise.tanh(elementwise.sin(elementwise.exp(x)))
        sums = [op(y, axes=(0,)) for op in (structure.reduce_sum, reduction.reduce_max)]
        return [y, *sums, reduction.reduce_min(y, axes=(0,))]

    t = array_type(dtype, (n,))
    x = numbers(rng, t)
    jaxpr = program(fun, t)
    rtol = 2e-6 if dtype == FLOAT32 else 1e-13
    assert_close("masks", n, NativeExecutable(jaxpr)(x), evaluate(jaxpr, x), rtol=rtol)


def test_elements_that_are_a_number_apart_share_a_pointer() -> None:
    """Rows that are finished together: one product of the counter, in the one block that loops."""
    t, u = array_type(FLOAT64, (64, 29)), array_type(FLOAT64, (29,))

    def fun(x, w):
        products = x * structure.broadcast(w, shape=t.shape, dims=(1,))
        return [structure.reduce_sum(products, axes=(1,))]

    text = str(emit_kernel(program(fun, t, u), 0)[0])
    assert text.count("getelementptr double, ptr %") > 8
    assert text.count("= mul i64") == 1
    assert text.count("\nloop.") == 1


@pytest.mark.parametrize("n", [24, 64, 67, 79, 80, 160, 1000, 1003])
def test_chains_that_take_turns(n, rng, monkeypatch) -> None:
    """One body for two chains: the same bits as a body for each, from less code."""

    def fun(x):
        y = elementwise.exp(x) * elementwise.exp(x + 1)
        return [structure.reduce_sum(y, axes=(0,)), reduction.reduce_max(y, axes=(0,)), y]

    t = array_type(FLOAT64, (n,))
    jaxpr, x = program(fun, t), numbers(rng, t)

    def run() -> tuple[list[bytes], int]:
        return [y.tobytes() for y in NativeExecutable(jaxpr)(x)], len(str(emit_kernel(jaxpr, 0)[0]))

    bits, length = run()
    never = property(lambda nest: False, lambda nest, on: None)
    monkeypatch.setattr(Nest, "in_turns", never, raising=False)
    others, longer = run()
    assert bits == others
    assert n < 32 or length < 0.8 * longer


@pytest.mark.parametrize("shape", [(5, 3), (40, 3, 3), (7, 1, 11), (2, 9, 2, 5)], ids=str)
def test_one_loop_for_all_axes(shape, rng) -> None:
    """Where all is element by element; and not where an index counts."""

    def plain(x):
        y = elementwise.sin(x) * elementwise.exp(x)
        return [y, structure.reduce_sum(y, axes=tuple(range(x.ndim)))]

    def counted(x):
        at = structure.iota(axis=1, dtype=FLOAT64, shape=x.shape)
        rows = structure.broadcast(structure.reduce_sum(x, axes=(0,)), shape=x.shape,
                                   dims=tuple(range(1, x.ndim)))  # fmt: skip
        return [x * at, x + structure.reverse(x, axes=(0,)), x * rows]

    t = array_type(FLOAT64, shape)
    x = numbers(rng, t)
    for fun in (plain, counted):
        jaxpr = program(fun, t)
        assert_close("flat", shape, NativeExecutable(jaxpr)(x), evaluate(jaxpr, x), rtol=1e-13)
    run = NativeExecutable(program(plain, t))
    assert run.summary.kernels == 1


def test_what_is_hoisted_into_a_block_that_branches_moves_its_phis() -> None:
    """A sine branches (huge angles); what comes to the end of its block later moves the branch."""
    text = """fn(%0: f64[1,3], %1: f64[], %2: i32[]) -> (f64[], f64[3,5]) {
      %3: f64[3,5] = pad(%0, %1, high=(1, 0), interior=(1, 1), low=(1, 0))
      %4: f64[3,5] = sin(%3)
      %5: f64[3,5] = cos(%3)
      %6: f64[1,1] = dynamic_slice(%0, %2, %2, sizes=(1, 1))
      %7: f64[1,3] = dynamic_update_slice(%0, %6, %2, %2)
      %8: f64[1,3] = sin(%7)
      %9: f64[1,1] = sin(%6)
      %10: f64[] = reduce_sum(%4, axes=(0, 1))
      %11: f64[] = reduce_sum(%8, axes=(0, 1))
      %12: f64[] = reduce_sum(%9, axes=(0, 1))
      %13: f64[] = add(%10, %11)
      %14: f64[] = add(%13, %12)
      return %14, %5
    }"""
    jaxpr = parse(text)
    arrays = np.array([[0.3, 1e9, -2.0]]), np.float64(0.5), np.int32(0)
    for y, z in zip(NativeExecutable(jaxpr)(*arrays), evaluate(jaxpr, *arrays), strict=True):
        np.testing.assert_allclose(y, z, rtol=1e-14)

"""dtypes follow NEP 50; default_float=float32 follows JAX; programs have no needless equations."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from numpy_harness import equations, run, trace

import tracejit.numpy as tnp
from tracejit.config import config
from tracejit.errors import DTypeError
from tracejit.ir.types import FLOAT32, FLOAT64, INT64, array_type
from tracejit.trace.stage import stage

DTYPES = [np.bool_, np.int8, np.int32, np.int64, np.uint8, np.uint64, np.float32, np.float64]
X = np.array([1.0, 2.0, 3.0])


@pytest.mark.parametrize(("first", "second"), list(itertools.product(DTYPES, DTYPES)))
def test_pairs_meet_as_in_numpy(first: Any, second: Any) -> None:
    x, y = np.ones(2, first), np.ones(2, second)
    assert run(lambda x, y: x + y, x, y).dtype == (x + y).dtype
    assert tnp.result_type(x, y) == np.result_type(x, y)
    assert tnp.promote_types(first, second) == np.promote_types(first, second)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("number", [2, 2.5])
def test_python_numbers_give_way(dtype: Any, number: Any) -> None:
    x = np.ones(2, dtype)
    for op in (lambda x, n: x + n, lambda x, n: n * x, lambda x, n: x / n):
        assert run(lambda x, op=op: op(x, number), x).dtype == op(x, number).dtype


def weak_type(function: Any, *kinds: Any) -> tuple[Any, bool]:
    """dtype and weakness of the result for tracers that stand for Python numbers."""
    dtypes = {int: INT64, float: FLOAT64}
    types = [array_type(dtypes[k]) for k in kinds]
    program = stage(lambda *xs: [function(*xs)], types, weak=[True] * len(kinds))
    return program.jaxpr.out_types[0].dtype, program.weak[0]


def test_tracers_of_python_numbers_stay_weak_under_operators() -> None:
    assert weak_type(lambda x: x * 2 + 1, int) == (INT64, True)
    assert weak_type(lambda x: x * 0.5, int) == (FLOAT64, True)
    assert weak_type(lambda x, y: x**y - x / y, float, int) == (FLOAT64, True)
    assert weak_type(lambda x: -abs(x), float) == (FLOAT64, True)
    assert weak_type(lambda x: np.ones(2, np.float32) * x, float) == (FLOAT32, False)
    assert weak_type(lambda x: np.float32(2) * (x + 1), float) == (FLOAT32, False)
    assert weak_type(np.sin, float) == (FLOAT64, False)
    assert weak_type(lambda x: x > 1, float)[1] is False


def test_integers_that_do_not_fit() -> None:
    with pytest.raises(OverflowError):
        run(lambda x: x + 300, np.ones(2, np.uint8))
    np.testing.assert_array_equal(run(lambda x: x < 300, np.ones(2, np.uint8)), [True, True])
    np.testing.assert_array_equal(run(lambda x: x == -1, np.ones(2, np.uint8)), [False, False])


def test_float32_mode_is_as_jax_has_it() -> None:
    with config(default_float="float32"):
        ints, single, double = np.ones(2, np.int64), np.ones(2, np.float32), np.ones(2)
        assert run(lambda x: x / 2, ints).dtype == FLOAT32
        assert run(np.sqrt, ints).dtype == FLOAT32
        assert run(lambda x: x * 0.5, ints).dtype == FLOAT32
        assert run(lambda x, y: x * y, ints, single).dtype == FLOAT32
        assert run(lambda x, y: x * y, ints, double).dtype == FLOAT64
        assert run(np.mean, ints).dtype == FLOAT32
        assert tnp.zeros(2).dtype == tnp.linspace(0, 1, 3).dtype == tnp.eye(2).dtype == FLOAT32
        assert tnp.array([1.0, 2.0]).dtype == tnp.asarray(1.5).dtype == FLOAT32
        assert tnp.arange(3.0).dtype == FLOAT32
        assert tnp.arange(3).dtype == INT64
        assert tnp.array(np.ones(2)).dtype == FLOAT64
        assert tnp.sin(1.0).dtype == FLOAT32


def test_programs_are_as_short_as_they_can_be() -> None:
    matrix = np.ones((2, 3))
    assert equations(lambda x: 2 * x + 1, X) == ["mul", "add"]
    assert equations(lambda x: np.where(x > 0, x, 0), X) == ["gt", "select"]
    assert equations(lambda x, y: x + y, matrix, X) == ["broadcast", "add"]
    assert equations(lambda x: x**2 / 2, X) == ["integer_pow", "div"]
    assert equations(lambda x: np.clip(x, 0, 1), X) == ["max", "min"]
    assert equations(lambda x: np.sum(x, axis=()), X) == []
    assert equations(lambda x: x.reshape(3), X) == []
    assert equations(lambda x: x.astype(float), X) == []
    assert equations(lambda x: tnp.zeros(3) + x, X) == ["add"]
    assert equations(lambda x: x + np.zeros(3), X) == ["add"]
    assert equations(np.mean, X) == ["reduce_sum", "div"]
    assert equations(lambda x, y: x @ y, matrix, X) == ["dot"]
    assert equations(lambda x, y: np.einsum("ij,j->i", x, y), matrix, X) == ["dot"]


def test_a_constant_is_captured_once() -> None:
    constant = np.array([1, 2, 3])
    program = trace(lambda x: x * constant + constant, X)
    assert len(program.captured) == 1


def test_dtypes_outside_the_language_are_refused() -> None:
    for dtype in (np.longdouble, np.clongdouble, object):
        with pytest.raises(DTypeError, match="complex64 and complex128"):
            run(lambda x, dtype=dtype: x.astype(dtype), X)
    with pytest.raises(DTypeError, match="longdouble|float128"):
        run(lambda x: x * np.array([1], np.longdouble), X)
    with pytest.raises(TypeError, match="subtract of bools"):
        run(lambda x: x - x, X > 1)

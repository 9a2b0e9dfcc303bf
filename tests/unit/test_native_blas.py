"""Products of matrices, by BLAS and by loops: layouts, batches, edges of the choice."""

from __future__ import annotations

import numpy as np
import pytest
from native_guarded import program

from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.types import FLOAT32, FLOAT64, INT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import contraction, elementwise, structure
from tracejit.testing.compare import assert_close

#: Shapes of the operands, contracted axes, batch axes.
CASES = {
    "nn": ((40, 30), (30, 50), ((1,), (0,)), ((), ())),
    "tn": ((30, 40), (30, 50), ((0,), (0,)), ((), ())),
    "nt": ((40, 30), (50, 30), ((1,), (1,)), ((), ())),
    "tt": ((30, 40), (50, 30), ((0,), (1,)), ((), ())),
    "batch": ((3, 40, 30), (3, 30, 50), ((2,), (1,)), ((0,), (0,))),
    "batch behind": ((40, 30, 3), (30, 3, 50), ((1,), (0,)), ((2,), (1,))),
    "batch turned": ((3, 30, 40), (3, 50, 30), ((1,), (2,)), ((0,), (0,))),
    "two free": ((5, 30, 8), (30, 6, 9), ((1,), (0,)), ((), ())),
    "two contracted": ((5, 40, 6), (6, 5, 50), ((2, 0), (0, 1)), ((), ())),
    "two batches": ((2, 3, 20, 30), (3, 2, 30, 40), ((3,), (2,)), ((0, 1), (1, 0))),
    "small": ((3, 5), (5, 4), ((1,), (0,)), ((), ())),
    "vector": ((400, 300), (300,), ((1,), (0,)), ((), ())),
    "outer": ((200,), (300,), ((), ()), ((), ())),
    "thin": ((500, 3), (3, 500), ((1,), (0,)), ((), ())),
}


@pytest.mark.parametrize("dtype", [FLOAT64, FLOAT32, INT64], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_dot(name, dtype, rng) -> None:
    left, right, contract, batch = CASES[name]
    types = [array_type(dtype, shape) for shape in (left, right)]
    jaxpr = program(lambda x, y: [contraction.dot(x, y, contract=contract, batch=batch)], *types)
    arrays = [rng.integers(-9, 9, t.shape).astype(dtype) for t in types]
    run = NativeExecutable(jaxpr)
    called = dtype != INT64 and name not in ("small", "vector", "outer", "thin")
    assert run.summary.statements["dot"] == called
    assert_close("dot", name, run(*arrays), evaluate(jaxpr, *arrays), rtol=0)


def test_operands_are_views_and_computed(rng) -> None:
    """Slices, transposes and elementwise work in front of BLAS, and work behind it."""
    t = array_type(FLOAT64, (60, 70))

    def fun(x):
        a = structure.slice(x, start=(5, 3), limit=(55, 63), stride=(1, 2))
        b = structure.permute(structure.reverse(elementwise.sin(x), axes=(1,)), order=(1, 0))
        b = structure.slice(b, start=(0, 0), limit=(30, 60), stride=(1, 1))
        y = contraction.dot(a, b, contract=((1,), (0,)), batch=((), ()))
        return [elementwise.tanh(y), contraction.dot(y, y, contract=((0,), (0,)), batch=((), ()))]

    jaxpr = program(fun, t)
    x = rng.uniform(-1, 1, t.shape)
    run = NativeExecutable(jaxpr)
    assert run.summary.statements["dot"] == 2
    for _ in range(2):
        assert_close("views", "dot", run(x), evaluate(jaxpr, x), rtol=1e-12)


def test_infinities_and_nan(rng) -> None:
    """What BLAS finds in its result before does not count."""
    t = array_type(FLOAT64, (40, 40))

    def product(x, y):
        return [contraction.dot(x, y, contract=((1,), (0,)), batch=((), ()))]

    jaxpr = program(product, t, t)
    x, y = rng.uniform(-1, 1, (2, 40, 40))
    run = NativeExecutable(jaxpr)
    outputs = [np.full((40, 40), np.nan)]
    run.run_into([x, y], outputs)
    assert_close("dot", "nan before", outputs, [x @ y], rtol=1e-13)
    x[3, 4] = np.nan
    (z,) = run(x, y)
    assert np.isnan(z[3]).all() and np.isfinite(np.delete(z, 3, axis=0)).all()

"""Memory that changes hands: random programs whose arrays are all of one size, so that outputs are
lent and dying arrays replaced wherever that could go wrong.
"""

from __future__ import annotations

import numpy as np
import pytest
from native_guarded import poison, program

import tracejit as tj
from tracejit import backends
from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.atoms import Atom
from tracejit.ir.types import FLOAT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import contraction, elementwise, indexing, reduction, structure
from tracejit.testing.compare import assert_close

SIDE = 6
SQUARE = array_type(FLOAT64, (SIDE, SIDE))
ROW = array_type(FLOAT64, (SIDE * SIDE,))


def flat(x: Atom) -> Atom:
    return structure.reshape(x, shape=ROW.shape)


def square(x: Atom) -> Atom:
    return structure.reshape(x, shape=SQUARE.shape)


def product(x: Atom, y: Atom) -> Atom:
    return contraction.dot(x, y, contract=((1,), (0,)), batch=((), ())) * (1.0 / SIDE)


def total(x: Atom, y: Atom) -> Atom:
    column = structure.reduce_sum(x, axes=(1,))
    return elementwise.tanh(structure.broadcast(column, shape=SQUARE.shape, dims=(0,)) + y)


def sorted_(x: Atom, y: Atom) -> Atom:
    return reduction.sort(x + y, axis=1, keys=1)[0]


def written(x: Atom, y: Atom) -> Atom:
    row = structure.slice(y, start=(1, 0), limit=(2, SIDE), stride=(1, 1))
    numbers = structure.iota(dtype=np.dtype("int64"), shape=(1,), axis=0)
    zero = structure.reduce_sum(numbers, axes=(0,))
    return indexing.dynamic_update_slice(x, row, zero, zero)


OPERATIONS = (
    lambda x, y: elementwise.exp(elementwise.min(x, y)),
    lambda x, y: elementwise.tanh(x) * y,
    lambda x, y: elementwise.sin(x * 3.0) - y,
    lambda x, y: structure.permute(elementwise.tanh(x), order=(1, 0)) + y,
    lambda x, y: structure.reverse(elementwise.tanh(x), axes=(0,)) - x,
    lambda x, y: square(elementwise.tanh(reduction.cumsum(flat(x), axis=0, reverse=False))) + y,
    lambda x, y: square(elementwise.exp(elementwise.min(flat(x), flat(y)))),
    product, total, sorted_, written,
)  # fmt: skip


@pytest.mark.parametrize("seed", range(40))
def test_random_programs(seed: int) -> None:
    rng = np.random.default_rng(seed)

    def fun(x: Atom, y: Atom) -> list[Atom]:
        known = [x, y]
        for _ in range(rng.integers(4, 16)):
            # Mostly the newest: chains, in which arrays die.
            picks = [known[-1 - min(int(rng.geometric(0.5)) - 1, len(known) - 1)] for _ in "ab"]
            known.append(OPERATIONS[rng.integers(len(OPERATIONS))](*picks))
        outs = [known[rng.integers(len(known))] for _ in range(rng.integers(1, 4))]
        return [known[-1], *outs]

    jaxpr = program(fun, SQUARE, SQUARE)
    run = NativeExecutable(jaxpr)
    for _ in range(2):
        arrays = [rng.uniform(-1, 1, SQUARE.shape) for _ in range(2)]
        before = [x.copy() for x in arrays]
        outputs = [np.full(t.shape, np.nan) for t in jaxpr.out_types]
        poison(run.workspace)
        run.run_into(arrays, outputs)
        assert_close("reuse", jaxpr, outputs, evaluate(jaxpr, *arrays), rtol=1e-11)
        for x, old in zip(arrays, before, strict=True):
            np.testing.assert_array_equal(x, old)


def test_a_result_is_made_where_what_it_replaces_lies(rng) -> None:
    """exp(x) is kept where the gradient of log(sum(exp(x))) comes, and replaced there."""

    def fun(x):
        e = np.exp(x)
        return e / np.sum(e), np.log(np.sum(e))

    x = rng.normal(size=3000)
    run = backends.load("native").compile(tj.jit(fun).trace(x))
    assert run.summary.workspace_bytes < 1000
    e = np.exp(x)
    assert_close("softmax", x.shape, run(x), [e / e.sum(), np.log(e.sum())], rtol=1e-13)

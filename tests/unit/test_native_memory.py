"""No native program touches memory that is not its own, and none leans on what it finds there."""

from __future__ import annotations

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from native_guarded import poison, program
from native_memory_cases import GROUPS

from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.atoms import Literal
from tracejit.ir.types import FLOAT64, INT64, ArrayType, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import elementwise, indexing, reduction, structure
from tracejit.testing.compare import assert_close

CASES = Path(__file__).parent / "native_memory_cases.py"


@pytest.mark.parametrize("group", GROUPS)
def test_guarded(group: str) -> None:
    path = [str(CASES.parents[2] / "src"), str(CASES.parent)]
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", CASES, group],
        capture_output=True, text=True, env={"PYTHONPATH": ":".join(path), "PYTHONHASHSEED": "0"},
    )  # fmt: skip
    last = "\n".join(done.stdout.splitlines()[-3:])
    assert done.returncode == 0, f"after\n{last}\n{done.stderr[-3000:]}"


# What lies in the workspace, or lay there, changes nothing.

def row(n: int) -> ArrayType:
    return array_type(FLOAT64, (n,))


def scattered(x, i):
    """In-place updates whose operands read the array that they change."""
    y = elementwise.exp(x)
    one = indexing.scatter_add(y, i, indexing.gather(y, i, axes=(0,), batch=0), axes=(0,), batch=0)
    two = indexing.scatter(one, i, indexing.gather(one, i, axes=(0,), batch=0), axes=(0,), batch=0)
    turned = structure.slice(structure.reverse(two, axes=(0,)), start=(1,), limit=(4,), stride=(1,))
    return [indexing.dynamic_update_slice(two, turned, Literal(2, array_type(INT64)))]


def updated_twice(x, i):
    """One array, updated by two; a third reads it as it was."""
    y = elementwise.sin(x)
    ones = Literal(1.0, row(i.shape[0]))
    a = indexing.scatter_add(y, i, ones, axes=(0,), batch=0)
    b = indexing.scatter_mul(y, i, ones * 2.0, axes=(0,), batch=0)
    return [a, b, indexing.scatter_max(a, i, ones, axes=(0,), batch=0), y + a]


def sorts(x, i):
    """Many temporaries."""
    for _ in range(6):
        (x,) = reduction.sort(elementwise.sin(x * 3.0), axis=0, keys=1)
        x = structure.concatenate(structure.reverse(x, axes=(0,)), x, axis=0)
        x = structure.slice(x, start=(0,), limit=(x.shape[0],), stride=(2,))
    return [x]


def sums(x, i):
    """A chain of levels: each array dies when the next is made."""
    for _ in range(10):
        total = structure.reduce_sum(x, axes=(0,))
        x = elementwise.tanh(x - structure.broadcast(total, shape=x.shape, dims=()))
        x = reduction.cumsum(x, axis=0, reverse=False)
    return [x]


PROGRAMS = [scattered, updated_twice, sorts, sums]


@pytest.mark.parametrize("fun", PROGRAMS)
def test_a_poisoned_workspace(fun, rng) -> None:
    """Between calls the workspace may hold anything."""
    jaxpr = program(fun, row(9), array_type(INT64, (4, 1)))
    run = NativeExecutable(jaxpr)
    for _ in range(3):
        x, i = rng.uniform(-1, 1, 9), rng.integers(0, 9, (4, 1))
        poison(run.workspace)
        assert_close("poison", jaxpr, run(x, i), evaluate(jaxpr, x, i), rtol=1e-13)


def test_memory_is_used_again() -> None:
    """Temporaries and dead arrays make room: the workspace does not grow with the program."""
    n = 1000
    small = NativeExecutable(program(sums, row(n), array_type(INT64, (4, 1))))
    assert small.summary.workspace_bytes <= 3 * 8064
    sorted_ = NativeExecutable(program(sorts, row(n), array_type(INT64, (4, 1))))
    assert sorted_.summary.workspace_bytes <= 5 * 8064


def test_a_dying_array_is_updated_in_place() -> None:
    """The one kernel without a place of its own computes exp where the updates begin."""

    def chain(x, i):
        y = elementwise.exp(x)
        for _ in range(5):
            y = indexing.scatter_add(y, i, Literal(1.0, row(4)), axes=(0,), batch=0)
        return [structure.reduce_sum(y, axes=(0,))]

    summary = NativeExecutable(program(chain, row(100), array_type(INT64, (4, 1)))).summary
    assert (summary.statements["scatter_add"], summary.copies, summary.stored) == (5, 1, 1)


def test_two_programs_take_turns(rng) -> None:
    jaxprs = [program(fun, row(9), array_type(INT64, (4, 1))) for fun in PROGRAMS]
    runs = [NativeExecutable(jaxpr) for jaxpr in jaxprs]
    for _ in range(3):
        x, i = rng.uniform(-1, 1, 9), rng.integers(0, 9, (4, 1))
        for run, jaxpr in zip(runs, jaxprs, strict=True):
            assert_close("turns", jaxpr, run(x, i), evaluate(jaxpr, x, i), rtol=1e-13)


def test_results_share_no_memory(rng) -> None:
    """Nor do they with operands: one handed out is a copy, and so is the second of a pair."""
    jaxpr = program(lambda x, y: [x, y, x, elementwise.neg(y), x], row(5), row(5))
    x = rng.uniform(-1, 1, 5)
    arrays = [x, x]
    results = NativeExecutable(jaxpr)(*arrays)
    for y, value in zip(results, evaluate(jaxpr, *arrays), strict=True):
        np.testing.assert_array_equal(y, value)
        assert y.flags.writeable and y.base is None
    for a, b in itertools.combinations([*arrays[:1], *results], 2):
        assert not np.shares_memory(a, b)


@pytest.mark.parametrize("make", [
    lambda x: x[::2], lambda x: x[::-1][:5], lambda x: np.asfortranarray(x.reshape(2, 5))[0],
    lambda x: x.astype(">f8")[:5],
    lambda x: np.frombuffer(b"-" + x.tobytes(), "u1")[1:41].view("<f8"),
])  # fmt: skip
def test_operands_lie_anyhow(make, rng) -> None:
    """Strided, turned, in the other byte order, at an odd address."""
    jaxpr = program(lambda x: [elementwise.exp(x), structure.reduce_sum(x, axes=(0,))], row(5))
    x = make(rng.uniform(-1, 1, 10))
    expected = evaluate(jaxpr, np.array(x, float))
    assert_close("operands", jaxpr, NativeExecutable(jaxpr)(x), expected, rtol=1e-14)


def test_rank_0_through_statements() -> None:
    """Scatter and gather of one number, at no place and at places of no axes."""

    def fun(x, indices):
        y = structure.reduce_sum(elementwise.exp(x), axes=(0,))
        z = indexing.gather(y, indices, axes=(), batch=0)
        total = indexing.scatter_add(y, indices, z, axes=(), batch=0)
        return [z, total, indexing.scatter_add(total, indices, z, axes=(), batch=0)]

    jaxpr = program(fun, row(3), array_type(INT64, (2, 0)))
    arrays = [np.arange(3.0), np.zeros((2, 0), np.int64)]
    assert_close(
        "rank 0", jaxpr, NativeExecutable(jaxpr)(*arrays), evaluate(jaxpr, *arrays), rtol=1e-14
    )

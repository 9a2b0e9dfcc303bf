"""Programs as a whole: the workspace, long programs, functions they are cut into."""

from __future__ import annotations

import re

import numpy as np
import pytest
from native_guarded import poison, program

from tracejit.backends.native import parts, plan
from tracejit.backends.native.compile import NativeExecutable, emit_kernel
from tracejit.backends.native.emit import PTR, Value
from tracejit.backends.native.parts import PART, cut
from tracejit.backends.native.program import ALIGN, Arena, inverse_order
from tracejit.ir.atoms import Literal
from tracejit.ir.types import FLOAT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import elementwise, indexing, reduction, structure
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close
from tracejit.transforms.gradient import value_and_gradient

SCALAR, ROW = array_type(FLOAT64), array_type(FLOAT64, (50,))


def total(x):
    return structure.reduce_sum(x, axes=tuple(range(x.ndim)))


# The workspace.


def test_arena() -> None:
    """The smallest hole that fits; neighbours grow together; the end is taken back."""
    arena = Arena(Value(PTR, "null"))
    a, b, c = (arena.take(n) for n in (1, 200, 64))
    assert [a, b, c] == [(0, 64), (64, 256), (320, 64)]
    arena.give(a)
    assert arena.take(64) == a
    arena.give(b)
    arena.give(a)
    assert arena.holes == [(0, 320)]
    assert arena.take(128) == (0, 128) and arena.holes == [(128, 192)]
    arena.give(c)
    assert arena.take(640) == (128, 640) and arena.size == 768
    assert arena.take(0)[1] == ALIGN


def test_inverse_order() -> None:
    assert inverse_order((2, 0, 1)) == [1, 2, 0]


# Parts.


def test_cut() -> None:
    assert cut([]) == [range(0)]
    assert cut([PART, PART]) == [range(2)]
    assert cut([PART, PART, 1]) == [range(1), range(1, 2), range(2, 3)]
    assert cut([10 * PART, 1, 1]) == [range(1), range(1, 3)]
    runs = cut([7] * PART)
    assert [n for run in runs for n in run] == list(range(PART))


def elementwise_chain(n):
    def fun(x):
        for i in range(n):
            x = x * 1.001 + 0.1 if i % 2 else elementwise.min(x, x * 0.5)
        return [x]

    return fun


def views(n):
    def fun(x):
        zero = Literal(0.0, SCALAR)
        for i in range(n):
            if i % 2:
                x = structure.pad(x, zero, low=(i % 3,), high=(2 - i % 3,), interior=(0,))
            else:
                x = structure.slice(x, start=(1,), limit=(x.shape[0] - 1,), stride=(1,))
        return [x]

    return fun


def scalar_chain(n):
    def fun(x):
        for i in range(n):
            x = elementwise.sin(x) * 1.1 if i % 20 == 0 else x * 0.9 + 0.1
        return [x]

    return fun


def sums(n):
    """Each array needs the sum of the one before."""

    def fun(x):
        for _ in range(n):
            mean = structure.broadcast(total(x) * 0.02, shape=x.shape, dims=())
            x = x * 0.5 + mean * 0.3
        return [x, total(x)]

    return fun


def statements(n):
    def fun(x):
        x = elementwise.exp(x)
        for i in range(n):
            at = Literal(i % 50, array_type(np.dtype(np.int64)))
            x = indexing.dynamic_update_slice(x, structure.slice(
                x, start=(3,), limit=(5,), stride=(1,)), at)  # fmt: skip
            x = reduction.cumsum(x * 0.1, axis=0, reverse=False) if i % 5 == 0 else x
        return [x]

    return fun


def many_results(n):
    def fun(x):
        ys = []
        for i in range(n):
            x = x * 1.0001 + float(i % 3)
            ys.append(total(x))
        return ys

    return fun


def hundreds_alive(n):
    """All values of the chain are read again, backwards."""

    def fun(x):
        xs = [x]
        for _ in range(n):
            xs.append(elementwise.tanh(xs[-1] * 1.1))
        y = xs[-1]
        for x in reversed(xs):
            y = y * (1.0 - x * x)
        return [y]

    return fun


LONG = {
    "elementwise": (elementwise_chain(2500), ROW),
    "views": (views(2000), ROW),
    "scalars": (scalar_chain(1500), SCALAR),
    "sums": (sums(60), ROW),
    "statements": (statements(200), ROW),
    "results": (many_results(200), ROW),
    "alive": (hundreds_alive(60), ROW),
    "alive scalars": (hundreds_alive(60), SCALAR),
}


@pytest.mark.parametrize("name", LONG)
def test_long_programs(name, rng) -> None:
    """No deep recursion, no long function, and the values of short ones."""
    fun, type = LONG[name]
    jaxpr = program(fun, type)
    x = rng.uniform(0.1, 1.0, type.shape)
    run = NativeExecutable(jaxpr)
    poison(run.workspace)
    assert_close(name, name, run(x), evaluate(jaxpr, x), rtol=1e-9)
    text = str(emit_kernel(jaxpr, 0)[0])
    assert max(body.count("\n") for body in text.split("\ndefine ")) < 15_000


def test_a_long_gradient(rng) -> None:
    jaxpr = program(lambda x: [total(hundreds_alive(40)(x)[0])], ROW)
    both = SIMPLIFY(value_and_gradient(jaxpr, (True,)))
    x = rng.uniform(0.1, 1.0, 50)
    assert_close("gradient", "alive", NativeExecutable(both)(x), evaluate(both, x), rtol=1e-11)


def test_work_is_linear() -> None:
    """Twice the program is twice the code."""
    for fun, type in ((elementwise_chain, ROW), (views, ROW), (sums, ROW), (hundreds_alive, ROW)):
        short, long = (str(emit_kernel(program(fun(n), type), 0)[0]).count("\n") for n in (80, 160))
        assert long < 2.3 * short, fun


@pytest.mark.parametrize("limit", [1, 40])
@pytest.mark.parametrize("fun", [sums(6), statements(6), hundreds_alive(6), many_results(6)])
def test_parts_of_any_size(fun, limit, monkeypatch, rng) -> None:
    """Cut everywhere: what one part makes, the others find."""
    monkeypatch.setattr(parts, "PART", limit)
    monkeypatch.setattr(plan, "LONG", limit)
    jaxpr = program(fun, ROW)
    functions = re.findall(r"define internal void @part\.", str(emit_kernel(jaxpr, 0)[0]))
    assert limit > 1 or len(functions) > 1
    x = rng.uniform(0.1, 1.0, 50)
    run = NativeExecutable(jaxpr)
    for _ in range(2):
        poison(run.workspace)
        assert_close("parts", limit, run(x), evaluate(jaxpr, x), rtol=1e-11)

"""Programs as a whole: the workspace, long programs, functions they are cut into."""

from __future__ import annotations

import re

import numpy as np
import pytest
from native_guarded import poison, program

from tracejit.backends.native import parts, plan
from tracejit.backends.native.arena import ALIGN, Area, Arena, Block, replaceable
from tracejit.backends.native.compile import NativeExecutable, emit_kernel
from tracejit.backends.native.emit import PTR, Value
from tracejit.backends.native.parts import PART, WHOLE, cut
from tracejit.backends.native.plan import Plan
from tracejit.backends.native.program import inverse_order
from tracejit.ir.atoms import Literal
from tracejit.ir.types import FLOAT32, FLOAT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import elementwise, indexing, reduction, structure
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close
from tracejit.transforms.gradient import value_and_gradient

SCALAR, ROW = array_type(FLOAT64), array_type(FLOAT64, (50,))


def total(x):
    return structure.reduce_sum(x, axes=tuple(range(x.ndim)))


# The workspace.


def test_area() -> None:
    """The smallest hole that fits; neighbours grow together; the end is taken back."""
    area = Area(Value(PTR, "null"))

    def take(n: int) -> Block:
        block = area.take(n)
        assert block is not None and block.area is area
        return block

    a, b, c = (take(n) for n in (1, 200, 64))
    assert [x[1:] for x in (a, b, c)] == [(0, 64), (64, 256), (320, 64)]
    a.free()
    assert take(64) == a
    b.free()
    a.free()
    assert area.holes == [(0, 320)]
    assert take(128)[1:] == (0, 128) and area.holes == [(128, 192)]
    c.free()
    assert take(640)[1:] == (128, 640) and area.size == 768
    assert take(0).size == ALIGN


def test_an_output_lends_its_memory_until_it_is_written() -> None:
    arena = Arena(Value(PTR, "null"))
    arena.lend(Value(PTR, "%y"), 100, until=5)
    arena.lend(Value(PTR, "%z"), 1000, until=9)
    a, b, c = arena.take(100, last=4), arena.take(100, last=4), arena.take(100, last=9)
    assert [x.area.base.text for x in (a, b, c)] == ["%y", "%z", "null"]
    assert a.size == 100 and b.size == 128 and arena.size == 128
    assert arena.keeps(a, 4) and not arena.keeps(a, 5) and arena.keeps(c, 99)
    a.free()
    assert arena.take(100, last=5).area is b.area
    assert arena.take(10, last=0) == (a.area, 0, 64)


def heirs(fun, *types):
    """What the last kernel of a program may replace: positions among its stores, and the arrays."""
    jaxpr = program(fun, *types)
    plan = Plan(jaxpr)
    step = plan.steps[-1]
    found = replaceable(plan, step, [x for x in plan.stored if x not in step.stores])
    return {step.stores.index(v): plan.makers[x].primitive.name for v, x in found.items()}


def sorted_(x):
    return reduction.sort(x, axis=0, keys=1)[0]


def running(x):
    return reduction.cumsum(x, axis=0, reverse=False)


def split(x):
    return structure.reshape(x, shape=(5, 10))


def turned(x):
    return structure.reverse(x, axes=(0,))


def test_a_store_replaces_what_is_read_where_it_stores() -> None:
    assert heirs(lambda x: [elementwise.exp(sorted_(x)) * 2.0], ROW) == {0: "sort"}
    assert heirs(lambda x: [x + sorted_(x), running(x) * x], ROW) == {0: "sort", 1: "cumsum"}
    # Two stores read it: one replaces it, the other has loaded it by then.
    assert heirs(lambda x: [-(y := sorted_(x)), y * x], ROW) == {0: "sort"}


def test_a_reshape_is_no_other_place_but_another_read() -> None:
    assert heirs(lambda x: [elementwise.exp(split(sorted_(x)))], ROW) == {0: "sort"}
    assert heirs(lambda x: [split(elementwise.exp(y := sorted_(x))) * split(y)], ROW) == {0: "sort"}
    assert heirs(lambda x: [split(y := sorted_(x)) * 2.0, split(y) + 1.0], ROW) == {}


def test_a_store_replaces_nothing_that_is_read_elsewhere() -> None:
    assert heirs(lambda x: [turned(sorted_(x))], ROW) == {}
    assert heirs(lambda x: [turned(split(sorted_(x)))], ROW) == {}
    assert heirs(lambda x: [turned(y := sorted_(x)) + y], ROW) == {}
    assert heirs(lambda x: [turned(y := sorted_(x)), y * 2.0], ROW) == {}
    assert heirs(lambda x: [elementwise.convert(sorted_(x), dtype=FLOAT32)], ROW) == {}


def test_results_lend_memory_and_dead_arrays_leave_theirs(rng) -> None:
    """A chain of sorts and sums needs no memory but its results'."""

    def fun(x):
        y = elementwise.exp(sorted_(running(x) * 3.0))
        return [elementwise.sin(y), running(turned(elementwise.tanh(y)) + 1.0), y]

    jaxpr = program(fun, ROW)
    run = NativeExecutable(jaxpr)
    assert run.summary.workspace_bytes <= ROW.size * 8 + 2 * ALIGN
    x = 0.01 * rng.normal(size=50)
    assert_close("lent", jaxpr, run(x), evaluate(jaxpr, x), rtol=1e-13)


def test_inverse_order() -> None:
    assert inverse_order((2, 0, 1)) == [1, 2, 0]


# Parts.


def test_cut() -> None:
    assert cut([]) == [range(0)]
    assert cut([WHOLE - 1, 1]) == [range(2)]
    assert cut([PART, WHOLE, 1]) == [range(1), range(1, 2), range(2, 3)]
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
    assert max(body.count("\n") for body in text.split("\ndefine ")) < 5_000


def test_many_arguments(rng) -> None:
    """Each function loads the pointers and numbers that it uses, and no more."""
    size = 600

    def fun(*leaves):
        terms = [total(x * x) * y for x, y in zip(leaves[:size], leaves[size:], strict=True)]
        return [sum(terms[1:], terms[0]), *terms[:2]]

    jaxpr = program(fun, *[ROW] * size, *[SCALAR] * size)
    leaves = [*rng.uniform(0.1, 1.0, (size, 50)), *rng.uniform(0.1, 1.0, size)]
    for found, wanted in zip(
        NativeExecutable(jaxpr)(*leaves), evaluate(jaxpr, *leaves), strict=True
    ):
        np.testing.assert_allclose(found, wanted, rtol=1e-12)
    bodies = str(emit_kernel(jaxpr, 0)[0]).split("\ndefine ")
    assert len(bodies) > 10
    assert max(body.count("\n") for body in bodies) < 4_000


def test_many_numbers_as_results(rng) -> None:
    """They are stored by functions of their own, numbers and booleans alike."""

    def fun(x, *numbers):
        return [*[y * x for y in numbers], *[elementwise.lt(x, y) for y in numbers]]

    jaxpr = program(fun, SCALAR, *[SCALAR] * 400)
    arguments = rng.uniform(0.1, 1.0, 401)
    found, wanted = NativeExecutable(jaxpr)(*arguments), evaluate(jaxpr, *arguments)
    assert [y.item() for y in found] == [np.asarray(y).item() for y in wanted]
    bodies = str(emit_kernel(jaxpr, 0)[0]).split("\ndefine ")
    assert max(body.count("\n") for body in bodies) < 5_000


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
    monkeypatch.setattr(parts, "WHOLE", limit)
    monkeypatch.setattr(plan, "LONG", limit)
    jaxpr = program(fun, ROW)
    functions = re.findall(r"define internal void @part\.", str(emit_kernel(jaxpr, 0)[0]))
    assert limit > 1 or len(functions) > 1
    x = rng.uniform(0.1, 1.0, 50)
    run = NativeExecutable(jaxpr)
    for _ in range(2):
        poison(run.workspace)
        assert_close("parts", limit, run(x), evaluate(jaxpr, x), rtol=1e-11)

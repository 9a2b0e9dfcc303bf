"""What is stored, what shares a nest, in which order."""

from __future__ import annotations

import numpy as np
from native_guarded import program

import tracejit as tj
from tracejit.backends.native.compile import NativeExecutable, emit_kernel
from tracejit.backends.native.plan import Plan
from tracejit.ir.types import FLOAT64, INT64, array_type
from tracejit.ir.walk import evaluate
from tracejit.ops import contraction, elementwise, reduction, structure
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close

X, V = array_type(FLOAT64, (30, 20)), array_type(FLOAT64, (20,))


def matvec(x, v):
    return contraction.dot(x, v, contract=((x.ndim - 1,), (0,)), batch=((), ()))


def total(x):
    return structure.reduce_sum(x, axes=tuple(range(x.ndim)))


def shapes(plan: Plan) -> list[tuple]:
    """Space, stores and sums of each nest."""
    return [(s.space, len(s.stores), len(s.sums)) for s in plan.steps if s.space]


def test_what_is_between_is_not_stored() -> None:
    jaxpr = program(lambda x: [total(elementwise.exp(x * 2.0) + x)], V)
    plan = Plan(jaxpr)
    assert shapes(plan) == [((20,), 0, 1)]
    assert plan.stored == dict.fromkeys(jaxpr.outvars, "finished before it is read")


def test_the_picture_of_the_module() -> None:
    def fun(x, w):
        y = elementwise.exp(matvec(x, w))
        return [total(y), y * 2.0]

    assert shapes(Plan(program(fun, X, V))) == [((30, 20), 0, 1), ((30,), 1, 1)]


def test_dear_values_read_along_another_axis_are_stored_once() -> None:
    """exp(v) is computed 20 times, not 30 * 20 times; v * 2 is cheap enough."""
    for function, stores in ((elementwise.exp, 1), (lambda v: v * 2.0, 0)):

        def fun(x, v, function=function):
            y = structure.broadcast(function(v), shape=x.shape, dims=(1,))
            return [total(x * y)]

        jaxpr = program(fun, X, V)
        assert len(Plan(jaxpr).stored) == 1 + stores


def test_dear_values_in_two_nests_are_stored() -> None:
    def fun(v):
        y = elementwise.sin(v)
        s = structure.broadcast(total(y), shape=v.shape, dims=())
        return [y * s]

    plan = Plan(program(fun, V))
    assert shapes(plan) == [((20,), 1, 1), ((20,), 1, 0)]


def test_steps_come_after_what_they_read() -> None:
    def fun(x, v):
        y = reduction.cumsum(matvec(x, v), axis=0, reverse=False)
        z = structure.reverse(elementwise.sin(y), axes=(0,))
        return [z + y, total(z), reduction.argmax(y, axis=0, dtype=INT64)]

    plan = Plan(program(fun, X, V))
    done = set(plan.jaxpr.invars)
    for step in plan.steps:
        assert {x for x in plan.reads(step) if x in plan.stored} <= done | set(step.stores)
        done.update(plan.results(step))


def test_long_work_is_cut() -> None:
    """Each nest has a part of it; only what crosses is stored."""

    def fun(v):
        for _ in range(300):
            v = elementwise.exp(v * -1.0)
        return [v]

    plan = Plan(program(fun, V))
    assert 6 <= len(plan.steps) <= 10 and len(plan.stored) == len(plan.steps)


def test_many_sums_are_cut() -> None:
    """Sums of arrays that need no work count, too."""

    def fun(*rows):
        return [total(x) for x in rows]

    plan = Plan(program(fun, *[V] * 200))
    assert 4 <= len(plan.steps) <= 6
    assert max(len(step.sums) for step in plan.steps) <= 50


def test_lines_to_read() -> None:
    def fun(x, v):
        return [total(matvec(x, v)), *reduction.sort(v, axis=0, keys=1)]

    _, summary = emit_kernel(program(fun, X, V), 0)
    assert "kernel over (30, 20), loops [" in summary.lines[0]
    assert "statement sort" in summary.lines
    assert summary.statements == {"sort": 1}




def test_what_is_stored_in_the_end_is_made(rng) -> None:
    """Each time a dear value is stored, others are wanted by several nests: for longer than the
    plan goes on looking."""

    def fun(x):
        y, t = x, 0.0
        for i in range(22):
            y = np.sin(y) * 1.01 + x * 0.5
            if i % 7 == 0:
                t = t + y.sum()
                y = y + t
        return y.sum() + t

    x = rng.uniform(-1, 1, 5)
    jaxpr = tj.jit(tj.grad(fun)).trace(x)
    run = NativeExecutable(SIMPLIFY(jaxpr))
    assert_close("gradient", "sums", run(x), evaluate(jaxpr, x), rtol=1e-9)


def twice_smoothed(x: np.ndarray) -> np.ndarray:
    """Differences of differences along both axes, and along them once more."""
    lap = 4.0 * x[1:-1, 1:-1] - (x[2:, 1:-1] + x[:-2, 1:-1] + x[1:-1, 2:] + x[1:-1, :-2])
    flux = np.where((lap[1:] - lap[:-1]) * (x[2:-1, 1:-1] - x[1:-2, 1:-1]) > 0, 0.0, lap[1:])
    return flux[1:] - flux[:-1]


def test_what_would_go_to_memory_is_computed_again(rng) -> None:
    """An array that caches hold is stored once for its readers; a large one is not stored."""
    for shape, stored in (((40, 60), 3), ((40, 60, 500), 1)):
        x = rng.normal(size=shape)
        plan = Plan(SIMPLIFY(tj.make_jaxpr(twice_smoothed)(x)))
        assert len(plan.stored) == stored
        got = tj.jit(twice_smoothed, backend="native")(x)
        assert_close("recomputed", shape, [got], [twice_smoothed(x)], rtol=1e-12)


def test_what_is_turned_in_the_end_is_computed_again() -> None:
    """A Hessian by forward mode has its columns for rows at first: those of a large one, read at
    several indices, would go to memory and be read against the grain."""

    def chained(x):
        return np.sum((x[1:] - x[:-1] ** 2) ** 2)

    for n, stored in ((20, 2), (600, 1)):
        x = np.linspace(-1, 1, n)
        plan = Plan(SIMPLIFY(tj.make_jaxpr(tj.hessian(chained))(x)))
        assert len(plan.stored) == stored
    got = tj.jit(tj.hessian(chained), backend="native")(x)
    want = tj.jit(tj.jacrev(tj.jacrev(chained)), backend="native")(x)
    assert_close("hessian", "turned", [got], [want], rtol=1e-12)

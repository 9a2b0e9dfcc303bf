"""Reverse mode through loops that update arrays in place: right, and little is kept for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tracejit as tj
from tracejit import lax

RNG = np.random.default_rng(0)


def element(a, i, j):
    return lax.dynamic_slice(a, (i, j), (1, 1))[0, 0]


def row(a, i):
    return lax.dynamic_slice(a, (i, 0), (1, a.shape[1]))[0]


def put(a, v, i, j):
    return lax.dynamic_update_slice(a, v.reshape(1, 1), (i, j))


def cholesky(a, fori=lax.fori_loop):
    """By loops, in place, as it is written in C."""
    n, k = a.shape[0], np.arange(a.shape[0])

    def outer(i, a):
        def inner(j, a):
            d = np.sum(np.where(k < j, row(a, i) * row(a, j), 0.0))
            x = (element(a, i, j) - d) / element(a, j, j)
            return put(a, np.where(j < i, x, element(a, i, j)), i, j)

        a = fori(0, n, inner, a)
        d = np.sum(np.where(k < i, row(a, i) ** 2, 0.0))
        return put(a, np.sqrt(element(a, i, i) - d), i, i)

    return fori(0, n, outer, a)


def lower_cholesky(a, fori=lax.fori_loop):
    """The same: inner loops run as far as they have to."""
    k = np.arange(a.shape[0])

    def outer(i, a):
        def inner(j, a):
            d = np.sum(np.where(k < j, row(a, i) * row(a, j), 0.0))
            return put(a, (element(a, i, j) - d) / element(a, j, j), i, j)

        a = fori(0, i, inner, a)
        d = np.sum(np.where(k < i, row(a, i) ** 2, 0.0))
        return put(a, np.sqrt(element(a, i, i) - d), i, i)

    return fori(0, a.shape[0], outer, a)


def plainly(lower, upper, f, x):
    """fori_loop, unrolled."""
    for i in range(lower, upper):
        x = f(i, x)
    return x


def sweep(a, fori=lax.fori_loop):
    """A nonlinear sweep: each element of the one before it, several times over."""

    def once(_, a):
        def step(i, a):
            x = element(a, i, 0) * element(a, i - 1, 0) + np.sin(element(a, i, 0))
            return put(a, x, i, 0)

        return fori(1, a.shape[0], step, a)

    return fori(0, 3, once, a)


def views(a, fori=lax.fori_loop):
    """The array is written through its transpose, and by index vectors."""

    def step(i, a):
        b = put(a.T, element(a, i, 0) * element(a, 0, i), 1, i).T
        at = np.array([0, 2, 2])
        return b.at[at, 1].set(b[at, 0] * np.exp(-b[at, 1])).at[1, 1].add(b[0, 0] ** 2)

    return fori(0, 3, step, a)


def positive(n):
    b = RNG.normal(size=(n, n))
    return b @ b.T + n * np.eye(n)


CASES = {
    "cholesky": (cholesky, positive(5), np.tril(RNG.normal(size=(5, 5)))),
    "lower_cholesky": (lower_cholesky, positive(5), np.tril(RNG.normal(size=(5, 5)))),
    "sweep": (sweep, RNG.normal(size=(6, 1)), RNG.normal(size=(6, 1))),
    "views": (views, RNG.normal(size=(3, 3)), RNG.normal(size=(3, 3))),
}


@pytest.mark.parametrize("backend", ["eager", "native"])
@pytest.mark.parametrize("name", CASES)
def test_the_gradient_is_that_of_the_unrolled_program(name: str, backend: str) -> None:
    f, a, w = CASES[name]
    rolled = tj.jit(tj.grad(lambda a: np.sum(f(a) * w)), backend=backend)(a)
    np.testing.assert_allclose(
        rolled, tj.grad(lambda a: np.sum(f(a, plainly) * w))(a), rtol=1e-12, atol=1e-12
    )


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"lower_cholesky"}))
def test_second_derivatives_are_those_of_the_unrolled_program(name: str) -> None:
    f, a, w = CASES[name]
    t = RNG.normal(size=a.shape)

    def along(fori):
        slope = tj.grad(lambda a: np.sum(f(a, fori) * w))
        return tj.grad(lambda a: np.sum(slope(a) * t))(a)

    np.testing.assert_allclose(
        along(lax.fori_loop), along(plainly), rtol=1e-9, atol=1e-9
    )


def test_second_derivatives_through_nested_loops_of_unknown_length() -> None:
    f, a, w = CASES["lower_cholesky"]
    t = RNG.normal(size=a.shape)

    def along(fori):
        slope = tj.grad(lambda a: np.sum(f(a, fori) * w))
        return tj.jvp(slope, (a,), (t,))[1]

    def back(fori):
        slope = tj.grad(lambda a: np.sum(f(a, fori) * w))
        return tj.grad(lambda a: np.sum(slope(a) * t))(a)

    np.testing.assert_allclose(along(lax.fori_loop), along(plainly), rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(back(lax.fori_loop), back(plainly), rtol=1e-9, atol=1e-9)


def test_a_linearised_loop_runs_forwards_too() -> None:
    f, a, _ = CASES["sweep"]
    t = RNG.normal(size=a.shape)
    y, push = tj.linearize(f, a)
    ys, ts = tj.jvp(f, (a,), (t,))
    np.testing.assert_allclose(y, ys, rtol=1e-13)
    np.testing.assert_allclose(push(t), ts, rtol=1e-12, atol=1e-14)


def test_a_batch_of_gradients() -> None:
    f, a, w = CASES["sweep"]
    many = RNG.normal(size=(3, *a.shape))
    slope = tj.grad(lambda a: np.sum(f(a) * w))
    np.testing.assert_allclose(
        tj.vmap(slope)(many), np.stack([slope(a) for a in many]), rtol=1e-12, atol=1e-13
    )


def stacked_bytes(fun, *args) -> int:
    """What the loops of a gradient stack outside of bodies."""
    text = tj.make_jaxpr(tj.grad(fun))(*args)
    loops = [e for e in text.equations if e.primitive.name == "scan"]
    return sum(v.type.nbytes for e in loops for v in e.outvars[e.params["num_carry"] :])


def test_a_factorisation_keeps_numbers_for_each_element_it_writes() -> None:
    a = np.eye(20)
    assert stacked_bytes(lambda a: np.sum(cholesky(a)), a) <= 4 * 8 * (20 * 20 + 2 * 20)


def test_linear_bodies_keep_nothing() -> None:
    def relax(a):
        def step(_, a):
            inner = 0.25 * (a[:-2, 1:-1] + a[2:, 1:-1] + a[1:-1, :-2] + a[1:-1, 2:])
            return a.at[1:-1, 1:-1].set(inner)

        return np.sum(lax.fori_loop(0, 50, step, a))

    assert stacked_bytes(relax, np.ones((10, 10))) == 0


@pytest.mark.parametrize("factor", [cholesky, lower_cholesky])
def test_the_inner_way_back_is_walked_once(factor) -> None:
    """What brings the array back to where the inner loop began is the adjoint of that loop."""
    text = tj.make_jaxpr(tj.grad(lambda a: np.sum(factor(a))))(np.eye(4))
    back = [e for e in text.equations if e.primitive.name == "scan"][-1].params["jaxpr"]
    assert sum(e.primitive.name == "scan" for e in back.equations) == 1


def test_the_ways_back_of_two_inner_loops_are_walked_once() -> None:
    """The one that the other's renames is looked for again."""

    def two_sweeps(a, fori=lax.fori_loop):
        def lower(j, a):
            return put(a, element(a, 0, j) * element(a, 1, j) + element(a, j, 0), 0, j)

        def upper(j, a):
            return put(a, element(a, 0, j) * element(a, 1, j) - element(a, 2, j), 1, j)

        def outer(i, a):
            return fori(i, 4, upper, fori(0, i, lower, a))

        return np.sum(fori(0, 4, outer, a))

    text = tj.make_jaxpr(tj.grad(two_sweeps))(np.eye(4))
    back = [e for e in text.equations if e.primitive.name == "scan"][-1].params["jaxpr"]
    assert sum(e.primitive.name == "scan" for e in back.equations) == 2
    a = RNG.normal(size=(4, 4))
    expected = tj.grad(lambda a: two_sweeps(a, plainly))(a)
    np.testing.assert_allclose(tj.jit(tj.grad(two_sweeps))(a), expected, rtol=1e-12)


def pairs(a, fori=lax.fori_loop):
    """A sum over pairs of rows; the cotangents of both are summed by the inner loop."""

    def outer(i, s):
        def inner(j, s):
            return s + np.sum(row(a, i) * np.sin(row(a, j)))

        return fori(0, i, inner, s)

    return fori(0, a.shape[0], outer, 0.0)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_the_sum_of_a_loop_in_a_loop_goes_on(backend: str) -> None:
    a = RNG.normal(size=(6, 3))
    slope = tj.grad(lambda a: pairs(a) + np.sum(a**2))
    got = tj.jit(slope, backend=backend)(a)
    np.testing.assert_allclose(got, tj.grad(lambda a: pairs(a, plainly))(a) + 2 * a, rtol=1e-12)
    made = str(tj.stages(slope, backend="native")(a)["totals"])
    assert "add(" in made and not [line for line in made.splitlines()
                                   if ": f64[6,3] = add(" in line]  # fmt: skip


# Loops whose length is known at run time alone.


def newton(x):
    """sqrt(x)."""
    def step(y):
        return y - (y * y - x) / (2 * y)

    return lax.while_loop(lambda y: abs(y * y - x) > 1e-12, step, x)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_a_while_loop_has_a_gradient(backend: str) -> None:
    slope = tj.jit(tj.grad(newton), backend=backend)
    for x in (0.3, 2.0, 1e6):
        np.testing.assert_allclose(slope(x), 0.5 / np.sqrt(x), rtol=1e-9)
    curvature = tj.jit(tj.grad(tj.grad(newton)), backend=backend)
    np.testing.assert_allclose(curvature(2.0), -0.25 * 2.0**-1.5, rtol=1e-9)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_members_of_a_batch_take_their_own_time(backend: str) -> None:
    xs = np.array([2.0, 3.0, 5e4])
    many = tj.jit(tj.vmap(tj.grad(newton)), backend=backend)
    np.testing.assert_allclose(many(xs), 0.5 / np.sqrt(xs), rtol=1e-9)
    summed = tj.jit(tj.grad(lambda xs: np.sum(tj.vmap(newton)(xs))), backend=backend)
    np.testing.assert_allclose(summed(xs), 0.5 / np.sqrt(xs), rtol=1e-9)


def ragged(x, n, fori=lax.fori_loop):
    """Loops in loops, each as long as the index around it."""

    def outer(i, x):
        return fori(0, i, lambda j, x: np.sin(x) * (1.1 + 0.1 * j) + 0.01 * i, x)

    return fori(0, n, outer, x)


@pytest.mark.parametrize("backend", ["eager", "native"])
def test_tapes_of_loops_in_loops(backend: str) -> None:
    slope = tj.jit(lambda x, n: tj.grad(ragged)(x, n), backend=backend)
    for n in (0, 1, 2, 9):
        wanted = tj.grad(lambda x, n=n: ragged(x, n, plainly))(0.3)
        np.testing.assert_allclose(slope(0.3, n), wanted, rtol=1e-12)


def test_tapes_outlive_their_first_room() -> None:
    """A long loop, and within it vectors as rows."""
    def turn(x, n):
        return np.sum(lax.fori_loop(0, n, lambda i, x: np.sin(x) + 1e-3 * i * np.roll(x, 1), x))

    x = RNG.normal(size=3)
    for n in (15, 16, 17, 100):
        got = tj.jit(tj.grad(turn))(x, n)
        np.testing.assert_allclose(got, tj.grad(lambda x, n=n: turn(x, n))(x), rtol=1e-12)


def test_gradients_within_a_loop_free_their_tapes() -> None:
    def step(i, x):
        return x - 1e-3 * tj.grad(newton)(x)

    got = tj.jit(lambda x, n: lax.fori_loop(0, n, step, x))(2.0, 500)
    x = 2.0
    for _ in range(500):
        x -= 1e-3 * 0.5 / np.sqrt(x)
    np.testing.assert_allclose(got, x, rtol=1e-9)


def test_the_pullback_of_a_while_loop_is_a_function() -> None:
    y, pull = tj.vjp(newton, 2.0)
    np.testing.assert_allclose(pull(1.0)[0], 0.5 / y, rtol=1e-9)
    with pytest.raises(tj.errors.UnsupportedError, match="length is known at run time"):
        tj.jit(lambda x: tj.vjp(newton, x)[1])(2.0)


def test_a_loop_that_does_not_run() -> None:
    slope = tj.jit(tj.grad(lambda x, n: lax.fori_loop(0, n, lambda i, x: x * x, x)))
    assert slope(3.0, 0) == 1.0 and slope(3.0, -2) == 1.0 and slope(3.0, 2) == 4 * 27.0


def test_a_loop_whose_condition_is_nan_does_not_run() -> None:
    def grow(x):
        return lax.while_loop(lambda c: c < 3.0, lambda c: c * 2.0 + x, x)

    values, slopes = tj.jit(tj.vmap(tj.value_and_grad(grow)))(np.array([1.0, np.nan, 5.0]))
    np.testing.assert_array_equal(values, [3.0, np.nan, 5.0])
    np.testing.assert_array_equal(slopes, [3.0, 1.0, 1.0])


def checked(c):
    tj.check(c[0] < 2.0, "too large")


def called(c):
    def small(x):
        if x >= 2.0:
            raise ValueError("too large")

    tj.debug.callback(small, c[0])


def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks Linux for its memory")
@pytest.mark.parametrize("look", [checked, called])
def test_an_error_within_a_loop_frees_its_tapes(look) -> None:
    """Some 500 rounds of a thousand numbers each time, 4 MB: 400 MB if they were kept."""
    def grow(x, n):
        def step(i, c):
            look(c)
            return np.sin(c) * 1e-3 + c + 1e-3

        return np.sum(lax.fori_loop(0, n, step, x))

    slope, x = tj.jit(tj.grad(grow), backend="native"), np.ones(1000)

    def fail(times: int) -> None:
        for _ in range(times):
            with pytest.raises(ValueError, match="too large"):
                slope(x, 5000)

    slope(x, 10)
    fail(5)
    before = resident()
    fail(100)
    assert resident() - before < 100e6

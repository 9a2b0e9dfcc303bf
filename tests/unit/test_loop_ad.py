"""Reverse mode through loops that update arrays in place: right, and little is kept for it."""

from __future__ import annotations

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


@pytest.mark.parametrize("name", CASES)
def test_second_derivatives_are_those_of_the_unrolled_program(name: str) -> None:
    f, a, w = CASES[name]
    t = RNG.normal(size=a.shape)

    def along(fori):
        slope = tj.grad(lambda a: np.sum(f(a, fori) * w))
        return tj.grad(lambda a: np.sum(slope(a) * t))(a)

    np.testing.assert_allclose(
        along(lax.fori_loop), along(plainly), rtol=1e-9, atol=1e-9
    )


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


def test_the_inner_way_back_is_walked_once() -> None:
    """What brings the array back to where the inner loop began is the adjoint of that loop."""
    text = tj.make_jaxpr(tj.grad(lambda a: np.sum(cholesky(a))))(np.eye(4))
    back = [e for e in text.equations if e.primitive.name == "scan"][-1].params["jaxpr"]
    assert sum(e.primitive.name == "scan" for e in back.equations) == 1

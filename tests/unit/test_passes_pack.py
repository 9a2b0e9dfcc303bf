"""Packed programs are smaller, and equal to the bit to what they were made of."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as jnp
from tracejit import lax, tree
from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.check import verify
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate, held_jaxprs
from tracejit.passes.dce import dce
from tracejit.passes.join import join
from tracejit.passes.pack import pack
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close
from tracejit.trace.stage import stage

X = np.linspace(0.2, 1.4, 7)


def check(fun, *args):
    """The packed program, which gives the bits of the one before it and NumPy's values."""
    operands = [np.asarray(x) for x in args]
    staged = stage(lambda *xs: tree.leaves(fun(*xs)), [type_of(x) for x in operands])
    before = dce(join(SIMPLIFY(staged.jaxpr)))
    after = pack(before)
    verify(after)
    leaves = [*map(np.asarray, staged.captured), *operands]
    expected = evaluate(before, *leaves)
    rtol = 1e-6 if "f32" in str(before) else 1e-12
    assert_close("pack", after, evaluate(after, *leaves), expected, rtol=rtol)
    plain, packed = NativeExecutable(before)(*leaves), NativeExecutable(after)(*leaves)
    assert_close("native", after, packed, expected, rtol=rtol)
    for x, y in zip(plain, packed, strict=True):
        np.testing.assert_array_equal(x, y, strict=True)
    return before, after


def counts(jaxpr, name):
    """How many equations of a primitive give numbers, and how many give arrays."""
    found = [0, 0]
    for eqn in jaxpr.equations:
        found[bool(eqn.outvars[0].ndim)] += eqn.primitive.name == name
        for _, held in held_jaxprs(eqn):
            found = [a + b for a, b in zip(found, counts(held, name), strict=True)]
    return found


def ring(n, steps):
    def model(w, drive):
        def step(c, u):
            return tuple(jnp.tanh(w[i] * c[i] + 0.3 * c[i - 1] + u) for i in range(n)), None

        final, _ = lax.scan(step, tuple(0.0 * w[i] for i in range(n)), drive[:steps])
        return sum(c * c for c in final)

    return model


@pytest.mark.parametrize("n", [4, 5, 9])
def test_carries_of_a_ring_and_their_gradient(n):
    w, drive = np.linspace(-1.0, 1.5, n), np.cos(np.arange(6.0))
    _, after = check(tj.value_and_grad(ring(n, 6)), w, drive)
    assert counts(after, "tanh") == [0, 1]
    loops = [e for e in after.equations if e.primitive.name == "scan"]
    assert [e.params["num_carry"] for e in loops] == [1, 2]
    assert all(v.ndim == 2 for v in loops[0].outvars[1:])


def unrolled(x, y):
    """Terms of a sum, of elements in an order of their own and a number."""
    return sum(jnp.log1p(x[i] * y) * jnp.exp(x[(3 * i + 1) % 7]) for i in range(7))


def anywhere(x, y):
    """Operands that lie nowhere near each other."""
    parts = [x[0] + y, jnp.max(x), x[5] * x[1], y, jnp.sum(x * y), y / x[2], jnp.min(x), y - x[4]]
    return sum(jnp.sin(p) for p in parts), parts[1]


def twins(x, y):
    return sum(jnp.sin(x[i] * y) + jnp.cos(x[i] * y) for i in range(5))


def rotated(x, y):
    """Carries that change places, one that stays, rows of results that are carries."""

    def step(c, u):
        a = [jnp.exp(-c[i] * u) for i in range(4)]
        return (a[2], a[3], a[0], a[1], c[4]), (c[0], a[1], c[4])

    return lax.scan(step, (x[0], x[1], x[2], x[3], y), x)


def two_kinds(x, y):
    """Positions and velocities: sums beside a sine."""

    def step(c, u):
        p, v = c
        v = [v[i] - 0.1 * jnp.sin(p[i]) * u for i in range(5)]
        return ([p[i] + 0.1 * v[i] for i in range(5)], v), [*p[:3], v[0]]

    start = [x[i] for i in range(5)], [y * x[i + 1] for i in range(5)]
    return lax.scan(step, start, x, reverse=True)


def nested(x, y):
    """A loop in a loop, the inner one's constants the outer one's carries."""

    def step(c, u):
        def inner(d, v):
            return tuple(jnp.tanh(c[i] * d[i - 1] + v) for i in range(4)), d[0]

        d, rows = lax.scan(inner, tuple(u * e for e in c), x[:3])
        return d, jnp.sum(rows)

    return lax.scan(step, (y, x[1], x[2], x[3]), x)


def in_branches(x, y):
    def many(z):
        return sum(jnp.exp(z * x[i]) for i in range(6))

    def repeat(c):
        return tuple(jnp.sin(c[i] + c[i - 1]) for i in range(4)) + (c[4] + 1.0,)

    a = lax.cond(y > 0.5, many, lambda z: z, y)
    return a, lax.while_loop(lambda c: c[4] < 4.0, repeat, (x[0], x[1], x[2], x[3], y))


def rows_apart(x, y):
    """Rows of a scan from one array and from elsewhere, and a result that outsiders read too."""

    def make(c, u):
        a = [jnp.exp(c * u + 0.1 * k) for k in range(5)]
        return c + u, (*a, jnp.exp(c), jnp.exp(u), u)

    _, rows = lax.scan(make, y, x)

    def read(c, r):
        return c + sum(jnp.log(v) for v in r), c * r[0]

    return lax.scan(read, y, rows), rows[1]


def same_value_twice(x, y):
    def step(c, u):
        a = [jnp.tanh(c[0] * x[i] + u) for i in range(4)]
        return (a[0], a[0], a[1], a[2], a[3]), (a[0], a[0])

    return lax.scan(step, (y, y, y, y, y), x)


PROGRAMS = [
    unrolled, anywhere, twins, rotated, two_kinds, nested, in_branches, rows_apart,
    same_value_twice,
]  # fmt: skip


@pytest.mark.parametrize("model", PROGRAMS)
def test_values_and_gradients_are_the_same_to_the_bit(model):
    before, after = check(model, X, 0.7)
    assert before is not after, "nothing was packed"

    def total(x, y):
        return sum(jnp.sum(leaf) for leaf in tree.leaves(model(x, y)))

    if model is not in_branches:  # a while loop has no reverse mode
        check(tj.value_and_grad(total), X, 0.7)


def test_single_precision_and_integers():
    def model(x, n):
        return sum(jnp.exp(x[i]) * (n[i] + 1) for i in range(5)), n[0]

    check(model, X.astype(np.float32), np.arange(5, dtype=np.int32))


def test_each_loop_of_random_programs():
    """Updates of one form with constants, neighbours and orders drawn by lot."""
    rng = np.random.default_rng(5)
    functions = [jnp.tanh, jnp.sin, lambda z: jnp.exp(-z * z), lambda z: z]
    for _ in range(12):
        n, shift = int(rng.integers(3, 8)), int(rng.integers(0, 3))
        order, kinds = rng.permutation(n), rng.integers(0, 4, size=2)
        odd = rng.random() < 0.3
        outs = [int(i) for i in rng.integers(0, n, size=int(rng.integers(0, 6)))]

        def model(x, y, n=n, shift=shift, order=order, kinds=kinds, odd=odd, outs=outs):
            f, g = (functions[k] for k in kinds)

            def step(c, u):
                a = [f(x[i % 7] * c[order[i]] + u) for i in range(n)]
                b = [g(a[i] - 0.5 * c[(i + shift) % n]) + y for i in range(n)]
                if odd:
                    b[1] = b[1] * b[0]
                return tuple(b), tuple(a[i] if i % 2 else c[i] for i in outs)

            c, rows = lax.scan(step, tuple(x[i % 7] * y for i in range(n)), x)
            return sum(c[i] * (i + 1.0) for i in range(n)) + sum(jnp.sum(r * r) for r in rows)

        check(tj.value_and_grad(model, argnums=(0, 1)), X, 0.7)


def test_what_is_cheap_or_little_stays_as_it_is():
    def few(x):
        return jnp.exp(x[0]) * jnp.exp(x[1]) * jnp.exp(x[2])

    def cheap(x):
        return sum((x[i + 1] - x[i] * x[i]) ** 2 for i in range(6))

    def chain(x):
        z = x[0]
        for i in range(1, 7):
            z = jnp.tanh(z * x[i])
        return z

    def through_sums(x):
        z = jnp.exp(-jnp.sum(x))
        for _ in range(9):
            z = jnp.exp(-jnp.sum(x * z))
        return z

    for model in (few, cheap, chain, through_sums):
        before, after = check(model, X)
        assert after is before


def test_the_gradient_by_elements_has_no_sums_of_arrays():
    def rosenbrock(x):
        return sum(100.0 * (x[i + 1] - x[i] * x[i]) ** 2 + (1.0 - x[i]) ** 2 for i in range(39))

    x = np.linspace(-1.0, 1.0, 40)
    staged = stage(lambda x: [tj.grad(rosenbrock)(x)], [type_of(x)])
    simple = SIMPLIFY(staged.jaxpr)
    joined = dce(join(simple))
    assert counts(joined, "add")[1] <= 4 < 30 < counts(simple, "add")[1]
    expected, found = (NativeExecutable(program)(x)[0] for program in (simple, joined))
    np.testing.assert_array_equal(expected, found)


def test_a_second_time_changes_nothing():
    staged = stage(lambda *xs: [ring(5, 4)(*xs)], [type_of(X[:5]), type_of(X)])
    once = pack(dce(join(SIMPLIFY(staged.jaxpr))))
    assert pack(once) is once

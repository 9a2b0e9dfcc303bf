"""Arrays updated in place, in loops and outside: no value is overwritten that somebody still reads.

Programs are made at random: loops in loops, writes into arrays that are read before and behind,
carries that change places, start as one another, or are constants as well. Native code has to say
what NumPy says, on a poisoned workspace.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from native_guarded import poison

import tracejit as tj
from tracejit import lax, tree
from tracejit.backends.native.compile import NativeExecutable
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate
from tracejit.passes.standard import SIMPLIFY
from tracejit.testing.compare import assert_close
from tracejit.trace.stage import stage
from tracejit.transforms.gradient import value_and_gradient

N = 45  # more than the vectors of a round hold
A, B = np.linspace(-1.0, 1.0, N), np.cos(np.arange(N) * 1.3)
M = np.sin(np.arange(N * N) * 0.7).reshape(N, N)


def run(jaxpr, *args) -> NativeExecutable:
    """As it is and simplified, twice on a poisoned workspace, the values are NumPy's."""
    expected = evaluate(jaxpr, *args)
    for program in (jaxpr, SIMPLIFY(jaxpr)):
        executable = NativeExecutable(program)
        for _ in range(2):
            if not executable.summary.is_long:
                poison(executable.workspace)
            assert_close("updates", jaxpr, executable(*args), expected, rtol=1e-9)
    return executable


def check(fun, *args, gradient: bool = False) -> NativeExecutable:
    staged = stage(lambda *xs: tree.leaves(fun(*xs)), [type_of(x) for x in args])
    leaves = [*map(np.asarray, staged.captured), *args]
    if not gradient:
        return run(staged.jaxpr, *leaves)
    wrt = tuple(x.dtype.kind == "f" for x in leaves)
    return run(value_and_gradient(SIMPLIFY(staged.jaxpr), wrt), *leaves)


# Random programs.


class Body:
    """A function of a state (arrays of one row, and a matrix) that picks what it does by seed."""

    def __init__(self, seed: int, *, whiles: bool = True):
        self.pick = random.Random(seed)
        self.whiles = whiles
        self.plan = self._plan(2)

    def _plan(self, depth: int) -> list:
        """Statements as data, so that each trace makes the same program."""
        steps = []
        for _ in range(self.pick.randint(1, 4)):
            kind = self.pick.choice(
                ["set", "add", "window", "shift", "own", "mix", "swap", "copy", "row", "interior",
                 "reverse", "sum", *["loop", "cond", "while"] * (depth > 0)]
            )  # fmt: skip
            if kind == "while" and not self.whiles:
                kind = "loop"
            inner = self._plan(depth - 1) if kind in ("loop", "cond", "while") else None
            steps.append((kind, self.pick.randrange(3), self.pick.randrange(3),
                          self.pick.randrange(N), self.pick.randint(1, 3), inner))  # fmt: skip
        return steps

    def __call__(self, i, state):
        return self._run(self.plan, i, state)

    def _run(self, plan, i, state):
        for step in plan:
            state = self._step(step, i, list(state))
        return tuple(state)

    def _step(self, step, i, s):
        kind, p, q, k, n, inner = step
        x, y = s[p], s[q]
        j = (i + k) % N
        if kind == "set":
            s[p] = x.at[j].set(0.5 * y[i % N] + 0.5 * x[k])
        elif kind == "add":
            s[p] = x.at[np.array([k, 0, k])].add(0.3 * y[:3])
        elif kind == "window":
            s[p] = lax.dynamic_update_slice(x, 0.5 * y[1:4] - x[:3], (j,))
        elif kind == "own":
            s[p] = lax.dynamic_update_slice(
                x, 0.5 * lax.dynamic_slice(x, (j,), (2,)) + y[:2], (j,)
            )  # fmt: skip
        elif kind == "shift":
            s[p] = x.at[1:].set(0.5 * x[:-1]).at[:1].set(y[2:3])
        elif kind == "interior":
            s[p] = x.at[1:-1].set(0.3 * (x[2:] + x[:-2]) + 0.1 * y[1:-1])
        elif kind == "mix":
            s[p] = 0.4 * x + 0.3 * y + 0.1
        elif kind == "reverse":
            s[p] = 0.5 * x[::-1] + 0.2 * y
        elif kind == "swap":
            s[p], s[q] = y, x
        elif kind == "copy":
            s[p] = y
        elif kind == "row":
            m = s[3]
            s[3] = m.at[k].set(0.5 * m[k] + 0.2 * m[(k + n) % N] + x)
        elif kind == "sum":
            s[p] = x.at[k].set(np.sum(s[3] @ y) * (0.3 / N**2))
        else:
            return self._held(step, i, s)
        return s

    def _held(self, step, i, s):
        kind, p, q, k, n, inner = step
        if kind == "loop":
            return lax.fori_loop(0, n, lambda j, t: self._run(inner, i + j, t), tuple(s))
        if kind == "cond":
            return lax.cond(
                s[p][k] > s[q][0], lambda t: self._run(inner, i, t), lambda t: t, tuple(s)
            )
        t = lax.while_loop(
            lambda t: t[0] < n, lambda t: (t[0] + 1, self._run(inner, i + t[0], t[1])),
            (0, tuple(s)),
        )  # fmt: skip
        return t[1]


def looped(body: Body, length: int):
    """The body in a scan: carries start as one another, rows are stacked, a is constant too."""

    def fun(a, b, m):
        def step(state, i):
            after = body(i, state)
            rows = (after[0], state[1]) if body.plan[0][4] > 1 else after[2][0] + a[1]
            return tuple(0.9 * x if k == 1 else x for k, x in enumerate(after)), rows

        (x, y, z, w), rows = lax.scan(step, (a, b, a, m), np.arange(length))
        return x, y, z, w, rows, a + x

    return fun


@pytest.mark.parametrize("seed", range(50))
def test_random_loops(seed) -> None:
    check(looped(Body(seed), 1 + seed % 4), A, B, M)


@pytest.mark.parametrize("seed", range(20))
def test_random_programs_outside_of_loops(seed) -> None:
    body = Body(1000 + seed)

    def fun(a, b, m):
        return body(2, (np.exp(0.1 * a), b * 2.0, a, np.tanh(m)))

    check(fun, A, B, M)


@pytest.mark.parametrize("seed", range(20))
def test_random_gradients(seed) -> None:
    fun = looped(Body(2000 + seed, whiles=False), 1 + seed % 4)

    def loss(a, b, m):
        x, y, z, w, rows, _ = fun(a, b, m)
        total = np.sum(x * y) + np.sum(np.sin(z)) + np.sum(w * w)
        return total + sum(np.sum(0.1 * r) for r in tree.leaves(rows))

    check(loss, A, B, M, gradient=True)


# What chance seldom makes.


def one_result_twice(a, b, m):
    """Both carries lie in memory of their own, though they are equal."""

    def step(c, i):
        x = c[0].at[i].set(c[1][i + 1] + 1.0)
        y = c[1].at[i + 2].set(x[i] * 0.5)
        return (y, y, x), x[i]

    return lax.scan(step, (a * 2.0, b * 2.0, a), np.arange(5))


def start_is_constant_too(a, b, m):
    """The array that a loop starts with is read in each round, and by no step after the loop."""
    c = np.cumsum(a)
    return lax.fori_loop(0, 6, lambda i, s: s.at[i].set(s[i + 1] + c[0] + c[i]), c)


def two_start_as_one(a, b, m):
    c = np.cumsum(a)
    return lax.fori_loop(
        0, 5, lambda i, s: (s[0].at[i].set(s[1][i + 1]), s[1].at[i].set(s[0][i + 2])), (c, c)
    )


def border_read_between(a, b, m):
    """The second write needs what the first has left as it was."""

    def step(i, x):
        y = x.at[4:-4].set(0.5 * (x[3:-5] + x[5:-3]))
        return y.at[1:3].set(0.5 * y[2:4] + 0.1)

    return lax.fori_loop(0, 4, step, a + b)


def border_written_last(a, b, m):
    def step(i, x):
        return x.at[1:-1].set(0.5 * (x[2:] + x[:-2])).at[:1].set(0.25).at[-1:].set(b[:1])

    return lax.fori_loop(0, 5, step, np.exp(a))


def wave(a, b, m):
    """The next state is written over the one before the last."""

    def step(c, _):
        old, now = c
        around = np.roll(now, 1) + np.roll(now, -1) - 2.0 * now
        return (now, 2.0 * now - old + 0.1 * around), None

    return lax.scan(step, (a, b), None, length=7)


def rotated(a, b, m):
    return lax.scan(lambda c, _: ((c[1], c[2], c[0].at[3].set(2.0)), c[1][3]), (a, b, a * b), None,
                    length=7)  # fmt: skip


def rows_of_a_matrix(a, b, m):
    """Elimination without pivots, a row at a time."""

    def below(k):
        def step(i, m):
            f = np.where(i > k, m[i, k] / (m[k, k] + 9.0), 0.0)
            return m.at[i].set(m[i] - f * m[k])

        return step

    return lax.fori_loop(0, N, lambda k, m: lax.fori_loop(0, N, below(k), m), m)


def sweeps(a, b, m):
    """Gauss-Seidel: a loop that updates, in a loop that updates."""

    def row(i, x):
        return x.at[i].set((b[i] - m[i] @ x + m[i, i] * x[i]) * 0.1)

    return lax.fori_loop(0, 3, lambda k, x: lax.fori_loop(0, N, row, x), a)


MADE = [one_result_twice, start_is_constant_too, two_start_as_one, border_read_between,
        border_written_last, wave, rotated, rows_of_a_matrix, sweeps]  # fmt: skip


@pytest.mark.parametrize("fun", MADE, ids=lambda fun: fun.__name__)
def test_made_programs(fun) -> None:
    check(fun, A, B, M)

    def loss(*args):
        return sum(np.sum(np.sin(x)) for x in tree.leaves(fun(*args)))

    check(loss, A, B, M, gradient=True)


def test_loops_copy_nothing_but_their_starts() -> None:
    """The memory beside the results is for numbers and rows, of 360 bytes; a matrix has 16,200."""
    for fun, memory in ((sweeps, 500), (rows_of_a_matrix, 1300)):
        jaxpr = stage(lambda *xs, f=fun: tree.leaves(f(*xs)), [type_of(x) for x in (A, B, M)]).jaxpr
        summary = NativeExecutable(SIMPLIFY(jaxpr)).summary
        whole = [x for x in summary.lines if x.startswith("copy over (45")]  # not of windows
        assert len(whole) == 1 and summary.workspace_bytes <= memory, fun.__name__


def swapped(a, b):
    for _ in range(101):
        a, b = (b * 0.5 + 0.1).reshape(a.shape), (a * 0.25).reshape(b.shape)
    return a, b


def updated_flat(a, b):
    for i in range(100):
        flat = a.reshape(-1)
        flat[i % 7] += b[i % 5]
        flat = flat * 0.9 + b
        a = flat.reshape(a.shape)
    return a, b


@pytest.mark.parametrize("fun", [swapped, updated_flat])
def test_carries_that_change_their_shapes_on_the_way(fun):
    a, b = np.arange(1500.0).reshape(30, 50), np.ones(1500)
    for f in (fun, tj.grad(lambda a, b: np.sum(np.sin(fun(a, b)[0])), (0, 1))):
        found, expected = (tj.jit(f, backend=x)(a.copy(), b) for x in ("native", "eager"))
        for x, y in zip(found, expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-11)

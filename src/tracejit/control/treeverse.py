"""A loop walked back in bounded memory: states in a few slots, and the rows of one stretch.

Rounds are taken in stretches. Of some stretches the state at the beginning is kept, in slots; the
stretch that is turned round is run once more, from its beginning, while what the way back needs of
each round is put into a buffer of fixed size, a row for each round.

The way back advances from the nearest slot to the stretch that it needs, and lets the other slots
fall where the binomial schedule wants them: with c slots, and no stretch run over more than r
times, C(c + r, c) stretches can be turned round (Griewank 1992; Griewank and Walther, "revolve",
2000). Nothing has a size that is known at run time alone, so every backend has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tracejit.control.bodies import divide
from tracejit.control.loop import while_
from tracejit.ir.atoms import Atom, Literal, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.types import INT64, ArrayType, array_type
from tracejit.ops import elementwise as ew
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice
from tracejit.ops.structure import reshape

Atoms = Sequence[Atom]
NUMBER = array_type(INT64)


def loop(
    fixed: Atoms, start: Atoms, goes_on: Callable[[Atoms, Atoms], Atom],
    step: Callable[[Atoms, Atoms], Atoms],
) -> Sequence[Var]:  # fmt: skip
    """Bind a while: goes_on(fixed, carry) -> bool, step(fixed, carry) -> carry."""
    bodies = []
    for made in (lambda f, c: [goes_on(f, c)], step):
        with building() as builder:
            f, c = [Var(x.type) for x in fixed], [Var(x.type) for x in start]
            outs = made(f, c)
        bodies.append(builder.finish((*f, *c), outs))
    return while_.bind(
        *fixed, *fixed, *start, cond=bodies[0], body=bodies[1],
        num_cond_consts=len(fixed), num_body_consts=len(fixed),
    )  # fmt: skip


def number(n: int) -> Literal:
    """An i64."""
    return Literal(n, NUMBER)


def put(stack: Atom, x: Atom, at: Atom) -> Atom:
    """The stack with x as element `at`."""
    starts = [at, *[number(0)] * x.ndim]
    return dynamic_update_slice(stack, reshape(x, shape=(1, *x.shape)), *starts)


def take(stack: Atom, at: Atom) -> Atom:
    """Element `at` of a stack."""
    shape = stack.shape[1:]
    starts = [at, *[number(0)] * len(shape)]
    return reshape(dynamic_slice(stack, *starts, sizes=(1, *shape)), shape=shape)


def advance(free: Atom, left: Atom) -> Atom:
    """How far to go before the next checkpoint: with `free` slots beside that of the state, and
    so many stretches left. All of them but one, where no slot is free.

    c slots turn b = C(c + r, c) stretches round, each being run over r times at most, and those
    behind the next checkpoint have c - 1 slots: they may be C(c - 1 + r, c - 1) = b c / (c + r).
    """
    c = free + 1

    def goes_on(fixed: Atoms, carry: Atoms) -> Atom:
        return ew.lt(carry[1], fixed[1])

    def step(fixed: Atoms, carry: Atoms) -> Atoms:
        r = carry[0] + 1
        return [r, ew.div(carry[1] * (fixed[0] + r), r)]

    r, b = loop([c, left], [number(0), number(1)], goes_on, step)
    behind = ew.div(b * c, c + r)
    far = ew.max(left - behind, number(1))
    return ew.select(ew.lt(number(0), free), ew.min(far, left - 1), left - 1)


def turn(
    count: Atom, slots: int, stretch: int, fixed: Atoms, start: Atoms, rows: Sequence[ArrayType],
    cts: Atoms, step: Callable[[Atoms, Atoms], Atoms], back: Callable[[Atoms, Atoms, Atoms], Atoms],
) -> Sequence[Var]:  # fmt: skip
    """Walk the rounds back: `back(fixed, row, cts) -> cts` for each, the last one first.

    step(fixed, state) -> (*state, *row): a round. stretch: rounds in one. One element of the stacks
    more than `slots` takes what is not kept.
    """
    stacks = [
        put(zero(x.type.with_shape((slots + 1, *x.shape))), x, number(0)) for x in start
    ]  # fmt: skip
    buffers = [zero(t.with_shape((stretch, *t.shape))) for t in rows]
    places = Literal(0, array_type(INT64, (slots + 1,)))
    kept = len(start)

    def turned(f: Atoms, carry: Atoms) -> Atoms:
        """One stretch back: go to where it began, from the last checkpoint."""
        (at, top, places), stacks, buffers, cts = divide(carry, 3, kept, len(rows))
        (count,), inner = divide(f, 1)
        first = [take(places, top), top, places, *stacks, *[take(s, top) for s in stacks]]
        found = loop([at, *inner], first, lambda f, c: ew.lt(c[0], f[0]), nearer)
        (_, top, places), stacks, state = divide(found, 3, kept)
        left = ew.min(count - at * stretch, number(stretch))
        buffers = _record(left, inner, state, buffers, step)
        cts = loop(
            [*inner, *buffers], [left - 1, *cts], lambda _, c: ew.le(number(0), c[0]), sweep
        )[1:]  # fmt: skip
        done = ew.and_(ew.le(at, take(places, top)), ew.lt(number(0), top))
        return [at - 1, ew.select(done, top - 1, top), places, *stacks, *buffers, *cts]

    def nearer(f: Atoms, c: Atoms) -> Atoms:
        """On to the next checkpoint, or to the stretch that is wanted."""
        (here, top, places), stacks, now = divide(c, 3, kept)
        (at,), inner = divide(f, 1)
        far = advance(number(slots - 1) - top, at - here + 1)
        after = loop(
            inner, [far * stretch, *now], lambda _, c: ew.lt(number(0), c[0]),
            lambda g, c: [c[0] - 1, *step(g, c[1:])[:kept]],
        )[1:]  # fmt: skip
        here = here + far
        keep = ew.and_(ew.lt(top, number(slots - 1)), ew.lt(here, at))
        place = ew.select(keep, top + 1, number(slots))
        stacks = [put(s, x, place) for s, x in zip(stacks, after, strict=True)]
        top = ew.select(keep, place, top)
        return [here, top, put(places, here, place), *stacks, *after]

    def sweep(f: Atoms, c: Atoms) -> Atoms:
        """One round back."""
        inner, buffers = divide(f, len(fixed))
        return [c[0] - 1, *back(inner, [take(b, c[0]) for b in buffers], c[1:])]

    last = ew.div(count + (stretch - 1), number(stretch)) - 1
    results = loop(
        [count, *fixed], [last, number(0), places, *stacks, *buffers, *cts],
        lambda _, c: ew.le(number(0), c[0]), turned,
    )  # fmt: skip
    return results[3 + kept + len(rows) :]


def _record(
    rounds: Atom, fixed: Atoms, state: Atoms, buffers: Atoms,
    step: Callable[[Atoms, Atoms], Atoms],
) -> Sequence[Var]:  # fmt: skip
    """The buffers with the rows of so many rounds from a state on."""

    def recorded(f: Atoms, c: Atoms) -> Atoms:
        (i,), now, buffers = divide(c, 1, len(state))
        after, row = divide(step(f[1:], now), len(state))
        return [i + 1, *after, *[put(b, x, i) for b, x in zip(buffers, row, strict=True)]]

    outs = loop(
        [rounds, *fixed], [number(0), *state, *buffers], lambda f, c: ew.lt(c[0], f[0]), recorded
    )  # fmt: skip
    return outs[1 + len(state) :]

"""Rows of `control/`: operations that hold jaxprs, with bodies that use what makes them hard.

Carries that are integers, carries that get a tangent on the way, results that are constants,
branches whose residuals differ, loops that never run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from tracejit.control.call import call
from tracejit.control.cond import cond
from tracejit.control.guard import guard
from tracejit.control.implicit import linear_solve, root
from tracejit.control.loop import while_
from tracejit.control.remat import barrier, checkpoint, name
from tracejit.control.rewind import rewind
from tracejit.control.scan import scan
from tracejit.control.slots import replay, slotted
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import INT64, array_type
from tracejit.ops.elementwise import convert, cos, exp, lt, select, sin
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice
from tracejit.ops.structure import broadcast, reduce_sum
from tracejit.testing.domains import Arg, Domain, exactly, integers, read_type, reals, splat
from tracejit.testing.samples import Sample

X, NUMBER = reals(-1.0, 1.0), array_type(INT64)


def body(types: str, f: Callable[..., Sequence[Atom]]) -> Jaxpr:
    """The jaxpr of f for operands of these types, separated by blanks."""
    with building() as builder:
        invars = [Var(read_type(text)) for text in types.split()]
        outs = f(*invars)
    return builder.finish(invars, outs)


def _calls() -> Iterator[Sample]:
    product = body("f64[3] f64[3]", lambda x, y: [sin(x) * y, exp(y)])
    yield Sample(call, (X("f64[3]"), X("f64[3]")), {"jaxpr": product, "name": "product"})
    known = body("f64[3] i64[]", lambda x, n: [cos(x), n, Literal(1.5, x.type), x])
    params = {"jaxpr": known, "name": "known"}
    yield Sample(call, (X("f64[3]"), integers(0, 3)("i64[]")), params)
    wide = body("f32[2,3]", lambda x: [reduce_sum(sin(x), axes=(0,))])
    yield Sample(call, (X("f32[2,3]"),), {"jaxpr": wide, "name": ""}, scale=2.0)
    nested = body("f64[]", lambda x: [call(x * x, jaxpr=body("f64[]", lambda y: [sin(y)]),
                                          name="inner")[0]])  # fmt: skip
    yield Sample(call, (X("f64[]"),), {"jaxpr": nested, "name": "outer"})


def _conds() -> Iterator[Sample]:
    types = "f64[3] f64[3]"
    branches = (
        body(types, lambda x, y: [sin(x) * y, x]),
        body(types, lambda x, y: [exp(x * y) + cos(y), y * 2.0]),
        body(types, lambda x, y: [Literal(0.5, x.type), x * y]),
    )
    for index in (0, 1, 2, 7, -1):
        args = (exactly(index, "i64"), X("f64[3]"), X("f64[3]"))
        yield Sample(cond, args, {"branches": branches}, note=f"index {index}")
    args = (integers(0, 2)("i32[]"), X("f64[3]"), X("f64[3]"))
    yield Sample(cond, args, {"branches": branches}, note="any index")
    yield Sample(cond, (splat(1, "i64[]"), *args[1:]), {"branches": branches})
    narrow = tuple(body("f32[2]", f) for f in (lambda x: [x * x], lambda x: [-x]))
    yield Sample(cond, (integers(0, 1)("i64[]"), X("f32[2]")), {"branches": narrow})


def _scan(
    text: str, f: Callable[..., Sequence[Atom]], args: Any, note: str, **params: Any
) -> Iterator[Sample]:
    for reverse in (False, True):
        everything = {"jaxpr": body(text, f), "reverse": reverse, **params}
        yield Sample(scan, tuple(args), everything, ulps=64, scale=1.0, note=note)


def _scans() -> Iterator[Sample]:
    def recurrence(c: Atom, s: Atom, x: Atom) -> Sequence[Atom]:
        after = sin(s * c) + x
        return [after, after * s]

    args: tuple[Arg, ...]
    for n in (0, 1, 5):
        args = (X("f64[]"), X("f64[]"), X(f"f64[{n}]"))
        counts = {"length": n, "num_consts": 1, "num_carry": 1}
        yield from _scan("f64[] f64[] f64[]", recurrence, args, f"{n} steps", **counts)

    def counted(i: Atom, s: Atom, late: Atom, x: Atom) -> Sequence[Atom]:
        """`late` starts without a tangent and gets one from s."""
        weight = broadcast(convert(i, dtype=x.dtype), shape=x.shape, dims=())
        return [i + 1, cos(s) * weight + x, late + s, i]

    args = (integers(0, 2)("i64[]"), X("f64[3]"), splat(0.0, "f64[3]"), X("f64[4,3]"))
    counts = {"length": 4, "num_consts": 0, "num_carry": 3}
    text = "i64[] f64[3] f64[3] f64[3]"
    yield from _scan(text, counted, args, "a counter, and a tangent on the way", **counts)

    def rows(w: Atom, x: Atom) -> Sequence[Atom]:
        return [sin(x * w), Literal(2.0, x.type)]

    counts = {"length": 4, "num_consts": 1, "num_carry": 0}
    args = (X("f64[3]"), X("f64[4,3]"))
    yield from _scan("f64[3] f64[3]", rows, args, "no carry", **counts)
    counts = {"length": 6, "num_consts": 0, "num_carry": 1}
    yield from _scan("f32[2]", lambda s: [sin(s)], (X("f32[2]"),), "no rows", **counts)


def _rewinds() -> Iterator[Sample]:
    """An array, updated in place, is carried back; the carry is multiplied by what was read."""

    def restore(scale: Atom, a: Atom, old: Atom, i: Atom) -> Sequence[Atom]:
        before = dynamic_update_slice(a, old, i)
        return [before, dynamic_slice(before, i, sizes=(2,)) * scale]

    def step(c: Atom, t: Atom, read: Atom, x: Atom) -> Sequence[Atom]:
        after = t * read + x + broadcast(sum_of(c * read), shape=(2,), dims=())
        return [after, sum_of(t)]

    def sum_of(x: Atom) -> Atom:
        return reduce_sum(x, axes=(0,))

    params = {
        "restore": body("f64[2] f64[5] f64[2] i64[]", restore), "num_fixed": 1, "num_states": 1,
        "jaxpr": body("f64[2] f64[2] f64[2] f64[2]", step), "length": 3,
        "num_consts": 1, "num_carry": 1,
    }  # fmt: skip
    known = (X("f64[2]"), X("f64[5]"), X("f64[3,2]"), integers(0, 3)("i64[3]"))
    linear = (splat(0.0, "f64[2]"), X("f64[2]"), splat(0.0, "f64[3,2]"))
    for reverse in (False, True):
        yield Sample(rewind, (*known, *linear), params | {"reverse": reverse}, ulps=64, scale=1.0)


def _checkpoints() -> Iterator[Sample]:
    """What computes again; values that are handed on."""
    layer = body("f64[3] f64[3]", lambda x, y: [sin(x) * exp(y), cos(x)])
    for prevent in (True, False):
        params = {"jaxpr": layer, "policy": None, "prevent_cse": prevent}
        yield Sample(checkpoint, (X("f64[3]"), X("f64[3]")), params, has_text=False)
    for text in ("f64[3]", "f64[]"):
        yield Sample(barrier, (X(text),))
        yield Sample(name, (X(text),), {"name": "layer"})


def _slots() -> Iterator[Sample]:
    """Loops whose states are kept in slots, and their linear parts."""

    def step(c: Atom, i: Atom, s: Atom) -> Sequence[Atom]:
        return [i + 1, sin(s) * c + s]

    params: dict[str, Any] = {
        "cond": body("i64[] i64[] f64[3]", lambda n, i, s: [lt(i, n)]),
        "body": body("f64[3] i64[] f64[3]", step), "num_cond_consts": 1, "num_body_consts": 1,
        "slots": 2, "room": 48,
    }  # fmt: skip
    for rounds in (0, 5):
        args = (exactly(rounds, "i64"), X("f64[3]"), splat(0, "i64[]"), X("f64[3]"))
        yield Sample(slotted, args, params, ulps=64, scale=1.0, note=f"{rounds}")
    params = {
        "known": body("f64[2] f64[2]", lambda c, s: [sin(s) * c, cos(s)]),
        "linear": body("f64[2] f64[2] f64[2]", lambda c, t, r: [r * t + c]),
        "num_consts": 1, "num_states": 1, "num_fixed": 1, "slots": 3, "stretch": 2,
    }  # fmt: skip
    known = (exactly(4, "i64"), X("f64[2]"), X("f64[2]"))
    operands = (*known, splat(0.0, "f64[2]"), X("f64[2]"))
    yield Sample(replay, operands, params, ulps=64, scale=1.0, tapes=True)


def _whiles() -> Iterator[Sample]:
    def step(c: Atom, i: Atom, s: Atom) -> Sequence[Atom]:
        return [i + 1, sin(s) * c + s]

    def halve(i: Atom, s: Atom) -> Sequence[Atom]:
        large = lt(Literal(1.0, s.type), s)
        return [i + 1, select(large, s * 0.5, s * 0.9)]

    args: tuple[Arg, ...]
    below = body("i64[] i64[] f64[3]", lambda n, i, s: [lt(i, n)])
    steps: tuple[tuple[Domain, str], ...] = (
        (integers(0, 0), "never"), (integers(1, 1), "once"), (integers(2, 6), "some steps"),
    )  # fmt: skip
    for count, note in steps:
        args = (count("i64[]"), X("f64[3]"), splat(0, "i64[]"), X("f64[3]"))
        params = {
            "cond": below, "body": body("f64[3] i64[] f64[3]", step),
            "num_cond_consts": 1, "num_body_consts": 1,
        }  # fmt: skip
        yield Sample(while_, args, params, ulps=64, scale=1.0, tapes=True, note=note)
    until = body("i64[] f64[]", lambda i, s: [lt(Literal(0.3, s.type), s)])
    params = {
        "cond": until, "body": body("i64[] f64[]", halve),
        "num_cond_consts": 0, "num_body_consts": 0,
    }  # fmt: skip
    args = (splat(0, "i64[]"), reals(2.05, 2.2)("f64[]"))
    yield Sample(while_, args, params, tapes=True, note="until small")


def _guards() -> Iterator[Sample]:
    """That hold: who runs them leaves where they do not."""
    for expected in (True, False):
        yield Sample(guard, (splat(expected, "bool[]"),), {"expected": expected, "place": 0})


def _solved() -> Iterator[Sample]:
    """A diagonal system with constants on both sides, and the logarithm, by its inverse."""

    def scaled(by: Callable[[Atom], Atom]) -> Jaxpr:
        return body("f64[3] f64[3]", lambda w, x: [by(w) * x])

    there, back = scaled(lambda w: exp(w) + 1.0), scaled(lambda w: 1.0 / (exp(w) + 1.0))
    params = {"matvec": there, "solves": (back, back), "num_consts": 1, "symmetric": True}
    yield Sample(linear_solve, (X("f64[3]"), X("f64[3]")), params, scale=1.0)
    params = params | {"symmetric": False}
    yield Sample(linear_solve, (X("f64[3]"), X("f64[3]")), params, scale=1.0)
    params = {
        "residual": body("f64[] f64[]", lambda a, x: [exp(x) - exp(sin(a))]),
        "solve": body("f64[] f64[]", lambda a, guess: [sin(a)]),
        "tangent": body("f64[] f64[] f64[]", lambda a, x, y: [y / exp(x)]),
        "num_consts": 1,
    }
    yield Sample(root, (X("f64[]"), X("f64[]")), params, scale=1.0)


ROWS: tuple[Sample, ...] = (
    *_calls(), *_conds(), *_scans(), *_rewinds(), *_checkpoints(), *_slots(), *_whiles(),
    *_guards(), *_solved(),
)  # fmt: skip

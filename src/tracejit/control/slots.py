"""Loops whose derivative computes again what it does not keep: checkpoints in a few slots.

The known loop keeps nothing but the number of its rounds. The way back has `slots` slots for
states, and `room` bytes for the rows of the rounds between two of them; see treeverse.py. So a
million rounds in 1000 slots are run three times in all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tracejit.control.bodies import (
    divide,
    keep_inputs,
    keep_outputs,
    leave,
    nonzero_mask,
    pick,
    placed,
    read_inputs,
    spread,
    zero_tangents,
)
from tracejit.control.halves import Halves, halve
from tracejit.control.loop import while_
from tracejit.control.parts import cut, needed
from tracejit.control.scan import scan
from tracejit.control.tape import stacked
from tracejit.control.treeverse import NUMBER, loop, number, put, take, turn
from tracejit.control.turning import halves_of
from tracejit.errors import MissingRuleError
from tracejit.ir.atoms import Atom, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.current import current
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive, Unknown
from tracejit.ir.types import TAPE, ArrayType, array_type
from tracejit.ir.walk import evaluate, inline
from tracejit.ops import elementwise as ew
from tracejit.ops.structure import batch_all
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms import transpose
from tracejit.transforms.memo import loops

Equations = list[Equation]
Atoms = Sequence[Atom]

#: Bytes that a stretch may have at least, unless memory is counted.
ROOM = 1 << 16
#: Rows that are larger than so many states are computed again, of states.
LARGE = 8
#: The slots of a loop for a backend without tapes, where nobody has said how many.
SLOTS = 32


# The known loop.


def _jvp(
    primals: Atoms, tangents: Atoms, *, slots: int, room: int, **params: Any
) -> tuple[Sequence[Atom], Sequence[Atom]]:
    assert isinstance(while_.jvp, Joint)
    with building() as builder:
        outs, ts = while_.jvp.rule(primals, tangents, **params)
    _emit(builder.equations, slots, room)
    return outs, ts


def _batch(
    size: int, inputs: Atoms, batched: Sequence[bool], *, slots: int, room: int,
    **params: Any,
) -> Sequence[Atom]:
    assert callable(while_.batch)
    with building() as builder:
        outs = while_.batch(size, inputs, batched, **params)
    _emit(builder.equations, slots, room)
    return outs


def _emit(equations: Iterable[Equation], slots: int, room: int) -> None:
    """Append equations, the loops among them with slots."""
    for e in equations:
        if e.primitive is while_:
            params = e.params | {"slots": slots, "room": room}
            e = Equation(slotted, e.inputs, params, e.outvars, e.provenance)
        current().equations.append(e)


def with_slots(eqn: Equation, slots: int, room: int) -> Jaxpr:
    """A scan or a while as a loop with slots, and bytes for a stretch."""
    names = [Var(x.type) for x in eqn.inputs]
    with building() as builder:
        if eqn.primitive is while_:
            outs: Sequence[Atom] = slotted.bind(*names, slots=slots, room=room, **eqn.params)
        else:
            outs = _scan_with_slots(names, slots, room, **eqn.params)
    return builder.finish(names, outs)


def _scan_with_slots(
    inputs: Atoms, slots: int, room: int, *, jaxpr: Jaxpr, length: int, reverse: bool,
    num_consts: int, num_carry: int,
) -> Sequence[Atom]:  # fmt: skip
    """A scan as a while that counts; its rows of results are put into arrays that it carries."""
    consts, init, xs = divide(inputs, num_consts, num_carry)
    ys = [zero(stacked(t, length)) for t in jaxpr.out_types[num_carry:]]

    def step(f: Atoms, c: Atoms) -> Atoms:
        (i,), carry, made = divide(c, 1, num_carry)
        at = number(length - 1) - i if reverse else i
        rows = [take(x, at) for x in f[num_consts:]]
        outs = inline(jaxpr, [*f[:num_consts], *carry, *rows])
        after, row = divide(outs, num_carry)
        return [i + 1, *after, *[put(y, r, at) for y, r in zip(made, row, strict=True)]]

    with building() as builder:
        start = [number(0), *init, *ys]
        outs = loop(
            [*consts, *xs], start, lambda f, c: ew.lt(c[0], number(length)), step
        )[1:]  # fmt: skip
    _emit(builder.equations, slots, room)
    return outs


def as_while(eqn: Equation) -> Jaxpr:
    """A loop with slots, as a while."""
    names = [Var(x.type) for x in eqn.inputs]
    params = {name: value for name, value in eqn.params.items() if name not in ("slots", "room")}
    with building() as builder:
        outs = while_.bind(*names, **params)
    return builder.finish(names, outs)


def _split(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """The known loop, which counts its rounds, and the linear one, which runs them again."""
    cond, body = eqn.params["cond"], eqn.params["body"]
    num_cond, num_body = eqn.params["num_cond_consts"], eqn.params["num_body_consts"]
    in_cond, in_body, in_carry = divide(tuple(unknown), num_cond, num_body)
    view = {
        "jaxpr": body, "num_consts": num_body, "num_carry": len(in_carry), "length": None,
        "reverse": False,
    }  # fmt: skip
    late = (*in_cond, *halves_of(view, (*in_body, *in_carry))[1][num_body:])
    if any(pick(read_inputs(cond), late)):
        return [], [eqn]
    count = Var(NUMBER)
    body_of = Equation(scan, eqn.inputs[num_cond:], view, eqn.outvars, eqn.provenance)
    halves = halve(body_of, (*in_body, *in_carry), count, rewinds=False)
    tests = keep_inputs(cond, tuple(not u for u in late))
    fixed = leave(eqn.inputs[:num_cond], in_cond)
    early = _counting(eqn, tests, fixed, halves, count)
    rest = _replayed(eqn, halves, count)
    return [*halves.ahead, *early], rest


@contextmanager
def without_tapes() -> Iterator[None]:
    """While this is on, derivatives of all loops of unknown length take slots, and no tapes."""
    token = loops.set(_split_plain)
    try:
        yield
    finally:
        loops.reset(token)


def _split_plain(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """The halves of a while, with slots."""
    num_carry = len(eqn.inputs) - eqn.params["num_cond_consts"] - eqn.params["num_body_consts"]
    state = sum(v.type.nbytes for v in eqn.outvars[:num_carry])
    params = eqn.params | {"slots": SLOTS, "room": max(ROOM, SLOTS * state)}
    made = Equation(slotted, eqn.inputs, params, eqn.outvars, eqn.provenance)
    early, late = _split(made, unknown)
    return early, [eqn if e is made else e for e in late]


def _counting(
    eqn: Equation, tests: Jaxpr, tested: Atoms, halves: Halves, count: Var
) -> Equations:
    """The known loop, which counts its rounds. tested: the constants of its condition."""
    body = halves.known.params(halves.steps)["jaxpr"]
    num_consts, num_carry = len(halves.known.consts), len(halves.known.carry)
    values = keep_outputs(body, tuple(i < num_carry for i in range(len(body.outvars))))
    with building() as builder:

        def goes_on(f: Atoms, c: Atoms) -> Atom:
            return inline(tests, [*f[num_consts:], *c[1:]])[0]

        def step(f: Atoms, c: Atoms) -> Atoms:
            return [c[0] + 1, *inline(values, [*f[:num_consts], *c[1:]])]

        consts, start = divide(halves.known.operands, num_consts)
        loop([*consts, *tested], [number(0), *start], goes_on, step)
    *ahead, made = builder.equations
    outvars = (count, *halves.known_vars[:num_carry])
    return [*ahead, Equation(made.primitive, made.inputs, made.params, outvars, eqn.provenance)]


def _replayed(eqn: Equation, halves: Halves, count: Var) -> Equations:
    """The linear loop, with what it takes from the known one."""
    if not halves.late:
        return []
    (late,) = halves.late
    num_fixed, num_linear = late.params["num_consts"] - 1, late.params["num_carry"]
    fixed, carry, tapes = divide(late.inputs[1:], num_fixed, num_linear)
    linear: Jaxpr = late.params["jaxpr"]
    linear = Jaxpr(linear.invars[1:], linear.equations, linear.outvars)
    known = halves.known.params(halves.steps)
    states = len(halves.known.carry)
    found = [halves.known_vars[states:].index(x) for x in tapes]  # type: ignore[arg-type]
    outs = known["jaxpr"].outvars
    outvars = (*outs[:states], *[outs[states + i] for i in found])
    body = Jaxpr(known["jaxpr"].invars, known["jaxpr"].equations, outvars)
    # Of the state, what rows are made of, now or later.
    view = known | {"jaxpr": body, "length": 0}
    keep_in, keep_out = needed(view, (False,) * states + (True,) * len(tapes))
    view = cut(view, keep_in, keep_out)
    consts, start = divide(pick(halves.known.operands, keep_in), view["num_consts"])
    kept = _Kept(view["jaxpr"], linear, len(consts), len(start), num_fixed)
    if kept.large():
        kept, fixed = kept.of_states(), [*fixed, *consts]
    room = eqn.params["room"] // max(1, sum(t.nbytes for t in kept.rows))
    params = {
        "known": kept.known, "linear": kept.linear, "num_consts": len(consts),
        "num_states": len(start), "num_fixed": len(fixed), "slots": eqn.params["slots"],
        "stretch": max(1, room),
    }  # fmt: skip
    inputs = (count, *consts, *start, *fixed, *carry)
    return [Equation(replay, inputs, params, late.outvars, eqn.provenance)]


@dataclass(frozen=True, slots=True)
class _Kept:
    """What the linear loop takes of each round, a row.

    known: (*consts, *state) -> (*state, *row)     linear: (*fixed, *carry, *row) -> carry
    """

    known: Jaxpr
    linear: Jaxpr
    num_consts: int
    num_states: int
    num_fixed: int

    @property
    def rows(self) -> Sequence[ArrayType]:
        """The types in a row."""
        return self.known.out_types[self.num_states :]

    def large(self) -> bool:
        """Whether a row is better computed again: it is large, or on tapes."""
        state = sum(t.nbytes for t in self.known.out_types[: self.num_states])
        if any(t.dtype == TAPE for t in self.rows):
            return True
        return sum(t.nbytes for t in self.rows) > LARGE * max(state, NUMBER.nbytes)

    def of_states(self) -> _Kept:
        """The same, where a row is the state; the constants are fixed, too."""
        types = self.known.in_types
        with building() as builder:
            names = [Var(t) for t in types]
            after = inline(self.known, names)[: self.num_states]
        known = builder.finish(names, [*after, *names[self.num_consts :]])
        fixed, carry, _ = divide(
            self.linear.in_types, self.num_fixed, len(self.linear.outvars)
        )
        with building() as builder:
            f, c = [Var(t) for t in fixed], [Var(t) for t in carry]
            names = [Var(t) for t in types]
            row = inline(self.known, names)[self.num_states :]
            outs = inline(self.linear, [*f, *c, *row])
        consts, state = divide(names, self.num_consts)
        linear = builder.finish([*f, *consts, *c, *state], outs)
        return _Kept(known, linear, self.num_consts, self.num_states, len(fixed) + len(consts))


def _no_transpose(cts: Atoms, inputs: Sequence[Any], **params: Any) -> Any:
    raise MissingRuleError(
        "a while_loop whose condition depends on the inputs is not linear in them",
        where=current().provenance,
    )


slotted: Primitive = Primitive(
    "slotted", typing=lambda *types, slots, room, **params: while_.typing(*types, **params),
    evaluate=lambda *xs, slots, room, **params: while_.evaluate(*xs, **params), jvp=Joint(_jvp),
    transpose=_no_transpose, batch=_batch, split=_split, single=False,
    doc="A while whose derivative keeps the states of `slots` rounds at a time.",
)  # fmt: skip


# The linear loop.


def _parted(inputs: Sequence[Any], params: dict[str, Any]) -> tuple[Sequence[Any], ...]:
    """count, constants, first state, what is fixed in the linear part, linear carry."""
    return divide(inputs, 1, params["num_consts"], params["num_states"], params["num_fixed"])


def _forwards(inputs: Atoms, params: dict[str, Any]) -> Sequence[Var]:
    """The linear loop, as it runs: beside the known one."""
    (count,), consts, start, fixed, init = _parted(inputs, params)

    def step(f: Atoms, c: Atoms) -> Atoms:
        _, known, others = divide(f, 1, len(consts))
        (at,), state, ts = divide(c, 1, len(start))
        after, row = divide(inline(params["known"], [*known, *state]), len(start))
        return [at + 1, *after, *inline(params["linear"], [*others, *ts, *row])]

    outs = loop(
        [count, *consts, *fixed], [number(0), *start, *init],
        lambda f, c: ew.lt(c[0], f[0]), step,
    )  # fmt: skip
    return outs[1 + len(start) :]


def plain_replay(types: Sequence[ArrayType], params: dict[str, Any]) -> Jaxpr:
    """A replay as a while."""
    names = [Var(t) for t in types]
    with building() as builder:
        outs = _forwards(names, params)
    return builder.finish(names, outs)


def _replay_jvp(
    primals: Atoms, tangents: Atoms, **params: Any
) -> tuple[Sequence[Atom], Sequence[Atom]]:
    nonzero = nonzero_mask(tangents)
    plain = plain_replay([x.type for x in primals], params)
    pushed, live = forward.jvp(plain, nonzero)
    outs, ts = divide(inline(pushed, [*primals, *pick(tangents, nonzero)]), len(live))
    return outs, spread(ts, live, zero_tangents([y.type for y in outs]))


def _replay_batch(
    size: int, inputs: Atoms, batched: Sequence[bool], **params: Any
) -> Sequence[Atom]:
    types = [x.type.with_shape(x.shape[1:]) if b else x.type
             for x, b in zip(inputs, batched, strict=True)]  # fmt: skip
    body, live = batching.batch(plain_replay(types, params), size, tuple(batched))
    return batch_all(size, inline(body, inputs), live)


def _replay_transpose(
    cts: Atoms, inputs: Sequence[Any], *, guarded: bool, **params: Any
) -> Sequence[Atom | None]:
    (count,), consts, start, fixed, init = _parted(inputs, params)
    known, linear = params["known"], params["linear"]
    rows = known.out_types[len(start) :]
    in_fixed = tuple(isinstance(x, Unknown) for x in fixed)
    mask = (*in_fixed, *(True,) * len(init), *(False,) * len(rows))
    back = transpose.transpose(linear, mask, guarded or transpose.masks_within(linear))
    arrive = nonzero_mask(back.outvars[: sum(in_fixed)])
    others = leave(fixed, in_fixed)
    sums = [zero(t) for t in pick(back.out_types[: sum(in_fixed)], arrive)]

    def step(f: Atoms, state: Atoms) -> Atoms:
        return inline(known, [*f[: len(consts)], *state])

    def backwards(f: Atoms, row: Atoms, cts: Atoms) -> Atoms:
        totals, cts = divide(cts, len(sums))
        outs = inline(back, [*f[len(consts) :], *row, *cts])
        of_fixed, of_carry = divide(outs, sum(in_fixed))
        found = zip(totals, pick(of_fixed, arrive), strict=True)
        return [*[ew.add(s, ct) for s, ct in found], *of_carry]

    outs = turn(
        count, params["slots"], params["stretch"], [*consts, *others], start, rows,
        [*sums, *cts], step, backwards,
    )  # fmt: skip
    of_fixed, of_init = divide(outs, len(sums))
    unknown = [isinstance(x, Unknown) for x in init]
    return (
        None, *[None] * (len(consts) + len(start)), *placed(of_fixed, arrive, in_fixed),
        *[ct if u else None for ct, u in zip(of_init, unknown, strict=True)],
    )  # fmt: skip


replay: Primitive = Primitive(
    "replay",
    typing=lambda *types, **params: plain_replay(types, params).out_types,
    evaluate=lambda *xs, **params: evaluate(plain_replay(_types(xs), params), *xs),
    jvp=Joint(_replay_jvp), transpose=_replay_transpose, batch=_replay_batch,
    split=lambda eqn, unknown: ([], [eqn]), single=False,
    doc="(count, *consts, *state, *fixed, *init) -> carry: a loop that is linear in what it "
    "carries, and runs the known states beside it, again.",
)  # fmt: skip


def _types(arrays: Sequence[Any]) -> list[ArrayType]:
    return [array_type(x.dtype, x.shape) for x in arrays]

"""Loops whose derivative computes again what it does not keep: checkpoints in a few slots.

The known loop keeps nothing but the number of its rounds, n. The way back keeps the state of some
rounds in `slots` slots, advances from the nearest one to the round it needs, and lets the other
slots fall where the binomial schedule wants them: with c slots, and no round run more than r times,
C(c + r, c) rounds can be turned round (Griewank 1992; Griewank and Walther, "revolve", 2000). So a
million rounds in 1000 slots are run three times in all. Nothing has a size that is known at
run time alone, so every backend has it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tracejit.control.bodies import (
    divide,
    keep_inputs,
    leave,
    nonzero_mask,
    pick,
    placed,
    read_inputs,
    spread,
    zero_tangents,
)
from tracejit.control.loop import while_
from tracejit.control.parts import cut, needed
from tracejit.control.tape import stacked
from tracejit.control.turning import halves_of
from tracejit.errors import MissingRuleError
from tracejit.ir.atoms import Atom, Literal, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.current import current
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.primitive import Joint, Primitive, Unknown
from tracejit.ir.types import INT64, ArrayType, array_type
from tracejit.ir.walk import evaluate, inline
from tracejit.ops import elementwise as ew
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice
from tracejit.ops.structure import batch_all, broadcast, reshape
from tracejit.transforms import batch as batching
from tracejit.transforms import jvp as forward
from tracejit.transforms import transpose

Equations = list[Equation]
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


# The schedule.


def advance(free: Atom, rounds: Atom) -> Atom:
    """How far to go before the next checkpoint: with `free` slots beside that of the state, and
    so many rounds left. All of them but one, where no slot is free.

    c slots turn b = C(c + r, c) rounds round, each being run r times at most, and those behind the
    next checkpoint have c - 1 slots: they may be C(c - 1 + r, c - 1) = b c / (c + r) many.
    """
    c = free + 1

    def goes_on(fixed: Atoms, carry: Atoms) -> Atom:
        return ew.lt(carry[1], fixed[1])

    def step(fixed: Atoms, carry: Atoms) -> Atoms:
        r = carry[0] + 1
        return [r, ew.div(carry[1] * (fixed[0] + r), r)]

    r, b = loop([c, rounds], [number(0), number(1)], goes_on, step)
    behind = ew.div(b * c, c + r)
    far = ew.max(rounds - behind, number(1))
    return ew.select(ew.lt(number(0), free), ew.min(far, rounds - 1), rounds - 1)


def put(stack: Atom, x: Atom, at: Atom) -> Atom:
    """The stack with x as element `at`."""
    starts = [at, *[number(0)] * x.ndim]
    return dynamic_update_slice(stack, reshape(x, shape=(1, *x.shape)), *starts)


def take(stack: Atom, at: Atom) -> Atom:
    """Element `at` of a stack."""
    shape = stack.shape[1:]
    starts = [at, *[number(0)] * len(shape)]
    return reshape(dynamic_slice(stack, *starts, sizes=(1, *shape)), shape=shape)


def turn(
    count: Atom, slots: int, fixed: Atoms, start: Atoms, cts: Atoms,
    step: Callable[[Atoms, Atoms], Atoms], back: Callable[[Atoms, Atoms, Atoms], Atoms],
) -> Sequence[Var]:  # fmt: skip
    """Walk the rounds back: `back(fixed, state, cts) -> cts` for each, the last one first.

    step(fixed, state) -> state: a round. One element more than `slots` takes what is not kept.
    """
    stacks = [
        put(broadcast(zero(x.type), shape=(slots + 1, *x.shape), dims=tuple(range(1, x.ndim + 1))),
            x, number(0))
        for x in start
    ]  # fmt: skip
    places = Literal(0, array_type(INT64, (slots + 1,)))
    kept = len(start)

    def turned(f: Atoms, carry: Atoms) -> Atoms:
        """One round back: go to where it began, from the last checkpoint."""
        (at, top, places), stacks, cts = divide(carry, 3, kept)
        state = [take(s, top) for s in stacks]
        first = [take(places, top), top, places, *stacks, *state]

        def nearer(f: Atoms, c: Atoms) -> Atoms:
            (here, top, places), stacks, now = divide(c, 3, kept)
            (at,), inner = divide(f, 1)
            far = advance(number(slots - 1) - top, at - here + 1)
            after = loop(
                inner, [far, *now], lambda _, c: ew.lt(number(0), c[0]),
                lambda g, c: [c[0] - 1, *step(g, c[1:])],
            )[1:]  # fmt: skip
            here = here + far
            keep = ew.and_(ew.lt(top, number(slots - 1)), ew.lt(here, at))
            place = ew.select(keep, top + 1, number(slots))
            stacks = [put(s, x, place) for s, x in zip(stacks, after, strict=True)]
            top = ew.select(keep, place, top)
            return [here, top, put(places, here, place), *stacks, *after]

        found = loop([at, *f], first, lambda f, c: ew.lt(c[0], f[0]), nearer)
        (_, top, places), stacks, last = divide(found, 3, kept)
        cts = back(f, last, cts)
        done = ew.and_(ew.le(at, take(places, top)), ew.lt(number(0), top))
        return [at - 1, ew.select(done, top - 1, top), places, *stacks, *cts]

    results = loop(
        fixed, [count - 1, number(0), places, *stacks, *cts],
        lambda _, c: ew.le(number(0), c[0]), turned,
    )  # fmt: skip
    return results[3 + kept :]


# The known loop.


def _jvp(
    primals: Atoms, tangents: Atoms, *, slots: int, **params: Any
) -> tuple[Sequence[Atom], Sequence[Atom]]:
    assert isinstance(while_.jvp, Joint)
    with building() as builder:
        outs, ts = while_.jvp.rule(primals, tangents, **params)
    _emit(builder.equations, slots)
    return outs, ts


def _batch(
    size: int, inputs: Atoms, batched: Sequence[bool], *, slots: int, **params: Any
) -> Sequence[Atom]:
    assert callable(while_.batch)
    with building() as builder:
        outs = while_.batch(size, inputs, batched, **params)
    _emit(builder.equations, slots)
    return outs


def _emit(equations: Iterable[Equation], slots: int) -> None:
    """Append equations, the loops among them with slots."""
    for e in equations:
        if e.primitive is while_:
            e = Equation(slotted, e.inputs, e.params | {"slots": slots}, e.outvars, e.provenance)
        current().equations.append(e)


def with_slots(eqn: Equation, slots: int) -> Jaxpr:
    """A scan or a while as a loop with slots."""
    names = [Var(x.type) for x in eqn.inputs]
    with building() as builder:
        if eqn.primitive is while_:
            outs: Sequence[Atom] = slotted.bind(*names, slots=slots, **eqn.params)
        else:
            outs = _scan_with_slots(names, slots, **eqn.params)
    return builder.finish(names, outs)


def _scan_with_slots(
    inputs: Atoms, slots: int, *, jaxpr: Jaxpr, length: int, reverse: bool, num_consts: int,
    num_carry: int,
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
    _emit(builder.equations, slots)
    return outs


def as_while(eqn: Equation) -> Jaxpr:
    """A loop with slots, as a while."""
    names = [Var(x.type) for x in eqn.inputs]
    params = {name: value for name, value in eqn.params.items() if name != "slots"}
    with building() as builder:
        outs = while_.bind(*names, **params)
    return builder.finish(names, outs)


def _split(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """The known loop, which counts its rounds, and the linear one, which runs them again."""
    cond, body = eqn.params["cond"], eqn.params["body"]
    num_cond, num_body = eqn.params["num_cond_consts"], eqn.params["num_body_consts"]
    in_cond, in_body, in_carry = divide(tuple(unknown), num_cond, num_body)
    view = {"jaxpr": body, "num_consts": num_body, "num_carry": len(in_carry)}
    halves, late = halves_of(view, (*in_body, *in_carry))
    carry = late[num_body:]
    if any(pick(read_inputs(cond), (*in_cond, *carry))):
        return [], [eqn]
    cond_consts, body_consts, init = divide(eqn.inputs, num_cond, num_body)
    known_consts, start = leave(body_consts, in_body), leave(init, carry)
    known = halves.known
    values = Jaxpr(known.invars, known.equations, known.outvars[: len(start)])
    tests = keep_inputs(cond, tuple(not u for u in (*in_cond, *carry)))
    count = Var(NUMBER)
    with building() as builder:
        fixed = [*leave(cond_consts, in_cond), *known_consts]
        split_at = len(fixed) - len(known_consts)

        def goes_on(f: Atoms, c: Atoms) -> Atom:
            return inline(tests, [*f[:split_at], *c[1:]])[0]

        def step(f: Atoms, c: Atoms) -> Atoms:
            return [c[0] + 1, *inline(values, [*f[split_at:], *c[1:]])]

        loop(fixed, [number(0), *start], goes_on, step)
    *ahead, made = builder.equations
    early = Equation(
        made.primitive, made.inputs, made.params, (count, *leave(eqn.outvars, carry)),
        eqn.provenance,
    )  # fmt: skip
    # Of the state, what residuals are made of, now or later.
    view = {
        "jaxpr": known, "num_consts": len(known_consts), "num_carry": len(start), "length": 0,
    }  # fmt: skip
    keep_in, keep_out = needed(view, (False,) * len(start) + (True,) * halves.residuals)
    view = cut(view, keep_in, keep_out)
    params = {
        "known": view["jaxpr"], "linear": halves.linear, "num_consts": view["num_consts"],
        "num_states": view["num_carry"], "num_linear": sum(in_body), "slots": eqn.params["slots"],
    }  # fmt: skip
    handed = pick([*known_consts, *start], keep_in)
    inputs = (count, *handed, *pick(body_consts, in_body), *pick(init, carry))
    rest = Equation(replay, inputs, params, tuple(pick(eqn.outvars, carry)), eqn.provenance)
    return [*ahead, early], [rest] if rest.outvars else []


def _no_transpose(cts: Atoms, inputs: Sequence[Any], **params: Any) -> Any:
    raise MissingRuleError(
        "a while_loop whose condition depends on the inputs is not linear in them",
        where=current().provenance,
    )


slotted: Primitive = Primitive(
    "slotted", typing=lambda *types, slots, **params: while_.typing(*types, **params),
    evaluate=lambda *xs, slots, **params: while_.evaluate(*xs, **params), jvp=Joint(_jvp),
    transpose=_no_transpose, batch=_batch, split=_split, single=False,
    doc="A while whose derivative keeps the states of `slots` rounds at a time.",
)  # fmt: skip


# The linear loop.


def _parted(inputs: Sequence[Any], params: dict[str, Any]) -> tuple[Sequence[Any], ...]:
    """count, constants, first state, linear constants, linear carry."""
    return divide(inputs, 1, params["num_consts"], params["num_states"], params["num_linear"])


def _once(params: dict[str, Any], consts: Atoms, state: Atoms) -> tuple[Atoms, Atoms]:
    """A round of the known part: the next state, and residuals."""
    return divide(inline(params["known"], [*consts, *state]), params["num_states"])  # type: ignore


def _forwards(inputs: Atoms, params: dict[str, Any]) -> Sequence[Var]:
    """The linear loop, as it runs: beside the known one."""
    (count,), consts, start, linear, init = _parted(inputs, params)

    def step(f: Atoms, c: Atoms) -> Atoms:
        _, fixed, others = divide(f, 1, len(consts))
        (at,), state, ts = divide(c, 1, len(start))
        after, residuals = _once(params, fixed, state)
        return [at + 1, *after, *inline(params["linear"], [*residuals, *others, *ts])]

    outs = loop(
        [count, *consts, *linear], [number(0), *start, *init],
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
    (count,), consts, start, linear, init = _parted(inputs, params)
    body = params["linear"]
    residuals = len(body.invars) - len(linear) - len(init)
    in_linear = tuple(isinstance(x, Unknown) for x in linear)
    mask = (*(False,) * residuals, *in_linear, *(True,) * len(init))
    back = transpose.transpose(body, mask, guarded or transpose.masks_within(body))
    arrive = nonzero_mask(back.outvars[: sum(in_linear)])
    known = leave(linear, in_linear)
    sums = [zero(t) for t in pick([x.type for x in back.outvars[: sum(in_linear)]], arrive)]

    def step(f: Atoms, state: Atoms) -> Atoms:
        return _once(params, f[: len(consts)], state)[0]

    def backwards(f: Atoms, state: Atoms, cts: Atoms) -> Atoms:
        totals, cts = divide(cts, len(sums))
        made = _once(params, f[: len(consts)], state)[1]
        outs = inline(back, [*made, *f[len(consts) :], *cts])
        of_linear, of_carry = divide(outs, sum(in_linear))
        found = zip(totals, pick(of_linear, arrive), strict=True)
        return [*[ew.add(s, ct) for s, ct in found], *of_carry]

    outs = turn(
        count, params["slots"], [*consts, *known], start, [*sums, *cts], step, backwards
    )  # fmt: skip
    of_linear, of_init = divide(outs, len(sums))
    unknown = [isinstance(x, Unknown) for x in init]
    return (
        None, *[None] * (len(consts) + len(start)), *placed(of_linear, arrive, in_linear),
        *[ct if u else None for ct, u in zip(of_init, unknown, strict=True)],
    )  # fmt: skip


replay: Primitive = Primitive(
    "replay",
    typing=lambda *types, **params: plain_replay(types, params).out_types,
    evaluate=lambda *xs, **params: evaluate(plain_replay(_types(xs), params), *xs),
    jvp=Joint(_replay_jvp), transpose=_replay_transpose, batch=_replay_batch,
    split=lambda eqn, unknown: ([], [eqn]), single=False,
    doc="(count, *consts, *state, *linear, *init) -> carry: a loop that is linear in what it "
    "carries, and runs the known states beside it, again.",
)  # fmt: skip


def _types(arrays: Sequence[Any]) -> list[ArrayType]:
    return [array_type(x.dtype, x.shape) for x in arrays]

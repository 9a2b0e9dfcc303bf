"""Lowering of loops, branches and guards: loops and branches of the same native function.

What a loop carries is in registers, and in memory that is not copied from round to round: see
carries.py. Rows of a scan's operands are read, and rows of its results written, in place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from tracejit.backends.native.carries import Carries, locate
from tracejit.backends.native.elementwise import register_type
from tracejit.backends.native.emit import I64, Block, Function, Value, constant
from tracejit.backends.native.leaving import FIRST_GUARD, leave_if
from tracejit.backends.native.lowering import LOWERINGS, Statement, rule_of
from tracejit.backends.native.nest import Buffer, Nest, Scalar
from tracejit.backends.native.program import Location
from tracejit.backends.native.tapes import (
    Growing,
    as_tape,
    freed_behind,
    room_for,
    row_of,
    rows_at,
)
from tracejit.backends.native.updates import follow, updated
from tracejit.control.cond import cond
from tracejit.control.guard import guard
from tracejit.control.loop import while_
from tracejit.control.remat import barrier
from tracejit.control.scan import scan
from tracejit.ir.atoms import Literal
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import ArrayType, strides_of


def _row(fn: Function, buffer: Buffer, at: Value) -> Buffer:
    """Row number `at` of a buffer."""
    shape = buffer.shape[1:]
    step = strides_of(buffer.shape)[0]
    offset = fn.mul(at, constant(I64, step)) if step != 1 else at
    return Buffer(fn.offset(buffer.pointer, offset, buffer.lane), shape, buffer.dtype)


def _load_row(program: Any, x: Location, at: Value, type: ArrayType, on_tape: bool) -> Location:
    """Row number `at` of an operand; of a tape, what is there."""
    if isinstance(x, Scalar) and (not on_tape or x.value.is_constant):
        return Scalar(constant(register_type(type.dtype), 0)) if on_tape else x
    if isinstance(x, Scalar):
        row = row_of(program.fn, rows_at(program.fn, x.value), at, type)
    else:
        row = _row(program.fn, x, at)
    if row.shape:
        return row
    return Scalar(Nest(program, []).load(row, ()).value)


def _scan(program: Any, eqn: Equation) -> None:
    p = eqn.params
    n_consts, n_carry = p["num_consts"], p["num_carry"]
    inits = eqn.inputs[n_consts : n_consts + n_carry]
    carry_outs, y_outs = eqn.outvars[:n_carry], eqn.outvars[n_carry:]
    if p["length"] is None:
        return _counted(program, eqn)
    ys = [program.allocate(v) for v in y_outs]
    if p["length"] == 0:
        for v, init in zip(carry_outs, inits, strict=True):
            program.assign(v, init)
    else:
        inner = program.inner(p["jaxpr"])
        carries = Carries(program, eqn, carry_outs, inits, inner, n_consts, p["length"])
        _scan_loop(program, eqn, inner, carries, ys)
    for v, y in zip(y_outs, ys, strict=True):
        program.settle(v, y)


def _scan_loop(
    program: Any, eqn: Equation, inner: Any, carries: Carries, ys: Sequence[Buffer]
) -> None:
    fn: Function = program.fn
    p, length = eqn.params, eqn.params["length"]
    n_consts = p["num_consts"]
    consts = [locate(program, x) for x in eqn.inputs[:n_consts]]
    xs = [locate(program, x) for x in eqn.inputs[n_consts + p["num_carry"] :]]
    before, head = _enter_loop(fn, carries, "scan")
    counter = fn.phi(I64)
    counter.add(constant(I64, 0), before)
    at = counter.value
    if p["reverse"]:
        at = fn.sub(constant(I64, length - 1), at)
    types = inner.jaxpr.in_types[n_consts + p["num_carry"] :]
    rows = [_load_row(program, x, at, t, False) for x, t in zip(xs, types, strict=True)]
    inner.place([*consts, *carries.locations, *rows])
    results = _round(program, inner, [*carries.targets(), *(_row(fn, y, at) for y in ys)])
    following = fn.add(counter.value, constant(I64, 1))
    counter.add(following, fn.here)
    carries.hand_on(results, fn.here)
    after = fn.block("scanned")
    fn.branch_if(fn.less(following, constant(I64, length)), head, after)
    fn.at(after)
    carries.finish(results)


def _enter_loop(fn: Function, carries: Carries, name: str) -> tuple[Block, Block]:
    """Open a loop: the block before it and its head, where the carries are."""
    carries.begin()
    before, head = fn.here, fn.block(name)
    fn.branch(head)
    fn.at(head)
    carries.enter(before)
    return before, head


def _round(program: Any, inner: Any, targets: Sequence[Buffer | None]) -> list[Location]:
    """The body of a loop, its inputs being there."""
    results: list[Location] = freed_behind(program, inner.jaxpr, lambda: inner.emit(targets))
    inner.release_all()
    return results


def _counted(program: Any, eqn: Equation) -> None:
    """A scan that its first constant says the length of, over tapes."""
    fn: Function = program.fn
    n_consts, n_carry = eqn.params["num_consts"], eqn.params["num_carry"]
    body: Jaxpr = eqn.params["jaxpr"]
    inits = eqn.inputs[n_consts : n_consts + n_carry]
    row_types = body.in_types[n_consts + n_carry :]
    consts = [locate(program, x) for x in eqn.inputs[:n_consts]]
    tapes = [locate(program, x) for x in eqn.inputs[n_consts + n_carry :]]
    count = program.scalar(eqn.inputs[0])
    y_types = body.out_types[n_carry:]
    ys = [room_for(program, count, t) for t in y_types]
    inner = program.inner(body)
    carries = Carries(program, eqn, eqn.outvars[:n_carry], inits, inner, n_consts, None)
    before, head = _enter_loop(fn, carries, "scan")
    counter = fn.phi(I64)
    counter.add(constant(I64, 0), before)
    places = carries.locations
    work, after = fn.block("body"), fn.block("scanned")
    fn.branch_if(fn.less(counter.value, count), work, after)
    fn.at(work)
    following = fn.add(counter.value, constant(I64, 1))
    at = fn.sub(count, following) if eqn.params["reverse"] else counter.value
    rows = [_load_row(program, x, at, t, True) for x, t in zip(tapes, row_types, strict=True)]
    inner.place([*consts, *places, *rows])
    made = [row_of(fn, y, at, t) for y, t in zip(ys, y_types, strict=True)]
    results = _round(program, inner, [*carries.targets(), *made])
    counter.add(following, fn.here)
    carries.hand_on(results, fn.here)
    fn.branch(head)
    fn.at(after)
    carries.finish(places)
    for v, y in zip(eqn.outvars[n_carry:], ys, strict=True):
        program.settle(v, as_tape(fn, y))


def _while(program: Any, eqn: Equation) -> None:
    fn: Function = program.fn
    p = eqn.params
    n_test, n_body = p["num_cond_consts"], p["num_body_consts"]
    consts = [locate(program, x) for x in eqn.inputs[: n_test + n_body]]
    test, inner = program.inner(p["cond"]), program.inner(p["body"])
    inits = eqn.inputs[n_test + n_body :]
    carries = Carries(program, eqn, eqn.outvars[: len(inits)], inits, inner, n_body, None)
    before, head = _enter_loop(fn, carries, "while")
    tapes = Growing(program, p["body"].out_types[len(inits) :])
    if tapes.types:
        tapes.enter(before)
    places = carries.locations
    _note_ranges(program, carries, test)
    (go,) = test.place([*consts[:n_test], *places]).emit()
    test.release_all()
    work, after = fn.block("body"), fn.block("done")
    fn.branch_if(go.value, work, after)
    fn.at(work)
    _note_ranges(program, carries, inner)
    inner.place([*consts[n_test:], *places])
    rows = tapes.row() if tapes.types else []
    results = _round(program, inner, [*carries.targets(), *rows])
    if tapes.types:
        tapes.hand_on(fn.here)
    carries.hand_on(results, fn.here)
    fn.branch(head)
    fn.at(after)
    _note_ranges(program, carries, test)
    carries.finish(places)
    for i, v in enumerate(eqn.outvars[len(inits) :]):
        program.settle(v, as_tape(fn, tapes.rows[i].value))


def _note_ranges(program: Any, carries: Carries, inner: Any) -> None:
    """In what follows, registers are in the ranges of the carries of this body."""
    names = inner.jaxpr.invars[len(inner.jaxpr.invars) - len(carries.all) :]
    for c, v in zip(carries.all, names, strict=True):
        if c.register is not None:
            program.note_range(c.register.value, v)


def _scan_updates(eqn: Equation) -> dict[int, int]:
    """Each carry may end where it began."""
    return {i: eqn.params["num_consts"] + i for i in range(eqn.params["num_carry"])}


def _while_updates(eqn: Equation) -> dict[int, int]:
    first = eqn.params["num_cond_consts"] + eqn.params["num_body_consts"]
    return {i: first + i for i in range(len(eqn.inputs) - first)}


def _cond_updates(eqn: Equation) -> dict[int, int]:
    """A result may lie where an operand lies if all branches hand it on, or update it."""
    found: dict[int, int] = {}
    branches = [(b, {v: e for e in b.equations for v in e.outvars}) for b in eqn.params["branches"]]
    for i, v in enumerate(eqn.outvars):
        roots = {_updates_of(b, makers, b.outvars[i]) for b, makers in branches if v.ndim}
        root = roots.pop() if len(roots) == 1 else None
        if root is not None and 1 + root not in found.values():
            found[i] = 1 + root
    return found


def _updates_of(jaxpr: Jaxpr, makers: Mapping[Any, Equation], y: Any) -> int | None:
    """The number of the input that y is, or may replace; None where there is none."""
    while not isinstance(y, Literal) and y in makers:
        maker = makers[y]
        rule = rule_of(maker)
        updates = rule.updates(maker) if isinstance(rule, Statement) else {}
        place = updates.get(maker.outvars.index(y))
        if place is None:
            return None
        y = maker.inputs[place]
    return None if isinstance(y, Literal) else jaxpr.invars.index(y)


def _cond(program: Any, eqn: Equation) -> None:
    fn: Function = program.fn
    branches: Sequence[Jaxpr] = eqn.params["branches"]
    index, *operands = eqn.inputs
    nest = Nest(program, [])
    at = nest.clamped(nest.integer(nest.value(index, ()), index.dtype), len(branches) - 1).value
    updates = dict(updated(program.plan, eqn))
    roots = {i: operands.index(updates[v]) for i, v in enumerate(eqn.outvars) if v in updates}
    inputs = {k: locate(program, x) for k, x in enumerate(operands) if k not in roots.values()}
    buffers: list[Buffer | None] = [
        program.owned_copy(updates[v], v) if v in updates
        else program.allocate(v) if v.ndim else None
        for v in eqn.outvars
    ]  # fmt: skip
    inputs |= {k: buffers[i] for i, k in roots.items()}  # type: ignore[misc]
    places = [inputs[k] for k in range(len(operands))]
    blocks = [fn.block("branch") for _ in branches]
    after = fn.block("merge")
    fn.switch(at, blocks[0], list(enumerate(blocks))[1:])
    ends: list[tuple[list[Location], Block]] = []
    for branch, block in zip(branches, blocks, strict=True):
        fn.at(block)
        inner = program.inner(branch).place(places)
        results = _branch(inner, buffers, roots)
        inner.release_all()
        ends.append((results, fn.here))
        fn.branch(after)
    fn.at(after)
    for i, v in enumerate(eqn.outvars):
        if buffers[i] is not None:
            program.settle(v, buffers[i])
            continue
        phi = fn.phi(register_type(v.dtype))
        for results, block in ends:
            phi.add(results[i].value, block)  # type: ignore[union-attr]
        program.settle(v, Scalar(phi.value))


def _branch(
    inner: Any, buffers: Sequence[Buffer | None], roots: Mapping[int, int]
) -> list[Location]:
    """A branch whose results go into buffers; roots: by result, the input that lies there."""
    jaxpr: Jaxpr = inner.jaxpr
    targets = list(buffers)
    replaced = follow(inner.plan, inner.last, [jaxpr.invars[k] for k in roots.values()])
    for i, k in roots.items():
        chain: list[Any] = [jaxpr.outvars[i]]
        while chain[-1] in replaced:
            chain.append(replaced[chain[-1]])
        if chain[-1] is not jaxpr.invars[k]:
            targets[i] = None  # made elsewhere, as what lies there is read to the end
            continue
        for y, x in pairwise(chain):
            inner.lies_ready(y, x, buffers[i])
    results: list[Location] = inner.emit(targets)
    for i in roots:
        if targets[i] is None:
            inner.move(results[i], buffers[i])
    return results


def _guard(program: Any, eqn: Equation) -> None:
    """A comparison and a branch; the code with which a program is left says which guard it was."""
    fn: Function = program.fn
    (pred,), p = eqn.inputs, eqn.params
    holds = program.scalar(pred)
    fails = fn.not_(holds) if p["expected"] else holds
    leave_if(program, fails, lambda: constant(I64, FIRST_GUARD + p["place"]))


def _barrier(program: Any, eqn: Equation) -> None:
    program.assign(eqn.outvars[0], eqn.inputs[0])


LOWERINGS.rows(
    __name__,
    {
        barrier: Statement(_barrier),
        scan: Statement(_scan, updates=_scan_updates),
        while_: Statement(_while, updates=_while_updates),
        cond: Statement(_cond, updates=_cond_updates),
        guard: Statement(_guard),
    },
)

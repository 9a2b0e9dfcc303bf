"""Lowering of loops and branches: loops and branches of the same native function.

Carries of rank 0 are registers. A carried array has two buffers that change places after each
iteration: the body reads one and writes the other. A carry that the body hands on unchanged is a
constant of the loop. Rows of a scan's operands are read, and rows of its results written, in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tracejit.backends.native.elementwise import register_type
from tracejit.backends.native.emit import I64, PTR, Block, Function, Phi, Value, constant
from tracejit.backends.native.lowering import LOWERINGS, Statement
from tracejit.backends.native.nest import Buffer, Nest, Scalar
from tracejit.control.cond import cond
from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import strides_of

Location = Buffer | Scalar


def locate(program: Any, x: Atom) -> Location:
    """Where a body finds an operand: a register, a buffer, or a number that fills an array."""
    if isinstance(x, Literal):
        return Scalar(constant(register_type(x.dtype), x.value))
    if not x.ndim:
        return Scalar(program.scalar(x))
    location = program.locations.get(x)
    return location if isinstance(location, Scalar) else program.buffer(x)


@dataclass(slots=True, eq=False)
class Carry:
    """A value handed from iteration to iteration: a register, or two buffers that change places."""

    type: Any
    now: Phi
    then: Phi | None = None

    def location(self) -> Location:
        if self.then is None:
            return Scalar(self.now.value)
        return Buffer(self.now.value, self.type.shape, self.type.dtype)

    def target(self) -> Buffer | None:
        if self.then is None:
            return None
        return Buffer(self.then.value, self.type.shape, self.type.dtype)

    def hand_on(self, result: Location, latch: Block) -> None:
        """The next iteration begins with this."""
        if self.then is None:
            assert isinstance(result, Scalar)
            self.now.add(result.value, latch)
        else:
            self.now.add(self.then.value, latch)
            self.then.add(self.now.value, latch)


def _invariant(body: Jaxpr, inputs: Sequence[Var], outputs: Sequence[Atom]) -> list[bool]:
    """Which carries the body hands on as they came."""
    return [v is y for v, y in zip(inputs, outputs, strict=True)]


def _open_carry(program: Any, init: Atom, before: Any) -> tuple[Any, ...]:
    """What a carry starts as: a register, or two buffers of which the first holds the start."""
    if not init.ndim:
        return (program.scalar(init),)
    first, second = program.scratch(init.type), program.scratch(init.type)
    program.copy(init, first)
    return first.pointer, second.pointer


def _carry_phis(fn: Function, init: Atom, start: tuple[Any, ...], before: Block) -> Carry:
    if not init.ndim:
        now = fn.phi(register_type(init.dtype))
        now.add(start[0], before)
        return Carry(init.type, now)
    now, then = fn.phi(PTR), fn.phi(PTR)
    now.add(start[0], before)
    then.add(start[1], before)
    return Carry(init.type, now, then)


def _row(fn: Function, buffer: Buffer, at: Value) -> Buffer:
    """Row number `at` of a buffer."""
    shape = buffer.shape[1:]
    step = strides_of(buffer.shape)[0]
    offset = fn.mul(at, constant(I64, step)) if step != 1 else at
    return Buffer(fn.offset(buffer.pointer, offset, buffer.lane), shape, buffer.dtype)


def _load_row(program: Any, buffer: Location, at: Value) -> Location:
    if isinstance(buffer, Scalar):
        return buffer
    row = _row(program.fn, buffer, at)
    if row.shape:
        return row
    return Scalar(Nest(program, []).load(row, ()).value)


def _scan(program: Any, eqn: Equation) -> None:
    fn: Function = program.fn
    p = eqn.params
    body: Jaxpr = p["jaxpr"]
    length, n_consts, n_carry = p["length"], p["num_consts"], p["num_carry"]
    consts = [locate(program, x) for x in eqn.inputs[:n_consts]]
    inits = eqn.inputs[n_consts : n_consts + n_carry]
    xs = [locate(program, x) for x in eqn.inputs[n_consts + n_carry :]]
    carry_outs, y_outs = eqn.outvars[:n_carry], eqn.outvars[n_carry:]
    ys = [program.allocate(v) for v in y_outs]
    carry_in = body.invars[n_consts : n_consts + n_carry]
    if length == 0:
        for v, init in zip(carry_outs, inits, strict=True):
            program.hand_over(v, locate(program, init))
        for v, y in zip(y_outs, ys, strict=True):
            program.settle(v, y)
        return
    same = _invariant(body, carry_in, body.outvars[:n_carry])
    fixed = [locate(program, x) if s else None for x, s in zip(inits, same, strict=True)]
    starts = [
        None if s else _open_carry(program, x, fn.here) for x, s in zip(inits, same, strict=True)
    ]
    before, head = fn.here, fn.block("scan")
    fn.branch(head)
    fn.at(head)
    counter = fn.phi(I64)
    counter.add(constant(I64, 0), before)
    carries = [
        None if s else _carry_phis(fn, x, start, before)  # type: ignore[arg-type]
        for x, start, s in zip(inits, starts, same, strict=True)
    ]
    at = counter.value
    if p["reverse"]:
        at = fn.sub(constant(I64, length - 1), at)
    places = [f or c.location() for f, c in zip(fixed, carries, strict=True)]  # type: ignore[union-attr]
    rows = [_load_row(program, x, at) for x in xs]
    inner = program.inner(body, [*consts, *places, *rows])
    targets = [c.target() if c else None for c in carries]
    y_rows = [_row(fn, y, at) for y in ys]
    results = inner.emit([*targets, *y_rows])
    inner.release_all()
    following = fn.add(counter.value, constant(I64, 1))
    latch = fn.here
    counter.add(following, latch)
    for carry, result in zip(carries, results, strict=False):
        if carry:
            carry.hand_on(result, latch)
    after = fn.block("scanned")
    fn.branch_if(fn.less(following, constant(I64, length)), head, after)
    fn.at(after)
    for v, carry, result, f in zip(carry_outs, carries, results, fixed, strict=False):
        program.hand_over(v, f if carry is None else result)
    for v, y in zip(y_outs, ys, strict=True):
        program.settle(v, y)


def _while(program: Any, eqn: Equation) -> None:
    fn: Function = program.fn
    p = eqn.params
    nc, nb = p["num_cond_consts"], p["num_body_consts"]
    condition, body = p["cond"], p["body"]
    cond_consts = [locate(program, x) for x in eqn.inputs[:nc]]
    body_consts = [locate(program, x) for x in eqn.inputs[nc : nc + nb]]
    inits = eqn.inputs[nc + nb :]
    starts = [_open_carry(program, x, fn.here) for x in inits]
    before, head = fn.here, fn.block("while")
    fn.branch(head)
    fn.at(head)
    carries = [_carry_phis(fn, x, s, before) for x, s in zip(inits, starts, strict=True)]
    places = [c.location() for c in carries]
    test = program.inner(condition, [*cond_consts, *places])
    (go,) = test.emit()
    test.release_all()
    assert isinstance(go, Scalar)
    work, after = fn.block("body"), fn.block("done")
    fn.branch_if(go.value, work, after)
    fn.at(work)
    inner = program.inner(body, [*body_consts, *places])
    results = inner.emit([c.target() for c in carries])
    inner.release_all()
    latch = fn.here
    for carry, result in zip(carries, results, strict=True):
        carry.hand_on(result, latch)
    fn.branch(head)
    fn.at(after)
    for v, place in zip(eqn.outvars, places, strict=True):
        program.hand_over(v, place)


def _cond(program: Any, eqn: Equation) -> None:
    fn: Function = program.fn
    branches: Sequence[Jaxpr] = eqn.params["branches"]
    index, *operands = eqn.inputs
    nest = Nest(program, [])
    at = nest.clamped(nest.integer(nest.value(index, ()), index.dtype), len(branches) - 1).value
    places = [locate(program, x) for x in operands]
    buffers = [program.allocate(v) if v.ndim else None for v in eqn.outvars]
    blocks = [fn.block("branch") for _ in branches]
    after = fn.block("merge")
    fn.switch(at, blocks[0], list(enumerate(blocks))[1:])
    ends: list[tuple[list[Location], Block]] = []
    for branch, block in zip(branches, blocks, strict=True):
        fn.at(block)
        inner = program.inner(branch, places)
        results = inner.emit(buffers)
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


LOWERINGS.rows(
    __name__, {scan: Statement(_scan), while_: Statement(_while), cond: Statement(_cond)}
)

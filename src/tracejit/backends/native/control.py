"""Lowering of loops and branches: loops and branches of the same native function.

Carries of rank 0 are registers. A carried array has two buffers that change places after each
iteration: the body reads one and writes the other. A carry that the body hands on unchanged is a
constant of the loop. Rows of a scan's operands are read, and rows of its results written, in place.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.backends.native.elementwise import register_type
from tracejit.backends.native.emit import I64, Block, Function, Phi, Value, constant
from tracejit.backends.native.lowering import LOWERINGS, Statement
from tracejit.backends.native.nest import Buffer, Nest, Scalar
from tracejit.backends.native.program import Location
from tracejit.control.cond import cond
from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import strides_of


def locate(program: Any, x: Atom) -> Location:
    """Where a body finds an operand: a register, a buffer, or a number that fills an array."""
    if isinstance(x, Literal):
        return Scalar(constant(register_type(x.dtype), x.value))
    if not x.ndim:
        return Scalar(program.scalar(x))
    location = program.locations.get(x)
    return location if isinstance(location, Scalar) else program.buffer(x)


class Carry:
    """A value handed from iteration to iteration: `out` after the loop, `init` before it.

    It is a constant of the loop (the body hands it on as it came), a register, or two buffers that
    change places. `begin` comes before the loop, `enter` at its head, `hand_on` at its latch.
    """

    def __init__(self, program: Any, out: Var, init: Atom, *, constant: bool):
        self.program, self.out, self.init = program, out, init
        self.constant = locate(program, init) if constant else None
        self.now: Phi | None = None
        self.then: Phi | None = None

    def begin(self) -> None:
        """Put the start where the first iteration finds it."""
        program, init = self.program, self.init
        if self.constant is not None:
            return
        if not init.ndim:
            self.starts = [program.scalar(init)]
            return
        buffers = [program.scratch(init.type, self.out) for _ in range(2)]
        program.copy(init, buffers[0])
        self.starts = [b.pointer for b in buffers]

    def enter(self, before: Block) -> None:
        """At the head of the loop, which is first entered from the block `before`."""
        if self.constant is not None:
            return
        phis = [self.program.fn.phi(x.type) for x in self.starts]
        for phi, x in zip(phis, self.starts, strict=True):
            phi.add(x, before)
        self.now, self.then = phis[0], phis[1] if len(phis) > 1 else None

    @property
    def location(self) -> Location:
        """What the body reads."""
        if self.now is None:
            assert self.constant is not None
            return self.constant
        return Scalar(self.now.value) if self.then is None else self._buffer(self.now)

    @property
    def target(self) -> Buffer | None:
        """Where the body writes; None for registers."""
        return None if self.then is None else self._buffer(self.then)

    def _buffer(self, phi: Phi) -> Buffer:
        return Buffer(phi.value, self.init.shape, self.init.dtype)

    def hand_on(self, result: Location, latch: Block) -> None:
        """The next iteration begins with this."""
        if self.now is None:
            return
        if self.then is None:
            assert isinstance(result, Scalar)
            self.now.add(result.value, latch)
        else:
            self.now.add(self.then.value, latch)
            self.then.add(self.now.value, latch)

    def finish(self, result: Location) -> None:
        """After the loop, which ended with this."""
        if self.constant is not None:
            self.program.assign(self.out, self.init)
        else:
            self.program.hand_over(self.out, result)


def _carries(
    program: Any, outs: Sequence[Var], inits: Sequence[Atom], body: Jaxpr, first: int
) -> list[Carry]:
    """The carries of a loop; those of the body begin at input number `first`."""
    count = len(inits)
    inputs, results = body.invars[first : first + count], body.outvars[:count]
    return [
        Carry(program, out, init, constant=v is y)
        for out, init, v, y in zip(outs, inits, inputs, results, strict=True)
    ]


def _enter_loop(fn: Function, carries: Sequence[Carry], name: str) -> tuple[Block, Block]:
    """Open a loop: the block before it and its head, where the carries are."""
    for carry in carries:
        carry.begin()
    before, head = fn.here, fn.block(name)
    fn.branch(head)
    fn.at(head)
    for carry in carries:
        carry.enter(before)
    return before, head


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
    p = eqn.params
    n_consts, n_carry = p["num_consts"], p["num_carry"]
    inits = eqn.inputs[n_consts : n_consts + n_carry]
    carry_outs, y_outs = eqn.outvars[:n_carry], eqn.outvars[n_carry:]
    ys = [program.allocate(v) for v in y_outs]
    if p["length"] == 0:
        for v, init in zip(carry_outs, inits, strict=True):
            program.assign(v, init)
    else:
        consts = [locate(program, x) for x in eqn.inputs[:n_consts]]
        xs = [locate(program, x) for x in eqn.inputs[n_consts + n_carry :]]
        carries = _carries(program, carry_outs, inits, p["jaxpr"], n_consts)
        _scan_loop(program, eqn, consts, carries, xs, ys)
    for v, y in zip(y_outs, ys, strict=True):
        program.settle(v, y)


def _scan_loop(
    program: Any, eqn: Equation, consts: Sequence[Location], carries: Sequence[Carry],
    xs: Sequence[Location], ys: Sequence[Buffer],
) -> None:
    fn: Function = program.fn
    length = eqn.params["length"]
    before, head = _enter_loop(fn, carries, "scan")
    counter = fn.phi(I64)
    counter.add(constant(I64, 0), before)
    at = counter.value
    if eqn.params["reverse"]:
        at = fn.sub(constant(I64, length - 1), at)
    rows = [_load_row(program, x, at) for x in xs]
    inner = program.inner(eqn.params["jaxpr"], [*consts, *(c.location for c in carries), *rows])
    results = inner.emit([*(c.target for c in carries), *(_row(fn, y, at) for y in ys)])
    inner.release_all()
    following = fn.add(counter.value, constant(I64, 1))
    counter.add(following, fn.here)
    for carry, result in zip(carries, results, strict=False):
        carry.hand_on(result, fn.here)
    after = fn.block("scanned")
    fn.branch_if(fn.less(following, constant(I64, length)), head, after)
    fn.at(after)
    for carry, result in zip(carries, results, strict=False):
        carry.finish(result)


def _while(program: Any, eqn: Equation) -> None:
    fn: Function = program.fn
    p = eqn.params
    n_test, n_body = p["num_cond_consts"], p["num_body_consts"]
    consts = [locate(program, x) for x in eqn.inputs[: n_test + n_body]]
    inits = eqn.inputs[n_test + n_body :]
    carries = _carries(program, eqn.outvars, inits, p["body"], n_body)
    _, head = _enter_loop(fn, carries, "while")
    places = [c.location for c in carries]
    test = program.inner(p["cond"], [*consts[:n_test], *places])
    (go,) = test.emit()
    test.release_all()
    work, after = fn.block("body"), fn.block("done")
    fn.branch_if(go.value, work, after)
    fn.at(work)
    inner = program.inner(p["body"], [*consts[n_test:], *places])
    results = inner.emit([c.target for c in carries])
    inner.release_all()
    for carry, result in zip(carries, results, strict=True):
        carry.hand_on(result, fn.here)
    fn.branch(head)
    fn.at(after)
    for carry, place in zip(carries, places, strict=True):
        carry.finish(place)


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

"""The parts of a scan: put together, taken apart, cut down to what is needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tracejit.control.bodies import (
    divide,
    fixpoint,
    keep_inputs,
    keep_outputs,
    read_inputs,
)
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.walk import inline
from tracejit.transforms.jvp import Mask
from tracejit.transforms.memo import remembered


@dataclass(frozen=True, slots=True)
class Parts:
    """A scan in the making, in the order of its operands.

    consts, xs: what the body calls them, and the operand. carry: the name in the body, the operand
    it starts as, and what the body makes of it. ys: what the body makes.
    """

    consts: list[tuple[Var, Atom]] = field(default_factory=list)
    carry: list[tuple[Var, Atom, Atom]] = field(default_factory=list)
    xs: list[tuple[Var, Atom]] = field(default_factory=list)
    ys: list[Atom] = field(default_factory=list)

    @property
    def operands(self) -> list[Atom]:
        """What the scan is bound with."""
        return [x for _, x, *_ in (*self.consts, *self.carry, *self.xs)]

    @property
    def names(self) -> list[Var]:
        """The inputs of the body."""
        return [*dict(self.consts), *[v for v, *_ in self.carry], *dict(self.xs)]

    def params(self, equations: Iterable[Equation]) -> dict[str, Any]:
        """The parameters, but for length and reverse; the equations are those of the body."""
        invars = self.names
        outvars = [*[after for _, _, after in self.carry], *self.ys]
        body = Jaxpr(tuple(invars), tuple(equations), tuple(outvars))
        counts = {"num_consts": len(self.consts), "num_carry": len(self.carry)}
        return {"jaxpr": body, **counts}


@dataclass(frozen=True, slots=True)
class Restoring:
    """What a loop that runs back does first in a round: see `rewind`.

    operands: of `restore`. made: stand for its results, behind the states.
    """

    restore: Jaxpr
    operands: Sequence[Atom]
    num_fixed: int
    num_states: int
    made: Sequence[Atom]

    def parts(self) -> Parts:
        """The scan that begins so; its carries get their ends from `emit`."""
        names = [Var(v.type) for v in self.restore.invars]
        fixed, states, rows = divide(
            [*zip(names, self.operands, strict=True)], self.num_fixed, self.num_states
        )
        return Parts([*fixed], [(v, x, v) for v, x in states], [*rows])

    def emit(self, parts: Parts) -> dict[Atom, Atom]:
        """Bind the body, and give what stands for residuals what it makes."""
        outs, made = divide(inline(self.restore, parts.names), self.num_states)
        parts.carry[:] = [
            (v, x, before) for (v, x, _), before in zip(parts.carry, outs, strict=True)
        ]
        return dict(zip(self.made, made, strict=True))


# What is needed.


def needed(params: dict[str, Any], used: Mask) -> tuple[Mask, Mask]:
    """Which operands and which results a scan needs, if those results are used.

    A carry is needed where its final value is, or where something needed reads it.
    """
    keep_in, keep_out = _needed(params["jaxpr"], used, params["num_consts"], params["num_carry"])
    return keep_in if params["length"] is not None else (True, *keep_in[1:]), keep_out


@remembered
def _needed(
    jaxpr: Jaxpr, used: Mask, num_consts: int, num_carry: int
) -> tuple[Mask, Mask]:

    def grow(carry: Mask) -> Mask:
        read = read_inputs(keep_outputs(jaxpr, (*carry, *used[num_carry:])))
        inside = read[num_consts : num_consts + num_carry]
        return tuple(a or b for a, b in zip(carry, inside, strict=True))

    carry = fixpoint(used[:num_carry], grow)
    outs = (*carry, *used[num_carry:])
    consts, _, xs = divide(read_inputs(keep_outputs(jaxpr, outs)), num_consts, num_carry)
    return (*consts, *carry, *xs), outs


def cut(params: dict[str, Any], keep_in: Mask, keep_out: Mask) -> dict[str, Any]:
    """The parameters of a scan with those operands and results alone."""
    num_consts, num_carry = params["num_consts"], params["num_carry"]
    body = keep_inputs(keep_outputs(params["jaxpr"], keep_out), keep_in)
    counts = {
        "num_consts": sum(keep_in[:num_consts]),
        "num_carry": sum(keep_out[:num_carry]),
    }
    return params | {"jaxpr": body, **counts}

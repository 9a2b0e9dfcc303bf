"""Rules of loops and branches: what they carry, read and write is doubled where it is complex."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.control.bodies import divide
from tracejit.control.cond import cond
from tracejit.control.loop import while_
from tracejit.control.scan import scan
from tracejit.ir.atoms import Literal
from tracejit.ir.graph import Equation
from tracejit.ir.types import COMPLEX
from tracejit.passes.pairs.table import HELD, Pair, Value, flat, joined


def _flags(values: Sequence[Value]) -> list[bool]:
    return [isinstance(x, Pair) for x in values]


def _scan(splitter: Any, eqn: Equation, values: list[Value]) -> list[Value]:
    params = eqn.params
    body, counts = params["jaxpr"], (params["num_consts"], params["num_carry"])
    first = sum(counts)
    for i, (x, row) in enumerate(zip(values[first:], body.invars[first:], strict=True), first):
        if isinstance(x, Literal) and row.dtype in COMPLEX:
            values[i] = Pair(x, x)  # a tape of zeros
    consts, carry, xs = divide(values, *counts)
    inner, found = splitter.held(body, _flags(values), _flags(carry))
    changed = params | {
        "jaxpr": inner, "num_consts": len(flat(consts)), "num_carry": len(flat(carry)),
    }  # fmt: skip
    return joined(scan.bind(*flat(values), **changed), found)


def _while(splitter: Any, eqn: Equation, values: list[Value]) -> list[Value]:
    params = eqn.params
    of_cond, of_body, carry = divide(values, params["num_cond_consts"], params["num_body_consts"])
    condition, _ = splitter.held(params["cond"], _flags([*of_cond, *carry]))
    body, found = splitter.held(params["body"], _flags([*of_body, *carry]), _flags(carry))
    changed = {
        "cond": condition, "body": body,
        "num_cond_consts": len(flat(of_cond)), "num_body_consts": len(flat(of_body)),
    }  # fmt: skip
    return joined(while_.bind(*flat(values), **changed), found)


def _cond(splitter: Any, eqn: Equation, values: list[Value]) -> list[Value]:
    (index,), operands = flat(values[:1]), values[1:]
    flags, branches = _flags(operands), eqn.params["branches"]
    found = [splitter.held(branch, flags)[1] for branch in branches]
    wanted = [any(of_result) for of_result in zip(*found, strict=True)]
    after = [splitter.held(branch, flags, wanted)[0] for branch in branches]
    return joined(cond.bind(index, *flat(operands), branches=tuple(after)), wanted)


HELD |= {scan: _scan, while_: _while, cond: _cond}

"""What is certain of traced conditions, from the ranges of the integers that they compare."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.graph import Equation
from tracejit.numpy.windows.affine import Range, affine
from tracejit.trace.tracer import Trace, Tracer

_RECENT = 64


def range_of(x: Any) -> Range:
    """The least and the greatest value of an integer, traced or not."""
    return affine(x).range


def known_truth(x: Tracer) -> bool | None:
    """What a traced condition is whatever the arguments are; None if that is not certain."""
    return _truth(x.owner, x.atom)


def _maker(trace: Trace, atom: Atom) -> Equation | None:
    for eqn in trace.equations[: -_RECENT - 1 : -1]:
        if atom in eqn.outvars:
            return eqn
    return None


def _truth(trace: Trace, atom: Atom) -> bool | None:
    if isinstance(atom, Literal):
        return bool(atom.value)
    eqn = _maker(trace, atom)
    if eqn is None or atom.shape:
        return None
    name = eqn.primitive.name
    if name in ("and", "or"):
        sides = [_truth(trace, x) for x in eqn.inputs]
        if (name == "or") in sides:
            return name == "or"
        return None if None in sides else name == "and"
    if name == "not":
        side = _truth(trace, eqn.inputs[0])
        return None if side is None else not side
    if name not in _TRUTHS or any(x.dtype.kind not in "iu" for x in eqn.inputs):
        return None
    x, y = (affine(Tracer(trace, operand)) for operand in eqn.inputs)
    holds, fails = _TRUTHS[name]
    difference = (x - y).range
    return True if holds(*difference) else False if fails(*difference) else None


#: For the range of x - y: whether a comparison certainly holds, and whether it certainly fails.
_TRUTHS: dict[str, tuple[Callable[..., bool], Callable[..., bool]]] = {
    "lt": (lambda low, high: high < 0, lambda low, high: low >= 0),
    "le": (lambda low, high: high <= 0, lambda low, high: low > 0),
    "gt": (lambda low, high: low > 0, lambda low, high: high <= 0),
    "ge": (lambda low, high: low >= 0, lambda low, high: high < 0),
    "eq": (lambda low, high: low == high == 0, lambda low, high: low > 0 or high < 0),
    "ne": (lambda low, high: low > 0 or high < 0, lambda low, high: low == high == 0),
}

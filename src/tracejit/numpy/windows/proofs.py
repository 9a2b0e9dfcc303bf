"""What is certain of traced conditions, from the ranges of the integers that they compare."""

from __future__ import annotations

from typing import Any

from tracejit.ir.atoms import Atom, Literal
from tracejit.numpy.windows.affine import affine, numbering_of
from tracejit.ops.ranges import OpenRange, decided
from tracejit.trace.tracer import Trace, Tracer, current_trace

_DEPTH = 8  # of conditions within conditions
_COMPARISONS = ("lt", "le", "gt", "ge", "eq", "ne")


def range_of(x: Any) -> OpenRange:
    """The least and the greatest value of an integer, traced or not."""
    return affine(x).range


def reached(x: Any) -> OpenRange | None:
    """The range of an integer that has its ends, for sure, in some round of the innermost loop that
    is traced once; None where that is not known."""
    trace = current_trace()
    form = affine(x)
    if trace is None or len(form.terms) != 1:
        return None
    return form.range if trace.goes_through(form.terms[0][0].tracer.atom) else None


def is_zero_once(x: Any) -> bool:
    """Whether an integer is sure to be zero in some round of the innermost loop."""
    ends = reached(x)
    if ends is None or not ends[0] <= 0 <= ends[1]:
        return False
    form = affine(x)
    return not form.constant % form.terms[0][1]


def known_truth(x: Tracer) -> bool | None:
    """What a traced condition is whatever the arguments are; None if that is not certain."""
    return _truth(x.owner, x.atom, _DEPTH)


def _truth(trace: Trace, atom: Atom, depth: int) -> bool | None:
    if isinstance(atom, Literal):
        return bool(atom.value)
    eqn = numbering_of(trace).maker(trace, atom)
    if eqn is None or atom.shape or not depth:
        return None
    name = eqn.primitive.name
    if name in ("and", "or"):
        sides = [_truth(trace, x, depth - 1) for x in eqn.inputs]
        if (name == "or") in sides:
            return name == "or"
        return None if None in sides else name == "and"
    if name == "not":
        side = _truth(trace, eqn.inputs[0], depth - 1)
        return None if side is None else not side
    if name not in _COMPARISONS or any(x.dtype.kind not in "iu" for x in eqn.inputs):
        return None
    x, y = (affine(Tracer(trace, operand)) for operand in eqn.inputs)
    return decided(name, (x - y).range, (0, 0))

"""What a round of a loop adds to a carry that it neither reads nor replaces.

    %p = dynamic_slice(%carry, %i, 0)
    %q = add(%p, %v)                                            Term: %v, at row %i
    %s = dynamic_update_slice(%carry, %q, %i, 0)
    %t = add(%s, %w)                                            Term: %w, everywhere
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ops.elementwise import add, select, sub
from tracejit.ops.indexing import dynamic_slice, dynamic_update_slice
from tracejit.ops.structure import reshape

Starts = tuple[Atom, ...]


@dataclass(frozen=True, slots=True)
class Term:
    """value, where all masks hold, is added at the starts; starts None: everywhere.

    sum, before: the equation's result, and what it is without the value.
    """

    starts: Starts | None
    sizes: tuple[int, ...]
    value: Atom
    sign: int
    masks: tuple[Atom, ...]
    sum: Var
    before: Atom


@dataclass(frozen=True, slots=True)
class _Shifted:
    """The carry, or a part of what it was when it was read, plus terms."""

    starts: Starts | None
    sizes: tuple[int, ...]
    source: Var | None
    terms: tuple[Term, ...] = ()


def terms_of(body: Jaxpr, carry: Var, result: int) -> tuple[Term, ...] | None:
    """What is added to a carry, which is result number `result`; None if it is used otherwise."""
    shifted: dict[Atom, _Shifted] = {carry: _Shifted(None, carry.shape, None)}
    for eqn in body.equations:
        if not shifted.keys().isdisjoint(eqn.inputs):
            found = _follow(eqn, shifted)
            if found is None:
                return None
            shifted[eqn.outvars[0]] = found
    ends = [i for i, y in enumerate(body.outvars) if y in shifted]
    if ends != [result] or shifted[body.outvars[result]].source is not None:
        return None
    return shifted[body.outvars[result]].terms


def _follow(eqn: Equation, shifted: dict[Atom, _Shifted]) -> _Shifted | None:
    which = [i for i, x in enumerate(eqn.inputs) if x in shifted]
    p, x = eqn.primitive, eqn.inputs[which[0]]
    old = shifted[x]
    if p is add or p is sub:
        if len(which) > 1 or (p is sub and which != [0]):
            return None
        sign = 1 if p is add else -1
        value, (out,) = eqn.inputs[1 - which[0]], eqn.outvars
        term = Term(old.starts, old.sizes, value, sign, (), out, x)
        return replace(old, terms=(*old.terms, term))
    if p is select and which == [1, 2]:
        return _chosen(eqn.inputs[0], old, shifted[eqn.inputs[2]])
    if p is reshape and old.source is not None:
        units = [n for n in eqn.params["shape"] if n != 1]
        return old if units == [n for n in old.sizes if n != 1] else None
    if p is dynamic_slice and which == [0] and old.source is None:
        return _Shifted(eqn.inputs[1:], eqn.params["sizes"], x)  # type: ignore[arg-type]
    if p is dynamic_update_slice and which == [0, 1] and old.source is None:
        part = shifted[eqn.inputs[1]]
        if part.source is x and _same(part.starts or (), eqn.inputs[2:]):
            return replace(old, terms=(*old.terms, *part.terms))
    return None


def _chosen(mask: Atom, there: _Shifted, before: _Shifted) -> _Shifted | None:
    """What was added last, only where a mask holds."""
    count = len(before.terms)
    if there.terms[:count] != before.terms or there.source is not before.source:
        return None
    if there.starts is not None and not _same(there.starts, before.starts or ()):
        return None
    masked = [replace(t, masks=(*t.masks, mask)) for t in there.terms[count:]]
    return replace(there, terms=(*before.terms, *masked))


def _same(a: Sequence[Atom], b: Sequence[Atom]) -> bool:
    return len(a) == len(b) and all(
        x is y or (isinstance(x, Literal) and x == y) for x, y in zip(a, b, strict=True)
    )

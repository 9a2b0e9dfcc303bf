"""Complex values become pairs of real ones.

    %z: c128[n] input                         %x: f64[n] = real(%z)     %y: f64[n] = imag(%z)
    %w: c128[n] = mul(%z, %z)          ->     %p = mul(%x, %x)   ...    %q = add(...)
    %s: c128[]  = reduce_sum(%w)              %u = reduce_sum(%p)       %v = reduce_sum(%q)
    return %s                                 %s: c128[] = complex(%u, %v)
                                              return %s

Needs: `inline` before it. Leaves: complex variables at the borders alone, where they are inputs and
results, and around operations without a rule here (Python that is called back, LAPACK); of what is
held by loops and branches all inputs and results are real. What it makes is there to be folded.
Does not: anything to a program without complex values, which is returned at once.

A literal part 0 takes no part in products: x (u + iv) is xu + ixv, as in C, so that no NaN comes of
an infinity times a part that was never there.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.types import COMPLEX, PART_OF, TAPE, ArrayType
from tracejit.ir.walk import held_jaxprs
from tracejit.ops import complex as parts
from tracejit.passes.pairs import (  # noqa: F401  each fills its rows of the table
    arithmetic,
    fourier,
    functions,
    inverses,
    loops,
    moves,
    powers,
)
from tracejit.passes.pairs.table import HELD, LEFT, TABLE, Pair, Value, flat

Flags = tuple[bool, ...]
Held = tuple[Jaxpr, Flags]


def has_complex(jaxpr: Jaxpr) -> bool:
    """Whether a variable or a literal of a program, or of what it holds, is complex."""
    for x in chain(jaxpr.invars, jaxpr.outvars):
        if x.type.dtype in COMPLEX:
            return True
    return any(map(_touches, jaxpr.equations))


def _touches(eqn: Equation) -> bool:
    if any(v.type.dtype in COMPLEX for v in eqn.outvars):
        return True
    if any(x.type.dtype in COMPLEX for x in eqn.inputs):
        return True
    return bool(eqn.params) and any(has_complex(body) for _, body in held_jaxprs(eqn))


def pairs(jaxpr: Jaxpr) -> Jaxpr:
    """The program with pairs for complex values, its inputs and results as they were."""
    if not has_complex(jaxpr):
        return jaxpr
    splitter = Splitter({})
    splitter.env.update((v, v) for v in jaxpr.invars)
    splitter.run(jaxpr)
    outvars = [splitter.whole(y) for y in jaxpr.outvars]
    return splitter.builder.finish(jaxpr.invars, outvars)


class Splitter:
    """Rewrites one jaxpr. `env` has what stands for its variables: a Pair for a complex one, or an
    atom, which may be complex, too, where it comes from outside; `done` the jaxprs that were held.
    """

    def __init__(self, done: dict[tuple[Jaxpr, Flags, Flags], Held]):
        self.builder = Builder()
        self.env: dict[Var, Value] = {}
        self.wholes: dict[Pair, Atom] = {}
        self.done = done

    def run(self, jaxpr: Jaxpr) -> None:
        """Append the equations."""
        with building(self.builder):
            for eqn in jaxpr.equations:
                self.builder.provenance = eqn.provenance
                self._append(eqn)

    def _append(self, eqn: Equation) -> None:
        held = HELD.get(eqn.primitive)
        touched = _touches(eqn) or any(isinstance(self.env.get(x), Pair) for x in eqn.inputs)  # type: ignore[call-overload]
        if not touched:
            self._copy(eqn)
        elif held is not None:
            values = held(self, eqn, [self.value(x) for x in eqn.inputs])
            self.env.update(zip(eqn.outvars, values, strict=True))
        else:
            rule = TABLE.get(eqn.primitive)
            found = rule(*map(self.value, eqn.inputs), **eqn.params) if rule else LEFT
            if found is LEFT:
                self._copy(eqn)
                return
            results = (found,) if isinstance(found, Pair | Atom) else found
            self.env.update(zip(eqn.outvars, results, strict=True))

    def _copy(self, eqn: Equation) -> None:
        """The equation as it is, of whole operands."""
        inputs = tuple([self.whole(x) for x in eqn.inputs])
        if inputs != eqn.inputs:
            eqn = eqn._replace(inputs=inputs)
        self.builder.equations.append(eqn)
        self.env.update((v, v) for v in eqn.outvars)

    def value(self, x: Atom) -> Value:
        """What stands for an operand: a Pair, if it is complex."""
        if isinstance(x, Literal):
            if x.dtype not in COMPLEX:
                return x
            type = part_type(x.type)
            return Pair(Literal(x.value.real, type), Literal(x.value.imag, type))
        found = self.env[x]  # type: ignore[index]
        if isinstance(found, Atom) and found.dtype in COMPLEX:
            with building(self.builder):
                found = Pair(parts.real(found), parts.imag(found))
            self.wholes[found] = self.env[x]  # type: ignore
            self.env[x] = found  # type: ignore[index]
        return found

    def whole(self, x: Atom) -> Atom:
        """One atom for an operand."""
        found = x if isinstance(x, Literal) and x.dtype not in COMPLEX else self.env.get(x, x)  # type: ignore
        if isinstance(found, Literal) and found.dtype in COMPLEX:
            found = self.value(found)
        if not isinstance(found, Pair):
            return found
        if found not in self.wholes:
            with building(self.builder):
                self.wholes[found] = parts.complex(*found)
        return self.wholes[found]

    def held(self, jaxpr: Jaxpr, flags: Sequence[bool], wanted: Sequence[bool] = ()) -> Held:
        """What stands for a jaxpr that is held: of which inputs there are pairs, and of which
        of its first results there have to be; it says of which results there are."""
        key = (jaxpr, tuple(flags), tuple(wanted))
        if key not in self.done:
            self.done[key] = self._held(*key)
        return self.done[key]

    def _held(self, jaxpr: Jaxpr, flags: Flags, wanted: Flags) -> Held:
        if not (any(flags) or any(wanted) or has_complex(jaxpr)):
            return jaxpr, (False,) * len(jaxpr.outvars)
        inner, invars = Splitter(self.done), list[Any]()
        for v, flag in zip(jaxpr.invars, flags, strict=True):
            stand_in = Pair(Var(part_type(v.type)), Var(part_type(v.type))) if flag else v
            inner.env[v] = stand_in
            invars += flat([stand_in])
        inner.run(jaxpr)
        outs = [inner.value(y) for y in jaxpr.outvars]
        for i, want in enumerate(wanted):
            y = outs[i]
            if want and isinstance(y, Atom):  # a tape of zeros
                outs[i] = Pair(y, y)
        found = tuple([isinstance(y, Pair) for y in outs])
        return inner.builder.finish(invars, flat(outs)), found


def part_type(type: ArrayType) -> ArrayType:
    """The type of each part; of a tape's, a tape."""
    return type if type.dtype == TAPE else type.with_dtype(PART_OF[type.dtype])

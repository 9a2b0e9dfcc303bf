"""The table of the rules, and what they are made of.

    @rule(ops.mul)
    def _mul(z, w): return Pair(z.re * w.re - z.im * w.im, z.re * w.im + z.im * w.re)

A rule gets a `Pair` for each complex operand, others as they are, and the parameters; it returns
what stands for the result: a Pair where that is complex, an atom where it is not, and a tuple of
these for an operation of several results; or `LEFT`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np

from tracejit.ir.atoms import Atom, Literal, zero
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import ArrayType, finfo


class Pair(NamedTuple):
    """A complex value, or two tapes: the real and the imaginary part."""

    re: Atom
    im: Atom

    @property
    def type(self) -> ArrayType:
        """The type of each part."""
        return self.re.type


Value = Atom | Pair
Rule = Callable[..., Any]
F = TypeVar("F", bound=Rule)

TABLE: dict[Primitive, Rule] = {}
#: Rules of what holds jaxprs: (the splitter, equation, values of operands) -> those of the results.
HELD: dict[Primitive, Rule] = {}


#: What a rule returns that leaves an operation to a library, which takes complex numbers.
LEFT = None


def rule(*primitives: Primitive) -> Callable[[F], F]:
    """A decorator: the function is the rule of these primitives."""

    def fill(function: F) -> F:
        for primitive in primitives:
            assert primitive not in TABLE, primitive
            TABLE[primitive] = function
        return function

    return fill


def part_by_part(*primitives: Primitive) -> None:
    """What these do to a complex operand they do to its parts."""
    for primitive in primitives:
        TABLE[primitive] = _by_parts(primitive)


def _by_parts(primitive: Primitive) -> Rule:
    def run(*operands: Value, **params: Any) -> Pair:
        halves = zip(*[x if isinstance(x, Pair) else (x, x) for x in operands], strict=True)
        re, im = (primitive(*half, **params) for half in halves)
        return Pair(re, im)

    return run


def number(value: float, like: Pair | Atom) -> Literal:
    """A literal of the type of an atom, or of the parts of a pair."""
    return Literal(value, like.type)


def of_real(x: Atom) -> Pair:
    """A real value as a complex one."""
    return Pair(x, zero(x.type))


def is_nought(x: Atom) -> bool:
    """Whether a part is known to be 0, so that it takes no part in products."""
    return isinstance(x, Literal) and x.value == 0


def limits(x: Atom | Pair) -> np.finfo:
    """The limits of a part's dtype."""
    return finfo(x.type.dtype)


def flat(values: Sequence[Value]) -> list[Atom]:
    """The atoms of values, parts one behind the other."""
    return [x for v in values for x in (v if isinstance(v, Pair) else (v,))]


def joined(atoms: Sequence[Atom], flags: Sequence[bool]) -> list[Value]:
    """Values of atoms, two of them for each that is flagged."""
    rest = iter(atoms)
    return [Pair(next(rest), next(rest)) if flag else next(rest) for flag in flags]

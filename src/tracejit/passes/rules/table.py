"""The table of rewrites: how a rule is said, and what it may assume.

A rule belongs to a primitive and is tried when one of its operands is a literal, or the result of
a given primitive, or always:

    over(neg, neg)(lambda inner, x: inner.inputs[0])            neg(neg(a))  ->  a
    literal(mul, 1)(lambda x, c: x if c.value == 1 else None)   mul(x, 1.0)  ->  x
    always(reshape)(lambda x, *, shape: x if shape == x.shape else None)

It gets the operands as they are after folding (behind the equation `inner` that computes the
operand, in `over`) and the parameters, and returns what stands for the result, or None to pass.
What it binds is folded too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from tracejit.ir.atoms import Atom, Literal
from tracejit.ir.current import current
from tracejit.ir.graph import Equation
from tracejit.ir.primitive import Primitive

Rule = Callable[..., Atom | None]


@dataclass(frozen=True, slots=True)
class Rules:
    """The rules of one primitive; `over` and `literal` by position of the operand."""

    always: list[Rule] = field(default_factory=list)
    literal: dict[int, list[Rule]] = field(default_factory=dict)
    over: dict[tuple[int, Primitive], list[Rule]] = field(default_factory=dict)


TABLE: dict[Primitive, Rules] = {}


def _rules(primitive: Primitive) -> Rules:
    return TABLE.setdefault(primitive, Rules())


def always(*primitives: Primitive) -> Callable[[Rule], Rule]:
    """Add a rule (*operands, **params) that is tried on every equation of these primitives."""

    def add(rule: Rule) -> Rule:
        for primitive in primitives:
            _rules(primitive).always.append(rule)
        return rule

    return add


def literal(primitive: Primitive, position: int = 0) -> Callable[[Rule], Rule]:
    """Add a rule (*operands, **params) for a literal at `position`."""

    def add(rule: Rule) -> Rule:
        _rules(primitive).literal.setdefault(position, []).append(rule)
        return rule

    return add


def over(primitive: Primitive, inner: Primitive, position: int = 0) -> Callable[[Rule], Rule]:
    """Add a rule (equation, *operands, **params) for an operand that `inner` computes."""

    def add(rule: Rule) -> Rule:
        _rules(primitive).over.setdefault((position, inner), []).append(rule)
        return rule

    return add


def origin(x: Atom) -> Equation | None:
    """The equation that computes an operand, for rules that look further; None for inputs."""
    return current().origin.get(x)  # type: ignore[no-any-return]


def is_shared(x: Atom) -> bool:
    """Whether the program reads x more than once, so that it is computed in any case."""
    return x in current().shared  # type: ignore[attr-defined]


def identities(primitive: Primitive, cases: Mapping[Any, Callable[[Atom], Atom]]) -> None:
    """Add rules for binary operations with these numbers on the right: x op number -> case(x)."""

    def rule(x: Atom, c: Literal) -> Atom | None:
        case = cases.get(c.value)
        return None if case is None else case(x)

    literal(primitive, 1)(rule)

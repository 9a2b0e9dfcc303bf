"""What is known of values that depend on no argument's derivative: facts.

    A = constant [[2, 0], [0, 2]]     h = cos(x)     mul(h, A)  ->  zero off the diagonal, for all x

The fact about integers and bools is their value: they are places, counters, conditions. That about
floats is a mask, where they may differ from zero; so a zero in a constant matrix is a zero in what
is made of it, and no derivative goes through it. No fact (None): any value, anywhere.

Masks go through operations as sets of one number do: an element may differ from zero if anything
that is not zero arrives there. So the rules for linear operations serve them, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation
from tracejit.ir.types import BITS
from tracejit.ir.walk import evaluate_equation, held_jaxprs, literal_value
from tracejit.passes.sparsity.loops import by_rounds, is_short, taken
from tracejit.passes.sparsity.rules import RULES, Fact, Maybe, Run, pointwise
from tracejit.passes.sparsity.sets import LARGEST, Sets

#: Elementwise operations that make zeros of zeros; of `div` the first operand counts.
KEEPS_ZEROS = frozenset(
    "add sub neg abs sign floor ceil trunc round_even square max min sqrt cbrt expm1 log1p sin tan "
    "asin atan sinh tanh asinh atanh erf keep_zeros convert stop_gradient div".split()
)
#: Operations with two operands, where zeros of either one are zeros of products.
PRODUCTS = frozenset({"mul", "dot"})


def fact_of(x: np.ndarray | None) -> Fact:
    """The fact about a value that belongs to the program."""
    if x is None or x.dtype in BITS:
        return x
    return _mask(x != 0)


def fact(x: Atom, facts: dict[Var, Fact]) -> Fact:
    """The fact about an atom, if there is one."""
    if isinstance(x, Literal):
        return fact_of(literal_value(x)) if x.dtype in BITS or x.value == 0 else None
    return facts.get(x)  # type: ignore[call-overload]


def facts_of(eqn: Equation, facts: dict[Var, Fact], run: Run) -> dict[Var, Fact]:
    """The facts about the results of an equation."""
    if is_effectful(eqn) or any(v.type.size > LARGEST for v in eqn.outvars):
        return {}
    known = [fact(x, facts) for x in eqn.inputs]
    if all(v.dtype in BITS for v in eqn.outvars):
        return _values(eqn, known)
    if any(held_jaxprs(eqn)):
        return _held(eqn, known, run)
    if len(eqn.outvars) != 1 or not _has_zeros(eqn, known):
        return {}
    mask = _zeros_through(eqn, known)
    return {} if mask is None else {eqn.outvars[0]: mask}


def _values(eqn: Equation, known: Sequence[Fact]) -> dict[Var, Fact]:
    """Integers and bools that are made of such alone."""
    if any(x is None or v.dtype not in BITS for x, v in zip(known, eqn.inputs, strict=True)):
        return {}
    return dict(zip(eqn.outvars, evaluate_equation(eqn, known), strict=True))


def _held(eqn: Equation, known: list[Fact], run: Run) -> dict[Var, Fact]:
    """Through a call by its body, through `cond` by the branch that is known to be taken, through a
    loop round by round."""
    name, nothing = eqn.primitive.name, [None] * len(known)
    bodies = [body for _, body in held_jaxprs(eqn)]
    if name == "cond":
        bodies, known, nothing = list(taken(eqn, known)), known[1:], nothing[1:]
    operands = eqn.inputs[len(eqn.inputs) - len(known) :]
    types = tuple(x.type for x in operands), tuple(v.type for v in eqn.outvars)
    found: Sequence[Fact] = ()
    if name == "scan" and is_short(eqn):
        found = by_rounds(run, eqn, nothing, known)[1]
    elif len(bodies) == 1 and (bodies[0].in_types, bodies[0].out_types) == types:
        found = run(bodies[0], nothing, known)[1]
    return {v: x for v, x in zip(eqn.outvars, found, strict=False) if x is not None}


def _has_zeros(eqn: Equation, known: Sequence[Fact]) -> bool:
    """Whether something is known of the zeros among the operands; of places it does not matter."""
    pairs = zip(known, eqn.inputs, strict=True)
    if eqn.primitive.name == "convert":
        return known[0] is not None
    return any(x is not None and v.dtype not in BITS for x, v in pairs)


def _zeros_through(eqn: Equation, known: Sequence[Fact]) -> Fact:
    """The mask of a result: the operation on sets of one number."""
    name = eqn.primitive.name
    is_inexact = [v.dtype not in BITS for v in eqn.inputs]
    if name == "convert":
        return _mask(known[0] != 0)
    if name == "integer_pow" and eqn.params["n"] > 0:
        return known[0]
    ids: list[Maybe] = [
        _ids(x, v.type.shape) if f else None
        for x, v, f in zip(known, eqn.inputs, is_inexact, strict=True)
    ]
    facts: list[Fact] = [None if f else x for x, f in zip(known, is_inexact, strict=True)]
    if name in PRODUCTS:
        facts[0], ids[0] = known[0], None
    elif name == "div":
        ids[1] = None
    elif name not in RULES and name not in KEEPS_ZEROS:
        return None
    sets = Sets(1)
    found = RULES.get(name, pointwise)(sets, eqn, ids, facts)[0]
    return np.zeros(eqn.outvars[0].type.shape, bool) if found is None else _mask(found != 0)


def _ids(mask: Fact, shape: tuple[int, ...]) -> np.ndarray:
    """A mask as sets of one number: the empty one is 0, the full one 1."""
    return np.broadcast_to(np.int64(1), shape) if mask is None else mask.astype(np.int64)


def _mask(mask: Any) -> Fact:
    """A mask; None where it says nothing."""
    return None if np.all(mask) else np.asarray(mask)

"""What is known of values that depend on no argument's derivative: facts.

    A = constant [[2, 0], [0, 2]]     h = cos(x)     mul(h, A)  ->  zero off the diagonal, for all x

The fact about a value is the value, where it is made of constants of the program alone: so places,
counters and conditions are known. Of floats that are made of arguments, too, it is a mask: where
they may differ from zero. So a zero in a constant matrix is a zero in what is made of it, and no
derivative goes through it. No fact (None): any value, anywhere.

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


#: Floats of more elements are computed no further, but for their zeros.
SMALL = 1 << 20


def fact(x: Atom, facts: dict[Var, Fact]) -> Fact:
    """The fact about an atom, if there is one."""
    return literal_value(x) if isinstance(x, Literal) else facts.get(x)  # type: ignore[call-overload]


def mask_of(x: Atom, found: Fact) -> Fact:
    """What a rule knows of an operand: the numbers of integers and bools, the mask of floats."""
    if found is None or x.dtype in BITS or found.dtype == bool:
        return found
    return _mask(found != 0)


def _is_value(x: Atom, found: Fact) -> bool:
    return found is not None and found.dtype == x.dtype


def facts_of(eqn: Equation, facts: dict[Var, Fact], run: Run) -> dict[Var, Fact]:
    """The facts about the results of an equation."""
    if is_effectful(eqn) or any(v.type.size > LARGEST for v in eqn.outvars):
        return {}
    known = [fact(x, facts) for x in eqn.inputs]
    bits = all(v.dtype in BITS for v in eqn.outvars)
    if (bits or all(v.type.size <= SMALL for v in eqn.outvars)) and all(
        map(_is_value, eqn.inputs, known)
    ):
        return dict(zip(eqn.outvars, evaluate_equation(eqn, known), strict=True))
    if any(held_jaxprs(eqn)):
        return _held(eqn, known, run)
    if bits or len(eqn.outvars) != 1:
        return {}
    mask = _zeros_through(eqn, list(map(mask_of, eqn.inputs, known)))
    return {} if mask is None else {eqn.outvars[0]: mask}


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


def _zeros_through(eqn: Equation, known: list[Fact]) -> Fact:
    """The mask of a result: the operation on sets of one number."""
    name = eqn.primitive.name
    is_inexact = [v.dtype not in BITS for v in eqn.inputs]
    if not any(f and x is not None for f, x in zip(is_inexact, known, strict=True)):
        return None  # places alone say nothing of zeros
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

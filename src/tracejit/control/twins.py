"""A loop that does part of what another loop does is not run: its results are the other's.

    b = scan(a, l) { a = put(a, l) }                                  b, d = scan(a, c, l, m) {
    d = scan(a, c, l, m) { a = put(a, l); c = f(c, a, m) }     ->       a = put(a, l); ... }

So it is on the way back from a loop in a loop: what walks an array back to where the inner loop
found it, and the adjoint of the inner loop, which walks back the same array.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from tracejit.control.undo import makers_of, ordered
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.graph import Equation, Jaxpr

Names = Mapping[Atom, Atom]


def without_twins(
    equations: Sequence[Equation], given: Sequence[Var]
) -> tuple[list[Equation], dict[Atom, Atom]]:
    """The equations of a body with these inputs, without loops that are parts of others.

    Also returns what now stands for the results of those.
    """
    found, names = list(equations), dict[Atom, Atom]()
    while (pair := _find_pair(found)) is not None:
        small, others = pair
        found.remove(small)
        found = _renamed(found, others)
        names = {x: others.get(y, y) for x, y in names.items()} | others
    return ordered(found, given), names


def _find_pair(equations: Sequence[Equation]) -> tuple[Equation, dict[Atom, Atom]] | None:
    """A loop that is part of another one, and what stands for its results."""
    loops = [e for e in equations if e.primitive.name == "scan"]
    for small in loops:
        for big in loops:
            outs = _within(small, small.inputs, big, {}) if big is not small else None
            if outs is not None and not _depends(big, small, equations):
                return small, dict(zip(small.outvars, outs, strict=True))
    return None


def _depends(eqn: Equation, other: Equation, equations: Sequence[Equation]) -> bool:
    """Whether an equation reads, in the end, what another one makes."""
    makers, pending, seen = makers_of(equations), [eqn], set()
    while pending:
        e = pending.pop()
        if e is other:
            return True
        if e not in seen:
            seen.add(e)
            pending += [makers[x] for x in e.inputs if x in makers]  # type: ignore[index]
    return False


def _renamed(equations: Sequence[Equation], names: Names) -> list[Equation]:
    return [
        e if names.keys().isdisjoint(e.inputs)
        else Equation(e.primitive, tuple(names.get(x, x) for x in e.inputs), e.params, e.outvars,
                      e.provenance)
        for e in equations
    ]  # fmt: skip


def _within(
    small: Equation, inputs: Sequence[Atom], big: Equation, names: Names
) -> list[Atom] | None:
    """What the loop `small` of these operands makes, among the results of `big`, if all of it.

    names: what the operands of `big` stand for, where several stand for the same.
    """
    a, b = small.params, big.params
    carries = a["num_carry"]
    if len(small.outvars) != carries or (a["length"], a["reverse"]) != (b["length"], b["reverse"]):
        return None
    operands = [names.get(x, x) for x in big.inputs]
    first, behind = b["num_consts"], b["num_consts"] + b["num_carry"]
    invars = b["jaxpr"].invars
    same: dict[Atom, Atom] = {}
    kinds: list[dict[Atom, Atom]] = []
    for start, stop in ((0, first), (first, behind), (behind, len(invars))):
        kind: dict[Atom, Atom] = {}
        for v, x in zip(invars[start:stop], operands[start:stop], strict=True):
            chosen = kind.setdefault(x, v)
            if start != first:
                same[v] = chosen
        kinds.append(kind)
    env: dict[Atom, Atom] = {}
    for i, (v, x) in enumerate(zip(a["jaxpr"].invars, inputs, strict=True)):
        kind = kinds[(i >= a["num_consts"]) + (i >= a["num_consts"] + carries)]
        if x not in kind:
            return None
        env[v] = kind[x]
    if not _follow(a["jaxpr"], env, b["jaxpr"], same):
        return None
    places = [invars.index(env[v]) - first for v in  # type: ignore[arg-type]
              a["jaxpr"].invars[a["num_consts"] : a["num_consts"] + carries]]  # fmt: skip
    ends = [same.get(y, y) for y in (b["jaxpr"].outvars[p] for p in places)]
    if [env.get(y, y) for y in a["jaxpr"].outvars] != ends:
        return None
    return [big.outvars[p] for p in places]


def _follow(small: Jaxpr, env: dict[Atom, Atom], big: Jaxpr, same: dict[Atom, Atom]) -> bool:
    """Whether all that `small` computes is computed in `big` too; `env` learns where.

    same: what stands for variables of `big` that are equal to others; more are found.
    """
    known: dict[Hashable, Sequence[Var]] = {}
    for e in big.equations:
        outs = known.setdefault(_key(e, [same.get(x, x) for x in e.inputs]), e.outvars)
        same.update(zip(e.outvars, outs, strict=True))
    loops = [e for e in big.equations if e.primitive.name == "scan"]
    for eqn in small.equations:
        inputs = [env.get(x, x) for x in eqn.inputs]
        found: Sequence[Atom] | None = known.get(_key(eqn, inputs))
        if found is None and eqn.primitive.name == "scan":
            found = next((y for e in loops if (y := _within(eqn, inputs, e, same))), None)
        if found is None:
            return False
        env.update(zip(eqn.outvars, found, strict=True))
    return True


def _key(eqn: Equation, inputs: Sequence[Atom]) -> Hashable:
    """Equal for equations that compute the same of these operands."""
    params = tuple((n, _text(v)) for n, v in sorted(eqn.params.items()))
    return eqn.primitive, tuple(inputs), params


def _text(value: Any) -> Any:
    """A parameter; a jaxpr by what it says."""
    return str(value) if isinstance(value, Jaxpr) else value

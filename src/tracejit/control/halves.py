"""The two halves of a scan: the known loop, which keeps residuals, and the linear one.

What the linear loop needs is not stacked where it need not be: constants and rows of xs are read
from where they are, what depends on constants alone is computed once, ahead of the loop, what is
cheap is computed again (residuals.py), and what was read of an array that is updated in place is
found in it on the way back (undo.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

from tracejit.control.bodies import divide, leave, pick
from tracejit.control.parts import Parts
from tracejit.control.residuals import thin_out
from tracejit.control.rewind import rewind
from tracejit.control.tape import stacked
from tracejit.control.turning import halves_of
from tracejit.control.undo import Rewinding, find_rewinding
from tracejit.ir.atoms import Atom, Var
from tracejit.ir.builder import building
from tracejit.ir.effects import is_effectful
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.walk import Substitution, copy_equation
from tracejit.transforms import linearize

Equations = list[Equation]


@dataclass(frozen=True, slots=True)
class Halves:
    """ahead: equations before both loops. known, steps, known_vars: the known loop's parts, the
    equations of its body and its results; what it stacks is behind. late: the linear loop."""

    ahead: Equations
    known: Parts
    steps: Equations
    known_vars: list[Var]
    late: Equations


def split(eqn: Equation, unknown: Sequence[bool]) -> tuple[Equations, Equations]:
    """The known scan, which stacks residuals, and the linear one."""
    count = eqn.inputs[0] if eqn.params["length"] is None else None
    halves = halve(eqn, unknown, count)
    known = _equation(eqn, halves.known, halves.steps, halves.known_vars)
    return [*halves.ahead, *known], halves.late


def halve(
    eqn: Equation, unknown: Sequence[bool], count: Atom | None, *, rewinds: bool = True
) -> Halves:
    """The halves of a scan; `count` is the number of rounds, where that is not its length.
    rewinds: whether what is updated in place may be carried back."""
    halves, late = halves_of(eqn.params, unknown)
    early = tuple(not u for u in late)
    known_vars = leave(eqn.outvars, halves.unknown)
    known = _loop(eqn, early, halves.known.outvars[: len(known_vars)])
    linear = _loop(eqn, late, halves.linear.outvars)
    equations: Sequence[Equation] = halves.known.equations
    varying = _reached(equations, {*dict(known.xs), *[v for v, *_ in known.carry]})
    free = {x for x in _defined(halves.known) if x not in varying}.union(dict(known.xs))
    residuals: Sequence[Var] = halves.linear.invars[: halves.residuals]
    carries = [(v, after) for v, _, after in known.carry]
    way = find_rewinding(residuals, equations, carries, free) if rewinds else None
    if way is None:
        residuals, again = thin_out(residuals, equations, free)
        back = linear
    else:
        equations, residuals, again = way.equations, way.handed, []
        varying = _reached(equations, {*dict(known.xs), *dict(carries)})
        back = Parts()
    if count is not None:
        for parts in (linear, back)[: 1 if way is None else 2]:
            parts.consts.insert(0, (Var(count.type), count))
    ahead, fixed = _hand_over(residuals, varying, equations, known, known_vars, back, eqn)
    steps = [e for e in equations if is_effectful(e) or not fixed.keys() >= set(e.outvars)]
    made = [*[after for _, _, after in known.carry], *known.ys]
    steps = linearize.live_equations(steps, made)
    read = {x for e in steps for x in e.inputs}.union(made)
    known.consts.extend((r, x) for r, x in fixed.items() if r in read)
    linear_vars = pick(eqn.outvars, halves.unknown)
    late_equations = [*again, *halves.linear.equations]
    if way is None:
        late_part = _equation(eqn, linear, late_equations, linear_vars)
    else:
        last = dict(zip([after for _, after in carries], known_vars, strict=False))
        late_part = _rewound(eqn, way, back, linear, halves, last, linear_vars)
    return Halves([*ahead], known, steps, known_vars, late_part)


def _loop(eqn: Equation, mask: Sequence[bool], outs: Sequence[Atom]) -> Parts:
    """The scan with these operands alone; `outs` are its carries, then what it makes of a row."""
    counts = eqn.params["num_consts"], eqn.params["num_carry"]
    pairs = [*zip(eqn.params["jaxpr"].invars, eqn.inputs, strict=True)]
    consts, init, xs = [
        pick(part, kept)
        for part, kept in zip(divide(pairs, *counts), divide(mask, *counts), strict=True)
    ]
    carry = [(v, x, after) for (v, x), after in zip(init, outs[: len(init)], strict=True)]
    return Parts(consts, carry, xs, [*outs[len(init) :]])


def _hand_over(
    residuals: Sequence[Var], varying: Set[Var], equations: Sequence[Equation], known: Parts,
    known_vars: list[Var], linear: Parts, eqn: Equation,
) -> tuple[Equations, dict[Var, Atom]]:  # fmt: skip
    """Give the linear loop its residuals; `varying` is what differs from round to round.

    Returns the equations to compute ahead of both loops, and what they compute. The rest is stacked
    by the known loop, whose `ys` and results `known_vars` grow.
    """
    consts, rows = dict(known.consts), dict(known.xs)
    still = [r for r in residuals if r not in varying]
    with building() as builder:
        env = Substitution(consts)
        for step in linearize.live_equations(equations, still, False):
            copy_equation(step, env, builder)
    linear.consts.extend((r, env[r]) for r in still)
    for r in residuals:
        if r in rows:
            linear.xs.append((r, rows[r]))
        elif r in varying:
            if r not in known.ys:
                known.ys.append(r)
                known_vars.append(Var(stacked(r.type, eqn.params["length"])))
            linear.xs.append((r, known_vars[len(known.carry) + known.ys.index(r)]))
    return builder.equations, {r: env[r] for r in still if r not in consts}


def _defined(jaxpr: Jaxpr) -> Iterable[Var]:
    """The inputs, and all that is computed."""
    yield from jaxpr.invars
    for eqn in jaxpr.equations:
        yield from eqn.outvars


def _reached(equations: Sequence[Equation], variables: set[Var]) -> set[Var]:
    """The variables, and those that depend on them, or on what effects give."""
    reached = set(variables)
    for eqn in equations:
        if any(x in reached for x in eqn.inputs) or is_effectful(eqn):
            reached.update(eqn.outvars)
    return reached


def _equation(
    eqn: Equation, parts: Parts, equations: Sequence[Equation], outvars: Sequence[Var]
) -> Equations:
    """The scan of these parts, if it has results or effects."""
    params = eqn.params | parts.params(equations)
    made = Equation(eqn.primitive, tuple(parts.operands), params, tuple(outvars), eqn.provenance)
    return [made] if outvars or is_effectful(made) else []


def _rewound(
    eqn: Equation, way: Rewinding, back: Parts, linear: Parts, halves: linearize.Split,
    last: dict[Atom, Var], outvars: Sequence[Var],
) -> Equations:  # fmt: skip
    """The linear loop, with what finds its residuals on the way back."""
    consts, rows = dict(back.consts), dict(back.xs)
    residuals = halves.linear.invars[: halves.residuals]
    linear.consts.extend((r, consts[r]) for r in residuals if r in consts)
    linear.xs.extend((r, rows[r]) for r in residuals if r in rows)
    made = [(r, Var(stacked(r.type, eqn.params["length"]))) for r in way.made]
    linear.xs[:0] = made
    states = [trail.versions for trail in way.states]
    restore = Jaxpr(
        (*consts, *[s[-1] for s in states], *rows), tuple(way.restore),
        (*[s[0] for s in states], *way.made),
    )  # fmt: skip
    known = [*consts.values(), *[last[s[-1]] for s in states], *rows.values()]
    params = eqn.params | linear.params(halves.linear.equations)
    params |= {"restore": restore, "num_fixed": len(consts), "num_states": len(states)}
    placeholders = {x for _, x in made}
    operands = [x for x in linear.operands if x not in placeholders]
    if not outvars:
        return []
    inputs = (*known, *operands)
    return [Equation(rewind, inputs, params, tuple(outvars), eqn.provenance)]

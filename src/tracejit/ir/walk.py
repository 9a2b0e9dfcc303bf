"""Walks over jaxprs: run them, inline them, substitute in them, see what they hold."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import Any

import numpy as np

from tracejit.errors import TracejitError
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import Builder
from tracejit.ir.current import current
from tracejit.ir.graph import Equation, Jaxpr, Provenance

#: Who runs jaxprs in place of `evaluate`, for those that an equation holds, too; None: it does.
evaluator: ContextVar[Callable[..., tuple[Any, ...]] | None]
evaluator = ContextVar("tracejit.evaluator", default=None)


def evaluate(jaxpr: Jaxpr, *arrays: Any) -> tuple[Any, ...]:
    """Run a jaxpr equation by equation with NumPy: the reference for every backend.

    Arrays of the types of `jaxpr.invars` in, a tuple of arrays (or NumPy scalars) out.
    """
    instead = evaluator.get()
    if instead is not None:
        return instead(jaxpr, *arrays)
    values: dict[Var, Any] = dict(zip(jaxpr.invars, arrays, strict=True))
    last_use = last_uses(jaxpr)
    for index, eqn in enumerate(jaxpr.equations):
        outs = evaluate_equation(eqn, [read(values, x) for x in eqn.inputs])
        values.update(zip(eqn.outvars, outs, strict=True))
        for var in last_use.get(index, ()):
            values.pop(var, None)
    return tuple(read(values, y) for y in jaxpr.outvars)


def evaluate_equation(eqn: Equation, inputs: Sequence[Any]) -> tuple[Any, ...]:
    """The values of one equation, in the dtypes of its variables."""
    try:
        with np.errstate(all="ignore"):
            outs = eqn.primitive.evaluate(*inputs, **eqn.params)
    except TracejitError as error:  # a check, or a callback whose result is none of its type
        error.at(user_line(eqn))
        raise
    return tuple(
        np.asarray(y, dtype=var.dtype) if getattr(y, "dtype", None) != var.dtype else y
        for y, var in zip(outs, eqn.outvars, strict=True)
    )


def user_line(eqn: Equation) -> Provenance | None:
    """The user's place that an equation comes from, if it is known."""
    here = eqn.provenance
    return Provenance(here.file, here.line, here.function) if here.file else None


def literal_value(literal: Literal) -> np.ndarray:
    """A literal as a (read-only, broadcast) array."""
    number = np.asarray(literal.value, dtype=literal.dtype)
    return np.broadcast_to(number, literal.shape) if literal.shape else number


def read(values: dict[Var, Any], x: Atom) -> Any:
    """The value of an atom."""
    return literal_value(x) if isinstance(x, Literal) else values[x]  # type: ignore[index]


def last_uses(jaxpr: Jaxpr) -> dict[int, list[Var]]:
    """By index of equation: the variables that nobody reads behind it."""
    last: dict[Var, int] = {}
    for index, eqn in enumerate(jaxpr.equations):
        for x in (*eqn.inputs, *eqn.outvars):
            if isinstance(x, Var):
                last[x] = index
    for y in jaxpr.outvars:
        if isinstance(y, Var):
            last.pop(y, None)
    uses: dict[int, list[Var]] = {}
    for var, index in last.items():
        uses.setdefault(index, []).append(var)
    return uses


class Substitution(dict[Var, Atom]):
    """What stands for each variable of another jaxpr; literals stand for themselves."""

    def __call__(self, x: Atom) -> Atom:
        return x if isinstance(x, Literal) else self[x]  # type: ignore[index]

    def all(self, xs: Sequence[Atom]) -> list[Atom]:
        return [x if isinstance(x, Literal) else self[x] for x in xs]  # type: ignore[index]


def inline(jaxpr: Jaxpr, inputs: Sequence[Atom], builder: Builder | None = None) -> list[Atom]:
    """Append the equations of a jaxpr to a builder (the current one), with these inputs."""
    builder = builder or current()
    env = Substitution(zip(jaxpr.invars, inputs, strict=True))
    for eqn in jaxpr.equations:
        copy_equation(eqn, env, builder)
    return env.all(jaxpr.outvars)


def splice(jaxpr: Jaxpr, inputs: Sequence[Atom], builder: Builder) -> list[Atom]:
    """Like `inline`, but the equations come with their own variables: once only into a builder."""
    env = Substitution(zip(jaxpr.invars, inputs, strict=True))
    for eqn in jaxpr.equations:
        if not env.keys().isdisjoint(eqn.inputs):
            operands = tuple([env.get(x, x) for x in eqn.inputs])  # type: ignore[call-overload]
            eqn = Equation(eqn.primitive, operands, eqn.params, eqn.outvars, eqn.provenance)
        builder.equations.append(eqn)
    return [env.get(y, y) for y in jaxpr.outvars]  # type: ignore[call-overload]


def copy_equation(eqn: Equation, env: Substitution, builder: Builder) -> None:
    """Append one equation with its inputs substituted; the types are known to fit."""
    outvars = tuple([Var(v.type) for v in eqn.outvars])
    env.update(zip(eqn.outvars, outvars, strict=True))
    builder.equations.append(
        Equation(eqn.primitive, tuple(env.all(eqn.inputs)), eqn.params, outvars, eqn.provenance)
    )


def held_jaxprs(eqn: Equation) -> Iterator[tuple[str, Jaxpr]]:
    """The jaxprs in the parameters of an equation, with the parameter's name."""
    for name, value in eqn.params.items():
        if isinstance(value, Jaxpr):
            yield name, value
        elif isinstance(value, tuple) and value and isinstance(value[0], Jaxpr):
            for index, inner in enumerate(value):
                yield f"{name}[{index}]", inner


def count_equations(jaxpr: Jaxpr) -> int:
    """Equations in a jaxpr and in those it holds."""
    inner = sum(count_equations(j) for eqn in jaxpr.equations for _, j in held_jaxprs(eqn))
    return len(jaxpr.equations) + inner


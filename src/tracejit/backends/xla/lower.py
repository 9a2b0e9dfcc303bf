"""Walk a jaxpr with jax arrays."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from tracejit.backends.xla.table import LOWERINGS, full
from tracejit.errors import MissingLoweringError
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr


class Site(NamedTuple):
    """The equation that is being lowered, and what is raised while the program runs."""

    eqn: Equation
    raised: list[BaseException]


#: For the rows that have to know more than operands and parameters.
site: ContextVar[Site] = ContextVar("site")


def lower(
    jaxpr: Jaxpr, arrays: Sequence[Any], raised: list[BaseException] | None = None
) -> tuple[Any, ...]:
    """The results of a jaxpr, as jax arrays, while jax traces. raised: for a whole program, where
    its callbacks keep what they raise."""
    values: dict[Var, Any] = dict(zip(jaxpr.invars, arrays, strict=True))
    if raised is None:
        raised = site.get().raised
    for eqn in jaxpr.equations:
        outs = lower_equation(eqn, [_read(values, x) for x in eqn.inputs], raised)
        values.update(zip(eqn.outvars, outs, strict=True))
    return tuple(_read(values, y) for y in jaxpr.outvars)


def lower_equation(
    eqn: Equation, inputs: Sequence[Any], raised: list[BaseException]
) -> tuple[Any, ...]:
    """One equation, by its row; a missing row is reported with the user's line."""
    try:
        rule = LOWERINGS[eqn.primitive]
    except MissingLoweringError as error:
        raise error.at(str(eqn.provenance) or None) from None
    token = site.set(Site(eqn, raised))
    try:
        outs = rule(*inputs, **eqn.params)
    finally:
        site.reset(token)
    return (outs,) if eqn.primitive.single else tuple(outs)


def _read(values: dict[Var, Any], x: Atom) -> Any:
    if isinstance(x, Literal):
        return full(x.value, x.dtype, x.shape)
    return values[x]  # type: ignore[index]

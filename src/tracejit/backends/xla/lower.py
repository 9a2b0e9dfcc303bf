"""Walk a jaxpr with jax arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tracejit.backends.xla.table import LOWERINGS, full
from tracejit.errors import MissingLoweringError
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr


def lower(jaxpr: Jaxpr, arrays: Sequence[Any]) -> tuple[Any, ...]:
    """The results of a jaxpr, as jax arrays, while jax traces."""
    values: dict[Var, Any] = dict(zip(jaxpr.invars, arrays, strict=True))
    for eqn in jaxpr.equations:
        outs = lower_equation(eqn, [_read(values, x) for x in eqn.inputs])
        values.update(zip(eqn.outvars, outs, strict=True))
    return tuple(_read(values, y) for y in jaxpr.outvars)


def lower_equation(eqn: Equation, inputs: Sequence[Any]) -> tuple[Any, ...]:
    """One equation, by its row; a missing row is reported with the user's line."""
    try:
        rule = LOWERINGS[eqn.primitive]
    except MissingLoweringError as error:
        raise error.at(str(eqn.provenance) or None) from None
    outs = rule(*inputs, **eqn.params)
    return (outs,) if eqn.primitive.single else tuple(outs)


def _read(values: dict[Var, Any], x: Atom) -> Any:
    if isinstance(x, Literal):
        return full(x.value, x.dtype, x.shape)
    return values[x]  # type: ignore[index]

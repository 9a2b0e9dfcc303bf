"""Walk a jaxpr with jax arrays."""

from __future__ import annotations

from collections.abc import Sequence
from contextvars import ContextVar
from typing import Any, NamedTuple

from tracejit.backends.xla.table import LOWERINGS, full
from tracejit.errors import MissingLoweringError
from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.graph import Equation, Jaxpr
from tracejit.ir.halves import computes, has_halves
from tracejit.ir.types import FLOAT32, HALVES


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
    wide = has_halves(eqn.inputs) and computes(eqn.primitive.name, eqn.params)
    token = site.set(Site(eqn, raised))
    try:
        outs = rule(*(map(_widened, inputs) if wide else inputs), **eqn.params)
    finally:
        site.reset(token)
    results = (outs,) if eqn.primitive.single else tuple(outs)
    if not wide:
        return results
    return tuple([y.astype(v.dtype) for y, v in zip(results, eqn.outvars, strict=True)])


def _widened(x: Any) -> Any:
    """Halves as float32, in which XLA computes what is done with them (see ir/halves.py)."""
    return x.astype(FLOAT32) if x.dtype in HALVES else x


def _read(values: dict[Var, Any], x: Atom) -> Any:
    if isinstance(x, Literal):
        return full(x.value, x.dtype, x.shape)
    return values[x]  # type: ignore[index]

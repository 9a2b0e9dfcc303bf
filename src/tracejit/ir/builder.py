"""Building jaxprs: the current builder takes the equations that rules and tracers bind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tracejit.ir.atoms import Atom, Var
from tracejit.ir.current import stack
from tracejit.ir.graph import NOWHERE, Equation, Jaxpr, Provenance
from tracejit.ir.primitive import Primitive

_new = tuple.__new__  # past the constructor of named tuples, for speed


class Builder:
    """Appends equations. `provenance` is given to each of them."""

    def __init__(self) -> None:
        self.equations: list[Equation] = []
        self.provenance: Provenance = NOWHERE

    def emit(
        self, primitive: Primitive, inputs: Sequence[Atom], params: dict[str, Any]
    ) -> tuple[Var, ...]:
        """Append one equation and return its variables; the type rule raises for wrong operands."""
        types = primitive.result_types(inputs, params)
        outvars = (Var(types[0]),) if len(types) == 1 else tuple([Var(t) for t in types])
        fields = primitive, tuple(inputs), params, outvars, self.provenance
        self.equations.append(_new(Equation, fields))
        return outvars

    def finish(self, invars: Sequence[Var], outvars: Sequence[Atom]) -> Jaxpr:
        return Jaxpr(tuple(invars), tuple(self.equations), tuple(outvars))


@contextmanager
def building(builder: Builder | None = None) -> Iterator[Builder]:
    """Make a builder current in the block (a fresh one, unless given)."""
    builder = builder or Builder()
    depth = len(stack.sinks)
    stack.sinks.append(builder)
    try:
        yield builder
    finally:
        del stack.sinks[depth:]


@contextmanager
def provenance(builder: Builder, value: Provenance) -> Iterator[None]:
    """Equations appended in the block come from here."""
    before, builder.provenance = builder.provenance, value
    try:
        yield
    finally:
        builder.provenance = before

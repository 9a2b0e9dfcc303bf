"""Programs: equations and jaxprs. All frozen; passes and transforms return new ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from tracejit.ir.atoms import Atom, Var
from tracejit.ir.primitive import Primitive
from tracejit.ir.printing import print_jaxpr
from tracejit.ir.types import ArrayType


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an equation comes from.

    file, line, function: the user's frame. primal: the equation whose derivative (or batched form)
    this one belongs to, and role how it got there: "jvp", "transpose" or "batch".
    """

    file: str = ""
    line: int = 0
    function: str = ""
    primal: Equation | None = None
    role: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line} in {self.function}" if self.file else ""
        return f"{where} ({self.role} of {self.primal.primitive.name})" if self.primal else where

    def derived(self, primal: Equation, role: str) -> Provenance:
        """The provenance of what a transform makes of `primal`."""
        return Provenance(self.file, self.line, self.function, primal, role)


NOWHERE = Provenance()


class Equation(NamedTuple):
    """outvars = primitive[params](inputs). Every equation yields a tuple; equal only to itself.

    A tuple because that is the frozen class that is made fastest: a trace is as fast as this.
    """

    primitive: Primitive
    inputs: tuple[Atom, ...]
    params: dict[str, Any]
    outvars: tuple[Var, ...]
    provenance: Provenance = NOWHERE


Equation.__eq__ = object.__eq__  # type: ignore[method-assign]
Equation.__ne__ = object.__ne__  # type: ignore[method-assign]
Equation.__hash__ = object.__hash__  # type: ignore[method-assign]


@dataclass(frozen=True, slots=True, eq=False, repr=False, weakref_slot=True)
class Jaxpr:
    """A program: inputs, equations in order, outputs (variables or literals)."""

    invars: tuple[Var, ...]
    equations: tuple[Equation, ...]
    outvars: tuple[Atom, ...]

    @property
    def in_types(self) -> tuple[ArrayType, ...]:
        return tuple(v.type for v in self.invars)

    @property
    def out_types(self) -> tuple[ArrayType, ...]:
        return tuple(v.type for v in self.outvars)

    def __str__(self) -> str:
        return print_jaxpr(self)

    __repr__ = __str__

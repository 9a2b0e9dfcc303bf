"""Jaxprs as text, which `parsing` reads back.

    fn(%0: f64[100,3], %1: f64[3]) -> f64[] {
      %2: f64[100] = dot(%0, %1, batch=((), ()), contract=((1,), (0,)))  // model.py:12 in loss
      %3: f64[100] = mul(%2, 0.5)
      %4: f64[] = call(%3, name="total", jaxpr=fn(%0: f64[100]) -> f64[] {
        %1: f64[] = reduce_sum(%0, axes=(0,))
        return %1
      })
      return %4
    }

- Types stand on binders. Variables are numbered in order, in each `fn` from 0: it sees no others.
- A literal without a type has the type of the first operand of its kind (bool, integer, float,
  complex) that is a variable, else of the first result of its kind; under `return`, that in the
  head.
- Parameters are sorted, those that hold jaxprs last; left out where they have the default.
- A parameter that is no data (a function) is printed as <name>, and cannot be read back.
- `//` begins a comment. With `provenance=True` it says which line of the user's an equation is of.

This module stands below `graph`, whose `Jaxpr` prints itself through it, and so knows programs and
equations by their attributes alone.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from textwrap import indent
from typing import Any, Protocol

import numpy as np

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.types import DTYPE_NAMES, ArrayType, kind_of

INDENT = "  "
MISSING = object()


class Program(Protocol):
    """A `Jaxpr`, as far as printing knows it."""

    @property
    def invars(self) -> Sequence[Var]: ...
    @property
    def equations(self) -> Sequence[Any]: ...
    @property
    def outvars(self) -> Sequence[Atom]: ...


class Names(dict[Var, str]):
    """The names of variables, given in order; one that nobody has bound is %?0, %?1, ..."""

    def __init__(self, jaxpr: Program):
        bound = list(jaxpr.invars)
        for eqn in jaxpr.equations:
            bound.extend(eqn.outvars)
        super().__init__((v, f"%{i}") for i, v in enumerate(dict.fromkeys(bound)))
        self.unbound = 0

    def __missing__(self, var: Var) -> str:
        name = self[var] = f"%?{self.unbound}"
        self.unbound += 1
        return name


def print_jaxpr(jaxpr: Program, *, provenance: bool = False) -> str:
    """The text of a jaxpr; with `provenance`, the user's line as a comment behind each equation."""
    names = Names(jaxpr)
    lines = [print_equation(eqn, names, provenance=provenance) for eqn in jaxpr.equations]
    results = ", ".join([print_result(y, names) for y in jaxpr.outvars])
    body = "\n".join([*lines, f"return {results}".rstrip()])
    return f"{print_head(jaxpr, names)} {{\n{indent(body, INDENT)}\n}}"


def print_head(jaxpr: Program, names: Names) -> str:
    """The types of a jaxpr: one result bare, none or several in parentheses."""
    binders = ", ".join([f"{names[v]}: {v.type}" for v in jaxpr.invars])
    results = [str(y.type) for y in jaxpr.outvars]
    result = results[0] if len(results) == 1 else f"({', '.join(results)})"
    return f"fn({binders}) -> {result}"


def print_equation(eqn: Any, names: Names, *, provenance: bool = False) -> str:
    """The text of one equation, of several lines where it holds jaxprs."""
    operands = [print_atom(x, names, eqn) for x in eqn.inputs]
    inside = ", ".join(operands + _print_params(eqn, provenance))
    binders = ", ".join([f"{names[v]}: {v.type}" for v in eqn.outvars]) or "_"
    text = f"{binders} = {eqn.primitive.name}({inside})"
    where = print_provenance(eqn.provenance) if provenance else ""
    if not where:
        return text
    first, newline, rest = text.partition("\n")
    return f"{first}  // {where}{newline}{rest}"


def print_provenance(provenance: Any) -> str:
    """As `model.py:12 in loss (jvp of sin)`, without the folders of the file."""
    parts = []
    if provenance.file:
        parts.append(f"{os.path.basename(provenance.file)}:{provenance.line}")
        parts.append(f"in {provenance.function}")
    if provenance.primal is not None:
        parts.append(f"({provenance.role} of {provenance.primal.primitive.name})")
    return " ".join(parts)


def print_atom(x: Atom, names: Names, eqn: Any) -> str:
    """An operand of an equation: a name, or a number, with its type where that is not plain."""
    if isinstance(x, Var):
        return names[x]
    if not isinstance(x, Literal):
        return print_param(x)
    number = print_number(x.value, x.dtype)
    plain = deduce_type(kind_of_number(number), eqn.inputs, [v.type for v in eqn.outvars])
    return number if plain == x.type else f"{number}: {x.type}"


def print_number(value: complex, dtype: np.dtype) -> str:
    """The shortest number that gives the value back in its dtype."""
    if dtype.kind == "b":
        return "true" if value else "false"
    if dtype.kind == "c":
        part = np.dtype(f"f{dtype.itemsize // 2}").type
        real, imag = str(part(value.real)), str(part(value.imag))
        return f"{real}{imag if imag[0] == '-' else f'+{imag}'}j"
    if dtype.kind == "f":
        return str(dtype.type(value))
    return _shortest(value, dtype) if kind_of(dtype) == "f" else str(value)


def _shortest(value: Any, dtype: np.dtype) -> str:
    """The shortest text of a bfloat16, of which NumPy does not know it: four digits are enough."""
    for digits in range(1, 5):
        near = float(f"{value:.{digits}g}")
        if float(dtype.type(near)) == value:
            return str(near)
    return str(value)


def kind_of_number(number: str) -> str:
    """The kind of dtype that a number is written for: b (bool), i (integers), f (floats), c."""
    if number in ("true", "false"):
        return "b"
    if number.endswith("j"):
        return "c"
    return "i" if number.lstrip("-").isdigit() else "f"


def deduce_type(
    kind: str, operands: Iterable[Atom], results: Iterable[ArrayType]
) -> ArrayType | None:
    """The type of a literal that is written without one: see the top of the module."""
    kinds = "iu" if kind == "i" else kind
    for x in operands:
        if isinstance(x, Var) and kind_of(x.type.dtype) in kinds:
            return x.type
    for type in results:
        if kind_of(type.dtype) in kinds:
            return type
    return None


def print_result(y: Atom, names: Names) -> str:
    """A result; the head has its type, so a literal is bare."""
    return print_number(y.value, y.dtype) if isinstance(y, Literal) else names[y]  # type: ignore


def _print_params(eqn: Any, provenance: bool) -> list[str]:
    if not eqn.params:
        return []
    defaults = eqn.primitive.defaults
    plain: list[str] = []
    holding: list[str] = []
    for name, value in sorted(eqn.params.items()):
        default = defaults.get(name, MISSING)
        if type(value) is type(default) and value == default:
            continue
        text = f"{name}={print_param(value, provenance)}"
        (holding if _holds_jaxpr(value) else plain).append(text)
    return plain + holding


def _holds_jaxpr(value: Any) -> bool:
    if isinstance(value, tuple):
        return bool(value) and _holds_jaxpr(value[0])
    return hasattr(value, "equations")


def print_param(value: Any, provenance: bool = False) -> str:
    """A parameter: none, true, 3, 0.5, "text", f64 (a dtype), f64[3] (a type), (1, 2), fn ..."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case int() | float() | np.integer() | ArrayType():
            return str(value)
        case complex():
            return print_number(value, np.dtype(complex))
        case str():
            return json.dumps(value)
        case tuple():
            items = [print_param(item, provenance) for item in value]
            return f"({items[0]},)" if len(items) == 1 else f"({', '.join(items)})"
        case np.dtype() if value in DTYPE_NAMES:
            return DTYPE_NAMES[value]
    if hasattr(value, "equations"):
        return print_jaxpr(value, provenance=provenance)
    return f"<{getattr(value, '__qualname__', type(value).__qualname__)}>"

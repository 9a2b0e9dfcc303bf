"""The verifier: whether a jaxpr keeps the rules of the language.

1. A variable is bound once, before it is read, in the jaxpr that reads it.
2. Atoms are variables or literals; a literal is a number that its dtype has.
3. Equations have the results, in number and type, that the typing of their primitive says.
4. Parameters are hashable, so that equal ones can be found. Jaxprs among them keep the same rules.

A fault is shown between its neighbours, with the user's line:

    mul: operands differ in shape, f64[3] and f64[4]
          %1: f64[3] = sin(%0)
        > %2: f64[3] = mul(%1, 2.0: f64[4])
          return %2
      at model.py:31 in loss

`verify_linear` checks that a jaxpr is linear in some of its inputs, as `transpose` relies on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NoReturn

import numpy as np

from tracejit.errors import TracejitError, VerifyError
from tracejit.ir.atoms import Atom, Literal, Var, is_zero
from tracejit.ir.builder import Builder, building
from tracejit.ir.graph import NOWHERE, Equation, Jaxpr
from tracejit.ir.primitive import Linear, Primitive, Unknown
from tracejit.ir.printing import Names, print_equation, print_head, print_result
from tracejit.ir.types import DTYPE_NAMES, FLOAT0, ArrayType
from tracejit.ir.walk import evaluate_equation, held_jaxprs, literal_value

#: Lines of a program shown around a fault, it included.
WINDOW = 5


def verify(jaxpr: Jaxpr) -> None:
    """Raise VerifyError, with the place, unless a jaxpr and those it holds keep the rules."""
    _verify(jaxpr, "", set())


def _verify(jaxpr: Jaxpr, holder: str, sound: set[Jaxpr]) -> None:
    """`holder` says where an inner jaxpr is; `sound` are those that are known to be right."""
    if jaxpr in sound:
        return
    scope = _Scope(jaxpr, holder)
    scope.bind(jaxpr.invars)
    for scope.index, eqn in enumerate(jaxpr.equations):
        _verify_equation(eqn, scope)
        for name, inner in held_jaxprs(eqn):
            _verify(inner, f"{holder}{eqn.primitive.name}.{name}: ", sound)
        scope.bind(eqn.outvars)
    scope.index = len(jaxpr.equations)
    for y in jaxpr.outvars:
        scope.read(y)
    sound.add(jaxpr)


class _Scope:
    """The variables bound so far, and the place of the check. Index -1 is the head."""

    def __init__(self, jaxpr: Jaxpr, holder: str):
        self.jaxpr, self.holder = jaxpr, holder
        self.index = -1
        self.bound: set[Atom] = set()

    def bind(self, variables: Iterable[Var]) -> None:
        for v in variables:
            assert isinstance(v, Var), v
            _check_type(v.type, self)
            if v in self.bound:
                self.fail(f"{Names(self.jaxpr)[v]} is bound twice")
            self.bound.add(v)

    def read(self, x: Atom) -> None:
        if isinstance(x, Literal):
            _check_literal(x, self)
        elif not isinstance(x, Var):
            self.fail(f"an operand is neither variable nor literal, but {type(x).__name__}: {x!r}")
        elif x not in self.bound:
            name = Names(self.jaxpr)[x]
            later = any(x in eqn.outvars for eqn in self.jaxpr.equations)
            self.fail(f"{name} is read before it is bound" if later else f"{name} is bound nowhere")

    def fail(self, what: str, hint: str = "", cause: BaseException | None = None) -> NoReturn:
        """Raise with the place."""
        eqns = self.jaxpr.equations
        provenance = eqns[self.index].provenance if 0 <= self.index < len(eqns) else NOWHERE
        message = f"{self.holder}{what}\n{window(self.jaxpr, self.index)}"
        raise VerifyError(message, where=str(provenance) or None, hint=hint) from cause


def _verify_equation(eqn: Equation, scope: _Scope) -> None:
    name = eqn.primitive.name
    if Primitive.registry.get(name) is not eqn.primitive:
        scope.fail(f"{name} is no registered primitive")
    for x in eqn.inputs:
        scope.read(x)
    for key, value in eqn.params.items():
        try:
            hash(value)
        except TypeError:
            scope.fail(f"{name}: the parameter {key} is not hashable, {type(value).__name__}")
    try:
        types = eqn.primitive.typing(*[x.type for x in eqn.inputs], **eqn.params)
    except TracejitError as error:
        scope.fail(error.what, error.hint, error)
    except Exception as error:  # a rule met what it does not check: its words are the best we have
        scope.fail(f"{name}: {error}", cause=error)
    if len(types) != len(eqn.outvars):
        scope.fail(f"{name} has {len(types)} results, but {len(eqn.outvars)} are bound")
    for v, t in zip(eqn.outvars, types, strict=True):
        if v.type != t:
            scope.fail(f"{name} gives {t}, but {v.type} is bound")


def _check_type(type: ArrayType, scope: _Scope) -> None:
    known = type.dtype in DTYPE_NAMES
    sizes = isinstance(type.shape, tuple) and all(isinstance(n, int) for n in type.shape)
    if not known or not sizes or any(n < 0 for n in type.shape):
        scope.fail(f"there is no type of dtype {type.dtype} and shape {type.shape!r}")


def _check_literal(x: Literal, scope: _Scope) -> None:
    _check_type(x.type, scope)
    try:
        fits = x.dtype == FLOAT0 or x.dtype.type(x.value) == x.value or x.value != x.value
    except (OverflowError, TypeError, ValueError):
        fits = False
    if not fits:
        scope.fail(f"{x.value!r} is no {DTYPE_NAMES[x.dtype]}")


def window(jaxpr: Jaxpr, index: int) -> str:
    """The lines around equation `index`, which has a `>`; -1 is the head, the end the `return`."""
    names = Names(jaxpr)
    first = max(min(index - WINDOW // 2, len(jaxpr.equations) + 1 - WINDOW), -1)
    lines = []
    for i in range(first, min(first + WINDOW, len(jaxpr.equations) + 1)):
        mark = ">" if i == index else " "
        lines.append(f"  {mark} {_line(jaxpr, names, i)}")
    return "\n".join(lines)


def _line(jaxpr: Jaxpr, names: Names, index: int) -> str:
    if index < 0:
        return print_head(jaxpr, names)
    if index == len(jaxpr.equations):
        return f"return {', '.join([print_result(y, names) for y in jaxpr.outvars])}".rstrip()
    text, newline, _ = print_equation(jaxpr.equations[index], names).partition("\n")
    return f"{text} ..." if newline else text


# Linearity.


def verify_linear(jaxpr: Jaxpr, linear_inputs: Sequence[int]) -> None:
    """Raise VerifyError unless the results are linear in the inputs at these positions, jointly.

    Each equation that reads a linear value must have a transpose that hands a cotangent back to
    it, and mix it neither with another one in a product nor with a known one in a sum.
    """
    scope = _Scope(jaxpr, "")
    linear: set[Atom] = {jaxpr.invars[i] for i in linear_inputs}
    for scope.index, eqn in enumerate(jaxpr.equations):
        places = [i for i, x in enumerate(eqn.inputs) if x in linear]
        if not places:
            continue
        fault = _nonlinearity(eqn, places)
        if fault:
            scope.fail(f"{eqn.primitive.name} {fault}")
        linear.update(eqn.outvars)
    scope.index = len(jaxpr.equations)
    for y in jaxpr.outvars:
        if y not in linear and not is_zero(y):
            scope.fail("a result is neither linear nor zero")


def _nonlinearity(eqn: Equation, places: list[int]) -> str:
    """Why an equation is not linear in the operands at `places`; empty if it is."""
    primitive = eqn.primitive
    if primitive.transpose is None:
        return "has no transpose, but reads a linear value"
    if any(True for _ in held_jaxprs(eqn)):
        return ""  # its own transpose knows
    if isinstance(primitive.jvp, Linear):
        operands = primitive.jvp.operands
        joint = range(len(eqn.inputs)) if operands is None else operands
        if not set(places) <= set(joint):
            return f"is linear in the operands {tuple(joint)} alone"
        if any(i not in places and not is_zero(eqn.inputs[i]) for i in joint):
            return "mixes a linear value with one that is not"
        return ""
    reached = _reached(eqn, places)
    guards = primitive.masks and reached and set(reached) < set(places)  # looked at for zeros only
    if reached != places and not guards:
        return "is not linear in these operands together"
    return "" if _vanishes(eqn, places) else "mixes a linear value with one that is not"


def _reached(eqn: Equation, places: list[int]) -> list[int]:
    """The operands that the transpose with respect to those at `places` gives a cotangent."""
    inputs = [Unknown(x.type) if i in places else x for i, x in enumerate(eqn.inputs)]
    with building(Builder()):
        cts = eqn.primitive.transpose(eqn.outvars, inputs, **eqn.params)  # type: ignore[misc]
    return [i for i, ct in enumerate(cts) if ct is not None]


def _vanishes(eqn: Equation, places: list[int]) -> bool:
    """Whether the results are 0 where the operands at `places` are, and those not known are 1."""
    numbers = [
        literal_value(x) if isinstance(x, Literal) else np.full(x.shape, i not in places, x.dtype)
        for i, x in enumerate(eqn.inputs)
    ]
    return not any(np.any(y) for y in evaluate_equation(eqn, numbers))

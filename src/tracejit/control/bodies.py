"""Jaxprs as the bodies of operations: checked, cut down to what is used, their inputs in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from tracejit.errors import DTypeError, ShapeError
from tracejit.ir.atoms import Atom, is_zero, zero
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import ArrayType, tangent_type
from tracejit.transforms.jvp import Mask
from tracejit.transforms.linearize import live_equations
from tracejit.transforms.memo import remembered

T = TypeVar("T")


def divide(xs: Sequence[T], *counts: int) -> tuple[Sequence[T], ...]:
    """Cut a sequence into parts of these lengths, and the rest."""
    parts, at = [], 0
    for n in counts:
        parts.append(xs[at : at + n])
        at += n
    return (*parts, xs[at:])


def pick(xs: Iterable[T], mask: Iterable[bool]) -> list[T]:
    """The elements where the mask holds."""
    return [x for x, m in zip(xs, mask, strict=True) if m]


def leave(xs: Iterable[T], mask: Iterable[bool]) -> list[T]:
    """The elements where the mask does not hold."""
    return [x for x, m in zip(xs, mask, strict=True) if not m]


def spread(values: Iterable[T], mask: Iterable[bool], rest: Iterable[T]) -> list[T]:
    """The values, in order, where the mask holds; elsewhere that of `rest` at the place."""
    supply = iter(values)
    return [next(supply) if m else other for m, other in zip(mask, rest, strict=True)]


def placed(
    cts: Iterable[Atom], arrive: Sequence[bool], linear: Sequence[bool]
) -> list[Atom | None]:
    """What a transpose gives back for all inputs: of those that are linear, some `arrive`."""
    nothing: list[Atom | None] = [None] * len(linear)
    return spread(spread(cts, arrive, nothing[: len(arrive)]), linear, nothing)


def nonzero_mask(tangents: Iterable[Atom]) -> Mask:
    """Which tangents are not known to be zero."""
    return tuple(not is_zero(t) for t in tangents)


def zero_tangents(types: Iterable[ArrayType]) -> list[Atom]:
    """The zero tangents of values of these types."""
    return [zero(tangent_type(t)) for t in types]


def fixpoint(start: Mask, grow: Callable[[Mask], Mask]) -> Mask:
    """The least mask from `start` on that `grow`, which only adds to it, leaves as it is."""
    while True:
        after = grow(start)
        if after == start:
            return start
        start = after


def check_operands(name: str, jaxpr: Jaxpr, types: Sequence[ArrayType]) -> None:
    """Raise unless these operands are what a body takes."""
    if len(types) != len(jaxpr.invars):
        raise TypeError(f"{name}: {len(types)} operands for a body of {len(jaxpr.invars)}")
    check_types(f"{name}: an operand of the body", types, jaxpr.in_types)


def check_types(what: str, types: Sequence[ArrayType], expected: Sequence[ArrayType]) -> None:
    """Raise DTypeError or ShapeError at the first difference."""
    for index, (given, wanted) in enumerate(zip(types, expected, strict=True)):
        if given != wanted:
            kind = DTypeError if given.dtype != wanted.dtype else ShapeError
            raise kind(f"{what} ({index}) is {given}, it should be {wanted}")


# Cutting down.


def keep_outputs(jaxpr: Jaxpr, keep: Mask) -> Jaxpr:
    """The jaxpr with those results alone, and the equations that they need."""
    return jaxpr if all(keep) else _keep_outputs(jaxpr, keep)


@remembered
def _keep_outputs(jaxpr: Jaxpr, keep: Mask) -> Jaxpr:
    outs = pick(jaxpr.outvars, keep)
    return Jaxpr(jaxpr.invars, tuple(live_equations(jaxpr.equations, outs)), tuple(outs))


def keep_inputs(jaxpr: Jaxpr, keep: Mask) -> Jaxpr:
    """The jaxpr without the other inputs, which it must not read."""
    return jaxpr if all(keep) else _keep_inputs(jaxpr, keep)


@remembered
def _keep_inputs(jaxpr: Jaxpr, keep: Mask) -> Jaxpr:
    return Jaxpr(tuple(pick(jaxpr.invars, keep)), jaxpr.equations, jaxpr.outvars)


def read_inputs(jaxpr: Jaxpr) -> Mask:
    """Which inputs are read, by an equation or as a result."""
    read = {x for eqn in jaxpr.equations for x in eqn.inputs}
    read.update(jaxpr.outvars)
    return tuple(v in read for v in jaxpr.invars)

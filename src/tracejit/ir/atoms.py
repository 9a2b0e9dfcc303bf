"""Atoms: the operands of equations, variables and splat literals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np

from tracejit.ir.types import FLOAT64, HALVES, INEXACT, ArrayType, array_type


@dataclass(frozen=True)
class Arithmetic:
    """The operators that rules may write with symbols; lent by `ops.elementwise`."""

    add: Callable[..., Any]
    sub: Callable[..., Any]
    mul: Callable[..., Any]
    div: Callable[..., Any]
    neg: Callable[..., Any]
    lt: Callable[..., Any]
    gt: Callable[..., Any]


class Atom:
    """An operand of an equation: a `Var` or a `Literal`.

    Atoms have the operators + - * / < > so that rules read as mathematics. They are strict: both
    sides have one type, and a Python number becomes a literal of the other side's type.
    """

    __slots__ = ("type",)
    type: ArrayType
    arithmetic: ClassVar[Arithmetic]

    @property
    def shape(self) -> tuple[int, ...]:
        return self.type.shape

    @property
    def dtype(self) -> np.dtype:
        return self.type.dtype

    @property
    def ndim(self) -> int:
        return len(self.type.shape)

    def __add__(self, other: Atom | float) -> Atom:
        return self.arithmetic.add(self, as_atom(other, self.type))

    def __radd__(self, other: float) -> Atom:
        return self.arithmetic.add(as_atom(other, self.type), self)

    def __sub__(self, other: Atom | float) -> Atom:
        return self.arithmetic.sub(self, as_atom(other, self.type))

    def __rsub__(self, other: float) -> Atom:
        return self.arithmetic.sub(as_atom(other, self.type), self)

    def __mul__(self, other: Atom | float) -> Atom:
        return self.arithmetic.mul(self, as_atom(other, self.type))

    def __rmul__(self, other: float) -> Atom:
        return self.arithmetic.mul(as_atom(other, self.type), self)

    def __truediv__(self, other: Atom | float) -> Atom:
        return self.arithmetic.div(self, as_atom(other, self.type))

    def __rtruediv__(self, other: float) -> Atom:
        return self.arithmetic.div(as_atom(other, self.type), self)

    def __neg__(self) -> Atom:
        return self.arithmetic.neg(self)

    def __lt__(self, other: Atom | float) -> Atom:
        return self.arithmetic.lt(self, as_atom(other, self.type))

    def __gt__(self, other: Atom | float) -> Atom:
        return self.arithmetic.gt(self, as_atom(other, self.type))


class Var(Atom):
    """A value computed once; equal only to itself. Names are given when it is printed."""

    __slots__ = ()

    def __init__(self, type: ArrayType):
        self.type = type

    def __repr__(self) -> str:
        return f"%{id(self) & 0xFFFF:x}: {self.type}"


class Literal(Atom):
    """A splat: one number, in an array of any shape. A symbolic zero is one like any other."""

    __slots__ = ("_key", "value")
    value: Any  # a Python number of the kind of the dtype

    def __init__(self, value: Any, type: ArrayType):
        kind = type.dtype.kind
        if type.dtype is FLOAT64:
            value = float(value)
        elif type.dtype in HALVES:
            with np.errstate(over="ignore"):  # 65504 is the largest of them
                value = float(type.dtype.type(value))
        elif kind == "f":
            value = float(type.dtype.type(value))
        elif kind == "b":
            value = bool(value)
        elif kind in "iu":
            value = int(value)
        elif kind == "c":
            value = complex(type.dtype.type(value))
        self.value = value
        self.type = type
        self._key: tuple[str, ArrayType] | None = None

    def key(self) -> tuple[str, ArrayType]:
        """Equal for equal literals; tells -0.0 from 0.0 and takes NaN for itself."""
        if self._key is None:
            self._key = repr(self.value), self.type
        return self._key

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Literal) and self.key() == other.key())

    def __hash__(self) -> int:
        return hash(self.key())

    def __repr__(self) -> str:
        return f"{self.value}: {self.type}"


def as_atom(x: Atom | float, type: ArrayType) -> Atom:
    """x itself if it is an atom, else the literal of the type."""
    return x if isinstance(x, Atom) else Literal(x, type)


@lru_cache(maxsize=4096)
def zero(type: ArrayType) -> Literal:
    """The zero of a type."""
    return Literal(0, type)


def is_zero(atom: Atom) -> bool:
    """Whether an atom is known to be zero everywhere."""
    return isinstance(atom, Literal) and atom.value == 0


def is_literal(atom: Atom, value: float) -> bool:
    """Whether an atom is this number everywhere."""
    return isinstance(atom, Literal) and atom.value == value


@lru_cache(maxsize=4096)
def ones(type: ArrayType) -> Literal:
    """The one of a type, in every element."""
    return Literal(1, type)


def scalar(value: float, dtype: np.dtype) -> Literal:
    """A literal of rank 0."""
    return Literal(value, array_type(dtype))


def splat_of(value: np.ndarray | np.generic) -> Literal | None:
    """The literal for an array whose elements are all alike, else None."""
    if value.size == 0:
        return Literal(0, array_type(value.dtype, value.shape))
    first = value.item() if value.size == 1 else value.flat[0].item()
    if value.size > 1:
        # Data seldom ends with the number it begins with, so that most arrays cost one look.
        if value.flat[value.size - 1] != first or not bool(np.all(value == first)):
            return None
        if value.dtype in INEXACT and first == 0 and _has_both_zeros(value):
            return None
    return Literal(first, array_type(value.dtype, value.shape))


def _has_both_zeros(zeros: np.ndarray | np.generic) -> bool:
    """Whether there are zeros of both signs among those of an array."""
    parts = (zeros.real, zeros.imag) if zeros.dtype.kind == "c" else (zeros,)
    return any(len(np.unique(np.signbit(part))) > 1 for part in parts)

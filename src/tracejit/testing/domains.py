"""Where the operands of a sample come from: domains that draw values, and the types they draw.

    positive()("f64[3,4]")          3 x 4 numbers above 0
    reals(-1.0, 1.0)("f32[]")       a scalar between -1 and 1
    exactly([nan, 0.0], "f64")      these very values
    plane(reals(-1, 1))("c128[3]")  complex numbers of a square; ring(0.5, 2) of a ring

A row says its domain, so that no law has a special case.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tracejit.errors import ArgumentError
from tracejit.ir.parsing import dtype_named
from tracejit.ir.types import DTYPE_NAMES, DTYPES, ArrayType, array_type, finfo

Draw = Callable[[np.random.Generator, ArrayType], Any]


def read_type(text: str) -> ArrayType:
    """The type that is written like this: f64[3,4], bool[], i32[0]."""
    match = re.fullmatch(r"(\w+)\[([\d,]*)\]", text)
    dtype = match and dtype_named(match[1])
    if match is None or dtype is None:
        raise ArgumentError(f"{text!r} is not a type", hint="write it like f64[3,4]")
    return array_type(dtype, tuple(int(n) for n in match[2].split(",") if n))


def half_types(shape: str) -> tuple[str, ...]:
    """The types of floats of 16 bits of a shape like [3,4]; bfloat16 where there is ml_dtypes."""
    there = importlib.util.find_spec("ml_dtypes") is not None
    return tuple([name + shape for name in ("f16", "bf16")[: 1 + there]])


@dataclass(frozen=True, slots=True)
class Arg:
    """One operand: its type, how to draw its value; `splat` if it is a literal of this number."""

    type: ArrayType
    draw: Draw
    splat: bool | int | float | complex | None = None

    def value(self, rng: np.random.Generator) -> np.ndarray:
        """A drawn array of the type."""
        array = np.asarray(self.draw(rng, self.type)).astype(self.type.dtype)
        return np.ascontiguousarray(np.broadcast_to(array, self.type.shape)).reshape(
            self.type.shape
        )


@dataclass(frozen=True, slots=True)
class Domain:
    """A set of numbers to draw from; called with a type, it is an operand."""

    draw: Draw

    def __call__(self, type: str) -> Arg:
        return Arg(read_type(type), self.draw)


def reals(low: float, high: float) -> Domain:
    """Uniform in low .. high."""
    return Domain(lambda rng, type: rng.uniform(low, high, type.shape))


def positive(high: float = 3.0) -> Domain:
    """Well above 0, up to high."""
    return reals(0.2, high)


def away_from(*points: float, low: float = -2.0, high: float = 2.0, gap: float = 0.1) -> Domain:
    """In low .. high, but no nearer than `gap` to any of the points."""

    def draw(rng: np.random.Generator, type: ArrayType) -> Any:
        values = rng.uniform(low, high, type.shape)
        for point in points:
            side = np.where(values < point, -1.0, 1.0)
            values = np.where(np.abs(values - point) < gap, point + side * gap * 1.5, values)
        return values

    return Domain(draw)


def distinct(offset: float = 0.0, step: float = 0.25) -> Domain:
    """Around 0, no nearer than `step` to each other: shuffled places on a lattice, so without ties.

    Operands with different offsets (0 and step / 2) do not tie with each other either.
    """

    def draw(rng: np.random.Generator, type: ArrayType) -> Any:
        places = rng.permutation(type.size) - type.size // 2
        return (places * step + offset).reshape(type.shape)

    return Domain(draw)


def integers(low: int, high: int) -> Domain:
    """Whole numbers in low .. high, both included; of any dtype."""
    return Domain(lambda rng, type: rng.integers(low, high, type.shape, endpoint=True))


def bits() -> Domain:
    """Any bit pattern of an integer dtype."""

    def draw(rng: np.random.Generator, type: ArrayType) -> Any:
        return np.frombuffer(rng.bytes(type.nbytes), type.dtype).reshape(type.shape)

    return Domain(draw)


def booleans() -> Domain:
    """True and False, even odds."""
    return Domain(lambda rng, type: rng.random(type.shape) < 0.5)


def exactly(values: Any, dtype: str) -> Arg:
    """These values."""
    array = np.asarray(values, DTYPES[dtype])
    return Arg(array_type(array.dtype, array.shape), lambda rng, type: array)


def plane(real: Domain, imag: Domain | None = None) -> Domain:
    """Complex numbers whose parts are of two domains, or both of one."""
    other = real if imag is None else imag

    def draw(rng: np.random.Generator, type: ArrayType) -> Any:
        return np.asarray(real.draw(rng, type)) + 1j * np.asarray(other.draw(rng, type))

    return Domain(draw)


def ring(low: float, high: float, angle: float = np.pi) -> Domain:
    """Complex numbers of a size in low .. high, whose angle is in -angle .. angle."""

    def draw(rng: np.random.Generator, type: ArrayType) -> Any:
        size, turn = rng.uniform(low, high, type.shape), rng.uniform(-angle, angle, type.shape)
        return size * np.exp(1j * turn)

    return Domain(draw)


def splat(number: bool | int | float | complex, type: str) -> Arg:
    """A literal: the number everywhere, known while compiling."""
    return Arg(read_type(type), lambda rng, type: number, number)


def special_values(dtype: str) -> np.ndarray:
    """Where implementations of a function on floats go wrong: the ends, zeros, and around them."""
    info = finfo(DTYPES[dtype])
    ends = [np.inf, info.max, info.tiny, 0.0]
    inner = [1.0, 0.5, 1.5, 2.0, np.pi, 1e-10, 1e10, 20.0, 100.0, info.eps]
    both = np.array(ends + inner, info.dtype)
    return np.concatenate([both, -both, [np.nan]]).astype(info.dtype)


def subnormal_values(dtype: str) -> np.ndarray:
    """The numbers that some machines flush to zero, and partners that make such results."""
    info = finfo(DTYPES[dtype])
    values = [info.smallest_subnormal, info.tiny / 2, info.tiny, info.tiny * 3, 0.0, 0.5, 2.0]
    both = np.array(values, info.dtype)
    return np.concatenate([both, -both])


def combinations(values: np.ndarray, arity: int) -> tuple[Arg, ...]:
    """Operands that hold every combination of the values."""
    grids = np.meshgrid(*[values] * arity, indexing="ij")
    return tuple(exactly(grid.ravel(), DTYPE_NAMES[values.dtype]) for grid in grids)

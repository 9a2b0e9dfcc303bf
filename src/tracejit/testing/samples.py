"""Samples: for each primitive, rows of operands on which the laws must hold.

    Sample(ops.sqrt, (positive()("f64[7]"),), ulps=1)

A user's primitive is tested like ours: give rows of it to the functions of `tracejit.testing.laws`.
The rows of our primitives are in `rows/`, by family; `SAMPLES` is all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tracejit.ir.atoms import Atom, Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import COMPLEX128, FLOAT64
from tracejit.testing.domains import Arg


@dataclass(frozen=True, eq=False)
class Sample:
    """One row.

    args: the operands, drawn alike for the same seed.
    ulps: by how many units in the last place backends may differ, 0 for not a bit;
    scale: ... or, where terms cancel, by so many units in the last place of this number.
    smooth: whether the operation has a derivative here, so that the laws of the calculus apply.
    tapes: whether its adjoint reads tapes, which XLA does not have.
    rtol: how near a derivative comes to the quotient of differences.
    has_text: whether its parameters are data, so that the text of its program says all of it.
    needs: what a backend may lack: "subnormals", where it flushes them to zero; "signed zeros",
        where it does not tell the sides of a branch cut by them.
    note: tells rows of the same types apart.
    """

    primitive: Primitive
    args: tuple[Arg, ...]
    params: dict[str, Any] = field(default_factory=dict)
    ulps: int = 4
    scale: float = 0.0
    smooth: bool = True
    tapes: bool = False
    rtol: float = 1e-7
    has_text: bool = True
    needs: frozenset[str] = frozenset()
    note: str = ""

    def __str__(self) -> str:
        params = [f"{k}={_short(v)}" for k, v in self.params.items()]
        types = [f"{a.splat}:{a.type}" if a.splat is not None else str(a.type) for a in self.args]
        return f"{self.primitive.name}({', '.join(types + params)}){self.note and ' ' + self.note}"

    def program(self) -> Jaxpr:
        """The jaxpr of one equation; splats are literals in it."""
        with building() as builder:
            inputs: list[Atom] = [
                Var(a.type) if a.splat is None else Literal(a.splat, a.type) for a in self.args
            ]
            outs = self.primitive.bind(*inputs, **self.params)
            invars = [x for x in inputs if isinstance(x, Var)]
        return builder.finish(invars, outs)

    def rng(self, seed: int = 0) -> np.random.Generator:
        """The source of this row's numbers."""
        return np.random.default_rng((zlib.crc32(str(self).encode()), seed))

    def arrays(self, seed: int = 0) -> list[np.ndarray]:
        """A value for each operand of `program()`."""
        rng = self.rng(seed)
        return [a.value(rng) for a in self.args if a.splat is None]

    @property
    def is_differentiable(self) -> bool:
        """Whether the laws of the calculus apply: smooth, with floats coming in and going out."""
        program = self.program()
        ends = program.in_types, program.out_types
        return self.smooth and all(any(t.is_inexact for t in types) for types in ends)

    @property
    def has_complex(self) -> bool:
        """Whether complex numbers come in or go out."""
        program = self.program()
        return any(t.is_complex for t in (*program.in_types, *program.out_types))

    @property
    def is_double(self) -> bool:
        """Whether all floats, in and out, have 64 bits: then quotients of differences are sharp."""
        program = self.program()
        types = (*program.in_types, *program.out_types)
        return all(t.dtype in (FLOAT64, COMPLEX128) for t in types if t.is_inexact)


def _short(value: Any) -> str:
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, tuple):
        return f"({' '.join(map(_short, value))})"
    return "jaxpr" if isinstance(value, Jaxpr) else str(value)


def differentiable(samples: Iterable[Sample]) -> list[Sample]:
    """The rows that the laws of the calculus apply to."""
    return [s for s in samples if s.is_differentiable]


def in_double(samples: Iterable[Sample]) -> list[Sample]:
    """Those whose derivative can be compared with quotients of differences."""
    return [s for s in differentiable(samples) if s.is_double]


def without_tapes(samples: Iterable[Sample]) -> list[Sample]:
    """Those whose reverse mode XLA has, too."""
    return [s for s in samples if not s.tapes]


def with_text(samples: Iterable[Sample]) -> list[Sample]:
    """Those of which the text says all."""
    return [s for s in samples if s.has_text]

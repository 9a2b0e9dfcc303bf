"""Compare the xla backend with the NumPy value of each primitive."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from tracejit import backends
from tracejit.ir.atoms import Var
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate


class Case(NamedTuple):
    """A primitive on arrays. `ulps`: how far floats may be off; 0 asks for the same values."""

    primitive: Primitive
    arrays: tuple[Any, ...]
    params: dict[str, Any]
    ulps: float = 0


def case(primitive: Primitive, *arrays: Any, ulps: float = 0, **params: Any) -> Case:
    return Case(primitive, tuple(map(np.asarray, arrays)), params, ulps)


def program(cases: list[Case]) -> tuple[Jaxpr, list[np.ndarray]]:
    """One jaxpr with an equation for each case, and its arguments."""
    arguments = [x for c in cases for x in c.arrays]
    invars = [Var(type_of(x)) for x in arguments]
    rest, outs = iter(invars), []
    with building() as b:
        for c in cases:
            outs += c.primitive.bind(*[next(rest) for _ in c.arrays], **c.params)
        return b.finish(invars, outs), arguments


def run(*cases: Case) -> tuple[np.ndarray, ...]:
    """The results of the cases, compiled in one program."""
    jaxpr, arguments = program(list(cases))
    return backends.load("xla").compile(jaxpr)(*arguments)


def agree(*cases: Case) -> None:
    """Compare the result of each case with the NumPy value."""
    jaxpr, arguments = program(list(cases))
    got = iter(run(*cases))
    want = iter(evaluate(jaxpr, *arguments))
    for c, eqn in zip(cases, jaxpr.equations, strict=True):
        for _ in eqn.outvars:
            compare(next(got), np.asarray(next(want)), c)


def compare(got: np.ndarray, want: np.ndarray, c: Case) -> None:
    """The same dtype, shape, NaNs and infinities; finite values within the ulps."""
    what = f"{c.primitive.name} {c.params} of {[str(type_of(x)) for x in c.arrays]}"
    assert (got.dtype, got.shape) == (want.dtype, want.shape), what
    coarse = 1.0
    if want.dtype.name == "bfloat16":  # whose NaN NumPy's comparisons do not know
        got, want, coarse = got.astype(np.float32), want.astype(np.float32), 2.0**16
    if c.ulps == 0:
        np.testing.assert_array_equal(got, want, err_msg=what)
        return
    finite = np.isfinite(want)
    np.testing.assert_array_equal(got[~finite], want[~finite], err_msg=what)
    spacing = np.spacing(np.maximum(np.abs(want[finite]), np.finfo(want.dtype).tiny))
    off = np.abs(got[finite] - want[finite]) / (coarse * spacing)
    where = np.argmax(off) if off.size else 0
    assert off.size == 0 or off[where] <= c.ulps, (
        f"{what}: {off[where]:.1f} ulps off, {got[finite][where]} for {want[finite][where]}"
    )

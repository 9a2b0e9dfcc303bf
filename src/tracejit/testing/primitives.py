"""All laws on an operation that a user has added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tracejit.backends import load
from tracejit.errors import ArgumentError
from tracejit.extend import Operation
from tracejit.ir.primitive import Primitive
from tracejit.testing.domains import Arg
from tracejit.testing.laws import check_all
from tracejit.testing.samples import Sample
from tracejit.trace.provenance import user_frame


def check_primitive(
    primitive: Operation | Primitive,
    samples: Iterable[Sample | Sequence[Arg]],
    backends: Sequence[str] = ("native",),
    **params: Any,
) -> None:
    """Run every law that applies on rows of operands; AssertionError for the first that is broken.

        check_primitive(softsign, [(reals(-3, 3)("f64[7]"),), (reals(-3, 3)("f32[2,3]"),)])

    samples: rows, or the operands of each, drawn from the domains of `tracejit.testing`; with rows
    of float64 the derivatives are compared with differences. backends: by name; each is compared
    with the value by NumPy. params: of the operation, for rows that bring none.
    """
    tested = primitive.primitive if isinstance(primitive, Operation) else primitive
    if not isinstance(tested, Primitive):
        raise ArgumentError(
            f"check_primitive takes an operation, not {tested!r}", where=user_frame(),
            hint="tracejit.extend makes them",
        )  # fmt: skip
    rows = [_row(tested, given, params) for given in samples]
    if not rows:
        raise ArgumentError(f"check_primitive of {tested.name}: no samples", where=user_frame())
    machines = [load(name) for name in backends]
    for row in rows:
        check_all(row, *machines)


def _row(primitive: Primitive, given: Any, params: dict[str, Any]) -> Sample:
    """A sample of operands and parameters; ArgumentError for what is none."""
    if isinstance(given, Sample):
        return given
    if not isinstance(given, (tuple, list)) or not all(isinstance(x, Arg) for x in given):
        raise ArgumentError(
            f"check_primitive of {primitive.name}: a sample is a tuple of operands drawn from "
            f"domains, not {given!r}", where=user_frame(),
            hint='reals(-3, 3)("f64[7]") draws one; see tracejit.testing',
        )  # fmt: skip
    return Sample(primitive, tuple(given), params)

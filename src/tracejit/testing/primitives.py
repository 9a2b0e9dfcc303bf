"""All laws on an operation that a user has added."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from tracejit.backends import load
from tracejit.extend import Operation
from tracejit.ir.primitive import Primitive
from tracejit.testing.domains import Arg
from tracejit.testing.laws import check_all
from tracejit.testing.samples import Sample


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
    machines = [load(name) for name in backends]
    for given in samples:
        row = given if isinstance(given, Sample) else Sample(tested, tuple(given), params)
        check_all(row, *machines)

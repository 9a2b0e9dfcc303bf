"""Every backend that is installed has NumPy's values, to the ulps that the row says."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tracejit import backends
from tracejit.testing import SAMPLES, check_backends
from tracejit.testing.samples import Sample

#: What backends do not have: XLA computes on the CPU with subnormal numbers flushed to zero.
LACKS = {"eager": frozenset(), "native": frozenset(), "xla": frozenset({"subnormals"})}

#: XLA takes 60 ms for a program, however small: there, all rows of a primitive are one.
TOGETHER = {"xla"}


def cases(name: str) -> list[tuple[str, list[Sample]]]:
    """The rows for a backend, in groups with a name."""
    rows = [s for s in SAMPLES if not s.needs & LACKS[name]]
    if name not in TOGETHER:
        return [(str(s), [s]) for s in rows]
    primitives = dict.fromkeys(s.primitive for s in rows)
    return [(p.name, [s for s in rows if s.primitive is p]) for p in primitives]


@pytest.mark.parametrize(
    ("name", "samples"),
    [
        pytest.param(name, samples, id=f"{name}-{title}")
        for name in LACKS
        if backends.available(name)
        for title, samples in cases(name)
    ],
)
def test_backends(name: str, samples: Sequence[Sample]) -> None:
    check_backends(samples, backends.load(name))

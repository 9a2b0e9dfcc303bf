"""Every installed backend has NumPy's values, to the ulps that the row says, and its gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from tracejit import backends
from tracejit.testing import SAMPLES, check_backends, check_gradients
from tracejit.testing.samples import Sample, differentiable, without_tapes

#: What backends do not have: XLA computes on the CPU with subnormal numbers flushed to zero, and
#: on branch cuts of complex functions without regard to the signs of zeros.
LACKS = {
    "eager": frozenset(), "native": frozenset(), "xla": frozenset({"subnormals", "signed zeros"}),
}  # fmt: skip

#: XLA takes 60 ms for a program, however small: there, all rows of a primitive are one.
TOGETHER = {"xla"}


#: ... and up to a second for a gradient: there, two rows of a primitive speak for the others.
FEW = 2


def cases(samples: Iterable[Sample], most: int | None = None) -> list:
    """(name of backend, rows), in groups with a name; the first `most` of rows that go together."""
    found = []
    for name in filter(backends.available, LACKS):
        rows = [s for s in samples if not s.needs & LACKS[name]]
        rows = without_tapes(rows) if most and name == "xla" else rows
        groups: dict[str, list[Sample]] = {}
        for sample in rows:
            title = sample.primitive.name if name in TOGETHER else str(sample)
            groups.setdefault(title, []).append(sample)
        for title, rows in groups.items():
            few = rows[:most] if name in TOGETHER else rows
            found.append(pytest.param(name, few, id=f"{name}-{title}"))
    return found


@pytest.mark.parametrize(("name", "samples"), cases(SAMPLES))
def test_backends(name: str, samples: Sequence[Sample]) -> None:
    check_backends(samples, backends.load(name))


@pytest.mark.parametrize(("name", "samples"), cases(differentiable(SAMPLES), FEW))
def test_gradients(name: str, samples: Sequence[Sample]) -> None:
    check_gradients(samples, backends.load(name))

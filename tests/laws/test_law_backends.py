"""Every backend that is installed has NumPy's values, to the ulps that the row says."""

from __future__ import annotations

import pytest

from tracejit import backends
from tracejit.testing import SAMPLES, check_backends
from tracejit.testing.samples import Sample

NAMES = [name for name in ("eager", "native", "xla") if backends.available(name)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_backends(sample: Sample, name: str) -> None:
    check_backends(sample, backends.load(name))

"""A batch gives what its members give."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_batch
from tracejit.testing.samples import Sample


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_batch(sample: Sample) -> None:
    check_batch(sample)

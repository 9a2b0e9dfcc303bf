"""Text parses back to what it was printed from."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_text
from tracejit.testing.samples import Sample


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_text(sample: Sample) -> None:
    check_text(sample)

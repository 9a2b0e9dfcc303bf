"""Text parses back to what it was printed from."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_text
from tracejit.testing.samples import Sample, with_text


@pytest.mark.parametrize("sample", with_text(SAMPLES), ids=str)
def test_text(sample: Sample) -> None:
    check_text(sample)

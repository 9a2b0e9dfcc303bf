"""The jvp is the quotient of differences."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_jvp
from tracejit.testing.samples import Sample, in_double


@pytest.mark.parametrize("sample", in_double(SAMPLES), ids=str)
def test_jvp(sample: Sample) -> None:
    check_jvp(sample)

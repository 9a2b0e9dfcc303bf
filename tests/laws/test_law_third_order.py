"""Third derivatives are the same by every mode, and the quotient of differences of the second."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_third_order
from tracejit.testing.samples import Sample, differentiable


@pytest.mark.parametrize("sample", differentiable(SAMPLES), ids=str)
def test_third_order(sample: Sample) -> None:
    check_third_order(sample)

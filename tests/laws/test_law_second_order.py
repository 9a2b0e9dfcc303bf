"""The jvp of the gradient is the quotient of its differences."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_second_order
from tracejit.testing.samples import Sample, in_double


@pytest.mark.parametrize("sample", in_double(SAMPLES), ids=str)
def test_second_order(sample: Sample) -> None:
    check_second_order(sample)

"""A linearization is the value, and a linear map that is the jvp."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_linearize
from tracejit.testing.samples import Sample, differentiable


@pytest.mark.parametrize("sample", differentiable(SAMPLES), ids=str)
def test_linearize(sample: Sample) -> None:
    check_linearize(sample)

"""The transpose is the adjoint, and its transpose the map itself."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_transpose
from tracejit.testing.samples import Sample, differentiable


@pytest.mark.parametrize("sample", differentiable(SAMPLES), ids=str)
def test_transpose(sample: Sample) -> None:
    check_transpose(sample)

"""The transpose is the adjoint, and its transpose the map itself."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_transpose
from tracejit.testing.samples import Sample, differentiable, with_adjoint


@pytest.mark.parametrize("sample", with_adjoint(differentiable(SAMPLES)), ids=str)
def test_transpose(sample: Sample) -> None:
    check_transpose(sample)

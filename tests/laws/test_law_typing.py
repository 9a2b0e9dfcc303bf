"""The type rule says the dtype and shape of the NumPy value."""

from __future__ import annotations

import pytest

from tracejit.testing import SAMPLES, check_typing
from tracejit.testing.samples import Sample


@pytest.mark.parametrize("sample", SAMPLES, ids=str)
def test_typing(sample: Sample) -> None:
    check_typing(sample)

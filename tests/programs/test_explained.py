"""Whole programs are explained: every array has its reason, and memory is what it adds up to."""

from __future__ import annotations

import numpy as np
import pytest
from models import MODELS

import tracejit as tj
from tracejit.backends.explanation import Step


def unexplained(steps: tuple[Step, ...]) -> list[str]:
    """Arrays in memory without a reason, in steps and the steps in them."""
    here = [str(x) for s in steps for x in s.arrays if x.place != "in a register" and not x.reason]
    return here + [text for s in steps for text in unexplained(s.steps)]


@pytest.mark.parametrize("name", MODELS)
def test_explained(name: str, rng: np.random.Generator) -> None:
    loss, args = MODELS[name](rng)
    found = tj.explain(tj.value_and_grad(loss))(*args)
    assert unexplained(found.steps) == []
    assert found.flops > 0 and found.bytes_read > 0
    assert sum(x.nbytes for x in found.peak) <= found.temporary_bytes
    assert max(map(len, str(found).splitlines())) < 160

"""Random programs with loops, branches and assignments compute what plain NumPy computes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_programs import arguments, load, write

import tracejit as tj

#: Compiling takes up to seconds for the larger ones; the interpreter runs the same programs.
SEEDS = {"eager": range(24), "native": range(100, 106)}


def copies(values: list[Any]) -> list[Any]:
    return [x.copy() if isinstance(x, np.ndarray) else x for x in values]


@pytest.mark.parametrize(
    ("backend", "seed"), [(name, seed) for name, seeds in SEEDS.items() for seed in seeds]
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_values(backend: str, seed: int, tmp_path: Path) -> None:
    """Results and the arguments that were written to, for two sets of arguments."""
    source, kinds = write(seed)
    program = load(source, tmp_path)
    traced = tj.jit(program, backend=backend)
    for k in (0, 1):
        theirs = arguments(7 * seed + k, kinds)
        mine = copies(theirs)
        expected = tj.tree.leaves((program(*theirs), theirs))
        found = tj.tree.leaves((traced(*mine), mine))
        for x, y in zip(found, expected, strict=True):
            assert np.shape(x) == np.shape(y), source
            np.testing.assert_allclose(x, y, rtol=1e-9, atol=1e-9, err_msg=source)

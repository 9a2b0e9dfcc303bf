"""Sparse Jacobians of random programs with loops, branches and assignments are the dense ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loop_programs import arguments, load, write

import tracejit as tj


def copies(values: list[Any]) -> list[Any]:
    return [x.copy() if isinstance(x, np.ndarray) else x for x in values]


@pytest.mark.parametrize("seed", range(300, 308))
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_sparse_is_dense(seed: int, tmp_path: Path) -> None:
    """One pattern for two sets of arguments; where the dense one is NaN nothing is asked."""
    source, kinds = write(seed)
    program = load(source, tmp_path)
    floats = tuple(i for i, x in enumerate(arguments(seed, kinds)) if _is_float(x))

    def results(*args: Any) -> list[Any]:
        found = tj.tree.leaves(program(*copies(list(args))))
        return [y for y in found if _is_float(y)]

    dense = tj.jit(tj.jacfwd(results, argnums=floats), backend="eager")
    sparse = tj.sparse_jacobian(tj.jit(results, backend="eager"), argnums=floats)
    for k in (0, 1):
        args = arguments(7 * seed + k, kinds)
        blocks = [block for row in sparse(*copies(args)) for block in row]
        for d, s in zip(tj.tree.leaves(dense(*copies(args))), blocks, strict=True):
            d, s = np.reshape(d, s.shape), s.toarray()
            told = np.isfinite(d)
            np.testing.assert_allclose(s[told], d[told], rtol=1e-8, atol=1e-8, err_msg=source)


def _is_float(x: Any) -> bool:
    dtype = getattr(x, "dtype", None) or np.asarray(x).dtype
    return dtype.kind == "f"

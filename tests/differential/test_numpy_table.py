"""Every public name of tracejit.numpy against NumPy: eagerly, staged, and by NumPy's protocols.

Values, dtypes and shapes are those of NumPy.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import numpy_cases
import pytest

import tracejit.numpy as tnp
from tracejit.ir.types import type_of
from tracejit.ir.walk import evaluate
from tracejit.trace.stage import stage

CASES = defaultdict(list)
for _case in numpy_cases.cases():
    CASES[_case.name].append(_case)

#: Names that are not functions of arrays, and have no row.
NO_ROW = {
    "cdouble", "complex64", "complex128", "complexfloating", "csingle", "fft", "linalg", "bool",
    "double", "float16", "half", "int_", "single", "uint", "diag_indices_from",
    "tril_indices_from", "triu_indices_from", "einsum_path", "iterable",
    "bool_", "broadcast_shapes", "can_cast", "diag_indices", "dtype", "e", "euler_gamma", "finfo",
    "float32", "float64", "floating", "generic", "iinfo", "index_exp", "indices", "inexact",
    "inf", "int16", "int32", "int64", "int8", "integer", "isdtype", "isscalar", "issubdtype",
    "mask_indices", "mgrid", "nan", "ndarray", "newaxis", "number", "ogrid", "pi",
    "promote_types", "s_", "set_printoptions", "signedinteger", "tril_indices", "triu_indices",
    "uint16", "uint32", "uint64", "uint8", "unsignedinteger", "bartlett", "blackman", "hamming",
    "hanning", "kaiser",
}  # fmt: skip
#: Names of functions that write to an array; tests/unit/test_mutation.py has them.
WRITING = {"copyto", "fill_diagonal", "place", "put", "put_along_axis", "putmask"}
#: Names of functions that take known arrays alone; tests/unit/test_numpy_static.py has them.
OF_KNOWN = {
    "argwhere", "flatnonzero", "nonzero", "ix_", "unique", "unique_counts", "unique_inverse",
    "unique_values", "intersect1d", "setdiff1d", "setxor1d", "union1d", "real_if_close",
}  # fmt: skip

#: By the bytes of a float.
TOLERANCE = {2: 2e-3, 4: 1e-5, 8: 1e-11}


def flat(result: Any) -> list[Any]:
    """Results as a list."""
    if isinstance(result, (tuple, list)):
        return [y for part in result for y in flat(part)]
    return [result]


def staged(call: Any, xp: Any, operands: tuple[Any, ...]) -> list[Any]:
    """The values of a call traced on tracers for its operands, and evaluated."""
    types = [type_of(np.asarray(x)) for x in operands]
    program = stage(lambda *tracers: flat(call(xp, *tracers)), types)
    captured = [np.asarray(x) for x in program.captured]
    return list(evaluate(program.jaxpr, *captured, *map(np.asarray, operands)))


def by_path(path: str, case: numpy_cases.Case) -> list[Any] | None:
    """The results of a call by one of the paths; None where it cannot be made so."""
    if path == "eager":
        return flat(case.call(tnp, *case.operands))
    if path == "staged":
        return staged(case.call, tnp, case.operands)
    if not case.operands or not case.by_protocol:
        return None
    return staged(case.call, np, case.operands)


def assert_same(ours: list[Any], theirs: list[Any]) -> None:
    """The same values, dtypes and shapes, up to a few units in the last place."""
    assert len(ours) == len(theirs)
    for x, y in zip(ours, theirs, strict=True):
        x, y = np.asarray(x), np.asarray(y)
        assert (x.dtype, x.shape) == (y.dtype, y.shape)
        if y.dtype.kind not in "fc":
            np.testing.assert_array_equal(x, y)
            continue
        tolerance = TOLERANCE[y.real.dtype.itemsize]
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance * 1e-2)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", sorted(CASES))
def test_as_numpy(name: str) -> None:
    for index, case in enumerate(CASES[name]):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            expected = flat(case.call(np, *case.operands))
            for path in ("eager", "staged", "protocol"):
                try:
                    if (ours := by_path(path, case)) is not None:
                        assert_same(ours, expected)
                except Exception as error:
                    shown = [f"{x.dtype}{x.shape}" for x in map(np.asarray, case.operands)]
                    error.add_note(f"{name}, row {index} of {shown}, {path}")
                    raise


def test_every_name_has_a_row() -> None:
    public = set(tnp.__all__) - NO_ROW - OF_KNOWN - WRITING
    public |= {f"linalg.{name}" for name in tnp.linalg.__all__}
    assert sorted(public - set(CASES)) == []


def test_names_are_sorted_and_known() -> None:
    assert tnp.__all__ == sorted(set(tnp.__all__))
    assert [name for name in tnp.__all__ if not hasattr(tnp, name)] == []


def test_an_unknown_name_says_what_was_meant() -> None:
    with pytest.raises(AttributeError, match="did you mean 'logaddexp'"):
        tnp.logaddexpp  # noqa: B018

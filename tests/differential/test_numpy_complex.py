# ruff: noqa: E501  a table reads best with a row on a line
"""NumPy's functions of complex numbers: the rows of the table with complex operands, and more.

What NumPy orders by real and imaginary parts is an error here that says so; what NumPy refuses is
an error, too.
"""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import Any

import numpy as np
import numpy_cases
import pytest
from numpy_cases import Case, _from_text
from test_numpy_table import assert_same, by_path, flat

import tracejit as tj
from tracejit.errors import DTypeError, TracejitError

#: Functions that order numbers.
ORDERING = set(numpy_cases.words(
    "amax amin argmax argmin argpartition argsort clip fmax fmin greater greater_equal histogram "
    "histogram_bin_edges less less_equal lexsort max maximum median min minimum nanargmax "
    "nanargmin nanmax nanmedian nanmin partition ptp searchsorted sort"
))  # fmt: skip
#: Functions that have rows in which numbers are compared, and rows in which they are not.
COMPARING = set(numpy_cases.words(
    "all any mean piecewise prod select std sum take_along_axis var where"
))  # fmt: skip

Z = numpy_cases.REAL + 1j * numpy_cases.OTHER
M = numpy_cases.X + 1j * numpy_cases.Y
SPECIAL = np.array([complex(a, b) for a in (np.nan, np.inf, -np.inf, 0.0, -0.0, 1.5) for b in (np.nan, np.inf, -0.0, 2.0)])

ROWS: list[tuple[str, tuple[Any, ...]]] = [
    ("xp.exp(1j * a[0])", (numpy_cases.REAL,)), ("1j ** a[0]", (numpy_cases.WHOLE,)),
    ("a[0] * 2j + (1 - 1j)", (Z,)), ("a[0] / 1j", (numpy_cases.WHOLE,)), ("3j - a[0]", (Z.astype(np.complex64),)),
    ("a[0] * 2j", (numpy_cases.REAL.astype(np.float32),)), ("a[0] + 1j", (numpy_cases.WHOLE.astype(np.int8),)),
    ("a[0] + 1j", (numpy_cases.MASK,)), ("a[0] * a[1]", (Z.astype(np.complex64), numpy_cases.REAL)),
    ("a[0] * a[1]", (Z.astype(np.complex64), numpy_cases.REAL.astype(np.float32))),
    ("a[0] * a[1]", (Z.astype(np.complex64), numpy_cases.WHOLE)), ("a[0] + a[1]", (Z, numpy_cases.WHOLE.astype(np.uint8))),
    *[(f"a[0] ** {n}", (Z,)) for n in ("2", "3", "0", "1", "-1", "-2", "0.5", "2.5", "1j", "(2 - 1j)")],
    ("2.0 ** a[0]", (Z,)), ("a[0] ** a[0]", (Z,)), ("a[0] ** a[1]", (Z, numpy_cases.WHOLE)),
    ("a[0] ** 1j", (numpy_cases.POSITIVE,)), ("xp.power(a[0], 2)", (Z.astype(np.complex64),)),
    ("abs(a[0])", (Z,)), ("a[0].real", (Z,)), ("a[0].imag", (Z,)), ("a[0].conj()", (Z,)), ("a[0].conjugate()", (M,)),
    ("a[0].T.conj() @ a[0]", (M,)), ("a[0].imag", (numpy_cases.REAL,)), ("-a[0]", (Z,)), ("+a[0]", (Z,)),
    ("a[0].astype(complex)", (numpy_cases.REAL,)), ("a[0].astype(xp.complex64)", (numpy_cases.WHOLE,)),
    ("a[0].astype(xp.float32)", (Z,)), ("a[0].astype(int)", (Z,)), ("a[0].astype(bool)", (Z * (abs(Z) > 2),)),
    ("xp.sum(a[0], dtype=complex)", (numpy_cases.WHOLE,)), ("xp.sum(a[0], axis=0, where=a[1], initial=1j)", (M, numpy_cases.MASK)),
    ("xp.mean(a[0], axis=0)", (M,)), ("xp.mean(a[0])", (M.astype(np.complex64),)), ("xp.var(a[0], axis=1, ddof=1)", (M,)),
    ("xp.std(a[0])", (M.astype(np.complex64),)), ("xp.var(a[0], where=a[1])", (M, numpy_cases.MASK)),
    ("xp.prod(a[0], axis=0)", (M,)), ("xp.cumsum(a[0])", (Z,)), ("xp.cumprod(a[0], axis=1)", (M,)),
    ("xp.add.reduce(a[0], axis=1)", (M,)), ("xp.multiply.reduce(a[0])", (M,)), ("xp.add.accumulate(a[0])", (M,)),
    ("xp.multiply.outer(a[0], a[1])", (Z, numpy_cases.V)), ("xp.add(a[0], a[1], dtype=xp.complex64)", (numpy_cases.V, numpy_cases.V)),
    ("xp.vdot(a[0], a[1])", (M, 1j * M)), ("xp.vdot(a[0], a[1])", (numpy_cases.X, M)), ("xp.vecdot(a[0], a[1])", (M, 1j * M)),
    ("xp.inner(a[0], a[1])", (M, 1j * M)), ("xp.outer(a[0], a[1])", (Z, Z[:3])), ("xp.dot(a[0], a[1])", (M, numpy_cases.A)),
    ("xp.einsum('ij,kj->ik', a[0], a[1].conj())", (M, M)), ("xp.einsum('ij->j', a[0])", (M,)), ("xp.tensordot(a[0], a[1], ((0,), (0,)))", (M, M)),
    ("xp.kron(a[0], a[1])", (M, Z[:2])), ("xp.trace(a[0])", (M,)), ("xp.diag(a[0])", (Z,)), ("xp.tril(a[0])", (M,)),
    ("xp.angle(a[0])", (Z,)), ("xp.angle(a[0], deg=True)", (Z,)), ("xp.sign(a[0])", (Z,)), ("xp.round(a[0], 1)", (Z,)),
    ("xp.nan_to_num(a[0])", (SPECIAL,)), ("xp.nan_to_num(a[0], nan=1.0, posinf=2.0, neginf=3.0)", (SPECIAL,)),
    *[(f"xp.{name}(a[0])", (SPECIAL,)) for name in ("isnan", "isinf", "isfinite", "isreal", "iscomplex", "abs", "conj", "real", "imag")],
    ("xp.isclose(a[0], a[0] + 1e-9j)", (Z,)), ("xp.allclose(a[0], a[0] * (1 + 1e-3j))", (Z,)),
    ("xp.isclose(a[0], a[0], equal_nan=True)", (SPECIAL,)), ("xp.array_equal(a[0], a[0].real)", (Z,)), ("a[0] == a[0].real", (Z,)),
    ("xp.where(a[0], a[1], 0)", (numpy_cases.MASK, M)), ("xp.where(a[0], 1j, a[1])", (numpy_cases.MASK, numpy_cases.X)),
    ("xp.select([a[0], ~a[0]], [a[1], 1.0], 2j)", (numpy_cases.MASK, M)), ("xp.logical_and(a[0], a[0].imag)", (Z,)),
    ("xp.any(a[0])", (Z,)), ("xp.all(a[0])", (Z * 0,)), ("xp.count_nonzero(a[0])", (Z,)),
    ("xp.interp(a[0], a[1], a[2])", (numpy_cases.X, np.array([-1.0, 0.0, 0.7]), Z[:3])),
    ("xp.interp(a[0], a[1], a[2], left=1j)", (numpy_cases.X, np.array([-1.0, 0.0, 0.7]), Z[:3])),
    ("xp.polyval(a[0], a[1])", (Z[:4], M)), ("xp.polyval(a[0], 1j)", (numpy_cases.V,)), ("xp.polymul(a[0], a[1])", (Z, numpy_cases.V)),
    ("xp.polyder(a[0])", (Z,)), ("xp.polyint(a[0], k=1j)", (Z,)), ("xp.gradient(a[0])", (Z,)), ("xp.diff(a[0], prepend=1j)", (Z,)),
    ("xp.trapezoid(a[0], a[1])", (Z, np.cumsum(abs(Z)))), ("xp.convolve(a[0], a[1])", (Z, numpy_cases.V)),
    ("xp.correlate(a[0], a[1], 'full')", (numpy_cases.REAL, Z[:3])), ("xp.correlate(a[0], a[1], 'full')", (Z[:3], Z)),
    ("xp.average(a[0], weights=a[1], axis=1)", (M, abs(numpy_cases.V))), ("xp.cov(a[0])", (M,)), ("xp.corrcoef(a[0])", (M,)),
    ("xp.nansum(a[0])", (SPECIAL,)), ("xp.nanmean(a[0])", (SPECIAL[-4:],)), ("xp.nanvar(a[0])", (SPECIAL[-2:],)),
    ("xp.zeros_like(a[0])", (Z,)), ("xp.full_like(a[0], 1j)", (Z,)), ("xp.ones_like(a[0], dtype=complex)", (numpy_cases.X,)),
    ("xp.vander(a[0])", (Z[:3],)), ("xp.pad(a[0], 1, constant_values=1j)", (M,)), ("xp.concatenate([a[0], a[1]])", (Z, numpy_cases.V)),
    ("xp.stack([a[0], 1j * a[0]])", (numpy_cases.V,)), ("a[0][1:3, ::-1].real", (M,)), ("xp.sinc(a[0])", (Z,)),
    ("xp.float_power(a[0], 2)", (Z.astype(np.complex64),)), ("xp.iscomplexobj(a[0])", (Z,)), ("xp.result_type(a[0], xp.float32) == complex", (Z,)),
    ("divmod(a[0], 2)", (Z,)), ("a[0] // 2", (Z,)), ("a[0] % 2", (Z,)), ("xp.floor(a[0])", (Z,)), ("xp.arctan2(a[0], 1.0)", (Z,)),
    ("xp.cbrt(a[0])", (Z,)), ("a[0] & 1", (Z,)), ("xp.degrees(a[0])", (Z,)), ("xp.hypot(a[0], 1.0)", (Z,)), ("xp.copysign(a[0], 1.0)", (Z,)),
    ("xp.logaddexp(a[0], 1.0)", (Z,)), ("xp.isposinf(a[0])", (Z,)), ("xp.fabs(a[0])", (Z,)), ("xp.frexp(a[0])", (Z,)), ("xp.modf(a[0])", (Z,)),
    ("xp.signbit(a[0])", (Z,)), ("xp.heaviside(a[0], 1.0)", (Z,)), ("xp.spacing(a[0])", (Z,)), ("xp.ldexp(a[0], 2)", (Z,)), ("xp.unwrap(a[0])", (Z,)),
]  # fmt: skip

#: Calls that NumPy cannot hand over.
CREATION: list[tuple[str, tuple[Any, ...]]] = [
    ("xp.zeros(3, complex)", ()), ("xp.ones(2, dtype=xp.complex64)", ()), ("xp.full((2,), 1j)", ()),
    ("xp.full((2, 3), 1 + 1j, dtype=xp.complex64)", ()), ("xp.eye(3, dtype=complex)", ()), ("xp.arange(4, dtype=complex)", ()),
    ("xp.linspace(0, 1 + 1j, 5)", ()), ("xp.linspace(a[0], 2j, 4)", (Z,)), ("xp.logspace(0, 1j, 4)", ()),
    ("xp.logspace(a[0], 1.0, 4)", (Z,)), ("xp.geomspace(1, 1000j, 4)", ()), ("xp.geomspace(a[0], 3.0, 4)", (Z[:3],)),
    ("xp.array([1, 2j])", ()), ("xp.array([a[0][0], 1.0])", (Z,)), ("xp.array(a[0], dtype=complex)", (numpy_cases.V,)),
    ("xp.asarray([1.0, a[0][1]])", (Z,)), ("xp.real_if_close(xp.array([1 + 1e-15j]))", ()), ("xp.real_if_close(2.0)", ()),
    ("xp.exp(1j)", ()), ("xp.abs(3 + 4j)", ()), ("xp.sqrt(-1 + 0j)", ()), ("xp.eye(2) * 1j", ()),
]  # fmt: skip


def complexified(x: Any) -> Any:
    """Floats as complex numbers, whose imaginary parts are the same numbers in another order."""
    x = np.asarray(x)
    if x.dtype.kind != "f":
        return x
    result = x.astype(np.result_type(x.dtype, np.complex64))
    result.imag = np.roll(x.ravel()[::-1], 1).reshape(x.shape) * 0.7
    return result


CASES: dict[str, list[Case]] = defaultdict(list)
for _case in numpy_cases.cases():
    if any(np.asarray(x).dtype.kind == "f" for x in _case.operands) and "linalg" not in _case.name:
        _taken = 1 if _case.name == "cov" else None  # the others are weights
        _complex = tuple(map(complexified, _case.operands[:_taken]))
        CASES[_case.name].append(_case._replace(operands=(*_complex, *_case.operands[len(_complex) :])))
for _text, _operands in ROWS:
    CASES[_text] = [Case(_text, _from_text(_text), _operands)]
for _text, _operands in CREATION:
    CASES[_text] = [Case(_text, _from_text(_text), _operands, False)]


def compared(case: Case, path: str) -> str:
    """What becomes of a call: "same", "order", "refused" or "" where it is not to be made so."""
    try:
        expected = flat(case.call(np, *case.operands))
    except TypeError:
        with pytest.raises((TracejitError, TypeError)):
            if by_path(path, case) is None:
                raise TypeError from None
        return "refused"
    try:
        ours = by_path(path, case)
    except DTypeError as error:
        if "no order" in str(error):
            return "order"
        raise
    if ours is None:
        return ""
    assert_same(ours, expected)
    return "same"


@pytest.mark.parametrize("path", ["eager", "staged", "protocol"])
@pytest.mark.parametrize("name", sorted(CASES))
def test_as_numpy(name: str, path: str) -> None:
    found = set()
    for index, case in enumerate(CASES[name]):
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            try:
                found.add(compared(case, path))
            except Exception as error:
                error.add_note(f"{name}, row {index}, {path}")
                raise
    if name not in ORDERING | COMPARING:
        assert "order" not in found
    if name in COMPARING - {"piecewise", "select"}:
        assert "same" in found


@pytest.mark.parametrize("name", sorted(ORDERING))
def test_there_is_no_order(name: str) -> None:
    with pytest.raises(DTypeError, match="no order here"):
        for case in CASES[name]:
            by_path("staged", case)


@pytest.mark.parametrize(
    ("text", "x", "expected"),
    [
        ("x * 2j", np.float32, "complex64"), ("x * 2j", np.float64, "complex128"),
        ("x * 2j", np.int64, "complex64"), ("x * 2j", np.complex64, "complex64"),
        ("x * 2j", np.complex128, "complex128"), ("xp.exp(x * 1j)", np.int8, "complex64"),
        ("x * xp.zeros(3, complex)", np.float32, "complex64"), ("xp.array([1j])", np.int8, "complex64"),
        ("xp.full(3, 1j)", np.int8, "complex64"), ("x.astype(complex)", np.float64, "complex64"),
        ("x.astype(xp.complex128)", np.float32, "complex128"), ("xp.sqrt(x * 1j)", np.int64, "complex64"),
        ("x * np.complex64(1j)", np.int64, "complex64"), ("x * np.complex64(1j)", np.float64, "complex128"),
    ],
)
def test_complex_numbers_where_floats_are_of_32_bits(text: str, x: Any, expected: str) -> None:
    with tj.config.override(default_float="float32"):
        call = eval(f"lambda x, xp=tj.numpy: {text}")
        staged = tj.jit(call, backend="eager")(np.ones(3, x))
        assert staged.dtype == expected

"""What a careless user meets: elements of ndarrays, op=, formats, SciPy, arrays of nothing."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special

import tracejit as tj
import tracejit.numpy as tnp
from tracejit.errors import (
    LeakedTracerError,
    TracedConversionError,
    TracejitError,
    UnsupportedError,
)

X = np.array([0.5, 0.2, 0.7])
TABLE = np.arange(5.0)
BUFFER = np.zeros(3)  # made outside of what is traced


def set_element(x: Any) -> Any:
    a = BUFFER
    a[0] = x
    return a.sum()


def add_to_element(x: Any) -> Any:
    a = BUFFER
    a[1] += x
    return a.sum()


def set_slice(x: Any) -> Any:
    a = BUFFER
    a[1:] = x
    return a.sum()


@pytest.mark.parametrize("program", [set_element, add_to_element, set_slice])
@pytest.mark.parametrize("way", [tj.jit, tj.grad, lambda f: tj.jit(tj.grad(f))])
def test_elements_of_an_ndarray_are_not_set(
    program: Callable[..., Any], way: Callable[..., Any]
) -> None:
    """Also on a tape, where the number is known: the derivative would be lost."""
    with pytest.raises(UnsupportedError, match="assigned to elements of an ndarray") as caught:
        way(program)(1.0)
    assert f"in {program.__name__}" in str(caught.value.where)


class Holder:
    """What is no variable is not seen."""

    table = TABLE


@pytest.mark.parametrize("index", [2, np.array([1, 2])])
def test_an_ndarray_is_indexed_by_a_traced_value_where_a_variable_names_it(index: Any) -> None:
    np.testing.assert_array_equal(tj.jit(lambda i: TABLE[i])(index), TABLE[index])
    with pytest.raises(TracedConversionError, match="tracejit.numpy.take"):
        tj.jit(lambda i: Holder.table[i])(index)
    taken = tj.jit(lambda i: tnp.take(Holder.table, i, axis=0))(index)
    np.testing.assert_array_equal(taken, TABLE[index])


def test_other_errors_with_a_cause_stay() -> None:
    def chains(x: Any) -> Any:
        raise ValueError("mine") from UnsupportedError("theirs")

    with pytest.raises(ValueError, match="mine"):
        tj.jit(chains)(1.0)


def test_copies_and_formats() -> None:
    assert tj.jit(lambda x: copy.deepcopy([x])[0] + copy.copy(x))(2.0) == 4.0
    texts: list[str] = []
    tj.grad(lambda x: (texts.append(f"{x:.2f}"), x)[1])(1.0)
    tj.jit(lambda x: (texts.append(f"{x}"), x)[1])(1.0)
    assert texts == ["1.00", "Tracer(f64[])"]
    with pytest.raises(TracedConversionError, match="a format needs a number"):
        tj.jit(lambda x: f"{x:.3f}")(1.0)


def floats_in_place(x: Any) -> Any:
    x = x * 1
    x -= 1
    x *= 2
    x /= 3
    x //= 0.1
    x %= 7
    x **= 2
    x @= np.eye(3)
    return x


def integers_in_place(x: Any) -> Any:
    x = x * 1
    x &= 3
    x |= 4
    x ^= 1
    x <<= 2
    x >>= 1
    return x


def test_op_assign_is_the_operator() -> None:
    np.testing.assert_allclose(tj.jit(floats_in_place)(X), floats_in_place(X))
    whole = np.arange(3)
    np.testing.assert_array_equal(tj.jit(integers_in_place)(whole), integers_in_place(whole))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        (np.ones(3, np.float32), np.ones(3)), (np.ones(3, np.int8), np.arange(3)),
        (np.ones(3), 2), (np.float32(1), np.ones(3)), (np.ones(3), np.ones(3, np.float32)),
    ],
)  # fmt: skip
def test_op_assign_keeps_the_dtype_where_numpy_does(x: Any, y: Any) -> None:
    def add(x: Any, y: Any) -> Any:
        x += y
        return x

    expected = add(copy.copy(x), y)
    result = tj.jit(add)(x, y)
    assert result.dtype == expected.dtype
    np.testing.assert_array_equal(result, expected)


@pytest.mark.parametrize(
    "name",
    "erf erfc erfinv gammaln psi expit logit ndtr log_ndtr entr xlogy xlog1py betaln".split(),
)
def test_ufuncs_of_scipy(name: str) -> None:
    theirs = getattr(scipy.special, name)
    operands = (X,) * theirs.nin
    result = tj.jit(lambda *xs: theirs(*xs))(*operands)
    np.testing.assert_allclose(result, theirs(*operands), rtol=1e-13)


@pytest.mark.parametrize(
    ("call", "hint"),
    [
        (lambda x: scipy.special.j0(x), "tracejit.scipy.special"),
        (lambda x: scipy.special.erf(x, out=np.empty(3)), "tracejit.scipy.special"),
        (lambda x: scipy.special.logsumexp(x), "tracejit.scipy"),
        (lambda x: np.linalg.tensorinv(x), "docs/numpy.md"),
    ],
)
def test_what_is_not_there_says_what_to_do(call: Callable[..., Any], hint: str) -> None:
    with pytest.raises(TracejitError, match=hint) as caught:
        tj.jit(call)(X)
    assert Path(__file__).name in str(caught.value.where)


NOTHING = (np.zeros(0), np.zeros((0, 3)), np.zeros((3, 0)))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("x", NOTHING, ids=lambda x: str(x.shape))
@pytest.mark.parametrize(
    "call",
    [
        np.median, np.nanmedian, np.trapezoid, np.unwrap, lambda x: np.median(x, keepdims=True),
        lambda x: np.linalg.norm(x, np.inf, axis=-1), lambda x: np.linalg.norm(x, 1),
        np.sum, np.mean, np.var, np.sort, np.cumsum, np.tril,
    ],
)  # fmt: skip
def test_no_elements(call: Callable[..., Any], x: np.ndarray) -> None:
    try:
        expected = call(x)
    except ValueError:
        with pytest.raises(ValueError, match="no elements"):
            tj.jit(lambda x: call(x))(x)
        return
    result = tj.jit(lambda x: call(x))(x)
    np.testing.assert_array_equal(result, expected)
    assert result.dtype == expected.dtype


@pytest.mark.parametrize(
    ("call", "x"),
    [
        (np.tril, np.array([True, True])), (np.triu, np.arange(3)),
        (lambda x: np.clip(x, -5, 300), np.array([0, 7, 255], np.uint8)),
        (lambda x: np.append(x, 1), np.arange(3, dtype=np.int8)),
        (np.linalg.norm, np.arange(3, dtype=np.int8)), (np.sinc, np.arange(3, dtype=np.int8)),
        (np.gradient, np.arange(3, dtype=np.float32)), (np.cov, np.arange(3, dtype=np.float32)),
    ],
)  # fmt: skip
def test_dtypes_of_small_arrays(call: Callable[..., Any], x: np.ndarray) -> None:
    result, expected = tj.jit(lambda x: call(x))(x), call(x)
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(result, expected, atol=1e-16)


def test_texts_of_the_new_kind_are_no_arrays() -> None:
    with pytest.raises(TracejitError, match="StringDType"):
        tj.jit(lambda x: x)(np.array(["a"], dtype=np.dtypes.StringDType()))


def test_a_folder_that_is_gone(tmp_path: Path) -> None:
    """The place of an equation needs no working folder."""
    gone = tmp_path / "gone"
    gone.mkdir()
    code = (
        f"import os; import tracejit as tj; tj.grad(lambda x: x)(1.0); os.chdir({str(gone)!r})\n"
        f"os.rmdir({str(gone)!r}); f = eval(compile('lambda x: x * x', 'elsewhere.py', 'eval'))\n"
        "print(tj.grad(f)(3.0))"
    )
    places = os.pathsep.join(os.path.abspath(p) for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False,
        env=dict(os.environ, PYTHONPATH=places), cwd=tmp_path,
    )  # fmt: skip
    assert done.stdout == "6.0\n", done.stderr


@pytest.mark.parametrize(
    "use",
    [
        float, bool, np.sin, list, tj.jit(np.sin), tj.grad(np.sum), tj.vmap(np.sin),
        lambda x: np.ones(3) * x, lambda x: tj.jit(lambda y: y + x)(1.0), lambda x: f"{x:.2f}",
        lambda x: tj.lax.scan(lambda c, y: (c, y), 0.0, x), lambda x: tj.vjp(np.sin, x),
    ],
)  # fmt: skip
def test_kept_tracers_say_so(use: Callable[..., Any]) -> None:
    kept: list[Any] = []
    tj.jit(lambda x: kept.append(x) or x)(X)
    with pytest.raises(LeakedTracerError, match="used after its trace"):
        use(kept[0])


@pytest.mark.parametrize("kind", [tj.Array, tnp.ndarray])
def test_what_is_an_array(kind: type) -> None:
    """Traced values are arrays, as in JAX, and so are results of rank 0."""
    seen: list[bool] = []
    result = tj.jit(lambda x: seen.append(isinstance(x, kind)) or np.sum(x))(X)
    assert seen == [True]
    assert isinstance(result, kind)
    assert isinstance(X, kind)
    assert not isinstance(1.0, kind)
    assert not isinstance([X], kind)

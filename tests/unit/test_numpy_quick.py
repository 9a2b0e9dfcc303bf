"""The short way of common calls gives the equations, and the weakness, of the general way."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit.errors import IndexingError
from tracejit.numpy import quick
from tracejit.numpy.ufunc import Ufunc

VALUES = {
    "scalar": 0.5, "float32": np.float32(0.5), "vector": np.ones(3), "matrix": np.ones((2, 3)),
    "narrow": np.ones(3, np.float32), "int": 2, "ints": np.arange(3), "bools": np.ones(3, bool),
}  # fmt: skip
FLOATS = sorted(name for name, f in Ufunc.registry.items() if hasattr(f.body, "floats"))


def text(f, *args):
    """The jaxpr and the lines of the equations; or the error."""
    try:
        jaxpr = tj.make_jaxpr(f)(*args)
    except (tj.errors.TracejitError, TypeError) as error:
        return type(error)
    return str(jaxpr), [str(eqn.provenance) for eqn in jaxpr.equations]


@pytest.fixture
def both(monkeypatch):
    """Compares a function as it is traced with and without the short ways."""

    def compare(f, *args):
        short = text(f, *args)
        with monkeypatch.context() as patch:
            for name in ("quick_unary", "quick_binary", "quick_element"):
                patch.setattr(quick, name, lambda *args: None)
            assert text(f, *args) == short
        return short

    return compare


@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("kind", VALUES)
def test_ufuncs(both, name, kind):
    ufunc, x = getattr(np, name), VALUES[kind]
    if ufunc.nin == 1:
        both(lambda x: ufunc(x), x)
        return
    for y in VALUES.values():
        both(lambda x, y: (ufunc(x, y), ufunc(y, x)), x, y)
    for y in (2, 0.0, -0.0, 1.5, True, np.float32(2)):
        both(lambda x, y=y: (ufunc(x, y), ufunc(y, x)), x)


@pytest.mark.parametrize("op", ["+", "-", "*", "/", "<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("kind", VALUES)
def test_operators(both, op, kind):
    f = eval(f"lambda x, y: (x {op} y) + np.float32(1)")
    for y in VALUES.values():
        both(f, VALUES[kind], y)
    for y in (2, 0.0, -0.0, 1.5, True, np.float32(2), np.ones(3)):
        both(lambda x, y=y: (f(x, y), f(y, x)), VALUES[kind])


@pytest.mark.parametrize("index", [0, 1, -1, (0, 1), (-1, -2), 5, -4, (0,), True, np.int64(1)])
@pytest.mark.parametrize("kind", VALUES)
def test_elements(both, kind, index):
    both(lambda x: x[index], VALUES[kind])


def test_an_element_that_is_not_there_is_an_error():
    with pytest.raises(IndexingError):
        tj.make_jaxpr(lambda x: x[3])(np.ones(3))


def test_an_outer_value_in_an_inner_function(both):
    def f(x, y):
        return tj.grad(lambda z: z * x + np.sin(y) * z + (x + y) * z)(x * y)

    both(f, 0.5, 1.5)


def test_zeros_keep_their_sign():
    y = tj.jit(lambda x: (1.0 / (x * -0.0), 1.0 / (x * 0.0)))(1.0)
    assert np.signbit(y).tolist() == [True, False]

"""Loading backends by name, the table of lowerings, and the eager backend."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from tracejit import backends
from tracejit.backends.table import LoweringTable
from tracejit.errors import BackendError, MissingLoweringError
from tracejit.ir.atoms import Literal, Var
from tracejit.ir.builder import building
from tracejit.ir.types import FLOAT64, array_type
from tracejit.ops import elementwise as ops
from tracejit.ops.structure import broadcast, permute, reshape

VECTOR = array_type(FLOAT64, (3,))


def test_eager_runs_a_jaxpr():
    with building() as b:
        x = Var(VECTOR)
        y = ops.sin(x) + 1.0
    run = backends.load("eager").compile(b.finish([x], [y]))
    array = np.arange(3.0)
    np.testing.assert_array_equal(run(array)[0], np.sin(array) + 1)
    assert run.texts() == {}


def test_eager_results_are_fresh_writeable_arrays():
    with building() as b:
        x = Var(VECTOR)
        wide = broadcast(x, shape=(2, 3), dims=(1,))
        outs = [x, x, wide, permute(wide, order=(1, 0)), reshape(x, shape=(3, 1)),
                Literal(2.0, VECTOR), Literal(1.5, array_type(FLOAT64))]  # fmt: skip
    run = backends.load("eager").compile(b.finish([x], outs))
    array = np.arange(3.0)
    results = run(array)
    assert [y.shape for y in results] == [v.type.shape for v in outs]
    for y in results:
        y[...] = 7.0
    np.testing.assert_array_equal(array, np.arange(3.0))
    assert all(type(y) is np.ndarray and np.all(y == 7.0) for y in results)


def test_load_is_cached():
    assert backends.load("eager") is backends.load("eager")
    assert backends.load("eager").name == "eager"


def test_an_unknown_backend_suggests_a_known_one():
    with pytest.raises(BackendError, match="did you mean 'eager'"):
        backends.load("eagr")
    assert not backends.available("eagr")


def test_an_absent_package_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.setattr(backends, "load", backends.load.__wrapped__)  # without its cache
    assert not backends.available("xla")
    with pytest.raises(BackendError, match=r"pip install 'tracejit\[xla\]'"):
        backends.load("xla")


def test_table_holds_rows_and_rules():
    table = LoweringTable("toy")
    table.rows("tracejit.backends.toy.elementwise", {ops.sin: np.sin, ops.cos: np.cos})

    @table.rule(ops.rem)
    def rem(x, y):
        return np.fmod(x, y)

    assert table[ops.sin] is np.sin and table[ops.rem] is rem
    assert list(table) == [ops.sin, ops.cos, ops.rem] and len(table) == 3
    assert ops.tan not in table


def test_a_cell_is_filled_once():
    table = LoweringTable("toy")
    table.rows("toy.first", {ops.sin: np.sin})
    with pytest.raises(TypeError, match=r"toy has a lowering of sin already, in toy/first.py"):
        table.rows("toy.second", {ops.sin: np.sin})


def test_an_empty_cell_names_its_neighbours():
    table = LoweringTable("toy")
    table.rows("toy.elementwise", {ops.sin: np.sin, ops.tan: np.tan})
    with pytest.raises(MissingLoweringError) as caught:
        table[ops.cos]
    assert "the toy backend has no lowering of cos" in str(caught.value)
    assert "sin (toy/elementwise.py) and tan (toy/elementwise.py)" in str(caught.value)

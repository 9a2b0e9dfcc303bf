"""The recording on which the doors stand."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import tracejit as tj
import tracejit.numpy as tnp
from tracejit.compat.graph import Cell, Handle, cut, known
from tracejit.compat.recorder import Recorder
from tracejit.errors import ArgumentError, DTypeError, ShapeError


class H(Handle):
    """A door in two lines."""

    def __init__(self, cell: Cell):
        self.cell = cell


RECORDER = Recorder()


def leaf(value) -> H:
    return H(known(value, needs=True))


def do(fun, *args, **kwargs) -> H:
    return H(RECORDER.perform(fun, args, kwargs))


def loss_of(x: H) -> H:
    return do(tnp.sum, do(tnp.multiply, do(tnp.sin, x), 3.0))


def test_a_value_is_computed_when_somebody_asks() -> None:
    x = leaf([1.0, 2.0])
    y = do(tnp.sin, x)
    assert y.cell.step.values is None
    assert np.array_equal(y.cell.value, np.sin([1.0, 2.0]))


def test_what_needs_no_derivative_is_computed_at_once() -> None:
    y = do(tnp.sin, np.array([1.0]))
    assert y.cell.step is None and not y.cell.needs


def test_the_program_is_the_one_that_tracing_gives() -> None:
    x = leaf([1.0, 2.0])
    part = cut([loss_of(x).cell], [x.cell])

    def plain(x):
        return tnp.sum(tnp.multiply(tnp.sin(x), 3.0))

    assert str(part.jaxpr()) == str(tj.make_jaxpr(plain)(np.array([1.0, 2.0])))
    assert tj.jit(part.function())(np.ones(2)) == tj.jit(plain)(np.ones(2))


def test_gradients_by_numpy_and_by_machine_code() -> None:
    for _ in range(4):
        x = leaf([1.0, 2.0])
        y = loss_of(x)
        (slope,) = cut([y.cell], [x.cell]).gradients()
        np.testing.assert_allclose(slope.value, 3 * np.cos([1.0, 2.0]), rtol=1e-15)
        assert y.cell.step.values is not None  # the program has computed it on the way


def test_a_program_is_remembered_by_its_structure() -> None:
    def program(x: H):
        return cut([loss_of(x).cell], [x.cell]).program()

    assert program(leaf([1.0, 2.0])) is program(leaf([3.0, 4.0]))
    assert program(leaf([1.0, 2.0])) is not program(leaf([3.0, 4.0, 5.0]))


def test_the_order_of_operands_is_part_of_the_structure() -> None:
    slopes = []
    for swap in (False, True):
        x, y = leaf(2.0), leaf(3.0)
        z = do(tnp.subtract, *((y, x) if swap else (x, y)))
        slopes.append(float(cut([z.cell], [x.cell, y.cell]).gradients()[0].value))
    assert slopes == [1.0, -1.0]


def test_zeros_of_both_signs_are_told_apart() -> None:
    x = leaf(1.0)
    assert not np.signbit(do(tnp.copysign, x, 0.0).cell.value)
    assert np.signbit(do(tnp.copysign, x, -0.0).cell.value)


def test_gradients_of_gradients() -> None:
    x = leaf(2.0)
    y = do(tnp.power, x, 4)
    for expected in (32.0, 48.0, 48.0, 24.0):
        (slope,) = cut([y.cell], [x.cell]).gradients(record=True)
        assert slope.value == expected
        y = H(slope)


def test_sources_that_are_not_read_and_those_asked_for_twice() -> None:
    x, other = leaf(2.0), leaf(3.0)
    y = do(tnp.square, x)
    slopes = cut([y.cell], [x.cell, other.cell, x.cell]).gradients()
    assert [None if g is None else float(g.value) for g in slopes] == [4.0, None, 4.0]


def test_cotangents_weigh_the_targets() -> None:
    x = leaf([1.0, 2.0])
    y = do(tnp.square, x)
    (slope,) = cut([y.cell, x.cell], [x.cell]).gradients([known([10.0, 100.0]), None])
    assert np.array_equal(slope.value, [21.0, 401.0])


def test_sources_inside_of_a_graph() -> None:
    x = leaf(2.0)
    y = do(tnp.square, x)
    z = do(tnp.square, y)
    (slope,) = cut([z.cell], [y.cell]).gradients()
    assert slope.value == 8.0


def test_results_in_several_parts() -> None:
    x = leaf([1.0, 2.0, 3.0])
    first, second = RECORDER.perform(tnp.split, (x, [1]))
    (slope,) = cut([second], [x.cell]).gradients()
    assert np.array_equal(slope.value, [0.0, 1.0, 1.0]) and first.type.shape == (1,)


def test_a_graph_of_100000_steps() -> None:
    x = y = leaf(1.0)
    for _ in range(100_000):
        y = do(tnp.multiply, y, 1.0)
    (slope,) = cut([y.cell], [x.cell]).gradients()
    assert slope.value == 1.0 and y.cell.value == 1.0


def test_what_nobody_holds_is_garbage_at_once() -> None:
    gc.collect()
    gc.disable()
    try:
        x = leaf([1.0, 2.0])
        y = loss_of(x)
        cut([y.cell], [x.cell]).gradients()
        seen = weakref.ref(y.cell), weakref.ref(y.cell.step.inputs[0])
        del y
        assert [ref() for ref in seen] == [None, None]
    finally:
        gc.enable()


def test_a_graph_that_was_let_go_still_has_its_values() -> None:
    x = leaf([1.0, 2.0])
    y = do(tnp.sin, x)
    y.cell.step.release()
    assert np.array_equal(y.cell.value, np.sin([1.0, 2.0]))
    assert y.cell.step.inputs == ()


def test_inside_of_jit_the_function_itself_is_called() -> None:
    x = leaf([1.0, 2.0])
    f = tj.jit(lambda t: RECORDER.perform(tnp.multiply, (x, t)))
    assert np.array_equal(f(np.array([3.0, 4.0])), [3.0, 8.0])


def test_messages() -> None:
    x = leaf([1.0, 2.0])
    function = cut([loss_of(x).cell], [x.cell]).function("loss")
    with pytest.raises(ShapeError, match=r"argument 0 of loss has shape \(3,\).*\(2,\)"):
        function(np.ones(3))
    with pytest.raises(ArgumentError, match="loss takes 1 arguments, got 2"):
        function(np.ones(2), np.ones(2))
    with pytest.raises(DTypeError, match="dtype (float128|longdouble)"):
        known(np.longdouble(1))

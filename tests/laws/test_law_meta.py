"""The laws are tested too: each catches the wrong rule that it is there for, and says so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from tracejit.ir.atoms import Atom, zero
from tracejit.ir.graph import Jaxpr
from tracejit.ir.primitive import Linear, Primitive, linear, unary
from tracejit.ir.types import FLOATS
from tracejit.ir.walk import evaluate
from tracejit.ops.elementwise import cos, mul, sin, square
from tracejit.ops.structure import permute, reverse
from tracejit.series import RULES
from tracejit.testing import (
    Sample,
    check_all,
    check_backends,
    check_batch,
    check_gradients,
    check_jvp,
    check_linearize,
    check_second_order,
    check_text,
    check_third_order,
    check_transpose,
    check_typing,
    reals,
)

X = reals(-1.0, 1.0)


@pytest.fixture(autouse=True)
def registry() -> Iterator[None]:
    """Forget the primitives that a test makes."""
    before = dict(Primitive.registry)
    yield
    Primitive.registry.clear()
    Primitive.registry.update(before)


def sine(**changes: Any) -> Primitive:
    """A right primitive, but for the changes."""
    rules = {"accepts": FLOATS, "evaluate": np.sin, "derivative": lambda x, y: cos(x)}
    return unary("sine", **rules | changes)


def turn(**changes: Any) -> Primitive:
    """The transpose of a matrix, right but for the changes."""
    rules: dict[str, Any] = {
        "typing": lambda x: (x.with_shape(x.shape[::-1]),),
        "evaluate": np.transpose,
        "transpose": lambda cts, inputs: (permute(cts[0], order=(1, 0)),),
        "batch": lambda size, inputs, batched: [permute(inputs[0], order=(0, 2, 1))],
    }
    return linear("turn", **rules | changes)


def wave(primitive: Primitive) -> Sample:
    return Sample(primitive, (X("f64[5]"),))


def matrix(primitive: Primitive) -> Sample:
    return Sample(primitive, (X("f64[2,3]"),))


def test_right_rules_pass() -> None:
    check_all(wave(sine()), Machine(lambda y: y))
    check_all(matrix(turn()))


def test_typing_catches_a_wrong_shape() -> None:
    wrong = turn(typing=lambda x: (x,))
    with pytest.raises(AssertionError, match=r"typing: turn.*says f64\[2,3\], it is f64\[3,2\]"):
        check_typing(matrix(wrong))


def test_typing_catches_a_wrong_dtype() -> None:
    wrong = sine(evaluate=lambda x: np.sin(x).astype(np.float32))
    with pytest.raises(AssertionError, match=r"typing: sine"):
        check_typing(wave(wrong))


@pytest.mark.parametrize(
    "derivative", [lambda x, y: -cos(x), lambda x, y: y, lambda x, y: cos(x) * 1.00001, None]
)
def test_jvp_catches_a_wrong_derivative(derivative: Any) -> None:
    with pytest.raises(AssertionError, match="jvp: sine"):
        check_jvp(wave(sine(derivative=derivative)))


def test_jvp_catches_a_tangent_of_one_input_dropped() -> None:
    wrong = Primitive(
        "product", typing=mul.typing, evaluate=np.multiply, batch=mul.batch,
        jvp=lambda primals, tangents, outs: (tangents[0] * primals[1],),
    )  # fmt: skip
    with pytest.raises(AssertionError, match="jvp: product"):
        check_jvp(Sample(wrong, (X("f64[3]"), X("f64[3]"))))


def test_linearize_catches_what_is_not_linear() -> None:
    def jvp(primals: Any, tangents: Any, outs: Any) -> tuple[Atom]:
        return (square(tangents[0]) * cos(primals[0]),)

    wrong = Primitive("wrong", typing=sin.typing, evaluate=np.sin, jvp=jvp, batch=sin.batch)
    with pytest.raises(AssertionError, match="linearize: linear: wrong"):
        check_linearize(wave(wrong))


@pytest.mark.parametrize(
    "transpose",
    [
        lambda cts, inputs: (reverse(permute(cts[0], order=(1, 0)), axes=(0,)),),
        lambda cts, inputs: (permute(cts[0], order=(1, 0)) * 2.0,),
        lambda cts, inputs: (zero(inputs[0].type),),
    ],
)
def test_transpose_catches_a_wrong_adjoint(transpose: Any) -> None:
    with pytest.raises(AssertionError, match="transpose: turn"):
        check_transpose(matrix(turn(transpose=transpose)))


def test_transpose_catches_a_wrong_shape() -> None:
    with pytest.raises((AssertionError, ValueError)):
        check_transpose(matrix(turn(transpose=lambda cts, inputs: cts)))


def test_second_order_catches_a_derivative_without_one() -> None:
    """The derivative's value is right, so first order cannot see it."""
    frozen = unary("frozen_cos", accepts=FLOATS, evaluate=np.cos, derivative=None)
    wrong = sine(derivative=lambda x, y: frozen(x))
    check_jvp(wave(wrong))
    check_transpose(wave(wrong))
    with pytest.raises(AssertionError, match="second order: sine"):
        check_second_order(wave(wrong))


def test_third_order_catches_a_second_derivative_without_one() -> None:
    """All modes agree on what is wrong: the quotient of differences does not."""
    frozen = unary("frozen_sin", accepts=FLOATS, evaluate=np.sin, derivative=None)
    cosine = unary("cosine", accepts=FLOATS, evaluate=np.cos, derivative=lambda x, y: -frozen(x))
    wrong = sine(derivative=lambda x, y: cosine(x))
    check_second_order(wave(wrong))
    with pytest.raises(AssertionError, match="third order: sine"):
        check_third_order(wave(wrong))


def test_third_order_catches_a_wrong_series(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RULES.rows, sin, RULES.rows[cos])
    with pytest.raises(AssertionError, match="third order: Taylor: sin"):
        check_third_order(wave(sin))


@pytest.mark.parametrize(
    "batch",
    [
        lambda size, inputs, batched: [permute(reverse(inputs[0], axes=(0,)), order=(0, 2, 1))],
        lambda size, inputs, batched: [permute(inputs[0], order=(2, 1, 0))],
        lambda size, inputs, batched: [inputs[0]],
    ],
)
def test_batch_catches_a_wrong_rule(batch: Any) -> None:
    with pytest.raises(AssertionError, match="batch .*turn"):
        check_batch(matrix(turn(batch=batch)))


def test_text_catches_a_parameter_that_is_lost() -> None:
    """A default that is not the parameter's meaning: text leaves it out, reading puts it in."""
    wrong = Primitive(
        "scaled", typing=lambda x, *, by=2.0: (x,), evaluate=lambda x, *, by=2.0: x * by,
        jvp=Linear(), transpose=lambda cts, inputs, *, by: (scaled_back(cts[0], by),),
        batch=sin.batch, defaults={"by": 3.0},
    )  # fmt: skip
    with pytest.raises(AssertionError, match="text: scaled"):
        check_text(Sample(wrong, (X("f64[5]"),), {}))


def scaled_back(ct: Atom, by: float) -> Atom:
    return ct * by


@dataclass
class Machine:
    """A backend that evaluates, and then does something wrong."""

    spoil: Any
    name: str = "machine"

    def compile(self, jaxpr: Jaxpr, *, name: str = "", observer: Any = None) -> Any:
        return lambda *arrays: tuple(self.spoil(np.array(y)) for y in evaluate(jaxpr, *arrays))


def test_backends_accepts_a_right_machine() -> None:
    check_backends(wave(sine()), Machine(lambda y: y))


def test_gradients_catches_a_wrong_machine() -> None:
    sample = wave(sine())
    check_gradients(sample, Machine(lambda y: y))
    with pytest.raises(AssertionError, match="machine, gradient: sine"):
        check_gradients(sample, Machine(lambda y: y * 1.001))


def test_backends_allows_the_ulps_of_the_row_and_no_more() -> None:
    machine = Machine(lambda y: np.nextafter(y, np.inf))
    check_backends(Sample(sine(), (X("f64[5]"),), ulps=1), machine)
    exact = Sample(square, (X("f64[5]"),), ulps=0)
    with pytest.raises(AssertionError, match="machine: square.* by 1 ulps"):
        check_backends(exact, machine)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda y: -y,
        lambda y: y + 1e-14,
        lambda y: y.astype(np.float32),
        lambda y: y[..., None],
        lambda y: np.where(y > 0, np.nan, y),
    ],
)
def test_backends_catches_a_wrong_lowering(spoil: Any) -> None:
    with pytest.raises(AssertionError, match="machine: sine"):
        check_backends(wave(sine()), Machine(spoil))


def test_backends_catches_a_machine_that_ignores_strides() -> None:
    class Flat(Machine):
        def compile(self, jaxpr: Jaxpr, *, name: str = "", observer: Any = None) -> Any:
            def run(*arrays: Any) -> tuple[Any, ...]:
                raw = [np.ndarray(x.shape, x.dtype, _first_bytes(x)) for x in arrays]
                return evaluate(jaxpr, *raw)

            return run

    with pytest.raises(AssertionError, match="machine, strided: sine"):
        check_backends(wave(sine()), Flat(None))


def _first_bytes(x: np.ndarray) -> bytes:
    """What is in memory from the first element on, read as if the array were contiguous."""
    whole = x if x.base is None else x.base
    start = x.ctypes.data - whole.ctypes.data
    return whole.tobytes()[start : start + x.nbytes]

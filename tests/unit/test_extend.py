"""Operations that users add: every law on them, every backend, and what is said of wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit import extend
from tracejit.errors import ArgumentError, DTypeError, ShapeError
from tracejit.testing import away_from, check_primitive, reals

softsign = extend.unary(
    "softsign",
    evaluate=lambda x: x / (1 + np.abs(x)),
    derivative=lambda x, y: 1 / (1 + np.abs(x)) ** 2,
    lower=lambda x: x / (1 + np.abs(x)),
    doc="x / (1 + |x|)",
)
called_back = extend.unary(
    "called_back", evaluate=lambda x: np.sinc(x), derivative=lambda x, y: slope(x)
)
slope = extend.unary(
    "slope_of_sinc",
    evaluate=lambda x: (np.cos(np.pi * x) - np.sinc(x)) / x,
    derivative=lambda x, y: -((np.pi**2) * np.sinc(x) + 2 * y / x),
    lower=lambda x: (np.cos(np.pi * x) - np.sinc(x)) / x,
)
hypotenuse = extend.binary(
    "hypotenuse",
    evaluate=np.hypot,
    derivatives=(lambda x, y, z: x / z, lambda x, y, z: y / z),
    lower=lambda x, y: np.sqrt(x * x + y * y),
)
differences = extend.linear(
    "differences",
    typing=lambda x: (x.with_shape((x.shape[0] - 1,)),),
    evaluate=lambda x: x[1:] - x[:-1],
    transpose=lambda cts, inputs: (np.pad(cts[0], (1, 0)) - np.pad(cts[0], (0, 1)),),
    lower=lambda x: x[1:] - x[:-1],
)
moments = extend.primitive(
    "moments",
    typing=lambda x, *, power: (x.with_shape(()), x),
    evaluate=lambda x, *, power: (np.sum(x**power), x * 2.0),
    jvp=lambda primals, tangents, outs, *, power: (
        np.sum(power * primals[0] ** (power - 1) * tangents[0]), 2.0 * tangents[0],
    ),
    lower=lambda x, *, power: (np.sum(x**power), x * 2.0),
    single=False,
)  # fmt: skip

X = np.array([-1.5, 0.3, 2.0])


def test_every_law_holds() -> None:
    check_primitive(softsign, [(away_from(0.0)("f64[7]"),), (away_from(0.0)("f32[2,3]"),)])
    check_primitive(called_back, [(away_from(0.0)("f64[4]"),)])
    check_primitive(hypotenuse, [(reals(0.5, 2.0)("f64[3]"), reals(-2.0, 2.0)("f64[3]"))])
    check_primitive(differences, [(reals(-1.0, 1.0)("f64[6]"),)], backends=("native", "eager"))
    check_primitive(moments, [(reals(0.5, 2.0)("f64[5]"),)], power=3)


def test_a_wrong_rule_is_seen() -> None:
    wrong = extend.unary(
        "wrong_square", evaluate=lambda x: x * x, derivative=lambda x, y: x, lower=np.square
    )
    with pytest.raises(AssertionError, match="jvp"):
        check_primitive(wrong, [(reals(0.5, 2.0)("f64[3]"),)])
    wrong = extend.linear(
        "wrong_double", typing=lambda x: (x,), evaluate=lambda x: 2.0 * x,
        transpose=lambda cts, inputs: (3.0 * cts[0],), lower=lambda x: 2.0 * x,
    )  # fmt: skip
    with pytest.raises(AssertionError, match="transpose"):
        check_primitive(wrong, [(reals(0.5, 2.0)("f64[3]"),)])
    wrong = extend.unary(
        "wrong_lowering", evaluate=np.sin, derivative=lambda x, y: np.cos(x), lower=np.cos
    )
    with pytest.raises(AssertionError, match="native"):
        check_primitive(wrong, [(reals(0.5, 2.0)("f64[3]"),)])


@pytest.mark.parametrize("backend", ["eager", "native", "xla"])
def test_calls_and_derivatives(backend: str) -> None:
    if backend == "xla":
        pytest.importorskip("jax")
    np.testing.assert_allclose(softsign(X), X / (1 + np.abs(X)))
    assert softsign(1) == 0.5

    def loss(x, y):
        return np.sum(softsign(x) * hypotenuse(x, y) + called_back(x)) + moments(x, power=2)[0]

    def plain(x, y):
        return np.sum(x / (1 + np.abs(x)) * np.sqrt(x * x + y * y) + np.sinc(x)) + np.sum(x**2)

    for transform in (lambda f: f, tj.grad, lambda f: tj.vmap(f, (None, 0))):
        mine, theirs = transform(loss), transform(plain)
        y = np.array([1.0, 2.0]) if transform not in (tj.grad,) else 2.0
        y = y if transform(loss) is not loss else 2.0
        np.testing.assert_allclose(tj.jit(mine, backend=backend)(X, y), theirs(X, y))


def test_lowered_operations_fuse() -> None:
    def mine(x):
        return np.sum(softsign(x) * 2.0)

    def plain(x):
        return np.sum(x / (1 + np.abs(x)) * 2.0)

    texts = [tj.stages(f)(X)["dce"].split("\n", 1)[1] for f in (mine, plain)]
    assert texts[0] == texts[1]


def test_without_a_batch_rule_members_come_one_after_the_other() -> None:
    rows = np.arange(12.0).reshape(3, 4) ** 2
    np.testing.assert_allclose(tj.vmap(differences)(rows), np.diff(rows))
    np.testing.assert_allclose(tj.jit(tj.vmap(differences))(rows), np.diff(rows))


def test_wrong_operations() -> None:
    with pytest.raises(ArgumentError, match="in tracejit already"):
        extend.unary("sin", evaluate=np.sin, derivative=None)
    with pytest.raises(TypeError, match="needs a transpose"):
        extend.primitive("unturned", typing=None, evaluate=None, jvp=extend.Linear())
    with pytest.raises(DTypeError, match="does not accept"):
        tj.make_jaxpr(lambda x: extend.unary(
            "of_integers", evaluate=np.invert, derivative=None, accepts=extend.INTEGERS
        )(x))(1.5)  # fmt: skip
    tall = extend.unary(
        "tall", evaluate=lambda x: x, derivative=None, lower=lambda x: np.stack([x, x])
    )
    with pytest.raises(ShapeError, match="the lowering of tall makes f64\\[2,3\\]"):
        tj.jit(lambda x: tall(x))(X)

"""Operations that users add: every law on them, every backend, and what is said of wrong ones."""

from __future__ import annotations

import numpy as np
import pytest

import tracejit as tj
from tracejit import extend
from tracejit.errors import ArgumentError, DTypeError, ShapeError, TracerError, TreeError
from tracejit.ir.primitive import Primitive
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
        extend.primitive(
            "unturned", typing=lambda x: (x,), evaluate=np.negative, jvp=extend.Linear()
        )
    with pytest.raises(DTypeError, match="does not accept"):
        tj.make_jaxpr(lambda x: extend.unary(
            "of_integers", evaluate=np.invert, derivative=None, accepts=extend.INTEGERS
        )(x))(1.5)  # fmt: skip
    tall = extend.unary(
        "tall", evaluate=lambda x: x, derivative=None, lower=lambda x: np.stack([x, x])
    )
    with pytest.raises(ShapeError, match="the lowering of tall makes f64\\[2,3\\]"):
        tj.jit(lambda x: tall(x))(X)


def doubled(**rules):
    """A linear operation, with some of its rules replaced."""
    given = {
        "typing": lambda x: (x,), "evaluate": lambda x: 2 * x, "jvp": extend.Linear(),
        "transpose": lambda cts, inputs: (2 * cts[0],),
    } | rules  # fmt: skip
    return extend.primitive("doubled", **given)


def pushed(f):
    return tj.jvp(f, (X,), (X,))


def pulled(f):
    return tj.grad(lambda x: np.sum(f(x)))(X)


WRONG_RULES = {
    "typing": ({"typing": lambda x: x}, lambda f: f(X), TreeError, "a tuple of types"),
    "typing None": ({"typing": lambda x: None}, tj.jit, TreeError, "typing of doubled"),
    "two types": ({"typing": lambda x: (x, x)}, lambda f: f(X), TreeError, "one type"),
    "a value's shape": (
        {"evaluate": lambda x: x[:1]}, lambda f: f(X), ShapeError, "typing says f64",
    ),
    "no tuple": (
        {"transpose": lambda cts, inputs: cts[0]}, pulled, TreeError, "a tuple of 1, and returned",
    ),
    "a shape": (
        {"transpose": lambda cts, inputs: (np.sum(cts[0]),)}, pulled, TreeError,
        r"transpose of doubled returns f64\[3\], and returned f64\[\]",
    ),
    "too many": (
        {"transpose": lambda cts, inputs: (cts[0], cts[0])}, pulled, TreeError, "2 values",
    ),
    "nothing": ({"transpose": lambda cts, inputs: None}, pulled, TreeError, "returned None"),
    "a tangent": ({"jvp": lambda p, t, out: t[0]}, pushed, TreeError, "jvp of doubled"),
    "a tangent's shape": (
        {"jvp": lambda p, t, out: (t[0][0],)}, pushed, TreeError, r"and returned f64\[\]",
    ),
    "a batch": (
        {"batch": lambda size, inputs, batched: (inputs[0][0],)}, lambda f: tj.vmap(f)(X[:, None]),
        TreeError, "batch of doubled returns",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG_RULES)
def test_what_rules_return_is_looked_at(case: str) -> None:
    """A cotangent of another shape would come out as a wrong number."""
    rules, use, kind, text = WRONG_RULES[case]
    f = doubled(**rules)
    with pytest.raises(kind, match=text) as caught:
        use(f)(X) if use is tj.jit else use(f)
    assert "test_extend.py" in str(caught.value)


def test_names_parameters_and_functions_are_checked() -> None:
    with pytest.raises(ArgumentError, match="'my op' is no name"):
        extend.unary("my op", evaluate=np.sin, derivative=None)
    with pytest.raises(ArgumentError, match="half takes a function, not NoneType"):
        extend.unary("half", evaluate=None, derivative=None)
    with pytest.raises(ArgumentError, match="lower of half takes a function"):
        extend.unary("half", evaluate=np.sin, derivative=None, lower=3)
    assert "half" not in Primitive.registry
    times = extend.unary("times", evaluate=lambda x, *, k: x * k, derivative=lambda x, y, *, k: k)
    assert tj.jit(tj.grad(lambda x: times(x, k=3.0)))(1.0) == 3.0
    with pytest.raises(TracerError, match="the parameter k of times is traced"):
        tj.jit(lambda x, k: times(x, k=k))(1.0, 2.0)
    flat = extend.unary("flat", evaluate=np.sum, derivative=None)
    with pytest.raises(ShapeError, match="evaluate of flat returned"):
        flat(X)


def test_an_operation_does_not_write_to_what_it_is_given() -> None:
    def evaluate(x):
        x += 1
        return x

    f, x = extend.unary("adding", evaluate=evaluate, derivative=None), X.copy()
    for call in (f, tj.jit(f)):
        with pytest.raises(ValueError, match="read-only"):
            call(x)
    np.testing.assert_array_equal(x, X)


def test_an_operation_that_is_made_again_is_another_one() -> None:
    def scaled(k):
        return extend.linear(
            "scaled_again", typing=lambda x: (x,), evaluate=lambda x: k * x,
            transpose=lambda cts, inputs: (k * cts[0],),
        )  # fmt: skip

    first, second = scaled(2.0), scaled(3.0)
    rows = np.ones((2, 2))
    np.testing.assert_array_equal(tj.vmap(first)(rows), 2 * rows)
    np.testing.assert_array_equal(tj.vmap(second)(rows), 3 * rows)


def test_operations_of_complex_numbers() -> None:
    times = extend.binary(
        "times_complex", evaluate=lambda x, y: x * y, accepts=extend.INEXACT,
        derivatives=(lambda x, y, z: y, lambda x, y, z: x),
    )  # fmt: skip
    assert times(1j, 2) == 2j and times(2, 3) == 6.0 and times(2, 3).dtype == np.float64
    assert tj.grad(times, holomorphic=True)(1j, 2j) == 2j


def test_what_is_no_sample() -> None:
    with pytest.raises(ArgumentError, match="takes an operation, not 3"):
        check_primitive(3, [()])
    with pytest.raises(ArgumentError, match="softsign: no samples"):
        check_primitive(softsign, [])
    for sample in ((1.0,), reals(0, 1)("f64[3]")):
        with pytest.raises(ArgumentError, match="a sample is a tuple of operands"):
            check_primitive(softsign, [sample])

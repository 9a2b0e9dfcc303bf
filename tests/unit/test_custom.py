"""custom_jvp, custom_vjp, custom_gradient, closure_convert: rules in all transforms, and errors."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

import tracejit as tj
from tracejit.custom_derivatives import CustomVJPPrimal, SymbolicZero
from tracejit.errors import (
    ArgumentError,
    DTypeError,
    GradError,
    NoRuleError,
    ShapeError,
    TracerError,
    TreeError,
    UnsupportedError,
)

BACKENDS = ("eager", "native")
POINTS = np.array([0.3, 0.7, 1.1])


@tj.custom_jvp
def product(x, y):
    """Its rule says ten times the derivative, so that it is seen to be used."""
    return np.sin(x) * y


@product.defjvp
def _(primals, tangents):
    (x, y), (s, t) = primals, tangents
    return product(x, y), 10 * (np.cos(x) * s * y + np.sin(x) * t)


@tj.custom_vjp
def clipped(x, low, high):
    return x * 1.0


clipped.defvjp(
    lambda x, low, high: (x * 1.0, (low, high)),
    lambda res, ct: (np.clip(ct, *res), None, None),
)


@tj.custom_vjp
def tenfold(x, y):
    return np.sin(x) * y


tenfold.defvjp(
    lambda x, y: (np.sin(x) * y, (np.cos(x), np.sin(x), y)),
    lambda res, ct: (10 * ct * res[0] * res[2], 10 * ct * res[1]),
)


@tj.custom_jvp
def exponential(x):
    return np.exp(x)


@exponential.defjvp
def _(primals, tangents):
    y = exponential(*primals)
    return y, y * tangents[0]


# Rules in transforms.


@pytest.mark.parametrize("f", [product, tenfold])
@pytest.mark.parametrize("backend", BACKENDS)
def test_reverse_mode_follows_the_rule(f, backend: str) -> None:
    gradient = tj.grad(f, (0, 1))
    expected = 10 * np.cos(1.0) * 2.0, 10 * np.sin(1.0)
    np.testing.assert_allclose(gradient(1.0, 2.0), expected)
    np.testing.assert_allclose(tj.jit(gradient, backend=backend)(1.0, 2.0), expected)


def test_forward_mode_follows_the_rule() -> None:
    y, t = tj.jvp(product, (1.0, 2.0), (1.0, 0.5))
    np.testing.assert_allclose((y, t), (np.sin(1) * 2, 10 * (np.cos(1) * 2 + np.sin(1) * 0.5)))
    np.testing.assert_allclose(tj.jacfwd(product)(1.0, 2.0), 20 * np.cos(1.0))


@pytest.mark.parametrize("f", [product, tenfold])
def test_batches(f) -> None:
    each = [tj.grad(f, (0, 1))(x, 2.0) for x in POINTS]
    many = tj.vmap(tj.grad(f, (0, 1)), (0, None))(POINTS, 2.0)
    np.testing.assert_allclose(np.stack(many, 1), each)
    outside = tj.grad(lambda x, y: np.sum(tj.vmap(f, (0, None))(x, y)), (0, 1))(POINTS, 2.0)
    np.testing.assert_allclose(outside[0], many[0])
    np.testing.assert_allclose(outside[1], np.sum(many[1]))
    twice = tj.vmap(tj.vmap(f, (0, None)), (None, 0))
    table = tj.jit(tj.grad(lambda x, y: np.sum(twice(x, y) ** 2)))(POINTS, np.array([1.0, 2.0]))
    np.testing.assert_allclose(table, 10 * np.sin(2 * POINTS) * 5.0)


def test_derivatives_of_any_order_go_through_the_rule() -> None:
    f = exponential
    for _ in range(4):
        f = tj.grad(f)
        np.testing.assert_allclose(f(0.5), np.exp(0.5))
        np.testing.assert_allclose(tj.jit(f)(0.5), np.exp(0.5))
    np.testing.assert_allclose(tj.hessian(tj.vmap(exponential))(POINTS)[1, 1, 1], np.exp(POINTS[1]))
    twice = tj.jvp(tj.grad(tenfold), (1.0, 2.0), (1.0, 0.0))[1]
    np.testing.assert_allclose(twice, -20 * np.sin(1.0))


@pytest.mark.parametrize("f", [exponential, tj.custom_vjp(np.exp)])
def test_loops_and_branches(f) -> None:
    if isinstance(f, tj.custom_vjp):
        f.defvjp(lambda x: (np.exp(x), np.exp(x)), lambda y, ct: (y * ct,))

    def scanned(g, x):
        return tj.lax.scan(lambda c, _: (np.sin(g(c)), None), x, None, length=3)[0]

    def counted(g, x):
        return tj.lax.fori_loop(0, 3, lambda i, c: np.sin(g(c)), x)

    def chosen(g, x):
        return tj.lax.cond(x > 0, lambda x: g(x) * x, lambda x: x, x)

    for program in (scanned, counted, chosen):
        expected = tj.grad(lambda x, p=program: p(np.exp, x))(0.4)
        mine = tj.grad(lambda x, p=program: p(f, x))
        np.testing.assert_allclose(mine(0.4), expected)
        np.testing.assert_allclose(tj.jit(mine)(0.4), expected)

    def whiled(g, x):
        return tj.lax.while_loop(lambda c: c < 5.0, lambda c: g(c) + 1.0, x)

    mine, theirs = (tj.jit(tj.grad(partial(whiled, g))) for g in (f, np.exp))
    np.testing.assert_allclose(mine(0.1), theirs(0.1))


def test_checkpoints() -> None:
    for f in (product, tenfold):
        remat = tj.grad(tj.checkpoint(lambda x, g=f: np.sin(g(x, 2.0))))
        plain = tj.grad(lambda x, g=f: np.sin(g(x, 2.0)))
        np.testing.assert_allclose(remat(0.3), plain(0.3))
        np.testing.assert_allclose(tj.jit(remat)(0.3), plain(0.3))


def test_a_linear_function_with_a_rule_is_transposed() -> None:
    @tj.custom_jvp
    def double(x):
        return 2.0 * x

    double.defjvp(lambda xs, ts: (double(*xs), double(*ts)))
    assert tj.linear_transpose(double, 1.0)(3.0) == (6.0,)
    assert tj.grad(double)(1.0) == 2.0


def test_rules_cost_nothing_in_the_kernel() -> None:
    def with_rule(x):
        return np.sum(exponential(x) * x)

    def without(x):
        return np.sum(np.exp(x) * x)

    texts = [
        tj.stages(tj.value_and_grad(f))(POINTS)["dce"].split("\n", 1)[1]
        for f in (with_rule, without)
    ]
    assert texts[0] == texts[1]


def test_the_ir_shows_the_call_and_its_rule() -> None:
    text = str(tj.make_jaxpr(exponential)(1.0))
    assert 'custom_jvp_call(%0, name="exponential", rule=<jvp of exponential>' in text


# Arguments.


def test_trees_defaults_and_keywords() -> None:
    @tj.custom_jvp
    def f(params, scale=2.0, *, shift=None):
        return {"y": params["a"] * params["b"] * scale, "n": 3}

    with pytest.raises(ArgumentError, match="could not be resolved to positions"):
        f.defjvp(lambda *_: None)
        f({"a": 1.0, "b": 2.0})

    @tj.custom_jvp
    def g(params, scale=2.0):
        return {"y": params["a"] * params["b"] * scale}

    @g.defjvp
    def _(primals, tangents):
        (p, s), (t, _) = primals, tangents
        return g(p, s), {"y": 7.0 * t["a"] + t["b"]}

    found = tj.grad(lambda p: g(p)["y"])({"a": 1.0, "b": 3.0})
    assert found == {"a": 7.0, "b": 1.0}
    assert tj.grad(lambda p: g(params=p, scale=1.0)["y"])({"a": 1.0, "b": 3.0}) == found


def test_arguments_that_are_not_differentiated() -> None:
    @partial(tj.custom_jvp, nondiff_argnums=(0, 2))
    def apply(f, x, n):
        return f(x) * n

    @apply.defjvp
    def _(f, n, primals, tangents):
        return apply(f, *primals, n), n * f(3.0) * tangents[0]

    assert tj.grad(apply, 1)(np.square, 2.0, 5) == 45.0
    assert tj.jit(tj.grad(apply, 1), static_argnums=(0, 2))(np.square, 2.0, 5) == 45.0

    @partial(tj.custom_vjp, nondiff_argnames="f")
    def call(x, f):
        return f(x)

    call.defvjp(lambda x, f: (f(x), x), lambda f, x, ct: (f(ct * x),))
    assert tj.grad(lambda x: call(x, np.square))(2.0) == 4.0
    with pytest.raises(TracerError, match="nondiff_argnums"):
        tj.grad(lambda x: call(x, x))(2.0)


def test_integers() -> None:
    seen = []

    @tj.custom_jvp
    def repeat(x, n):
        return x * n, n

    @repeat.defjvp
    def _(primals, tangents):
        seen.append(tangents[1].dtype)
        (x, n), (t, zero) = primals, tangents
        return repeat(x, n), (t * n, zero)

    assert tj.grad(lambda x: repeat(x, 3)[0])(2.0) == 3.0
    assert seen == [tj.float0]

    @tj.custom_vjp
    def times(x, n):
        return x * n

    times.defvjp(lambda x, n: (x * n, n), lambda n, ct: (ct * n, np.zeros((), tj.float0)))
    assert tj.grad(lambda x, n: times(x, n))(2.0, 3) == 3.0


def test_python_branches_on_numbers_in_rules() -> None:
    @tj.custom_jvp
    def f(x):
        return np.sin(x) if x > 0 else np.cos(x)

    @f.defjvp
    def _(primals, tangents):
        (x,), (t,) = primals, tangents
        return f(x), (2 * t if x > 0 else 3 * t)

    assert (tj.grad(f)(2.0), tj.grad(f)(-2.0)) == (2.0, 3.0)
    assert tj.jvp(f, (-2.0,), (1.0,)) == (np.cos(-2.0), 3.0)


def test_symbolic_zeros() -> None:
    seen = []

    @tj.custom_jvp
    def f(x, y):
        return x * y, x

    def rule(primals, tangents):
        seen.append([isinstance(t, SymbolicZero) for t in tangents])
        (x, y), (s, t) = primals, tangents
        return f(x, y), (s * y, s) if isinstance(t, SymbolicZero) else (x * t, s)

    f.defjvp(rule, symbolic_zeros=True)
    assert tj.grad(lambda x, y: f(x, y)[0])(2.0, 3.0) == 3.0
    assert tj.grad(lambda x, y: f(x, y)[0], 1)(2.0, 3.0) == 2.0
    assert seen == [[False, True], [True, False]]

    @tj.custom_vjp
    def g(x, y):
        return x * y, y

    def fwd(x, y):
        assert isinstance(x, CustomVJPPrimal)
        seen.append((x.perturbed, y.perturbed))
        return (x.value * y.value, y.value), y.value

    def bwd(y, cts):
        seen.append([isinstance(ct, SymbolicZero) for ct in cts])
        return cts[0] * y, None

    g.defvjp(fwd, bwd, symbolic_zeros=True, optimize_remat=True)
    assert tj.grad(lambda x: g(x, 3.0)[0])(2.0) == 3.0
    assert seen[2:] == [(True, False), [False, True]]


# Closures.


def test_rules_close_over_arrays_and_traced_values() -> None:
    matrix = np.arange(4.0).reshape(2, 2) + 1

    @tj.custom_jvp
    def product(x):
        return matrix @ x

    product.defjvp(lambda xs, ts: (product(*xs), matrix @ ts[0]))

    def straight(x):
        return np.sum(product(x))

    def looped(x):
        return np.sum(tj.lax.scan(lambda c, _: (product(c), None), x, None, length=2)[0])

    def branched(x):
        return np.sum(tj.lax.cond(x[0] > 0, product, lambda x: x, x))

    x = np.ones(2)
    for f, expected in (
        (straight, [4.0, 6.0]), (looped, [22.0, 32.0]), (branched, [4.0, 6.0])
    ):  # fmt: skip
        for backend in BACKENDS:
            np.testing.assert_allclose(tj.jit(tj.grad(f), backend=backend)(x), expected)

    def mapped(z):
        def f(a):
            @tj.custom_vjp
            def g(y):
                return a * y

            g.defvjp(lambda y: (a * y, ()), lambda res, ct: (a * ct,))
            return g(z)

        return np.sum(tj.vmap(f)(np.arange(3.0)))

    assert tj.grad(mapped)(3.0) == 3.0
    assert tj.jit(tj.grad(mapped))(3.0) == 3.0


def test_a_derivative_with_respect_to_what_is_closed_over_is_an_error() -> None:
    for make in (tj.custom_jvp, tj.custom_vjp):

        def f(a, x, make=make):
            g = make(lambda y: a * y)
            if make is tj.custom_jvp:
                g.defjvp(lambda ys, ts: (g(*ys), ts[0]))
            else:
                g.defvjp(lambda y: (y, ()), lambda res, ct: (ct,))
            return g(x)

        with pytest.raises(GradError, match="closed-over value"):
            tj.grad(f)(2.0, 3.0)
        assert tj.grad(f, 1)(2.0, 3.0) == 1.0


def test_closure_convert() -> None:
    def outer(a, n):
        converted, consts = tj.closure_convert(lambda x: a * x * n, 1.0)
        assert len(consts) == 1
        return converted(3.0, *consts)

    assert tj.grad(outer)(2.0, 5) == 15.0
    assert tj.jit(tj.grad(outer))(2.0, 5) == 15.0
    with pytest.raises(ArgumentError, match="like the examples"):
        tj.closure_convert(lambda x: x, 1.0)[0]((1.0, 2.0))


def test_custom_gradient() -> None:
    @tj.custom_gradient
    def f(x):
        return x**2, lambda ct: 5.0 * x * ct

    assert (f(3.0), tj.grad(f)(2.0), tj.jit(tj.grad(f))(2.0)) == (9.0, 10.0, 10.0)
    assert tj.grad(tj.grad(f))(2.0) == 5.0
    np.testing.assert_allclose(tj.vmap(tj.grad(f))(POINTS), 5 * POINTS)

    @tj.custom_gradient
    def g(x, y):
        return {"z": x * y}, lambda ct: (ct["z"] + 1.0, x)

    assert tj.grad(lambda x, y: g(x, y)["z"], (0, 1))(2.0, 3.0) == (2.0, 2.0)


def test_defjvps() -> None:
    @tj.custom_jvp
    def f(x, y, z):
        return x * y * z

    f.defjvps(lambda t, out, x, y, z: t * out, None, lambda t, out, x, y, z: 10 * t)
    assert tj.grad(f, (0, 1, 2))(2.0, 3.0, 4.0) == (24.0, 0.0, 10.0)
    with pytest.raises(ArgumentError, match="defjvps with nondiff_argnums"):
        tj.custom_jvp(lambda n, x: x, nondiff_argnums=(0,)).defjvps(None)


def test_rules_that_print(capsys: pytest.CaptureFixture[str]) -> None:
    @tj.custom_vjp
    def f(x):
        return x * 2.0

    def bwd(res, ct):
        tj.debug.print("ct {}", ct)
        return (ct,)

    f.defvjp(lambda x: (x, None), bwd)
    assert tj.grad(lambda x: 3.0 * f(x))(1.0) == 3.0
    assert capsys.readouterr().out == "ct 3.0\n"
    assert tj.jit(tj.grad(lambda x: 3.0 * f(x)))(1.0) == 3.0
    assert capsys.readouterr().out == "ct 3.0\n"


# Errors.


def _with_jvp(rule, value=lambda x: x):
    f = tj.custom_jvp(value)
    f.defjvp(rule)
    return f


def _with_vjp(fwd, bwd, value=lambda x: x):
    f = tj.custom_vjp(value)
    f.defvjp(fwd, bwd)
    return f


@pytest.mark.parametrize(
    ("rule", "error", "message"),
    [
        (lambda xs, ts: xs[0], TreeError, "pair \\(list or tuple of length two\\)"),
        (lambda xs, ts: (xs, ts[0]), TreeError, "structure matching that of the function"),
        (lambda xs, ts: (xs[0], ts), TreeError, "equal container \\(pytree\\) structures"),
        (lambda xs, ts: (np.ones(3) * xs[0], ts[0]), ShapeError, "f64\\[3\\], and f64\\[\\]"),
        (lambda xs, ts: (xs[0], ts[0] * np.ones(3)), ShapeError, "tangent output"),
        (lambda xs, ts: (xs[0], ts[0].astype(np.float32)), DTypeError, "f32"),
        (lambda xs, ts: (xs[0].astype(int), ts[0]), DTypeError, "i64"),
    ],
)
def test_wrong_jvp_rules(rule, error, message: str) -> None:
    with pytest.raises(error, match=message):
        tj.jvp(_with_jvp(rule), (1.0,), (1.0,))


@pytest.mark.parametrize(
    ("fwd", "bwd", "error", "message"),
    [
        (lambda x: x, None, TreeError, "pair \\(list or tuple of length two\\)"),
        (lambda x: ((x,), None), None, TreeError, "structure matching"),
        (lambda x: (x, "text"), None, DTypeError, "a residual of"),
        (lambda x: (x, None), lambda r, ct: ct, TreeError, "for each of its 1 arguments"),
        (lambda x: (x, None), lambda r, ct: (ct, ct), TreeError, "of length 2"),
        (lambda x: (x, None), lambda r, ct: ((ct,),), TreeError, "structure than the argument"),
        (lambda x: (x, None), lambda r, ct: (ct * np.ones(2),), ShapeError, "f64\\[2\\]"),
        (lambda x: (x, None), lambda r, ct: (ct.astype(np.float32),), DTypeError, "f32"),
    ],
)
def test_wrong_vjp_rules(fwd, bwd, error, message: str) -> None:
    with pytest.raises(error, match=message):
        tj.grad(_with_vjp(fwd, bwd or (lambda r, ct: (ct,))))(1.0)


def test_missing_rules() -> None:
    for make, how in ((tj.custom_jvp, "defjvp"), (tj.custom_vjp, "defvjp")):
        with pytest.raises(NoRuleError, match=f"using {how}") as caught:
            make(np.sin)(1.0)
        assert isinstance(caught.value, AttributeError)


def test_forward_mode_of_custom_vjp_is_an_error() -> None:
    for f in (
        lambda x: tj.jvp(lambda x: tenfold(x, 2.0), (x,), (1.0,)),
        tj.jacfwd(lambda x: tenfold(x, 2.0)),
        tj.jit(lambda x: tj.jvp(lambda x: tenfold(x, 2.0), (x,), (1.0,))),
    ):
        with pytest.raises(GradError, match="forward-mode differentiation .* tenfold"):
            f(1.0)


def test_tracers_that_cannot_be_found_are_an_error() -> None:
    class Box:
        __slots__ = ("value",)

    def f(a, x):
        box = Box()
        box.value = a
        g = tj.custom_jvp(lambda y: y)
        g.defjvp(lambda ys, ts: (ys[0], ts[0] * box.value))
        return g(x)

    with pytest.raises(UnsupportedError, match="neither an argument"):
        tj.jit(lambda a, x: tj.grad(f, 1)(a, x))(1.0, 2.0)


def test_gradients_are_clipped() -> None:
    f = tj.grad(lambda x: 5.0 * clipped(x, -1.0, 1.0))
    assert f(2.0) == 1.0
    assert tj.jit(f)(2.0) == 1.0

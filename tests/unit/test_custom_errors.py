"""Rules of users that are wrong: what is said, and where; and functions with rules as objects."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import tracejit as tj
from tracejit.custom_batching import custom_vmap
from tracejit.errors import (
    ArgumentError,
    DTypeError,
    MissingRuleError,
    ShapeError,
    TreeError,
    UnsupportedError,
)

ROWS = np.arange(3.0)


def by_vjp(fwd, bwd, fun=lambda x: x * 2, **options):
    f = tj.custom_vjp(fun, **options)
    f.defvjp(fwd, bwd)
    return f


def by_jvp(*rules):
    f = tj.custom_jvp(lambda x, y: x * y)
    f.defjvps(*rules)
    return f


@tj.custom_vjp
def tripled(x):
    return x * 2


tripled.defvjp(lambda x: (x * 2, None), lambda res, ct: (ct * 3,))

WRONG = {
    "a text for a cotangent": (
        lambda: tj.grad(by_vjp(lambda x: (x, x), lambda res, ct: ("a",)))(1.0),
        DTypeError, "bwd rule of <lambda>: a cotangent is 'a', and f64",
    ),
    "an object for a cotangent": (
        lambda: tj.grad(by_vjp(lambda x: (x, x), lambda res, ct: (object(),)))(1.0),
        DTypeError, "a cotangent is <object object",
    ),
    "a text for a residual": (
        lambda: tj.grad(by_vjp(lambda x: (x, "a"), lambda res, ct: (ct,)))(1.0),
        DTypeError, "a residual of <lambda> is 'a'",
    ),
    "too few parameters of bwd": (
        lambda: tj.grad(by_vjp(lambda x: (x, x), lambda ct: (ct,)))(1.0),
        ArgumentError, r"bwd rule of <lambda> is called with \(residuals, cotangents\): too many",
    ),
    "too many parameters of fwd": (
        lambda: tj.grad(by_vjp(lambda x, y: (x, x), lambda res, ct: (ct,)))(1.0),
        ArgumentError, "fwd rule of <lambda> is called with the arguments of <lambda>: missing",
    ),
    "no pair for custom_gradient": (
        lambda: tj.grad(tj.custom_gradient(lambda x: x))(1.0),
        TreeError, "custom_gradient must produce a pair .* of its result and its vjp",
    ),
    "no vjp for custom_gradient": (
        lambda: tj.grad(tj.custom_gradient(lambda x: (x, None)))(1.0),
        ArgumentError, "custom_gradient takes a function, not NoneType",
    ),
    "too few cotangents of custom_gradient": (
        lambda: tj.grad(tj.custom_gradient(lambda x, y: (x * y, lambda ct: (ct,))))(1.0, 2.0),
        TreeError, "a cotangent for each of its 2 arguments",
    ),
    "too few rules": (
        lambda: tj.grad(by_jvp(lambda t, out, x, y: t))(1.0, 2.0),
        ArgumentError, "defjvps of <lambda> got 1 rules, and the function has 2 arguments",
    ),
    "too many rules": (
        lambda: tj.grad(by_jvp(lambda t, out, x, y: t, None, None))(1.0, 2.0),
        ArgumentError, "got 3 rules",
    ),
    "too few parameters of a rule": (
        lambda: tj.grad(by_jvp(lambda t, out: t, None))(1.0, 2.0),
        ArgumentError, r"called with \(tangent, result, 2 arguments\)",
    ),
    "no rule": (lambda: by_jvp(3, None), ArgumentError, "defjvps takes a function, not int 3"),
    "a rule's shape": (
        lambda: tj.grad(by_jvp(lambda t, out, x, y: np.stack([t, t]), None))(1.0, 2.0),
        ShapeError, r"JVP rule of <lambda>: the tangent output has shape and dtype f64\[2\]",
    ),
    "names for positions": (
        lambda: tj.custom_vjp(lambda x: x, nondiff_argnums="x"),
        ArgumentError, "nondiff_argnums='x' are no positions",
    ),
    "a position beyond": (
        lambda: by_vjp(lambda x: (x, x), lambda r, ct: (ct,), nondiff_argnums=(5,))(1.0, 2.0),
        ArgumentError, "too many positional",
    ),
    "a position that the call lacks": (
        lambda: tj.grad(by_vjp(lambda x: (x, x), lambda r, ct: (ct,), nondiff_argnums=(5,)))(1.0),
        ArgumentError, "nondiff_argnums has 5, and the call has 1 arguments",
    ),
    "no argument": (
        lambda: by_vjp(lambda x: (x, x), lambda r, ct: (ct,))(),
        ArgumentError, "arguments of custom_vjp function <lambda>: missing a required argument",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_said_where_it_is(case):
    program, kind, text = WRONG[case]
    with pytest.raises(kind, match=text) as caught:
        program()
    assert "test_custom_errors.py" in str(caught.value)


def test_results_of_batching_rules_have_their_types():
    f = custom_vmap(lambda x: x * 2)
    f.def_vmap(lambda size, in_batched, x: (x[:2], True))
    with pytest.raises(ShapeError, match=r"vmap rule of <lambda>: a result has .* f64\[2\]"):
        tj.vmap(f)(ROWS)
    f.def_vmap(lambda size, x: (x, True))
    with pytest.raises(ArgumentError, match=r"called with \(axis_size, in_batched, \*args\)"):
        tj.vmap(f)(ROWS)


@pytest.mark.parametrize(
    ("rule", "operation"),
    [
        (lambda t, out, x: t * t, "mul"),
        (lambda t, out, x: np.sin(t), "sin"),
        (lambda t, out, x: np.where(t > 0, t, 0.0), "select"),
        (lambda t, out, x: tj.lax.fori_loop(0, 3, lambda i, c: c * t, 1.0), "mul"),
    ],
)
@pytest.mark.parametrize("compiled", [False, True], ids=["eager", "jit"])
def test_reverse_mode_takes_rules_that_are_linear(rule, operation, compiled):
    f = tj.custom_jvp(lambda x: x)
    f.defjvps(rule)
    gradient = tj.jit(tj.grad(f)) if compiled else tj.grad(f)
    with pytest.raises(MissingRuleError, match=f"{operation} is not linear") as caught:
        gradient(1.0)
    assert "test_custom_errors.py" in str(caught.value)
    assert np.isfinite(tj.jacfwd(f)(1.0))


def test_a_function_with_rules_does_not_assign_to_its_arguments():
    """Where it is traced nobody would see it, and its rules do not know."""

    def doubling(x):
        x[0] = 5.0
        return x * 2

    f = by_vjp(lambda x: (x * 2, None), lambda res, ct: (ct,), fun=doubling)
    with pytest.raises(UnsupportedError, match="doubling assigns to one of its arguments"):
        tj.jit(f)(np.ones(3))


def test_negative_positions_count_from_the_end():
    f = by_vjp(
        lambda x, k: (x * k, None), lambda k, res, ct: (ct * k * 10,), fun=lambda x, k: x * k,
        nondiff_argnums=(-1,),
    )  # fmt: skip
    assert tj.grad(lambda x: f(x, 3.0))(1.0) == 30.0


def test_a_method_is_not_bound():
    class Scale:
        @tj.custom_jvp
        def times(self, x):
            return x

    with pytest.raises(ArgumentError, match="not bound to an object"):
        Scale().times(1.0)


def test_decorated_functions_of_a_module_are_pickled_by_name():
    assert pickle.loads(pickle.dumps(tripled)) is tripled
    assert copy.deepcopy(tripled) is tripled


def used(kind):
    """A reference to a function that had rules, and was differentiated and mapped."""

    def doubled(x):
        return x * 2

    if kind == "jvp":
        f = tj.custom_jvp(doubled)
        f.defjvps(lambda t, out, x: t * 2)
    elif kind == "vjp":
        f = by_vjp(lambda x: (x * 2, x), lambda res, ct: (ct * 2,), fun=doubled)
    elif kind == "vmap":
        f = custom_vmap(doubled)
        f.def_vmap(lambda size, in_batched, x: (x * 2, True))
    else:
        like = tj.ShapeDtypeStruct((), np.float64)

        def f(x):
            return x * tj.pure_callback(doubled, like, tj.stop_gradient(np.sum(x)))

    tj.grad(lambda x: np.sum(f(x)))(ROWS)
    tj.jacrev(f)(ROWS)
    return weakref.ref(doubled)


@pytest.mark.parametrize("kind", ["jvp", "vjp", "vmap", "callback"])
def test_nothing_keeps_a_call_behind_it(kind):
    """A program that is kept to be found again would hold the numbers of the call, by its rule."""
    kept = used(kind)
    gc.collect()
    assert kept() is None

"""Taylor mode: against nested jvp, and against JAX's own series where it has them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.jet import jet as jax_jet

import tracejit as tj
from tracejit.errors import ArgumentError, GradError, ShapeError, TreeError
from tracejit.experimental.jet import jet
from tracejit.ir.walk import count_equations
from tracejit.scipy import special

X = np.array([0.3, 0.6, 0.45])
DOMINANT = 3.0 * np.eye(3)


def nested(f: Callable[..., Any], x: np.ndarray, terms: list[np.ndarray]) -> list[Any]:
    """The derivatives along the path by jvp of jvp of ..., at t = 0."""

    def along(t: Any) -> Any:
        steps = [t ** (k + 1) / math.factorial(k + 1) * s for k, s in enumerate(terms)]
        return f(x + sum(steps))

    found, g = [], along
    for _ in terms:
        g = _derivative(g)
        found.append(g(0.0))
    return found


def _derivative(g: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda t: tj.jvp(g, (t,), (1.0,))[1]


def path(order: int, shape: tuple[int, ...] = (3,)) -> list[np.ndarray]:
    rng = np.random.default_rng(order)
    return [rng.uniform(-1, 1, shape) for _ in range(order)]


def scanned(x: Any) -> Any:
    final, ys = tj.lax.scan(lambda c, row: (np.sin(c * row) + x[0], c * row), x[1], x)
    return final + ys


def counted(x: Any) -> Any:
    return tj.lax.while_loop(lambda s: s[0] < 4, lambda s: (s[0] + 1, np.sin(s[1]) * x), (0, x))[1]


def rooted(x: Any) -> Any:
    return tj.lax.custom_root(
        lambda y: y**3 - x, x, lambda f, y: np.cbrt(y), lambda g, b: b / g(np.ones(3))
    )


FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    **{
        name: getattr(np, name)
        for name in (
            "sin", "cos", "tan", "exp", "log", "tanh", "sinh", "cosh", "sqrt", "arcsin", "arccos",
            "arctan", "arcsinh", "arctanh", "exp2", "expm1", "log1p", "log2", "log10", "cbrt",
            "square", "abs", "prod", "cumsum", "cumprod", "sort", "max",
        )
    },
    **{
        name: getattr(special, name)
        for name in ("erf", "erfc", "erfinv", "gammaln", "digamma", "expit")
    },
    "arccosh": lambda x: np.arccosh(x + 1.5),
    "arctan2": lambda x: np.arctan2(x, x[::-1] + 1.0),
    "power": lambda x: x**2.7,
    "both powers": lambda x: x**x,
    "seventh": lambda x: x**7,
    "inverse cube": lambda x: x**-3,
    "quotient": lambda x: x / (1.0 + x * x),
    "matrix": lambda x: np.outer(x, np.sin(x)) @ x,
    "logsumexp": lambda x: np.log(np.sum(np.exp(x))),
    "where": lambda x: np.where(x > 0.4, np.sqrt(x), x),
    "indexed": lambda x: x[np.array([2, 0, 2])] * x,
    "solve": lambda x: np.linalg.solve(DOMINANT + np.outer(x, np.sin(x)), x),
    "cholesky": lambda x: np.linalg.cholesky(DOMINANT + np.outer(x, x)),
    "slogdet": lambda x: np.linalg.slogdet(DOMINANT + np.outer(x, x))[1],
    "scan": scanned,
    "while": counted,
    "cond": lambda x: tj.lax.cond(x[0] > 0, np.sin, np.cos, x),
    "jit": lambda x: tj.jit(lambda y: np.exp(y) * y)(x),
    "checkpoint": lambda x: tj.checkpoint(lambda y: np.exp(y) * np.sin(y))(x),
    "root": rooted,
    "gradient": tj.grad(lambda x: np.sum(np.tanh(x) ** 3)),
    "gradient of scan": tj.grad(lambda x: np.sum(scanned(x))),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_series_are_nested_derivatives(name: str) -> None:
    f, terms = FUNCTIONS[name], path(4)
    value, series = jet(f, (X,), (terms,))
    np.testing.assert_allclose(value, f(X), rtol=1e-15)
    for found, wanted in zip(series, nested(f, X, terms), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["sin", "exp", "log", "tanh", "sqrt", "cumsum", "expm1"])
@pytest.mark.parametrize("factorial_scaled", [True, False])
def test_conventions_are_those_of_jax(name: str, factorial_scaled: bool) -> None:
    terms = path(3)
    value, series = jet(getattr(np, name), (X,), (terms,), factorial_scaled)
    with jax.enable_x64(True):
        expected, wanted = jax_jet(
            getattr(jnp, name), (X,), (terms,), factorial_scaled=factorial_scaled
        )
    np.testing.assert_allclose(value, expected, rtol=1e-14)
    assert isinstance(series, list) and len(series) == 3
    np.testing.assert_allclose(np.stack(series), np.stack(wanted), rtol=1e-10, atol=1e-12)


def test_high_order_against_the_closed_form() -> None:
    """The derivatives of exp, tan and the fifth power at 0 are whole numbers."""
    order = 12
    terms = [1.0] + [0.0] * (order - 1)
    _, exps = jet(np.exp, (0.0,), (terms,))
    np.testing.assert_allclose(exps, np.ones(order))
    _, tans = jet(np.tan, (0.0,), (terms,))
    np.testing.assert_allclose(tans[::2], [1, 2, 16, 272, 7936, 353792])
    _, powers = jet(lambda x: x**5, (0.0,), (terms,))
    np.testing.assert_array_equal(powers, [0, 0, 0, 0, 120, *[0] * 7])


class Pair(NamedTuple):
    u: Any
    v: Any


def test_trees() -> None:
    def f(p: Pair, q: dict[str, Any]) -> dict[str, Any]:
        return {"s": p.u * q["a"], "t": (p.v, np.sum(p.u))}

    p, q = Pair(X, 2.0), {"a": X}
    zero = np.zeros(3)
    value, series = jet(f, (p, q), ([Pair(X, 1.0), Pair(zero, 0.0)], [{"a": X}, {"a": zero}]))
    np.testing.assert_allclose(value["s"], X * X)
    np.testing.assert_allclose(series["s"], [2 * X * X, 2 * X * X])
    np.testing.assert_allclose(series["t"][0], [1.0, 0.0])
    np.testing.assert_allclose(series["t"][1], [np.sum(X), 0.0])


def test_results_that_do_not_move_have_zeros() -> None:
    value, series = jet(lambda x: (np.floor(x), 3), (X,), ([X, X],))
    assert value[1] == 3
    np.testing.assert_array_equal(series[0], np.zeros((2, 3)))
    assert series[1][0].dtype == tj.float0


def test_nests_with_the_other_transforms() -> None:
    def second(x: Any) -> Any:
        return jet(lambda y: np.sin(y) * y, (x,), ((1.0, 0.0),))[1][1]

    by_grad = tj.grad(tj.grad(lambda y: np.sin(y) * y))
    np.testing.assert_allclose(second(0.3), by_grad(0.3))
    np.testing.assert_allclose(tj.jit(second)(0.3), by_grad(0.3))
    np.testing.assert_allclose(tj.grad(second)(0.3), tj.grad(by_grad)(0.3))
    np.testing.assert_allclose(tj.vmap(second)(X), [by_grad(x) for x in X])


def test_effects_take_place_once() -> None:
    seen: list[float] = []

    def f(x: Any) -> Any:
        tj.debug.callback(lambda v: seen.append(float(v)), x)
        return tj.lax.cond(x > 0, lambda y: logged(y) ** 2, lambda y: y, x)

    def logged(y: Any) -> Any:
        tj.debug.callback(lambda v: seen.append(-float(v)), y)
        return y

    _, series = jet(f, (3.0,), ((1.0, 0.0, 0.0),))
    assert (series, seen) == ([6.0, 2.0, 0.0], [3.0, -3.0])


@pytest.mark.parametrize("backend", ["native", "xla"])
@pytest.mark.parametrize("name", ["scan", "while", "cond", "solve", "sort", "gradient of scan"])
def test_backends_agree(name: str, backend: str) -> None:
    f, terms = FUNCTIONS[name], path(3)
    _, expected = jet(f, (X,), (terms,))
    _, series = tj.jit(lambda x, terms: jet(f, (x,), (terms,)), backend=backend)(X, terms)
    np.testing.assert_allclose(np.stack(series), np.stack(expected), rtol=1e-10, atol=1e-12)


def test_work_grows_with_the_square_of_the_order() -> None:
    """Nested jvp doubles the program with each order."""

    def size(order: int) -> int:
        terms = [1.0] + [0.0] * (order - 1)
        program = tj.make_jaxpr(lambda x: jet(lambda y: np.exp(np.sin(y)), (x,), (terms,))[1])(1.0)
        return count_equations(program)

    assert size(12) < 5 * size(6)


def test_messages() -> None:
    with pytest.raises(ArgumentError, match="different lengths"):
        jet(lambda x, y: x, (1.0, 2.0), ([1.0], [1.0, 2.0]))
    with pytest.raises(ArgumentError, match="2 primals and 1 series"):
        jet(lambda x, y: x, (1.0, 2.0), ([1.0],))
    with pytest.raises(ArgumentError, match="must be a tuple"):
        jet(np.sin, 1.0, ([1.0],))
    with pytest.raises(ArgumentError, match="a sequence of terms"):
        jet(np.sin, (1.0,), (1.0,))
    with pytest.raises(ShapeError, match="term 1"):
        jet(np.sin, (X,), ([X, 1.0 + np.zeros(2)],))
    with pytest.raises(TreeError, match="term 0"):
        jet(lambda p: p["a"], ({"a": X},), ([{"b": X}],))


def test_terms_may_be_rows_of_an_array() -> None:
    terms = np.stack(path(3))
    for mine, expected in zip(
        jet(np.sin, (X,), (terms,))[1], jet(np.sin, (X,), (list(terms),))[1], strict=True
    ):
        np.testing.assert_array_equal(mine, expected)
    by_rows = tj.vmap(lambda s: jet(np.sin, (1.0,), (s,))[1][0])(np.eye(3))
    np.testing.assert_allclose(by_rows, [np.cos(1.0), 0.0, 0.0])


def test_a_rule_for_reverse_mode_alone_is_named_where_it_is_used() -> None:
    @tj.custom_vjp
    def squared(x):
        return x * x

    squared.defvjp(lambda x: (x * x, x), lambda x, ct: (2 * x * ct,))
    with pytest.raises(GradError, match="forward-mode .*: squared\n  at .*test_jet.py"):
        jet(lambda x: np.sin(squared(x)), (1.0,), ([1.0, 0.0],))


def test_nan_of_a_series_is_reported() -> None:
    with tj.debug_nans(True), pytest.raises(FloatingPointError, match=r"\(Taylor mode\)"):
        jet(lambda x: np.sqrt(x) * x, (0.0,), ([1.0, 0.0, 0.0],))

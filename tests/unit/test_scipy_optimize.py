"""SciPy's solvers on NumPy functions of trees: results, derivatives, arguments, mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from scipy import optimize as scipy
from scipy import sparse

import tracejit as tj
from tracejit import tree
from tracejit.errors import ArgumentError, BackendError, DTypeError, ShapeError
from tracejit.scipy.optimize import (
    Bounds,
    LinearConstraint,
    NonlinearConstraint,
    curve_fit,
    least_squares,
    minimize,
    minimize_scalar,
    root,
    root_scalar,
)

START = [1.3, 0.7, 0.8, 1.9]


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


class Line(NamedTuple):
    """Parameters."""

    w: Any
    b: Any


def line_loss(p: Any, X: Any, y: Any) -> Any:
    return np.mean((X @ p.w + p.b - y) ** 2)


def line_data(dtype: Any = float) -> tuple[Any, Any]:
    X = np.random.default_rng(0).normal(size=(50, 3)).astype(dtype)
    return X, X @ np.array([1.0, 2.0, 3.0], dtype) + dtype(0.5)


# ---- minimize


FIRST = ["CG", "BFGS", "L-BFGS-B", "TNC", "SLSQP"]
SECOND = ["Newton-CG", "trust-ncg", "trust-krylov", "trust-exact", "trust-constr"]


@pytest.mark.parametrize("method", [*FIRST, *SECOND])
def test_a_method_takes_the_path_that_exact_derivatives_give(method: str) -> None:
    mine = minimize(rosenbrock, START, method=method)
    hess = {"hess": scipy.rosen_hess} if method in SECOND else {}
    want = scipy.minimize(scipy.rosen, START, jac=scipy.rosen_der, method=method, **hess)
    np.testing.assert_allclose(mine.x, want.x, atol=1e-4)
    assert mine.nfev <= 1.5 * want.nfev  # roundings differ
    np.testing.assert_allclose(mine.x, 1.0, atol=2e-3)


@pytest.mark.parametrize("method", ["Nelder-Mead", "Powell"])
def test_methods_without_derivatives(method: str) -> None:
    assert minimize(rosenbrock, START, method=method).fun < 1e-6


def test_second_derivatives_on_demand() -> None:
    for asked in ({"hess": True}, {"hessp": True}):
        found = minimize(rosenbrock, START, method="trust-ncg", **asked)
        np.testing.assert_allclose(found.x, 1.0, atol=1e-4)


def test_derivatives_of_the_users_own() -> None:
    calls = []

    def slope(p: Any, scale: float) -> Any:
        calls.append(p)
        return {"x": scale * scipy.rosen_der(p["x"])}

    f = lambda p, scale: scale * rosenbrock(p["x"])
    found = minimize(
        f, {"x": np.array(START)}, args=(2.0,), jac=slope, method="Newton-CG",
        hess=lambda p, scale: scale * scipy.rosen_hess(p["x"]),
    )  # fmt: skip
    np.testing.assert_allclose(found.x["x"], 1.0, atol=1e-4)
    assert calls
    product = lambda p, d, scale: {"x": scale * scipy.rosen_hess_prod(p["x"], d["x"])}
    found = minimize(
        f, {"x": np.array(START)}, args=2.0, method="Newton-CG", hessp=product, jac=slope
    )
    np.testing.assert_allclose(found.x["x"], 1.0, atol=1e-4)
    wrong = minimize(lambda x: (rosenbrock(x), 2.0 * x), START, jac=True, options={"maxiter": 1})
    np.testing.assert_allclose(wrong.jac, 2.0 * wrong.x)
    numeric = minimize(rosenbrock, START, jac="3-point")
    np.testing.assert_allclose(numeric.x, 1.0, atol=1e-4)


def test_values_and_gradients_are_computed_together() -> None:
    runs = []

    @tj.jit
    def counted(x: Any) -> Any:
        tj.debug.callback(lambda: runs.append(1))
        return rosenbrock(x)

    found = minimize(counted, START, method="BFGS")
    assert found.njev == found.nfev == len(runs)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_trees_go_in_and_come_out(dtype: Any) -> None:
    X, y = line_data(dtype)
    seen: list[Any] = []
    start = Line(np.zeros(3, dtype), dtype(0))
    found = minimize(line_loss, start, args=(X, y), callback=seen.append)
    assert isinstance(found.x, Line) and isinstance(found.jac, Line)
    assert found.x.w.dtype == found.x.b.dtype == dtype and found.x.b.shape == ()
    np.testing.assert_allclose(found.x.w, [1, 2, 3], atol=1e-4)
    assert isinstance(seen[-1], Line) and len(seen) == found.nit

    def told(intermediate_result: Any) -> None:
        seen.append(intermediate_result)

    minimize(line_loss, start, args=(X, y), callback=told)
    assert isinstance(seen[-1].x, Line) and seen[-1].fun < 1e-6


def test_what_scipy_takes_is_what_it_is_there() -> None:
    square = lambda x: np.sum((x - 3.0) ** 2)
    for start, shape in ((1.0, (1,)), ([1, 2], (2,)), ((1.0, 2), (2,)), (np.ones((2, 2)), (2, 2))):
        found = minimize(square, start).x
        assert found.shape == shape and found.dtype == np.float64
        np.testing.assert_allclose(found, 3.0, atol=1e-5)
    assert minimize(square, np.ones(2, np.float32)).x.dtype == np.float32


def test_bounds() -> None:
    X, y = line_data()
    start = Line(np.zeros(3), 0.0)
    found = minimize(
        line_loss, start, args=(X, y), bounds=(Line(0.0, -1.0), Line(np.array([9, 9, 2.5]), 0.25))
    )
    assert found.x.w[2] == 2.5 and found.x.b == 0.25
    pairs = minimize(rosenbrock, START, bounds=[(None, 0.5)] * 4).x
    np.testing.assert_allclose(pairs, minimize(rosenbrock, START, bounds=Bounds(ub=[0.5] * 4)).x)
    assert pairs.max() <= 0.5


def test_constraints_have_derivatives_too() -> None:
    """The tutorial's: x0 + 2 x1 <= 1, x0^2 + x1 <= 1, x0^2 - x1 <= 1, 2 x0 + x1 = 1."""
    both = lambda x: [x[0] ** 2 + x[1], x[0] ** 2 - x[1]]
    linear = LinearConstraint([[1, 2], [2, 1]], [-np.inf, 1], [1, 1])
    found = minimize(
        rosenbrock, [0.5, 0.0], method="trust-constr", bounds=Bounds([0, -0.5], [1.0, 2.0]),
        constraints=[NonlinearConstraint(both, -np.inf, 1), linear],
    )  # fmt: skip
    np.testing.assert_allclose(found.x, [0.41494475, 0.1701105], atol=1e-5)
    held = [
        {"type": "ineq", "fun": lambda x: 1 - np.stack([x[0] + 2 * x[1], *both(x)])},
        {"type": "eq", "fun": lambda x, a: 2 * x[0] + x[1] - a, "args": (1.0,)},
    ]
    found = minimize(rosenbrock, [0.5, 0.0], method="SLSQP", constraints=held)
    np.testing.assert_allclose(found.x, [0.41494475, 0.1701105], atol=1e-4)
    points = []

    def noted(x: Any) -> Any:
        tj.debug.callback(lambda at: points.append(tuple(at)), x)
        return 1 - x @ x

    found = minimize(rosenbrock, [0.5, 0.0], constraints={"type": "ineq", "fun": noted})
    assert len(set(points)) <= found.nfev  # no differences: nothing is asked for beside the path
    tied = {"type": "eq", "fun": lambda p: p["a"] - p["b"], "jac": lambda p: np.array([[1.0, -1]])}
    found = minimize(
        lambda p: (p["a"] - 1) ** 2 + (p["b"] - 3) ** 2, {"a": 0.0, "b": 0.0}, constraints=tied
    )
    np.testing.assert_allclose([found.x["a"], found.x["b"]], 2.0, atol=1e-6)


def test_a_compiled_function_stays_compiled() -> None:
    traces = []

    @tj.jit
    def f(x: Any, scale: float) -> Any:
        traces.append(1)
        return scale * np.sum((x - 1) ** 2)

    for scale in (1.0, 2.0, 3.0):
        minimize(f, np.zeros(3), args=(scale,))
    assert len(traces) == 1
    minimize(f, np.zeros(4), args=(1.0,))
    assert len(traces) == 2


def test_what_a_plain_function_reads_may_change() -> None:
    goal = np.ones(2)
    f = lambda x: np.sum((x - goal) ** 2)
    np.testing.assert_allclose(minimize(f, np.zeros(2)).x, 1.0, atol=1e-6)
    goal[:] = 5.0
    np.testing.assert_allclose(minimize(f, np.zeros(2)).x, 5.0, atol=1e-6)


def test_other_arguments_belong_to_the_function() -> None:
    def f(x: Any, kind: str, power: int, inner: Any) -> Any:
        y = inner(x) if kind == "inner" else x
        return np.sum((y - 2.0) ** power)

    found = minimize(f, np.ones(2), args=("inner", 2, np.sqrt))
    np.testing.assert_allclose(found.x, 4.0, atol=1e-4)


# ---- the others


def decay(p: Any, t: Any, y: Any) -> Any:
    return p["a"] * np.exp(-p["k"] * t) - y


T = np.linspace(0, 3, 40)
Y = 2.5 * np.exp(-1.3 * T)


@pytest.mark.parametrize("method", ["trf", "dogbox", "lm"])
def test_least_squares(method: str) -> None:
    found = least_squares(decay, {"a": 1.0, "k": 1.0}, args=(T,), kwargs={"y": Y}, method=method)
    assert found.x["a"] == pytest.approx(2.5) and found.x["k"] == pytest.approx(1.3)
    np.testing.assert_allclose(found.jac[:, 0], np.exp(-1.3 * T), atol=1e-6)


def test_least_squares_bounds_and_jacobians() -> None:
    free = {"a": 1.0, "k": 1.0}
    bounds = ({"a": 0.0, "k": 0.0}, {"a": 2.0, "k": 5.0})
    found = least_squares(decay, free, args=(T, Y), bounds=bounds)
    assert found.x["a"] == pytest.approx(2.0)
    wide = least_squares(lambda x: np.array([1.0, 2.0]) @ x - 3.0, np.zeros(2))  # more unknowns
    assert wide.cost == pytest.approx(0.0)
    start, eye = np.full(2, 0.1), np.eye(2)
    given = least_squares(lambda x: x - 1.0, start, jac=lambda x: eye, bounds=(0, 0.5))
    np.testing.assert_allclose(given.x, 0.5, atol=1e-6)
    with_names = least_squares(decay, free, args=(T, Y), jac="3-point")
    assert with_names.x["k"] == pytest.approx(1.3)


def test_curve_fit() -> None:
    model = lambda t, a, k, c: a * np.exp(-k * t) + c
    noisy = Y + 0.01 * np.random.default_rng(1).normal(size=T.size)
    mine, spread = curve_fit(model, T, noisy)
    want, same = scipy.curve_fit(model, T, noisy)
    np.testing.assert_allclose(mine, want, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(spread, same, rtol=1e-3)
    sigma = np.linspace(1, 2, T.size)
    for options in ({"sigma": sigma}, {"bounds": (0, [2.0, 2.0, 1.0])}, {"p0": [1, 1, 0]}):
        np.testing.assert_allclose(
            curve_fit(model, T, noisy, **options)[0],
            scipy.curve_fit(model, T, noisy, **options)[0], rtol=1e-4, atol=1e-5,
        )  # fmt: skip


def test_root() -> None:
    f = lambda x: [x[0] * np.cos(x[1]) - 4, x[1] * x[0] - x[1] - 5]
    found = root(f, [1.0, 1.0])
    np.testing.assert_allclose(found.x, [6.50409711, 0.90841421])
    assert found.nfev < scipy.root(f, [1.0, 1.0]).nfev  # which needs differences
    pair = lambda p, c: {"u": p["u"] ** 2 - c, "v": p["u"] * p["v"] - 1}
    for method in ("hybr", "lm"):
        got = root(pair, {"u": 1.0, "v": 1.0}, args=(2.0,), method=method).x
        assert got["u"] == pytest.approx(np.sqrt(2)) and got["v"] == pytest.approx(np.sqrt(0.5))
    given = root(lambda x: x**2 - 2, [1.0], jac=lambda x: np.diag(2 * x))
    assert given.x[0] == pytest.approx(np.sqrt(2))
    branched = root(lambda x: x**2 - 2 if x[0] > 0 else -x, [1.0])
    assert branched.x[0] == pytest.approx(np.sqrt(2))
    seen: list[Any] = []
    root(pair, {"u": 1.0, "v": 1.0}, args=(2.0,), method="krylov",
         callback=lambda p, f: seen.append(p["u"]))  # fmt: skip
    assert seen


ROOTS = [
    ("newton", {"x0": 1.0}), ("halley", {"x0": 1.0}), (None, {"x0": 1.0}),
    ("brentq", {"bracket": (0, 3)}), (None, {"bracket": (0, 3)}),
    ("secant", {"x0": 1.0, "x1": 2.0}),
]  # fmt: skip


@pytest.mark.parametrize(("method", "where"), ROOTS)
def test_root_scalar(method: str | None, where: dict[str, Any]) -> None:
    found = root_scalar(lambda x, c: x**3 - c, args=(7.0,), method=method, **where)
    assert found.converged and found.root == pytest.approx(7 ** (1 / 3))


def test_root_scalar_with_given_derivatives() -> None:
    both = root_scalar(lambda x: (x**2 - 2, 2 * x), x0=1.0, fprime=True)
    one = root_scalar(lambda x, c: x**2 - c, args=2.0, x0=1.0, fprime=lambda x, c: 2 * x)
    assert both.root == one.root == pytest.approx(np.sqrt(2))
    exact = root_scalar(lambda x: x**2 - 2, x0=1.0, method="halley")
    assert exact.iterations <= both.iterations


def test_minimize_scalar() -> None:
    f = lambda x, a: (x - a) ** 2 + np.cos(x)
    for options in ({}, {"bracket": (0, 1)}, {"bounds": (0, 4), "method": "bounded"}):
        mine = minimize_scalar(f, args=(2.0,), **options)
        want = scipy.minimize_scalar(f, args=(2.0,), **options)
        assert mine.x == pytest.approx(want.x, abs=1e-6)


# ---- mistakes


def test_mistakes_are_named() -> None:
    with pytest.raises(ShapeError, match=r"loss returns an array of shape \(3,\)"):
        loss = lambda x: x
        loss.__name__ = "loss"
        minimize(loss, np.ones(3))
    with pytest.raises(ArgumentError, match="minimize was called on values that are traced"):
        tj.jit(lambda x: minimize(rosenbrock, x).x)(np.ones(3))
    with pytest.raises(DTypeError, match=r"x0\['a'\] has dtype <U1"):
        minimize(rosenbrock, {"a": "b"})
    with pytest.raises(ArgumentError):
        minimize(3, np.ones(3))
    with pytest.raises(tj.errors.TreeError, match="differ"):
        minimize(lambda p: p["a"] ** 2, {"a": 1.0}, jac=lambda p: {"b": 1.0})


def test_without_scipy_the_error_says_so() -> None:
    program = """
import sys
sys.modules["scipy.optimize"] = None
try:
    from tracejit.scipy import optimize
except Exception as error:
    print(type(error).__name__, error)
"""
    source = str(Path(tj.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": source},
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout.startswith(f"{BackendError.__name__} tracejit.scipy.optimize needs SciPy")


def test_the_module_is_there_and_loads_late() -> None:
    assert tj.scipy.optimize.minimize is minimize
    with pytest.raises(AttributeError, match="special"):
        _ = tj.scipy.optimise
    assert tree.structure(minimize(rosenbrock, START).x).kind == "leaf"


# ---- sparse derivatives


def broyden(x: Any) -> Any:
    """Broyden's tridiagonal equations."""
    before, after = np.append(0.0, x[:-1]), np.append(x[1:], 0.0)
    return (3.0 - 2.0 * x) * x - before - 2.0 * after + 1.0


def chained(x: Any) -> Any:
    return np.sum(100.0 * (x[1:] - x[:-1] ** 2) ** 2 + (1.0 - x[:-1]) ** 2)


BAND = sparse.diags_array(np.ones((3, 12)), offsets=[-1, 0, 1], shape=(12, 12))


@pytest.mark.parametrize("asked", [{"jac": "sparse"}, {"jac_sparsity": BAND}])
def test_least_squares_with_a_sparse_jacobian(asked: dict[str, Any]) -> None:
    fit = least_squares(broyden, -np.ones(12), **asked)
    assert fit.cost < 1e-15 and sparse.issparse(fit.jac) and fit.jac.nnz == 34
    dense = least_squares(broyden, -np.ones(12))
    np.testing.assert_allclose(fit.x, dense.x, rtol=1e-6)


def test_root_with_a_jacobian_computed_as_a_sparse_one() -> None:
    for method in ("hybr", "lm"):
        found = root(broyden, -np.ones(12), jac="sparse", method=method)
        assert found.success
        np.testing.assert_allclose(broyden(found.x), 0.0, atol=1e-6)
    found = root(broyden, -np.ones(12), jac=tj.sparse_jacobian(broyden))
    assert found.success


@pytest.mark.parametrize("method", ["trust-constr", "Newton-CG"])
def test_minimize_with_a_sparse_hessian(method: str) -> None:
    fit = minimize(chained, np.full(12, 0.9), method=method, hess="sparse")
    np.testing.assert_allclose(fit.x, 1.0, atol=1e-3)


@pytest.mark.parametrize(
    "asked", [{"jac": "sparse"}, {"finite_diff_jac_sparsity": np.eye(11, 12) + np.eye(11, 12, 1)}]
)
def test_constraints_with_sparse_derivatives(asked: dict[str, Any]) -> None:
    def products(x: Any) -> Any:
        return x[1:] * x[:-1]

    fits = [
        minimize(chained, np.full(12, 0.5), method="trust-constr", hess="sparse",
                 constraints=scipy.NonlinearConstraint(products, -np.inf, 0.5, **given))
        for given in (asked, {})
    ]  # fmt: skip
    assert sparse.issparse(fits[0].jac[0])
    np.testing.assert_allclose(fits[0].x, fits[1].x, atol=1e-5)


def test_there_has_to_be_something_to_find() -> None:
    with pytest.raises(ArgumentError, match="x0 of minimize holds no number"):
        minimize(chained, np.zeros(0))

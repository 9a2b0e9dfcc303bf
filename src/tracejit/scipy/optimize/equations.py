"""root, root_scalar, least_squares and curve_fit, with the derivatives that they ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import optimize as scipy

from tracejit.api.gradients import grad
from tracejit.scipy.optimize.minimizing import (
    bounds_of,
    callback_of,
    scalar_problem,
    unflattened,
)
from tracejit.scipy.optimize.vectors import (
    Fused,
    Problem,
    Vector,
    float64,
    for_scipy,
    fused,
    jacobian_of,
    number,
    numbers,
    sparse_jacobian_of,
    with_pattern,
)

#: The methods of `root` that take a Jacobian.
JACOBIANS = {"hybr", "lm"}


def root(
    fun: Callable[..., Any], x0: Any, args: Any = (), method: str = "hybr", jac: Any = None,
    tol: float | None = None, callback: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> scipy.OptimizeResult:  # fmt: skip
    """`scipy.optimize.root` of a NumPy function of a tree, with the Jacobian of its program.

    fun: (x, *args) to a tree of as many numbers as x has. jac: None for the Jacobian, "sparse" for
    one that is computed as a sparse one, a function of (x, *args), or as in SciPy. `result.x` has
    the structure of x0; fun and fjac are SciPy's.
    """
    vector = Vector(x0, "root")
    problem = Problem(fun, vector, args, "root")
    takes = method.lower() in JACOBIANS
    result = scipy.root(
        problem.program(numbers), vector.start, method=method, tol=tol, options=options,
        jac=_dense(_jacobian(problem, args, jac)) if takes else jac,
        callback=callback and (lambda x, f: callback(vector.tree(x), f)),
    )  # fmt: skip
    return unflattened(vector, result)


def least_squares(
    fun: Callable[..., Any], x0: Any, jac: Any = None, bounds: Any = (-np.inf, np.inf),
    method: str = "trf", *, args: Any = (), kwargs: Mapping[str, Any] | None = None, **options: Any,
) -> scipy.OptimizeResult:  # fmt: skip
    """`scipy.optimize.least_squares` of a NumPy function of a tree, with its program's Jacobian.

    fun: (x, *args, **kwargs) to a tree of residuals. jac: None for the Jacobian, by the mode with
    fewer directions; "sparse" for a sparse one; a function, or SciPy's names. bounds: SciPy's, or a
    pair of trees for a tree. jac_sparsity: its pattern, which makes it sparse. options: the other
    arguments of SciPy. `result.x` has the structure of x0; the rest is SciPy's.
    """
    vector = Vector(x0, "least_squares")
    bound = functools.partial(fun, **kwargs) if kwargs else fun
    problem = Problem(bound, vector, args, "least_squares")
    pattern = options.pop("jac_sparsity", None) if jac is None and method != "lm" else None
    if callback := options.pop("callback", None):
        options["callback"] = callback_of(vector, callback)
    result = scipy.least_squares(
        problem.program(numbers), vector.start, jac=_jacobian(problem, args, jac, pattern),
        bounds=bounds_of(vector, bounds),
        method=method, **options,
    )  # fmt: skip
    found = type(result)(result)
    found["x"] = vector.tree(result["x"])
    return found


def curve_fit(
    f: Callable[..., Any], xdata: Any, ydata: Any, p0: Any = None, *args: Any, jac: Any = None,
    **options: Any,
) -> Any:  # fmt: skip
    """`scipy.optimize.curve_fit`: f(xdata, *parameters) compiled, with its Jacobian.

    The other arguments and the result are SciPy's.
    """

    float64(ydata)
    programs = _Model(f)
    return scipy.curve_fit(
        programs.value, xdata, ydata, p0, *args,
        jac=programs.slope if jac is None else jac, **options,
    )  # fmt: skip


class _Model:
    """A model and its Jacobian for the data at hand, compiled when SciPy first asks for them."""

    def __init__(self, f: Callable[..., Any]):
        self.f = f
        self._data: Any = None
        # SciPy counts the parameters of what it is given.
        self.value = functools.wraps(f)(lambda x, *p: self._run(numbers, x, p))

    def slope(self, x: Any, *parameters: Any) -> np.ndarray:
        """(number of data, number of parameters)."""
        return self._run(jacobian_of, x, parameters)

    def _run(self, make: Callable[..., Any], x: Any, parameters: tuple[Any, ...]) -> Any:
        point = np.array(parameters, np.float64)
        if x is not self._data:
            f, count = self.f, len(point)
            problem = Problem(
                lambda p, data: f(data, *[p[i] for i in range(count)]), Vector(point, "curve_fit"),
                (x,), "curve_fit",
            )  # fmt: skip
            self._data = x
            self._programs = {m: problem.program(m) for m in (numbers, jacobian_of)}
        return self._programs[make](point)


def root_scalar(
    f: Callable[..., Any], args: Any = (), method: str | None = None, bracket: Any = None,
    fprime: Any = None, fprime2: Any = None, x0: Any = None, x1: Any = None, **options: Any,
) -> scipy.RootResults:  # fmt: skip
    """`scipy.optimize.root_scalar` with f compiled; newton and halley get its derivatives.

    options: xtol, rtol, maxiter, options, as in SciPy.
    """
    problem = scalar_problem(f, args, "root_scalar")
    newton = method is None and bracket is None and x0 is not None and x1 is None
    name = "newton" if newton else (method or "").lower()
    value: Callable[..., Any]
    if name in ("newton", "halley") and fprime is None and fprime2 is None:
        both = Fused(problem.program(fused))
        value = lambda x: both.value(np.float64(x))
        fprime = lambda x: both.gradient(np.float64(x))
        if name == "halley":
            second = problem.program(_second)
            fprime2 = lambda x: second(np.float64(x))
    else:
        rest = args if isinstance(args, tuple) else (args,)
        program = problem.program(_plain if fprime is True else number)
        value = lambda x: program(np.float64(x))
        first, twice = fprime, fprime2
        fprime = (lambda x: first(x, *rest)) if callable(first) else first
        fprime2 = (lambda x: twice(x, *rest)) if callable(twice) else twice
    return scipy.root_scalar(
        value, method=method, bracket=bracket, fprime=fprime, fprime2=fprime2, x0=x0, x1=x1,
        **options,
    )  # fmt: skip


def _second(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to the second derivative of a function of a number."""
    return grad(grad(number(problem)))


def _plain(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to what the function returns."""
    return problem.whole


def _jacobian(problem: Problem, args: Any, jac: Any, pattern: Any = None) -> Any:
    if pattern is not None:
        return for_scipy(problem.program(with_pattern(pattern)))
    if jac is None:
        return problem.program(jacobian_of)
    if isinstance(jac, str) and jac == "sparse":
        return for_scipy(problem.program(sparse_jacobian_of))
    if callable(jac):
        vector, rest = problem.vector, args if isinstance(args, tuple) else (args,)
        return lambda x: jac(vector.tree(x), *rest)
    return jac


def _dense(jac: Any) -> Any:
    """A Jacobian for solvers that take dense ones alone."""
    if not callable(jac):
        return jac

    def dense(x: Any) -> Any:
        found = jac(x)
        return found.toarray() if hasattr(found, "toarray") else found

    return dense

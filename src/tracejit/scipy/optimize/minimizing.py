"""minimize and minimize_scalar: SciPy's methods with the derivatives that they ask for."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from scipy import optimize as scipy

from tracejit.scipy.optimize.vectors import (
    Fused,
    Problem,
    Vector,
    combined_hessian,
    combined_sparse_hessian,
    for_scipy,
    fused,
    given_gradient,
    hessian_of,
    hessian_product,
    jacobian_of,
    number,
    numbers,
    sparse_hessian_of,
    sparse_jacobian_of,
    with_pattern,
)

#: Methods that take no gradient; those that take products with the Hessian; those that need all.
VALUES_ONLY = {"nelder-mead", "powell", "cobyla", "cobyqa"}
PRODUCTS = {"newton-cg", "trust-ncg", "trust-krylov", "trust-constr"}
MATRICES = {"dogleg", "trust-exact"}


def minimize(
    fun: Callable[..., Any], x0: Any, args: Any = (), method: Any = None, jac: Any = None,
    hess: Any = None, hessp: Any = None, bounds: Any = None, constraints: Any = (),
    tol: float | None = None, callback: Callable[..., Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> scipy.OptimizeResult:  # fmt: skip
    """`scipy.optimize.minimize` of a NumPy function of a tree; derivatives come from its program.

    fun:     (x, *args) to one number. Compiled together with its gradient, once; a function that
             `jit` has compiled keeps that for later calls.
    x0:      a tree of arrays or numbers, or what SciPy takes. `result.x`, and what `fun`,
             `callback`, constraints, `jac` and `hessp` are given, have its structure and dtypes.
    args:    arrays and floats may change from call to call; other things belong to the program.
    jac:     None for the gradient by reverse mode; a function, True, or SciPy's names as in SciPy.
    hess, hessp: None gives methods that take second derivatives products with the Hessian (forward
             over reverse), those that need the matrix (dogleg, trust-exact) the matrix. True asks
             for the one or the other, hess="sparse" for a sparse matrix (trust-constr, Newton-CG).
             Functions and SciPy's names as in SciPy.
    bounds:  as in SciPy; for a tree also a pair of trees (lower, upper), each a prefix of x0.
    constraints: as in SciPy; Jacobians (and for trust-constr Hessians) that are not given come from
             the constraint's program, too. NonlinearConstraint(..., jac="sparse"), or with a
             finite_diff_jac_sparsity, has sparse ones.

    The other arguments are SciPy's. Raises ShapeError where `fun` returns more than one number,
    ArgumentError where x0 is traced, and what tracing and SciPy raise.
    """
    vector = Vector(x0, "minimize")
    problem = Problem(fun, vector, args, "minimize")
    value, slope = _value_and_slope(problem, args, method, jac)
    hess, hessp = _second(problem, args, method, hess, hessp)
    result = scipy.minimize(
        value, vector.start, method=method, jac=slope, hess=hess, hessp=hessp,
        bounds=bounds_of(vector, bounds), constraints=_constraints(vector, constraints, method),
        tol=tol, callback=callback_of(vector, callback), options=options,
    )  # fmt: skip
    return unflattened(vector, result)


def minimize_scalar(
    fun: Callable[..., Any], bracket: Any = None, bounds: Any = None, args: Any = (),
    method: Any = None, tol: float | None = None, options: Mapping[str, Any] | None = None,
) -> scipy.OptimizeResult:  # fmt: skip
    """`scipy.optimize.minimize_scalar`, `fun` compiled. Its methods take no derivatives."""
    value = scalar_problem(fun, args, "minimize_scalar").program(number)
    return scipy.minimize_scalar(
        lambda x: value(np.float64(x)), bracket=bracket, bounds=bounds, method=method, tol=tol,
        options=options,
    )  # fmt: skip


class _Number(Vector):
    """x as a number."""

    def __init__(self) -> None:
        super().__init__({"x": 0.0}, "")
        self.start = np.float64(0.0)  # type: ignore[assignment]

    def tree(self, x: Any) -> Any:
        return x


def scalar_problem(fun: Callable[..., Any], args: Any, what: str) -> Problem:
    """The problem of a function of a number."""
    return Problem(fun, _Number(), args, what)


# ---- the arguments of SciPy


def _name(method: Any) -> str:
    return method.lower() if isinstance(method, str) else ""


def _arguments(args: Any) -> tuple[Any, ...]:
    return args if isinstance(args, tuple) else (args,)


def _value_and_slope(problem: Problem, args: Any, method: Any, jac: Any) -> tuple[Any, Any]:
    vector = problem.vector
    if callable(jac):
        rest = _arguments(args)
        return problem.program(number), lambda x: vector.flat(jac(vector.tree(x), *rest))
    if jac is True or (jac is None and _name(method) not in VALUES_ONLY):
        both = Fused(problem.program(given_gradient if jac is True else fused))
        return both.value, both.gradient
    return problem.program(number), jac


def _second(problem: Problem, args: Any, method: Any, hess: Any, hessp: Any) -> tuple[Any, Any]:
    vector, rest, name = problem.vector, _arguments(args), _name(method)
    if hess is None and hessp is None:
        hess, hessp = name in MATRICES or None, name in PRODUCTS or None
    given, product = hess, hessp
    if given is True:
        hess = problem.program(hessian_of)
    elif _is_sparse(given):
        hess = for_scipy(problem.program(sparse_hessian_of))
    elif callable(given) and not isinstance(given, scipy.HessianUpdateStrategy):
        hess = lambda x: given(vector.tree(x), *rest)
    if product is True:
        along = problem.program(hessian_product)
        hessp = lambda x, p: along(x, np.asarray(p, np.float64))  # SciPy asks along int8, too
    elif callable(product):
        hessp = lambda x, p: vector.flat(product(vector.tree(x), vector.tree(p), *rest))
    return hess, hessp


def bounds_of(vector: Vector, bounds: Any) -> Any:
    """SciPy's bounds of the vector."""
    if vector.plain or bounds is None or isinstance(bounds, scipy.Bounds):
        return bounds
    if isinstance(bounds, tuple) and len(bounds) == 2:
        return scipy.Bounds(*[vector.spread(part) for part in bounds])
    return bounds


def _constraints(vector: Vector, constraints: Any, method: Any) -> Any:
    if isinstance(constraints, (list, tuple)):
        return [_constraint(vector, one, method) for one in constraints]
    return _constraint(vector, constraints, method)


def _constraint(vector: Vector, constraint: Any, method: Any) -> Any:
    """A constraint on the vector, with its derivatives."""
    slopes = _name(method) not in VALUES_ONLY
    if isinstance(constraint, Mapping):
        args = constraint.get("args", ())
        problem = Problem(constraint["fun"], vector, args, "a constraint")
        found = {"type": constraint["type"], "fun": problem.program(numbers)}
        jac = constraint.get("jac")
        if callable(jac):
            found["jac"] = lambda x: jac(vector.tree(x), *args)
        elif slopes:
            found["jac"] = problem.program(jacobian_of)
        return found
    if isinstance(constraint, scipy.NonlinearConstraint) and slopes:
        return _nonlinear(vector, constraint)
    return constraint


def _nonlinear(vector: Vector, given: scipy.NonlinearConstraint) -> scipy.NonlinearConstraint:
    """A constraint whose derivatives nobody gave, '2-point' being SciPy's default, gets ours."""
    problem = Problem(given.fun, vector, (), "a constraint")
    jac, hess, pattern = given.jac, given.hess, given.finite_diff_jac_sparsity
    sparse = _is_sparse(jac) or (pattern is not None and _is_default(jac))
    if sparse:
        make = sparse_jacobian_of if pattern is None else with_pattern(pattern)
        jac = for_scipy(problem.program(make))
        if isinstance(hess, scipy.BFGS) or _is_sparse(hess):
            hess = for_scipy(problem.program(combined_sparse_hessian))
    elif _is_default(jac):
        jac = problem.program(jacobian_of)
        if isinstance(hess, scipy.BFGS):
            hess = problem.program(combined_hessian)
    elif callable(jac):
        jac = lambda x: given.jac(vector.tree(x))
    return scipy.NonlinearConstraint(
        problem.program(numbers), given.lb, given.ub, jac=jac, hess=hess,
        keep_feasible=given.keep_feasible, finite_diff_rel_step=given.finite_diff_rel_step,
        finite_diff_jac_sparsity=None if sparse else pattern,
    )  # fmt: skip


def _is_sparse(given: Any) -> bool:
    return isinstance(given, str) and given == "sparse"


def _is_default(jac: Any) -> bool:
    return isinstance(jac, str) and jac == "2-point"


def callback_of(vector: Vector, callback: Callable[..., Any] | None) -> Any:
    """The callback on vectors, of the signature that SciPy looks at."""
    if callback is None:
        return None
    if set(inspect.signature(callback).parameters) == {"intermediate_result"}:

        def told(intermediate_result: scipy.OptimizeResult) -> Any:
            return callback(intermediate_result=unflattened(vector, intermediate_result))

        return told
    return lambda x, *state: callback(vector.tree(x), *state)


def unflattened(vector: Vector, result: scipy.OptimizeResult) -> scipy.OptimizeResult:
    """A copy with x, and for trees the gradient, in the structure of x0."""
    found = type(result)(result)
    found["x"] = vector.tree(np.asarray(result["x"]))
    slope = found.get("jac")
    if not vector.plain and isinstance(slope, np.ndarray) and slope.shape == (vector.size,):
        found["jac"] = vector.tree(slope)
    return found

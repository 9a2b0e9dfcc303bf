"""Derivatives of solutions by the implicit function theorem, whatever finds them.

Where F(x*(theta), theta) = 0, also  (dF/dx) dx* = -(dF/dtheta) dtheta:  one linear system, at the
solution, and nothing of the iterations is kept or differentiated. For a minimum F is the gradient,
so dF/dx is the Hessian.

    import tracejit as tj

    ridge = tj.implicit.argmin(loss, solver)     # solver(init, *theta) -> x, any loop
    tj.grad(lambda theta: validation(ridge(init, theta)))(theta)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api.batching import vmap
from tracejit.api.gradients import grad
from tracejit.api.linear_maps import linear_transpose
from tracejit.control.looping import while_loop
from tracejit.control.solving import custom_linear_solve, custom_root
from tracejit.errors import ArgumentError, did_you_mean
from tracejit.ir.types import finfo
from tracejit.runtime.arguments import check_callable
from tracejit.trace.provenance import user_frame

__all__ = ["argmin", "root"]

Function = Callable[..., Any]


def root(f: Function, solver: Function, *, linear: str | Function = "dense") -> Function:
    """The solution of `f(x, *theta) = 0` as a function `(init, *theta) -> x` with derivatives.

    f:      takes x and the parameters, returns a tree like x, of floats.
    solver: `solver(init, *theta)` returns x, a tree like init. It is traced, never differentiated:
            a while loop, or a callback, is fine. It has to converge: derivatives are those at what
            it returns.
    linear: how the linear system is solved. "dense": its matrix is formed, and factored; for small
            x. "cg": products alone, by conjugate gradients on the normal equations, to a relative
            residual of eps^0.75; NaN if that is still above eps^0.5 after ten rounds for each
            element of x. Or a function (g, y) -> v with g(v) = y for a linear g.

    Parameters may be given by keyword, too, and are trees. All derivatives, of any order and mode,
    are defined; those with respect to `init` are 0.
    """
    return _solution(f, solver, "root", _method(linear, "root", _normal_cg))


def argmin(f: Function, solver: Function, *, linear: str | Function = "dense") -> Function:
    """The minimum of `f(x, *theta)` over x as a function `(init, *theta) -> x` with derivatives.

    f: returns a float of shape (); at the minimum it has a positive definite Hessian with respect
    to x. The other arguments are those of `root`; "cg" works with products with that Hessian.
    """
    check_callable(f, "implicit.argmin")
    method = _method(linear, "argmin", _symmetric_cg)

    @functools.wraps(f, updated=())
    def gradient(x: Any, *args: Any, **kwargs: Any) -> Any:
        return grad(f)(x, *args, **kwargs)

    return _solution(gradient, solver, "argmin", method)


def _solution(f: Function, solver: Function, name: str, method: Function) -> Function:
    check_callable(f, f"implicit.{name}")
    check_callable(solver, f"implicit.{name}")

    @functools.wraps(solver, updated=())
    def solution(init: Any, *args: Any, **kwargs: Any) -> Any:
        @functools.wraps(f, updated=())
        def residual(x: Any) -> Any:
            return f(x, *args, **kwargs)

        @functools.wraps(solver, updated=())
        def solve(_: Function, start: Any) -> Any:
            return solver(start, *args, **kwargs)

        return custom_root(residual, init, solve, method)

    return solution


def _method(linear: Any, name: str, cg: Function) -> Function:
    """How to solve g(v) = y."""
    if callable(linear):
        return linear
    methods = {"dense": _dense, "cg": cg}
    if linear not in methods:
        raise ArgumentError(
            f"implicit.{name}: linear is 'dense', 'cg' or a function, not {linear!r}",
            where=user_frame(), hint=did_you_mean(str(linear), methods),
        )  # fmt: skip
    return methods[linear]


# Trees as vectors.


class _Vectors:
    """The trees like one of them, as vectors."""

    def __init__(self, like: Any):
        self.leaves, self.structure = tree.flatten(like)

    def ravel(self, x: Any) -> Any:
        parts = [np.ravel(leaf) for leaf in tree.leaves(x)]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def unravel(self, v: Any) -> Any:
        ends = np.cumsum([0, *(np.size(leaf) for leaf in self.leaves)])
        parts = [
            np.reshape(v[start:stop], np.shape(leaf)).astype(leaf.dtype)
            for leaf, start, stop in zip(self.leaves, ends[:-1], ends[1:], strict=True)
        ]
        return self.structure.unflatten(parts)


def _dense(g: Function, y: Any) -> Any:
    """By the matrix of g: its columns are g of the unit vectors."""
    vectors = _Vectors(y)
    right = vectors.ravel(y)
    units = np.eye(right.shape[0], dtype=right.dtype)
    rows = vmap(lambda unit: vectors.ravel(g(vectors.unravel(unit))))(units)
    return vectors.unravel(np.linalg.solve(np.transpose(rows), right))


def _symmetric_cg(g: Function, y: Any) -> Any:
    return custom_linear_solve(g, y, _conjugate_gradients, symmetric=True)


def _normal_cg(g: Function, y: Any) -> Any:
    """a' a v = a' y."""

    def solve(product: Function, right: Any) -> Any:
        back = linear_transpose(product, right)
        return _conjugate_gradients(lambda v: back(product(v))[0], back(right)[0])

    return custom_linear_solve(g, y, solve, solve)


def _conjugate_gradients(product: Function, right: Any) -> Any:
    """x with a x = b for a symmetric positive definite a (Hestenes and Stiefel, 1952); NaN if the
    rounds do not suffice, so that nobody takes it for a solution."""
    vectors = _Vectors(right)
    b = vectors.ravel(right)
    eps, whole = finfo(b.dtype).eps, np.dot(b, b)
    small, most = eps**1.5 * whole, 10 * b.shape[0]

    def step(state: Any) -> Any:
        x, r, p, size, count = state
        q = vectors.ravel(product(vectors.unravel(p)))
        length = size / np.dot(p, q)
        r = r - length * q
        after = np.dot(r, r)
        return x + length * p, r, r + (after / size) * p, after, count + 1

    def more(state: Any) -> Any:
        return (state[3] > small) & (state[4] < most)

    x, _, _, size, _ = while_loop(more, step, (np.zeros(b.shape, b.dtype), b, b, whole, 0))
    return vectors.unravel(np.where(size <= eps * whole, x, np.nan))

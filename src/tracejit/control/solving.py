"""custom_root and custom_linear_solve: solutions of equations, with derivatives of any order that
come from the equation, whatever computes them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit import tree
from tracejit.control.bodies import spread
from tracejit.control.custom_values import zero_tracer
from tracejit.control.implicit import linear_solve, root
from tracejit.control.staging import (
    Body,
    Leaves,
    as_leaves,
    check_functions,
    close,
    leaf_type,
    show,
    stage_body,
)
from tracejit.errors import ArgumentError, DTypeError, ShapeError, TreeError
from tracejit.ir.types import ArrayType
from tracejit.trace.provenance import function_place, user_frame
from tracejit.trace.stage import apply, is_weak
from tracejit.trace.tracer import bind
from tracejit.transforms import jvp as forward
from tracejit.transforms import transpose

Function = Callable[..., Any]


class _Unknowns:
    """The unknowns of an equation: what b or a guess looks like."""

    def __init__(self, values: Any, name: str, what: str):
        xs, self.structure = tree.flatten(values)
        self.name = name
        self.leaves = as_leaves(xs, self.structure, what)
        self.types = tuple(map(leaf_type, self.leaves))
        self.weak = tuple(map(is_weak, xs))
        for t in self.types:
            if not t.is_inexact:
                raise DTypeError(
                    f"{name}: {what} holds {t}, and equations are solved in floats",
                    where=user_frame(),
                )

    def stage(self, fun: Function, copies: int = 1) -> Body:
        """A function of so many values like these."""
        structure = tree.structure((self.structure.unflatten([0] * len(self.types)),) * copies)
        return stage_body(fun, structure, self.types * copies, self.weak * copies, self.name)

    def agree(self, body: Body, place: Function, what: str, aux: bool = False) -> Body:
        """The body, whose result (the first of a pair with `aux`) has to look like these."""
        found = body.structure.children[0] if aux else body.structure
        if found != self.structure:
            raise TreeError(
                f"{self.name}: {what} returns another structure than it should",
                where=function_place(place),
                hint=f"expected: {show(self.structure)}\nreturned: {show(found)}",
            )
        count = len(self.types)
        for wanted, given in zip(self.types, body.types, strict=False):
            if wanted.shape != given.shape:
                raise ShapeError(
                    f"{self.name}: {what} returns {given} where {wanted} was expected",
                    where=function_place(place),
                )
        return body.returning((*self.types, *body.types[count:]))

    def stage_solver(self, fun: Function, solver: Function, what: str, has_aux: bool) -> Body:
        """`fun`, which calls a user's solver."""
        body = self.stage(fun)
        if has_aux and (body.structure.kind not in ("tuple", "list") or len(
            body.structure.children) != 2):  # fmt: skip
            raise ArgumentError(
                f"{self.name}: with has_aux=True {what} returns a pair, (solution, auxiliary data)",
                where=function_place(solver),
            )
        return self.agree(body, solver, what, has_aux)

    def result(self, outs: Sequence[Any], body: Body, has_aux: bool) -> Any:
        """The solution, or the pair of it and the auxiliary data."""
        if not has_aux:
            return self.structure.unflatten(outs)
        x, aux = outs[: len(self.types)], outs[len(self.types) :]
        return self.structure.unflatten(x), body.structure.children[1].unflatten(aux)


def custom_linear_solve(
    matvec: Function,
    b: Any,
    solve: Function,
    transpose_solve: Function | None = None,
    symmetric: bool = False,
    has_aux: bool = False,
) -> Any:
    """x with `matvec(x) = b`, computed as `solve(matvec, b)`, as `jax.lax.custom_linear_solve`.

    matvec: linear; it takes and returns trees like b, of floats. It may close over traced values,
    for which there are derivatives, too. transpose_solve: `transpose_solve(vecmat, b)` solves with
    the transpose of matvec; reverse mode needs it, or symmetric=True, which says that matvec is its
    own transpose (then `solve` serves, unless it is given). has_aux: the solvers return a pair of
    the solution and auxiliary data, which has no derivative.
    """
    given = () if transpose_solve is None else (transpose_solve,)
    check_functions("custom_linear_solve", matvec, solve, *given)
    like = _Unknowns(b, "custom_linear_solve", "b")
    product = like.agree(like.stage(matvec), matvec, "matvec")
    solver = like.stage_solver(lambda y: solve(matvec, y), solve, "solve", has_aux)
    bodies = [product, solver]
    if transpose_solve is None and symmetric:
        bodies.append(solver)
    elif transpose_solve is not None:
        turned = matvec if symmetric else _transposed(product, like)
        back = transpose_solve
        what = "transpose_solve"
        bodies.append(like.stage_solver(lambda y: back(turned, y), back, what, has_aux))
    captured, (product_jaxpr, *solves) = close(bodies)
    outs = bind(
        linear_solve, *captured, *like.leaves, matvec=product_jaxpr, solves=tuple(solves),
        num_consts=len(captured), symmetric=symmetric,
    )  # fmt: skip
    return like.result(outs, solver, has_aux)


def _transposed(product: Body, like: _Unknowns) -> Function:
    """The transpose of a staged linear function, on trees."""
    known, unknown = (False,) * len(product.captured), (True,) * len(like.types)
    jaxpr = transpose.transpose(product.jaxpr, (*known, *unknown))

    def vecmat(y: Any) -> Any:
        leaves = as_leaves(*tree.flatten(y), "the argument of vecmat")
        return like.structure.unflatten(apply(jaxpr, [*product.captured, *leaves]))

    return vecmat


def custom_root(
    f: Function,
    initial_guess: Any,
    solve: Function,
    tangent_solve: Function,
    has_aux: bool = False,
) -> Any:
    """x with `f(x) = 0`, computed as `solve(f, initial_guess)`, as `jax.lax.custom_root`.

    f: takes and returns trees like the guess, of floats; derivatives are those for the traced
    values that it closes over. tangent_solve: `tangent_solve(g, y)` solves g(x) = y for a linear g,
    the derivative of f at the root; reverse mode transposes it: for numbers it is
    `lambda g, y: y / g(1.0)`, else `custom_linear_solve` serves. has_aux: solve returns a pair of
    the root and auxiliary data, which has no derivative.
    """
    check_functions("custom_root", f, solve, tangent_solve)
    like = _Unknowns(initial_guess, "custom_root", "initial_guess")
    residual = like.agree(like.stage(f), f, "f")
    solver = like.stage_solver(lambda x: solve(f, x), solve, "solve", has_aux)

    def tangent(x: Any, y: Any) -> Any:
        return tangent_solve(_derivative(residual, like, tree.leaves(x)), y)

    linear = like.agree(like.stage(tangent, copies=2), tangent_solve, "tangent_solve")
    captured, (f_jaxpr, solve_jaxpr, tangent_jaxpr) = close([residual, solver, linear])
    outs = bind(
        root, *captured, *like.leaves, residual=f_jaxpr, solve=solve_jaxpr, tangent=tangent_jaxpr,
        num_consts=len(captured),
    )  # fmt: skip
    return like.result(outs, solver, has_aux)


def _derivative(residual: Body, like: _Unknowns, x: Leaves) -> Function:
    """The derivative of a staged function at x, as a function on trees."""
    count = len(like.types)
    mask = (*(False,) * len(residual.captured), *(True,) * count)
    pushed, live = forward.jvp(residual.jaxpr, mask)

    def derivative(v: Any) -> Any:
        tangents = as_leaves(*tree.flatten(v), "the argument of g")
        tangents = [_shaped(t, type) for t, type in zip(tangents, like.types, strict=True)]
        outs = apply(pushed, [*residual.captured, *x, *tangents])
        nothing = [zero_tracer(t) for t in like.types]
        return like.structure.unflatten(spread(outs[count:], live, nothing))

    return derivative


def _shaped(t: Any, type: ArrayType) -> Any:
    """A tangent of the type of the value; ShapeError for another shape."""
    if t.shape != type.shape:
        raise ShapeError(
            f"custom_root: the linear function takes {type}, not {leaf_type(t)}", where=user_frame()
        )
    return t if t.dtype == type.dtype else t.astype(type.dtype)

"""Between SciPy, which knows vectors of float64, and functions of trees: one compiled program each.

A program takes the vector and the arrays among the other arguments, and works out the tree, the
value and the derivatives inside. SciPy calls it as it is: machine code from the first instruction,
with fresh results, since SciPy keeps what it gets.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from tracejit import tree
from tracejit.api.gradients import grad, value_and_grad
from tracejit.api.jacobians import hessian, jacfwd, jacrev
from tracejit.api.jit import JitFunction, jit
from tracejit.api.linear_maps import jvp
from tracejit.api.sparse import sparse_hessian, sparse_jacobian
from tracejit.errors import ArgumentError, DTypeError, ShapeError
from tracejit.runtime.arguments import check_callable, name_of
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import is_traced


class Vector:
    """How the elements of x0 lie in a vector.

    x0: a tree of floats (integers become float64). What SciPy takes is what it is there: a number
        or a list of numbers is an array of one axis.
    """

    def __init__(self, x0: Any, what: str):
        if is_traced(*tree.leaves(x0)):
            raise ArgumentError(
                f"{what} was called on values that are traced, and SciPy works on numbers",
                where=user_frame(),
                hint="call it outside of the function that is compiled or differentiated",
            )
        self.plain = _is_scipys(x0)
        if self.plain:
            x0 = np.atleast_1d(np.asarray(x0))
        leaves, self.structure = tree.flatten(x0)
        arrays = [np.asarray(leaf) for leaf in leaves]
        for x, name in zip(arrays, tree.paths(self.structure, "x0"), strict=True):
            if x.dtype.kind not in "biuf":
                hint = "take its real and its imaginary part as two leaves"
                raise DTypeError(
                    f"{name} has dtype {x.dtype}, not a float", where=user_frame(),
                    hint=hint if x.dtype.kind == "c" else None,
                )  # fmt: skip
        self.shapes = tuple([x.shape for x in arrays])
        self.dtypes = tuple([x.dtype if x.dtype.kind == "f" else np.dtype(float) for x in arrays])
        if not sum(x.size for x in arrays):
            raise ArgumentError(
                f"x0 of {what} holds no number", where=user_frame(), hint="there is nothing to find"
            )
        self.ends = np.cumsum([0, *[x.size for x in arrays]]).tolist()
        self.start = self.flat(x0)

    @property
    def size(self) -> int:
        """How many numbers there are."""
        return self.ends[-1]

    @property
    def key(self) -> Hashable:
        """Equal where trees and vectors belong together in the same way."""
        return self.structure, self.shapes, self.dtypes

    def flat(self, values: Any) -> np.ndarray:
        """The vector of a tree like x0."""
        leaves = tree.flatten_up_to(self.structure, values)
        parts = [np.ravel(np.asarray(x, np.float64)) for x in leaves]
        return np.concatenate(parts) if parts else np.zeros(0)

    def tree(self, x: Any) -> Any:
        """The tree of a vector, an array or traced."""
        leaves = [
            x[i:j].reshape(shape).astype(dtype)
            for i, j, shape, dtype in zip(
                self.ends, self.ends[1:], self.shapes, self.dtypes, strict=False
            )
        ]
        return self.structure.unflatten(leaves)

    def spread(self, prefix: Any) -> np.ndarray:
        """A vector of numbers that are given for parts of the tree: one for all, or one each."""
        below = tree.map(
            lambda part, whole: tree.map(lambda x: np.broadcast_to(part, np.shape(x)), whole),
            prefix, self.tree(self.start),
        )  # fmt: skip
        return self.flat(below)


def _is_scipys(x0: Any) -> bool:
    """Whether SciPy would take it: a number, an array, lists or tuples of numbers."""
    if type(x0) in (list, tuple):
        return all(isinstance(x, (int, float, np.generic)) or _is_list(x) for x in x0)
    return tree.structure(x0).kind == "leaf"


def _is_list(x: Any) -> bool:
    return type(x) is list and _is_scipys(x)


class Problem:
    """A function of a tree and other arguments, as programs of a vector.

    Arrays and floats among the arguments are those of the programs, everything else (flags, sizes,
    functions) belongs to the function. The programs of a function that is compiled already are
    kept for the next call with the same kinds of arguments; others may read what changes between
    calls, so they are traced anew.
    """

    def __init__(self, fun: Callable[..., Any], vector: Vector, args: Any, what: str):
        check_callable(fun, what)
        self.fun, self.vector = fun, vector
        args = args if isinstance(args, tuple) else (args,)
        leaves, structure = tree.flatten(args)
        varies = tuple([isinstance(x, (np.ndarray, np.generic, float)) for x in leaves])
        self.leaves = [x for x, v in zip(leaves, varies, strict=True) if v]
        fixed = tuple([None if v else x for x, v in zip(leaves, varies, strict=True)])
        self.key = (vector.key, structure, varies, fixed)

        def whole(x: Any, *given: Any) -> Any:
            rest = iter(given)
            mixed = [next(rest) if v else f for v, f in zip(varies, fixed, strict=True)]
            return fun(vector.tree(x), *structure.unflatten(mixed))

        self.whole = functools.wraps(fun, updated=())(whole)
        self._programs: dict[Any, Callable[..., Any]] = {}

    def program(self, make: Callable[[Problem], Callable[..., Any]]) -> Callable[..., Any]:
        """What `make` makes of this problem, compiled; a function of the vector alone."""
        if make not in self._programs:
            compiled = _kept(_Key(self, make)) if self._is_kept() else _compiled(self, make)
            bound = functools.partial(_call, compiled, self.leaves) if self.leaves else compiled
            self._programs[make] = bound
        return self._programs[make]

    def _is_kept(self) -> bool:
        try:
            hash(self.key)
        except TypeError:
            return False
        return isinstance(self.fun, JitFunction)


class _Key:
    """A problem and what is made of it; equal where the programs are."""

    def __init__(self, problem: Problem, make: Callable[..., Any]):
        self.problem, self.make = problem, make
        self.key = (problem.fun, make, problem.key)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Key) and self.key == other.key


@functools.lru_cache(maxsize=64)
def _kept(key: _Key) -> Callable[..., Any]:
    return _compiled(key.problem, key.make)


def _compiled(problem: Problem, make: Callable[[Problem], Callable[..., Any]]) -> JitFunction:
    fun = problem.fun
    if isinstance(fun, JitFunction):
        return jit(make(problem), backend=fun.backend, threads=fun.threads)
    return jit(make(problem))


def _call(compiled: Callable[..., Any], leaves: Sequence[Any], x: Any, *more: Any) -> Any:
    return compiled(x, *more, *leaves)


# ---- what is made of a problem


def number(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to the value, a float64."""
    fun, name = problem.whole, name_of(problem.fun)

    def value(x: Any, *rest: Any) -> Any:
        y = fun(x, *rest)
        if tree.structure(y).kind != "leaf" or np.size(y) != 1:
            raise ShapeError(
                f"{name} returns {eval_text(y)}, and what is minimised is one number",
                where=user_frame(), hint="reduce it, or use least_squares for its squares",
            )  # fmt: skip
        return float64(y).reshape(())

    return functools.wraps(problem.fun, updated=())(value)


def numbers(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to the vector of all that the function returns."""

    def values(x: Any, *rest: Any) -> Any:
        return joined(problem.whole(x, *rest))

    return functools.wraps(problem.fun, updated=())(values)


def fused(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to value and gradient."""
    return value_and_grad(number(problem))


def given_gradient(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to value and gradient, for a function that returns both."""

    def both(x: Any, *rest: Any) -> Any:
        value, slope = problem.whole(x, *rest)
        return float64(value).reshape(()), joined(slope)

    return both


def hessian_of(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to the matrix of second derivatives."""
    return hessian(number(problem))


def hessian_product(problem: Problem) -> Callable[..., Any]:
    """(x, direction, ...) to the Hessian times the direction: forward over reverse."""
    slope = grad(number(problem))

    def product(x: Any, direction: Any, *rest: Any) -> Any:
        return jvp(lambda z: slope(z, *rest), (x,), (direction,))[1]

    return product


def jacobian_of(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to the matrix of derivatives, by the mode with fewer directions."""
    rows = problem.program(numbers)(problem.vector.start).shape[0]
    return (jacfwd if problem.vector.size <= rows else jacrev)(numbers(problem))


def sparse_jacobian_of(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to the same, as a sparse matrix whose pattern is found."""
    return sparse_jacobian(numbers(problem))


def with_pattern(sparsity: Any) -> Callable[[Problem], Callable[..., Any]]:
    """The same, its pattern given."""
    return lambda problem: sparse_jacobian(numbers(problem), sparsity=sparsity)


def sparse_hessian_of(problem: Problem) -> Callable[..., Any]:
    """(x, ...) to the second derivatives as a sparse matrix."""
    return sparse_hessian(number(problem))


def combined_sparse_hessian(problem: Problem) -> Callable[..., Any]:
    """As `combined_hessian`, sparse."""
    fun = numbers(problem)
    return sparse_hessian(lambda x, weights, *rest: weights @ fun(x, *rest))


def for_scipy(program: Callable[..., Any]) -> Callable[..., Any]:
    """A program that gives a sparse array, with SciPy's."""
    return lambda *args: program(*args).to_scipy()


def combined_hessian(problem: Problem) -> Callable[..., Any]:
    """(x, weights, ...) to the Hessian of the weighted sum of all that the function returns."""
    fun = numbers(problem)
    return hessian(lambda x, weights, *rest: weights @ fun(x, *rest))


class Fused:
    """Value and gradient for a caller who asks for them one after the other."""

    def __init__(self, program: Callable[[Any], tuple[Any, Any]]):
        self._program = program
        self._at: bytes | None = None

    def value(self, x: np.ndarray | np.float64) -> Any:
        """The value, computed with the gradient."""
        at = x.tobytes()
        if at != self._at:
            self._value, self._slope = self._program(x)
            self._at = at
        return self._value

    def gradient(self, x: np.ndarray | np.float64) -> Any:
        """The gradient."""
        self.value(x)
        return self._slope


def float64(x: Any) -> Any:
    """A number or an array, or traced, as float64; DTypeError for complex numbers."""
    if np.iscomplexobj(x):
        raise DTypeError(
            "SciPy's solvers are about real numbers, not complex128", where=user_frame(),
            hint="return the real and the imaginary parts: np.concatenate([y.real, y.imag])",
        )  # fmt: skip
    return x.astype(np.float64) if hasattr(x, "astype") else np.asarray(x, np.float64)


def joined(values: Any) -> Any:
    """All leaves as one vector of float64."""
    parts = [float64(y).reshape(-1) for y in tree.leaves(values)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0)


def eval_text(y: Any) -> str:
    """A result, as a message shows it."""
    found = tree.leaves(y)
    return f"an array of shape {np.shape(y)}" if found == [y] else f"{len(found)} arrays"

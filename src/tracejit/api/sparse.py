"""Sparse Jacobians and Hessians: only what may differ from zero is computed.

    pattern      which element of the result depends on which of the arguments, from the IR
    plan         columns, or rows, that can be told apart when they are added up: colours
    products     of the linear map of the derivative with one vector for each colour, all at once
    entries      picked out of these products, each from its place

The first two are in passes/sparsity, the others in sparse_products. All of it is decided when a
function is traced; what runs is one program, from the arguments to the entries.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tracejit import tree
from tracejit.api.jit import JitFunction, jit
from tracejit.api.recording import Argnums, Recording, positions, record
from tracejit.api.sparse_arrays import Places, SparseArray, check_format
from tracejit.api.sparse_products import Problem, entries
from tracejit.errors import ArgumentError, GradError, ShapeError, TracejitError
from tracejit.ir.graph import Jaxpr
from tracejit.passes.sparsity.find import sparsity as find_sparsity
from tracejit.passes.sparsity.plan import plan_of
from tracejit.passes.sparsity.sets import Pattern, pattern_of
from tracejit.runtime.arguments import check_callable
from tracejit.runtime.report import report
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import is_traced
from tracejit.transforms.batch import batch
from tracejit.transforms.gradient import value_and_gradient
from tracejit.transforms.linearize import linearize


def sparse_jacobian(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    format: str = "csr",
    sparsity: Any = None,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The Jacobian of `fun` as a sparse matrix: a row for each element of the result, a column for
    each element of the argument, both in row-major order.

    argnums:  which positional arguments to differentiate. The result has the structure that
              `jacfwd` gives it, with a sparse matrix (result.size, argument.size) for each block.
    has_aux:  fun returns (result, auxiliary data), and so does the Jacobian.
    format:   "csr", "csc" or "coo".
    sparsity: a pattern that is known: a bool array, or a matrix of SciPy's, whose entries are the
              only ones that may differ from zero, of shape (all results, all arguments); of a
              Hessian one triangle is enough. Without it the pattern is found from the program,
              and holds for all values.
    chunk_size: how many products with the Jacobian are computed at once; without it as many as
              256 MiB allow, if not all of them.

    Gives SciPy's sparse arrays, and under `jit` and other transforms a `SparseArray`. It is
    compiled, as by `jit`: once for each kind of arguments; arguments that are no arrays are static
    in a jitted `fun` that says so. Arrays of integers that say what is connected (`x[edges]`) are
    best closed over: of those that are arguments the values are unknown.
    Raises GradError for arguments or results that are no floats, UnsupportedError for a pattern
    that is too dense to be written down.
    """
    options = Options("sparse_jacobian", format, sparsity, chunk_size)
    return _sparse(fun, argnums, has_aux, options, _jacobian_at)


def sparse_hessian(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    format: str = "csr",
    sparsity: Any = None,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """The second derivatives of `fun`, whose result is a scalar, as a sparse matrix: a row and a
    column for each element of the argument. Forward over reverse.

    The arguments are those of `sparse_jacobian`; blocks are arranged as `hessian` does it. The
    matrix is symmetric, both triangles are there, and entries (i, j) and (j, i) are equal.
    """
    options = Options("sparse_hessian", format, sparsity, chunk_size)
    return _sparse(fun, argnums, has_aux, options, _hessian_at)


def jacobian_sparsity(
    fun: Callable[..., Any], argnums: Argnums = 0, *, format: str = "csr"
) -> Callable[..., Any]:
    """The pattern of `sparse_jacobian`: its blocks as sparse arrays of bools, each True.

    An element that is not in it is zero for all values of the arguments.
    """
    options = Options("jacobian_sparsity", format, pattern_only=True)
    return _sparse(fun, argnums, False, options, _jacobian_at)


def hessian_sparsity(
    fun: Callable[..., Any], argnums: Argnums = 0, *, format: str = "csr"
) -> Callable[..., Any]:
    """The pattern of `sparse_hessian`, as `jacobian_sparsity` gives it."""
    options = Options("hessian_sparsity", format, pattern_only=True)
    return _sparse(fun, argnums, False, options, _hessian_at)


class Options(NamedTuple):
    """What is asked for: by which function, and its keywords."""

    what: str
    format: str
    sparsity: Any = None
    chunk_size: int | None = None
    pattern_only: bool = False

    def checked(self) -> Options:
        """The same, `sparsity` as a pattern."""
        check_format(self.format, self.what)
        size = self.chunk_size
        if size is not None and (type(size) is not int or size < 1):
            raise ArgumentError(
                f"{self.what}: chunk_size must be a positive int, not {size!r}", where=user_frame()
            )
        known = None if self.sparsity is None else _given(self.sparsity, self.what)
        return self._replace(sparsity=known)


def _require_real(tape: Recording, what: str) -> None:
    for t in (*tape.in_types, *tape.out_types):
        if t.is_complex:
            raise GradError(
                f"{what} takes real numbers, and {tape.name} has {t} among its arguments and "
                "results", where=user_frame(),
                hint="take the real and the imaginary part as arrays of their own",
            )  # fmt: skip


def _jacobian_at(tape: Recording, what: str) -> Problem:
    _require_real(tape, what)
    for t in tape.out_types:
        if not t.is_inexact:
            raise GradError(
                f"{what} needs float results, and {tape.name} returned {t}", where=user_frame(),
                hint="integers have no derivative: compute in floats",
            )  # fmt: skip
    return Problem(linearize(tape.jaxpr, tape.floats), tape.in_types, tape.out_types, False)


def _hessian_at(tape: Recording, what: str) -> Problem:
    _require_real(tape, what)
    types = tape.out_types
    if tape.out_tree.kind != "leaf" or types[0].shape or not types[0].is_inexact:
        raise GradError(
            f"{what} needs a scalar float result, and {tape.name} returned "
            f"{', '.join(map(str, types)) or 'None'}", where=user_frame(),
            hint="reduce it (sum, mean), or return (scalar, other things) with has_aux=True",
        )  # fmt: skip
    both = value_and_gradient(tape.jaxpr, tape.floats)
    count = len(tape.jaxpr.outvars)
    outs = (*both.outvars[count:], *both.outvars[1:count])
    gradient = Jaxpr(both.invars, both.equations, outs)
    return Problem(linearize(gradient, tape.floats), tape.in_types, tape.in_types, True)


def _sparse(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, options: Options,
    problem_at: Callable[[Recording, str], Problem],
) -> Callable[..., Any]:  # fmt: skip
    what = options.what
    check_callable(fun, what)
    options = options.checked()
    inner = fun.__wrapped__ if isinstance(fun, JitFunction) else fun

    def parts(args: Any, kwargs: Any) -> tuple[list[Any], Any, Layout]:
        places = positions(argnums, args, inner)
        tape = record(inner, args, kwargs, argnums=places, has_aux=has_aux, floats_for=what)
        report("traced", tape.jaxpr)
        problem = problem_at(tape, what)
        pattern = _pattern(problem, tape, options)
        blocks = _cut(problem, pattern, options.format)
        data: list[Any]
        aux: list[Any]
        if options.pattern_only:
            data, aux = [np.ones(len(numbers), bool) for _, numbers in blocks], []
        else:
            plan = plan_of(pattern, problem.symmetric, problem.only_backward)
            numbers = [numbers for _, numbers in blocks]
            data, aux = entries(problem, plan, numbers, tape, what, options.chunk_size)
        where = tuple([places for places, _ in blocks])
        out_tree = tape.in_tree if problem.symmetric else tape.out_tree
        layout = Layout(where, tape.in_tree, out_tree, problem.symmetric, isinstance(argnums, int))
        return data, tape.aux.fill(aux) if has_aux else None, layout

    layouts: dict[Layout, int] = {}

    @functools.wraps(inner, updated=())
    def numbers_of(*args: Any, **kwargs: Any) -> Any:
        data, aux, layout = parts(args, kwargs)
        return data, aux, np.int64(layouts.setdefault(layout, len(layouts)))

    compiled = fun.like(numbers_of) if isinstance(fun, JitFunction) else jit(numbers_of)

    @functools.wraps(inner, updated=())
    def sparse_derivative(*args: Any, **kwargs: Any) -> Any:
        inside = is_traced(*tree.leaves((args, kwargs)))
        if inside:
            data, aux, layout = parts(args, kwargs)
        else:
            data, aux, number = compiled(*args, **kwargs)
            layout = list(layouts)[number]
        blocks = [
            SparseArray(x, where) if inside or is_traced(x) else where.filled(np.asarray(x))
            for x, where in zip(data, layout.places, strict=True)
        ]
        result = layout.arranged(blocks)
        return (result, aux) if has_aux else result

    return sparse_derivative


@dataclass(frozen=True)
class Layout:
    """What becomes of the entries of all blocks: where they are, and in which trees the blocks.

    A compiled call gives its entries, and a number: that of its layout among those of the function.
    """

    places: tuple[Places, ...]
    in_tree: tree.TreeDef
    out_tree: tree.TreeDef
    symmetric: bool
    one_argument: bool

    def arranged(self, blocks: Sequence[Any]) -> Any:
        """The blocks, row by row, in the structure of the result over that of the arguments."""
        width, height = self.in_tree.num_leaves, self.out_tree.num_leaves
        rows = [self.in_tree.unflatten(blocks[i * width :][:width]) for i in range(height)]
        if self.one_argument:
            rows = [row[0] for row in rows]
        whole = self.out_tree.unflatten(rows)
        return whole[0] if self.symmetric and self.one_argument else whole


# The pattern.


def _given(sparsity: Any, what: str) -> Pattern:
    """The user's pattern: of a matrix of SciPy's what it stores, of an array what is not zero."""
    if isinstance(sparsity, SparseArray):
        return pattern_of(sparsity.row, sparsity.col, sparsity.shape)
    if hasattr(sparsity, "tocoo"):
        entries = sparsity.tocoo()
        return pattern_of(entries.row, entries.col, entries.shape)
    matrix = np.asarray(sparsity)
    if matrix.ndim != 2 or matrix.dtype.kind not in "bif":
        raise ArgumentError(
            f"{what}: sparsity must be a matrix, not {type(sparsity).__name__} of rank "
            f"{matrix.ndim}", where=user_frame(),
            hint="a bool array of shape (results, arguments), or a sparse matrix of SciPy's",
        )  # fmt: skip
    rows, columns = np.nonzero(matrix)
    return pattern_of(rows, columns, (matrix.shape[0], matrix.shape[1]))


def _pattern(problem: Problem, tape: Recording, options: Options) -> Pattern:
    """The pattern of the whole matrix; that of a Hessian is symmetric."""
    given = options.sparsity
    if given is None:
        constants = [None if is_traced(x) else np.asarray(x) for x in tape.captured]
        parts, back = problem.parts, problem.only_backward
        constants += [None] * len(tape.leaves)
        linear = problem.transposed if back else problem.linear
        try:
            live = find_sparsity(parts.known, linear, parts.residuals, constants, batch)
        except TracejitError as error:
            raise error.at(user_frame()) from None
        live = live.transposed() if back else live
        kept = [n for n, alive in enumerate(problem.live) if alive]
        ends = problem.row_ends
        numbers = [np.arange(ends[n], ends[n + 1]) for n in kept]
        rows = np.concatenate([*numbers, np.zeros(0, np.int64)])[live.rows]
        found = pattern_of(rows, live.indices, problem.shape)
        return found.symmetric() if problem.symmetric else found
    if given.shape != problem.shape:
        raise ShapeError(
            f"{options.what}: sparsity has shape {given.shape}, and the derivative of {tape.name} "
            f"{problem.shape}", where=user_frame(),
        )  # fmt: skip
    return given.union(given.transposed()) if problem.symmetric else given


def _cut(problem: Problem, pattern: Pattern, format: str) -> list[tuple[Places, np.ndarray]]:
    """For each block, row by row: its places, and the numbers of its entries in the pattern."""
    row_ends, column_ends = problem.row_ends, problem.column_ends
    height, width = len(row_ends) - 1, len(column_ends) - 1
    rows, columns = pattern.rows, pattern.indices
    up = np.searchsorted(row_ends, rows, side="right") - 1
    left = np.searchsorted(column_ends, columns, side="right") - 1
    block = up * width + left
    order = np.argsort(block, kind="stable")
    ends = np.searchsorted(block[order], np.arange(height * width + 1))
    cut = []
    for n in range(height * width):
        i, j = divmod(n, width)
        numbers = order[ends[n] : ends[n + 1]]
        shape = row_ends[i + 1] - row_ends[i], column_ends[j + 1] - column_ends[j]
        inner = pattern_of(rows[numbers] - row_ends[i], columns[numbers] - column_ends[j], shape)
        places = Places(inner, format)
        cut.append((places, numbers[places.order]))
    return cut

"""Sparse Jacobians and Hessians: only what may differ from zero is computed.

    pattern      which element of the result depends on which of the arguments, from the IR
    colours      columns (or rows) that can be told apart when they are added up
    compressed   the linear map of the derivative on one vector for each colour, all at once
    entries      picked out of these products, each from its place

All of it is decided when a function is traced; what runs is one program, from the arguments to the
entries.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from tracejit import tree
from tracejit.api.jit import JitFunction, jit
from tracejit.api.recording import Argnums, Recording, positions, record
from tracejit.api.sparse_arrays import Places, SparseArray, check_format
from tracejit.control.bodies import keep_outputs
from tracejit.errors import ArgumentError, GradError, ShapeError, TracejitError
from tracejit.ir.atoms import Atom, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import INT32, ArrayType, array_type
from tracejit.ir.walk import inline
from tracejit.ops import elementwise, indexing, structure
from tracejit.passes.sparsity.colour import (
    Colours,
    column_colours,
    count,
    read_here,
    star_colours,
)
from tracejit.passes.sparsity.find import sparsity as find_sparsity
from tracejit.passes.sparsity.sets import Pattern, pattern_of
from tracejit.runtime.arguments import check_callable
from tracejit.runtime.report import report
from tracejit.runtime.run import run
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import is_traced
from tracejit.transforms.batch import batch
from tracejit.transforms.gradient import value_and_gradient
from tracejit.transforms.linearize import Split, linearize
from tracejit.transforms.transpose import transpose


def sparse_jacobian(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    format: str = "csr",
    sparsity: Any = None,
) -> Callable[..., Any]:
    """The Jacobian of `fun` as a sparse matrix: a row for each element of the result, a column for
    each element of the argument, both in row-major order.

    argnums:  which positional arguments to differentiate. The result has the structure that
              `jacfwd` gives it, with a sparse matrix (result.size, argument.size) for each block.
    has_aux:  fun returns (result, auxiliary data), and so does the Jacobian.
    format:   "csr", "csc" or "coo".
    sparsity: a pattern that is known: a bool array, or a matrix of SciPy's, whose entries are the
              only ones that may differ from zero, of shape (all results, all arguments). Without
              it the pattern is found from the program, and holds for all values.

    Gives SciPy's sparse arrays, and under `jit` and other transforms a `SparseArray`. It is
    compiled, as by `jit`: once for each kind of arguments; arguments that are no arrays are static
    in a jitted `fun` that says so. Arrays of integers that say what is connected (`x[edges]`) are
    best closed over: of those that are arguments the values are unknown.
    Raises GradError for arguments or results that are no floats, UnsupportedError for a pattern
    that is too dense to be written down.
    """
    return _sparse(fun, argnums, has_aux, "sparse_jacobian", format, sparsity, _jacobian_at)


def sparse_hessian(
    fun: Callable[..., Any],
    argnums: Argnums = 0,
    has_aux: bool = False,
    *,
    format: str = "csr",
    sparsity: Any = None,
) -> Callable[..., Any]:
    """The second derivatives of `fun`, whose result is a scalar, as a sparse matrix: a row and a
    column for each element of the argument. Forward over reverse.

    The arguments are those of `sparse_jacobian`; blocks are arranged as `hessian` does it. The
    matrix is symmetric, both triangles are there, and entries (i, j) and (j, i) are equal.
    """
    return _sparse(fun, argnums, has_aux, "sparse_hessian", format, sparsity, _hessian_at)


def jacobian_sparsity(
    fun: Callable[..., Any], argnums: Argnums = 0, *, format: str = "csr"
) -> Callable[..., Any]:
    """The pattern of `sparse_jacobian`: its blocks as sparse arrays of bools, each True.

    An element that is not in it is zero for all values of the arguments.
    """
    return _sparse(fun, argnums, False, "jacobian_sparsity", format, None, _jacobian_at, True)


def hessian_sparsity(
    fun: Callable[..., Any], argnums: Argnums = 0, *, format: str = "csr"
) -> Callable[..., Any]:
    """The pattern of `sparse_hessian`, as `jacobian_sparsity` gives it."""
    return _sparse(fun, argnums, False, "hessian_sparsity", format, None, _hessian_at, True)


class Problem(NamedTuple):
    """What is to be differentiated: the results `out_types` of a jaxpr by its inputs of `in_types`,
    as a linearization; behind these results come auxiliary ones. symmetric: a Hessian."""

    parts: Split
    in_types: tuple[ArrayType, ...]
    out_types: tuple[ArrayType, ...]
    symmetric: bool

    @property
    def live(self) -> tuple[bool, ...]:
        """Which results depend on the inputs at all."""
        return self.parts.unknown[: len(self.out_types)]

    @property
    def linear(self) -> Jaxpr:
        """From the residuals and tangents to the tangents of the live results."""
        mine = sum(self.live)
        keep = tuple(i < mine for i in range(len(self.parts.linear.outvars)))
        return keep_outputs(self.parts.linear, keep)

    @property
    def row_ends(self) -> list[int]:
        """Where the rows of each result begin, and where the last ones end."""
        return list(accumulate((t.size for t in self.out_types), initial=0))

    @property
    def column_ends(self) -> list[int]:
        """Where the columns of each input begin, and where the last ones end."""
        return list(accumulate((t.size for t in self.in_types), initial=0))

    @property
    def shape(self) -> tuple[int, int]:
        """Of the whole matrix."""
        return self.row_ends[-1], self.column_ends[-1]


def _jacobian_at(tape: Recording, what: str) -> Problem:
    for t in tape.out_types:
        if not t.is_float:
            raise GradError(
                f"{what} needs float results, and {tape.name} returned {t}", where=user_frame(),
                hint="integers have no derivative: compute in floats",
            )  # fmt: skip
    return Problem(linearize(tape.jaxpr, tape.floats), tape.in_types, tape.out_types, False)


def _hessian_at(tape: Recording, what: str) -> Problem:
    types = tape.out_types
    if tape.out_tree.kind != "leaf" or types[0].shape or not types[0].is_float:
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
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, what: str, format: str,
    sparsity: Any, problem_at: Callable[[Recording, str], Problem], pattern_only: bool = False,
) -> Callable[..., Any]:  # fmt: skip
    check_callable(fun, what)
    check_format(format, what)
    given = None if sparsity is None else _given(sparsity, what)
    inner = fun.__wrapped__ if isinstance(fun, JitFunction) else fun

    @functools.wraps(inner, updated=())
    def sparse_of(*args: Any, **kwargs: Any) -> Any:
        places = positions(argnums, args, inner)
        tape = record(inner, args, kwargs, argnums=places, has_aux=has_aux, floats_for=what)
        report("traced", tape.jaxpr)
        problem = problem_at(tape, what)
        pattern = _pattern(problem, tape, given, what)
        blocks = _cut(problem, pattern, format)
        aux: list[Any]
        if pattern_only:
            entries, aux = [np.ones(len(numbers), bool) for _, numbers in blocks], []
        else:
            entries, aux = _entries(problem, pattern, blocks, tape, what)
        found = [SparseArray(x, where) for x, (where, _) in zip(entries, blocks, strict=True)]
        result = _arranged(found, tape, problem.symmetric, isinstance(argnums, int))
        return (result, tape.aux.fill(aux)) if has_aux else result

    compiled = fun.like(sparse_of) if isinstance(fun, JitFunction) else jit(sparse_of)

    @functools.wraps(inner, updated=())
    def sparse_derivative(*args: Any, **kwargs: Any) -> Any:
        if is_traced(*tree.leaves((args, kwargs))):
            return sparse_of(*args, **kwargs)
        return tree.map(_for_scipy, compiled(*args, **kwargs), is_leaf=_is_sparse)

    return sparse_derivative


def _arranged(
    blocks: Sequence[SparseArray], tape: Recording, symmetric: bool, one_argument: bool
) -> Any:
    """The blocks, row by row, in the structure of the result over that of the arguments."""
    width = tape.in_tree.num_leaves
    height = width if symmetric else tape.out_tree.num_leaves
    rows = [tape.in_tree.unflatten(blocks[i * width :][:width]) for i in range(height)]
    if one_argument:
        rows = [row[0] for row in rows]
    if not symmetric:
        return tape.out_tree.unflatten(rows)
    whole = tape.in_tree.unflatten(rows)
    return whole[0] if one_argument else whole


def _is_sparse(x: Any) -> bool:
    return isinstance(x, SparseArray)


def _for_scipy(x: Any) -> Any:
    """A sparse array with numbers as one of SciPy's; all else as it is."""
    return x.to_scipy() if _is_sparse(x) and not is_traced(x.data) else x


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


def _pattern(problem: Problem, tape: Recording, given: Pattern | None, what: str) -> Pattern:
    """The pattern of the whole matrix; that of a Hessian is symmetric."""
    if given is None:
        constants = [None if is_traced(x) else np.asarray(x) for x in tape.captured]
        parts = problem.parts
        constants += [None] * len(tape.leaves)
        try:
            live = find_sparsity(parts.known, problem.linear, parts.residuals, constants, batch)
        except TracejitError as error:
            raise error.at(user_frame()) from None
        kept = [n for n, alive in enumerate(problem.live) if alive]
        ends = problem.row_ends
        numbers = [np.arange(ends[n], ends[n + 1]) for n in kept]
        rows = np.concatenate([*numbers, np.zeros(0, np.int64)])[live.rows]
        given = pattern_of(rows, live.indices, problem.shape)
    elif given.shape != problem.shape:
        raise ShapeError(
            f"{what}: sparsity has shape {given.shape}, and the derivative of {tape.name} "
            f"{problem.shape}", where=user_frame(),
        )  # fmt: skip
    return given.symmetric() if problem.symmetric else given


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


# The entries.


class Plan(NamedTuple):
    """Products of the linear map, forward or backward, with a vector for each colour: entry n of
    the pattern is element elements[n] of the product with colour products[n]."""

    forward: bool
    colours: Colours
    products: np.ndarray
    elements: np.ndarray


def _plan(problem: Problem, pattern: Pattern) -> Plan:
    """Forward or backward, whichever needs fewer products; forward if they are alike."""
    rows, columns = pattern.rows, pattern.indices
    if problem.symmetric:
        colours = star_colours(pattern)
        here = read_here(pattern, colours)
        row, column = np.where(here, rows, columns), np.where(here, columns, rows)
        return Plan(True, colours, colours[column], row)
    turned = pattern.transposed()
    most_in_row, most_in_column = (int(np.diff(p.indptr).max(initial=0)) for p in (pattern, turned))
    ahead = column_colours(pattern) if most_in_row <= most_in_column else None
    if ahead is not None and count(ahead) <= most_in_column:
        return Plan(True, ahead, ahead[columns], rows)
    back = column_colours(turned)
    if ahead is None and count(back) >= most_in_row:
        ahead = column_colours(pattern)
    if ahead is not None and count(ahead) <= count(back):
        return Plan(True, ahead, ahead[columns], rows)
    return Plan(False, back, back[rows], columns)


def _entries(
    problem: Problem, pattern: Pattern, blocks: Sequence[tuple[Places, np.ndarray]],
    tape: Recording, what: str,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """The entries of each block, and the auxiliary results."""
    plan = _plan(problem, pattern)
    where = np.stack([plan.products, plan.elements], axis=1).astype(np.int32)
    sources = [where[numbers] for _, numbers in blocks]
    program = _program(problem, plan, [len(source) for source in sources])
    report(what, program)
    colours = plan.colours.astype(np.int32)
    outs = run(program, [*tape.inputs, colours, *sources])
    return outs[: len(blocks)], outs[len(blocks) :]


def _program(problem: Problem, plan: Plan, counts: Sequence[int]) -> Jaxpr:
    """(*inputs, colours, *sources of each block) -> (*entries of each block, *auxiliary results).

    counts: how many entries each block has.
    """
    parts, first = problem.parts, len(problem.out_types)
    invars = [Var(t) for t in parts.known.in_types]
    colours = Var(array_type(INT32, plan.colours.shape))
    sources = [Var(array_type(INT32, (n, 2))) for n in counts]
    with building() as builder:
        known = inline(parts.known, invars)
        aux = known[first : len(known) - parts.residuals]
        residuals = known[len(known) - parts.residuals :]
        found = _products(problem, plan, colours, residuals) if sum(counts) else None
        entries: list[Atom] = []
        for n, source in enumerate(sources):
            dtype = problem.out_types[n // len(problem.in_types)].dtype
            if found is None or not counts[n]:
                entries.append(zero(array_type(dtype, (counts[n],))))
                continue
            picked = indexing.gather(found, source, axes=(0, 1), batch=0)
            entries.append(_as_dtype(picked, dtype))
    return builder.finish([*invars, colours, *sources], [*entries, *aux])


def _products(problem: Problem, plan: Plan, colours: Atom, residuals: Sequence[Atom]) -> Atom:
    """The products with the sum of the basis vectors of each colour: (colours, elements)."""
    size = count(plan.colours)
    linear, live = problem.linear, problem.live
    types, results, ends = problem.in_types, problem.out_types, problem.column_ends
    alive, arrives = (True,) * len(types), live
    if not plan.forward:
        mask = (False,) * len(residuals) + (True,) * len(types)
        linear = transpose(linear, mask)
        types, results, ends = results, types, problem.row_ends
        alive, arrives = arrives, alive
    seeds = [
        _seeds(colours, t, size, start)
        for t, start, here in zip(types, ends[:-1], alive, strict=True)
        if here
    ]
    mask = (False,) * len(residuals) + (True,) * len(seeds)
    many, _ = batch(linear, size, mask, (True,) * len(linear.outvars))
    outs = iter(inline(many, [*residuals, *seeds]))
    dtype = np.result_type(*[t.dtype for t in results])
    flat = []
    for t, here in zip(results, arrives, strict=True):
        product = next(outs) if here else zero(t.with_shape((size, *t.shape)))
        flat.append(structure.reshape(_as_dtype(product, dtype), shape=(size, t.size)))
    return flat[0] if len(flat) == 1 else structure.concatenate(*flat, axis=1)


def _seeds(colours: Atom, type: ArrayType, size: int, start: int) -> Atom:
    """For each colour the sum of the basis vectors that have it: the part for one array, whose
    elements begin at `start`."""
    shape = size, type.size
    mine = structure.slice(colours, start=(start,), limit=(start + type.size,), stride=(1,))
    numbers = structure.iota(dtype=INT32, shape=shape, axis=0)
    ones = elementwise.eq(numbers, structure.broadcast(mine, shape=shape, dims=(1,)))
    return structure.reshape(elementwise.convert(ones, dtype=type.dtype), shape=(size, *type.shape))


def _as_dtype(x: Atom, dtype: np.dtype) -> Atom:
    return x if x.dtype == dtype else elementwise.convert(x, dtype=dtype)

"""The entries of a sparse derivative: products of its linear map, and the picks from them.

    colours -> seeds        a sum of basis vectors for each colour, (colours, *argument)
    the linear map, batched over them                       (colours, elements)
    the entries, each from its product and its place        (entries,)

Where all products at once would need too much memory, a loop does some of them in each round, and
picks what they give: `chunk_size` of them, or as many as `api.jacobians.MEMORY` allows.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from tracejit.api.jacobians import MEMORY, widest
from tracejit.api.recording import Recording
from tracejit.control.bodies import keep_outputs
from tracejit.control.custom import custom_lin
from tracejit.control.scan import scan
from tracejit.ir.atoms import Atom, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import INT32, ArrayType, array_type
from tracejit.ir.walk import held_jaxprs, inline
from tracejit.ops import elementwise, indexing, structure
from tracejit.passes.sparsity.colour import count
from tracejit.passes.sparsity.plan import Plan, Sweep
from tracejit.runtime.report import report
from tracejit.runtime.run import run
from tracejit.transforms.batch import batch
from tracejit.transforms.linearize import Split
from tracejit.transforms.transpose import transpose


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
    def transposed(self) -> Jaxpr:
        """From the residuals and cotangents of the live results to the cotangents of the inputs."""
        mask = (False,) * self.parts.residuals + (True,) * len(self.in_types)
        return transpose(self.linear, mask)

    @property
    def only_backward(self) -> bool:
        """Whether a function with a `custom_vjp` is in it, which says the transpose alone."""
        return _has_vjp_only(self.linear)

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


def _has_vjp_only(jaxpr: Jaxpr) -> bool:
    return any(
        eqn.primitive is custom_lin or any(_has_vjp_only(body) for _, body in held_jaxprs(eqn))
        for eqn in jaxpr.equations
    )


class Tables:
    """Constant arrays of a program, each an input of it behind the others."""

    def __init__(self) -> None:
        self.arrays: list[np.ndarray] = []
        self.variables: list[Var] = []

    def add(self, array: np.ndarray) -> Var:
        """The variable that stands for an array."""
        self.arrays.append(array)
        self.variables.append(Var(array_type(array.dtype, array.shape)))
        return self.variables[-1]


class Picks(NamedTuple):
    """An array of rank 2 and, for each entry of the pattern, its place there, (entries, 2)."""

    array: Atom
    places: np.ndarray


def entries(
    problem: Problem, plan: Plan, numbers: Sequence[np.ndarray], tape: Recording, what: str,
    chunk_size: int | None,
) -> tuple[list[Any], list[Any]]:  # fmt: skip
    """The entries of each block, whose numbers in the pattern are given, and the auxiliary
    results."""
    tables = Tables()
    program = _program(problem, plan, numbers, tables, chunk_size)
    report(what, program)
    outs = run(program, [*tape.inputs, *tables.arrays])
    return outs[: len(numbers)], outs[len(numbers) :]


def _program(
    problem: Problem, plan: Plan, numbers: Sequence[np.ndarray], tables: Tables,
    chunk_size: int | None,
) -> Jaxpr:  # fmt: skip
    """(*inputs, *tables) -> (*entries of each block, *auxiliary results)."""
    parts, first = problem.parts, len(problem.out_types)
    invars = [Var(t) for t in parts.known.in_types]
    with building() as builder:
        known = inline(parts.known, invars)
        aux = known[first : len(known) - parts.residuals]
        residuals = known[len(known) - parts.residuals :]
        picks = [
            _products(problem, sweep, plan, k, residuals, tables, chunk_size)
            for k, sweep in enumerate(plan.sweeps)
            if count(sweep.colours)
        ]
        outs: list[Atom] = []
        for n, mine in enumerate(numbers):
            dtype = problem.out_types[n // len(problem.in_types)].dtype
            if len(mine):
                outs.append(_as_dtype(_picked(picks, plan, mine, tables), dtype))
            else:
                outs.append(zero(array_type(dtype, (0,))))
    return builder.finish([*invars, *tables.variables], [*outs, *aux])


def _picked(picks: Sequence[Picks], plan: Plan, mine: np.ndarray, tables: Tables) -> Atom:
    """Some of the entries, each from its sweep."""
    total: Atom | None = None
    for k, (array, places) in enumerate(picks):
        here = plan.which[mine] == k
        source = np.where(here[:, None], places[mine], 0).astype(np.int32)
        found = indexing.gather(array, tables.add(source), axes=(0, 1), batch=0)
        total = found if total is None else elementwise.select(tables.add(here), found, total)
    assert total is not None
    return total


def _products(
    problem: Problem, sweep: Sweep, plan: Plan, which: int, residuals: Sequence[Atom],
    tables: Tables, chunk_size: int | None,
) -> Picks:  # fmt: skip
    """The products of a sweep, (colours, elements); or in rounds, (rounds, entries of a round)."""
    linear = problem.linear if sweep.forward else problem.transposed
    size = count(sweep.colours)
    width = min(size, chunk_size or max(1, MEMORY // max(widest(linear), 1)))
    colours = tables.add(sweep.colours.astype(np.int32))
    if width == size:
        found = _compressed(problem, sweep.forward, linear, colours, residuals, size)
        return Picks(found, np.stack([plan.products, plan.elements], axis=1))
    places, sources = _rounds(plan, which, width, -(-size // width))
    with building() as builder:
        read = [Var(x.type) for x in residuals]
        own, index = Var(colours.type), Var(array_type(INT32))
        row = Var(array_type(INT32, sources.shape[1:]))
        found = _compressed(problem, sweep.forward, linear, own, read, width, index * width)
        picked = indexing.gather(found, row, axes=(0, 1), batch=0)
    body = builder.finish([*read, own, index, row], [picked])
    indices = structure.iota(dtype=INT32, shape=(len(sources),), axis=0)
    (found,) = scan.bind(
        *residuals, colours, indices, tables.add(sources), jaxpr=body, length=len(sources),
        reverse=False, num_consts=len(read) + 1, num_carry=0,
    )  # fmt: skip
    return Picks(found, places)


def _rounds(plan: Plan, which: int, width: int, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """For each entry of the pattern its round and its number there, (entries, 2); for each round
    where its entries are in its products, (rounds, most, 2)."""
    mine = np.flatnonzero(plan.which == which)
    round_of, product = np.divmod(plan.products[mine], width)
    order = np.argsort(round_of, kind="stable")
    sizes = np.bincount(round_of, minlength=rounds)
    number = np.empty(len(mine), np.int64)
    number[order] = np.arange(len(mine)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    places = np.zeros((len(plan.which), 2), np.int64)
    places[mine] = np.stack([round_of, number], axis=1)
    sources = np.zeros((rounds, int(sizes.max()), 2), np.int32)
    sources[round_of, number] = np.stack([product, plan.elements[mine]], axis=1)
    return places, sources


def _compressed(
    problem: Problem, forward: bool, linear: Jaxpr, colours: Atom, residuals: Sequence[Atom],
    size: int, first: Atom | None = None,
) -> Atom:  # fmt: skip
    """The products with `size` colours, from `first` on: (size, elements)."""
    types, results, ends = problem.in_types, problem.out_types, problem.column_ends
    alive, arrives = (True,) * len(types), problem.live
    if not forward:
        types, results, ends = results, types, problem.row_ends
        alive, arrives = arrives, alive
    seeds = [
        _seeds(colours, t, size, start, first)
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


def _seeds(colours: Atom, type: ArrayType, size: int, start: int, first: Atom | None) -> Atom:
    """For each of `size` colours, from `first` on, the sum of the basis vectors that have it: the
    part for one array, whose elements begin at `start`."""
    shape = size, type.size
    mine = structure.slice(colours, start=(start,), limit=(start + type.size,), stride=(1,))
    numbers = structure.iota(dtype=INT32, shape=shape, axis=0)
    if first is not None:
        numbers = numbers + structure.broadcast(first, shape=shape, dims=())
    ones = elementwise.eq(numbers, structure.broadcast(mine, shape=shape, dims=(1,)))
    return structure.reshape(elementwise.convert(ones, dtype=type.dtype), shape=(size, *type.shape))


def _as_dtype(x: Atom, dtype: np.dtype) -> Atom:
    return x if x.dtype == dtype else elementwise.convert(x, dtype=dtype)

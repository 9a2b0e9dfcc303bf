"""Jacobians and Hessians: the linear maps of derivatives, on a whole basis at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

import numpy as np

from tracejit.api.gradients import grad
from tracejit.api.jit import through_jit
from tracejit.api.linear_maps import jvp
from tracejit.api.recording import (
    Argnums,
    Recording,
    positions,
    record,
    require_complex,
    require_real,
)
from tracejit.control.bodies import keep_outputs
from tracejit.control.scan import scan
from tracejit.errors import ArgumentError, GradError
from tracejit.ir.atoms import Atom, Literal, Var, is_zero, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import FLOAT0, INT64, ArrayType, array_type
from tracejit.ir.walk import held_jaxprs, inline
from tracejit.ops import elementwise, structure
from tracejit.runtime.arguments import check_callable
from tracejit.runtime.report import report
from tracejit.runtime.run import run
from tracejit.trace.provenance import user_frame
from tracejit.transforms.batch import batch
from tracejit.transforms.jvp import Mask
from tracejit.transforms.linearize import linearize
from tracejit.transforms.memo import remembered
from tracejit.transforms.transpose import transpose

Transform = Callable[[Jaxpr, Mask, int, int | None], Jaxpr]

#: Bytes that one intermediate value may have with all directions at once; beyond, they are taken in
#: turns. Programs that keep such values are up to twice as fast in turns; fused ones, which never
#: keep them, four times slower. So it is memory that decides, and not speed.
MEMORY = 2**28


def jacfwd(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False,
    *, chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """The Jacobian of `fun` by forward mode, as `jax.jacfwd`: best where the input is the smaller.

    The result has the structure of fun's result, with the structure of the argument in place of
    each leaf (for a tuple of argnums, a tuple of these); a leaf has shape (*result, *argument).
    With `has_aux`, fun returns (result, auxiliary data), and so does the Jacobian.

    chunk_size: how many directions are pushed through `fun` at once. Unless it is given, all of
    them, or as many as `MEMORY` allows where their intermediate values would need more.
    """
    return _jacobian(fun, argnums, has_aux, holomorphic, False, chunk_size, "jacfwd", _forward)


def jacrev(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False,
    allow_int: bool = False, *, chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """The Jacobian of `fun` by reverse mode, as `jax.jacrev`: best where the result is the smaller.

    The arguments and the result are those of `jacfwd`; `allow_int` gives integers and bools
    derivatives of dtype float0 instead of an error.
    """
    return _jacobian(fun, argnums, has_aux, holomorphic, allow_int, chunk_size, "jacrev", _backward)


#: As in JAX.
jacobian = jacrev


def hessian(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False,
    *, chunk_size: int | None = None,
) -> Callable[..., Any]:  # fmt: skip
    """The second derivatives of `fun`, forward over reverse, as `jax.hessian`.

    `chunk_size` is that of `jacfwd`: so many columns at once.
    """
    inner = jacrev(fun, argnums, has_aux, holomorphic, chunk_size=chunk_size)
    return jacfwd(inner, argnums, has_aux, holomorphic, chunk_size=chunk_size)


def hvp(
    fun: Callable[..., Any],
    primals: Sequence[Any],
    tangents: Sequence[Any],
    has_aux: bool = False,
) -> Any:
    """The Hessian of `fun` at `primals` times `tangents`, by forward over reverse mode.

    fun: returns a float of shape (). primals, tangents: as in `jvp`; all primals are floats. The
    product is a tree like the primal; for several primals, whose Hessian has blocks, a tuple. It
    costs a few calls of `fun`, whatever their size. With `has_aux`, fun returns (result, auxiliary
    data), and (product, auxiliary data) comes back.
    """
    check_callable(fun, "hvp")
    argnums = tuple(range(len(primals))) if isinstance(primals, (tuple, list)) else ()
    gradient = grad(fun, 0 if len(argnums) == 1 else argnums, has_aux)
    _, *rest = jvp(gradient, primals, tangents, has_aux=has_aux)
    return (rest[0], rest[1]) if has_aux else rest[0]


def _jacobian(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, holomorphic: bool, allow_int: bool,
    chunk_size: int | None, what: str, transform: Transform,
) -> Callable[..., Any]:  # fmt: skip
    check_callable(fun, what)
    is_count = isinstance(chunk_size, (int, np.integer)) and not isinstance(chunk_size, bool)
    if chunk_size is not None and (not is_count or chunk_size < 1):
        raise ArgumentError(
            f"{what}: chunk_size must be a positive int, not {chunk_size!r}", where=user_frame()
        )
    options = argnums, has_aux, allow_int, holomorphic, chunk_size, what, transform
    return through_jit(_transformed, fun, *options)


def _transformed(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, allow_int: bool, holomorphic: bool,
    chunk_size: int | None, what: str, transform: Transform,
) -> Callable[..., Any]:  # fmt: skip
    @functools.wraps(fun, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        places = positions(argnums, args, fun)
        floats_for = "" if allow_int else what
        tape = record(fun, args, kwargs, argnums=places, has_aux=has_aux, floats_for=floats_for)
        for t in tape.out_types:
            if not t.is_inexact:
                raise GradError(
                    f"{what} needs float results, and {tape.name} returned {t}", where=user_frame()
                )
        if holomorphic:
            require_complex(tape, what)
        ends = (tape.in_types, "arguments") if what == "jacfwd" else (tape.out_types, "results")
        require_real(tape, what, *ends, holomorphic)
        rows = tape.out_tree.num_leaves
        whole = transform(tape.jaxpr, tape.floats, rows, chunk_size)
        report("traced", tape.jaxpr)
        report(what, whole)
        outs = run(whole, tape.inputs, tape.name)
        aux = len(tape.jaxpr.outvars) - rows
        jac = _assembled(tape, outs[aux:], isinstance(argnums, int))
        return (jac, tape.aux.fill(outs[:aux])) if has_aux else jac

    return jacobian_of


def _assembled(tape: Recording, blocks: Sequence[Any], one: bool) -> Any:
    """The tree of blocks; where the argument is no float, there is a block of float0."""
    supply = iter(blocks)
    trees = []
    for out in tape.out_types:
        row = [
            next(supply) if t.is_inexact else np.zeros((*out.shape, *t.shape), FLOAT0)
            for t in tape.in_types
        ]
        by_argument = tape.in_tree.unflatten(row)
        trees.append(by_argument[0] if one else by_argument)
    return tape.out_tree.unflatten(trees)


# Both transforms: inputs -> the outputs behind the first `count` (auxiliary data), then for each of
# the first `count`, for each input marked `wrt`, the block of derivatives (*output, *input).


@remembered
def _forward(jaxpr: Jaxpr, wrt: Mask, count: int, chunk_size: int | None) -> Jaxpr:
    """A column for each element of the inputs."""
    with building() as builder:
        point = _Point(jaxpr, wrt, count)
        columns = point.over_basis(point.linear, point.in_types, chunk_size)
        blocks: list[Atom] = []
        for out, live in zip(point.out_types, point.live, strict=True):
            if live:
                parts = _cut(columns.pop(0), point.in_types)
                blocks += [
                    _swap(part, t.ndim) for part, t in zip(parts, point.in_types, strict=True)
                ]
            else:
                blocks += [zero(_block(out, out, t)) for t in point.in_types]
    return builder.finish(point.invars, [*point.aux, *blocks])


@remembered
def _backward(jaxpr: Jaxpr, wrt: Mask, count: int, chunk_size: int | None) -> Jaxpr:
    """A row for each element of the outputs."""
    with building() as builder:
        point = _Point(jaxpr, wrt, count)
        types = [t for t, live in zip(point.out_types, point.live, strict=True) if live]
        linear = (False,) * len(point.residuals) + (True,) * len(point.in_types)
        rows = point.over_basis(transpose(point.linear, linear), types, chunk_size)
        cuts = [_cut(row, types) for row in rows]
        blocks: list[Atom] = []
        place = 0
        for out, live in zip(point.out_types, point.live, strict=True):
            if live:
                blocks += [cut[place] for cut in cuts]
                place += 1
            else:
                blocks += [zero(_block(t, out, t)) for t in point.in_types]
    return builder.finish(point.invars, [*point.aux, *blocks])


class _Point:
    """The linearization, its known part bound in the current builder."""

    def __init__(self, jaxpr: Jaxpr, wrt: Mask, count: int):
        parts = linearize(jaxpr, wrt)
        self.invars = [Var(t) for t in jaxpr.in_types]
        self.in_types = [t for t, w in zip(jaxpr.in_types, wrt, strict=True) if w]
        self.out_types = jaxpr.out_types[:count]
        self.live = parts.unknown[:count]
        known = inline(parts.known, self.invars)
        self.aux = known[count : len(jaxpr.outvars)]
        self.residuals = known[len(jaxpr.outvars) :]
        mine = sum(self.live)
        keep = tuple(i < mine for i in range(len(parts.linear.outvars)))
        self.linear = keep_outputs(parts.linear, keep)

    def over_basis(
        self, linear: Jaxpr, types: Sequence[ArrayType], chunk_size: int | None
    ) -> list[Atom]:
        """The results of a linear map, along a first axis, for the standard basis of its inputs."""
        size = sum(t.size for t in types)
        width = min(size, chunk_size or _affordable(linear, size))
        batched = functools.partial(_on_units, linear, len(self.residuals), types)
        if width == size:
            return batched(self.residuals, size, Literal(0, array_type(INT64)))
        rounds = -(-size // width)
        with building() as builder:
            residuals = [Var(x.type) for x in self.residuals]
            index = Var(array_type(INT64))
            rows = batched(residuals, width, index * width)
        body = builder.finish([*residuals, index], rows)
        outs = scan.bind(
            *self.residuals, structure.iota(dtype=INT64, shape=(rounds,), axis=0), jaxpr=body,
            length=rounds, reverse=False, num_consts=len(residuals), num_carry=0,
        )  # fmt: skip
        return [_first(size, y) for y in outs]


def _affordable(linear: Jaxpr, size: int) -> int:
    """How many basis vectors at once keep the largest intermediate value within `MEMORY`, or
    within the size of the result, if that is larger."""
    result = sum(t.nbytes for t in linear.out_types)
    most = widest(linear)
    if most * size <= max(MEMORY, result * size):
        return size
    return max(1, MEMORY // most)


@remembered
def widest(jaxpr: Jaxpr) -> int:
    """The bytes of the largest value in a jaxpr, or in those it holds."""
    values = [v.type.nbytes for eqn in jaxpr.equations for v in eqn.outvars]
    held = [widest(body) for eqn in jaxpr.equations for _, body in held_jaxprs(eqn)]
    return max([*values, *held], default=0)


def _on_units(
    linear: Jaxpr, residuals: int, types: Sequence[ArrayType], inputs: Sequence[Atom], size: int,
    start: Atom,
) -> list[Atom]:  # fmt: skip
    """A linear map on `size` basis vectors, from that of index `start` on; zeros behind the end."""
    mask = (False,) * residuals + (True,) * len(types)
    body, _ = batch(linear, size, mask, (True,) * len(linear.outvars))
    ends = list(accumulate((t.size for t in types), initial=0))
    units = [_units(t, size, start, at) for t, at in zip(types, ends[:-1], strict=True)]
    return inline(body, [*inputs, *units])


def _units(type: ArrayType, size: int, start: Atom, at: int) -> Atom:
    """For each basis vector the part for one array, whose elements begin at `at`."""
    shape = (size, type.size)
    row = structure.iota(dtype=INT64, shape=shape, axis=0)
    column = structure.iota(dtype=INT64, shape=shape, axis=1)
    if not is_zero(start):
        row = row + structure.broadcast(start, shape=shape, dims=())
    ones = elementwise.eq(row, column + at)
    return structure.reshape(elementwise.convert(ones, dtype=type.dtype), shape=(size, *type.shape))


def _first(size: int, x: Atom) -> Atom:
    """(rounds, width, *rest) as (rounds * width, *rest), cut down to `size`."""
    rows, rest = x.shape[0] * x.shape[1], x.shape[2:]
    flat = structure.reshape(x, shape=(rows, *rest))
    limit, ones = (size, *rest), (1,) * flat.ndim
    return structure.slice(flat, start=(0,) * flat.ndim, limit=limit, stride=ones)


def _cut(x: Atom, types: Sequence[ArrayType]) -> list[Atom]:
    """(sum of sizes, *rest) into a part (*shape, *rest) for each type."""
    parts, at, rest = [], 0, x.shape[1:]
    for t in types:
        start, limit = (at, *[0] * len(rest)), (at + t.size, *rest)
        rows = structure.slice(x, start=start, limit=limit, stride=(1,) * x.ndim)
        parts.append(structure.reshape(rows, shape=(*t.shape, *rest)))
        at += t.size
    return parts


def _swap(x: Atom, count: int) -> Atom:
    """x with its first `count` axes behind the others."""
    order = (*range(count, x.ndim), *range(count))
    return structure.permute(x, order=order)


def _block(kind: ArrayType, out: ArrayType, type: ArrayType) -> ArrayType:
    """The type of the derivative of one with respect to the other: forward mode pushes into the
    dtype of the result, reverse mode pulls back into that of the argument; that is `kind`'s."""
    return kind.with_shape((*out.shape, *type.shape))

"""Jacobians and Hessians: the linear maps of derivatives, on a whole basis at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from tracejit.api.jit import through_jit
from tracejit.api.recording import Argnums, no_complex, positions, record
from tracejit.control.bodies import keep_outputs
from tracejit.errors import GradError
from tracejit.ir.atoms import Atom, Var, zero
from tracejit.ir.builder import building
from tracejit.ir.graph import Jaxpr
from tracejit.ir.types import INT64, ArrayType
from tracejit.ir.walk import inline
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


def jacfwd(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The Jacobian of `fun` by forward mode, as `jax.jacfwd`: best where the input is the smaller.

    The result has the structure of fun's result, with the structure of the argument in place of
    each leaf (for a tuple of argnums, a tuple of these); a leaf has shape (*result, *argument).
    With `has_aux`, fun returns (result, auxiliary data), and so does the Jacobian.
    """
    return _jacobian(fun, argnums, has_aux, holomorphic, "jacfwd", _forward)


def jacrev(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The Jacobian of `fun` by reverse mode, as `jax.jacrev`: best where the result is the smaller.

    The arguments and the result are those of `jacfwd`.
    """
    return _jacobian(fun, argnums, has_aux, holomorphic, "jacrev", _backward)


#: As in JAX.
jacobian = jacrev


def hessian(
    fun: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False, holomorphic: bool = False
) -> Callable[..., Any]:
    """The second derivatives of `fun`, forward over reverse, as `jax.hessian`."""
    inner = jacrev(fun, argnums, has_aux, holomorphic)
    return jacfwd(inner, argnums, has_aux, holomorphic)


def _jacobian(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, holomorphic: bool, what: str,
    transform: Callable[[Jaxpr, Mask, int], Jaxpr],
) -> Callable[..., Any]:  # fmt: skip
    check_callable(fun, what)
    if holomorphic:
        raise no_complex()
    return through_jit(_transformed, fun, argnums, has_aux, what, transform)


def _transformed(
    fun: Callable[..., Any], argnums: Argnums, has_aux: bool, what: str,
    transform: Callable[[Jaxpr, Mask, int], Jaxpr],
) -> Callable[..., Any]:  # fmt: skip
    @functools.wraps(fun, updated=())
    def jacobian_of(*args: Any, **kwargs: Any) -> Any:
        places = positions(argnums, args, fun)
        tape = record(fun, args, kwargs, argnums=places, has_aux=has_aux, floats_for=what)
        for t in tape.out_types:
            if not t.is_float:
                raise GradError(
                    f"{what} needs float results, and {tape.name} returned {t}", where=user_frame()
                )
        rows, columns = tape.out_tree.num_leaves, tape.in_tree.num_leaves
        whole = transform(tape.jaxpr, tape.floats, rows)
        report("traced", tape.jaxpr)
        report(what, whole)
        outs = run(whole, tape.inputs)
        aux, blocks = outs[: len(outs) - rows * columns], outs[len(outs) - rows * columns :]
        trees = [tape.in_tree.unflatten(blocks[i * columns :][:columns]) for i in range(rows)]
        jac = tape.out_tree.unflatten([t[0] if isinstance(argnums, int) else t for t in trees])
        return (jac, tape.aux.fill(aux)) if has_aux else jac

    return jacobian_of


# Both transforms: inputs -> the outputs behind the first `count` (auxiliary data), then for each of
# the first `count`, for each input marked `wrt`, the block of derivatives (*output, *input).


@remembered
def _forward(jaxpr: Jaxpr, wrt: Mask, count: int) -> Jaxpr:
    """A column for each element of the inputs."""
    with building() as builder:
        point = _Point(jaxpr, wrt, count)
        columns = point.over_basis(point.linear, point.in_types)
        blocks: list[Atom] = []
        for out, live in zip(point.out_types, point.live, strict=True):
            if live:
                parts = _cut(columns.pop(0), point.in_types)
                blocks += [
                    _swap(part, t.ndim) for part, t in zip(parts, point.in_types, strict=True)
                ]
            else:
                blocks += [zero(_block(out, t)) for t in point.in_types]
    return builder.finish(point.invars, [*point.aux, *blocks])


@remembered
def _backward(jaxpr: Jaxpr, wrt: Mask, count: int) -> Jaxpr:
    """A row for each element of the outputs."""
    with building() as builder:
        point = _Point(jaxpr, wrt, count)
        types = [t for t, live in zip(point.out_types, point.live, strict=True) if live]
        linear = (False,) * len(point.residuals) + (True,) * len(point.in_types)
        rows = point.over_basis(transpose(point.linear, linear), types)
        cuts = [_cut(row, types) for row in rows]
        blocks: list[Atom] = []
        place = 0
        for out, live in zip(point.out_types, point.live, strict=True):
            if live:
                blocks += [cut[place] for cut in cuts]
                place += 1
            else:
                blocks += [zero(_block(out, t)) for t in point.in_types]
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

    def over_basis(self, linear: Jaxpr, types: Sequence[ArrayType]) -> list[Atom]:
        """The results of a linear map, along a first axis, for the standard basis of its inputs."""
        size = sum(t.size for t in types)
        ends = list(accumulate((t.size for t in types), initial=0))
        mask = (False,) * len(self.residuals) + (True,) * len(types)
        body, _ = batch(linear, size, mask, (True,) * len(linear.outvars))
        units = [_units(t, size, at) for t, at in zip(types, ends[:-1], strict=True)]
        return inline(body, [*self.residuals, *units])


def _units(type: ArrayType, size: int, start: int) -> Atom:
    """For each of `size` basis vectors the part for one array, whose elements begin at `start`."""
    shape = (size, type.size)
    row = structure.iota(dtype=INT64, shape=shape, axis=0)
    column = structure.iota(dtype=INT64, shape=shape, axis=1)
    ones = elementwise.eq(row, column + start)
    return structure.reshape(elementwise.convert(ones, dtype=type.dtype), shape=(size, *type.shape))


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


def _block(out: ArrayType, type: ArrayType) -> ArrayType:
    """The type of the derivative of one with respect to the other."""
    return out.with_shape((*out.shape, *type.shape))

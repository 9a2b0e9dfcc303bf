"""Reductions by any computation: over axes, and over windows that move along axes.

The computation is associative, so neighbours may be combined in any grouping; their order is kept.
A window of w elements takes w - 1 steps, or about log2(w) to 2 log2(w) where results for all starts
are made from those of half the length (`_doubled`).

Of a window's maxima the first passes on the derivative, in row-major order, as in JAX.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

from tracejit import tree
from tracejit.errors import ArgumentError, ShapeError
from tracejit.ir.primitive import Primitive
from tracejit.ir.types import array_type
from tracejit.lax.shapes import dilated, pad, padding_of
from tracejit.numpy import shaping, ufuncs
from tracejit.numpy.arrays import Array, fault, one_axis, shape_argument, value
from tracejit.numpy.choosing import where
from tracejit.numpy.indexing import getitem
from tracejit.numpy.reductions import reduce_with
from tracejit.ops import elementwise as ops
from tracejit.ops import reduction, structure
from tracejit.trace.stage import stage
from tracejit.trace.tracer import is_traced
from tracejit.treedef import TreeDef

__all__ = ["reduce", "reduce_window"]

Computation = Callable[[Any, Any], Any]
#: Combines two lists of arrays.
Combine = Callable[[list[Array], list[Array]], list[Array]]

#: The reduction that a function of two numbers makes, by the one primitive that it binds.
_REDUCTIONS = {
    ops.add: structure.reduce_sum, ops.mul: reduction.reduce_prod, ops.max: reduction.reduce_max,
    ops.min: reduction.reduce_min, ops.and_: reduction.reduce_and, ops.or_: reduction.reduce_or,
    ops.xor: reduction.reduce_xor,
}  # fmt: skip
#: What changes nothing, by dtype.
_IDENTITIES: dict[Primitive | None, Callable[[Any], Any]] = {
    ops.add: lambda dtype: 0, ops.mul: lambda dtype: 1, ops.max: reduction.least,
    ops.min: reduction.greatest,
}  # fmt: skip


def _primitive_of(
    computation: Computation, structure_of: TreeDef, xs: Sequence[Array]
) -> Primitive | None:
    """The one primitive that a computation of two numbers binds to them, in their order."""
    if len(xs) != 1:
        return None

    def numbers(a: Any, b: Any) -> list[Any]:
        result = computation(structure_of.unflatten([a]), structure_of.unflatten([b]))
        return tree.leaves(result)

    number = array_type(xs[0].dtype)
    jaxpr = stage(numbers, [number, number]).jaxpr
    if len(jaxpr.equations) != 1 or jaxpr.equations[0].inputs != jaxpr.invars:
        return None
    return jaxpr.equations[0].primitive


def reduce(
    operands: Any, init_values: Any, computation: Computation, dimensions: Sequence[int]
) -> Any:
    """An array, or a tree of arrays of one shape, reduced over axes by a computation of two numbers
    (two trees of them), which is associative; `init_values` is its identity.

    Adding, multiplying, max, min and the bitwise functions are the reductions of those names.
    """
    xs, structure_of = tree.flatten(operands)
    arrays = [value(x) for x in xs]
    inits = [value(v, x.dtype) for v, x in zip(tree.leaves(init_values), arrays, strict=True)]
    axes = tuple(sorted(one_axis(a, arrays[0].ndim) for a in dimensions))
    combine = _combined(computation, structure_of)
    primitive = _primitive_of(computation, structure_of, arrays)
    if primitive in _REDUCTIONS:
        y = reduce_with(_REDUCTIONS[primitive], arrays[0], axes, False)
        return structure_of.unflatten(_from_start(primitive, inits, [y], combine))
    for axis in reversed(axes):
        arrays = _folded(arrays, inits, combine, axis)
    return structure_of.unflatten(_from_start(primitive, inits, arrays, combine))


def _combined(computation: Computation, structure_of: TreeDef) -> Combine:
    """A computation on trees as one on lists of arrays."""

    def combine(xs: list[Array], ys: list[Array]) -> list[Array]:
        result = computation(structure_of.unflatten(xs), structure_of.unflatten(ys))
        return [value(z, x.dtype) for z, x in zip(tree.leaves(result), xs, strict=True)]

    return combine


def _from_start(
    primitive: Primitive | None, inits: list[Array], xs: list[Array], combine: Combine
) -> list[Array]:
    """The initial values, combined with what was reduced; they may be known to change nothing."""
    known = primitive in _IDENTITIES and not is_traced(*inits)
    if known and inits[0] == _IDENTITIES[primitive](inits[0].dtype):
        return xs
    spread = [shaping.broadcast_to(v, x.shape) for v, x in zip(inits, xs, strict=True)]
    return combine(spread, xs)


def _folded(
    xs: list[Array], inits: list[Array], combine: Combine, axis: int
) -> list[Array]:
    """Reduced along one axis: neighbours are combined until one is left."""
    n = xs[0].shape[axis]
    if n == 0:
        shape = tuple(m for a, m in enumerate(xs[0].shape) if a != axis)
        return [shaping.broadcast_to(v, shape) for v in inits]
    while n > 1:
        pairs = n - n % 2
        firsts, seconds, rest = (
            [_along(x, axis, part) for x in xs]
            for part in (slice(0, pairs, 2), slice(1, pairs, 2), slice(pairs, n))
        )
        paired = combine(firsts, seconds)
        if n % 2:
            paired = [
                shaping.concatenate([x, y], axis) for x, y in zip(paired, rest, strict=True)
            ]
        xs, n = paired, (n + 1) // 2
    return [shaping.squeeze(x, axis) for x in xs]


def _along(x: Array, axis: int, part: slice) -> Array:
    """x[part] along one axis."""
    return getitem(x, (slice(None),) * axis + (part,))


# Windows


def reduce_window(
    operand: Any, init_value: Any, computation: Computation, window_dimensions: Sequence[int],
    window_strides: Sequence[int] | None = None, padding: str | Sequence[tuple[int, int]] = "VALID",
    base_dilation: Sequence[int] | None = None, window_dilation: Sequence[int] | None = None,
) -> Any:  # fmt: skip
    """Each window of an array (or of a tree of arrays of one shape) reduced by a computation.

    Windows have a size, a stride and a dilation along each axis; the operand is dilated and padded
    with the initial value, the identity of the computation, which is associative. Padding: 'VALID',
    'SAME', 'SAME_LOWER' (of the operand that is not dilated) or (low, high) for each axis.
    """
    xs, structure_of = tree.flatten(operand)
    arrays = [value(x) for x in xs]
    inits = [value(v, x.dtype) for v, x in zip(tree.leaves(init_value), arrays, strict=True)]
    ndim = arrays[0].ndim
    sizes, strides, spread, steps = (
        shape_argument((1,) * ndim if v is None else v)
        for v in (window_dimensions, window_strides, base_dilation, window_dilation)
    )
    if {len(sizes), len(strides), len(spread), len(steps)} != {ndim}:
        raise fault(
            ShapeError, f"reduce_window: a window of {sizes}, strides {strides}, dilations "
            f"{spread} and {steps} for an array of rank {ndim}",
        )  # fmt: skip
    if builtins.min((*sizes, *strides, *spread, *steps), default=1) < 1:
        raise fault(ArgumentError, "reduce_window: sizes, strides and dilations are at least 1")
    covered = [dilated(n, d) for n, d in zip(sizes, steps, strict=True)]
    pairs = padding_of(padding, arrays[0].shape, covered, strides)
    config = [(a, b, d - 1) for (a, b), d in zip(pairs, spread, strict=True)]
    arrays = [pad(x, v, config) for x, v in zip(arrays, inits, strict=True)]
    primitive = _primitive_of(computation, structure_of, arrays)
    combine = _FIRST.get(primitive) or _combined(computation, structure_of)  # type: ignore[arg-type]
    for axis in reversed(range(ndim)):
        arrays = _along_windows(arrays, combine, axis, sizes[axis], strides[axis], steps[axis])
    return structure_of.unflatten(_from_start(primitive, inits, arrays, combine))


def _larger(xs: list[Array], ys: list[Array]) -> list[Array]:
    """The larger of two, NaN if one is; of equal ones the first, with its derivative."""
    (x,), (y,) = xs, ys
    return [where(ufuncs.greater(y, x) | ufuncs.not_equal(y, y), y, x)]


def _smaller(xs: list[Array], ys: list[Array]) -> list[Array]:
    """The smaller of two, NaN if one is; of equal ones the first, with its derivative."""
    (x,), (y,) = xs, ys
    return [where(ufuncs.less(y, x) | ufuncs.not_equal(y, y), y, x)]


_FIRST: dict[Primitive | None, Combine] = {ops.max: _larger, ops.min: _smaller}


def _along_windows(
    xs: list[Array], combine: Combine, axis: int, size: int, stride: int, step: int
) -> list[Array]:
    """Windows along one axis: of `size` elements, `step` apart, one every `stride`."""
    n = xs[0].shape[axis]
    count = builtins.max((n - dilated(size, step)) // stride + 1, 0)
    if size == stride == 1:
        return xs

    def part(arrays: list[Array], at: int) -> list[Array]:
        """Of each window the element (or what begins with it) that is `at` steps from its start."""
        stop = at * step + (count - 1) * stride + 1 if count else at * step
        return [_along(x, axis, slice(at * step, stop, stride)) for x in arrays]

    powers, doublings = size.bit_count(), size.bit_length() - 1
    if (size - 1) * count <= doublings * n + (powers - 1) * count:
        result = part(xs, 0)
        for at in range(1, size):
            result = combine(result, part(xs, at))
        return result
    return _doubled(xs, combine, axis, size, step, part)


def _doubled(
    xs: list[Array], combine: Combine, axis: int, size: int, step: int,
    part: Callable[[list[Array], int], list[Array]],
) -> list[Array]:  # fmt: skip
    """Windows along one axis: those of 2m elements are two of m, for all starts at once; a window
    of any size is one of each power of two in that number, from left to right."""
    result: list[Array] | None = None
    length, at = 1, 0
    while True:
        if size & length:
            piece = part(xs, at)
            result = piece if result is None else combine(result, piece)
            at += length
        if at == size:
            return result  # type: ignore[return-value]
        end = xs[0].shape[axis] - length * step
        fronts = [_along(x, axis, slice(0, end)) for x in xs]
        backs = [_along(x, axis, slice(length * step, None)) for x in xs]
        xs, length = combine(fronts, backs), 2 * length

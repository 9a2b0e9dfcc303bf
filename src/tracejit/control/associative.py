"""associative_scan: all prefixes of an associative operation, in a logarithmic number of steps.

    elems      a  b   c    d     e
    pairs         ab       cd             combined, neighbour by neighbour
    odd           ab       abcd           the prefixes of the pairs
    even       a      abc        abcde    odd combined with the next element
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tracejit import tree
from tracejit.control.staging import as_leaves, check_functions, leaf_type, show
from tracejit.errors import AxisError, ShapeError, TreeError
from tracejit.ops.structure import concatenate, reshape
from tracejit.ops.structure import reverse as reverse_primitive
from tracejit.ops.structure import slice as slice_primitive
from tracejit.trace.provenance import function_place, user_frame
from tracejit.trace.tracer import bind

Leaves = list[Any]
Combine = Callable[[Leaves, Leaves], Leaves]


def associative_scan(
    fn: Callable[[Any, Any], Any], elems: Any, reverse: bool = False, axis: int = 0
) -> Any:
    """[e0, fn(e0, e1), fn(fn(e0, e1), e2), ...] along an axis of the leaves of elems.

    fn is associative, and works on many elements at once: it is called about 2 log2(n) times with
    parts of elems along the axis (a product of matrices is `a @ b`), and returns what it takes.
    reverse: from the last element to the first. The leaves agree in the length of that axis.
    """
    check_functions("associative_scan", fn)
    xs, structure = tree.flatten(elems)
    leaves = as_leaves(xs, structure, "elems")
    axes = [_axis(x, axis) for x in leaves]
    sizes = {x.shape[a] for x, a in zip(leaves, axes, strict=True)}
    if len(sizes) > 1:
        raise ShapeError(
            f"associative_scan: elems differ in length along axis {axis}: {sorted(sizes)}",
            where=user_frame(),
        )

    def combine(a: Leaves, b: Leaves) -> Leaves:
        out, found = tree.flatten(fn(structure.unflatten(a), structure.unflatten(b)))
        if found != structure:
            raise TreeError(
                "associative_scan: the function returns another structure than it takes",
                where=function_place(fn), hint=f"in:  {show(structure)}\nout: {show(found)}",
            )  # fmt: skip
        out = as_leaves(out, structure, "result")
        for x, y in zip(a, out, strict=True):
            if x.shape != y.shape:
                raise ShapeError(
                    f"associative_scan: the function makes {leaf_type(y)} of {leaf_type(x)}",
                    where=function_place(fn), hint="it works on all elements at once: a * b, a @ b",
                )  # fmt: skip
        return out

    def turned(xs: Leaves) -> Leaves:
        return [bind(reverse_primitive, x, axes=(a,)) for x, a in zip(xs, axes, strict=True)]

    if not leaves or sizes == {0}:
        return structure.unflatten(leaves)
    outs = _prefixes(combine, turned(leaves) if reverse else leaves, axes)
    return structure.unflatten(turned(outs) if reverse else outs)


def _axis(x: Any, axis: int) -> int:
    if not -x.ndim <= axis < x.ndim:
        raise AxisError(
            f"associative_scan: axis {axis} is out of range for shape {x.shape}",
            where=user_frame(),
        )
    return axis % x.ndim


def _prefixes(combine: Combine, elems: Leaves, axes: list[int]) -> Leaves:
    """The picture at the top of this module."""
    n = elems[0].shape[axes[0]]
    if n == 1:
        return elems

    def every_other(xs: Leaves, start: int, limit: int) -> Leaves:
        return [_part(x, a, start, limit, 2) for x, a in zip(xs, axes, strict=True)]

    pairs = combine(every_other(elems, 0, n - 1), every_other(elems, 1, n))
    odd = _prefixes(combine, pairs, axes)
    even = [_part(x, a, 0, 1) for x, a in zip(elems, axes, strict=True)]
    if n > 2:
        before = [_part(x, a, 0, (n - 1) // 2) for x, a in zip(odd, axes, strict=True)]
        rest = combine(before, every_other(elems, 2, n))
        even = [_joined([x, y], a) for x, y, a in zip(even, rest, axes, strict=True)]
    return [_alternate(x, y, a) for x, y, a in zip(even, odd, axes, strict=True)]


def _part(x: Any, axis: int, start: int, limit: int, stride: int = 1) -> Any:
    """x[start:limit:stride] along one axis."""
    low, high, step = [0] * x.ndim, [*x.shape], [1] * x.ndim
    low[axis], high[axis], step[axis] = start, limit, stride
    return bind(slice_primitive, x, start=tuple(low), limit=tuple(high), stride=tuple(step))


def _joined(xs: Leaves, axis: int) -> Any:
    return bind(concatenate, *xs, axis=axis)


def _alternate(even: Any, odd: Any, axis: int) -> Any:
    """even[0], odd[0], even[1], ...; there may be one even element more."""
    m = odd.shape[axis]
    shape = (*odd.shape[:axis], m, 1, *odd.shape[axis + 1 :])
    pair = [bind(reshape, x, shape=shape) for x in (_part(even, axis, 0, m), odd)]
    both = (*odd.shape[:axis], 2 * m, *odd.shape[axis + 1 :])
    merged = bind(reshape, _joined(pair, axis + 1), shape=both)
    if even.shape[axis] == m:
        return merged
    return _joined([merged, _part(even, axis, m, m + 1)], axis)

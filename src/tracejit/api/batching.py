"""vmap: a function on one thing becomes a function on many, stacked along an axis."""

from __future__ import annotations

import functools
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

from tracejit import tree
from tracejit.api.jit import through_jit
from tracejit.errors import ArgumentError, AxisError, ShapeError, TracejitError
from tracejit.ops import structure
from tracejit.runtime.arguments import argument, check_callable, name_of, result
from tracejit.runtime.report import report
from tracejit.runtime.run import run
from tracejit.runtime.values import canonical, returned, type_of_value
from tracejit.trace.provenance import user_frame
from tracejit.trace.stage import stage
from tracejit.trace.tracer import Tracer, bind, current_trace
from tracejit.transforms.batch import batch

Axes = Any  # an int, None, or a tree of them: a prefix of the tree of arguments


def vmap(
    fun: Callable[..., Any],
    in_axes: Axes = 0,
    out_axes: Axes = 0,
    axis_name: Hashable | None = None,
    axis_size: int | None = None,
) -> Callable[..., Any]:
    """`fun` for each element along an axis of its arguments, all at once, as `jax.vmap`.

    in_axes:   which axis of each argument is mapped: an int for all, or a tuple with an entry for
               each positional argument: an int, None (not mapped: it reaches `fun` as it is), or a
               tree of these. Arguments given by keyword are mapped along axis 0.
    out_axes:  where the axis goes in the results: an int, None (for a result that does not depend
               on what is mapped), or a tree of these.
    axis_size: how many, needed where nothing is mapped.
    axis_name: accepted for JAX's sake; there are no collectives that could refer to it.

    Raises ShapeError, naming the arguments, where the mapped axes differ in size.
    """
    check_callable(fun, "vmap")
    if isinstance(in_axes, list):
        in_axes = tuple(in_axes)

    return through_jit(_vmap, fun, in_axes, out_axes, axis_size)


def _vmap(
    fun: Callable[..., Any], in_axes: Axes, out_axes: Axes, axis_size: int | None
) -> Callable[..., Any]:
    @functools.wraps(fun, updated=())
    def mapped(*args: Any, **kwargs: Any) -> Any:
        return _Mapping(fun, args, kwargs, in_axes, axis_size).run(out_axes)

    return mapped


class _Mapping:
    """One call of a mapped function: its leaves, and the axis of each."""

    def __init__(
        self, fun: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any],
        in_axes: Axes, axis_size: int | None,
    ):  # fmt: skip
        self.fun, self.args, self.kwargs = fun, args, kwargs
        self.leaves, self.in_tree = tree.flatten((tuple(args), dict(kwargs)))
        self.axes = self._in_axes(in_axes)
        for i, axis in enumerate(self.axes):
            if axis is not None:
                name = functools.partial(self.name, i)
                x = canonical(self.leaves[i], name)
                self.leaves[i] = x
                self.axes[i] = _valid(axis, x.ndim, name)
        self.size = self._size(axis_size)

    def name(self, index: int) -> str:
        return argument(self.fun, self.args, self.kwargs, index)

    def _in_axes(self, in_axes: Axes) -> list[int | None]:
        """The axis of each leaf."""
        if isinstance(in_axes, tuple) and len(in_axes) != len(self.args):
            raise ArgumentError(
                f"vmap: in_axes has {len(in_axes)} entries for the {len(self.args)} positional "
                f"arguments of {name_of(self.fun)}", where=user_frame(),
                hint="give an entry for each positional argument, or one int for all",
            )  # fmt: skip
        positional = prefix_axes(in_axes, tuple(self.args), "in_axes")
        return [*positional, *[0] * (len(self.leaves) - len(positional))]

    def _size(self, axis_size: int | None) -> int:
        """The common size of the mapped axes."""
        sizes = {
            i: self.leaves[i].shape[axis] for i, axis in enumerate(self.axes) if axis is not None
        }
        found = set(sizes.values()) | ({axis_size} if axis_size is not None else set())
        if len(found) == 1:
            return found.pop()
        if not found:
            raise ArgumentError(
                f"vmap of {name_of(self.fun)}: nothing is mapped, so its size is not known",
                where=user_frame(),
                hint="map an argument (in_axes), or say axis_size=...",
            )
        lines = [
            f"axis {self.axes[i]} of {self.name(i)}, {type_of_value(self.leaves[i])}, has size {n}"
            for i, n in sizes.items()
        ]
        if axis_size is not None:
            lines.insert(0, f"axis_size is {axis_size}")
        raise ShapeError(
            f"vmap of {name_of(self.fun)}: the mapped axes differ in size\n    "
            + "\n    ".join(lines), where=user_frame(),
            hint="None in in_axes leaves an argument as it is",
        )  # fmt: skip

    def __call__(self, *tracers: Tracer) -> list[Any]:
        """The function on one element."""
        supply = iter(tracers)
        leaves = [
            x if axis is None else next(supply)
            for x, axis in zip(self.leaves, self.axes, strict=True)
        ]
        args, kwargs = self.in_tree.unflatten(leaves)
        self.out = self.fun(*args, **kwargs)
        outs, self.out_tree = tree.flatten(self.out)
        trace = current_trace()
        return [
            returned(y, trace, functools.partial(result, self.fun, self.out_tree, i))
            for i, y in enumerate(outs)
        ]

    def run(self, out_axes: Axes) -> Any:
        inputs = [
            _move(x, axis, 0) for x, axis in zip(self.leaves, self.axes, strict=True)
            if axis is not None
        ]  # fmt: skip
        types = [type_of_value(x) for x in inputs]
        staged = stage(self, [t.with_shape(t.shape[1:]) for t in types], name=name_of(self.fun))
        axes = prefix_axes(out_axes, self.out, "out_axes")
        del self.out
        mask = (False,) * len(staged.captured) + (True,) * len(inputs)
        body, live = batch(staged.jaxpr, self.size, mask, tuple(axis is not None for axis in axes))
        report("traced", staged.jaxpr)
        report("batched", body)
        results = run(body, [*staged.captured, *inputs], name_of(self.fun))
        for i, (y, axis) in enumerate(zip(results, axes, strict=True)):
            name = functools.partial(result, self.fun, self.out_tree, i)
            if axis is not None:
                results[i] = _move(y, 0, _valid(axis, y.ndim, name))
            elif live[i]:
                raise ArgumentError(
                    f"vmap: {name()} depends on what is mapped, and out_axes has None for it",
                    where=user_frame(),
                )
        return self.out_tree.unflatten(results)


def prefix_axes(prefix: Axes, full: Any, what: str) -> list[int | None]:
    """The axis of each leaf of `full`, from a prefix of its tree."""
    found, treedef = tree.flatten(prefix, is_leaf=lambda x: x is None)
    for axis in found:
        if axis is not None and (isinstance(axis, bool) or not isinstance(axis, int)):
            raise ArgumentError(
                f"vmap: {what} holds {axis!r}, and must hold ints and None", where=user_frame()
            )
    try:
        parts = tree.flatten_up_to(treedef, full)
    except TracejitError as error:
        raise ArgumentError(
            f"vmap: {what}={prefix!r} does not fit: {error.what}", where=user_frame()
        ) from None
    return [axis for axis, part in zip(found, parts, strict=True) for _ in tree.leaves(part)]


def _valid(axis: int, ndim: int, name: Callable[[], str]) -> int:
    """A non-negative axis; AxisError if there is none."""
    if not -ndim <= axis < ndim:
        rank = "is a scalar" if ndim == 0 else f"has {ndim} axes"
        raise AxisError(
            f"vmap: {name()} {rank}, so it has no axis {axis} to map", where=user_frame(),
            hint="None in in_axes leaves an argument as it is",
        )  # fmt: skip
    return axis % ndim


def _move(x: Any, source: int, target: int) -> Any:
    """x with one axis at another place."""
    if source == target:
        return x
    order = [a for a in range(x.ndim) if a != source]
    order.insert(target, source)
    return bind(structure.permute, x, order=tuple(order))

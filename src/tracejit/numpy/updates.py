"""x.at[index].set(values), and add, multiply, divide, power, min, max: x with elements changed.

Where all of the index is known (or certain to be in range) and its slices have no gaps, the
elements are one window (dynamic_update_slice); else they are scattered. Repeated indices add up; in
set the last one wins.
A traced bool mask takes values that are the same for all of its elements: it is a `select`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tracejit.errors import IndexingError, ShapeError, UnsupportedError
from tracejit.ir.primitive import Primitive
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    common_shape,
    fault,
    operand,
    reshape_to,
    shape_of,
    splat,
    value,
)
from tracejit.numpy.choosing import where
from tracejit.numpy.indexing import (
    Index,
    Pick,
    axes_of,
    index_vectors,
    is_mask,
    parse,
    placing_order,
    read,
)
from tracejit.numpy.shaping import broadcast_to, flip, transpose
from tracejit.numpy.windows.affine import affine
from tracejit.ops import indexing
from tracejit.ops.structure import inverse_order
from tracejit.trace.tracer import Tracer, bind


class At:
    """x.at: index it to say which elements."""

    __slots__ = ("x",)

    def __init__(self, x: Array):
        self.x = x

    def __getitem__(self, index: Any) -> Update:
        return Update(self.x, index)


class Update:
    """x.at[index]: the elements to read or to change. Every method returns a new array."""

    __slots__ = ("index", "x")

    def __init__(self, x: Array, index: Any):
        self.x = x
        self.index = index

    def get(self) -> Array:
        """The elements."""
        return read(self.x, parse(self.index, self.x.shape))

    def set(self, values: ArrayLike) -> Array:
        """x with these elements replaced."""
        return self._changed(indexing.scatter, lambda old, new: new, values)

    def add(self, values: ArrayLike) -> Array:
        """x with values added to these elements."""
        return self._changed(indexing.scatter_add, ufuncs.add, values)

    def subtract(self, values: ArrayLike) -> Array:
        """x with values taken from these elements."""
        return self.add(ufuncs.negative(values))

    def multiply(self, values: ArrayLike) -> Array:
        """x with these elements multiplied."""
        return self._changed(indexing.scatter_mul, ufuncs.multiply, values)

    mul = multiply

    def divide(self, values: ArrayLike) -> Array:
        """x with these elements divided."""
        return self.multiply(ufuncs.divide(1, values))

    def power(self, values: ArrayLike) -> Array:
        """x with these elements raised; an index that is repeated counts once."""
        return self.set(ufuncs.power(self.get(), values))

    def min(self, values: ArrayLike) -> Array:
        """x with these elements limited from above."""
        return self._changed(indexing.scatter_min, ufuncs.minimum, values)

    def max(self, values: ArrayLike) -> Array:
        """x with these elements limited from below."""
        return self._changed(indexing.scatter_max, ufuncs.maximum, values)

    def apply(self, function: Callable[[Array], Array]) -> Array:
        """x with a function applied to these elements; an index that is repeated counts once."""
        return self.set(function(self.get()))

    def _changed(
        self, scatter: Primitive, combine: Callable[..., Array], values: ArrayLike
    ) -> Array:
        parts = self.index if isinstance(self.index, tuple) else (self.index,)
        for i, part in enumerate(parts):
            if is_mask(part) and isinstance(part, Tracer):
                return masked(self.x, parts, i, combine, values)
        return _changed_at(self.x, parse(self.index, self.x.shape), scatter, combine, values)


def replaced(x: Array, index: Index, values: ArrayLike) -> Array:
    """x with the elements at an index replaced."""
    return _changed_at(x, index, indexing.scatter, lambda old, new: new, values)


def _changed_at(
    x: Array, index: Index, scatter: Primitive, combine: Callable[..., Array], values: ArrayLike
) -> Array:
    """x with values combined into the elements at an index."""
    new = value(operand(values), x.dtype)
    if _is_window(index, x.shape, scatter is indexing.scatter):
        old = None if scatter is indexing.scatter else read(x, index)
        return _write_window(x, index, new if old is None else combine(old, new))
    vectors, axes, updates = _scattering(x, index, new)
    return bind(scatter, x, vectors, updates, axes=axes, batch=0)


def masked(
    x: Array, parts: tuple[Any, ...], at: int, combine: Callable[..., Array], values: ArrayLike
) -> Array:
    """x with values combined into x[parts], of which part `at` is a traced mask.

    How many elements the mask takes is not known, so all of them get the same values.
    """
    mask, new = parts[at], value(operand(values), x.dtype)
    whole = (slice(None),) * mask.ndim
    index = parse((*parts[:at], *whole, *parts[at + 1 :]), x.shape)
    if index.picks:
        raise fault(UnsupportedError, "an index of a traced mask and other arrays")
    place = _place_of(parts, at, x.ndim, index)
    axes = index.layout[place : place + mask.ndim]
    shown = tuple(1 if a is None else index.cuts[a].length for a in index.layout)
    if mask.shape != tuple(x.shape[a] for a in axes if a is not None):
        raise fault(IndexingError, f"a mask of shape {mask.shape} for an array of shape {x.shape}")
    behind = len(shown) - place - mask.ndim
    if new.ndim > behind:
        split = new.ndim - behind - 1
        if new.shape[split] != 1:
            raise fault(
                UnsupportedError,
                f"values of shape {new.shape} for x[mask] of a traced mask {mask.shape}",
                "how many elements it takes is not known while tracing: x[:] = np.where(mask, y, "
                "x) takes values by place",
            )  # fmt: skip
        ones = (1,) * mask.ndim
        new = reshape_to(new, (*new.shape[:split], *ones, *new.shape[split + 1 :]))
    mask = reshape_to(mask, (*mask.shape, *(1,) * behind))
    old = read(x, index)
    return replaced(x, index, where(mask, combine(old, new), old))


def _place_of(parts: tuple[Any, ...], at: int, ndim: int, index: Index) -> int:
    """Where in the result the axes of the mask begin."""
    before, after = (sum(map(axes_of, p)) for p in (parts[:at], parts[at:]))
    dots = any(p is Ellipsis for p in parts[:at])
    return index.layout.index(ndim - after if dots else before)


def _is_window(index: Index, shape: tuple[int, ...], replaces: bool) -> bool:
    """Whether the elements are a block: slices without gaps, and single numbers.

    Traced numbers that are certain to be in range (indices of loops) will do where the block is
    replaced; others are scattered, as that drops what is out of range.
    """
    if any(c.stride != 1 for c in index.cuts.values()):
        return False
    picks = index.picks.items()
    return not picks or (replaces and all(_is_certain(i, shape[axis]) for axis, i in picks))


def _is_certain(i: Any, n: int) -> bool:
    """Whether a traced number is certain to be an index of n elements."""
    if not isinstance(i, Tracer) or i.shape:
        return False
    low, high = affine(i).range
    return low >= 0 and high < n


def _fitted(new: Array, shape: tuple[int, ...]) -> Array:
    """Values broadcast to the shape of the elements that they are for."""
    lead = max(new.ndim - len(shape), 0)
    if any(n != 1 for n in new.shape[:lead]):
        raise fault(ShapeError, f"values of shape {new.shape} for elements of shape {shape}")
    return broadcast_to(reshape_to(new, new.shape[lead:]), shape)


def _write_window(x: Array, index: Index, new: Array) -> Array:
    """x with a block replaced."""
    single = [isinstance(e, Pick) or e.drop for e in index.entries]
    lengths = tuple(1 if s else index.cuts[a].length for a, s in enumerate(single))
    shown = tuple(1 if a is None else index.cuts[a].length for a in index.layout if a != -1)
    new = reshape_to(_fitted(new, shown), lengths)
    turned = tuple(i for i, c in index.cuts.items() if c.reversed)
    new = flip(new, turned) if turned else new
    if lengths == x.shape:
        return new
    starts = [
        e.indices if isinstance(e, Pick) else splat(e.start, np.dtype(np.int64), ())
        for e in index.entries
    ]
    return bind(indexing.dynamic_update_slice, x, new, *starts)


def _scattering(x: Array, index: Index, new: Array) -> tuple[Any, tuple[int, ...], Array]:
    """Index vectors, the axes that they index, and updates in the order that scatter wants.

    Cuts that are not whole axes become index arrays too, along axes of their own.
    """
    shape = common_shape(list(index.picks.values()))
    cut_axes = [a for a in index.layout if a is not None and a >= 0]
    gridded = [a for a in cut_axes if not index.cuts[a].is_whole(x.shape[a])]
    rank = len(shape) + len(gridded)
    indices = []
    for axis, entry in enumerate(index.entries):
        if isinstance(entry, Pick):
            i = entry.indices
            i = reshape_to(value(i), (*shape_of(i), *(1,) * len(gridded)))
        elif entry.drop:
            i = np.full((1,) * rank, entry.start)
        elif axis in gridded:
            at = len(shape) + gridded.index(axis)
            i = entry.places().reshape([-1 if k == at else 1 for k in range(rank)])
        else:
            continue
        indices.append(i)
    axes = tuple(
        a for a, e in enumerate(index.entries) if isinstance(e, Pick) or e.drop or a in gridded
    )
    vectors, _ = index_vectors(indices)
    updates = _for_gather(new, index, shape)
    # Axes of the updates now: picks, then cuts in order; gridded cuts go first of these.
    count = len(shape)
    order = [cut_axes.index(a) for a in gridded]
    order += [i for i, a in enumerate(cut_axes) if a not in gridded]
    updates = transpose(updates, (*range(count), *(count + i for i in order)))
    return vectors, axes, updates


def _for_gather(new: Array, index: Index, picks: tuple[int, ...]) -> Array:
    """Values of the shape of x[index], as the axes of the picks and then those of the cuts."""
    has_place = -1 in index.layout
    layout = index.layout if has_place else [-1, *index.layout]
    plain = Index(index.entries, layout, index.scattered)
    shown: list[int] = list(picks) if plain.scattered else []
    bare: list[int] = list(shown)
    for axis in plain.layout:
        if axis is None:
            shown.append(1)
            continue
        lengths = (() if plain.scattered else picks) if axis == -1 else (plain.cuts[axis].length,)
        shown.extend(lengths)
        bare.extend(lengths)
    new = reshape_to(_fitted(new, tuple(shown)), tuple(bare))
    return transpose(new, inverse_order(placing_order(plain, len(picks))))

"""The ways from an array to its views, there and back: what `trace.view` asks of them.

    Window(index)      x[index], of slices, numbers (which may be traced), None and ...
    Reshaped(shape)    x.reshape(shape), where NumPy would not copy
    Permuted(order)    x.transpose(order)
    Turned(axes)       np.flip(x, axes)
    Sliced(axis, ...)  a part of np.split
    ReadOnly(read)     np.broadcast_to and np.diagonal
    RealPart()         x.real of complex numbers; ImaginaryPart() is x.imag

`of(x, way)` is the view; of what is not traced it is an array of its own, by NumPy.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from tracejit.ir.types import INT64, Shape
from tracejit.numpy.arrays import Array, reshape_to, splat
from tracejit.ops import complex as parts
from tracejit.ops import indexing, structure
from tracejit.ops.structure import inverse_order
from tracejit.trace.tracer import Tracer, bind
from tracejit.trace.view import View, Way, plain_strides


def of(x: Array, way: Way) -> Array:
    """x, seen through a way: a view of a tracer, unless all of it is seen as it is."""
    result = way.read(x)
    return result if result is x or not isinstance(x, Tracer) else View(x, way, result)


@dataclass(frozen=True, slots=True)
class Reshaped:
    """The same elements in another shape."""

    shape: Shape

    def read(self, base: Array) -> Array:
        return reshape_to(base, self.shape)

    def write(self, base: Array, new: Array) -> Array:
        return reshape_to(new, base.shape)

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        return reshaped_strides(shape, strides, self.shape)


@dataclass(frozen=True, slots=True)
class Permuted:
    """The axes in another order."""

    order: tuple[int, ...]

    def read(self, base: Array) -> Array:
        return bind(structure.permute, base, order=self.order)

    def write(self, base: Array, new: Array) -> Array:
        return bind(structure.permute, new, order=inverse_order(self.order))

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        return tuple([strides[a] for a in self.order])


@dataclass(frozen=True, slots=True)
class Turned:
    """Read from the end along axes."""

    axes: tuple[int, ...]

    def read(self, base: Array) -> Array:
        return bind(structure.reverse, base, axes=self.axes)

    def write(self, base: Array, new: Array) -> Array:
        return self.read(new)

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        return tuple([-s if a in self.axes else s for a, s in enumerate(strides)])


@dataclass(frozen=True, slots=True)
class Sliced:
    """x[start:limit] along one axis."""

    axis: int
    start: int
    limit: int

    def read(self, base: Array) -> Array:
        first, last = [0] * base.ndim, list(base.shape)
        first[self.axis], last[self.axis] = self.start, self.limit
        strides = (1,) * base.ndim
        return bind(
            structure.slice, base, start=tuple(first), limit=tuple(last), stride=strides
        )

    def write(self, base: Array, new: Array) -> Array:
        starts = [splat(self.start if a == self.axis else 0, INT64, ()) for a in range(base.ndim)]
        return bind(indexing.dynamic_update_slice, base, new, *starts)

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        return strides


@dataclass(frozen=True, slots=True)
class ReadOnly:
    """What NumPy gives as a view that cannot be written to."""

    read: Callable[[Array], Array]

    def write(self, base: Array, new: Array) -> None:
        return None

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        return None


@dataclass(frozen=True, slots=True)
class RealPart:
    """The real parts: every other of the floats that complex numbers are."""

    def read(self, base: Array) -> Array:
        return bind(parts.real, base)

    def write(self, base: Array, new: Array) -> Array:
        return bind(parts.complex, new, bind(parts.imag, base))

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        return tuple([2 * s for s in strides])


@dataclass(frozen=True, slots=True)
class ImaginaryPart(RealPart):
    """The imaginary parts."""

    def read(self, base: Array) -> Array:
        return bind(parts.imag, base)

    def write(self, base: Array, new: Array) -> Array:
        return bind(parts.complex, bind(parts.real, base), new)


def is_plain(x: Array) -> bool:
    """Whether a traced array lies in memory row by row: all that are no views do."""
    if not isinstance(x, View):
        return True
    return reshaped_strides(x.shape, x.strides(), (x.size,)) == (1,)


def may_reshape(x: Array, shape: Shape) -> bool:
    """Whether NumPy would give x in this shape without a copy."""
    return not isinstance(x, View) or reshaped_strides(x.shape, x.strides(), shape) is not None


def reshaped_strides(shape: Shape, strides: Shape | None, target: Shape) -> Shape | None:
    """The strides of the same elements in another shape; None if there are none that do.

    Axes from which a run of axes of the target is made have to lie in memory as one axis: each
    stride is the next one times its length.
    """
    if strides is None:
        return None
    if math.prod(shape) == 0:
        return plain_strides(target)
    old = deque((n, s) for n, s in zip(shape, strides, strict=True) if n != 1)
    found: list[int] = []
    run: list[int] = []  # axes of the target, and below what has been taken for them
    count, step = 1, 0
    for n in target:
        run.append(n)
        while count < math.prod(run):
            length, stride = old.popleft()
            if count > 1 and step != length * stride:
                return None
            count, step = count * length, stride
        if count == math.prod(run):
            found.extend(step * s for s in plain_strides(tuple(run)))
            run, count, step = [], 1, 0
    return tuple(found)

"""Views: tracers that are parts of others, or others in another shape, as NumPy's views are.

    y = x[1:]            y is View(x, Window(...)): read from x, and read anew once x has changed
    y[0] = 3             y becomes another value, and x what it is with that value as its part

How a view is read from its base, and how a value of it gets into the base, is what a `Way` knows
(the NumPy face has them). A base may be a view itself. The equations that read a view are bound
where the view is made, and again where it is used after a write to the base.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

from tracejit.errors import ArgumentError
from tracejit.ir.atoms import Atom
from tracejit.ir.types import ArrayType, Shape
from tracejit.trace.provenance import user_frame
from tracejit.trace.tracer import Trace, Tracer, current_trace, leaked


class Way(Protocol):
    """How a view is reached from its base."""

    def read(self, base: Any) -> Any:
        """The value of the view."""

    def write(self, base: Any, new: Any) -> Any:
        """The value of the base, with `new` for the view; None for a view that is read-only."""

    def strides(self, shape: Shape, strides: Shape) -> Shape | None:
        """The view's strides, of a base of this shape with these, all in elements; None where it
        has none, because NumPy would have copied."""


class View(Tracer):
    """A tracer whose value is that of its base, seen through a way."""

    __slots__ = ("_atom", "_born", "_home", "_seen", "base", "shape_then", "way")

    def __init__(self, base: Tracer, way: Way, value: Tracer):
        """value: what `way.read(base)` gave."""
        self.base = base
        self.way = way
        self.weak = False
        self.shape_then = base.shape  # which `base.shape = ...` may change
        self._born = value.owner
        self._keep(value.atom, value.owner)

    @property
    def ended(self) -> bool:
        """Whether the trace that it was made in has ended: what says where it lies is gone."""
        return not self._born.alive

    def _keep(self, atom: Atom, home: Trace) -> None:
        self._atom, self._home, self._seen = atom, home, self.base.atom

    def _refresh(self) -> None:
        """Read the base again, unless what was read still holds and can be used here."""
        if self._seen is self.base.atom and self._home.alive:
            here = current_trace()
            if here is self._home or here is None or not here.by_object:
                return
        value = self.way.read(self.operators.reshape_to(self.base, self.shape_then))
        self._keep(value.atom, value.owner)

    @property
    def atom(self) -> Atom:  # type: ignore[override]
        if self._seen is not self.base.atom or not self._home.alive:
            self._refresh()
        return self._atom

    @property
    def owner(self) -> Trace:  # type: ignore[override]
        self._refresh()
        return self._home

    @property
    def aval(self) -> ArrayType:
        return self._atom.type

    @property
    def shape(self) -> Shape:
        return self._atom.type.shape

    @shape.setter
    def shape(self, shape: Any) -> NoReturn:
        raise ArgumentError(
            "the shape of a view of a traced array is assigned to", where=user_frame(),
            hint="y = y.reshape(shape) is such a view, too",
        )  # fmt: skip

    @property
    def dtype(self) -> Any:
        return self._atom.type.dtype

    @property
    def ndim(self) -> int:
        return len(self._atom.type.shape)

    def assign(self, new: Any) -> None:
        """Write the value into the base, and so into whatever that is a view of."""
        trace = current_trace()
        if trace is None:
            raise leaked(self)
        atom = trace.lift(new)  # now, as `new` may be another view of the base
        base = self.operators.reshape_to(self.base, self.shape_then)
        changed = self.way.write(base, Tracer(trace, atom))
        if changed is None:
            raise ArgumentError(
                f"assignment to a traced {self.aval} that is read-only", where=user_frame(),
                hint="np.broadcast_to and np.diagonal give such views, and real numbers have such "
                "an imaginary part; x.copy() can be written to",
            )  # fmt: skip
        self.base.assign(self.operators.reshape_to(changed, self.base.shape))
        self._keep(atom, trace)

    def strides(self) -> Shape | None:
        """Strides in elements, where it is one piece of the memory of its root, else None."""
        base = self.base
        outer = base.strides() if isinstance(base, View) else plain_strides(self.shape_then)
        return None if outer is None else self.way.strides(self.shape_then, outer)


def plain_strides(shape: Shape) -> Shape:
    """The strides, in elements, of an array that lies in memory row by row."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= n
    return tuple(reversed(strides))


def root_of(x: Any) -> Any:
    """What a view is a view of, in the end; anything else is itself."""
    while isinstance(x, View):
        x = x.base
    return x

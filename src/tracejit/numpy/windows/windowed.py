"""An array some of whose axes have a traced length: what is known of it has the full extent.

`Windowed` is no Tracer: a function that does not know it raises. It answers NumPy's operators,
methods and protocols by the functions that are lent to it (`Windowed.operators`, see functions.py).
Its `full` array may be a view of another array, so that writing to the window writes to that.
What `full` holds outside of the window means nothing, and never comes into a result.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, NoReturn

import numpy as np

from tracejit.errors import TracedConversionError, TracejitError, UnsupportedError
from tracejit.ir.types import Shape
from tracejit.numpy.arrays import Array, fault, splat
from tracejit.numpy.windows.affine import Affine
from tracejit.numpy.windows.spans import Chosen, Extent, Span
from tracejit.ops import elementwise
from tracejit.trace.tracer import FORWARDED, METHODS, Tracer, bind, current_trace

Extents = tuple[Extent | None, ...]


class Windowed:
    """The elements of `full` within the extents of its axes; None is all of an axis."""

    __slots__ = ("extents", "full")
    operators: ClassVar[Any] = None
    __array_priority__ = 2000
    __hash__ = object.__hash__

    def __init__(self, full: Tracer, extents: Sequence[Extent | None]):
        assert len(extents) == full.ndim and any(extents), (full.aval, extents)
        self.full = full
        self.extents: Extents = tuple(extents)

    @property
    def dtype(self) -> np.dtype:
        return self.full.dtype

    @property
    def ndim(self) -> int:
        return self.full.ndim

    @property
    def shape(self) -> tuple[Any, ...]:
        """The length of each axis, an int or a traced integer."""
        return tuple(
            n if e is None else as_integer(e.count())
            for n, e in zip(self.full.shape, self.extents, strict=True)
        )

    @property
    def size(self) -> Any:
        """The number of elements."""
        return number_of(self, range(self.ndim))

    @property
    def T(self) -> Windowed:
        return self.operators.transpose(self)

    @property
    def real(self) -> Windowed:
        return self

    def __repr__(self) -> str:
        return f"Windowed({described(self)})"

    def __len__(self) -> int:
        return int(self.numbered("len()").shape[0])

    def __bool__(self) -> NoReturn:
        raise fault(TracedConversionError, f"the truth of {described(self)}")

    def __iter__(self) -> Iterator[Any]:
        return iter(self.numbered("iteration"))

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise self.refusal("a result, or a function that wants a whole array,")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        return self.operators.ufunc(ufunc, method, inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return self.operators.function(func, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or not hasattr(np.ndarray, name):
            raise AttributeError(f"a window has no attribute {name!r}")
        return getattr(self.numbered(f"the attribute {name}"), name)

    def numbered(self, what: str) -> Any:
        """The part as an array, on the path that its bounds take in this call (see Trace.decider).

        Where there are no paths, as in the body of a loop, it is an error.
        """
        trace = current_trace()
        asks = trace is not None and trace.decider is not None
        if not asks or any(isinstance(e, Chosen) for e in self.extents):
            raise self.refusal(what)
        full: Array = self.full
        bounds = [e.bounds if isinstance(e, Span) else () for e in self.extents]
        numbers = [[operator.index(as_integer(b)) for b in pair] for pair in bounds]
        return full[tuple(slice(*pair) if pair else slice(None) for pair in numbers)]

    def refusal(self, what: str) -> TracejitError:
        """The error of what cannot be done without the number of elements, or their order."""
        return fault(
            UnsupportedError, f"{what} does not take {described(self)}",
            "the length of x[a:b] with traced a and b, or of x[mask], is not known while tracing: "
            "functions element by element, reductions, dot, flip, cumsum and assignment take such "
            "parts; x[a : a + 3] is an array, and np.where(mask, x, 0) keeps the shape",
        )  # fmt: skip


def _forward(name: str) -> Callable[..., Any]:
    def method(self: Windowed, *args: Any, **kwargs: Any) -> Any:
        function = getattr(self.operators, name, None)
        if function is None:
            return getattr(self.numbered(f"the method {name}"), name)(*args, **kwargs)
        return function(self, *args, **kwargs)

    method.__name__ = name
    return method


for _name in FORWARDED:
    setattr(Windowed, f"__{_name}__", _forward(f"__{_name}__"))
for _name in METHODS:
    setattr(Windowed, _name, _forward(_name))


def described(w: Windowed) -> str:
    """Its type, for messages: f64[5, part of 8]."""
    axes = [
        str(n) if e is None else f"{'part' if isinstance(e, Span) else 'chosen'} of {n}"
        for n, e in zip(w.full.shape, w.extents, strict=True)
    ]
    return f"{w.dtype}[{', '.join(axes)}] of traced length"


def as_integer(count: Affine) -> Any:
    """A number of elements as a Python number, or as a tracer that stands for one."""
    if count.known is not None:
        return count.known
    x = count.value()
    assert isinstance(x, Tracer)
    return Tracer(x.owner, x.atom, weak=True)


def number_of(w: Windowed, axes: Any) -> Any:
    """How many elements there are along some axes together."""
    number: Any = 1
    for a in axes:
        extent = w.extents[a]
        number = number * (w.full.shape[a] if extent is None else as_integer(extent.count()))
    return number


def mask_of(shape: Shape, extents: Extents) -> Tracer | None:
    """Where an array of this shape is within its extents; None for everywhere."""
    found: Any = None
    for axis, extent in enumerate(extents):
        mask = None if extent is None else extent.mask(shape, axis)
        if mask is not None:
            found = mask if found is None else bind(elementwise.and_, found, mask)
    return found


def filled(w: Any, number: Any, axes: Any = None) -> Any:
    """The full array with a number outside of the window (as far as these axes say)."""
    if not isinstance(w, Windowed):
        return w
    extents = tuple(
        e if axes is None or a in axes else None for a, e in enumerate(w.extents)
    )
    mask = mask_of(w.full.shape, extents)
    if mask is None:
        return w.full
    return bind(elementwise.select, mask, w.full, splat(number, w.dtype, w.full.shape))


def windowed(full: Array, extents: Sequence[Extent | None]) -> Array:
    """An array with extents: a Windowed, unless all axes are whole."""
    return Windowed(full, extents) if any(e is not None for e in extents) else full

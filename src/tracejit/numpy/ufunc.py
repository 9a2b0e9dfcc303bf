"""The class of element by element functions, with NumPy's manners: dtype=, reduce, outer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tracejit.errors import ArgumentError, UnsupportedError
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    Axis,
    DTypeLike,
    convert,
    fault,
    operand,
    reject_out,
    reshape_to,
    shape_of,
    value,
)
from tracejit.numpy.promotion import as_dtype

#: What NumPy's keywords may be: values that ask for nothing special.
_HARMLESS = {
    "casting": ("same_kind", "safe"), "order": ("K", "C"), "subok": (True, False),
    "signature": (None,), "where": (True,),
}  # fmt: skip


class Ufunc:
    """A function that works element by element on operands broadcast to one shape."""

    registry: ClassVar[dict[str, Ufunc]] = {}

    def __init__(self, name: str, body: Callable[..., Any], nin: int, doc: str, nout: int = 1):
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc
        self.body = body
        self.nin = nin
        self.nout = nout
        #: How reduce and accumulate are done, where they can be; lent by the reductions.
        self.reducer: Callable[..., Array] | None = None
        self.accumulator: Callable[..., Array] | None = None
        self.registry[name] = self

    def __repr__(self) -> str:
        return f"<ufunc {self.__name__!r}>"

    def __call__(self, *args: ArrayLike, **options: Any) -> Any:
        """Apply to operands; `dtype=` computes in that dtype."""
        if options:
            args = self._with_options(args, options)
        if len(args) != self.nin:
            raise fault(
                ArgumentError, f"{self.__name__} takes {self.nin} arguments, got {len(args)}"
            )
        return self.body(*[operand(x) for x in args])

    def _with_options(self, args: tuple[Any, ...], options: dict[str, Any]) -> tuple[Any, ...]:
        outs = options.pop("out", None)
        given = [x for x in (outs if isinstance(outs, tuple) else (outs,)) if x is not None]
        reject_out(given or None, self.__name__)
        dtype = options.pop("dtype", None)
        for name, option in options.items():
            if name not in _HARMLESS:
                raise fault(ArgumentError, f"{self.__name__} has no argument {name!r}")
            if not any(option is harmless for harmless in _HARMLESS[name]):
                raise fault(
                    UnsupportedError, f"{self.__name__}: {name}={option!r} is not supported",
                    "choose with np.where(condition, f(x), y)" if name == "where" else None,
                )  # fmt: skip
        return args if dtype is None else tuple([value(x, as_dtype(dtype)) for x in args])

    def reduce(
        self, x: ArrayLike, axis: Axis = 0, dtype: DTypeLike = None, out: None = None,
        keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True,
    ) -> Array:  # fmt: skip
        """Combine the elements along axes (the first, unless said)."""
        if self.reducer is None:
            raise self._missing("reduce")
        reject_out(out, f"{self.__name__}.reduce")
        options: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
        if dtype is not None:
            x = convert(value(x), as_dtype(dtype))
        if initial is not None:
            options["initial"] = initial
        if where is not True:
            options["where"] = where
        return self.reducer(x, **options)

    def accumulate(
        self, x: ArrayLike, axis: int = 0, dtype: DTypeLike = None, out: None = None
    ) -> Array:
        """The results of combining more and more elements along an axis."""
        if self.accumulator is None:
            raise self._missing("accumulate")
        reject_out(out, f"{self.__name__}.accumulate")
        return self.accumulator(value(x, None if dtype is None else as_dtype(dtype)), axis)

    def outer(self, x: ArrayLike, y: ArrayLike, **options: Any) -> Array:
        """f(x[i], y[j]) for all i and j."""
        if self.nin != 2:
            raise self._missing("outer")
        x, y = value(x), operand(y)
        return self(reshape_to(x, (*shape_of(x), *(1,) * len(shape_of(y)))), y, **options)

    def at(self, *args: Any) -> Any:
        """Not supported: it would change its operand."""
        raise self._missing("at", "y = x.at[indices].add(values), or set, multiply, min, max")

    def reduceat(self, *args: Any, **options: Any) -> Any:
        """Not supported."""
        hint = "tracejit.numpy.zeros(n).at[segment].add(x) sums by segment"
        raise self._missing("reduceat", hint)

    def _missing(self, method: str, hint: str | None = None) -> Exception:
        what = f"the method {method} of np.{self.__name__} is not supported on traced values"
        return fault(UnsupportedError, what, hint)

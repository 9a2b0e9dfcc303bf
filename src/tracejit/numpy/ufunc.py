"""The class of element by element functions, with NumPy's manners: dtype=, reduce, outer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from tracejit.errors import ArgumentError, UnsupportedError
from tracejit.numpy.arrays import (
    Array,
    ArrayLike,
    Axis,
    DTypeLike,
    check_cast,
    convert,
    copied,
    fault,
    not_traced,
    operand,
    reshape_to,
    shape_of,
    value,
    write,
)
from tracejit.numpy.promotion import as_dtype, dtype_of
from tracejit.numpy.windows.windowed import Windowed
from tracejit.trace.tracer import Tracer, is_traced

#: What NumPy's keywords may be: values that ask for nothing special.
_HARMLESS = {
    "casting": ("same_kind", "safe"), "order": ("K", "C"), "subok": (True, False),
    "signature": (None,),
}  # fmt: skip


class Ufunc:
    """A function that works element by element on operands broadcast to one shape."""

    registry: ClassVar[dict[str, Ufunc]] = {}
    of_windows: ClassVar[Callable[..., Any]]  # lent by numpy/windows/functions.py

    def __init__(self, name: str, body: Callable[..., Any], nin: int, doc: str, nout: int = 1):
        self.__name__ = self.__qualname__ = name
        self.__doc__ = doc
        self.body = body
        self.nin = nin
        self.nout = nout
        #: How reduce and accumulate are done, where they can be; lent by the reductions.
        self.reducer: Callable[..., Array] | None = None
        self.accumulator: Callable[..., Array] | None = None
        #: a with b combined into a[indices]; lent by the updates.
        self.updater: Callable[..., Array] | None = None
        self.registry[name] = self

    def __repr__(self) -> str:
        return f"<ufunc {self.__name__!r}>"

    def __call__(self, *args: ArrayLike, **options: Any) -> Any:
        """Apply to operands; `dtype=` computes in that dtype, `out=` is written to (`where=`: where
        that holds)."""
        if any(type(x) is Windowed for x in args):
            return self.of_windows(self, "__call__", args, options)
        if options or len(args) > self.nin:
            return self._with_options(args, **options)
        if len(args) != self.nin:
            raise fault(
                ArgumentError, f"{self.__name__} takes {self.nin} arguments, got {len(args)}"
            )
        result = self.body(*[operand(x) for x in args])
        return copied(result) if result is args[0] else result  # an array of its own

    def _with_options(
        self, args: tuple[Any, ...], out: Any = None, dtype: DTypeLike = None, where: Any = True,
        casting: str = "same_kind", **options: Any,
    ) -> Any:  # fmt: skip
        args, outs = args[: self.nin], args[self.nin :]
        if out is not None:
            outs = out if isinstance(out, tuple) else (out,)
        if len(outs) > self.nout or not all(x is None or hasattr(x, "dtype") for x in outs):
            raise fault(
                ArgumentError, f"{self.__name__} takes {self.nin} arguments, got "
                f"{self.nin + len(outs)}", "arrays for the results may follow them, out="
            )  # fmt: skip
        if casting not in ("same_kind", "safe", "unsafe"):
            raise fault(UnsupportedError, f"{self.__name__}: casting={casting!r} is not supported")
        for name, option in options.items():
            if name not in _HARMLESS:
                raise fault(ArgumentError, f"{self.__name__} has no argument {name!r}")
            if not any(option is harmless for harmless in _HARMLESS[name]):
                what = f"{self.__name__}: {name}={option!r} is not supported"
                raise fault(UnsupportedError, what)
        if dtype is not None:
            args = tuple([value(x, as_dtype(dtype)) for x in args])
        result = self(*args)
        results = result if isinstance(result, tuple) else (result,)
        wanted = (*outs, *(None,) * (self.nout - len(outs)))
        written = [self._given(*pair, where, casting) for pair in zip(wanted, results, strict=True)]
        return tuple(written) if self.nout > 1 else written[0]

    def _given(self, out: Any, result: Any, where: Any, casting: str) -> Any:
        """The result, in the array that is given for it."""
        if out is None and where is not True:
            raise fault(
                UnsupportedError, f"{self.__name__}: where= without out= leaves numbers undefined",
                "choose with np.where(condition, f(x), y)",
            )  # fmt: skip
        return result if out is None else write(out, result, self.__name__, casting, where)

    def reduce(
        self, x: ArrayLike, axis: Axis = 0, dtype: DTypeLike = None, out: Array = None,
        keepdims: bool = False, initial: ArrayLike | None = None, where: ArrayLike = True,
    ) -> Array:  # fmt: skip
        """Combine the elements along axes (the first, unless said)."""
        if self.reducer is None:
            raise self._missing("reduce")
        options: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
        if dtype is not None:
            x = convert(value(x), as_dtype(dtype))
        if initial is not None:
            options["initial"] = initial
        if where is not True:
            options["where"] = where
        result = self.reducer(x, **options)
        return result if out is None else write(out, result, f"{self.__name__}.reduce")

    def accumulate(
        self, x: ArrayLike, axis: int = 0, dtype: DTypeLike = None, out: Array = None
    ) -> Array:
        """The results of combining more and more elements along an axis."""
        if self.accumulator is None:
            raise self._missing("accumulate")
        y = self.accumulator(value(x, None if dtype is None else as_dtype(dtype)), axis)
        return y if out is None else write(out, y, f"{self.__name__}.accumulate")

    def outer(self, x: ArrayLike, y: ArrayLike, **options: Any) -> Array:
        """f(x[i], y[j]) for all i and j."""
        if self.nin != 2:
            raise self._missing("outer")
        x, y = value(x), operand(y)
        return self(reshape_to(x, (*shape_of(x), *(1,) * len(shape_of(y)))), y, **options)

    def at(self, a: Array, indices: Any, b: ArrayLike = None, /) -> None:
        """a[indices] = f(a[indices], b) in place, an index as often as it comes."""
        if self.updater is None:
            raise self._missing("at", "there is that of add, subtract, multiply, minimum, maximum")
        if isinstance(a, Tracer):
            check_cast(dtype_of(operand(b)), a, f"{self.__name__}.at")
            a.assign(self.updater(a, indices, b))
        elif is_traced(indices, b):
            raise not_traced(a, f"{self.__name__}.at")
        else:
            getattr(np, self.__name__).at(a, indices, b)

    def reduceat(self, *args: Any, **options: Any) -> Any:
        """Not supported."""
        hint = "tracejit.numpy.zeros(n).at[segment].add(x) sums by segment"
        raise self._missing("reduceat", hint)

    def _missing(self, method: str, hint: str | None = None) -> Exception:
        what = f"the method {method} of np.{self.__name__} is not supported on traced values"
        return fault(UnsupportedError, what, hint)

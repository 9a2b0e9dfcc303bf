"""Functions element by element on windows: of the full arrays, brought to one place.

Where a function has poles or edges (1/x, log, sqrt), what lies outside of the window is replaced by
a harmless number first: an inf or NaN made there would come back in the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tracejit.errors import ShapeError
from tracejit.numpy import choosing, creation, ufuncs
from tracejit.numpy.arrays import fault, operand, value
from tracejit.numpy.ufunc import Ufunc
from tracejit.numpy.windows.alignment import aligned, common_extents
from tracejit.numpy.windows.windowed import Windowed, filled, windowed

#: For the operands of functions with poles or edges: a number at which nothing happens.
_HARMLESS: dict[str, tuple[float | None, ...]] = {
    "divide": (None, 1), "floor_divide": (None, 1), "remainder": (None, 1), "fmod": (None, 1),
    "divmod": (None, 1), "reciprocal": (1,), "power": (1, 1), "float_power": (1, 1),
    "log": (1,), "log2": (1,), "log10": (1,), "log1p": (1,), "sqrt": (1,), "cbrt": (1,),
    "arcsin": (0,), "arccos": (0,), "arctanh": (0,), "arccosh": (2,), "tan": (0,),
    "hypot": (1, 1), "arctan2": (1, 1), "exp": (0,), "exp2": (0,), "expm1": (0,), "sinh": (0,),
    "cosh": (0,),
}  # fmt: skip


def ufunc_of(ours: Ufunc) -> Callable[..., Any]:
    """A function of NumPy element by element, as one of windows."""
    careful = of_arrays(ours, _HARMLESS.get(ours.__name__, ()))
    if ours is not ufuncs.power:
        return careful
    plain = of_arrays(ours)
    return lambda x, y, **options: (plain if _is_whole(y) else careful)(x, y, **options)


def _is_whole(exponent: Any) -> bool:
    """Whether it is known that a power is a product."""
    return isinstance(exponent, (int, float)) and exponent >= 0 and int(exponent) == exponent


def of_arrays(
    function: Callable[..., Any], harmless: Sequence[float | None] = ()
) -> Callable[..., Any]:
    """A function element by element of all of its positional arguments, as one of windows."""

    def apply(*xs: Any, **options: Any) -> Any:
        arrays = [x if isinstance(x, Windowed) or x is None else operand(x) for x in xs]
        extents = common_extents([x for x in arrays if x is not None])
        placed = [aligned(x, extents) for x in arrays]
        numbers = [*harmless, *[None] * (len(placed) - len(harmless))]
        fulls = [
            (x.full if n is None else filled(x, n)) if isinstance(x, Windowed) else x
            for x, n in zip(placed, numbers, strict=True)
        ]
        result = function(*fulls, **options)
        if isinstance(result, tuple):
            return tuple([windowed(y, extents) for y in result])
        return windowed(result, extents)

    return apply


def astype(
    x: Windowed, dtype: Any, order: str = "K", casting: str = "unsafe", subok: bool = True,
    copy: bool = True,
) -> Any:  # fmt: skip
    """x in another dtype."""
    return Windowed(creation.astype(x.full, dtype), x.extents)


def clip(
    x: Any, a_min: Any = None, a_max: Any = None, out: None = None, *, min: Any = None,
    max: Any = None,
) -> Any:  # fmt: skip
    """x, but no less than a_min and no more than a_max (None: no limit)."""
    low, high = (a_min if min is None else min), (a_max if max is None else max)
    return of_arrays(choosing.clip)(x, low, high)


def rounded(x: Windowed, decimals: int = 0, out: None = None) -> Any:
    """x to so many decimals."""
    return windowed(choosing.round(x.full, decimals), x.extents)


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """x where the condition holds, else y."""
    if x is None or y is None:
        raise condition.refusal("where with a condition alone")
    return of_arrays(choosing.where)(condition, x, y)


def copied(x: Windowed, order: str = "K", subok: bool = False) -> Any:
    """x as an array of its own."""
    return windowed(creation.copy(x.full), x.extents)


def full_like(
    x: Windowed, fill_value: Any, dtype: Any = None, order: str = "K", subok: bool = True,
    shape: Any = None,
) -> Any:  # fmt: skip
    """The same number in each element of a window like x."""
    if shape is not None:
        raise fault(ShapeError, "full_like of a window with another shape")
    return windowed(creation.full_like(x.full, fill_value, dtype), x.extents)


def zeros_like(x: Windowed, dtype: Any = None, **options: Any) -> Any:
    """Zeros in a window like x."""
    return full_like(x, 0, dtype)


def ones_like(x: Windowed, dtype: Any = None, **options: Any) -> Any:
    """Ones in a window like x."""
    return full_like(x, 1, dtype)


def converted(x: Any, dtype: Any) -> Any:
    """A window or an array in a dtype."""
    if isinstance(x, Windowed):
        return windowed(value(x.full, dtype), x.extents)
    return value(x, dtype)

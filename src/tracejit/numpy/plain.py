"""The module `math` in traced code: `math.sqrt(x)` of a traced x.

Its functions have doubles as `tracejit.trace.world` has them: what the originals do for numbers,
and for a traced value what it would have been as a Python number. It gives way in promotion as one
does, and keeps its derivative. The types `float` and `int` have none: programs ask for them by
identity (`type(x) is float`), and a double would answer wrongly.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

from tracejit.ir.atoms import Literal
from tracejit.ir.types import FLOAT64, INT64
from tracejit.numpy import ufuncs
from tracejit.numpy.arrays import convert, reshape_to
from tracejit.ops import special
from tracejit.trace import world
from tracejit.trace.tracer import Tracer, bind, is_traced


def _number(x: Any) -> Any:
    """A traced value of one element as a Python float; what is known stays as it is."""
    if not isinstance(x, Tracer):
        return x
    if x.size != 1:
        raise TypeError("only an array of one element can be made a Python number")
    if isinstance(x.atom, Literal):
        return float(x.atom.value)
    y = convert(reshape_to(x, ()), FLOAT64)
    return Tracer(y.owner, y.atom, weak=True)


def _log(x: Any, *base: Any) -> Any:
    return ufuncs.divide(ufuncs.log(x), ufuncs.log(base[0])) if base else ufuncs.log(x)


def _total(xs: Any) -> Any:
    return functools.reduce(ufuncs.add, xs, 0.0)


def _length(*xs: Any) -> Any:
    return ufuncs.sqrt(_total([ufuncs.square(x) for x in xs]))


def _whole(rounding: Callable[..., Any]) -> Callable[..., Any]:
    return lambda x: convert(rounding(x), INT64)


#: What math has, as functions of traced floats; names that NumPy shares are taken from `ufuncs`.
_SHARED = (
    "acos acosh asin asinh atan atan2 atanh cbrt copysign cos cosh degrees exp exp2 expm1 fabs "
    "fmod isfinite isinf isnan log10 log1p log2 nextafter pow radians sin sinh sqrt tan tanh"
).split()
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: getattr(ufuncs, name) for name in _SHARED},
    "log": _log, "hypot": _length,
    "floor": _whole(ufuncs.floor), "ceil": _whole(ufuncs.ceil), "trunc": _whole(ufuncs.trunc),
    "erf": functools.partial(bind, special.erf), "erfc": functools.partial(bind, special.erfc),
    "lgamma": functools.partial(bind, special.lgamma),
}  # fmt: skip
#: Those of a sequence, by the function of its elements.
SEQUENCES: dict[str, Callable[..., Any]] = {
    "fsum": _total,
    "prod": lambda xs: functools.reduce(ufuncs.multiply, xs, 1.0),
    "dist": lambda p, q: _length(*[ufuncs.subtract(x, y) for x, y in zip(p, q, strict=True)]),
}


def _double(name: str, ours: Callable[..., Any], of_sequences: bool) -> Callable[..., Any]:
    """The function of math of a name; `ours` where an operand is traced."""
    theirs = getattr(math, name)

    @functools.wraps(theirs)
    def double(*args: Any, **options: Any) -> Any:
        rows = [[*x] for x in args] if of_sequences else [args]
        if not any(is_traced(*row) for row in rows):
            return theirs(*(rows if of_sequences else args), **options)
        rows = [[_number(x) for x in row] for row in rows]
        y = ours(*rows) if of_sequences else ours(*rows[0])
        return Tracer(y.owner, y.atom, weak=y.dtype.kind != "b")

    return double


class Namespace(ModuleType):
    """The double of the module math."""

    def __getattr__(self, name: str) -> Any:
        return getattr(math, name)

    def __dir__(self) -> list[str]:
        return dir(math)


def lend() -> None:
    """Register all doubles."""
    namespace = Namespace("math", math.__doc__)
    for functions, of_sequences in ((FUNCTIONS, False), (SEQUENCES, True)):
        for name, ours in functions.items():
            double = _double(name, ours, of_sequences)
            setattr(namespace, name, double)
            world.register(getattr(math, name), double)
    world.register(math, namespace)

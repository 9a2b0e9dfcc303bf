"""What a function reads besides its arguments, and whether that is still the same.

    readings = readings_of(f)       None: what f does may depend on more than can be looked at
    seen = snapshot(readings)       ... later: seen == snapshot(readings)

A function that was recorded need not be run again where it would do the same again: where its
code, with that of all functions that it names, computes with its arguments, and with numbers,
arrays, and containers of these, by functions of NumPy and of this package. Its code is looked at,
instruction by instruction: whoever writes to attributes or globals, imports, reads attributes that
are none of arrays and containers, draws random numbers, prints, or names an object of another kind,
has no readings. An array counts by its bytes.
"""

from __future__ import annotations

import builtins
import dis
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from tracejit.numpy import linalg
from tracejit.trace.provenance import is_user_code

__all__ = ["Reading", "readings_of", "seen_as", "snapshot"]

#: Where something is looked up, and its name: a dict, a cell, or a function, for its defaults.
Reading = tuple[Any, str]

#: So many functions and values are looked at, at most.
MOST = 500
_FORBIDDEN = (
    "STORE_GLOBAL", "DELETE_", "STORE_ATTR", "IMPORT_", "LOAD_NAME", "STORE_NAME", "SEND",
    "GET_AWAITABLE", "GET_AITER", "GET_ANEXT", "LOAD_BUILD_CLASS", "LOAD_SUPER_ATTR",
    "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR", "EXEC",
)  # fmt: skip
_ATTRIBUTES = frozenset(
    {
        name
        for owner in (np, np.ndarray, np.linalg, linalg, math, list, dict, tuple, str)
        for name in dir(owner)
        if not name.startswith("_")
    }
    | set("logpdf pdf cdf logcdf logsf sf logpmf pmf entropy logsumexp expit logit".split())
) - frozenset(
    "random load save savez savetxt loadtxt fromfile tofile genfromtxt fromregex memmap seterr "
    "seterrcall errstate geterr set_printoptions setbufsize testing lib ctypeslib f2py ctypes "
    "data base flags dump fill put itemset setflags setfield format format_map".split()
)  # fmt: skip
_BUILTINS = frozenset(
    "abs all any bool dict enumerate filter float frozenset int isinstance len list map max min "
    "range reversed round set slice sorted str sum tuple zip divmod pow complex "
    "ArithmeticError AssertionError Exception IndexError KeyError NotImplementedError TypeError "
    "ValueError ZeroDivisionError".split()
)
_PLAIN = (bool, int, float, complex, str, bytes, type(None), type(Ellipsis), slice)
_MODULES = ("numpy", "math", "tracejit")
_MISSING = object()


def readings_of(fun: Callable[..., Any]) -> list[Reading] | None:
    """All places where `fun`, and the functions that it names, look something up; None where what
    they do cannot be told from that."""
    readings: dict[tuple[int, str], Reading] = {}
    pending: list[Any] = [fun]
    seen: set[int] = set()
    while pending:
        x = pending.pop()
        if id(x) in seen:
            continue
        seen.add(id(x))
        found = _inside(x, readings) if len(seen) < MOST else None
        if found is None:
            return None
        pending += found
    return [*readings.values()]


def _inside(x: Any, readings: dict[tuple[int, str], Reading]) -> list[Any] | None:
    """The values that a value leads to; what is looked up for them goes into `readings`."""
    if type(x) in _PLAIN or isinstance(x, np.generic):
        return []
    if isinstance(x, np.ndarray):
        return [] if type(x) is np.ndarray and x.dtype.kind in "biufc" else None
    if type(x) in (tuple, list):
        return list(x)
    if type(x) is dict:
        return [*x, *x.values()]
    if isinstance(x, FunctionType) and is_user_code(x.__code__.co_filename):
        return _names(x, readings)
    return [] if _is_known(x) else None


def _names(fun: FunctionType, readings: dict[tuple[int, str], Reading]) -> list[Any] | None:
    """The same for a function of the user's."""
    code = fun.__code__
    if vars(fun).keys() - {"__wrapped__"} or not _is_plain(code):
        return None
    values: list[Any] = [*(fun.__defaults__ or ()), *(fun.__kwdefaults__ or {}).values()]
    for name in ("__code__", "__defaults__", "__kwdefaults__"):
        readings[id(fun), name] = (fun, name)
    for name in _globals(code):
        if name not in fun.__globals__ and name not in _BUILTINS:
            return None
        readings[id(fun.__globals__), name] = (fun.__globals__, name)
        values.append(fun.__globals__.get(name))
    for cell in fun.__closure__ or ():
        readings[id(cell), ""] = (cell, "")
        try:
            values.append(cell.cell_contents)
        except ValueError:
            return None
    return values


def _is_known(x: Any) -> bool:
    """Whether this is a module, or a function, that does the same each time."""
    if isinstance(x, ModuleType):
        return x.__name__.split(".")[0] in _MODULES and "random" not in x.__name__
    if isinstance(x, type):
        return x.__module__ in ("numpy", "builtins") and x.__name__ not in ("object", "type")
    if not isinstance(x, (FunctionType, BuiltinFunctionType, np.ufunc, type(np.sum))):
        return False
    if isinstance(x, BuiltinFunctionType) and x in vars(builtins).values():
        return x.__name__ in _BUILTINS
    owner = getattr(x, "__self__", None)
    home = x.__module__ if hasattr(x, "__module__") else "numpy"
    name = getattr(x, "__name__", "")
    bound = owner is not None and not isinstance(owner, ModuleType)
    known = str(home).split(".")[0] in _MODULES and "random" not in str(home)
    if isinstance(x, FunctionType):
        return known and all(_is_known(c.cell_contents) for c in x.__closure__ or ())
    return known and not bound and name in _ATTRIBUTES


@lru_cache(maxsize=1024)
def _is_plain(code: CodeType) -> bool:
    """Whether a code object, with those in it, computes and does nothing else."""
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name.startswith(_FORBIDDEN):
            return False
        if name == "STORE_DEREF" and instruction.argval in code.co_freevars:
            return False
        if name in ("LOAD_ATTR", "LOAD_METHOD") and instruction.argval not in _ATTRIBUTES:
            return False
    return all(_is_plain(c) for c in code.co_consts if isinstance(c, CodeType))


@lru_cache(maxsize=1024)
def _globals(code: CodeType) -> tuple[str, ...]:
    """The names that a code object, or one in it, looks up outside of functions."""
    names = [i.argval for i in dis.get_instructions(code) if i.opname == "LOAD_GLOBAL"]
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            names += _globals(inner)
    return tuple(dict.fromkeys(names))


def snapshot(readings: Sequence[Reading]) -> list[Any]:
    """What is there now, so that it can be compared."""
    return [seen_as(_looked_up(*reading)) for reading in readings]


def _looked_up(place: Any, name: str) -> Any:
    if isinstance(place, dict):
        return place.get(name, _MISSING)
    try:
        return getattr(place, name or "cell_contents")
    except ValueError:  # an empty cell
        return _MISSING


def seen_as(x: Any) -> Any:
    """A value as something that is equal to what means the same, and will not change."""
    kind = type(x)
    if kind is np.ndarray:
        return x.dtype, x.shape, x.tobytes()
    if kind is float or kind is complex:
        return kind, repr(x)
    if kind in (tuple, list):
        return kind, [seen_as(y) for y in x]
    if kind is dict:
        return kind, [(seen_as(k), seen_as(v)) for k, v in x.items()]
    if isinstance(x, np.generic):
        return kind, x.tobytes()
    return kind, x

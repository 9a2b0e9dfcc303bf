"""The names that traced code sees: while a function is traced, `np.zeros` makes a traced array.

NumPy's protocols hand over what is done with traced values. They do not hand over what makes an
array from nothing, nor what Python's own `range`, `max` and `min` do. So for the time of a trace
the globals of the traced function, and of the functions of the user's that it names, hold doubles:

    name    value             its double
    np      the module numpy  the same names, where `zeros` and its like are this package's
    range   (a built-in)      `for i in range(n)` may be traced once: see `control.rolling`
    max     (a built-in)      the greater of two traced values
    T       an ndarray        the same, which can be read at traced indices: see `trace.tables`

A double does what the original does in threads that trace nothing. Which doubles there are is said
by `tracejit.numpy.world`, which registers them here.
"""

from __future__ import annotations

import functools
import sys
import sysconfig
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from types import CellType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from tracejit.trace.provenance import is_user_code
from tracejit.trace.tables import is_lendable, lent, plain
from tracejit.trace.watch import Named

_MISSING = object()
_MOST = 2000
_LIBRARIES = tuple({sysconfig.get_paths()[k] for k in ("stdlib", "platstdlib", "purelib")})

#: By the id of the original, which is kept: the original and its double.
_originals: dict[int, tuple[Any, Any]] = {}
#: By name: doubles of built-ins.
_builtins: dict[str, Any] = {}
#: By the id of a module's globals: how many traces need them, the globals, and what was changed.
_installed: dict[int, list[Any]] = {}
_lock = threading.RLock()


def register(original: Any, double: Any) -> None:
    """Let a double stand for an object under whatever global name it goes."""
    _originals[id(original)] = (original, double)


def register_builtin(name: str, double: Any) -> None:
    """Let a double stand for a built-in of this name, where a module has no global of it."""
    _builtins[name] = double


def double_of(original: Any) -> Any:
    """What stands for an object while functions are traced; itself if it has no double."""
    found = _originals.get(id(original))
    return original if found is None else found[1]


@contextmanager
def world_of(fun: Callable[..., Any]) -> Iterator[list[Named]]:
    """In this block the globals of a function, and of the functions that it names, hold doubles.
    Gives these globals, with the names that the functions look up."""
    spaces, cells = _namespaces(fun)
    for space, names in spaces:
        _install(space, names)
    arrays = [(cell, cell.cell_contents) for cell in cells]
    for cell, array in arrays:
        cell.cell_contents = lent(array)
    try:
        yield spaces
    finally:
        for cell, array in arrays:
            if plain(cell.cell_contents) is array:
                cell.cell_contents = array
        for space, _ in spaces:
            _uninstall(space)


def _install(space: dict[str, Any], names: Collection[str]) -> None:
    with _lock:
        entry = _installed.get(id(space))
        if entry is not None:
            entry[0] += 1
            return
        changes: list[tuple[str, Any, Any]] = []
        for name, value in list(space.items()):
            found = _originals.get(id(value))
            if found is not None:
                changes.append((name, value, found[1]))
        arrays = [(n, space[n]) for n in names if is_lendable(space.get(n))]
        changes += [(name, array, lent(array)) for name, array in arrays]
        changes += [(n, _MISSING, double) for n, double in _builtins.items() if n not in space]
        for name, _, double in changes:
            space[name] = double
        _installed[id(space)] = [1, space, changes]


def _uninstall(space: dict[str, Any]) -> None:
    with _lock:
        entry = _installed[id(space)]
        entry[0] -= 1
        if entry[0]:
            return
        del _installed[id(space)]
        for name, value, double in entry[2]:
            if space.get(name) is not double:
                continue  # the program has given the name another meaning
            if value is _MISSING:
                del space[name]
            else:
                space[name] = value


# Which functions are the user's


@functools.lru_cache(maxsize=4096)
def _is_library(file: str) -> bool:
    return not is_user_code(file) or file.startswith(_LIBRARIES)


@functools.lru_cache(maxsize=4096)
def _names(code: CodeType) -> frozenset[str]:
    """The names that a code object, or one in it, looks up."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _names(constant)
    return frozenset(names)


def _namespaces(fun: Callable[..., Any]) -> tuple[list[Named], list[CellType]]:
    """The globals of the user's functions that a function consists of, holds and names; and of
    modules that it names, which need not have functions. And the cells in which these functions
    have arrays."""
    found: dict[int, tuple[dict[str, Any], set[str]]] = {}
    pending: list[Any] = [fun]
    seen: set[int] = set()
    cells: dict[int, CellType] = {}
    while pending and len(seen) < _MOST:
        x = pending.pop()
        if id(x) not in seen:
            seen.add(id(x))
            pending += _parts(x, found)
            if isinstance(x, FunctionType) and is_user_code(x.__code__.co_filename):
                cells |= {id(c): c for c in x.__closure__ or () if _is_full(c)}
    return [*found.values()], [c for c in cells.values() if is_lendable(c.cell_contents)]


def _parts(x: Any, found: dict[int, tuple[dict[str, Any], set[str]]]) -> list[Any]:
    """What else may run when x does; the globals of user code go into `found`."""
    if isinstance(x, FunctionType):
        parts = [c.cell_contents for c in x.__closure__ or () if _is_full(c)]
        parts += [x.__dict__.get("__wrapped__")]
        file = x.__code__.co_filename
        if not is_user_code(file):
            return [*parts, *(x.__defaults__ or ())]
        if _is_library(file) and found:
            return parts
        names = _names(x.__code__)
        found.setdefault(id(x.__globals__), (x.__globals__, set()))[1].update(names)
        values = [x.__globals__[n] for n in names if n in x.__globals__]
        parts += values
        for module in [*parts]:
            if isinstance(module, ModuleType) and not _is_library(_file(module)):
                found.setdefault(id(vars(module)), (vars(module), set()))[1].update(names)
                parts += [vars(module)[n] for n in names if n in vars(module)]
        return parts
    if isinstance(x, MethodType):
        return [x.__func__, x.__self__]
    if isinstance(x, functools.partial):
        return [x.func, *x.args, *x.keywords.values()]
    if isinstance(x, type):
        module = sys.modules.get(x.__module__)
        if module is None or _is_library(_file(module)):
            return []
        return [f for f in vars(x).values() if isinstance(f, FunctionType)] + [*x.__bases__]
    if isinstance(x, ModuleType) or not hasattr(x, "__dict__"):
        return []
    inside = [v for v in vars(x).values() if callable(v)]
    return [*inside, type(x)]


def _file(module: ModuleType) -> str:
    """The file of a module; "<frozen" for one that is built in."""
    return getattr(module, "__file__", None) or ("" if module.__name__ == "__main__" else "<frozen")


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True

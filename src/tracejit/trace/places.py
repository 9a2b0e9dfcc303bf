"""Where the variables of a loop live: local variables, and what lists, tuples, dicts and objects
among them hold, as far as it is arrays and numbers.

    survey({"x": x, "state": [a, {"k": b}]})
    # {("x",): x, ("state", 0): a, ("state", 1, "k"): b, ...}

The survey before and after one round of a loop says what the round has changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tracejit.trace.tracer import Tracer

Path = tuple[Any, ...]

_DEPTH = 4
_KNOWN_ARRAY = 4096
_CODE = (ModuleType, FunctionType, BuiltinFunctionType, MethodType, type)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A step of a path: an attribute of an object."""

    name: str


@dataclass(frozen=True, slots=True)
class Shell:
    """What a container is apart from its leaves; two are equal if nothing else has changed.

    kind: the type of a tuple; of what can change in place, which one it is.
    """

    kind: type | int
    keys: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is in an ndarray: NumPy writes into it without a word."""

    content: bytes


def is_number(x: Any) -> bool:
    """Whether it is a Python number or a NumPy scalar of a dtype with arithmetic."""
    if isinstance(x, np.generic):
        return x.dtype.kind in "biuf"
    return isinstance(x, (bool, int, float))


def is_leaf(x: Any) -> bool:
    """Whether a loop could carry it: traced values, numbers, arrays of numbers."""
    return isinstance(x, Tracer) or is_number(x) or (
        isinstance(x, np.ndarray) and x.dtype.kind in "biuf"
    )


def survey(variables: Mapping[str, Any]) -> dict[Path, Any]:
    """Leaves, shells of containers and everything else, by path."""
    found: dict[Path, Any] = {}
    open_: set[int] = set()
    for name, value in variables.items():
        _visit(value, (name,), found, open_)
    return found


def module_state(space: Mapping[str, Any]) -> dict[str, Any]:
    """The globals of a module that hold numbers, arrays, and containers: not its code."""
    kinds = (list, dict, tuple)
    return {
        name: x for name, x in space.items()
        if not name.startswith("__") and (is_leaf(x) or isinstance(x, kinds))
    }  # fmt: skip


def _visit(x: Any, path: Path, found: dict[Path, Any], open_: set[int]) -> None:
    found[path] = x
    if isinstance(x, np.ndarray) and x.size <= _KNOWN_ARRAY:
        found[(*path, Frozen)] = Frozen(x.tobytes())
    items = _items(x)
    if items is None or len(path) > _DEPTH or id(x) in open_:
        return
    open_.add(id(x))
    kind = type(x) if isinstance(x, tuple) else id(x)
    found[(*path, Shell)] = Shell(kind, tuple([key for key, _ in items]))
    for key, value in items:
        _visit(value, (*path, key), found, open_)
    open_.discard(id(x))


def _items(x: Any) -> list[tuple[Any, Any]] | None:
    if isinstance(x, (Tracer, *_CODE)):
        return None
    if isinstance(x, (list, tuple)):
        return [*enumerate(x)] if len(x) <= _KNOWN_ARRAY else None
    if isinstance(x, dict):
        return [*x.items()]
    attributes = getattr(x, "__dict__", None)
    if isinstance(attributes, dict) and type(x).__module__ not in ("builtins", "numpy"):
        return [(Attribute(name), value) for name, value in attributes.items()]
    return None


def same(before: Any, after: Any) -> bool:
    """Whether a place holds what it held."""
    if before is after:
        return True
    compared = is_number(before) or isinstance(before, (Shell, Frozen))
    return compared and type(before) is type(after) and bool(before == after)


def put(variables: dict[str, Any], path: Path, value: Any) -> None:
    """Change one place; `variables` takes what has to become a local variable's new value."""
    variables[path[0]] = _replaced(variables[path[0]], path[1:], value) if path[1:] else value


def _replaced(x: Any, path: Path, value: Any) -> Any:
    """x with one place changed: in place, but for tuples."""
    key = path[0]
    old = getattr(x, key.name) if isinstance(key, Attribute) else x[key]
    new = _replaced(old, path[1:], value) if path[1:] else value
    if isinstance(x, tuple):
        parts = [*x[:key], new, *x[key + 1 :]]
        return x._make(parts) if hasattr(x, "_make") else tuple(parts)
    if isinstance(key, Attribute):
        setattr(x, key.name, new)
    else:
        x[key] = new
    return x


def restore(before: dict[Path, Any], after: dict[Path, Any]) -> None:
    """Give containers that one round has changed their contents back."""
    for path, shell in before.items():
        if path[-1] is not Shell:
            continue
        container = before[path[:-1]]
        keys = shell.keys
        if isinstance(container, tuple) or same(shell, after.get(path)) and all(
            before[(*path[:-1], k)] is after.get((*path[:-1], k)) for k in keys
        ):
            continue
        contents = {k: before[(*path[:-1], k)] for k in keys}
        if isinstance(container, list):
            container[:] = contents.values()
        elif isinstance(container, dict):
            container.clear()
            container.update(contents)
        else:
            attributes = vars(container)
            attributes.clear()
            attributes.update({k.name: v for k, v in contents.items()})

"""Where the variables of a loop live: local variables, and what lists, tuples, dicts, objects and
functions among them hold, as far as it is arrays and numbers.

    survey({"x": x, "state": [a, {"k": b}]})
    # {("x",): x, ("state", 0): a, ("state", 1, "k"): b, ...}

The survey before and after one round of a loop says what the round has changed.
"""

from __future__ import annotations

import pickle
import random
import sys
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from types import BuiltinFunctionType, CellType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from tracejit.trace.provenance import is_user_code
from tracejit.trace.tables import plain
from tracejit.trace.tracer import Tracer

Path = tuple[Any, ...]

_DEPTH = 8
_MOST = 4000  # containers; whoever holds more has them to himself
_KNOWN_ARRAY = 4096
_NO_DATA = (Tracer, ModuleType)


@dataclass(frozen=True, slots=True)
class Attribute:
    """A step of a path: an attribute of an object, or a class."""

    name: str

    def of(self, x: Any) -> Any:
        found = getattr(x, "__dict__", {})
        return found[self.name] if self.name in found else getattr(x, self.name)

    def put(self, x: Any, value: Any) -> None:
        """Not by the ways of the object's own, which may do more."""
        if isinstance(x, type):
            type.__setattr__(x, self.name, value)
        elif self.name in getattr(x, "__dict__", ()):
            x.__dict__[self.name] = value
        else:
            object.__setattr__(x, self.name, value)

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class Cell:
    """A step of a path: a variable that a function has from the one around it."""

    name: str

    def _cell(self, x: Any) -> CellType:
        return x.__closure__[x.__code__.co_freevars.index(self.name)]  # type: ignore[no-any-return]

    def of(self, x: Any) -> Any:
        return self._cell(x).cell_contents

    def put(self, x: Any, value: Any) -> None:
        self._cell(x).cell_contents = value

    def __str__(self) -> str:
        return f".{self.name}"


@dataclass(frozen=True, slots=True)
class Shell:
    """What a container is apart from its leaves; two are equal if nothing else has changed.

    kind: the type of a tuple; of what can change in place, which one it is.
    """

    kind: type | int
    keys: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Frozen:
    """What is in what changes without a word, such as an ndarray, a set, or a source of random
    numbers. keys: instead of a content, all of which are the very same."""

    content: Any = None
    same: tuple[Any, ...] = ()

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Frozen) and self.content == other.content
            and len(self.same) == len(other.same)
            and all(x is y for x, y in zip(self.same, other.same, strict=True))
        )  # fmt: skip


class Again:
    """Of a container that has its contents at another path."""


class Advancing:
    """Of an iterator: where it stands no one knows."""


#: What ends a path that is no place.
_MARKS = (Shell, Frozen, Again, Advancing)


def is_number(x: Any) -> bool:
    """Whether it is a Python number or a NumPy scalar of a dtype with arithmetic."""
    if isinstance(x, np.generic):
        return x.dtype.kind in "biufc"
    return isinstance(x, (bool, int, float, complex))


def is_leaf(x: Any) -> bool:
    """Whether a loop could carry it: traced values, numbers, arrays of numbers."""
    return isinstance(x, Tracer) or is_number(x) or (
        isinstance(x, np.ndarray) and x.dtype.kind in "biufc"
    )


def survey(variables: Mapping[str, Any], but: Collection[int] = ()) -> dict[Path, Any]:
    """Leaves, shells of containers and everything else, by path. but: containers, by id, that are
    not looked into."""
    found = _Survey(variables, but)
    for name, value in variables.items():
        found.visit(value, (name,))
    return found.places


class _Survey:
    """A walk through variables. places: what was found. seen: ids of containers that change."""

    def __init__(self, variables: Mapping[str, Any], but: Collection[int]):
        self.variables, self.but = variables, but
        self.places: dict[Path, Any] = {}
        self.seen: set[int] = set()

    def visit(self, x: Any, path: Path) -> None:
        places = self.places
        places[path] = x = plain(x)
        if isinstance(x, (Tracer, int, float, complex, str)) or x is None:
            return
        frozen = _frozen(x)
        if frozen is not None:
            places[*path, Frozen] = frozen
            return
        if hasattr(type(x), "__next__"):
            places[*path, Advancing] = None
            return
        items = self._items(x)
        if items is None or id(x) in self.but:
            return
        if len(path) > _DEPTH or len(self.seen) > _MOST:
            return
        if isinstance(x, tuple):
            places[*path, Shell] = Shell(type(x), tuple([key for key, _ in items]))
        elif id(x) in self.seen:
            places[*path, Again] = Shell(id(x), ())
            return
        else:
            self.seen.add(id(x))
            places[*path, Shell] = Shell(id(x), tuple([key for key, _ in items]))
        for key, value in items:
            self.visit(value, (*path, key))

    def _items(self, x: Any) -> list[tuple[Any, Any]] | None:
        """What a container holds, by the steps to it."""
        if isinstance(x, (list, tuple, deque)):
            return [*enumerate(x)]
        if isinstance(x, dict):
            return [*x.items()]
        if isinstance(x, FunctionType):
            return [*self._variables_of(x)] if is_user_code(x.__code__.co_filename) else None
        if isinstance(x, (MethodType, BuiltinFunctionType)):
            return [(Attribute("__self__"), x.__self__)]
        if isinstance(x, _NO_DATA) or not _is_users(x if isinstance(x, type) else type(x)):
            return None
        if isinstance(x, type):
            return [
                (Attribute(n), v) for n, v in vars(x).items()
                if not n.startswith("__") and (is_leaf(v) or isinstance(v, _CONTAINERS))
            ]  # fmt: skip
        attributes = getattr(x, "__dict__", None)
        held = attributes.items() if isinstance(attributes, dict) else ()
        return [(Attribute(n), v) for n, v in (*held, *_slots(x))]

    def _variables_of(self, x: FunctionType) -> Iterator[tuple[Any, Any]]:
        """What a function has of its own, but for what the variables have, too."""
        for name, cell in zip(x.__code__.co_freevars, x.__closure__ or (), strict=True):
            try:
                value = cell.cell_contents
            except ValueError:
                continue
            if name not in self.variables or self.variables[name] is not value:
                yield Cell(name), value
        if x.__defaults__:
            yield Attribute("__defaults__"), x.__defaults__
        yield from ((Attribute(name), value) for name, value in x.__dict__.items())


_CONTAINERS = (list, dict, tuple, set, deque, bytearray)


def _is_users(kind: type) -> bool:
    """Whether objects of a class are looked into: not those of NumPy's, and ours."""
    name = kind.__module__
    if name in ("builtins", "numpy", "tracejit") or name.startswith(("numpy.", "tracejit.")):
        return False
    module = sys.modules.get(name)
    return is_user_code(getattr(module, "__file__", None) or "")


def _slots(x: Any) -> Iterator[tuple[str, Any]]:
    """What is in the __slots__ of an object."""
    for kind in type(x).__mro__:
        names = vars(kind).get("__slots__", ())
        for name in (names,) if isinstance(names, str) else names:
            if name.startswith("__"):
                continue
            try:
                yield name, getattr(x, name)
            except AttributeError:
                continue


def _frozen(x: Any) -> Frozen | None:
    """What is in x, where that is seen only by looking; None for all others."""
    if isinstance(x, np.ndarray):
        if x.dtype == object:
            return Frozen(same=tuple(x.flat)) if x.size <= _KNOWN_ARRAY else None
        return Frozen(x.tobytes()) if x.size <= _KNOWN_ARRAY else None
    if isinstance(x, bytearray):
        return Frozen(bytes(x))
    if isinstance(x, set):
        return Frozen(same=tuple(x))
    if isinstance(x, (list, tuple)) and len(x) > _KNOWN_ARRAY:
        return Frozen(same=tuple(x))
    if isinstance(x, random.Random):
        return Frozen(x.getstate())
    if _is_generator(x):
        return Frozen(pickle.dumps(_state(x)))
    return None


def _is_generator(x: Any) -> bool:
    """Whether NumPy draws numbers with x. Who has one has loaded numpy.random; others need not."""
    if "numpy.random" not in sys.modules:
        return False
    return isinstance(x, (np.random.Generator, np.random.RandomState))


def _state(x: Any) -> Any:
    return x.bit_generator.state if isinstance(x, np.random.Generator) else x.get_state()


def _thaw(x: Any, before: Frozen) -> None:
    """Give x its content back."""
    if isinstance(x, np.ndarray):
        if x.flags.writeable:
            is_bytes = x.dtype != object
            x.flat[:] = np.frombuffer(before.content, x.dtype) if is_bytes else before.same
    elif isinstance(x, (bytearray, list)):
        x[:] = before.content if isinstance(x, bytearray) else before.same
    elif isinstance(x, set):
        x.clear()
        x.update(before.same)
    elif isinstance(x, random.Random):
        x.setstate(before.content)
    elif isinstance(x, np.random.Generator):
        x.bit_generator.state = pickle.loads(before.content)
    elif isinstance(x, np.random.RandomState):
        x.set_state(pickle.loads(before.content))


def same(before: Any, after: Any) -> bool:
    """Whether a place holds what it held."""
    if before is after:
        return True
    compared = is_number(before) or isinstance(before, (Shell, Frozen))
    return compared and type(before) is type(after) and bool(before == after)


def is_past(path: Path, before: dict[Path, Any], after: dict[Path, Any]) -> bool:
    """Whether a path is to what is in an array that has left its place, as it was."""
    array = before.get(path[:-1])
    if path[-1] is not Frozen or not isinstance(array, np.ndarray):
        return False
    return after.get(path[:-1]) is not array and _frozen(array) == before[path]


def put(variables: dict[str, Any], path: Path, value: Any) -> None:
    """Change one place; `variables` takes what has to become a local variable's new value."""
    variables[path[0]] = _replaced(variables[path[0]], path[1:], value) if path[1:] else value


def _replaced(x: Any, path: Path, value: Any) -> Any:
    """x with one place changed: in place, but for tuples."""
    key = path[0]
    is_step = isinstance(key, (Attribute, Cell))
    old = key.of(x) if is_step else x[key]
    new = _replaced(old, path[1:], value) if path[1:] else value
    if new is old:
        return x
    if isinstance(x, tuple):
        parts = [*x[:key], new, *x[key + 1 :]]
        return x._make(parts) if hasattr(x, "_make") else tuple(parts)
    if is_step:
        key.put(x, new)
    else:
        x[key] = new
    return x


def restore(before: dict[Path, Any], after: dict[Path, Any]) -> None:
    """Give containers that one round has changed their contents back."""
    for path, was in before.items():
        if path[-1] is not Shell and path[-1] is not Frozen:
            continue
        container = before[path[:-1]]
        is_same = same(was, after.get(path))
        if path[-1] is Frozen:
            if not is_same:
                _thaw(container, was)
        elif not isinstance(container, tuple) and not (
            is_same
            and all(before[(*path[:-1], k)] is after.get((*path[:-1], k)) for k in was.keys)
        ):
            _refill(container, {k: before[(*path[:-1], k)] for k in was.keys})


def _refill(container: Any, contents: dict[Any, Any]) -> None:
    """Give a container its contents, and nothing else."""
    if isinstance(container, list):
        container[:] = contents.values()
    elif isinstance(container, deque):
        container.clear()
        container.extend(contents.values())
    elif isinstance(container, dict):
        container.clear()
        container.update(contents)
    else:
        attributes = getattr(container, "__dict__", {})
        known = {step.name for step in contents}
        if isinstance(attributes, dict):
            for name in [*attributes]:
                if name not in known:
                    del attributes[name]
        for step, value in contents.items():
            if step.of(container) is not value:
                step.put(container, value)


def containers(places: Mapping[Path, Any]) -> set[int]:
    """The ids of what can change in place among what was found."""
    kinds = (shell.kind for path, shell in places.items() if path[-1] is Shell)
    return {kind for kind in kinds if isinstance(kind, int)}


def spelled(path: Path) -> str:
    """A place as one would write it."""
    keys = [k for k in path[1:] if not (isinstance(k, type) and k in _MARKS)]
    is_step = (isinstance(k, (Attribute, Cell)) for k in keys)
    steps = [str(k) if s else f"[{k!r}]" for k, s in zip(keys, is_step, strict=True)]
    return path[0] + "".join(steps)

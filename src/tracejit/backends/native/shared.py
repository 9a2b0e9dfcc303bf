"""Functions that programs share, compiled once in a process: the slow paths of maths, and what
`pool.py` has.

    kernel calls maths.remainders    ->    declared in the kernel's module, defined in a module of
                                           its own, linked by address

They are long, called for few arguments, and the same in every program: defined in each module that
calls them, they took half of the time in which a small one is compiled. Kept on disk as programs
are. A module that stands alone (`Module()`) still holds what it calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from tracejit.backends.native import pool
from tracejit.backends.native.disk import Kept, find, keep, key_of
from tracejit.backends.native.emit import Module
from tracejit.backends.native.maths import huge_angles, remainder
from tracejit.backends.native.target import Code, host, object_code

#: By name: what adds the function to a module.
SHARED: dict[str, Callable[[Module], None]] = {
    huge_angles.NAME: huge_angles.define,
    remainder.NAME: remainder.define,
}

_loaded: dict[str, Code] = {}
_loading = threading.Lock()


def new_module() -> Module:
    """A module for this machine, linked with the functions that programs share."""
    machine = host()
    return Module(
        has_fma=machine.has_fma, has_avx512=machine.has_avx512,
        has_half_conversions=machine.has_half_conversions, provided=frozenset(SHARED),
    )


def is_shared(name: str) -> bool:
    """Whether a function is one that programs share."""
    return name in SHARED or name in pool.NAMES


def addresses(names: Iterable[str]) -> dict[str, int]:
    """Where these functions are in this process, compiled and loaded if nobody has needed them."""
    with _loading:
        return {
            name: _load(name).address(name) if name in SHARED else pool.address(name)
            for name in names
        }


def _load(name: str) -> Code:
    if name not in _loaded:
        _loaded[name] = Code(_object(name), [name])
    return _loaded[name]


def _object(name: str) -> bytes:
    key = key_of("shared", lambda: name)
    if key is not None and (kept := find(key)) is not None:
        return kept.code
    module = Module(has_fma=host().has_fma)
    SHARED[name](module)
    code = object_code(str(module))
    if key is not None:
        keep(key, Kept({}, code))
    return code

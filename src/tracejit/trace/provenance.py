"""Where in the user's program an equation was bound."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from functools import lru_cache, partial
from types import CodeType, FrameType
from typing import Any

import numpy as np

from tracejit.ir.graph import NOWHERE, Provenance

_OURS = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_SCIPY = os.path.join(os.path.dirname(os.path.dirname(_NUMPY)), "scipy") + os.sep


@lru_cache(maxsize=4096)
def is_user_code(file: str) -> bool:
    """Whether a file is neither of this package, nor of NumPy or SciPy."""
    return not file.startswith((_OURS, _NUMPY, _SCIPY, "<frozen"))


@lru_cache(maxsize=4096)
def _place(code: CodeType, line: int) -> Provenance:
    file = code.co_filename
    try:
        here = os.getcwd() + os.sep
    except FileNotFoundError:  # the folder was removed while the program ran
        here = ""
    near = file.removeprefix(here) if here else file
    return Provenance(near, line, code.co_name)


#: For each code object seen (by its id; it is kept): by instruction, the places in it; None where
#: it is not the user's.
_seen: dict[int, tuple[CodeType, dict[int, Provenance] | None]] = {}
_REMEMBERED = 4096


def user_frame(depth: int = 1) -> Provenance:
    """The innermost frame outside this package, NumPy and SciPy: file, line, function.

    depth: how many frames are known to be inside, that of this function included.
    """
    frame: FrameType | None = sys._getframe(depth)
    while frame is not None:
        code = frame.f_code
        known = _seen.get(id(code)) or _look(code)
        places = known[1]
        if places is not None:
            place = places.get(frame.f_lasti)
            if place is None:
                place = places[frame.f_lasti] = _place(code, frame.f_lineno)
            return place
        frame = frame.f_back
    return NOWHERE


def _look(code: CodeType) -> tuple[CodeType, dict[int, Provenance] | None]:
    """Remember a code object, and whether it is the user's."""
    if len(_seen) >= _REMEMBERED:
        _seen.clear()
    known = _seen[id(code)] = code, {} if is_user_code(code.co_filename) else None
    return known


def asking_frame() -> FrameType | None:
    """The frame that `user_frame` tells the place of."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and not is_user_code(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


def function_place(fun: Callable[..., Any]) -> Provenance:
    """Where a function is defined; NOWHERE for what has no Python code."""
    while isinstance(fun, partial):
        fun = fun.func
    fun = inspect.unwrap(fun)
    code = getattr(fun, "__code__", None) or getattr(type(fun).__call__, "__code__", None)
    return NOWHERE if code is None else _place(code, code.co_firstlineno)

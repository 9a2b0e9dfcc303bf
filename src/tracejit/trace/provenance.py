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
def _is_user_code(file: str) -> bool:
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


def user_frame() -> Provenance:
    """The innermost frame outside this package, NumPy and SciPy: file, line, function."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if _is_user_code(frame.f_code.co_filename):
            return _place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return NOWHERE


def function_place(fun: Callable[..., Any]) -> Provenance:
    """Where a function is defined; NOWHERE for what has no Python code."""
    while isinstance(fun, partial):
        fun = fun.func
    fun = inspect.unwrap(fun)
    code = getattr(fun, "__code__", None) or getattr(type(fun).__call__, "__code__", None)
    return NOWHERE if code is None else _place(code, code.co_firstlineno)
